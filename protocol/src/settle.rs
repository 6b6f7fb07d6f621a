//! The mint's signed answer to a deposit: what became of each payment, and where the ledger stands.
//!
//! ```text
//! D = Hash(ledger, sequence, n, (payment id, outcome)..)
//! signature = proof by an announced receipt key, purpose answer, S = Hash(root, 0, 0, D)
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::amount::Amount;
use crate::error::{AnswerError, UseError};
use crate::evidence::DoubleSpend;
use crate::group::Point;
use crate::keyset::KeysetList;
use crate::labels;
use crate::proof::{KeyList, KeyProof, LoneKey, PaymentId, Purpose, Statement};
use crate::transcript::Transcript;
use crate::wire::{DepositResponseFrame, Frame, LedgerMark, OutcomeBody};

/// The most payments one deposit may hold.
pub const MAX_DEPOSITS: usize = 256;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal;)*) => {
        /// Why a mint does not book a payment, other than a double-spend. The payment is worth nothing to this publisher; nothing was spent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
            /// A reason of a newer protocol.
            Other(u16),
        }

        impl Refusal {
            /// The number on the wire.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* Self::Other(number) => number }
            }

            /// The reason with this number.
            pub const fn from_number(number: u16) -> Self {
                match number { $($number => Self::$name,)* other => Self::Other(other) }
            }

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* Self::Other(_) => "refused-other" }
            }

            /// Every reason known, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

refusals! {
    /// The payment is not well formed.
    Malformed = 1, "refused-malformed";
    /// The recipient is no publisher of this mint.
    UnknownPublisher = 2, "refused-unknown-publisher";
    /// A token's keyset or denomination is not of this mint.
    UnknownKeyset = 3, "refused-unknown-keyset";
    /// The payment's deadline has passed.
    Late = 4, "refused-late";
    /// A token's keyset takes no more deposits.
    KeysetClosed = 5, "refused-keyset-closed";
    /// A token's signature does not verify.
    InvalidSignature = 6, "refused-invalid-signature";
    /// The proof of spending does not verify for this recipient and amount.
    InvalidProof = 7, "refused-invalid-proof";
    /// A token was refreshed before.
    Refreshed = 8, "refused-refreshed";
    /// More of a denomination came back than was issued: it is frozen.
    Frozen = 9, "refused-frozen";
    /// The tokens count in different units.
    MixedUnits = 10, "refused-mixed-units";
}

/// What became of one payment.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Booked now, with this much change to be taken.
    Credited {
        /// Tokens' value less the amount.
        change: Amount,
    },
    /// The same payment was booked before.
    AlreadyCredited {
        /// Tokens' value less the amount.
        change: Amount,
    },
    /// Booked once and given back since.
    Refunded,
    /// A token was paid elsewhere before: the proof still has to be verified by whoever receives it.
    DoubleSpent(Box<DoubleSpend>),
    /// Not booked.
    Refused(Refusal),
}

impl Outcome {
    fn to_body(&self) -> OutcomeBody {
        match self {
            Self::Credited { change } => OutcomeBody::Credited { change: change.units() },
            Self::AlreadyCredited { change } => OutcomeBody::AlreadyCredited { change: change.units() },
            Self::Refunded => OutcomeBody::Refunded,
            Self::DoubleSpent(proof) => OutcomeBody::DoubleSpent(Box::new(proof.to_frame())),
            Self::Refused(refusal) => OutcomeBody::Refused(refusal.number()),
        }
    }

    fn from_body(body: &OutcomeBody) -> Result<Self, AnswerError> {
        Ok(match body {
            OutcomeBody::Credited { change } => Self::Credited { change: Amount::from_units(*change) },
            OutcomeBody::AlreadyCredited { change } => Self::AlreadyCredited { change: Amount::from_units(*change) },
            OutcomeBody::Refunded => Self::Refunded,
            // Signed nonsense is no proof: the payment stays undecided.
            OutcomeBody::DoubleSpent(frame) => {
                Self::DoubleSpent(Box::new(DoubleSpend::from_frame(frame).map_err(|_| AnswerError::InvalidSignature)?))
            }
            OutcomeBody::Refused(number) => Self::Refused(Refusal::from_number(*number)),
        })
    }
}

fn statement(root: &Point, mark: LedgerMark, payments: &[Option<PaymentId>], outcomes: &[OutcomeBody]) -> Statement {
    let mut transcript = Transcript::new(labels::DEPOSIT_ANSWER);
    transcript.bytes(labels::LEDGER, &mark.ledger.0).u64(labels::SEQUENCE, mark.sequence).count(outcomes.len());
    for (payment, outcome) in payments.iter().zip(outcomes) {
        transcript.optional(labels::PAYMENT, payment.as_ref().map(|id| id.0.as_slice()));
        match outcome {
            OutcomeBody::Credited { change } => transcript.u64(labels::OUTCOME, 0).u64(labels::VALUE, *change),
            OutcomeBody::AlreadyCredited { change } => transcript.u64(labels::OUTCOME, 1).u64(labels::VALUE, *change),
            OutcomeBody::Refunded => transcript.u64(labels::OUTCOME, 2),
            OutcomeBody::DoubleSpent(proof) => transcript.u64(labels::OUTCOME, 3).bytes(labels::VALUE, &proof.to_bytes()),
            OutcomeBody::Refused(number) => transcript.u64(labels::OUTCOME, 4).u64(labels::VALUE, u64::from(*number)),
        };
    }
    Statement::new(root.as_bytes(), Amount::ZERO, 0, &transcript.digest())
}

/// Signs a deposit answer; `payments` holds `None` where a payment was too malformed to have an id.
///
/// # Errors
/// [`UseError::CountMismatch`] if there is not one outcome a payment, [`UseError::InvalidKey`] with probability 2^-252.
///
/// # Timing
/// Constant time in the receipt key.
pub fn sign_answer<R: CryptoRng + ?Sized>(
    root: &Point,
    mark: LedgerMark,
    payments: &[Option<PaymentId>],
    outcomes: &[Outcome],
    key: &LoneKey,
    rng: &mut R,
) -> Result<DepositResponseFrame, UseError> {
    if payments.len() != outcomes.len() {
        return Err(UseError::CountMismatch);
    }
    let outcomes: Vec<OutcomeBody> = outcomes.iter().map(Outcome::to_body).collect();
    let proof = key.prove(Purpose::Answer, &statement(root, mark, payments, &outcomes), rng)?.to_body();
    Ok(DepositResponseFrame { mark, receipt_key: key.public().to_bytes().into(), outcomes, proof })
}

/// Verifies a deposit answer against the payments that were deposited: their ids and their change.
///
/// Implements R-EVID-06, R-EVID-07, R-EVID-08.
///
/// # Errors
/// [`AnswerError`], one variant per defect; the payments then stay undecided.
///
/// # Security
/// A double-spend inside is about the payment it stands for, but still only the mint's word: verify it, and treat one that fails as a
/// broken mint.
///
/// # Timing
/// Variable time: all inputs are public.
pub fn verify_answer(
    frame: &DepositResponseFrame,
    payments: &[(PaymentId, Amount)],
    keysets: &KeysetList,
) -> Result<Vec<Outcome>, AnswerError> {
    if frame.outcomes.len() != payments.len() {
        return Err(AnswerError::CountMismatch);
    }
    if !keysets.knows_receipt_key(&frame.receipt_key.0) {
        return Err(AnswerError::InvalidSignature);
    }
    let ids: Vec<Option<PaymentId>> = payments.iter().map(|(id, _)| Some(*id)).collect();
    let proof = KeyProof::from_body(&frame.proof).map_err(|_| AnswerError::InvalidSignature)?;
    let statement = statement(keysets.root(), frame.mark, &ids, &frame.outcomes);
    proof.verify(Purpose::Answer, &statement, KeyList::Lone(&frame.receipt_key.0)).map_err(|_| AnswerError::InvalidSignature)?;
    let outcomes: Vec<Outcome> = frame.outcomes.iter().map(Outcome::from_body).collect::<Result<_, _>>()?;
    for (outcome, (id, expected)) in outcomes.iter().zip(payments) {
        match outcome {
            Outcome::Credited { change } | Outcome::AlreadyCredited { change } if change != expected => {
                return Err(AnswerError::WrongChange);
            }
            // A true proof about two other payments would excuse the mint from every payment it does not want to book.
            Outcome::DoubleSpent(proof) if !proof.payment_ids().contains(id) => return Err(AnswerError::UnrelatedProof),
            _ => {}
        }
    }
    Ok(outcomes)
}
