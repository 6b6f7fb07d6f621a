//! What can go wrong in a wallet, by whose fault it is. No error holds a token, a voucher, a key or a URL.

use farthing_protocol::error::{FrameError, IssueError, KeysetError, UseError};
use thiserror::Error;

/// An error of the wallet. [`WalletError::code`] is stable; the text is for people.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalletError {
    /// There is no wallet in the directory.
    #[error("there is no wallet here: run `farthing init` first")]
    Missing,
    /// The directory holds a wallet already.
    #[error("there is a wallet here already")]
    Exists,
    /// Another process has the wallet open.
    #[error("another process has the wallet open")]
    Busy,
    /// The wallet's file does not read back as what was written.
    #[error("the wallet's file is damaged")]
    Damaged,
    /// The disk refused to read or write; nothing was sent.
    #[error("the wallet's file cannot be read or written: {0}")]
    Storage(String),
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
    /// The address is not one a wallet may talk to.
    #[error("the address must be https, or http on this machine")]
    InsecureAddress,
    /// The proxy's address is not one that can be used.
    #[error("the proxy must be an http, https, socks4, socks4a, socks5 or socks5h address")]
    BadProxy,
    /// The other side could not be reached, or did not answer in time. What was begun is kept: repeat the command.
    #[error("{0} cannot be reached or does not answer; nothing is lost, repeat the command")]
    Unreachable(&'static str),
    /// The mint answered with a problem.
    #[error("the mint refuses: {code}")]
    MintRefuses {
        /// The problem's stable code.
        code: String,
    },
    /// The mint is not ready; repeat the command.
    #[error("the mint is busy ({code}); nothing is lost, repeat the command later")]
    MintBusy {
        /// The problem's stable code.
        code: String,
    },
    /// The mint's answer is not what the protocol says.
    #[error("the mint's answer is wrong: {0}")]
    MintBroken(&'static str),
    /// The keyset list must not be trusted.
    #[error("the mint's keyset list is refused: {0}")]
    Keysets(#[from] KeysetError),
    /// The mint has no keyset that issues now, or none whose denominations, without those that are frozen, make the amount.
    #[error("the mint issues nothing now")]
    NothingIssuing,
    /// The text is no seed, or was mistyped.
    #[error("{0}")]
    Seed(&'static str),
    /// There is no payment for this address that could be taken back.
    #[error("nothing was paid for this address that could be taken back")]
    NothingPaid,
    /// A payment for this page has no answer yet.
    #[error("a payment for this address is unfinished: `farthing pay` finishes it")]
    Unfinished,
    /// The voucher is used up.
    #[error("the voucher is used up")]
    VoucherEmpty,
    /// The publisher's challenge is not one to pay.
    #[error("the publisher's offer is refused: {0}")]
    Offer(&'static str),
    /// The price is above the limit given.
    #[error("the price is above the limit")]
    TooExpensive,
    /// The reader said no.
    #[error("not paid")]
    Declined,
    /// The wallet holds too little.
    #[error("the wallet holds too little for this")]
    NotEnough,
    /// The publisher has refused the payment; its tokens will be refreshed.
    #[error("the publisher refuses the payment: {code}")]
    PaymentRefused {
        /// The problem's stable code.
        code: String,
        /// A double-spend proof, if the publisher gave one: an encoded `DoubleSpendFrame`, not verified.
        proof: Option<Vec<u8>>,
    },
    /// The publisher cannot decide now; the payment is kept.
    #[error("the publisher cannot decide now ({code}); nothing is lost, repeat the command")]
    PublisherBusy {
        /// The problem's stable code.
        code: String,
    },
    /// The publisher answered with something else than content or a price.
    #[error("the publisher answers with status {0}")]
    PublisherStatus(u16),
    /// The content is larger than the wallet takes.
    #[error("the content is too large")]
    ContentTooLarge,
    /// A mistake in this program.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl WalletError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "wallet-missing",
            Self::Exists => "wallet-exists",
            Self::Busy => "wallet-busy",
            Self::Damaged => "wallet-damaged",
            Self::Storage(_) => "wallet-storage",
            Self::NoRandomness => "no-randomness",
            Self::BadProxy => "bad-proxy",
            Self::InsecureAddress => "insecure-address",
            Self::Unreachable(_) => "unreachable",
            Self::MintRefuses { .. } => "mint-refuses",
            Self::MintBusy { .. } => "mint-busy",
            Self::MintBroken(_) => "mint-broken",
            Self::Keysets(_) => "keysets-refused",
            Self::NothingIssuing => "nothing-issuing",
            Self::Seed(_) => "bad-seed",
            Self::NothingPaid => "nothing-paid",
            Self::Unfinished => "payment-unfinished",
            Self::VoucherEmpty => "voucher-empty",
            Self::Offer(_) => "offer-refused",
            Self::TooExpensive => "too-expensive",
            Self::Declined => "declined",
            Self::NotEnough => "not-enough",
            Self::PaymentRefused { .. } => "payment-refused",
            Self::PublisherBusy { .. } => "publisher-busy",
            Self::PublisherStatus(_) => "publisher-status",
            Self::ContentTooLarge => "content-too-large",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the next issue may succeed although this one has not.
    pub(crate) const fn concerns_one_issue(&self) -> bool {
        matches!(self, Self::MintRefuses { .. } | Self::MintBroken(_) | Self::NothingIssuing)
    }

    /// The code the other side gave, if it gave one.
    pub fn peer_code(&self) -> Option<&str> {
        match self {
            Self::MintRefuses { code } | Self::MintBusy { code } | Self::PaymentRefused { code, .. } | Self::PublisherBusy { code } => {
                Some(code)
            }
            Self::Keysets(error) => Some(error.code()),
            _ => None,
        }
    }
}

impl From<FrameError> for WalletError {
    fn from(_: FrameError) -> Self {
        Self::MintBroken("its frame does not decode")
    }
}

impl From<UseError> for WalletError {
    fn from(_: UseError) -> Self {
        Self::Internal("a proof could not be made")
    }
}

impl From<IssueError> for WalletError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::RepeatedCommitment => Self::MintBroken("it repeats a commitment"),
            IssueError::InvalidResponse => Self::MintBroken("its response does not open its commitment"),
            IssueError::CountMismatch => Self::MintBroken("it answers another number of outputs"),
            IssueError::InvalidEncoding => Self::MintBroken("a value is not canonical"),
            _ => Self::Internal("an issue could not be prepared"),
        }
    }
}
