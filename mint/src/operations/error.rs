//! What an operation answers instead of a result, by blame.

use farthing_protocol::error::{IssueError, KeysetError, ProofError, RefundError};

use crate::clock::ClockJumped;
use crate::store::LedgerError;

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationError {
    /// The request is malformed or its proof does not hold. The peer's fault.
    Issue(IssueError),
    /// A token or proof does not hold. The peer's fault.
    Proof(ProofError),
    /// The refund is malformed or not its publisher's. The peer's fault.
    Refund(RefundError),
    /// A keyset list is not this mint's, or contradicts it. The peer's fault, or the mint's own.
    Keyset(KeysetError),
    /// More payments than a deposit may hold. The peer's fault.
    TooManyPayments,
    /// The keyset does not issue now.
    KeysetNotIssuing,
    /// A token's keyset is past its refresh window.
    KeysetNotRefreshing,
    /// A denomination is frozen, because more of it came back than was issued.
    DenominationFrozen,
    /// A token to be paid back is of a denomination that is not frozen: it can be refreshed.
    DenominationNotFrozen,
    /// No session was booked under the recovery hash and commitment of a claim.
    RecoveryUnknown,
    /// No such voucher.
    VoucherUnknown,
    /// The voucher's balance is below the amount.
    VoucherInsufficient,
    /// A token to be refreshed was spent before.
    TokenSpent,
    /// The payment is not settled here, or its change was taken.
    ChangeUnavailable,
    /// The payment is not refunded, or was reclaimed.
    ReclaimUnavailable,
    /// Another session of the same funding key is open for this many seconds at most.
    SessionBusy(u64),
    /// The session is cancelled, durably: nothing was or will be booked.
    SessionGone,
    /// The session has answered other challenges.
    SessionAnswered,
    /// The mint holds as many sessions as it may.
    TooManySessions,
    /// Too many requests are being worked on.
    Overloaded,
    /// The ledger or the clock cannot decide now; nothing is known to be booked.
    Unavailable,
    /// The ledger cannot be written: its disk is full or nearly, or fails.
    LedgerUnwritable,
    /// A verifier has seen this ledger further ahead: it was restored from a backup, and nothing is booked any more.
    LedgerBehind,
    /// The ledger catches up from what verifiers kept: only deposits are booked.
    Resyncing,
}

impl From<IssueError> for OperationError {
    fn from(error: IssueError) -> Self {
        Self::Issue(error)
    }
}

impl From<ProofError> for OperationError {
    fn from(error: ProofError) -> Self {
        Self::Proof(error)
    }
}

impl From<KeysetError> for OperationError {
    fn from(error: KeysetError) -> Self {
        Self::Keyset(error)
    }
}

impl From<RefundError> for OperationError {
    fn from(error: RefundError) -> Self {
        Self::Refund(error)
    }
}

impl From<LedgerError> for OperationError {
    fn from(error: LedgerError) -> Self {
        if let LedgerError::Corrupt(what) = error {
            tracing::error!(what, "the ledger contradicts itself");
        }
        Self::Unavailable
    }
}

impl From<ClockJumped> for OperationError {
    fn from(_: ClockJumped) -> Self {
        tracing::error!("the clock has jumped: nothing irreversible is done until it is right or the mint is started again");
        Self::Unavailable
    }
}
