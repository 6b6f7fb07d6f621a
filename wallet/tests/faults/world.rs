//! A mint, two publishers and the network between them: real ones, each of which can die and be started again on what it has stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use farthing_mint::store::sqlite::SqliteLedger;
use farthing_mint::{InitOptions, Mint, MintOptions};
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_verifier::store::RedbStore;
use farthing_verifier::{ChallengeSecret, DeferredLimits, Mode, Offer, PaymentLayer, Price, PublisherKey, Verifier, VerifierConfig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use super::desk::{Desk, Party, Place};
use super::faulty_ledger::Faulty;
use super::line::line;
use super::stores::{Claims, MintFate};
use crate::ClientOptions;

/// Who settles first, and who serves first. Nobody listens there: the wallet's proxy knows where they are.
pub const PUBLISHERS: [&str; 2] = ["127.0.0.1:8001", "127.0.0.1:8002"];

/// How long everybody waits for an answer: on a busy machine too, nobody gives up by mistake.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How long they wait at first for an answer that does not come.
pub const IMPATIENCE: Duration = Duration::from_secs(1);

pub struct Publisher {
    config: VerifierConfig,
    pub store: Arc<RedbStore>,
    pub verifier: Option<Verifier<Claims>>,
    serving: Option<JoinHandle<()>>,
}

pub struct World {
    pub desk: Arc<Desk>,
    pub directory: tempfile::TempDir,
    pub root: Point,
    pub mint_url: Url,
    pub mint: Mint,
    serving: JoinHandle<()>,
    pub publishers: [Publisher; 2],
    /// The line between the wallet and everybody.
    proxy: Url,
    /// How long they wait for an answer that does not come.
    pub impatience: Duration,
    /// How many cases it has seen.
    pub cases: usize,
}

pub fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

fn price(path: &str) -> Option<Offer> {
    let units = path.strip_prefix("/articles/")?.split('/').next()?.parse().ok()?;
    let price = Price::Fixed(Amount::from_units(units));
    Some(Offer { price, title: "An article".into(), external_id: "article".into(), access: Duration::from_hours(1) })
}

fn serve(app: Router, listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() })
}

async fn listen() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn start_mint(desk: &Arc<Desk>, directory: &std::path::Path, url: &Url) -> (Mint, JoinHandle<()>) {
    let (listener, address) = listen().await;
    desk.born(Party::Mint, BTreeMap::from([(url.authority().to_owned(), address)]));
    let fate = MintFate { desk: Arc::clone(desk), dead: desk.life(Party::Mint), dying: AtomicBool::new(false) };
    let sound = Arc::new(SqliteLedger::open(&directory.join("ledger.sqlite")).await.unwrap());
    let mint = Mint::open_on(directory, Arc::new(Faulty { sound, fate }), MintOptions::default()).await.unwrap();
    let serving = serve(mint.router(), listener);
    (mint, serving)
}

impl World {
    pub async fn new() -> Self {
        let desk = Arc::new(Desk::default());
        let directory = tempfile::tempdir().unwrap();
        let denominations = [1, 2, 5, 10].map(Amount::from_units).to_vec();
        let options = InitOptions { denominations, ..InitOptions::default() };
        let root = Mint::init(&directory.path().join("mint"), options).await.unwrap();
        let mint_url: Url = format!("http://{}", line(&desk, Place::PublisherLine, Party::Publishers).await).parse().unwrap();
        let proxy = format!("http://{}", line(&desk, Place::WalletLine, Party::Wallet).await).parse().unwrap();
        let (mint, serving) = start_mint(&desk, &directory.path().join("mint"), &mint_url).await;
        let mut publishers = Vec::new();
        for (name, mode) in PUBLISHERS.into_iter().zip([Mode::SettleFirst, deferred()]) {
            mint.add_publisher(name).await.unwrap();
            let key = PublisherKey::generate();
            mint.set_publisher_key(name, key.public()).await.unwrap();
            let config = VerifierConfig::new(name, mint_url.clone(), root, ChallengeSecret::generate()).publisher_key(key).mode(mode);
            let config = config.mint_timeout(PATIENCE).retry(Duration::from_millis(20), Duration::from_millis(100));
            let (day, store) = (Duration::from_hours(24), directory.path().join(format!("claims-{}.redb", publishers.len())));
            let config = config.keyset_interval(day).filter_interval(day);
            let store = Arc::new(RedbStore::open(store).unwrap());
            publishers.push(Publisher { config, store, verifier: None, serving: None });
        }
        let publishers = publishers.try_into().ok().unwrap();
        let mut world = Self { desk, directory, root, mint_url, mint, serving, publishers, proxy, impatience: IMPATIENCE, cases: 0 };
        world.revive().await;
        // On a busy machine the first answer may come too late for them.
        for publisher in &world.publishers {
            while publisher.verifier.as_ref().unwrap().refresh_keysets().await.is_err() {}
        }
        world
    }

    /// How a wallet reaches everybody.
    pub fn options(&self, timeout: Duration) -> ClientOptions {
        ClientOptions { proxy: Some(self.proxy.clone()), timeout }
    }

    /// The publishers begin anew, and wait so long for the mint.
    pub async fn restart_publishers(&mut self, patience: Duration) {
        for publisher in &mut self.publishers {
            publisher.config = publisher.config.clone().mint_timeout(patience);
        }
        self.start_publishers().await;
    }

    /// Starts again what has died. What cannot be started, because that is what a cut is about, stays dead until the next time.
    pub async fn revive(&mut self) {
        if self.desk.is_dead(Party::Mint) {
            self.serving.abort();
            (self.mint, self.serving) = start_mint(&self.desk, &self.directory.path().join("mint"), &self.mint_url).await;
        }
        if self.desk.is_dead(Party::Publishers) {
            self.start_publishers().await;
        }
    }

    async fn start_publishers(&mut self) {
        let (mut listeners, mut addresses) = (Vec::new(), BTreeMap::new());
        // Nothing that the dead process still had in hand may reach the mint as a message of the next one.
        self.desk.kill(Party::Publishers);
        for (name, publisher) in PUBLISHERS.into_iter().zip(&mut self.publishers) {
            publisher.verifier = None;
            publisher.serving.take().iter().for_each(JoinHandle::abort);
            while Arc::strong_count(&publisher.store) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (listener, address) = listen().await;
            addresses.insert(name.to_owned(), address);
            listeners.push(listener);
        }
        self.desk.born(Party::Publishers, addresses);
        for (listener, publisher) in listeners.into_iter().zip(&mut self.publishers) {
            let (desk, dead) = (Arc::clone(&self.desk), self.desk.life(Party::Publishers));
            let claims = Claims { store: Arc::clone(&publisher.store), desk, dead };
            let Ok(verifier) = Verifier::open(publisher.config.clone(), claims).await else {
                return self.desk.kill(Party::Publishers);
            };
            publisher.verifier = Some(verifier.clone());
            let layer = PaymentLayer::new(verifier, |request: &http::request::Parts| price(request.uri.path()));
            let app = Router::new().route("/articles/{price}/{case}", get(|| async { "the article" })).layer(layer);
            publisher.serving = Some(serve(app, listener));
        }
    }

    /// Whether the mint has decided about everything that was paid.
    pub async fn decided(&self) -> bool {
        for publisher in &self.publishers {
            let Some(verifier) = &publisher.verifier else { return false };
            if !verifier.totals().await.is_ok_and(|totals| totals.undecided == 0) {
                return false;
            }
        }
        true
    }

    /// Waits until the mint has decided, as long as that makes sense.
    pub async fn wait_decided(&self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.decided().await {
                return Ok(());
            }
            if self.desk.is_dead(Party::Mint) || self.desk.is_dead(Party::Publishers) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("a payment stays undecided".into())
    }

    /// What the publishers have earned.
    pub async fn credits(&self) -> [u64; 2] {
        let mut credits = [0; 2];
        for (credit, name) in credits.iter_mut().zip(PUBLISHERS) {
            *credit = self.mint.publisher_balance(name).await.unwrap().unwrap().units();
        }
        credits
    }
}

fn deferred() -> Mode {
    let [outstanding, per_window] = [units(1_000_000); 2];
    Mode::Deferred(DeferredLimits { outstanding, per_window, window: Duration::from_hours(1) })
}
