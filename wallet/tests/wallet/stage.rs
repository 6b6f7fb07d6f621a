//! A real mint and a real publisher on free ports, behind a switch that loses requests or answers.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use farthing_mint::{InitOptions, Mint, MintOptions};
use farthing_protocol::amount::Amount;
use farthing_protocol::voucher::VoucherCode;
use farthing_verifier::store::{MemoryStore, RedbStore};
use farthing_verifier::{ChallengeSecret, Offer, Pass, PaymentLayer, Price, PublisherKey, Verifier, VerifierConfig};
use farthing_wallet::{ClientOptions, Delivery, PayOptions, Wallet, WalletError};
use tokio::net::TcpListener;
use url::Url;

/// What happens to a request whose path begins as said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives.
    RequestLost,
    /// It is worked on in full, and the answer is lost.
    AnswerLost,
    /// It is worked on in full, and something in between answers with this status and problem code instead.
    Answered(u16, &'static str),
    /// All is well.
    Nothing,
    /// It never arrives, and something in between answers so.
    Refused(u16, &'static str),
}

/// Faults waiting to happen.
#[derive(Default)]
pub struct Switch {
    next: Mutex<VecDeque<(&'static str, Fault)>>,
    replay: Mutex<Option<Vec<u8>>>,
}

impl Switch {
    /// The next request to this path suffers this.
    pub fn arm(&self, path: &'static str, fault: Fault) {
        *self.next.lock().unwrap() = VecDeque::from([(path, fault)]);
    }

    /// After what is armed already, one more.
    pub fn then(&self, path: &'static str, fault: Fault) {
        self.next.lock().unwrap().push_back((path, fault));
    }

    /// Every later session is opened with this answer: a mint that repeats its commitments.
    pub fn replay_openings(&self, body: Vec<u8>) {
        *self.replay.lock().unwrap() = Some(body);
    }
}

/// A body that breaks off: the server cuts the connection, and the client has no answer.
struct Cut;

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

fn broken() -> Response {
    Response::new(Body::new(Cut))
}

/// A refusal with this problem code.
pub fn problem(status: u16, code: &str) -> Response {
    Response::builder().status(status).body(Body::from(format!("{{\"code\":\"{code}\"}}"))).unwrap()
}

async fn suffer(State(switch): State<Arc<Switch>>, request: Request, next: Next) -> Response {
    let fault = {
        let mut armed = switch.next.lock().unwrap();
        armed.pop_front_if(|(path, _)| request.uri().path().starts_with(*path)).map(|(_, fault)| fault)
    };
    if fault == Some(Fault::RequestLost) {
        return broken();
    }
    let opening = request.uri().path() == "/v1/commitments";
    let replayed = switch.replay.lock().unwrap().clone().filter(|_| opening);
    if let Some(body) = replayed {
        return Response::builder().header("content-type", "application/vnd.farthing").body(Body::from(body)).unwrap();
    }
    if let Some(Fault::Refused(status, code)) = fault {
        return problem(status, code);
    }
    let response = next.run(request).await;
    match fault {
        Some(Fault::AnswerLost) => broken(),
        Some(Fault::Answered(status, code)) => problem(status, code),
        _ => response,
    }
}

/// How long everybody waits for an answer: on a busy machine too, nobody gives up by mistake.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Everything a reader deals with.
pub struct Stage {
    pub directory: tempfile::TempDir,
    pub mint: Mint,
    pub mint_url: Url,
    pub mint_switch: Arc<Switch>,
    pub publisher: String,
    pub verifier: Verifier<RedbStore>,
    pub publisher_switch: Arc<Switch>,
    serving: tokio::task::JoinHandle<()>,
}

/// A port that no connection takes by itself while the mint is away: it is below those that the system gives away.
async fn free_address() -> String {
    loop {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", rand::random_range(10_000..32_768_u16))).await {
            return listener.local_addr().unwrap().to_string();
        }
    }
}

async fn serve_mint(mint: &Mint, address: &str, switch: &Arc<Switch>) -> (String, tokio::task::JoinHandle<()>) {
    // A port that was just left may take a moment.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let name = listener.local_addr().unwrap().to_string();
    let app = mint.router().layer(from_fn_with_state(Arc::clone(switch), suffer));
    (name, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

impl Stage {
    pub async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Mint::init(&directory.path().join("mint"), InitOptions::default()).await.unwrap();
        let mint = Mint::open(&directory.path().join("mint"), MintOptions::default()).await.unwrap();
        let mint_switch = Arc::new(Switch::default());
        let (name, serving) = serve_mint(&mint, &free_address().await, &mint_switch).await;
        let mint_url: Url = format!("http://{name}").parse().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let publisher = listener.local_addr().unwrap().to_string();
        mint.add_publisher(&publisher).await.unwrap();
        let key = PublisherKey::generate();
        mint.set_publisher_key(&publisher, key.public()).await.unwrap();
        let config = VerifierConfig::new(publisher.clone(), mint_url.clone(), root, ChallengeSecret::generate());
        let config = config.mint_timeout(PATIENCE).publisher_key(key).pass(pass());
        let store = RedbStore::open(directory.path().join("claims.redb")).unwrap();
        let verifier = Verifier::open(config, store).await.unwrap();
        let layer = PaymentLayer::new(verifier.clone(), |request: &http::request::Parts| price(request.uri.path()));
        let publisher_switch = Arc::new(Switch::default());
        let app = Router::new()
            .route("/articles/{price}", get(|| async { "the article" }))
            .route("/tips", get(|| async { "thank you" }))
            .route("/free", get(|| async { "free" }))
            .layer(layer)
            .layer(from_fn_with_state(Arc::clone(&publisher_switch), suffer));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { directory, mint, mint_url, mint_switch, publisher, verifier, publisher_switch, serving }
    }

    /// Ends the mint's process and starts another on the same ledger and port: its sessions' nonces are gone.
    pub async fn restart_mint(&mut self) {
        self.start_mint("mint").await;
    }

    /// Ends the mint and starts another from a backup.
    pub async fn restore_mint(&mut self, backup: &Path) {
        Mint::restore(backup, &self.directory.path().join("restored")).await.unwrap();
        self.start_mint("restored").await;
    }

    async fn start_mint(&mut self, directory: &str) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        self.mint = Mint::open(&self.directory.path().join(directory), MintOptions::default()).await.unwrap();
        let address = self.mint_url.authority().to_owned();
        (_, self.serving) = serve_mint(&self.mint, &address, &self.mint_switch).await;
    }

    pub fn wallet_directory(&self) -> PathBuf {
        self.directory.path().join("wallet")
    }

    pub async fn new_wallet(&self) -> Wallet {
        Wallet::init(&self.wallet_directory(), self.mint_url.clone(), self.mint.root(), options()).await.unwrap()
    }

    /// What a crash does to a wallet: it is opened again from its file.
    pub fn reopen(&self, wallet: Wallet) -> Wallet {
        drop(wallet);
        Wallet::open(&self.wallet_directory(), options()).unwrap()
    }

    pub async fn voucher(&self, units: u64) -> VoucherCode {
        self.mint.create_vouchers(Amount::from_units(units), 1).await.unwrap().pop().unwrap()
    }

    /// A publisher that the mint does not know.
    pub async fn stranger(&self) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let config = VerifierConfig::new(name.clone(), self.mint_url.clone(), self.mint.root(), ChallengeSecret::generate());
        let verifier = Verifier::open(config.mint_timeout(PATIENCE), MemoryStore::default()).await.unwrap();
        let layer = PaymentLayer::new(verifier, |request: &http::request::Parts| price(request.uri.path()));
        let app = Router::new().route("/articles/{price}", get(|| async { "never served" })).layer(layer);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        format!("http://{name}/articles/500").parse().unwrap()
    }

    pub fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.publisher).parse().unwrap()
    }

    /// What the mint owes the publisher.
    pub async fn earned(&self) -> Amount {
        self.mint.publisher_balance(&self.publisher).await.unwrap().unwrap()
    }

    /// Sold = vouchers + wallet + change due + credits, by the mint's books and the wallet's together.
    pub async fn assert_conserved(&self, wallet: &Wallet) {
        let status = self.mint.status().await.unwrap();
        let balance = wallet.balance().unwrap();
        assert!(status.balanced);
        let held = [balance.spendable, balance.to_refresh, balance.in_payments, balance.in_issues];
        assert_eq!(Amount::checked_sum(held), Some(status.outstanding), "the wallet holds what the mint has outstanding");
        assert_eq!(balance.change_due, status.change_due);
    }
}

pub fn options() -> ClientOptions {
    ClientOptions { proxy: None, timeout: PATIENCE }
}

fn price(path: &str) -> Option<Offer> {
    let access = Duration::from_hours(1);
    if path == "/tips" {
        let [minimum, suggested, maximum] = [10, 100, 1_000].map(Amount::from_units);
        return Some(Offer { price: Price::Tip { minimum, suggested, maximum }, title: "Tips".into(), external_id: "tips".into(), access });
    }
    let units = path.strip_prefix("/articles/")?.parse().ok()?;
    let price = Price::Fixed(Amount::from_units(units));
    Some(Offer { price, title: format!("Article for {units}"), external_id: path.to_owned(), access })
}

/// Pays without a limit and without asking.
pub async fn pay(wallet: &mut Wallet, url: &Url) -> Result<Delivery, WalletError> {
    wallet.pay(url, PayOptions::default(), &mut |_, _| true).await
}

/// What is sold beside every article.
fn pass() -> Pass {
    Pass { price: Amount::from_units(2_000), title: "All articles".into(), scope: "/articles/".into(), access: Duration::from_hours(2) }
}
