//! A ledger that fails, with and without having stored, under the real operations and signer.

use std::sync::atomic::{AtomicU8, Ordering};

use farthing_protocol::issue::{FundingKeys, PendingTokens, SessionPlan};
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::proof::PaymentId;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::{Outcome, verify_answer};
use farthing_protocol::token::OwnedTokens;
use farthing_protocol::wire::{DepositRequestFrame, IssueRequestFrame};

use super::*;
use crate::operations::OperationError;
use crate::store;
use crate::store::books::BankAccount;
use crate::store::keysets::KeysetLedger;
use crate::store::resync::Resync;

#[path = "../tests/common/faulty_ledger.rs"]
mod faulty_ledger;

use faulty_ledger::{Fate, Faulty, Strike};

const SOUND: u8 = 0;
const NOT_STORED: u8 = 1;
const STORED: u8 = 2;

/// The next change fails as it was told.
struct Once(AtomicU8);

impl Fate for Once {
    fn strike(&self, _: &'static str) -> Strike {
        match self.0.swap(SOUND, Ordering::SeqCst) {
            NOT_STORED => Strike::NotStored,
            STORED => Strike::ButStored,
            _ => Strike::Sound,
        }
    }
}

#[path = "../tests/common/postgres.rs"]
mod postgres;

struct World {
    dir: tempfile::TempDir,
    mint: Mint,
    ledger: Arc<Faulty<Once>>,
    voucher: LoneKey,
    options: MintOptions,
}

impl World {
    async fn on_sqlite() -> Option<Self> {
        Some(Self::on(MintOptions::default()).await)
    }

    /// `None` where PostgreSQL is not installed.
    async fn on_postgres() -> Option<Self> {
        let ledger = LedgerPlace::postgres(&postgres::database().await?).unwrap();
        Some(Self::on(MintOptions { ledger, ..MintOptions::default() }).await)
    }

    async fn on(options: MintOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = options.ledger.clone();
        Mint::init(dir.path(), InitOptions { ledger, ..InitOptions::default() }).await.unwrap();
        let data = DataDirectory::new(dir.path());
        let sound: Arc<dyn Ledger> = match &options.ledger {
            LedgerPlace::Embedded => Arc::new(SqliteLedger::open(&data.ledger()).await.unwrap()),
            LedgerPlace::Postgres(url) => Arc::new(PostgresLedger::open(url.expose_secret()).await.unwrap()),
        };
        let ledger = Arc::new(Faulty { sound, fate: Once(AtomicU8::new(SOUND)) });
        let mint = Mint::on(data, ledger.clone(), options.clone()).await.unwrap();
        let voucher = mint.create_vouchers(Amount::from_units(1_000), 1).await.unwrap()[0].key().unwrap();
        mint.add_publisher("news.example").await.unwrap();
        Self { dir, mint, ledger, voucher, options }
    }

    fn fail_next(&self, how: u8) {
        self.ledger.fate.0.store(how, Ordering::SeqCst);
    }

    fn operations(&self) -> &Arc<Operations> {
        &self.mint.0.operations
    }

    fn list(&self) -> KeysetList {
        KeysetList::clone(&self.operations().list())
    }

    async fn session(&self) -> (PendingTokens, IssueRequestFrame) {
        self.session_of(&self.voucher, 100).await
    }

    /// Two tokens of a denomination.
    async fn session_of(&self, voucher: &LoneKey, units: u64) -> (PendingTokens, IssueRequestFrame) {
        let (mut rng, list, root) = (rand::rng(), self.list(), self.mint.root());
        let keyset = &list.keysets()[0];
        let plan = SessionPlan {
            keyset: keyset.id(),
            denominations: vec![Amount::from_units(units); 2],
            recovery: [0; 32],
            recovery_commitment: [0; 32],
        };
        let funding = FundingKeys::Voucher(voucher);
        let open = plan.open(&root, &funding, &mut rng).unwrap();
        let opened = self.operations().open(&open).await.unwrap();
        let pending = plan.blind(&WalletSeed::generate(&mut rng), &root, keyset, 0, &opened).unwrap();
        let request = plan.request(&root, &pending, &funding, &mut rng).unwrap();
        (pending, request)
    }

    async fn left(&self) -> u64 {
        let status = self.mint.status().await.unwrap();
        assert!(status.balanced);
        status.vouchers.units()
    }

    async fn deposit(&self, deposit: &Deposit) -> Result<Outcome, OperationError> {
        let request = DepositRequestFrame { seen: None, payments: vec![deposit.to_body()] };
        let frame = self.operations().deposit(request).await?;
        let expected: [(PaymentId, Amount); 1] = [(deposit.spending().payment_id(), deposit.payment().change())];
        Ok(verify_answer(&frame, &expected, &self.list()).unwrap().remove(0))
    }
}

async fn an_issue_that_failed_unstored_is_gone_and_cost_nothing(world: World) {
    let (_, request) = world.session().await;
    world.fail_next(NOT_STORED);
    assert_eq!(world.operations().issue(&request).await.err(), Some(OperationError::Unavailable));
    // Not even "gone" is said while the ledger cannot be told.
    world.fail_next(NOT_STORED);
    assert_eq!(world.operations().issue(&request).await.err(), Some(OperationError::Unavailable));
    assert_eq!(world.operations().issue(&request).await.err(), Some(OperationError::SessionGone));
    assert_eq!(world.left().await, 1_000);
    let (pending, request) = world.session().await;
    assert!(pending.unblind(&world.operations().issue(&request).await.unwrap()).is_ok());
}

async fn an_issue_that_failed_but_was_stored_is_answered_on_repeat(world: World) {
    let (pending, request) = world.session().await;
    world.fail_next(STORED);
    assert_eq!(world.operations().issue(&request).await.err(), Some(OperationError::Unavailable));
    let first = world.operations().issue(&request).await.unwrap();
    let other = Mint::open(world.dir.path(), world.options.clone()).await.unwrap();
    assert!(first == other.0.operations.issue(&request).await.unwrap(), "from any process");
    assert_eq!(pending.unblind(&first).unwrap().len(), 2);
    assert_eq!(world.left().await, 800);
}

async fn a_cancellation_that_failed_but_was_stored_stands(world: World) {
    let (_, request) = world.session().await;
    let other = Mint::open(world.dir.path(), world.options.clone()).await.unwrap();
    assert_eq!(other.0.operations.issue(&request).await.err(), Some(OperationError::SessionGone));
    // This process still holds the nonces, and loses.
    assert_eq!(world.operations().issue(&request).await.err(), Some(OperationError::SessionGone));
    assert_eq!(world.left().await, 1_000);
}

async fn deposits_that_failed_are_told_apart_on_repeat(world: World) {
    let (pending, request) = world.session().await;
    let tokens = pending.unblind(&world.operations().issue(&request).await.unwrap()).unwrap();
    for (token, how) in tokens.into_iter().zip([NOT_STORED, STORED]) {
        let terms = PaymentTerms { recipient: "news.example", amount: Amount::from_units(60), deposit_by: u64::MAX, subject: [1; 32] };
        let (payment, _) = OwnedTokens::new(vec![token]).unwrap().pay(&terms, &mut rand::rng()).unwrap();
        let deposit = Deposit::new("news.example", [1; 32], payment).unwrap();
        world.fail_next(how);
        assert_eq!(world.deposit(&deposit).await.err(), Some(OperationError::Unavailable));
        let change = Amount::from_units(40);
        let expected = if how == STORED { Outcome::AlreadyCredited { change } } else { Outcome::Credited { change } };
        assert!(world.deposit(&deposit).await.unwrap() == expected);
    }
    assert_eq!(world.mint.publisher_balance("news.example").await.unwrap(), Some(Amount::from_units(120)));
    world.left().await;
}

async fn payouts_that_failed_are_booked_once_on_repeat(world: World) {
    let voucher = world.mint.create_vouchers(Amount::from_units(2_000), 1).await.unwrap()[0].key().unwrap();
    let (pending, request) = world.session_of(&voucher, 1_000).await;
    let tokens = pending.unblind(&world.operations().issue(&request).await.unwrap()).unwrap();
    let account = BankAccount { iban: "DE89370400440532013000".into(), name: "News".into(), address: None };
    world.mint.set_payee("news.example", &account).await.unwrap();
    let out = world.dir.path().join("out");
    for (token, (id, how)) in tokens.into_iter().zip([("one", NOT_STORED), ("two", STORED)]) {
        let terms = PaymentTerms { recipient: "news.example", amount: Amount::from_units(1_000), deposit_by: u64::MAX, subject: [1; 32] };
        let (payment, _) = OwnedTokens::new(vec![token]).unwrap().pay(&terms, &mut rand::rng()).unwrap();
        world.deposit(&Deposit::new("news.example", [1; 32], payment).unwrap()).await.unwrap();
        let options = PayoutOptions { id: Some(id.into()), debtor: account.clone(), minimum: Amount::ZERO, fee_share: 0 };
        world.fail_next(how);
        assert!(world.mint.pay_out(options.clone(), &out).await.is_err());
        let file = out.join(format!("payout-{id}.xml"));
        assert!(!file.exists(), "no file before the booking is known to stand");
        let report = world.mint.pay_out(options, &out).await.unwrap();
        assert_eq!(report.booked, how == NOT_STORED);
        assert!(file.exists());
    }
    let status = world.mint.status().await.unwrap();
    assert_eq!((status.paid_out, status.credits), (Amount::from_units(2_000), Amount::ZERO));
    assert_eq!(world.mint.audit().await.unwrap().differences, []);
}

async fn adoptions_that_failed_are_booked_once_on_repeat(world: World) {
    let deposited = async |units: u64| {
        let voucher = world.mint.create_vouchers(Amount::from_units(2 * units), 1).await.unwrap()[0].key().unwrap();
        let (pending, request) = world.session_of(&voucher, units).await;
        for token in pending.unblind(&world.operations().issue(&request).await.unwrap()).unwrap() {
            let terms =
                PaymentTerms { recipient: "news.example", amount: Amount::from_units(units), deposit_by: u64::MAX, subject: [1; 32] };
            let (payment, _) = OwnedTokens::new(vec![token]).unwrap().pay(&terms, &mut rand::rng()).unwrap();
            world.deposit(&Deposit::new("news.example", [1; 32], payment).unwrap()).await.unwrap();
        }
    };
    deposited(2_000).await;
    let account = BankAccount { iban: "DE89370400440532013000".into(), name: "News".into(), address: None };
    let ledger = world.ledger.position().await.unwrap().ledger;
    world.ledger.note_restored().await.unwrap();
    world.mint.begin_resync(true).await.unwrap();
    for (id, how) in [("one", NOT_STORED), ("two", STORED)] {
        let (credited, fee, amount) = (Amount::from_units(2_000), Amount::ZERO, Amount::from_units(2_000));
        let payouts = vec![store::books::Payout { publisher: "news.example".into(), credited, fee, amount, payee: account.clone() }];
        let run = store::books::PayoutRun { id: id.into(), time: 1, debtor: account.clone(), written: true, payouts };
        let file = crate::saved_run::write(&run, &ledger).unwrap();
        world.fail_next(how);
        assert_eq!(world.mint.adopt_payout(file.as_bytes(), &[]).await.err(), Some(MintError::Ledger(LedgerError::Unavailable)));
        assert_eq!(world.mint.adopt_payout(file.as_bytes(), &[]).await, Ok((run.clone(), how == NOT_STORED)));
        assert_eq!(world.mint.adopt_payout(file.as_bytes(), &[]).await, Ok((run, false)));
    }
    let status = world.mint.status().await.unwrap();
    assert_eq!((status.paid_out, status.credits), (Amount::from_units(4_000), Amount::ZERO));

    // A list with a keyset more, and its adoption cut off before and after it is stored.
    let root = world.mint.0.data.root().unwrap();
    let mut list = world.list();
    for how in [NOT_STORED, STORED] {
        let last = list.keysets().last().unwrap();
        let (secrets, published) = (KeysetSecrets::generate(&last.denominations()), last.published() + 90 * 86_400);
        let windows = Windows { issue_from: published + 86_400, ..*last.windows() };
        let until = windows.issue_from + 90 * 86_400;
        let windows = Windows { issue_until: until, spend_until: until, refresh_until: until, deposit_until: until, ..windows };
        let (receipt_key, keys, unit) = (*secrets.receipt.public(), secrets.public(), last.unit().clone());
        list.announce(Proposal { published, unit, windows, receipt_key, keys }, &root, &mut system_rng()).unwrap();
        let json = serde_json::to_vec(&list.to_frame()).unwrap();
        world.fail_next(how);
        assert_eq!(world.mint.adopt_keysets(&json).await.err(), Some(MintError::Ledger(LedgerError::Unavailable)));
        let again = world.mint.adopt_keysets(&json).await;
        let expected = if how == STORED { Err(MintError::Announcement("has no keyset that this mint lacks")) } else { Ok(2) };
        assert_eq!(again, expected);
        assert_eq!(world.list().head(), list.head());
    }
    world.mint.finish_resync(Amount::ZERO, false).await.unwrap();
    assert_eq!(world.mint.audit().await.unwrap().differences, []);
}

async fn orders_that_failed_are_made_once_on_repeat_with_the_same_codes(world: World) {
    for (key, how, left) in [("one", NOT_STORED, 1_010), ("two", STORED, 1_020)] {
        world.fail_next(how);
        let failed = world.mint.order_vouchers(key, Amount::from_units(5), 2).await;
        assert_eq!(failed.err(), Some(MintError::Ledger(LedgerError::Unavailable)));
        let first = world.mint.order_vouchers(key, Amount::from_units(5), 2).await.unwrap();
        let other = Mint::open(world.dir.path(), world.options.clone()).await.unwrap();
        let again = other.order_vouchers(key, Amount::from_units(5), 2).await.unwrap();
        assert!(first.iter().zip(&again).all(|(first, again)| *first.expose_secret() == *again.expose_secret()), "from any process");
        assert_eq!(world.left().await, left);
    }
    world.fail_next(STORED);
    assert!(world.mint.sell_checkout("cs_1", Some("pi_1"), Amount::from_units(7)).await.is_err());
    let told = world.mint.sell_checkout("cs_1", Some("pi_1"), Amount::from_units(7)).await;
    assert_eq!(told, Ok(CheckoutSold::Earlier));
    world.fail_next(STORED);
    assert!(world.mint.reverse_payment("pi_1", Amount::from_units(3)).await.is_err());
    assert_eq!(world.mint.reverse_payment("pi_1", Amount::from_units(3)).await, Ok(Amount::ZERO));
    assert_eq!(world.left().await, 1_024);
    assert_eq!(world.mint.audit().await.unwrap().differences, []);
}

async fn closes_that_failed_are_made_once_on_repeat(world: World) {
    for (number, how) in [(1, NOT_STORED), (2, STORED)] {
        world.mint.create_vouchers(Amount::from_units(5), 1).await.unwrap();
        world.fail_next(how);
        assert!(world.mint.close_books().await.is_err());
        let stored = how == STORED;
        assert_eq!(world.mint.book_close(number).await.unwrap().is_some(), stored);
        assert_eq!(world.mint.close_books().await.unwrap().is_some(), !stored);
        assert_eq!(world.mint.book_closes().await.unwrap().len() as u64, number);
        assert_eq!(world.mint.audit().await.unwrap().differences, []);
    }
}

async fn a_mark_that_cannot_be_written_down_stops_the_mint_and_is_written_later(world: World) {
    let shown = async || world.ledger.lifecycle().await.unwrap().resync.shown;
    world.fail_next(NOT_STORED);
    assert_eq!(world.operations().fall_behind(9, 0).await, Err(OperationError::Unavailable));
    assert_eq!((shown().await, world.operations().deposit_time().err()), (0, Some(OperationError::LedgerBehind)));
    world.fail_next(NOT_STORED);
    world.mint.refresh().await.unwrap();
    assert_eq!((shown().await, world.operations().deposit_time().err()), (0, Some(OperationError::LedgerBehind)));
    world.mint.refresh().await.unwrap();
    assert_eq!(shown().await, 9);
    let other = Mint::open(world.dir.path(), world.options.clone()).await.unwrap();
    assert_eq!(other.0.operations.deposit_time().err(), Some(OperationError::LedgerBehind));
}

async fn marks_grow_and_cannot_be_invented(world: World) {
    let signer = Signer::new(world.mint.root(), Zeroizing::new([7; 32]), Arc::new(SystemClock::new()), 0);
    let (one, two) = (signer.mark([1; 16], 41), signer.mark([1; 16], 42));
    assert!(one.sequence < two.sequence);
    assert_eq!(signer.sequence_of(&two), Some(42));
    let ahead = (two.sequence + 1..two.sequence + 1_000).map(|sequence| farthing_protocol::wire::LedgerMark { sequence, ..two });
    assert!(ahead.into_iter().all(|mark| signer.sequence_of(&mark).is_none()));
    let id = signer.session_id([1, 2, 3, 4]);
    assert_eq!(signer.session_instance(&id), Some([1, 2, 3, 4]));
    assert_ne!(signer.session_id([1, 2, 3, 4]), id);
    for byte in [0, 3, 4, 15] {
        let mut other = id;
        other[byte] ^= 1;
        assert_eq!(signer.session_instance(&other), None, "{byte}");
    }
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(super::World::on_sqlite().await.unwrap()).await;
                }
            )*
        }

        mod on_postgres {
            $(
                // The server outlives the first test's runtime; each test has a database of its own.
                #[tokio::test]
                async fn $name() {
                    let Some(world) = super::World::on_postgres().await else { return };
                    super::$name(world).await;
                }
            )*
        }
    };
}

on_both! {
    an_issue_that_failed_unstored_is_gone_and_cost_nothing
    an_issue_that_failed_but_was_stored_is_answered_on_repeat
    a_cancellation_that_failed_but_was_stored_stands
    closes_that_failed_are_made_once_on_repeat
    deposits_that_failed_are_told_apart_on_repeat
    payouts_that_failed_are_booked_once_on_repeat
    adoptions_that_failed_are_booked_once_on_repeat
    orders_that_failed_are_made_once_on_repeat_with_the_same_codes
    a_mark_that_cannot_be_written_down_stops_the_mint_and_is_written_later
    marks_grow_and_cannot_be_invented
}
