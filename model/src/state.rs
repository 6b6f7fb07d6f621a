//! What everybody holds, in the words of the code: the wallet's records, the verifier's store, the mint's ledger, and what was ever sent.
//!
//! Amounts are small numbers of units. A token is paid alone; a page costs [`PRICE`]; a session makes one token of its whole amount.

use std::collections::{BTreeMap, BTreeSet};

/// What every page costs, in units.
pub const PRICE: u8 = 1;

/// What the honest reader's voucher is worth, in units: one page and its change.
pub const VOUCHER: u8 = 2;

/// Whose tokens they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// Runs the wallet's code.
    Honest,
    /// Sends whatever it can make from what it knows.
    Hostile,
}

/// A token (keyset, denomination, P), named after the session that made it: a session answers once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    pub session: u8,
    pub value: u8,
    pub owner: Reader,
}

/// A payment's id: a hash over all of this, so that other terms are another payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId {
    pub token: Token,
    pub publisher: u8,
    /// The challenge it answers: one claim each, at its publisher.
    pub challenge: u8,
}

impl PaymentId {
    /// The rest of the token's value.
    pub const fn change(&self) -> u8 {
        self.token.value - PRICE
    }
}

/// What pays for an issue: `FundingRecord` in the wallet, `Debit` in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Funding {
    Voucher,
    Refresh(Token),
    Change(PaymentId),
    Reclaim(PaymentId),
}

impl Funding {
    pub const fn amount(&self) -> u8 {
        match self {
            Self::Voucher => VOUCHER,
            Self::Refresh(token) => token.value,
            Self::Change(payment) => payment.change(),
            Self::Reclaim(_) => PRICE,
        }
    }

    /// Whether they are proved by the same key: one session per funding key.
    pub fn same_key(&self, other: &Self) -> bool {
        let token = |funding: &Self| match funding {
            Self::Voucher => None,
            Self::Refresh(token) => Some(*token),
            Self::Change(payment) | Self::Reclaim(payment) => Some(payment.token),
        };
        token(self) == token(other)
    }

    pub const fn owner(&self) -> Reader {
        match self {
            Self::Voucher => Reader::Honest,
            Self::Refresh(token) => token.owner,
            Self::Change(payment) | Self::Reclaim(payment) => payment.token.owner,
        }
    }
}

/// The wallet's `TokenState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenState {
    Owned,
    RefreshOnly,
    Paying(PaymentId),
    Refreshing,
}

/// Why a publisher refuses a payment, as far as a wallet cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// `refused-refunded`.
    Refunded,
    /// `not-refunded`: the wallet's own word for a refund of which the mint knows nothing.
    NotRefunded,
    /// `double-spend`, with a proof.
    DoubleSpend,
    /// Any other code.
    Other,
}

/// The wallet's `PaymentState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalletPayment {
    Sent,
    Delivered { settled: bool },
    Refused { code: Code },
}

/// The wallet's `PaymentRecord`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentRecord {
    pub state: WalletPayment,
    pub change_taken: bool,
    pub reclaimed: bool,
    pub spent: bool,
}

impl PaymentRecord {
    pub fn was_refunded(&self) -> bool {
        self.state == WalletPayment::Refused { code: Code::Refunded }
    }

    pub fn change_is_due(&self, id: &PaymentId) -> bool {
        (matches!(self.state, WalletPayment::Delivered { .. }) || self.was_refunded()) && !self.change_taken && id.change() > 0
    }
}

/// The honest reader's file. A wallet has nothing else that would outlive a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wallet {
    pub tokens: BTreeMap<Token, TokenState>,
    /// Unfinished issues; `Some` is the session whose issue request is stored (`Exchange`).
    pub sessions: BTreeMap<Funding, Option<u8>>,
    /// Sessions whose commitments were seen.
    pub commitments: BTreeSet<u8>,
    pub payments: BTreeMap<PaymentId, PaymentRecord>,
}

/// The verifier's `PaymentState`, with `RefusedBecause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PaymentState {
    Pending,
    Accepted,
    Settled,
    Refunded,
    RefusedDoubleSpent,
    RefusedRefusal,
}

impl PaymentState {
    pub const fn serves(self) -> bool {
        matches!(self, Self::Settled | Self::Accepted)
    }

    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Accepted)
    }

    pub const fn leads_to(self, next: Self) -> bool {
        match self {
            Self::Pending | Self::Accepted => !next.is_open(),
            Self::Settled => matches!(next, Self::Refunded),
            Self::Refunded | Self::RefusedDoubleSpent | Self::RefusedRefusal => false,
        }
    }
}

/// An honest publisher's store. The claims are the spent keys, the challenges and the outbox too; of a hostile publisher nothing is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store {
    pub claims: BTreeMap<PaymentId, PaymentState>,
    pub outstanding: u8,
    pub at_risk: u8,
    pub proofs: BTreeSet<Token>,
}

/// The ledger's `SessionRow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionRow {
    Booked { challenge: u8 },
    Cancelled,
}

/// The ledger's `SpentBy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpentBy {
    Payment(PaymentId),
    Session(u8),
}

/// A payment's state in the ledger: settled -> refunded -> reclaimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerPayment {
    Settled,
    Refunded,
    Reclaimed,
}

/// A session in the mint's memory: its commitments wait for one challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Booking {
    pub session: u8,
    pub challenge: u8,
    pub funding: Funding,
    /// Whether the process that made it still runs: only it can send the answer of this booking.
    pub alive: bool,
}

/// The mint: `open` and `in_flight` are in memory and in the database's queue, all else is the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mint {
    pub open: BTreeMap<Funding, u8>,
    /// Bookings whose commit has not happened yet, and may happen late or never: nonces are gone, nothing is durable.
    pub in_flight: BTreeSet<Booking>,
    pub next_session: u8,
    pub rows: BTreeMap<u8, SessionRow>,
    pub voucher: u8,
    pub sold: u8,
    pub issued: u8,
    pub redeemed: u8,
    pub credits: [u8; 2],
    pub spent: BTreeMap<Token, SpentBy>,
    /// With whether the change was taken.
    pub payments: BTreeMap<PaymentId, (LedgerPayment, bool)>,
}

impl Mint {
    pub fn change_due(&self) -> u8 {
        self.payments.iter().filter(|(_, (_, taken))| !taken).map(|(id, _)| id.change()).sum()
    }

    pub fn refunds_due(&self) -> u8 {
        self.payments.values().filter(|(state, _)| *state == LedgerPayment::Refunded).map(|_| PRICE).sum()
    }
}

/// Why the mint refuses an issue, for good or for now; nothing was booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotIssued {
    VoucherInsufficient,
    TokenSpent,
    ChangeUnavailable,
    ReclaimUnavailable,
}

/// The mint's answer to a deposited payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Credited,
    AlreadyCredited,
    Refunded,
    DoubleSpent,
    RefusedRefreshed,
    RefusedLate,
}

/// What was ever sent. Nothing is taken away: a message may arrive never, late, often, and again after everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    // reader to mint, and back
    Open(Funding),
    Opened(Funding, u8),
    Issue(Funding, u8, u8),
    Issued(Funding, u8, u8),
    SessionGone(Funding, u8),
    NotIssued(Funding, Option<u8>, NotIssued),
    // reader to publisher, and back
    Pay(PaymentId),
    Delivered(PaymentId, bool),
    Refused(PaymentId, Code),
    // publisher to mint, and back
    Deposit(PaymentId),
    Deposited(PaymentId, Outcome),
    Refund(PaymentId),
    GivenBack(PaymentId, bool),
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Whether the payments' `deposit_by` and the challenges' expiry have passed.
    pub late: bool,
    /// How often the mint's process may still crash.
    pub crashes: u8,
    pub wallet: Wallet,
    pub publishers: [Store; 2],
    pub mint: Mint,
    pub network: BTreeSet<Message>,
}

impl State {
    pub fn send(&mut self, message: Message) {
        self.network.insert(message);
    }
}
