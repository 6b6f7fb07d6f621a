//! A publisher's site over real HTTP, and a reader who talks to it through the `mpp` crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Extension, Request};
use axum::response::IntoResponse;
use axum::routing::get;
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::http::{ChargeRequest, Credential, EchoedChallenge};
use farthing_protocol::payment::{Payment, PaymentTerms};
use farthing_protocol::proof::{PaymentId, Statement};
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use farthing_protocol::wire::{Frame, RereadFrame};
use farthing_verifier::store::{MemoryStore, RedbStore, Store};
use farthing_verifier::{ChallengeSecret, Clock, Mode, Offer, Paid, PaymentLayer, Price, Verifier, VerifierConfig};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use mpp::{PaymentChallenge, PaymentCredential};
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::stand_in::StandIn;
use crate::world::{NOW, World};

/// How long a test waits for what must come: no machine is that slow.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until it holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until somebody listens there.
pub async fn listening(address: &str) {
    eventually("that somebody listens", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
}

/// Listens where a server may stop and start again: no connection takes the port by itself meanwhile, for it is below those that the
/// system gives away.
pub async fn listener() -> TcpListener {
    loop {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", rand::random_range(10_000..32_768_u16))).await {
            return listener;
        }
    }
}

/// An address like that, where nobody listens yet.
pub async fn free_address() -> String {
    listener().await.local_addr().unwrap().to_string()
}

/// A clock that tests set.
#[derive(Clone)]
pub struct TestClock(pub Arc<AtomicU64>);

impl Clock for TestClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a site is made of.
pub struct Plan {
    pub config: VerifierConfig,
    pub listener: TcpListener,
    pub name: String,
    pub clock: TestClock,
}

pub fn secret(number: u8) -> ChallengeSecret {
    ChallengeSecret::from_bytes(&Zeroizing::new([number; 32]))
}

impl Plan {
    pub async fn new(mint: &url::Url, root: farthing_protocol::group::Point) -> Self {
        Self::on(listener().await, mint, root)
    }

    pub fn on(listener: TcpListener, mint: &url::Url, root: farthing_protocol::group::Point) -> Self {
        let name = listener.local_addr().unwrap().to_string();
        let clock = TestClock(Arc::new(AtomicU64::new(NOW)));
        let config = VerifierConfig::new(name.clone(), mint.clone(), root, secret(1))
            .clock(clock.clone())
            .mint_timeout(PATIENCE)
            .retry(Duration::from_millis(20), Duration::from_millis(100));
        Self { config, listener, name, clock }
    }

    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.config = self.config.mode(mode);
        self
    }

    pub async fn open<S: Store>(self, store: S) -> Site<S> {
        let verifier = Verifier::open(self.config, store).await.unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let app = app(PaymentLayer::new(verifier.clone(), offer), Arc::clone(&served));
        let listener = self.listener;
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Site { verifier, name: self.name, clock: self.clock, served, server }
    }
}

fn app<S: Store>(layer: PaymentLayer<S, fn(&Parts) -> Option<Offer>>, served: Arc<AtomicUsize>) -> axum::Router {
    let article = move |paid: Option<Extension<Paid>>, request: Request| async move {
        let authorized = request.headers().contains_key("authorization");
        match paid {
            Some(Extension(paid)) => {
                assert!(!authorized, "the credential does not reach the site");
                served.fetch_add(1, Ordering::SeqCst);
                let kind = if paid.is_reread() { "again" } else { "paid" };
                ([("cache-control", "public, max-age=60")], format!("{kind} {}", request.uri())).into_response()
            }
            None => if authorized { "free, with a header" } else { "free" }.into_response(),
        }
    };
    axum::Router::new().fallback(get(article.clone()).post(article)).layer(layer)
}

fn offer(request: &Parts) -> Option<Offer> {
    let fixed = |units| Some(Price::Fixed(Amount::from_units(units)));
    let price = match request.uri.path() {
        "/tips" => {
            Some(Price::Tip { minimum: Amount::from_units(100), suggested: Amount::from_units(200), maximum: Amount::from_units(1_000) })
        }
        "/broken" => fixed(0),
        path if path.starts_with("/dear") => fixed(5_000),
        path if path.starts_with("/articles/") => fixed(500),
        _ => None,
    }?;
    let title = "Signs & <wonders>".to_owned();
    Some(Offer { price, title, external_id: request.uri.path().to_owned(), access: Duration::from_hours(24) })
}

pub struct Site<S> {
    pub verifier: Verifier<S>,
    pub name: String,
    pub clock: TestClock,
    pub served: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<()>,
}

impl<S: Store> Site<S> {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.name)
    }

    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    pub fn set_clock(&self, time: u64) {
        self.clock.0.store(time, Ordering::SeqCst);
    }

    /// Hands everything in. A deposit that was under way when the mint's fault ended may still fail, and whoever joins it with it.
    pub async fn hand_in(&self) {
        eventually("that all is handed in", async || self.verifier.flush_outbox().await.is_ok()).await;
    }

    /// Waits until the mint has decided about everything.
    pub async fn settled(&self) {
        eventually("the mint's decision", async || self.verifier.totals().await.unwrap().undecided == 0).await;
    }

    /// Stops serving and lets go of the store.
    pub async fn close(self) {
        self.server.abort();
        let _ = self.server.await;
        self.verifier.shutdown().await;
    }
}

/// Opens a store that a site has just let go of: the last connection may still be closing.
pub async fn reopen(file: &std::path::Path) -> RedbStore {
    let mut store = None;
    eventually("the end of the last user of the store", async || {
        store = RedbStore::open(file).ok();
        store.is_some()
    })
    .await;
    store.unwrap()
}

/// A mint's stand-in, one site, one reader.
pub async fn loop_of(number: u64) -> (StandIn, Site<MemoryStore>, Reader) {
    let (mint, url) = StandIn::start(World::new(number)).await;
    let root = mint.books().world.root();
    let site = Plan::new(&url, root).await.open(MemoryStore::new()).await;
    (mint, site, Reader::new())
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Problem type and code, after checking that the rest fits.
    pub fn problem(&self) -> (String, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers.contains_key("www-authenticate"), self.status == 402, "a fresh challenge with every 402");
        assert_eq!(self.headers.contains_key("retry-after"), self.status == 503);
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        let kind = json["type"].as_str().unwrap().strip_prefix("https://paymentauth.org/problems/").unwrap().to_owned();
        (kind, self.code())
    }

    pub fn challenge(&self) -> PaymentChallenge {
        assert_eq!(self.status, 402, "{}", self.body);
        mpp::parse_www_authenticate(self.headers["www-authenticate"].to_str().unwrap()).unwrap()
    }

    pub fn receipt(&self) -> mpp::Receipt {
        mpp::parse_receipt(self.headers["payment-receipt"].to_str().unwrap()).unwrap()
    }
}

/// A payment on its way: the header to send, and what is needed to change it, or to read again.
pub struct Sent {
    pub header: String,
    pub payment: Payment,
    pub id: PaymentId,
    pub used: UsedTokens,
    pub salt: [u8; 32],
}

pub struct Reader {
    client: reqwest::Client,
}

pub fn request_of(challenge: &PaymentChallenge) -> ChargeRequest {
    challenge.request.decode().unwrap()
}

pub fn echoed(challenge: &PaymentChallenge) -> EchoedChallenge<'_> {
    EchoedChallenge {
        id: &challenge.id,
        realm: &challenge.realm,
        method: challenge.method.as_str(),
        intent: challenge.intent.as_str(),
        request: challenge.request.raw(),
        expires: challenge.expires.as_deref(),
        digest: challenge.digest.as_deref(),
        opaque: challenge.opaque.as_ref().map(mpp::Base64UrlJson::raw),
        description: challenge.description.as_deref(),
        header: challenge.header.as_deref(),
    }
}

pub fn credential(challenge: &PaymentChallenge, payload: &Credential) -> String {
    mpp::format_authorization(&PaymentCredential::new(challenge.to_echo(), payload)).unwrap()
}

pub fn payment_credential(challenge: &PaymentChallenge, frame: &[u8], salt: &[u8]) -> String {
    let payload = Credential::Payment { payment: Base64UrlUnpadded::encode_string(frame), salt: Base64UrlUnpadded::encode_string(salt) };
    credential(challenge, &payload)
}

/// Pays what the challenge asks, or another amount.
pub fn pay(challenge: &PaymentChallenge, tokens: Vec<OwnedToken>, amount: Option<u64>, rng: &mut StdRng) -> Sent {
    let request = request_of(challenge);
    pay_to(challenge, &request.recipient, request.method_details.deposit_by, tokens, amount, rng)
}

pub fn pay_to(
    challenge: &PaymentChallenge,
    recipient: &str,
    deposit_by: u64,
    tokens: Vec<OwnedToken>,
    amount: Option<u64>,
    rng: &mut StdRng,
) -> Sent {
    let salt: [u8; 32] = rand::random();
    let amount = Amount::from_units(amount.unwrap_or_else(|| request_of(challenge).amount.parse().unwrap()));
    let terms = PaymentTerms { recipient, amount, deposit_by, subject: echoed(challenge).subject(&salt) };
    let (payment, used) = OwnedTokens::new(tokens).unwrap().pay(&terms, rng).unwrap();
    let id = used.payment_id(&terms.statement());
    Sent { header: payment_credential(challenge, &payment.to_frame().to_bytes(), &salt), payment, id, used, salt }
}

/// Asks to read again.
pub fn reread(challenge: &PaymentChallenge, id: PaymentId, used: &UsedTokens, rng: &mut StdRng) -> String {
    let recipient = request_of(challenge).recipient;
    let statement = Statement::new(recipient.as_bytes(), Amount::ZERO, 0, &echoed(challenge).subject(&[]));
    let proof = used.reread(&statement, rng).unwrap();
    let frame = RereadFrame { payment: id.0.into(), proof: proof.to_body() };
    credential(challenge, &Credential::Reread { reread: Base64UrlUnpadded::encode_string(&frame.to_bytes()) })
}

impl Reader {
    pub fn new() -> Self {
        // Opening a verifier has installed the TLS provider; a reader alone needs one too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { client: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap() }
    }

    pub async fn send(&self, method: http::Method, url: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Reply { status: response.status(), headers: response.headers().clone(), body: response.text().await.unwrap() }
    }

    pub async fn post_json(&self, url: &str, body: &serde_json::Value) -> Reply {
        let response = self.client.post(url).json(body).send().await.unwrap();
        Reply { status: response.status(), headers: response.headers().clone(), body: response.text().await.unwrap() }
    }

    pub async fn get(&self, url: &str) -> Reply {
        self.send(http::Method::GET, url, &[]).await
    }

    pub async fn get_with(&self, url: &str, credential: &str) -> Reply {
        self.send(http::Method::GET, url, &[("authorization", credential)]).await
    }

    /// Asks again while nothing can be decided, as it says: a deposit that was under way when a fault ended may still fail.
    pub async fn insist(&self, url: &str, credential: &str) -> Reply {
        let mut reply = self.get_with(url, credential).await;
        eventually("a decision", async || {
            if reply.status == StatusCode::SERVICE_UNAVAILABLE {
                reply = self.get_with(url, credential).await;
            }
            reply.status != StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
        reply
    }

    pub async fn challenge(&self, url: &str) -> PaymentChallenge {
        self.get(url).await.challenge()
    }
}
