//! The mint's signed answer about one payment, with all that is needed to check it: what a publisher shows when the mint denies a deposit.
//!
//! ```text
//! kept with the payment   ids of the batch, answer                     as it came when the payment was settled
//! receipt                 + keyset list, opening of the payment id     one JSON object, checked under the mint's root key alone
//! ```
//!
//! The answer is kept because a mint that is asked again may say something else. The batch's other payments are in it as ids, which say
//! nothing to anybody who does not know them.

use std::io::Read;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey, Statement};
use farthing_protocol::settle::verify_answer;
use farthing_protocol::wire::{DepositResponseFrame, Frame, KeysetListFrame, LedgerMark, OutcomeBody};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::VerifierError;
use crate::redeposit::Redeposited;
use crate::store::{KeptDeposit, PaymentState, Store, StoreError};
use crate::verifier::Verifier;

/// The first field of a receipt: what it is, and how it is laid out.
const KIND: &str = "farthing-deposit/1";

/// No receipt is longer, in bytes: a list, an answer, and what is around them.
pub(crate) const LIMIT: usize = 2 * (KeysetListFrame::LIMIT + DepositResponseFrame::LIMIT);

/// What is kept of an answer: how many payments it is about (2 bytes, little-endian), their ids, the frame.
pub(crate) fn to_be_kept(payments: impl ExactSizeIterator<Item = PaymentId>, answer: &DepositResponseFrame) -> Vec<u8> {
    // A batch holds 64 at most; a count that does not fit could not be read below.
    let mut out = u16::try_from(payments.len()).unwrap_or(u16::MAX).to_le_bytes().to_vec();
    out.extend(payments.flat_map(|payment| payment.0));
    out.extend(answer.to_bytes());
    out
}

fn kept(mut bytes: &[u8]) -> Option<(Vec<PaymentId>, DepositResponseFrame)> {
    let mut count = [0; 2];
    bytes.read_exact(&mut count).ok()?;
    let mut payments = Vec::new();
    for _ in 0..u16::from_le_bytes(count) {
        let (id, rest) = bytes.split_first_chunk()?;
        payments.push(PaymentId(*id));
        bytes = rest;
    }
    Some((payments, DepositResponseFrame::from_bytes(bytes).ok()?))
}

/// Why there is no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoReceipt {
    /// No payment with this id was claimed here.
    #[error("no such payment")]
    UnknownPayment,
    /// The mint has refused the payment.
    #[error("the payment was refused: the mint has booked nothing")]
    NotBooked,
    /// The payment was given back.
    #[error("the payment was given back: nothing is owed for it")]
    GivenBack,
}

impl NoReceipt {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownPayment => "payment-unknown",
            Self::NotBooked => "payment-refused",
            Self::GivenBack => "payment-refunded",
        }
    }
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// It is no receipt of this kind, or too long.
    #[error("this is no deposit receipt (receipt-malformed)")]
    Malformed,
    /// Its keyset list is not signed by the root key it is checked under.
    #[error("its keysets are not signed by this mint (receipt-other-mint)")]
    OtherMint,
    /// The answer is not signed by one of these keysets, or not as it stands.
    #[error("the mint has not signed this answer (receipt-unsigned)")]
    Unsigned,
    /// The answer is not about a payment of this publisher, amount and tokens.
    #[error("the answer is about something else (receipt-other-payment)")]
    OtherPayment,
    /// The mint has signed that it did not book the payment.
    #[error("the mint has not booked this payment (receipt-not-booked)")]
    NotBooked,
}

impl ReceiptError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "receipt-malformed",
            Self::OtherMint => "receipt-other-mint",
            Self::Unsigned => "receipt-unsigned",
            Self::OtherPayment => "receipt-other-payment",
            Self::NotBooked => "receipt-not-booked",
        }
    }
}

/// A spent key as a receipt shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    keyset: String,
    denomination: String,
    key: String,
}

/// The mint's signed answer about one payment. Its JSON holds no secret and names neither reader nor article; `payment` in it is what the
/// publisher has given its reader as reference.
///
/// # Security
/// Nothing in it is checked before [`DepositReceipt::verify`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DepositReceipt {
    receipt: String,
    payment: String,
    publisher: String,
    amount: String,
    deposit_by: u64,
    subject: String,
    tokens: Vec<Token>,
    payments: Vec<String>,
    answer: String,
    keysets: String,
}

impl std::fmt::Debug for DepositReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DepositReceipt(..)")
    }
}

/// What a mint has signed. Only verification makes one.
///
/// # Security
/// The mint has booked this amount for this publisher when its ledger stood at `mark`, under a payment id that fits nothing else. It is
/// not said that the amount was paid out, nor that the payment was not given back since, nor who paid, nor for what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvenDeposit {
    /// The payment.
    pub payment: PaymentId,
    /// Whom the mint owes.
    pub publisher: String,
    /// How much.
    pub amount: Amount,
    /// What amounts count in.
    pub unit: Unit,
    /// Where the ledger stood.
    pub mark: LedgerMark,
    /// Whether the answer was given when the payment was booked, and not when it was handed in again.
    pub first: bool,
}

fn text(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn key(text: &str) -> Result<[u8; 32], ReceiptError> {
    let mut bytes = [0; 32];
    match Base64UrlUnpadded::decode(text, &mut bytes) {
        Ok(decoded) if decoded.len() == 32 => Ok(bytes),
        _ => Err(ReceiptError::Malformed),
    }
}

/// A number in its one spelling.
fn number(text: &str) -> Result<Amount, ReceiptError> {
    let number = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    number.map(Amount::from_units).ok_or(ReceiptError::Malformed)
}

fn frame<F: Frame>(text: &str) -> Result<F, ReceiptError> {
    let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| ReceiptError::Malformed)?;
    F::from_bytes(&bytes).map_err(|_| ReceiptError::Malformed)
}

impl DepositReceipt {
    fn new(payment: PaymentId, deposit: &Deposit, answer: &[u8], list: &KeysetList) -> Option<Self> {
        let (payments, answer) = kept(answer)?;
        let spending = deposit.spending();
        let token = |key: &SpentKey| Token { keyset: text(&key.keyset.0), denomination: key.denomination.to_string(), key: text(&key.key) };
        Some(Self {
            receipt: KIND.to_owned(),
            payment: text(&payment.0),
            publisher: deposit.recipient().to_owned(),
            amount: deposit.payment().amount().to_string(),
            deposit_by: deposit.payment().deposit_by(),
            subject: text(&deposit.to_body().subject.0),
            tokens: spending.list().iter().map(token).collect(),
            payments: payments.iter().map(|payment| text(&payment.0)).collect(),
            answer: text(&answer.to_bytes()),
            keysets: text(&list.to_frame().to_bytes()),
        })
    }

    /// Reads a receipt that was written by [`DepositReceipt::to_json`].
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, ReceiptError> {
        if json.len() > LIMIT {
            return Err(ReceiptError::Malformed);
        }
        let receipt: Self = serde_json::from_slice(json).map_err(|_| ReceiptError::Malformed)?;
        if receipt.receipt == KIND { Ok(receipt) } else { Err(ReceiptError::Malformed) }
    }

    /// The receipt as one JSON object.
    pub fn to_json(&self) -> String {
        // Texts and numbers always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Checks the receipt under the mint's root key, and asks nobody.
    ///
    /// Implements R-VERIF-35.
    ///
    /// # Errors
    /// [`ReceiptError`], one variant per defect.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify(&self, root: &Point) -> Result<ProvenDeposit, ReceiptError> {
        let list = KeysetList::verify(&frame::<KeysetListFrame>(&self.keysets)?, root).map_err(|_| ReceiptError::OtherMint)?;
        let answer: DepositResponseFrame = frame(&self.answer)?;
        let amount = number(&self.amount)?;
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            let (keyset, denomination) = (KeysetId(key(&token.keyset)?), number(&token.denomination)?);
            tokens.push(SpentKey { keyset, denomination, key: key(&token.key)? });
        }
        let statement = Statement::new(self.publisher.as_bytes(), amount, self.deposit_by, &key(&self.subject)?);
        let payment = PaymentId::new(&statement, &tokens);
        let value = Amount::checked_sum(tokens.iter().map(|token| token.denomination));
        let change = value.and_then(|value| value.checked_sub(amount)).ok_or(ReceiptError::OtherPayment)?;

        let payments = self.payments.iter().map(|text| key(text).map(PaymentId)).collect::<Result<Vec<_>, _>>()?;
        // What the others are owed is between them and the mint: its own word is taken for it.
        let said = |outcome: &OutcomeBody| match outcome {
            OutcomeBody::Credited { change } | OutcomeBody::AlreadyCredited { change } => Amount::from_units(*change),
            _ => Amount::ZERO,
        };
        if payments.len() != answer.outcomes.len() {
            return Err(ReceiptError::Unsigned);
        }
        let asked: Vec<_> = payments.iter().copied().zip(answer.outcomes.iter().map(said)).collect();
        verify_answer(&answer, &asked, &list).map_err(|_| ReceiptError::Unsigned)?;

        let place = payments.iter().position(|known| *known == payment).filter(|_| key(&self.payment) == Ok(payment.0));
        let outcome = &answer.outcomes[place.ok_or(ReceiptError::OtherPayment)?];
        let (first, booked) = match outcome {
            OutcomeBody::Credited { change } => (true, *change),
            OutcomeBody::AlreadyCredited { change } => (false, *change),
            _ => return Err(ReceiptError::NotBooked),
        };
        let unit = list.common_unit(tokens.iter().map(|token| token.keyset)).filter(|_| booked == change.units());
        let unit = unit.ok_or(ReceiptError::OtherPayment)?.clone();
        Ok(ProvenDeposit { payment, publisher: self.publisher.clone(), amount, unit, mark: answer.mark, first })
    }
}

impl<S: Store> Verifier<S> {
    /// The mint's signed answer about a payment, to be shown to whoever settles a dispute: as it was kept when the payment was settled. A
    /// payment the mint has not decided yet is handed in first; one that was settled without keeping the answer is handed in again.
    ///
    /// Implements R-VERIF-35.
    ///
    /// # Errors
    /// [`VerifierError::NoReceipt`]; [`VerifierError::MintUnavailable`] if the mint had to be asked and does not answer, or not believably;
    /// [`VerifierError::Store`].
    pub async fn deposit_receipt(&self, payment: PaymentId) -> Result<DepositReceipt, VerifierError> {
        let inner = self.inner();
        let record = inner.store.payment(payment).await?.ok_or(NoReceipt::UnknownPayment)?;
        if record.state.is_open() {
            // What else could not be handed in does not matter here.
            let _ = inner.outbox.drain().await;
        }
        let trusted = inner.keysets.trusted().map_err(|_| VerifierError::MintUnavailable)?;
        for asked in [false, true] {
            let Some(found) = inner.store.kept_answer(payment).await? else {
                let record = inner.store.payment(payment).await?.ok_or(NoReceipt::UnknownPayment)?;
                return Err(match record.state {
                    PaymentState::Refused(_) => NoReceipt::NotBooked.into(),
                    PaymentState::Refunded => NoReceipt::GivenBack.into(),
                    _ => VerifierError::MintUnavailable,
                });
            };
            if let Some(answer) = &found.answer {
                let deposit = Deposit::from_body(&found.deposit).ok();
                let receipt = deposit.and_then(|deposit| DepositReceipt::new(payment, &deposit, answer, &trusted.list));
                return Ok(receipt.ok_or(StoreError::Corrupt)?);
            }
            if !asked {
                let again = KeptDeposit { payment, deposit: found.deposit, mark: None };
                let mut done = Redeposited::default();
                inner.outbox.hand_in_again(&[again], &mut done).await.map_err(|_| VerifierError::MintUnavailable)?;
            }
        }
        Err(VerifierError::MintUnavailable)
    }
}
