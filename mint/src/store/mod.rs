//! The ledger contract: what operations may ask of a ledger, in terms of money, never of SQL.
//!
//! Every method that changes something is one transaction: all of it is durable when the answer arrives, or none of it ever will be,
//! with one exception that callers must handle: after [`LedgerError::Unavailable`] nobody knows. Refusals that belong to the business
//! (a voucher too small, a token spent before) are answers, not errors, and have changed nothing.
//!
//! Engines share [`resolve`], the rules by which a batch of payments is booked, and must pass the conformance suite in `tests/conformance.rs`.

pub mod books;
pub mod closes;
pub mod keysets;
pub mod orders;
// The statements are the same for both engines and are compiled once for each, on its own types of connections and rows: sqlx cannot
// abstract over engines without the loss of either speed or readable code.
#[expect(clippy::duplicate_mod, reason = "the statements of `sql/` belong to both engines")]
pub mod postgres;
pub mod recovery;
pub mod resolve;
pub mod resync;
pub mod spent;
pub mod sqlite;

use std::future::Future;
use std::pin::Pin;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;
use thiserror::Error;

use books::Books;
use closes::Closes;
use keysets::KeysetLedger;
use orders::Orders;
use recovery::Recoveries;
use resync::Resync;
use spent::SpentLog;

/// Why a ledger gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// The ledger did not answer. Whether it stored anything is unknown: repeat the same request or look it up.
    #[error("the ledger does not answer")]
    Unavailable,
    /// The ledger holds something that no version of this program writes. Nothing was changed.
    #[error("the ledger contradicts itself: {0}")]
    Corrupt(&'static str),
}

/// What a ledger method returns: a future that can be sent between threads.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// A session's id.
pub type SessionId = [u8; 16];

/// What the ledger holds of a session. The first row inserted for an id stays, whoever inserts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRow {
    /// Paid for and answered.
    Booked {
        /// The digest of session and challenges.
        digest: [u8; 32],
        /// The response frame's bytes.
        response: Vec<u8>,
    },
    /// Nothing was or will be booked.
    Cancelled,
}

/// What pays for an issue.
#[derive(Clone, PartialEq, Eq)]
pub enum Debit {
    /// A voucher's balance.
    Voucher([u8; 32]),
    /// Tokens, each marked as spent by the session.
    Refresh(Vec<SpentKey>),
    /// The whole change of a settled payment.
    Change(PaymentId),
    /// The amount of a refunded payment.
    Reclaim(PaymentId),
    /// Tokens of frozen denominations that a recorded session leads to, each marked as spent by the session they pay for.
    Recovery(Vec<SpentKey>),
}

/// One issue: what it costs and what it answers.
#[derive(Clone)]
pub struct IssueBooking {
    /// The session, unique for good.
    pub session: SessionId,
    /// The digest of session and challenges.
    pub digest: [u8; 32],
    /// The response frame's bytes, stored with the booking.
    pub response: Vec<u8>,
    /// Hash of the session's recovery key.
    pub recovery: [u8; 32],
    /// The commitment to its outputs' recovery secrets.
    pub recovery_commitment: [u8; 32],
    /// A and B of every output, in order, as they are published for wallets that have only their seed.
    pub points: Vec<[u8; 64]>,
    /// Hash(A, B) of every commitment answered, each unique for good.
    pub commitments: Vec<[u8; 32]>,
    /// The keyset that issues.
    pub keyset: KeysetId,
    /// The denominations issued, ascending.
    pub denominations: Vec<Amount>,
    /// Their sum.
    pub amount: Amount,
    /// What pays.
    pub debit: Debit,
    /// The service's time, Unix seconds.
    pub now: u64,
}

/// What became of an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueBooked {
    /// Durable: the response may leave.
    Booked,
    /// The session had a row already; nothing changed.
    Earlier(SessionRow),
    /// No such voucher.
    VoucherUnknown,
    /// The voucher's balance is below the amount.
    VoucherInsufficient,
    /// A token was spent before.
    TokenSpent,
    /// No settled payment with exactly this change left.
    ChangeUnavailable,
    /// No refunded payment of exactly this amount that was not reclaimed.
    ReclaimUnavailable,
    /// A denomination is frozen, or is from now on, durably, because more of it would come back than was issued.
    Frozen,
    /// More of a denomination would come back than was issued, which a restored ledger may have forgotten: nothing changed.
    NotYet,
    /// A token to be paid back is of a denomination that is not frozen.
    NotFrozen,
    /// A commitment was answered before: this process's memory was copied or revived. Nothing changed.
    CommitmentReused,
    /// The issuing keyset was retired or has closed.
    KeysetRetired,
    /// A token's keyset has closed.
    KeysetClosed,
}

/// A verified payment to be booked.
#[derive(Clone)]
pub struct PaymentBooking {
    /// The payment's id, unique.
    pub id: PaymentId,
    /// The publisher credited.
    pub publisher: String,
    /// What is credited.
    pub amount: Amount,
    /// Tokens' value less the amount.
    pub change: Amount,
    /// The tokens, ascending.
    pub tokens: Vec<SpentKey>,
    /// What a double-spend proof needs of this payment (see [`crate::side`]).
    pub side: Vec<u8>,
    /// Why it is not to be booked unless it was booked before: too late, keyset closed.
    pub refusal: Option<Refusal>,
}

/// What became of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentBooked {
    /// Booked now.
    Credited,
    /// The same payment was booked before.
    AlreadyCredited,
    /// The same payment was booked before and given back since.
    Refunded,
    /// A token was paid in another payment, whose side this is.
    DoubleSpent {
        /// The side of the payment that was first.
        earlier: Vec<u8>,
    },
    /// Not booked.
    Refused(Refusal),
    /// Not booked and not refused: what decides may be in what a restored ledger has forgotten.
    NotYet,
}

/// What became of a deposit, one outcome a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositBooked {
    /// The number of committed deposit transactions that credited anything, this one included.
    pub sequence: u64,
    /// The outcomes, in order.
    pub outcomes: Vec<PaymentBooked>,
}

/// What is known, without a promise, about the funding of a session to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FundingState {
    /// It would pay now.
    Ready,
    /// No such voucher.
    VoucherUnknown,
    /// The voucher's balance is below the amount.
    VoucherInsufficient,
    /// A token was spent before.
    TokenSpent,
    /// The payment is not settled here, or its change was taken.
    ChangeUnavailable,
    /// The payment's change is another amount.
    ChangeDiffers,
    /// The payment is not refunded, or was reclaimed.
    ReclaimUnavailable,
    /// The payment is of another amount.
    ReclaimDiffers,
    /// A token to be paid back is of a denomination that is not frozen.
    NotFrozen,
}

/// What became of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundDone {
    /// Taken from the publisher's balance now.
    Refunded,
    /// Refunded before; it may have been reclaimed since.
    AlreadyRefunded,
    /// No payment with this id was booked for this publisher.
    UnknownPayment,
    /// The publisher's balance is below the amount.
    PaidOut,
}

/// What became of a refund, and where the ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundBooked {
    /// The number of committed transactions that credited or refunded anything, this one included.
    pub sequence: u64,
    /// What became of it.
    pub done: RefundDone,
}

/// A booked session as it is published for restoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRow {
    /// Hash of the session's recovery key.
    pub recovery: [u8; 32],
    /// Denomination, A and B of every output, in order.
    pub outputs: Vec<(Amount, [u8; 64])>,
    /// The response frame's bytes.
    pub response: Vec<u8>,
}

/// Where the ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The ledger's random id.
    pub ledger: [u8; 16],
    /// The number of committed transactions that credited or refunded anything.
    pub sequence: u64,
    /// The highest service time ever recorded, Unix seconds.
    pub time: u64,
}

/// A keyset to be added to the list.
#[derive(Clone)]
pub struct Announcement {
    /// The whole signed list, this keyset included, as a frame.
    pub list: Vec<u8>,
    /// The keyset's number in the list, from 0.
    pub number: u32,
    /// Its id.
    pub keyset: KeysetId,
    /// Its denominations.
    pub denominations: Vec<Amount>,
    /// The second from which on its tokens are taken no more, Unix time.
    pub deposit_until: u64,
}

/// Tokens of one keyset and denomination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The keyset's number in the list.
    pub keyset: u32,
    /// The value of a token.
    pub denomination: Amount,
    /// Tokens issued.
    pub issued: u64,
    /// Tokens that came back, never more than were issued.
    pub redeemed: u64,
    /// Tokens paid back for their sessions because the denomination is frozen, never more than were issued either.
    pub repaid: u64,
    /// Whether more wanted to come back, or the operator said so.
    pub frozen: bool,
}

impl Counter {
    /// Tokens in readers' wallets, if no counterfeits came back.
    pub const fn outstanding(&self) -> u64 {
        self.issued.saturating_sub(self.redeemed.saturating_add(self.repaid))
    }

    /// How many more came back than were issued: so many counterfeits there were at least. None of a denomination that is not frozen.
    pub const fn counterfeits(&self) -> u64 {
        if self.frozen { self.redeemed.saturating_add(self.repaid).saturating_sub(self.issued) } else { 0 }
    }
}

/// Every sum of the ledger, read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Vouchers ever created, less what was reversed.
    pub sold: Amount,
    /// Tokens that came back and were issued after a backup that was restored since.
    pub recovered: Amount,
    /// Left on vouchers.
    pub vouchers: Amount,
    /// Change of settled payments not yet taken.
    pub change_due: Amount,
    /// Refunded payments not yet reclaimed.
    pub refunds_due: Amount,
    /// Publishers' balances.
    pub credits: Amount,
    /// Kept of payouts.
    pub fees: Amount,
    /// Paid out to publishers.
    pub paid_out: Amount,
    /// Tokens by keyset and denomination, ascending.
    pub counters: Vec<Counter>,
    /// Where the ledger stands.
    pub position: Position,
}

/// A ledger.
pub trait Ledger: KeysetLedger + Books + Closes + Orders + Recoveries + Resync + SpentLog {
    /// Books an issue: session row, commitments, debit, counts and response in one transaction.
    fn issue(&self, booking: IssueBooking) -> Answer<'_, IssueBooked>;

    /// Cancels a session unless it has a row, and returns the row that stands.
    fn cancel_session(&self, session: SessionId, now: u64) -> Answer<'_, SessionRow>;

    /// Looks up a session.
    fn session(&self, session: SessionId) -> Answer<'_, Option<SessionRow>>;

    /// Looks at what would pay for a session. Promises nothing: [`Ledger::issue`] decides.
    fn funding(&self, debit: Debit, amount: Amount) -> Answer<'_, FundingState>;

    /// Books payments, each for itself, in one transaction.
    fn deposit(&self, payments: Vec<PaymentBooking>, now: u64) -> Answer<'_, DepositBooked>;

    /// Gives a payment back: from the publisher's balance to whoever paid it, once.
    fn refund(&self, payment: PaymentId, publisher: String, now: u64) -> Answer<'_, RefundBooked>;

    /// The booked sessions of a bucket of a keyset, by its number, in the order in which they were booked.
    fn recorded(&self, keyset: u32, bucket: u64) -> Answer<'_, Vec<RecordedRow>>;

    /// Creates vouchers of one amount; `false` if the mint would then have sold more than it can count.
    fn create_vouchers(&self, keys: Vec<[u8; 32]>, amount: Amount, now: u64) -> Answer<'_, bool>;

    /// What is left on a voucher.
    fn voucher_balance(&self, key: [u8; 32]) -> Answer<'_, Option<Amount>>;

    /// Adds a publisher, if it is not there.
    fn add_publisher(&self, name: String) -> Answer<'_, ()>;

    /// Sets the key with which a publisher asks for refunds; `false` if there is no such publisher.
    fn set_publisher_key(&self, name: String, key: [u8; 32]) -> Answer<'_, bool>;

    /// The key with which a publisher asks for refunds, if it has one.
    fn publisher_key(&self, name: String) -> Answer<'_, Option<[u8; 32]>>;

    /// What a publisher has earned.
    fn publisher_balance(&self, name: String) -> Answer<'_, Option<Amount>>;

    /// Adds a keyset as the last of the list; `false` if the list has another length, or the ledger may lack announcements because it was
    /// restored from a backup and not resynchronised since.
    fn announce(&self, announcement: Announcement) -> Answer<'_, bool>;

    /// The signed keyset list, as a frame.
    fn keysets(&self) -> Answer<'_, Vec<u8>>;

    /// Every sum at one moment.
    fn sheet(&self) -> Answer<'_, Sheet>;

    /// Writes something that means nothing and waits until it is durable: whether the ledger can be written at all.
    fn probe(&self) -> Answer<'_, ()>;

    /// Where the ledger stands.
    fn position(&self) -> Answer<'_, Position>;

    /// The processes that serve on this ledger; `None` if only one may.
    fn instances(&self) -> Option<&dyn Instances> {
        None
    }
}

/// Tells serving processes apart: drawn at random when a process begins, and part of the ids of its sessions.
pub type InstanceId = [u8; 4];

/// A process that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Host and port at which it takes requests from the other processes.
    pub address: String,
}

/// The processes that serve on one ledger. Knowing them only helps to find an open session: what is booked never depends on it.
pub trait Instances: Send + Sync {
    /// Adds a process; `false` if another has its id.
    fn register(&self, instance: Instance, now: u64) -> Answer<'_, bool>;

    /// Notes that a process is still there; `false` if it is not known any more.
    fn seen(&self, instance: InstanceId, now: u64) -> Answer<'_, bool>;

    /// Forgets a process that ends.
    fn leave(&self, instance: InstanceId) -> Answer<'_, ()>;

    /// Where a process is reached.
    fn address(&self, instance: InstanceId) -> Answer<'_, Option<String>>;
}
