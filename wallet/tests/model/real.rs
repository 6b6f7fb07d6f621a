//! The same protocol with the real types: a mint with its SQLite ledger, verifiers with their stores, and the protocol's own frames.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_mint::store::sqlite::SqliteLedger;
use farthing_mint::{InitOptions, Mint, MintOptions};
use farthing_protocol::amount::Amount;
use farthing_protocol::http::{ChargeRequest, Credential, EchoedChallenge};
use farthing_protocol::issue::{FundingKeys, SessionPlan};
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::proof::{LoneKey, PaymentId as RealPaymentId, SpendKey, Statement};
use farthing_protocol::refund;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::{self, Outcome as RealOutcome};
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use farthing_protocol::wire::{
    DepositRequestFrame, Frame, IssueRequestFrame, IssueResponseFrame, KeysetListFrame, OpenRequestFrame, OpenResponseFrame,
};
use farthing_verifier::{ChallengeSecret, DeferredLimits, Mode as RealMode, Offer, Price, Verifier, VerifierConfig};
use http::{Method, Request, StatusCode, Uri};
use mpp::{PaymentChallenge, PaymentCredential};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tower::ServiceExt;

use crate::shared::Shared;
use farthing_model::rules::{Mode, Scene};
use farthing_model::state::{Funding, Message, NotIssued, PRICE, PaymentId, State, Token, VOUCHER};

/// A payment that was made: its final bytes, and what its keys prove later.
pub struct Made {
    pub header: String,
    pub deposit: Deposit,
    pub statement: Statement,
    pub id: RealPaymentId,
}

/// A publisher.
pub struct Site {
    pub verifier: Verifier<Shared>,
    pub store: Shared,
    pub name: String,
    pub key: LoneKey,
    challenges: BTreeMap<u8, PaymentChallenge>,
}

/// Everybody.
pub struct Real {
    directory: tempfile::TempDir,
    mint: Mint,
    pub ledger: SqliteLedger,
    list: KeysetList,
    seed: WalletSeed,
    rng: StdRng,
    index: u64,
    pub voucher: LoneKey,
    pub sites: [Site; 2],
    pub tokens: BTreeMap<Token, OwnedToken>,
    pub made: BTreeMap<PaymentId, Made>,
    opens: BTreeMap<Funding, (SessionPlan, OpenRequestFrame)>,
    pub opened: BTreeMap<u8, OpenResponseFrame>,
    pub issues: BTreeMap<(u8, u8), (u64, IssueRequestFrame)>,
    pub outcomes: BTreeMap<Message, RealOutcome>,
}

pub fn units(units: u8) -> Amount {
    Amount::from_units(u64::from(units))
}

/// The offer that every page makes.
fn offer() -> Offer {
    Offer { price: Price::Fixed(units(PRICE)), title: "A page".into(), external_id: "page".into(), access: Duration::from_hours(1) }
}

fn copy(token: &OwnedToken) -> OwnedToken {
    OwnedToken::new(*token.token(), SpendKey::from_bytes(&token.key().expose_secret()).unwrap()).unwrap()
}

impl Real {
    pub async fn new(scene: &Scene, state: &State, seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Mint::init(directory.path(), InitOptions::default()).await.unwrap();
        let mint = Mint::open(directory.path(), MintOptions::default()).await.unwrap();
        let ledger = SqliteLedger::open(&directory.path().join("ledger.sqlite")).await.unwrap();
        let frame = mint.router().oneshot(Request::get("/v1/keysets").header("accept", BINARY).body(Body::empty()).unwrap()).await.unwrap();
        let frame = to_bytes(frame.into_body(), 1 << 20).await.unwrap();
        let list = KeysetList::verify(&KeysetListFrame::from_bytes(&frame).unwrap(), &root).unwrap();
        let url = keyset_server(frame.to_vec()).await;
        let mode = match scene.mode {
            Mode::SettleFirst => RealMode::SettleFirst,
            Mode::Deferred { limit } => RealMode::Deferred(DeferredLimits {
                outstanding: units(limit),
                per_window: units(limit),
                window: Duration::from_hours(1 << 20),
            }),
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sites = Vec::new();
        for name in ["one.example", "two.example"] {
            mint.add_publisher(name).await.unwrap();
            let key = LoneKey::generate(&mut rng);
            mint.set_publisher_key(name, key.public()).await.unwrap();
            let hour = Duration::from_hours(1);
            let config = VerifierConfig::new(name, url.clone(), root, ChallengeSecret::generate()).mode(mode).retry(hour, hour);
            let store = Shared::default();
            let verifier = Verifier::open(config, store.clone()).await.unwrap();
            sites.push(Site { verifier, store, name: name.into(), key, challenges: BTreeMap::new() });
        }
        let sites = sites.try_into().ok().unwrap();
        let worth = if scene.honest { VOUCHER } else { 1 };
        let voucher = mint.create_vouchers(units(worth), 1).await.unwrap()[0].key().unwrap();
        let seed = WalletSeed::generate(&mut rng);
        let (tokens, made, opens, opened) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (issues, outcomes) = (BTreeMap::new(), BTreeMap::new());
        let mut real =
            Self { directory, mint, ledger, list, seed, rng, index: 0, voucher, sites, tokens, made, opens, opened, issues, outcomes };
        for token in scene.hostile_tokens(state) {
            let key = real.mint.create_vouchers(units(token.value), 1).await.unwrap()[0].key().unwrap();
            let owned = real.buy(&key, token.value).await;
            real.tokens.insert(token, owned);
        }
        real
    }

    /// A token for a voucher of its worth, outside the model.
    async fn buy(&mut self, voucher: &LoneKey, value: u8) -> OwnedToken {
        let (plan, keys) = (self.plan(value), FundingKeys::Voucher(voucher));
        let open = plan.open(self.list.root(), &keys, &mut self.rng).unwrap();
        let opened = OpenResponseFrame::from_bytes(&self.post("/v1/commitments", &open).await.unwrap()).unwrap();
        let index = self.next_index();
        let blind = |real: &Self| plan.blind(&real.seed, real.list.root(), &real.list.keysets()[0], index, &opened).unwrap();
        let pending = blind(self);
        let request = plan.request(self.list.root(), &pending, &keys, &mut self.rng).unwrap();
        let issued = IssueResponseFrame::from_bytes(&self.post("/v1/issue", &request).await.unwrap()).unwrap();
        pending.unblind(&issued).unwrap().remove(0)
    }

    fn next_index(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    fn plan(&self, value: u8) -> SessionPlan {
        SessionPlan::new(&self.seed, self.list.root(), self.list.keysets()[0].id(), vec![units(value)], self.index).unwrap()
    }

    /// Sends a frame to the mint; the body of its answer, or the code of its refusal.
    async fn post(&self, path: &str, frame: &impl Frame) -> Result<Vec<u8>, String> {
        let request = Request::post(path).header("content-type", BINARY).header("accept", BINARY);
        let response = self.mint.router().oneshot(request.body(Body::from(frame.to_bytes())).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        if status == StatusCode::OK {
            return Ok(body.to_vec());
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        Err(problem["code"].as_str().unwrap().to_owned())
    }

    /// The process ends and another begins on the same ledger.
    pub async fn crash_mint(&mut self) {
        self.mint = Mint::open(self.directory.path(), MintOptions::default()).await.unwrap();
    }

    pub fn spent_key(&self, token: &Token) -> farthing_protocol::proof::SpentKey {
        *self.tokens[token].token().spent_key()
    }

    fn used(&self, token: &Token) -> UsedTokens {
        OwnedTokens::new(vec![copy(&self.tokens[token])]).unwrap().retire()
    }

    /// Calls `with` with the keys that prove a funding.
    fn with_keys<T>(&mut self, funding: &Funding, with: impl FnOnce(&mut Self, &FundingKeys<'_>) -> T) -> T {
        match funding {
            Funding::Voucher => {
                let key = LoneKey::from_bytes(&self.voucher.expose_secret()).unwrap();
                with(self, &FundingKeys::Voucher(&key))
            }
            Funding::Refresh(token) => {
                let used = self.used(token);
                with(self, &FundingKeys::Refresh(&used))
            }
            Funding::Change(id) => {
                let (used, statement) = (self.used(&id.token), self.made[id].statement);
                with(self, &FundingKeys::Change(&used, statement))
            }
            Funding::Reclaim(id) => {
                let (used, statement) = (self.used(&id.token), self.made[id].statement);
                with(self, &FundingKeys::Reclaim(&used, statement))
            }
        }
    }

    pub async fn open(&mut self, funding: Funding, expected: u8) -> Message {
        if !self.opens.contains_key(&funding) {
            self.next_index();
            let plan = self.plan(funding.amount());
            let frame = self.with_keys(&funding, |real, keys| plan.open(real.list.root(), keys, &mut real.rng).unwrap());
            self.opens.insert(funding, (plan, frame));
        }
        match self.post("/v1/commitments", &self.opens[&funding].1).await {
            Ok(body) => {
                let frame = OpenResponseFrame::from_bytes(&body).unwrap();
                // The mint names its sessions at random; the model counts them.
                let known = self.opened.iter().find(|(_, known)| known.session == frame.session).map(|(session, _)| *session);
                let session = known.unwrap_or(expected);
                self.opened.insert(session, frame);
                Message::Opened(funding, session)
            }
            Err(code) => Message::NotIssued(funding, None, not_issued(&code)),
        }
    }

    /// Sends a challenge for a session, the same bytes each time.
    pub async fn issue(&mut self, funding: Funding, session: u8, challenge: u8) -> Option<Message> {
        if !self.issues.contains_key(&(session, challenge)) {
            let index = self.next_index();
            let pending = self.pending(&funding, session, index);
            let plan = self.opens[&funding].0.clone();
            let request = self.with_keys(&funding, |real, keys| plan.request(real.list.root(), &pending, keys, &mut real.rng).unwrap());
            self.issues.insert((session, challenge), (index, request));
        }
        let (index, request) = &self.issues[&(session, challenge)];
        match self.post("/v1/issue", request).await {
            Ok(body) => {
                let pending = self.pending(&funding, session, *index);
                let owned = pending.unblind(&IssueResponseFrame::from_bytes(&body).unwrap()).unwrap().remove(0);
                let token = Token { session, value: funding.amount(), owner: funding.owner() };
                self.tokens.entry(token).or_insert(owned);
                Some(Message::Issued(funding, session, challenge))
            }
            Err(code) if code == "session-gone" => Some(Message::SessionGone(funding, session)),
            Err(code) if code == "session-answered" => None,
            Err(code) => Some(Message::NotIssued(funding, Some(session), not_issued(&code))),
        }
    }

    fn pending(&self, funding: &Funding, session: u8, index: u64) -> farthing_protocol::issue::PendingTokens {
        let plan = &self.opens[funding].0;
        plan.blind(&self.seed, self.list.root(), &self.list.keysets()[0], index, &self.opened[&session]).unwrap()
    }

    /// Makes a payment once: its challenge, its salt and its bytes stay.
    pub fn make(&mut self, id: PaymentId) {
        if self.made.contains_key(&id) {
            return;
        }
        let token = copy(&self.tokens[&id.token]);
        let site = &mut self.sites[usize::from(id.publisher)];
        let challenge = site.challenges.entry(id.challenge).or_insert_with(|| {
            let resource = site.verifier.resource(&Method::GET, &Uri::from_static("/page"));
            let challenge = site.verifier.challenge(&offer(), &resource, site.verifier.now()).unwrap();
            mpp::parse_www_authenticate(challenge.header().to_str().unwrap()).unwrap()
        });
        let request: ChargeRequest = challenge.request.decode().unwrap();
        let salt = [id.token.session; 32];
        let subject = echoed(challenge).subject(&salt);
        let terms = PaymentTerms { recipient: &site.name, amount: units(PRICE), deposit_by: request.method_details.deposit_by, subject };
        let statement = terms.statement();
        let (payment, used) = OwnedTokens::new(vec![token]).unwrap().pay(&terms, &mut self.rng).unwrap();
        let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let payload = Credential::Payment { payment: encode(&payment.to_frame().to_bytes()), salt: encode(&salt) };
        let header = mpp::format_authorization(&PaymentCredential::new(challenge.to_echo(), &payload)).unwrap();
        let deposit = Deposit::new(&site.name, subject, payment).unwrap();
        self.made.insert(id, Made { header, deposit, statement, id: used.payment_id(&statement) });
    }

    /// Sends a payment to its publisher; whether it is served.
    pub async fn pay(&mut self, id: PaymentId) -> bool {
        self.make(id);
        let site = &self.sites[usize::from(id.publisher)];
        let resource = site.verifier.resource(&Method::GET, &Uri::from_static("/page"));
        site.verifier.authorize(&self.made[&id].header, &resource, &offer()).await.is_ok()
    }

    pub async fn deposit(&mut self, id: PaymentId) -> RealOutcome {
        self.make(id);
        let made = &self.made[&id];
        let frame = DepositRequestFrame { seen: None, payments: vec![made.deposit.to_body()] };
        let answer = Frame::from_bytes(&self.post("/v1/deposits", &frame).await.unwrap()).unwrap();
        let expected = [(made.id, units(id.change()))];
        settle::verify_answer(&answer, &expected, &self.list).unwrap().remove(0)
    }

    pub async fn refund(&mut self, id: PaymentId) -> refund::RefundOutcome {
        let (made, site) = (&self.made[&id], &self.sites[usize::from(id.publisher)]);
        let frame = refund::request(self.list.root(), made.id, &site.name, &site.key, &mut self.rng).unwrap();
        let answer = Frame::from_bytes(&self.post("/v1/refunds", &frame).await.unwrap()).unwrap();
        refund::verify_answer(&answer, made.id, &self.list).unwrap()
    }
}

const BINARY: &str = "application/vnd.farthing";

fn not_issued(code: &str) -> NotIssued {
    match code {
        "voucher-insufficient" => NotIssued::VoucherInsufficient,
        "token-spent" => NotIssued::TokenSpent,
        "change-unavailable" => NotIssued::ChangeUnavailable,
        "reclaim-unavailable" => NotIssued::ReclaimUnavailable,
        other => panic!("the model does not know {other}"),
    }
}

fn echoed(challenge: &PaymentChallenge) -> EchoedChallenge<'_> {
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

/// What verifiers reach of the mint by themselves: its keysets. Deposits go by the trace.
async fn keyset_server(frame: Vec<u8>) -> url::Url {
    let frame = Arc::new(frame);
    let serve = axum::routing::get(move || async move { ([("content-type", BINARY)], frame.as_ref().clone()) });
    let app = axum::Router::new().route("/v1/keysets", serve).fallback(|| async { StatusCode::SERVICE_UNAVAILABLE });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}
