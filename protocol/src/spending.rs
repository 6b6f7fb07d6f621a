//! Verifying tokens with their proofs of spending, one or many at a time.
//!
//! All equations of a batch go into one multiscalar multiplication, each with a weight of its own:
//!
//! ```text
//! token j      w_j ( R_j + (c'_j + t_j^5) X_j - s_j G - t_j H ) = 0
//! proof p      v_p ( T_p + sum e_i P_i - u_p G )                = 0
//! ```
//!
//! G, H and every X fold into one scalar each. Weights are 128 bits, drawn from everything in the batch and 32 fresh bytes. One weight
//! for a whole token or payment would be a counterfeit: errors in two equations could cancel.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use curve25519_dalek::ristretto::{RistrettoPoint, VartimeRistrettoPrecomputation};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimePrecomputedMultiscalarMul;
use rand_core::CryptoRng;

use crate::amount::Amount;
use crate::batch::Batch;
use crate::error::ProofError;
use crate::group::{self, Point, fifth_power};
use crate::proof::{KeyProof, KeysetId, PaymentId, Purpose, SpentKey, Statement};
use crate::snowblind::{Signature, SigningContext};
use crate::token::Token;

/// The public keys of one keyset, ready for verification.
pub struct VerifyingKeyset {
    denominations: Vec<Amount>,
    pub(crate) keys: Vec<RistrettoPoint>,
    pub(crate) contexts: Vec<SigningContext>,
    /// Of G, H and every X, in this order.
    pub(crate) table: VartimeRistrettoPrecomputation,
}

impl VerifyingKeyset {
    /// Prepares the keys of a keyset: contexts of their challenges, and tables of G, H and every X (about 8 KiB a key).
    ///
    /// `keys` ascends by denomination, as in a validated [`Keyset`](crate::keyset::Keyset).
    pub(crate) fn new(id: KeysetId, keys: &[(Amount, Point)]) -> Self {
        let statics = [*Point::generator().element(), *Point::second_generator().element()];
        let elements: Vec<RistrettoPoint> = keys.iter().map(|(_, key)| *key.element()).collect();
        Self {
            denominations: keys.iter().map(|(denomination, _)| *denomination).collect(),
            contexts: keys.iter().map(|(denomination, key)| SigningContext::new(&id.0, denomination.units(), key)).collect(),
            table: VartimeRistrettoPrecomputation::new(statics.iter().chain(&elements)),
            keys: elements,
        }
    }

    pub(crate) fn position(&self, denomination: Amount) -> Option<usize> {
        self.denominations.binary_search(&denomination).ok()
    }
}

/// The keysets a verification may use, by id.
///
/// Implements R-SPEND-12.
pub struct KeyTable {
    keysets: BTreeMap<KeysetId, VerifyingKeyset>,
    pub(crate) second_generator: RistrettoPoint,
}

impl KeyTable {
    /// A table of prepared keysets.
    pub fn new(keysets: impl IntoIterator<Item = (KeysetId, VerifyingKeyset)>) -> Self {
        Self { keysets: keysets.into_iter().collect(), second_generator: *Point::second_generator().element() }
    }

    pub(crate) fn get(&self, id: &KeysetId) -> Option<&VerifyingKeyset> {
        self.keysets.get(id)
    }
}

/// Tokens, a statement about them, and the proof: not verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Spending {
    purpose: Purpose,
    statement: Statement,
    tokens: Vec<Token>,
    list: Vec<SpentKey>,
    proof: KeyProof,
}

impl Spending {
    /// `tokens` are sorted and without duplicates: callers pass what a validated type holds.
    pub(crate) fn new(purpose: Purpose, statement: Statement, tokens: Vec<Token>, proof: KeyProof) -> Self {
        let list = tokens.iter().map(|token| token.spent_key).collect();
        Self { purpose, statement, tokens, list, proof }
    }

    /// The payment id of this statement and these tokens.
    pub fn payment_id(&self) -> PaymentId {
        PaymentId::new(&self.statement, &self.list)
    }

    pub(crate) const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// S.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The spent keys, ascending: the list L.
    pub fn list(&self) -> &[SpentKey] {
        &self.list
    }

    /// The tokens, ascending.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The proof.
    pub const fn proof(&self) -> &KeyProof {
        &self.proof
    }

    /// Verifies this one alone.
    ///
    /// Implements R-SPEND-13.
    ///
    /// # Errors
    /// [`ProofError`]: what is wrong with it.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify<R: CryptoRng + ?Sized>(self, keys: &KeyTable, rng: &mut R) -> Result<Checked, ProofError> {
        verify_batch(alloc::vec![self], keys, rng)?.pop().ok_or(ProofError::EmptyBatch)?
    }
}

/// A spending whose signatures and proof hold. Only verification makes one.
///
/// # Security
/// Nothing is known yet about whether the tokens were spent before: that is the claim's work, and the mint's.
#[derive(Clone, PartialEq, Eq)]
pub struct Checked(Spending);

impl Checked {
    /// What was checked.
    pub const fn spending(&self) -> &Spending {
        &self.0
    }

    /// What was checked, by value.
    pub fn into_inner(self) -> Spending {
        self.0
    }
}

/// Verifies many spendings at once; the answers come in the order of the input.
///
/// Implements R-SPEND-15.
///
/// Cost of a one-token payment (AVX-512 backend, one core of a server): about 57 us alone, 22 us in a batch of 64, 19 us in one of 1,024.
/// A batch with a bad spending costs up to two passes of the whole and one check of each spending in a bad group of 16.
///
/// # Errors
/// [`ProofError::EmptyBatch`] for no spendings. Inside: why each one fails.
///
/// # Security
/// A batch accepts exactly what single checks accept, but for a chance of 2^-128 over the weights.
///
/// # Timing
/// Variable time: all inputs are public.
pub fn verify_batch<R: CryptoRng + ?Sized>(
    spendings: Vec<Spending>,
    keys: &KeyTable,
    rng: &mut R,
) -> Result<Vec<Result<Checked, ProofError>>, ProofError> {
    if spendings.is_empty() {
        return Err(ProofError::EmptyBatch);
    }
    let mut batch = Batch::new(keys, spendings.len(), rng);
    let errors: Vec<Option<ProofError>> = spendings.iter().map(|spending| batch.add(spending).err()).collect();
    batch.draw_weights();
    let mut found = batch.check_all().into_iter();
    Ok(spendings
        .into_iter()
        .zip(errors)
        .map(|(spending, error)| match error {
            Some(error) => Err(error),
            // One answer for each prepared spending, in order.
            None => found.next().unwrap_or(Err(ProofError::InvalidProof)).map(|()| Checked(spending)),
        })
        .collect())
}

/// Verifies a token's signature by itself, without a proof of spending.
///
/// # Errors
/// [`ProofError`]: what is wrong with it.
pub(crate) fn verify_signature(token: &Token, keys: &KeyTable) -> Result<(), ProofError> {
    let keyset = keys.get(&token.keyset()).ok_or(ProofError::UnknownKeyset)?;
    let key = keyset.position(token.denomination()).ok_or(ProofError::UnknownDenomination)?;
    let r = Point::from_bytes(token.signature.r).map_err(|_| ProofError::InvalidPoint)?;
    let Signature { s, t, .. } = token.signature;
    let challenge = keyset.contexts[key].challenge(&token.spent_key.key, &token.signature.r);
    let mut statics = alloc::vec![Scalar::ZERO; 2 + keyset.keys.len()];
    statics[0] = -s;
    statics[1] = -t;
    statics[2 + key] = challenge + fifth_power(&t);
    let sum = keyset.table.vartime_mixed_multiscalar_mul(&statics, [Scalar::ONE], [*r.element()]);
    if group::is_zero(&sum) { Ok(()) } else { Err(ProofError::InvalidSignature) }
}
