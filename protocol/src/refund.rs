//! Refunds: a publisher gives a settled payment back, and its reader may take the amount once, as new tokens.
//!
//! ```text
//! publisher -> mint   payment id, publisher; proof by the publisher's registered key, purpose refund, over S
//! mint -> publisher   mark, outcome; proof by a receipt key, purpose answer, over S'
//! reader -> mint      a session funded by reclaim (issue.rs), proved by the payment's own keys
//!
//! S  = Hash(root, 0, 0, Hash(payment id, publisher))
//! S' = Hash(root, 0, 0, Hash(ledger, sequence, payment id, outcome))
//! ```
//!
//! The payment id binds recipient, amount and tokens, so neither message repeats them. A request is worth the same however often it is
//! sent: the payment is refunded once, and there is no way back.

use alloc::string::String;

use rand_core::CryptoRng;

use crate::amount::Amount;
use crate::error::{AnswerError, RefundError, UseError};
use crate::group::Point;
use crate::keyset::KeysetList;
use crate::labels;
use crate::payment::MAX_RECIPIENT;
use crate::proof::{KeyList, KeyProof, LoneKey, PaymentId, Purpose, Statement};
use crate::transcript::Transcript;
use crate::wire::{LedgerMark, RefundOutcomeBody, RefundRequestFrame, RefundResponseFrame};

/// S of a refund request.
fn request_statement(root: &Point, payment: &PaymentId, publisher: &str) -> Statement {
    let digest = Transcript::new(labels::REFUND).bytes(labels::PAYMENT, &payment.0).bytes(labels::RECIPIENT, publisher.as_bytes()).digest();
    Statement::new(root.as_bytes(), Amount::ZERO, 0, &digest)
}

/// Makes the frame with which a publisher gives a payment back.
///
/// # Errors
/// [`UseError::InvalidKey`] with probability 2^-252.
///
/// # Timing
/// Constant time in the publisher's key.
pub fn request<R: CryptoRng + ?Sized>(
    root: &Point,
    payment: PaymentId,
    publisher: &str,
    key: &LoneKey,
    rng: &mut R,
) -> Result<RefundRequestFrame, UseError> {
    let proof = key.prove(Purpose::Refund, &request_statement(root, &payment, publisher), rng)?;
    Ok(RefundRequestFrame { payment: payment.0.into(), publisher: publisher.into(), proof: proof.to_body() })
}

/// A well-formed refund request; nothing verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Refund {
    payment: PaymentId,
    publisher: String,
    proof: KeyProof,
}

impl Refund {
    /// Checks everything that needs no keys.
    ///
    /// # Errors
    /// [`RefundError::PublisherTooLong`] or [`RefundError::InvalidEncoding`].
    pub fn from_frame(frame: &RefundRequestFrame) -> Result<Self, RefundError> {
        if frame.publisher.len() > MAX_RECIPIENT {
            return Err(RefundError::PublisherTooLong);
        }
        let proof = KeyProof::from_body(&frame.proof).map_err(|_| RefundError::InvalidEncoding)?;
        Ok(Self { payment: PaymentId(frame.payment.0), publisher: frame.publisher.clone(), proof })
    }

    /// Who asks, unproven: whose key to verify with.
    pub fn publisher(&self) -> &str {
        &self.publisher
    }

    /// Verifies the proof by the publisher's registered key.
    ///
    /// Implements R-BACK-01.
    ///
    /// # Errors
    /// [`RefundError::InvalidProof`].
    ///
    /// # Security
    /// Success does not say that the payment was made to this publisher, nor that it was settled: the ledger does.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify(self, root: &Point, key: &Point) -> Result<CheckedRefund, RefundError> {
        let statement = request_statement(root, &self.payment, &self.publisher);
        let list = KeyList::Lone(key.as_bytes());
        self.proof.verify(Purpose::Refund, &statement, list).map_err(|_| RefundError::InvalidProof)?;
        Ok(CheckedRefund { payment: self.payment, publisher: self.publisher })
    }
}

/// A refund that its publisher's key has asked for. Only [`Refund::verify`] makes one.
pub struct CheckedRefund {
    payment: PaymentId,
    publisher: String,
}

impl CheckedRefund {
    /// The payment to be given back.
    pub const fn payment(&self) -> PaymentId {
        self.payment
    }

    /// The publisher who asks.
    pub fn publisher(&self) -> &str {
        &self.publisher
    }
}

/// Why a mint does not refund a payment. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefundRefusal {
    /// No payment with this id was booked for this publisher.
    UnknownPayment,
    /// The publisher's balance does not cover it: it was paid out.
    PaidOut,
    /// A reason of a newer protocol.
    Other(u16),
}

impl RefundRefusal {
    /// Every reason known, for documentation and tests.
    pub const ALL: &'static [Self] = &[Self::UnknownPayment, Self::PaidOut];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::UnknownPayment => 1,
            Self::PaidOut => 2,
            Self::Other(number) => number,
        }
    }

    /// The reason with this number.
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::UnknownPayment,
            2 => Self::PaidOut,
            other => Self::Other(other),
        }
    }

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownPayment => "refund-unknown-payment",
            Self::PaidOut => "refund-paid-out",
            Self::Other(_) => "refund-refused-other",
        }
    }
}

/// What became of a refund request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// Taken from the publisher's balance now; the reader may reclaim it.
    Refunded,
    /// Refunded by an earlier request.
    AlreadyRefunded,
    /// Not refunded.
    Refused(RefundRefusal),
}

impl RefundOutcome {
    const fn to_body(self) -> RefundOutcomeBody {
        match self {
            Self::Refunded => RefundOutcomeBody::Refunded,
            Self::AlreadyRefunded => RefundOutcomeBody::AlreadyRefunded,
            Self::Refused(refusal) => RefundOutcomeBody::Refused(refusal.number()),
        }
    }

    const fn from_body(body: RefundOutcomeBody) -> Self {
        match body {
            RefundOutcomeBody::Refunded => Self::Refunded,
            RefundOutcomeBody::AlreadyRefunded => Self::AlreadyRefunded,
            RefundOutcomeBody::Refused(number) => Self::Refused(RefundRefusal::from_number(number)),
        }
    }
}

/// S of a refund answer.
fn answer_statement(root: &Point, mark: LedgerMark, payment: &PaymentId, outcome: RefundOutcomeBody) -> Statement {
    let mut transcript = Transcript::new(labels::REFUND_ANSWER);
    transcript.bytes(labels::LEDGER, &mark.ledger.0).u64(labels::SEQUENCE, mark.sequence).bytes(labels::PAYMENT, &payment.0);
    match outcome {
        RefundOutcomeBody::Refunded => transcript.u64(labels::OUTCOME, 0),
        RefundOutcomeBody::AlreadyRefunded => transcript.u64(labels::OUTCOME, 1),
        RefundOutcomeBody::Refused(number) => transcript.u64(labels::OUTCOME, 2).u64(labels::VALUE, u64::from(number)),
    };
    Statement::new(root.as_bytes(), Amount::ZERO, 0, &transcript.digest())
}

/// Signs the answer to a refund request.
///
/// # Errors
/// [`UseError::InvalidKey`] with probability 2^-252.
///
/// # Timing
/// Constant time in the receipt key.
pub fn sign_answer<R: CryptoRng + ?Sized>(
    root: &Point,
    mark: LedgerMark,
    payment: PaymentId,
    outcome: RefundOutcome,
    key: &LoneKey,
    rng: &mut R,
) -> Result<RefundResponseFrame, UseError> {
    let outcome = outcome.to_body();
    let proof = key.prove(Purpose::Answer, &answer_statement(root, mark, &payment, outcome), rng)?.to_body();
    Ok(RefundResponseFrame { mark, receipt_key: key.public().to_bytes().into(), outcome, proof })
}

/// Verifies the answer to the request about `payment`.
///
/// Implements R-BACK-02.
///
/// # Errors
/// [`AnswerError::InvalidSignature`]; the refund then stays undecided and is asked for again.
///
/// # Timing
/// Variable time: all inputs are public.
pub fn verify_answer(frame: &RefundResponseFrame, payment: PaymentId, keysets: &KeysetList) -> Result<RefundOutcome, AnswerError> {
    if !keysets.knows_receipt_key(&frame.receipt_key.0) {
        return Err(AnswerError::InvalidSignature);
    }
    let proof = KeyProof::from_body(&frame.proof).map_err(|_| AnswerError::InvalidSignature)?;
    let statement = answer_statement(keysets.root(), frame.mark, &payment, frame.outcome);
    proof.verify(Purpose::Answer, &statement, KeyList::Lone(&frame.receipt_key.0)).map_err(|_| AnswerError::InvalidSignature)?;
    Ok(RefundOutcome::from_body(frame.outcome))
}
