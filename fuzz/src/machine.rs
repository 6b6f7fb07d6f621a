//! The mint as a state machine: the real service over its own routes on a ledger in memory's file system, and beside it a model of whose
//! money is where. After every step the two must agree.
//!
//! Reader 0 and publisher 0 are honest; reader 1 keeps copies of every token, publisher 1 hands in what is not its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use arbitrary::Arbitrary;
use axum::Router;
use axum::body::Body;
use farthing_mint::{BankAccount, ClientLimits, Clock, InitOptions, Limits, Mint, MintOptions, PayoutOptions};
use farthing_protocol::amount::{Amount, split};
use farthing_protocol::issue::{FundingKeys, SessionPlan};
use farthing_protocol::keyset::{Keyset, KeysetList};
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::proof::{KeysetId, LoneKey, SpendKey, Statement};
use farthing_protocol::refund::{self, RefundOutcome, RefundRefusal};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::{Outcome, Refusal, verify_answer};
use farthing_protocol::token::{MAX_TOKENS, OwnedToken, OwnedTokens, UsedTokens};
use farthing_protocol::wire::{
    DepositRequestFrame, DepositResponseFrame, Frame, IssueResponseFrame, KeysetListFrame, LedgerMark, OpenResponseFrame,
    RefundResponseFrame,
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;
use tower::ServiceExt;

#[path = "machine_money.rs"]
mod money;
#[path = "machine_recovery.rs"]
mod recovery;
use recovery::{Bought, Claim, Kind};
pub use recovery::{Change, Move};

pub(crate) const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// When every run begins, Unix seconds.
const BEGINNING: u64 = 1_800_000_000;
/// Small, so that a few tokens mean a few hundred microseconds of curve work.
const DENOMINATIONS: [u64; 3] = [1_000, 5_000, 20_000];
/// What the steps' small numbers count in.
const STEP: u64 = 1_000;
pub(crate) const PUBLISHERS: [&str; 2] = ["news.example", "blog.example"];
const BINARY: &str = "application/vnd.farthing";

/// What happens to a request that changes something, before its answer arrives. The same bytes are then sent again.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Fault {
    /// Nothing.
    None,
    /// The client hangs up after so many polls.
    HangUp(u8),
    /// The mint's process ends after so many polls.
    Crash(u8),
    /// The answer is lost.
    Lost,
}

/// What somebody does.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Step {
    /// The operator sells a voucher.
    Sell { units: u8 },
    /// A reader buys tokens with a voucher.
    Issue { reader: bool, voucher: u8, units: u8, keyset: u8, fault: Fault },
    /// A reader pays, and keeps the payment to itself for now.
    Pay { reader: bool, publisher: bool, tokens: u16, amount: u8, hours: u8 },
    /// The second reader pays what it paid before.
    PayAgain { publisher: bool, tokens: u16, amount: u8 },
    /// A publisher deposits some payments; the second one whatever it saw.
    Deposit { publisher: bool, payments: u32, twice: bool, fault: Fault },
    /// The second publisher deposits a payment to the first as its own.
    Steal { payment: u8 },
    /// A reader refreshes tokens: paid and undecided ones too, the second reader any.
    Refresh { reader: bool, tokens: u16, any: bool, keyset: u8, fault: Fault },
    /// A reader takes the rest of a payment, or more than that.
    Change { payment: u8, more: u8, keyset: u8, fault: Fault },
    /// A publisher gives a payment back, the second one any.
    Refund { publisher: bool, payment: u8, fault: Fault },
    /// A reader takes back what was refunded, or more.
    Reclaim { payment: u8, more: u8, keyset: u8, fault: Fault },
    /// The operator announces a keyset.
    Rotate,
    /// The operator stops the issuing of one.
    Retire { keyset: u8 },
    /// The operator pays the publishers out.
    PayOut,
    /// Time passes.
    Forward { hours: u8 },
    /// The process ends and another begins.
    Crash,
    /// Somebody sends an old request again.
    Retry { request: u8 },
}

/// The mint's clock, in seconds since the beginning.
#[derive(Default)]
pub(crate) struct Hands(AtomicU64);

impl Hands {
    /// Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        self.wall().as_secs()
    }

    /// So many seconds pass.
    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn wall(&self) -> Duration {
        Duration::from_secs(BEGINNING) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// A mint that has just been made, to be copied for every run, and its publishers' keys.
struct Template {
    dir: tempfile::TempDir,
    keys: [LoneKey; 2],
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let dir = tempfile::tempdir_in(memory()).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let keys = [LoneKey::generate(&mut rng), LoneKey::generate(&mut rng)];
    let runtime = runtime();
    runtime.block_on(async {
        let denominations = DENOMINATIONS.map(Amount::from_units).into();
        let (issue, spend, refresh, deposit) = (7 * DAY, 2 * DAY, DAY, DAY);
        let options = InitOptions { denominations, issue, spend, refresh, deposit, now: Some(BEGINNING), ..InitOptions::default() };
        Mint::init(dir.path(), options).await.unwrap();
        let mint = Mint::open(dir.path(), options_of(&Arc::default())).await.unwrap();
        for (name, key) in PUBLISHERS.iter().zip(&keys) {
            mint.add_publisher(name).await.unwrap();
            mint.set_publisher_key(name, key.public()).await.unwrap();
            mint.set_payee(name, &account()).await.unwrap();
        }
    });
    drop(runtime);
    folded(dir.path());
    Template { dir, keys }
});

/// Waits until the last connection has folded the log into the ledger, which it does when it closes, on a thread of its own.
fn folded(dir: &Path) {
    for _ in 0..2_000 {
        if !dir.join("ledger.sqlite-wal").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A copy of a mint's directory.
pub(crate) fn copied(from: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(memory()).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

fn account() -> BankAccount {
    BankAccount { iban: "DE89370400440532013000".into(), name: "Somebody".into(), address: None }
}

/// A directory in memory where there is one.
pub fn memory() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}

/// A runtime that ends as a process does.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn options_of(hands: &Arc<Hands>) -> MintOptions {
    let client = ClientLimits { rate: 0, deposit_rate: 0, ..ClientLimits::default() };
    let limits = Limits { pool: 0, client, ..Limits::default() };
    MintOptions { clock: hands.clone(), limits, ..MintOptions::default() }
}

/// What one process of the mint is.
pub(crate) struct Process {
    pub(crate) runtime: Runtime,
    pub(crate) mint: Mint,
    pub(crate) router: Router,
}

impl Process {
    pub(crate) fn begin(dir: &Path, hands: &Arc<Hands>) -> Self {
        let runtime = runtime();
        let (mint, router) = runtime.block_on(async {
            let mint = Mint::open(dir, options_of(hands)).await.unwrap();
            // Away for longer than it believes by itself: the operator says that the clock is right.
            mint.accept_clock().await.unwrap();
            let router = mint.router();
            (mint, router)
        });
        Self { runtime, mint, router }
    }

    /// Nothing of it is finished: whatever was not durable is gone.
    fn kill(self) {
        drop((self.router, self.mint));
        self.runtime.shutdown_background();
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Unspent,
    /// Credited by this payment.
    Paid(usize),
    Refreshed,
    /// Paid back for its session.
    Repaid,
}

/// A token that was issued, with everything its reader ever knew.
struct Held {
    token: OwnedToken,
    cheat: bool,
    state: State,
    /// The session that made it and its place there; a counterfeit has none.
    origin: Option<(usize, u8)>,
    /// Left in a payment: an honest reader pays it never again.
    left: bool,
}

struct Sent {
    deposit: Deposit,
    used: UsedTokens,
    said: Statement,
    tokens: Vec<usize>,
    publisher: usize,
    cheat: bool,
    credited: bool,
    refunded: bool,
    reclaimed: bool,
    change_taken: bool,
}

/// A request that was answered, and with what.
struct Answered {
    body: Vec<u8>,
    answer: Vec<u8>,
}

/// What pays for a session.
enum Paying {
    Voucher(usize),
    Tokens(Vec<usize>),
    Change(usize),
    Reclaim(usize),
    Recovery(Claim),
}

/// What is left of a machine that has stopped.
pub(crate) struct Stopped {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) list: KeysetList,
    /// Whether it is the second reader's.
    pub(crate) tokens: Vec<(OwnedToken, bool)>,
    /// The key of the newest keyset's answers.
    pub(crate) receipt: LoneKey,
    /// The first publisher's key.
    pub(crate) publisher: LoneKey,
}

/// A mint, everybody around it, and the model.
pub struct Machine {
    dir: tempfile::TempDir,
    hands: Arc<Hands>,
    process: Option<Process>,
    list: KeysetList,
    retired: Vec<u64>,
    seed: WalletSeed,
    rng: StdRng,
    next_index: u64,
    sold: u64,
    vouchers: Vec<(LoneKey, u64)>,
    tokens: Vec<Held>,
    sent: Vec<Sent>,
    issued: Vec<Answered>,
    sessions: Vec<Bought>,
    /// What the mint says is frozen.
    frozen: BTreeSet<Kind>,
    /// What the operator froze or the thief made counterfeits of: nothing else may ever be frozen.
    leaked: BTreeSet<Kind>,
    mark: Option<LedgerMark>,
    /// Taken back from publishers is not in it; paid out is.
    earned: u64,
}

pub(crate) fn copy(token: &OwnedToken) -> OwnedToken {
    OwnedToken::new(*token.token(), SpendKey::from_bytes(&token.key().expose_secret()).unwrap()).unwrap()
}

fn problem(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    value["code"].as_str().unwrap_or_default().to_owned()
}

/// The future's answer, if it comes within so many polls; what is not finished then is dropped.
async fn within<F: Future>(polls: u8, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

pub(crate) async fn send(router: Router, path: &'static str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
    let request = Request::builder().method(Method::POST).uri(path).header("content-type", BINARY).body(Body::from(body)).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

impl Default for Machine {
    /// A mint that has sold nothing.
    fn default() -> Self {
        let (dir, hands) = (copied(TEMPLATE.dir.path()), Arc::<Hands>::default());
        let process = Process::begin(dir.path(), &hands);
        let mut rng = StdRng::seed_from_u64(3);
        let seed = WalletSeed::generate(&mut rng);
        let mut machine = Self {
            list: KeysetList::new(process.mint.root()),
            process: Some(process),
            dir,
            hands,
            retired: Vec::new(),
            seed,
            rng,
            next_index: 0,
            sold: 0,
            vouchers: Vec::new(),
            tokens: Vec::new(),
            sent: Vec::new(),
            issued: Vec::new(),
            sessions: Vec::new(),
            frozen: BTreeSet::new(),
            leaked: BTreeSet::new(),
            mark: None,
            earned: 0,
        };
        machine.follow();
        machine
    }
}

impl Machine {
    /// Does a step, and compares the books with the model.
    pub fn step(&mut self, step: Step) {
        self.act(step);
        self.compare();
    }

    /// Does a step.
    pub fn act(&mut self, step: Step) {
        match step {
            Step::Sell { units } => self.sell(u64::from(units) * STEP),
            Step::Issue { reader, voucher, units, keyset, fault } => self.buy(reader, voucher, u64::from(units) * STEP, keyset, fault),
            Step::Pay { reader, publisher, tokens, amount, hours } => {
                let able = |held: &Held| held.cheat == reader && !held.left && held.state == State::Unspent;
                let tokens = self.pick(tokens, hours % 4 == 3, able);
                self.pay(tokens, usize::from(publisher), amount, hours);
            }
            Step::PayAgain { publisher, tokens, amount } => {
                let tokens = self.pick(tokens, amount % 4 == 3, |held| held.cheat);
                self.pay(tokens, usize::from(publisher), amount, 200);
            }
            Step::Deposit { publisher, payments, twice, fault } => self.deposit(usize::from(publisher), payments, twice, fault),
            Step::Steal { payment } => self.steal(payment),
            Step::Refresh { reader, tokens, any, keyset, fault } => {
                let able = |held: &Held| held.cheat == reader && (held.state == State::Unspent || (any && reader));
                let tokens = self.pick(tokens, keyset % 4 == 3, able);
                let units = tokens.iter().map(|token| self.worth(*token)).sum();
                self.issue(reader, &Paying::Tokens(tokens), units, keyset, fault, None);
            }
            Step::Change { payment, more, keyset, fault } => self.take(payment, more, keyset, fault, false),
            Step::Reclaim { payment, more, keyset, fault } => self.take(payment, more, keyset, fault, true),
            Step::Refund { publisher, payment, fault } => self.refund(usize::from(publisher), payment, fault),
            Step::Rotate => {
                let mint = self.process().mint.clone();
                let _ = self.process().runtime.block_on(mint.rotate());
                self.follow();
            }
            Step::Retire { keyset } => {
                let number = u32::from(keyset) % u32::try_from(self.list.keysets().len()).unwrap();
                let mint = self.process().mint.clone();
                self.process().runtime.block_on(mint.retire_keyset(number)).unwrap();
                self.retired.push(u64::from(number));
            }
            Step::PayOut => {
                let (mint, out) = (self.process().mint.clone(), self.dir.path().join("out"));
                let id = Some(format!("run-{}", self.hands.0.fetch_add(1, Ordering::SeqCst)));
                let options = PayoutOptions { id, debtor: account(), minimum: Amount::ZERO, fee_share: 30 };
                let _ = self.process().runtime.block_on(mint.pay_out(options, &out)).unwrap();
            }
            Step::Forward { hours } => {
                self.hands.forward(u64::from(hours % 100) * HOUR);
            }
            Step::Crash => self.crash(),
            Step::Retry { request } => self.retry(request),
        }
    }

    /// Ends the mint's process for good.
    pub(crate) fn stop(mut self) -> Stopped {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        folded(self.dir.path());
        let receipt = self.stolen().keysets.pop().unwrap().receipt;
        let publisher = LoneKey::from_bytes(&TEMPLATE.keys[0].expose_secret()).unwrap();
        let tokens = self.tokens.into_iter().map(|held| (held.token, held.cheat)).collect();
        Stopped { dir: self.dir, list: self.list, tokens, receipt, publisher }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn crash(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        self.process = Some(Process::begin(self.dir.path(), &self.hands));
    }

    fn now(&self) -> u64 {
        self.hands.now()
    }

    fn worth(&self, token: usize) -> u64 {
        self.tokens[token].token.token().denomination().units()
    }

    fn kind(&self, token: usize) -> Kind {
        (self.tokens[token].token.token().keyset(), self.worth(token))
    }

    fn is_frozen(&self, token: usize) -> bool {
        self.frozen.contains(&self.kind(token))
    }

    /// Every rule of the books, after every step.
    fn compare(&mut self) {
        let (status, audit) = self.process().runtime.block_on(async {
            let mint = &self.process().mint;
            (mint.status().await.unwrap(), mint.audit().await.unwrap())
        });
        assert!(status.balanced && audit.differences.is_empty(), "the books do not balance: {status:?} {:?}", audit.differences);
        let settled = || self.sent.iter().filter(|one| one.credited);
        let change: u64 = settled().filter(|one| !one.change_taken).map(|one| one.deposit.payment().change().units()).sum();
        let due: u64 = settled().filter(|one| one.refunded && !one.reclaimed).map(|one| one.deposit.payment().amount().units()).sum();
        assert_eq!(status.sold.units(), self.sold);
        assert_eq!(status.vouchers.units(), self.vouchers.iter().map(|(_, left)| left).sum::<u64>(), "vouchers");
        self.compare_tokens(&status);
        assert_eq!(status.change_due.units(), change, "change due");
        assert_eq!(status.refunds_due.units(), due, "refunds due");
        assert_eq!(status.credits.units() + status.fees.units() + status.paid_out.units(), self.earned, "publishers' earnings");
    }

    /// Fetches the list, as everybody does.
    fn follow(&mut self) {
        let request = Request::builder().uri("/v1/keysets").header("accept", BINARY).body(Body::empty()).unwrap();
        let router = self.process().router.clone();
        let body = self.process().runtime.block_on(async {
            let response = router.oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        });
        let frame = KeysetListFrame::from_bytes(&body).unwrap();
        let first = self.list.keysets().is_empty();
        let list = if first { KeysetList::verify(&frame, self.list.root()) } else { self.list.follow(&frame) };
        self.list = list.unwrap();
    }

    /// Sends a request and suffers the fault; `true` if an earlier try may have been worked on already.
    fn post(&mut self, path: &'static str, body: &[u8], fault: Fault) -> (StatusCode, Vec<u8>, bool) {
        let begun = send(self.process().router.clone(), path, body.to_vec());
        let runtime = &self.process().runtime;
        match fault {
            Fault::None => {}
            Fault::Lost => drop(runtime.block_on(begun)),
            Fault::HangUp(polls) => drop(runtime.block_on(within(polls % 16, begun))),
            Fault::Crash(polls) => {
                drop(runtime.block_on(within(polls % 16, begun)));
                self.crash();
            }
        }
        let (status, answer) = self.process().runtime.block_on(send(self.process().router.clone(), path, body.to_vec()));
        let code = problem(&answer);
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR && code != "unavailable", "{path} {status} {code}");
        (status, answer, !matches!(fault, Fault::None))
    }

    fn sell(&mut self, units: u64) {
        if units == 0 {
            return;
        }
        let mint = self.process().mint.clone();
        let codes = self.process().runtime.block_on(mint.create_vouchers(Amount::from_units(units), 1)).unwrap();
        self.vouchers.push((codes[0].key().unwrap(), units));
        self.sold += units;
    }

    /// Some of the tokens, mostly without those that the mint says are frozen: one of them and everything with it is refused.
    fn pick(&self, mask: u16, frozen_too: bool, able: impl Fn(&Held) -> bool) -> Vec<usize> {
        let able = (0..self.tokens.len()).filter(|token| able(&self.tokens[*token]) && (frozen_too || !self.is_frozen(*token)));
        able.enumerate().filter(|(place, _)| mask >> (place % 16) & 1 == 1).map(|(_, token)| token).take(MAX_TOKENS).collect()
    }

    fn owned(&self, tokens: &[usize]) -> Option<OwnedTokens> {
        OwnedTokens::new(tokens.iter().map(|token| copy(&self.tokens[*token].token)).collect()).ok()
    }

    fn pay(&mut self, tokens: Vec<usize>, publisher: usize, amount: u8, hours: u8) {
        let Some(owned) = self.owned(&tokens) else { return };
        // Every other amount is one that the denominations can make: only such an amount or rest can be taken back.
        let units = if amount % 2 == 0 { u64::from(amount / 2 % 16) * STEP } else { u64::from(amount) * 100 };
        let amount = Amount::from_units(units.clamp(1, owned.value().unwrap().units()));
        let (recipient, subject) = (PUBLISHERS[publisher], [u8::try_from(self.sent.len() % 256).unwrap(); 32]);
        let terms = PaymentTerms { recipient, amount, deposit_by: self.now() + u64::from(hours) * HOUR, subject };
        let said = terms.statement();
        let (payment, used) = owned.pay(&terms, &mut self.rng).unwrap();
        let deposit = Deposit::new(recipient, subject, payment).unwrap();
        let cheat = self.tokens[tokens[0]].cheat;
        for token in &tokens {
            self.tokens[*token].left = true;
        }
        let (credited, refunded, reclaimed, change_taken) = (false, false, false, false);
        self.sent.push(Sent { deposit, used, said, tokens, publisher, cheat, credited, refunded, reclaimed, change_taken });
    }
}
