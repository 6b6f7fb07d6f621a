//! A mint behind real HTTP, and a reader and a publisher in front of it, over the public types and frames only.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use farthing_mint::{Clock, InitOptions, Mint, MintOptions, Status};
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::issue::{FundingKeys, PendingTokens, SessionPlan};
use farthing_protocol::keyset::{Keyset, KeysetList};
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::proof::{LoneKey, SpendKey};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::{Outcome, verify_answer};
use farthing_protocol::spending::KeyTable;
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use farthing_protocol::wire::{
    DepositRequestFrame, DepositResponseFrame, Frame, IssueRequestFrame, IssueResponseFrame, KeysetListFrame, LedgerMark, OpenResponseFrame,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

pub const BINARY: &str = "application/vnd.farthing";
pub const JSON: &str = "application/json";

/// How long a test waits for what must come: no machine is that slow.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until it holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Clocks whose hands the test moves, together or apart, by seconds added to the real ones.
#[derive(Default)]
pub struct Hands {
    pub wall: AtomicU64,
    pub monotonic: AtomicU64,
}

impl Hands {
    pub fn forward(&self, seconds: u64) {
        self.wall.fetch_add(seconds, Ordering::SeqCst);
        self.monotonic.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn wall(&self) -> Duration {
        let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        real + Duration::from_secs(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        // One fixed start for all tests is as good as any.
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed() + Duration::from_secs(self.monotonic.load(Ordering::SeqCst))
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The frame of a 200.
    pub fn frame<F: Frame>(&self) -> F {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        F::from_bytes(&self.body).unwrap()
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        assert_ne!(self.status, StatusCode::OK);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["type"], format!("urn:farthing:problem:{}", body["code"].as_str().unwrap()));
        body["code"].as_str().unwrap().to_owned()
    }
}

/// An HTTP client of one mint.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    pub address: SocketAddr,
}

impl Http {
    pub fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    pub async fn try_send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(Full::from(body)).unwrap()).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        for _ in 0..50 {
            // The mint may close a connection that was idle for long at the moment in which it is used again.
            if let Some(answer) = self.try_send(Method::GET, path, headers, Vec::new()).await {
                return answer;
            }
        }
        panic!("no answer to fifty requests");
    }

    pub async fn post_bytes(&self, path: &str, media: &str, body: Vec<u8>) -> Answer {
        // A server that refuses a body without reading it closes the connection, and a client that is still sending may then lose the
        // answer. Every request of the mint may be sent again.
        for _ in 0..50 {
            if let Some(answer) = self.try_send(Method::POST, path, &[("content-type", media)], body.clone()).await {
                return answer;
            }
        }
        panic!("no answer to fifty requests");
    }

    pub async fn post(&self, path: &str, frame: &impl Frame) -> Answer {
        self.post_bytes(path, BINARY, frame.to_bytes()).await
    }
}

pub struct World {
    pub dir: Arc<TempDir>,
    pub mint: Mint,
    pub http: Http,
    pub list: KeysetList,
    pub table: KeyTable,
    pub root: Point,
    pub seed: WalletSeed,
    pub rng: StdRng,
    pub next_index: u64,
    pub hands: Arc<Hands>,
    pub options: MintOptions,
    /// The number of the keyset that tokens are bought of.
    pub number: usize,
    server: tokio::task::JoinHandle<()>,
}

pub async fn serve(mint: &Mint) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mint = mint.clone();
    (address, tokio::spawn(async move { mint.serve(listener, std::future::pending()).await.unwrap() }))
}

impl World {
    pub async fn new() -> Self {
        Self::with(MintOptions::default()).await
    }

    pub async fn with(mut options: MintOptions) -> Self {
        let hands = Arc::new(Hands::default());
        options.clock = hands.clone();
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let ledger = options.ledger.clone();
        let root = Mint::init(dir.path(), InitOptions { ledger, ..InitOptions::default() }).await.unwrap();
        let mint = Mint::open(dir.path(), options.clone()).await.unwrap();
        let (address, server) = serve(&mint).await;
        let http = Http::new(address);
        let frame: KeysetListFrame = http.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
        let list = KeysetList::verify(&frame, &root).unwrap();
        let table = list.key_table();
        let mut rng = StdRng::seed_from_u64(u64::from(address.port()));
        let seed = WalletSeed::generate(&mut rng);
        Self { dir, mint, http, list, table, root, seed, rng, next_index: 0, hands, options, number: 0, server }
    }

    /// The same around a mint that another process serves; its directory is the whole of `dir`.
    pub async fn beside(dir: TempDir, address: SocketAddr) -> Self {
        let hands = Arc::new(Hands::default());
        let options = MintOptions { clock: hands.clone(), keys: None, ..MintOptions::default() };
        let mint = Mint::open(dir.path(), options.clone()).await.unwrap();
        let (http, root, mut rng) = (Http::new(address), mint.root(), rand::make_rng::<StdRng>());
        let frame: KeysetListFrame = http.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
        let list = KeysetList::verify(&frame, &root).unwrap();
        let (table, seed, server) = (list.key_table(), WalletSeed::generate(&mut rng), tokio::spawn(async {}));
        Self { dir: Arc::new(dir), mint, http, list, table, root, seed, rng, next_index: 0, hands, options, number: 0, server }
    }

    /// Stops serving and opens the same directory again, as another process would.
    pub async fn reopen(&mut self) {
        self.server.abort();
        drop((&mut self.server).await);
        self.mint = Mint::open(self.dir.path(), self.options.clone()).await.unwrap();
        let (address, server) = serve(&self.mint).await;
        (self.http, self.server) = (Http::new(address), server);
    }

    pub fn ledger_path(&self) -> std::path::PathBuf {
        self.dir.path().join("ledger.sqlite")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn keyset(&self) -> &Keyset {
        &self.list.keysets()[self.number]
    }

    /// Fetches the list anew, as a reader would.
    pub async fn follow(&mut self) {
        let frame: KeysetListFrame = self.http.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
        self.list = self.list.follow(&frame).unwrap();
        self.table = self.list.key_table();
    }

    pub fn now(&self) -> u64 {
        self.hands.wall().as_secs()
    }

    pub async fn voucher(&self, units: u64) -> LoneKey {
        self.mint.create_vouchers(Amount::from_units(units), 1).await.unwrap()[0].key().unwrap()
    }

    pub fn plan(&self, denominations: &[u64]) -> SessionPlan {
        let denominations = denominations.iter().copied().map(Amount::from_units).collect();
        SessionPlan::new(&self.seed, &self.root, self.keyset().id(), denominations, self.next_index).unwrap()
    }

    /// Opens a session and makes the issue request, which the caller sends.
    pub async fn session(
        &mut self,
        denominations: &[u64],
        funding: &FundingKeys<'_>,
    ) -> Result<(PendingTokens, IssueRequestFrame), String> {
        let plan = self.plan(denominations);
        let first_index = self.next_index;
        self.next_index += denominations.len() as u64;
        let request = plan.open(&self.root, funding, &mut self.rng).unwrap();
        let answer = self.http.post("/v1/commitments", &request).await;
        if answer.status != StatusCode::OK {
            return Err(answer.code());
        }
        let opened: OpenResponseFrame = answer.frame();
        assert!(opened.expires > self.now() && opened.expires <= self.now() + 120);
        let keyset = self.keyset().clone();
        let pending = plan.blind(&self.seed, &self.root, &keyset, first_index, &opened).unwrap();
        let request = plan.request(&self.root, &pending, funding, &mut self.rng).unwrap();
        Ok((pending, request))
    }

    pub async fn issue(&mut self, denominations: &[u64], funding: &FundingKeys<'_>) -> Result<Vec<OwnedToken>, String> {
        let (pending, request) = self.session(denominations, funding).await?;
        let answer = self.http.post("/v1/issue", &request).await;
        if answer.status != StatusCode::OK {
            return Err(answer.code());
        }
        Ok(pending.unblind(&answer.frame::<IssueResponseFrame>()).unwrap())
    }

    /// Tokens bought with a voucher of exactly their worth.
    pub async fn tokens(&mut self, denominations: &[u64]) -> Vec<OwnedToken> {
        let voucher = self.voucher(denominations.iter().sum()).await;
        self.issue(denominations, &FundingKeys::Voucher(&voucher)).await.unwrap()
    }

    pub fn pay(&mut self, tokens: Vec<OwnedToken>, recipient: &str, amount: u64) -> (Deposit, UsedTokens) {
        self.pay_until(tokens, recipient, amount, self.now() + 3_600)
    }

    pub fn pay_until(&mut self, tokens: Vec<OwnedToken>, recipient: &str, amount: u64, deposit_by: u64) -> (Deposit, UsedTokens) {
        let terms = PaymentTerms { recipient, amount: Amount::from_units(amount), deposit_by, subject: [5; 32] };
        let (payment, used) = OwnedTokens::new(tokens).unwrap().pay(&terms, &mut self.rng).unwrap();
        (Deposit::new(recipient, [5; 32], payment).unwrap(), used)
    }

    pub async fn deposit_frame(&self, deposits: &[&Deposit], seen: Option<LedgerMark>) -> Answer {
        let payments = deposits.iter().map(|deposit| deposit.to_body()).collect();
        self.http.post("/v1/deposits", &DepositRequestFrame { seen, payments }).await
    }

    /// Deposits and verifies the answer.
    pub async fn deposit(&self, deposits: &[&Deposit]) -> Vec<Outcome> {
        let frame: DepositResponseFrame = self.deposit_frame(deposits, None).await.frame();
        self.outcomes(&frame, deposits)
    }

    pub fn outcomes(&self, frame: &DepositResponseFrame, deposits: &[&Deposit]) -> Vec<Outcome> {
        let expected: Vec<_> = deposits.iter().map(|one| (one.spending().payment_id(), one.payment().change())).collect();
        verify_answer(frame, &expected, &self.list).unwrap()
    }

    /// The status, which must balance and be what the journal says.
    pub async fn balanced(&self) -> Status {
        let status = self.mint.status().await.unwrap();
        assert!(status.balanced, "{status:?}");
        assert_eq!(self.mint.audit().await.unwrap().differences, [], "{status:?}");
        status
    }

    pub async fn earned(&self, publisher: &str) -> u64 {
        self.mint.publisher_balance(publisher).await.unwrap().unwrap().units()
    }
}

/// What a thief of the wallet file, or a cheating reader, does.
pub fn copy(token: &OwnedToken) -> OwnedToken {
    OwnedToken::new(*token.token(), SpendKey::from_bytes(&token.key().expose_secret()).unwrap()).unwrap()
}

/// The terms under which [`World::pay_until`] paid.
pub fn statement(recipient: &str, amount: u64, deposit_by: u64) -> farthing_protocol::proof::Statement {
    PaymentTerms { recipient, amount: Amount::from_units(amount), deposit_by, subject: [5; 32] }.statement()
}
