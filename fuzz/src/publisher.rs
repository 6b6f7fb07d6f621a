//! A publisher's verifier as a state machine: the real one on its real stores, in front of the real mint behind a line that fails, and
//! beside it a model of who has paid what. After every step the store, the mint's own words and the model must agree.
//!
//! Reader 0 is honest; reader 1 keeps copies of every token, pays twice, pays elsewhere and refreshes what it has paid.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arbitrary::Arbitrary;
use axum::Router;
use farthing_mint::Mint;
use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::issue::{FundingKeys, SessionPlan};
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::proof::{LoneKey, PaymentId};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::spending::KeyTable;
use farthing_protocol::token::{OwnedToken, OwnedTokens, UsedTokens};
use farthing_protocol::wire::{DepositRequestFrame, DepositResponseFrame, Frame, OpenResponseFrame, OutcomeBody};
use farthing_verifier::store::{Document, MemoryStore, PaymentRecord, Store};
use farthing_verifier::{
    ChallengeSecret, DeferredLimits, Mode, Offer, Price, PublisherKey, Resource, Verifier, VerifierConfig, WhenLimited,
};
use http::{Method, StatusCode, Uri};
use mpp::PaymentChallenge;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::machine::{self, Fault, HOUR, Hands, Machine, PUBLISHERS, Process};

#[path = "publisher_check.rs"]
mod check;
#[path = "publisher_mint.rs"]
mod mint;
#[path = "publisher_reader.rs"]
mod reader;
#[path = "publisher_store.rs"]
mod store;
use mint::Front;
pub use mint::Line;
pub use store::Disk;
use store::Kept;

/// How long challenges live, in seconds.
const LIFETIME: u64 = 300;
/// What the limits of the deferred mode count in.
const STEP: u64 = 500;
const WINDOW: u64 = 600;
/// For how long a page may be read again.
const ACCESS: Duration = Duration::from_hours(2);

/// How the verifier is configured; the same over restarts.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Setup {
    /// On the embedded store, not in memory.
    pub embedded: bool,
    /// Serves before it has deposited.
    pub deferred: bool,
    pub outstanding: u8,
    pub per_window: u8,
    /// Refuses beyond the limits, instead of settling first.
    pub refuse: bool,
}

/// What is wrong with a payment.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Bits of its bytes are changed.
    Bytes(u16, u8),
    /// It comes with another salt.
    Salt,
    /// Its challenge was invented.
    Challenge,
    /// It answers a challenge that has expired.
    Stale,
    /// It answers a challenge of a clock that ran ahead.
    Early,
    /// It answers the challenge of the payment before.
    Reused,
    /// It pays another amount than asked.
    Amount(bool),
}

/// How a payment is sent.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// As it should be.
    Plain,
    /// For another page.
    OtherPage,
    /// When the page costs something else.
    OtherPrice,
    /// And the reader hangs up after so many polls.
    HangUp(u8),
}

/// What somebody does.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Act {
    /// A reader pays with fresh tokens, the second one with any.
    Pay { reader: bool, tokens: u16, page: u8, flaw: Flaw, sending: Sending },
    /// The second reader pays with a token of an earlier payment, and others.
    PayTwice { payment: u8, tokens: u16, page: u8, flaw: Flaw, sending: Sending },
    /// A payment comes again.
    Again { payment: u8, sending: Sending },
    /// The second reader pays the other publisher, who deposits at once.
    PayElsewhere { tokens: u16 },
    /// The second reader refreshes tokens at the mint.
    Refresh { tokens: u16 },
    /// The publisher hands everything in.
    HandIn,
    /// The publisher hands in again what the mint had booked.
    HandInAgain,
    /// What waits at the mint arrives.
    LetGo,
    /// Ten minutes in which nobody comes: the background work goes on.
    Wait,
    /// The publisher gives a payment back.
    Refund { payment: u8 },
    /// A reader reads again, or a stranger by the keys of another payment.
    ReadAgain { payment: u8, keys: u8, other_page: bool },
    /// A payment is looked at and nothing else.
    Look { payment: u8 },
    /// The publisher shows what the mint has signed.
    Receipt { payment: u8 },
    /// The verifier's clock is set to so many minutes from the mint's.
    Clock { minutes: i16 },
    /// Time passes.
    Forward { hours: u8 },
    /// The verifier ends and another is opened on its store.
    Restart,
    /// Its process dies.
    Crash,
    /// The mint announces a keyset.
    Rotate,
}

impl Act {
    /// The same without flaws.
    fn as_it_should_be(mut self) -> Self {
        match &mut self {
            Self::Pay { flaw, sending, .. } | Self::PayTwice { flaw, sending, .. } => (*flaw, *sending) = (Flaw::None, Sending::Plain),
            Self::Again { sending, .. } => *sending = Sending::Plain,
            _ => {}
        }
        self
    }
}

/// An act, and what the line to the mint and the disk do meanwhile.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Step {
    pub act: Act,
    /// Payments have no flaws and are sent as they should be.
    pub careful: bool,
    /// Line and disk do their work.
    pub well: bool,
    pub line: Line,
    pub disk: Disk,
}

/// A mint that has sold tokens to both readers, to be copied for every run, and keys of its that somebody has stolen.
pub struct Template {
    dir: tempfile::TempDir,
    list: KeysetList,
    /// Whether it is the second reader's.
    tokens: Vec<(OwnedToken, bool)>,
    receipt: LoneKey,
    publisher: PublisherKey,
    /// Two payments of somebody else.
    foreign: DoubleSpend,
    table: KeyTable,
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let mut machine = Machine::default();
    for reader in [false, true] {
        for voucher in 0..3 {
            machine.act(machine::Step::Sell { units: 17 });
            machine.act(machine::Step::Issue { reader, voucher: voucher + 3 * u8::from(reader), units: 17, keyset: 0, fault: Fault::None });
        }
    }
    let machine::Stopped { dir, list, mut tokens, receipt, publisher } = machine.stop();
    let mut rng = StdRng::seed_from_u64(6);
    let (spare, _) = tokens.pop().expect("thirty tokens were bought");
    let mut spending = |subject: u8| {
        let terms = PaymentTerms { recipient: "else.example", amount: Amount::from_units(1), deposit_by: 1, subject: [subject; 32] };
        let (payment, _) = OwnedTokens::new(vec![machine::copy(&spare)]).unwrap().pay(&terms, &mut rng).unwrap();
        payment.state(terms.recipient, terms.subject)
    };
    let (first, second) = (spending(1), spending(2));
    let foreign = DoubleSpend::new(SpendingSide::of(&first), &second).unwrap();
    let publisher = machine::runtime().block_on(async {
        let store = MemoryStore::new();
        store.save(Document::PublisherKey, publisher.expose_secret().to_vec()).await.unwrap();
        PublisherKey::shared(&store, PublisherKey::generate()).await.unwrap()
    });
    Template { table: list.key_table(), dir, list, tokens, receipt, publisher, foreign }
});

/// The mint's time, and how far the verifier's clock is from it in seconds.
#[derive(Clone)]
struct Watch(Arc<Hands>, Arc<AtomicI64>);

impl farthing_verifier::Clock for Watch {
    fn now(&self) -> u64 {
        self.0.now().saturating_add_signed(self.1.load(Ordering::SeqCst))
    }
}

/// A payment as its reader made it.
struct Sent {
    header: String,
    id: PaymentId,
    challenge: PaymentChallenge,
    /// Its challenge is none of the verifier's.
    invented: bool,
    expires: u64,
    page: u8,
    amount: u64,
    tokens: Vec<usize>,
    cheat: bool,
    used: UsedTokens,
    /// Nothing was changed after it was made, and it is of the amount asked.
    good: bool,
    /// What the store holds of it.
    record: Option<PaymentRecord>,
    /// Whether the mint's booking has left the amounts at risk.
    was_settled: bool,
    /// Whether the store has forgotten it.
    forgotten: bool,
}

/// A verifier, the mint, both readers, and the model.
pub struct Publisher {
    setup: Setup,
    config: VerifierConfig,
    hands: Arc<Hands>,
    offset: Arc<AtomicI64>,
    mint: Mint,
    router: Router,
    front: Front,
    file: Option<PathBuf>,
    store: Kept,
    verifier: Option<Verifier<Kept>>,
    rng: StdRng,
    sent: Vec<Sent>,
    /// Left in a payment: the honest reader pays it never again.
    left: BTreeSet<usize>,
    /// Paid to the other publisher, and refreshed.
    elsewhere: BTreeSet<usize>,
    refreshed: BTreeSet<usize>,
    /// How many proofs were looked at.
    proofs: usize,
    /// The latest time by which the verifier has decided.
    latest: u64,
    sessions: u64,
}

/// One run.
pub fn run(setup: Setup, prologue: &[Step], steps: &[Step]) {
    let dir = machine::copied(TEMPLATE.dir.path());
    let hands = Arc::new(Hands::default());
    let Process { runtime, mint, router } = Process::begin(dir.path(), &hands);
    runtime.block_on(async {
        let mut publisher = Publisher::open(setup, hands, mint, router, dir.path().join("payments.redb")).await;
        for step in prologue.iter().chain(steps) {
            publisher.step(*step).await;
        }
        publisher.finish().await;
    });
    runtime.shutdown_background();
}

fn price(page: u8) -> u64 {
    STEP * (1 + u64::from(page % 5))
}

fn offer(page: u8) -> Offer {
    let price = Price::Fixed(Amount::from_units(price(page)));
    Offer { price, title: "Article".into(), external_id: page.to_string(), access: ACCESS }
}

fn uri(page: u8) -> Uri {
    format!("/articles/{page}").parse().unwrap()
}

/// The future's answer; with patience only if it comes while everybody else is let work so many times.
async fn patiently<F: Future>(patience: Option<usize>, future: F) -> Option<F::Output> {
    let Some(times) = patience else { return Some(future.await) };
    let mut future = std::pin::pin!(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await;
        if let std::task::Poll::Ready(answer) = polled {
            return Some(answer);
        }
        tokio::task::yield_now().await;
    }
    None
}

impl Publisher {
    async fn open(setup: Setup, hands: Arc<Hands>, mint: Mint, router: Router, file: PathBuf) -> Self {
        let (front, url) = Front::begin(router.clone(), &TEMPLATE).await;
        let offset = Arc::<AtomicI64>::default();
        let secret = ChallengeSecret::from_bytes(&[1; 32].into());
        let limits = DeferredLimits {
            outstanding: Amount::from_units(STEP * u64::from(setup.outstanding % 16)),
            per_window: Amount::from_units(STEP * u64::from(setup.per_window % 16)),
            window: Duration::from_secs(WINDOW),
        };
        let mode = if setup.deferred { Mode::Deferred(limits) } else { Mode::SettleFirst };
        // Tries again by itself only when time is let pass.
        let config = VerifierConfig::new(PUBLISHERS[0], url, *TEMPLATE.list.root(), secret)
            .clock(Watch(hands.clone(), offset.clone()))
            .publisher_key(TEMPLATE.publisher.clone())
            .challenge_lifetime(Duration::from_secs(LIFETIME))
            .mode(mode)
            .when_limited(if setup.refuse { WhenLimited::Refuse } else { WhenLimited::SettleFirst })
            .retry(Duration::from_mins(1), Duration::from_mins(5));
        let file = setup.embedded.then_some(file);
        let store = Kept::open(file.as_deref()).unwrap();
        let verifier = Verifier::open(config.clone(), store.clone()).await.unwrap();
        Self {
            setup,
            config,
            hands,
            offset,
            mint,
            router,
            front,
            file,
            store,
            verifier: Some(verifier),
            rng: StdRng::seed_from_u64(7),
            sent: Vec::new(),
            left: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            refreshed: BTreeSet::new(),
            proofs: 0,
            latest: 0,
            sessions: 0,
        }
    }

    fn verifier(&self) -> &Verifier<Kept> {
        self.verifier.as_ref().unwrap()
    }

    fn resource(&self, page: u8) -> Resource {
        self.verifier().resource(&Method::GET, &uri(page))
    }

    fn some(&self, payment: u8) -> Option<usize> {
        (!self.sent.is_empty()).then(|| usize::from(payment) % self.sent.len())
    }

    /// How long a reader waits where an answer may be long in coming.
    fn patience(&self, line: Line) -> Option<usize> {
        (matches!(line, Line::Late | Line::Held) || self.front.is_parked()).then_some(400)
    }

    /// Does a step, and looks whether everything is as it must be.
    async fn step(&mut self, Step { mut act, careful, well, mut line, mut disk }: Step) {
        if careful {
            act = act.as_it_should_be();
        }
        if well {
            (line, disk) = (Line::Open, Disk::Well);
        }
        self.front.set(line);
        self.store.set(disk);
        self.act(act, line, disk).await;
        self.front.set(Line::Open);
        self.store.set(Disk::Well);
        self.compare().await;
    }

    async fn act(&mut self, act: Act, line: Line, disk: Disk) {
        let patience = self.patience(line);
        match act {
            Act::Pay { reader, tokens, page, flaw, sending } => {
                let fresh = |token: &usize| TEMPLATE.tokens[*token].1 == reader && (reader || !self.left.contains(token));
                let tokens = self.pick(tokens, fresh);
                if let Some(payment) = self.pay(tokens, page % 8, flaw) {
                    self.send(payment, sending, line, disk).await;
                }
            }
            Act::PayTwice { payment, tokens, page, flaw, sending } => {
                let cheats: Vec<usize> = (0..self.sent.len()).filter(|sent| self.sent[*sent].cheat).collect();
                let Some(earlier) = (!cheats.is_empty()).then(|| cheats[usize::from(payment) % cheats.len()]) else { return };
                let shared = self.sent[earlier].tokens[0];
                let mut tokens = self.pick(tokens, |token| TEMPLATE.tokens[*token].1 && *token != shared);
                tokens.push(shared);
                if let Some(payment) = self.pay(tokens, page % 8, flaw) {
                    self.send(payment, sending, line, disk).await;
                }
            }
            Act::Again { payment, sending } => {
                if let Some(payment) = self.some(payment) {
                    self.send(payment, sending, line, disk).await;
                }
            }
            Act::PayElsewhere { tokens } => self.pay_elsewhere(tokens).await,
            Act::Refresh { tokens } => self.refresh(tokens).await,
            Act::HandIn => {
                // What was under way when a fault ended may still fail: the end of the run tells whether anything is lost.
                let _ = patiently(patience, self.verifier().flush_outbox()).await;
            }
            Act::HandInAgain => {
                // The mint has forgotten nothing.
                if let Some(Ok(done)) = patiently(patience, self.verifier().redeposit(None)).await {
                    assert_eq!((done.credited, done.refused), (0, 0), "what was settled is booked");
                }
            }
            Act::LetGo => self.front.let_go(),
            Act::Wait => {
                tokio::time::pause();
                tokio::time::advance(Duration::from_mins(11)).await;
                tokio::time::resume();
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
            Act::Refund { payment } => self.refund(payment, patience).await,
            Act::ReadAgain { payment, keys, other_page } => self.read_again(payment, keys, other_page, disk).await,
            Act::Look { payment } => self.look_at(payment).await,
            Act::Receipt { payment } => self.receipt(payment, patience).await,
            Act::Clock { minutes } => self.offset.store(i64::from(minutes % 300) * 60, Ordering::SeqCst),
            Act::Forward { hours } => self.hands.forward(u64::from(hours % 50) * HOUR),
            Act::Restart => {
                // It waits for what is on its way, which therefore must not wait for it.
                if matches!(line, Line::Late | Line::Held) {
                    self.front.set(Line::Down);
                }
                self.front.let_go();
                self.verifier.take().unwrap().shutdown().await;
                self.reopen().await;
            }
            Act::Crash => {
                // What is on its way may still arrive, but nobody writes down what comes back.
                self.store.kill();
                drop(self.verifier.take());
                self.front.hang_up();
                self.reopen().await;
            }
            Act::Rotate => {
                let _ = self.mint.rotate().await;
                let _ = patiently(patience, self.verifier().refresh_keysets()).await;
            }
        }
    }

    /// Opens the store again once the verifier before has let go of it, and a verifier on it.
    async fn reopen(&mut self) {
        self.front.set(Line::Open);
        if let Some(file) = &self.file {
            // Takes the place of the last hold on the file.
            self.store = Kept::open(None).unwrap();
            let mut tries = 0;
            self.store = loop {
                if let Some(store) = Kept::open(Some(file)) {
                    break store;
                }
                tries += 1;
                assert!(tries < 20_000, "the store stays open");
                tokio::task::yield_now().await;
                std::thread::sleep(Duration::from_micros(20));
            };
        } else {
            self.store = self.store.well();
        }
        self.verifier = Some(Verifier::open(self.config.clone(), self.store.clone()).await.expect("what was written reads back"));
    }
}
