//! Payments: from frame, to structurally valid, to stated, to checked.
//!
//! ```text
//! PaymentFrame --Payment::from_frame--> Payment --state--> Spending --verify--> Checked<Spending>
//!   raw bytes      sums, order, counts           S, L, id            curve work (spending.rs)
//! ```

use alloc::string::String;
use alloc::vec::Vec;

use crate::amount::Amount;
use crate::error::{GroupError, PaymentError};
use crate::proof::{KeyProof, KeysetId, Purpose, SpentKey, Statement};
use crate::snowblind::Signature;
use crate::spending::Spending;
use crate::token::{MAX_TOKENS, Token};
use crate::wire::{Bytes, DepositBody, PaymentFrame, TokenBody, TokensBody};

/// The longest name of a recipient, in bytes: a host name and a port.
pub const MAX_RECIPIENT: usize = 260;

/// What a payment says: to whom, how much, until when, about what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentTerms<'a> {
    /// The publisher's name.
    pub recipient: &'a str,
    /// What is paid.
    pub amount: Amount,
    /// The last second at which the mint may take it, Unix time.
    pub deposit_by: u64,
    /// D, the salted digest of the HTTP challenge.
    pub subject: [u8; 32],
}

impl PaymentTerms<'_> {
    /// S = Hash(recipient, amount, `deposit_by`, D).
    pub fn statement(&self) -> Statement {
        Statement::new(self.recipient.as_bytes(), self.amount, self.deposit_by, &self.subject)
    }
}

/// A payment that is well formed: 1 to 24 tokens in order, none twice, worth at least the amount.
///
/// # Security
/// No signature and no proof has been looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct Payment {
    amount: Amount,
    deposit_by: u64,
    tokens: Vec<Token>,
    value: Amount,
    proof: KeyProof,
}

impl Payment {
    /// Checks everything about a payment that needs no curve arithmetic.
    ///
    /// Implements R-SPEND-10.
    ///
    /// # Errors
    /// [`PaymentError`], one variant per defect.
    pub fn from_frame(frame: &PaymentFrame) -> Result<Self, PaymentError> {
        let tokens = tokens_from_body(&frame.tokens)?;
        let value = Amount::checked_sum(tokens.iter().map(Token::denomination)).ok_or(PaymentError::Overflow)?;
        let amount = Amount::from_units(frame.amount);
        if amount.is_zero() {
            return Err(PaymentError::ZeroAmount);
        }
        if value < amount {
            return Err(PaymentError::Insufficient);
        }
        let proof = KeyProof::from_body(&frame.proof).map_err(|_| PaymentError::NonCanonicalScalar)?;
        Ok(Self { amount, deposit_by: frame.deposit_by, tokens, value, proof })
    }

    /// For the payer, whose tokens are sorted and suffice.
    pub(crate) fn from_parts(amount: Amount, deposit_by: u64, tokens: Vec<Token>, proof: KeyProof) -> Self {
        let value = Amount::checked_sum(tokens.iter().map(Token::denomination)).unwrap_or(amount);
        Self { amount, deposit_by, tokens, value, proof }
    }

    /// The frame to send.
    pub fn to_frame(&self) -> PaymentFrame {
        PaymentFrame {
            amount: self.amount.units(),
            deposit_by: self.deposit_by,
            tokens: tokens_to_body(&self.tokens),
            proof: self.proof.to_body(),
        }
    }

    /// What is paid.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// What the tokens are worth.
    pub const fn value(&self) -> Amount {
        self.value
    }

    /// The rest: value less amount.
    pub fn change(&self) -> Amount {
        Amount::from_units(self.value.units() - self.amount.units())
    }

    /// The last second at which the mint may take it, Unix time.
    pub const fn deposit_by(&self) -> u64 {
        self.deposit_by
    }

    /// The tokens, ascending.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Says what the payment is about: the verifier names itself and D, so that a payment to anybody else fails the proof.
    ///
    /// Implements R-HTTP-03.
    pub fn state(&self, recipient: &str, subject: [u8; 32]) -> Spending {
        let terms = PaymentTerms { recipient, amount: self.amount, deposit_by: self.deposit_by, subject };
        Spending::new(Purpose::Pay, terms.statement(), self.tokens.clone(), self.proof)
    }
}

/// A payment with its recipient and D: what a publisher deposits.
#[derive(Clone, PartialEq, Eq)]
pub struct Deposit {
    recipient: String,
    subject: [u8; 32],
    payment: Payment,
}

impl Deposit {
    /// Joins a payment with the opening of its statement.
    ///
    /// # Errors
    /// [`PaymentError::RecipientTooLong`].
    pub fn new(recipient: &str, subject: [u8; 32], payment: Payment) -> Result<Self, PaymentError> {
        if recipient.len() > MAX_RECIPIENT {
            return Err(PaymentError::RecipientTooLong);
        }
        Ok(Self { recipient: recipient.into(), subject, payment })
    }

    /// Checks everything that needs no curve arithmetic.
    ///
    /// # Errors
    /// [`PaymentError`], one variant per defect.
    pub fn from_body(body: &DepositBody) -> Result<Self, PaymentError> {
        Self::new(&body.recipient, body.subject.0, Payment::from_frame(&body.payment)?)
    }

    /// The body to send.
    pub fn to_body(&self) -> DepositBody {
        DepositBody { recipient: self.recipient.clone(), subject: self.subject.into(), payment: self.payment.to_frame() }
    }

    /// The publisher's name.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// The payment.
    pub const fn payment(&self) -> &Payment {
        &self.payment
    }

    /// The statement about the payment's tokens, to be verified.
    pub fn spending(&self) -> Spending {
        self.payment.state(&self.recipient, self.subject)
    }
}

/// Checks order, counts and scalars of tokens.
///
/// Implements R-SPEND-09.
pub(crate) fn tokens_from_body(body: &TokensBody) -> Result<Vec<Token>, PaymentError> {
    if body.tokens.is_empty() {
        return Err(PaymentError::Empty);
    }
    if body.tokens.len() > MAX_TOKENS {
        return Err(PaymentError::TooManyTokens);
    }
    if !body.keysets.is_sorted_by(|a, b| a < b) {
        return Err(PaymentError::NotSorted);
    }
    let mut used = alloc::vec![false; body.keysets.len()];
    let mut tokens: Vec<Token> = Vec::with_capacity(body.tokens.len());
    for token in &body.tokens {
        let index = usize::from(token.keyset);
        let keyset = KeysetId(body.keysets.get(index).ok_or(PaymentError::KeysetIndex)?.0);
        used[index] = true;
        if token.denomination == 0 {
            return Err(PaymentError::ZeroAmount);
        }
        let spent_key = SpentKey { keyset, denomination: Amount::from_units(token.denomination), key: token.key.0 };
        match tokens.last().map(|last| last.spent_key.cmp(&spent_key)) {
            Some(core::cmp::Ordering::Equal) => return Err(PaymentError::DuplicateToken),
            Some(core::cmp::Ordering::Greater) => return Err(PaymentError::NotSorted),
            _ => {}
        }
        let signature = Signature::from_body(&token.signature).map_err(|error| match error {
            GroupError::ZeroScalar => PaymentError::ZeroScalar,
            _ => PaymentError::NonCanonicalScalar,
        })?;
        tokens.push(Token { spent_key, signature });
    }
    if used.contains(&false) {
        return Err(PaymentError::NotSorted);
    }
    Ok(tokens)
}

/// The body of sorted tokens.
pub(crate) fn tokens_to_body(tokens: &[Token]) -> TokensBody {
    let mut keysets: Vec<Bytes<32>> = tokens.iter().map(|token| token.keyset().0.into()).collect();
    keysets.dedup();
    let mut index = 0_u8;
    let tokens = tokens.iter().map(|token| {
        // At most 24 tokens, ascending by keyset, so the index runs through the table once and fits.
        while keysets[usize::from(index)].0 != token.keyset().0 {
            index += 1;
        }
        TokenBody {
            keyset: index,
            denomination: token.denomination().units(),
            key: token.spent_key.key.into(),
            signature: token.signature.to_body(),
        }
    });
    let tokens = tokens.collect();
    TokensBody { keysets, tokens }
}
