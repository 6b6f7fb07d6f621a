//! The same with a real mint on SQLite: settled, changed, caught, and continued after the mint was away.

use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_mint::{InitOptions, Mint, MintOptions};
use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::issue::{FundingKeys, SessionPlan};
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::token::OwnedToken;
use farthing_protocol::wire::{DoubleSpendFrame, Frame, IssueResponseFrame, OpenResponseFrame};
use farthing_verifier::store::RedbStore;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::site::{Plan, Reader, Site, pay, reread};
use crate::world::copy;

pub struct RealMint {
    pub mint: Mint,
    pub url: url::Url,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl RealMint {
    pub async fn serve(directory: &std::path::Path, listener: TcpListener) -> Self {
        let mint = Mint::open(directory, MintOptions::default()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = mint.clone();
        let served = tokio::spawn(async move {
            serving
                .serve(listener, async {
                    let _ = stopped.await;
                })
                .await
                .unwrap();
        });
        Self { mint, url, stop, served }
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
    }

    /// Buys tokens as a wallet does, frame by frame.
    pub async fn tokens(&self, denominations: &[u64], rng: &mut StdRng) -> (Vec<OwnedToken>, KeysetList) {
        let root = self.mint.root();
        let list = KeysetList::verify(&self.ask("v1/keysets", None).await, &root).unwrap();
        let code = self.mint.create_vouchers(Amount::from_units(denominations.iter().sum()), 1).await.unwrap().remove(0);
        let voucher = code.key().unwrap();
        let funding = FundingKeys::Voucher(&voucher);
        let seed = WalletSeed::generate(rng);
        let keyset = &list.keysets()[0];
        let denominations = denominations.iter().copied().map(Amount::from_units).collect();
        let plan = SessionPlan::new(&seed, &root, keyset.id(), denominations, 0).unwrap();
        let open = plan.open(&root, &funding, rng).unwrap();
        let opened: OpenResponseFrame = self.ask("v1/commitments", Some(open.to_bytes())).await;
        let pending = plan.blind(&seed, &root, keyset, 0, &opened).unwrap();
        let request = plan.request(&root, &pending, &funding, rng).unwrap();
        let response: IssueResponseFrame = self.ask("v1/issue", Some(request.to_bytes())).await;
        (pending.unblind(&response).unwrap(), list)
    }

    async fn ask<F: Frame>(&self, path: &str, body: Option<Vec<u8>>) -> F {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = self.url.join(path).unwrap();
        let request = match body {
            Some(body) => client.post(url).header("content-type", "application/vnd.farthing").body(body),
            None => client.get(url),
        };
        let response = request.header("accept", "application/vnd.farthing").send().await.unwrap();
        assert_eq!(response.status(), 200);
        F::from_bytes(&response.bytes().await.unwrap()).unwrap()
    }

    pub async fn balance(&self, publisher: &str) -> u64 {
        self.mint.publisher_balance(publisher).await.unwrap().map_or(0, Amount::units)
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn open_site(mint: &RealMint, directory: &std::path::Path, name: &str) -> Site<RedbStore> {
    let plan = Plan::new(&mint.url, mint.mint.root()).await;
    plan.clock.0.store(now(), std::sync::atomic::Ordering::SeqCst);
    plan.open(RedbStore::open(directory.join(name)).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_loop_with_a_real_mint() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("mint");
    Mint::init(&data, InitOptions::default()).await.unwrap();
    let listener = crate::site::listener().await;
    let address = listener.local_addr().unwrap();
    let mint = RealMint::serve(&data, listener).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(80));
    let (news, blog) = (open_site(&mint, directory.path(), "news").await, open_site(&mint, directory.path(), "blog").await);
    let (at_news, at_blog) = (news.url("/articles/one"), blog.url("/articles/one"));
    let (mut tokens, list) = mint.tokens(&[500, 500, 1_000], &mut rng).await;

    // Nobody has told the mint about this publisher.
    let lost = pay(&reader.challenge(&at_news).await, vec![tokens.remove(0)], None, &mut rng);
    assert_eq!(reader.get_with(&at_news, &lost.header).await.problem().1, "refused-unknown-publisher");
    for site in [&news, &blog] {
        mint.mint.add_publisher(&site.name).await.unwrap();
    }

    // Paid with change, read again for nothing.
    let large = tokens.remove(1);
    let copied = vec![copy(&large)];
    let sent = pay(&reader.challenge(&at_news).await, vec![large], None, &mut rng);
    let reply = reader.get_with(&at_news, &sent.header).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.receipt().extensions["change"], "500");
    let again = reread(&reader.challenge(&at_news).await, sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&at_news, &again).await.body, "again /articles/one");
    assert_eq!(mint.balance(&news.name).await, 500);

    // The same token at another publisher: the mint has the proof, and anybody can check it.
    let cheat = pay(&reader.challenge(&at_blog).await, copied, None, &mut rng);
    let reply = reader.get_with(&at_blog, &cheat.header).await;
    assert_eq!(reply.problem(), ("verification-failed".into(), "double-spend".into()));
    let proof = Base64UrlUnpadded::decode_vec(reply.json()["proof"].as_str().unwrap()).unwrap();
    let frame = DoubleSpendFrame::from_bytes(&proof).unwrap();
    assert!(DoubleSpend::from_frame(&frame).unwrap().verify(&list.key_table()).is_ok());
    assert_eq!((mint.balance(&blog.name).await, blog.served()), (0, 0));

    // The mint goes away with a payment undecided, and comes back: booked once.
    let challenge = reader.challenge(&at_blog).await;
    let waiting = pay(&challenge, tokens, None, &mut rng);
    mint.stop().await;
    assert_eq!(reader.get_with(&at_blog, &waiting.header).await.problem().1, "mint-unavailable");
    let mint = RealMint::serve(&data, TcpListener::bind(address).await.unwrap()).await;
    blog.settled().await;
    assert_eq!(mint.balance(&blog.name).await, 500);
    assert_eq!(reader.get_with(&at_blog, &waiting.header).await.status, 200);
    assert_eq!(mint.balance(&blog.name).await, 500);
    mint.stop().await;
}
