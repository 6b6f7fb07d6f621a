//! What can go wrong for the operator. Peers see problems instead (see [`crate::http`]).

use std::{fmt, io};

use farthing_protocol::error::KeysetError;
use thiserror::Error;

use crate::operations::OperationError;
use crate::store::LedgerError;

/// Why a payout run is not booked again from its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptionError {
    /// The file is no payout run.
    NotARun,
    /// The file is not as it was written.
    Altered,
    /// Another ledger has booked it.
    OtherLedger,
    /// The ledger was never said to be restored.
    InStep,
    /// Another run of this id is booked.
    Differs,
    /// Some are no publishers of this mint.
    Unknown(Vec<String>),
    /// Some have less than was paid to them.
    Short(Vec<String>),
    /// Some that are to be left out are not in the run, or nobody else is.
    Without(Vec<String>),
}

impl AdoptionError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotARun => "payout-file-invalid",
            Self::Altered => "payout-file-altered",
            Self::OtherLedger => "payout-other-ledger",
            Self::InStep => "payout-in-step",
            Self::Differs => "payout-differs",
            Self::Unknown(_) => "payout-publisher-unknown",
            Self::Short(_) => "payout-balance-short",
            Self::Without(_) => "payout-without-invalid",
        }
    }
}

impl fmt::Display for AdoptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            Self::NotARun => f.write_str("the file is no payout run: give payout-ID.json"),
            Self::Altered => f.write_str("the file was changed since it was written"),
            Self::OtherLedger => f.write_str("the file is of another mint's ledger"),
            Self::InStep => f.write_str("nobody has said that this ledger was restored: `resync begin --restored` if it was"),
            Self::Differs => f.write_str("the ledger has another run of this id: compare the two"),
            Self::Unknown(names) => write!(f, "no publishers of this mint, add them first: {}", names.join(", ")),
            Self::Short(names) => {
                write!(f, "the balances do not cover it, let them hand in first, or leave them out (--without): {}", names.join(", "))
            }
            Self::Without(names) => write!(f, "not in this run, or all of it: {}", names.join(", ")),
        }
    }
}

/// Why a mint could not be made, opened or used by its operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MintError {
    /// The data directory is not empty.
    #[error("the data directory is not empty: nothing was changed")]
    AlreadyInitialised,
    /// The data directory holds no mint, or one whose initialising was interrupted.
    #[error("the data directory holds no mint: run `farthing-mint init` on an empty one")]
    NotInitialised,
    /// Another process serves this data directory.
    #[error("another process serves this data directory")]
    AlreadyServing,
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(&'static str, io::ErrorKind),
    /// A file's content makes no sense.
    #[error("{0} is damaged")]
    Damaged(&'static str),
    /// A file of secrets can be read by others.
    #[error("{0} can be read by others: give it mode 0600")]
    Exposed(&'static str),
    /// The keys are sealed with another kind of secret than the one given, or none was given.
    #[error("the keys are sealed: give the passphrase or the key file that they were sealed with")]
    KeysSealed,
    /// A secret was given, but the keys are not sealed.
    #[error("the keys are not sealed: seal them with `farthing-mint keys seal`")]
    KeysPlain,
    /// The secret does not open the keys.
    #[error("the passphrase or key file does not open keys.sealed, or that file was changed")]
    WrongSecret,
    /// A passphrase or key file that can be guessed.
    #[error("a passphrase has at least 12 characters, a key file at least 32 bytes")]
    WeakSecret,
    /// The mint was opened without its keys.
    #[error("the mint was opened without its keys")]
    KeysWithheld,
    /// The root secret key is not in the data directory.
    #[error("root.key is not here: use `keyset prepare`, `keyset sign` where it is, and `keyset publish`")]
    NoRootKey,
    /// There is no keyset of that number.
    #[error("no such keyset")]
    NoSuchKeyset,
    /// The newest keyset does not issue yet.
    #[error("a newer keyset is announced already and does not issue yet")]
    AlreadyRotated,
    /// Another process has announced a keyset since.
    #[error("the keyset list has changed meanwhile: nothing was announced")]
    ListChanged,
    /// An announcement cannot be published.
    #[error("the announcement {0}")]
    Announcement(&'static str),
    /// The clock is not to be believed.
    #[error("the clock disagrees with the ledger: see `farthing-mint clock show`")]
    ClockJumped,
    /// The ledger is made on another engine than the one asked for.
    #[error("this mint's ledger is {0}")]
    OtherEngine(&'static str),
    /// The database holds another mint's ledger.
    #[error("the database holds the ledger of another mint")]
    OtherLedger,
    /// The database holds a ledger already.
    #[error("the database holds a ledger already: give an empty one, nothing in it was changed")]
    LedgerTaken,
    /// The first keyset breaks a rule.
    #[error("the keyset: {0}")]
    Keyset(#[from] KeysetError),
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Not a host name with an optional port.
    #[error("not a publisher's name: give the host, and the port if it is not 443")]
    PublisherName,
    /// An amount of zero, no voucher, or too many at once.
    #[error("vouchers: 1 to 10,000 at a time, each worth at least the smallest unit")]
    VoucherCount,
    /// The mint would have sold more than 2^62 units.
    #[error("the mint cannot count that much money")]
    SoldTooMuch,
    /// An idempotency key or order reference that is none.
    #[error("an idempotency key or order reference has 1 to 255 visible ASCII characters")]
    OrderReference,
    /// Another order was made with this reference or for this payment.
    #[error("the idempotency key was used for another amount or count: nothing was made")]
    OrderDiffers,
    /// A token or secret that can be guessed, or a file of them that cannot be read.
    #[error("{0}")]
    Bearer(&'static str),
    /// A bank account that the bank would not take.
    #[error("{0}")]
    BankAccount(&'static str),
    /// A payout order that makes no sense.
    #[error("{0}")]
    Payout(&'static str),
    /// A payout run is not booked again.
    #[error("{0}")]
    Adoption(AdoptionError),
    /// Not a day.
    #[error("not a day such as 2026-01-31")]
    Day,
    /// A backup cannot be made or taken.
    #[error("the backup: {0}")]
    Backup(&'static str),
    /// A verifier has seen the ledger further ahead.
    #[error("the ledger was restored from a backup and has lost bookings: see `farthing-mint resync status`")]
    LedgerBehind,
    /// The ledger catches up.
    #[error("the ledger is being resynchronised: see `farthing-mint resync status`")]
    Resyncing,
    /// The ledger was restored and nobody has resynchronised it.
    #[error("ledger-restored: the ledger was restored from a backup and may lack announcements and payouts: see `farthing-mint resync`")]
    Restored,
    /// A list of keysets was shown that the ledger lacks.
    #[error("keysets-not-adopted: a signed list with more keysets than this mint's was shown, and was not adopted")]
    KeysetsNotAdopted,
    /// A resynchronisation cannot begin or end.
    #[error("{0}")]
    Resync(&'static str),
    /// Journal and tables do not agree.
    #[error("the books differ: see `farthing-mint audit`")]
    BooksDiffer,
    /// Something else in this process collects metrics.
    #[error("metrics are collected by something else in this process")]
    Metrics,
    /// Connections cannot be taken.
    #[error("serving: {0}")]
    Serve(io::ErrorKind),
}

impl From<OperationError> for MintError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::LedgerBehind => Self::LedgerBehind,
            OperationError::Resyncing => Self::Resyncing,
            OperationError::Keyset(error) => Self::Keyset(error),
            // What else an operator asks of the operations fails only when the ledger does.
            _ => Self::Ledger(LedgerError::Unavailable),
        }
    }
}
