//! Tokens, and the states a reader's tokens go through: owned, then paid or retired, never back.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::amount::Amount;
use crate::error::UseError;
use crate::payment::{Payment, PaymentTerms};
use crate::proof::{KeyList, KeyProof, KeysetId, PaymentId, Purpose, SpendKey, SpentKey, Statement, prove};
use crate::snowblind::Signature;

/// How many tokens one payment or refresh may hold.
pub const MAX_TOKENS: usize = 24;

/// A keyset, a denomination, a public key P and the mint's signature on P: 168 bytes in memory.
///
/// Whoever knows k with P = kG may spend it; who merely sees it cannot.
///
/// # Security
/// Holding one says nothing about its signature: that is verified with the proof of spending.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub(crate) spent_key: SpentKey,
    pub(crate) signature: Signature,
}

impl Token {
    /// Puts a token together from its parts.
    pub const fn new(spent_key: SpentKey, signature: Signature) -> Self {
        Self { spent_key, signature }
    }

    /// What is marked as spent when this token is.
    pub const fn spent_key(&self) -> &SpentKey {
        &self.spent_key
    }

    /// The mint's signature.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The token's value.
    pub const fn denomination(&self) -> Amount {
        self.spent_key.denomination
    }

    /// The keyset that issued it.
    pub const fn keyset(&self) -> KeysetId {
        self.spent_key.keyset
    }
}

/// A token with its key: spendable once, by value.
pub struct OwnedToken {
    pub(crate) token: Token,
    pub(crate) key: SpendKey,
}

impl OwnedToken {
    /// Joins a token and its key.
    ///
    /// # Errors
    /// [`UseError::KeyMismatch`] if the key's public part is not the token's.
    pub fn new(token: Token, key: SpendKey) -> Result<Self, UseError> {
        if token.spent_key.key != *key.public().as_bytes() {
            return Err(UseError::KeyMismatch);
        }
        Ok(Self { token, key })
    }

    /// The token.
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The key, for the wallet's own storage.
    pub const fn key(&self) -> &SpendKey {
        &self.key
    }
}

/// Tokens about to be spent together: sorted, without duplicates, at most [`MAX_TOKENS`].
pub struct OwnedTokens(Vec<OwnedToken>);

impl OwnedTokens {
    /// Sorts the tokens for spending.
    ///
    /// # Errors
    /// [`UseError::NoKeys`], [`UseError::TooManyKeys`] or [`UseError::DuplicateToken`].
    pub fn new(mut tokens: Vec<OwnedToken>) -> Result<Self, UseError> {
        if tokens.is_empty() {
            return Err(UseError::NoKeys);
        }
        if tokens.len() > MAX_TOKENS {
            return Err(UseError::TooManyKeys);
        }
        // In place: a stable sort would leave copies of the keys in a buffer that nobody wipes.
        tokens.sort_unstable_by_key(|owned| owned.token.spent_key);
        if tokens.windows(2).any(|pair| pair[0].token.spent_key == pair[1].token.spent_key) {
            return Err(UseError::DuplicateToken);
        }
        Ok(Self(tokens))
    }

    /// The tokens' value, or `None` if it does not fit.
    pub fn value(&self) -> Option<Amount> {
        Amount::checked_sum(self.0.iter().map(|owned| owned.token.denomination()))
    }

    /// Pays: consumes the tokens, returns the payment and what may still be proved with their keys.
    ///
    /// Implements R-SPEND-11.
    ///
    /// # Errors
    /// [`UseError::InvalidAmount`] if the amount is zero or more than the tokens are worth.
    ///
    /// # Security
    /// The caller stores the payment's bytes durably before sending, and only ever sends those bytes again.
    ///
    /// # Timing
    /// Constant time in the keys.
    ///
    /// # Example
    /// Paying twice does not compile:
    ///
    /// ```compile_fail
    /// # use farthing_protocol::{payment::PaymentTerms, token::OwnedTokens};
    /// fn twice(tokens: OwnedTokens, news: &PaymentTerms<'_>, blog: &PaymentTerms<'_>, rng: &mut rand::rngs::StdRng) {
    ///     tokens.pay(news, rng);
    ///     tokens.pay(blog, rng);
    /// }
    /// ```
    pub fn pay<R: CryptoRng + ?Sized>(self, terms: &PaymentTerms<'_>, rng: &mut R) -> Result<(Payment, UsedTokens), UseError> {
        let value = self.value().ok_or(UseError::InvalidAmount)?;
        if terms.amount.is_zero() || value < terms.amount {
            return Err(UseError::InvalidAmount);
        }
        let used = UsedTokens(self.0);
        let statement = terms.statement();
        let proof = used.prove_any(Purpose::Pay, &statement, rng)?;
        let tokens = used.0.iter().map(|owned| owned.token).collect();
        Ok((Payment::from_parts(terms.amount, terms.deposit_by, tokens, proof), used))
    }

    /// Gives up paying with these tokens for good: from here on they can only be refreshed.
    pub fn retire(self) -> UsedTokens {
        UsedTokens(self.0)
    }
}

/// Tokens that were paid or retired: their keys can still prove, but never pay.
///
/// Implements R-SPEND-11.
pub struct UsedTokens(Vec<OwnedToken>);

impl UsedTokens {
    /// The spent keys, ascending: the list L.
    pub fn list(&self) -> Vec<SpentKey> {
        self.0.iter().map(|owned| owned.token.spent_key).collect()
    }

    /// The tokens, in the order of the list.
    pub fn tokens(&self) -> Vec<Token> {
        self.0.iter().map(|owned| owned.token).collect()
    }

    /// The tokens' value, or `None` if it does not fit.
    pub fn value(&self) -> Option<Amount> {
        Amount::checked_sum(self.0.iter().map(|owned| owned.token.denomination()))
    }

    /// The id of the payment that said `statement` with these tokens.
    pub fn payment_id(&self, statement: &Statement) -> PaymentId {
        PaymentId::new(statement, &self.list())
    }

    /// Proves that the reader of a payment asks to read again.
    ///
    /// Implements R-HTTP-04.
    ///
    /// # Errors
    /// [`UseError`] only for a broken caller.
    ///
    /// # Timing
    /// Constant time in the keys.
    pub fn reread<R: CryptoRng + ?Sized>(&self, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        self.prove_any(Purpose::Reread, statement, rng)
    }

    /// Proves a refresh of these tokens.
    ///
    /// # Errors
    /// [`UseError`] only for a broken caller.
    ///
    /// # Timing
    /// Constant time in the keys.
    pub fn refresh<R: CryptoRng + ?Sized>(&self, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        self.prove_any(Purpose::Refresh, statement, rng)
    }

    /// Proves that the payer of a settled payment takes its change.
    ///
    /// # Errors
    /// [`UseError`] only for a broken caller.
    ///
    /// # Timing
    /// Constant time in the keys.
    pub fn change<R: CryptoRng + ?Sized>(&self, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        self.prove_any(Purpose::Change, statement, rng)
    }

    /// Proves that the payer of a refunded payment takes its amount back.
    ///
    /// # Errors
    /// [`UseError`] only for a broken caller.
    ///
    /// # Timing
    /// Constant time in the keys.
    pub fn reclaim<R: CryptoRng + ?Sized>(&self, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        self.prove_any(Purpose::Reclaim, statement, rng)
    }

    /// Proves that the holder of tokens of a frozen denomination takes their value back.
    ///
    /// # Errors
    /// [`UseError`] only for a broken caller.
    ///
    /// # Timing
    /// Constant time in the keys.
    pub fn recover<R: CryptoRng + ?Sized>(&self, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        self.prove_any(Purpose::Recover, statement, rng)
    }

    fn prove_any<R: CryptoRng + ?Sized>(&self, purpose: Purpose, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        let keys: Vec<&SpendKey> = self.0.iter().map(|owned| &owned.key).collect();
        prove(purpose, statement, KeyList::Tokens(&self.list()), &keys, rng)
    }
}
