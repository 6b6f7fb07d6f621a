//! What can go wrong, by whose fault: [`Refused`] is the reader's (or says that the verifier cannot decide), [`VerifierError`] the
//! publisher's, [`StoreError`](crate::store::StoreError) the disk's.

use farthing_protocol::error::{FrameError, KeysetError, PaymentError, ProofError};
use farthing_protocol::settle::Refusal;
use farthing_protocol::wire::DoubleSpendFrame;
use http::StatusCode;
use thiserror::Error;

use crate::deposit_receipt::NoReceipt;
use crate::refund::NotRefunded;
use crate::store::StoreError;

/// Why a verifier does not start, or an operation of the publisher failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// The configuration does not fit.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// Several instances are configured, and the store serves one process: each would take the same token once.
    #[error(
        "several instances need a store that they share (private-store): open the verifier on PostgreSQL, in the sidecar store = \"postgres\", or run one instance"
    )]
    PrivateStore,
    /// The mint's keyset list must not be trusted: a wrong root key, most likely.
    #[error("the mint's keyset list is refused")]
    Keysets(#[from] KeysetError),
    /// The HTTP client could not be set up: no usable certificates, for example.
    #[error("the HTTP client could not be set up")]
    HttpClient,
    /// The mint did not answer, or not in a way that can be believed.
    #[error("the mint is unavailable")]
    MintUnavailable,
    /// A price, title or name that no challenge can carry.
    #[error("offer: {0}")]
    Offer(&'static str),
    /// A payment was not given back; nothing was changed.
    #[error("{0}")]
    NotRefunded(#[from] NotRefunded),
    /// There is no deposit receipt of a payment.
    #[error("{0}")]
    NoReceipt(#[from] NoReceipt),
}

impl VerifierError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotRefunded(error) => error.code(),
            Self::NoReceipt(error) => error.code(),
            Self::Store(_) => "store-unavailable",
            Self::PrivateStore => "private-store",
            Self::Config(_) => "setting-invalid",
            Self::Offer(_) => "offer-invalid",
            Self::Keysets(_) => "keysets-refused",
            Self::HttpClient | Self::MintUnavailable => "mint-unavailable",
        }
    }
}

/// The kinds of problem the `Payment` scheme knows, each with a type below `https://paymentauth.org/problems/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing was paid yet.
    PaymentRequired,
    /// Too little, or another amount than asked.
    PaymentInsufficient,
    /// Too late.
    PaymentExpired,
    /// The challenge is not one this verifier answers for this request.
    InvalidChallenge,
    /// The credential cannot be read.
    MalformedCredential,
    /// The payment inside cannot be read.
    InvalidPayload,
    /// The payment was read and does not hold.
    VerificationFailed,
    /// Another payment method.
    MethodUnsupported,
    /// The verifier cannot decide now, or was asked for something impossible.
    Internal,
}

impl Problem {
    /// The problem type's last segment.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PaymentRequired => "payment-required",
            Self::PaymentInsufficient => "payment-insufficient",
            Self::PaymentExpired => "payment-expired",
            Self::InvalidChallenge => "invalid-challenge",
            Self::MalformedCredential => "malformed-credential",
            Self::InvalidPayload => "invalid-payload",
            Self::VerificationFailed => "verification-failed",
            Self::MethodUnsupported => "method-unsupported",
            Self::Internal => "internal-payment-error",
        }
    }

    /// One sentence for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::PaymentRequired => "This has to be paid for.",
            Self::PaymentInsufficient => "The payment is not of the amount asked.",
            Self::PaymentExpired => "The payment came too late.",
            Self::InvalidChallenge => "The challenge is not one for this request.",
            Self::MalformedCredential => "The credential cannot be read.",
            Self::InvalidPayload => "The payment cannot be read.",
            Self::VerificationFailed => "The payment is refused.",
            Self::MethodUnsupported => "Only farthing/charge is accepted here.",
            Self::Internal => "The payment cannot be decided at the moment. Nothing is lost: send the same request again.",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::MethodUnsupported => StatusCode::BAD_REQUEST,
            Self::Internal => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::PAYMENT_REQUIRED,
        }
    }
}

/// The code of the one 402 that no challenge goes with.
const METHOD_NOT_ACCEPTED: &str = "method-not-accepted";

/// Why a request is not served: a problem, a stable code, and for a double-spend the proof.
///
/// Made by constructors in one place only, so that problem, code and status fit each other.
#[derive(Clone)]
pub struct Refused {
    problem: Problem,
    code: &'static str,
    proof: Option<Box<DoubleSpendFrame>>,
    retry_after: Option<u64>,
}

impl Refused {
    pub(crate) const fn new(problem: Problem, code: &'static str) -> Self {
        Self { problem, code, proof: None, retry_after: None }
    }

    /// The request carries no payment.
    pub const fn payment_required() -> Self {
        Self::new(Problem::PaymentRequired, "payment-required")
    }

    /// The request carries no payment, and its `Accept-Payment` excludes the only kind there is here: no challenge goes with it.
    pub(crate) const fn method_not_accepted() -> Self {
        Self::new(Problem::PaymentRequired, METHOD_NOT_ACCEPTED)
    }

    pub(crate) const fn malformed() -> Self {
        Self::new(Problem::MalformedCredential, "malformed-credential")
    }

    pub(crate) const fn invalid_challenge(code: &'static str) -> Self {
        Self::new(Problem::InvalidChallenge, code)
    }

    pub(crate) const fn challenge_expired() -> Self {
        Self::new(Problem::PaymentExpired, "challenge-expired")
    }

    pub(crate) const fn verification(code: &'static str) -> Self {
        Self::new(Problem::VerificationFailed, code)
    }

    /// Booked once and given back: it pays for nothing any more.
    pub(crate) const fn refunded() -> Self {
        Self::verification("refused-refunded")
    }

    pub(crate) fn double_spend(proof: DoubleSpendFrame) -> Self {
        Self { proof: Some(Box::new(proof)), ..Self::verification("double-spend") }
    }

    pub(crate) const fn refusal(refusal: Refusal) -> Self {
        Self::verification(refusal.code())
    }

    pub(crate) fn store_unavailable() -> Self {
        Self { retry_after: Some(5), ..Self::new(Problem::Internal, "store-unavailable") }
    }

    pub(crate) fn mint_unavailable() -> Self {
        Self { retry_after: Some(5), ..Self::new(Problem::Internal, "mint-unavailable") }
    }

    /// The deferred mode has no room, and the publisher wants nothing settled first. The payment was not claimed.
    pub(crate) fn limit_reached() -> Self {
        Self { retry_after: Some(30), ..Self::new(Problem::Internal, "limit-reached") }
    }

    pub(crate) fn pending() -> Self {
        Self { retry_after: Some(2), ..Self::new(Problem::Internal, "pending") }
    }

    /// The kind of problem.
    pub const fn problem(&self) -> Problem {
        self.problem
    }

    /// The stable code, more exact than the problem.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The HTTP status: 402 with a fresh challenge, 400, or 503.
    pub const fn status(&self) -> StatusCode {
        self.problem.status()
    }

    /// Whether a fresh challenge goes with a 402.
    pub(crate) fn wants_challenge(&self) -> bool {
        self.code != METHOD_NOT_ACCEPTED
    }

    /// The double-spend proof, if that is the reason. Anybody may see it; it names nobody.
    pub fn proof(&self) -> Option<&DoubleSpendFrame> {
        self.proof.as_deref()
    }

    /// After how many seconds to ask again.
    pub const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }
}

impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Refused({})", self.code)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.problem.title(), self.code)
    }
}

impl std::error::Error for Refused {}

impl From<FrameError> for Refused {
    fn from(error: FrameError) -> Self {
        Self::new(Problem::InvalidPayload, error.code())
    }
}

impl From<PaymentError> for Refused {
    fn from(error: PaymentError) -> Self {
        let problem = match error {
            PaymentError::Insufficient => Problem::PaymentInsufficient,
            _ => Problem::InvalidPayload,
        };
        Self::new(problem, error.code())
    }
}

impl From<ProofError> for Refused {
    fn from(error: ProofError) -> Self {
        Self::verification(error.code())
    }
}

impl From<StoreError> for Refused {
    fn from(_: StoreError) -> Self {
        Self::store_unavailable()
    }
}
