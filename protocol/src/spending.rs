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
use core::ops::Range;

use curve25519_dalek::ristretto::{RistrettoPoint, VartimeRistrettoPrecomputation};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{VartimeMultiscalarMul, VartimePrecomputedMultiscalarMul};
use rand_core::CryptoRng;

use crate::amount::Amount;
use crate::error::ProofError;
use crate::group::{self, Point, fifth_power, short_scalar};
use crate::labels;
use crate::proof::{KeyList, KeyProof, KeysetId, PaymentId, Purpose, SpentKey, Statement};
use crate::snowblind::{Signature, SigningContext};
use crate::token::Token;
use crate::transcript::Transcript;

/// Below this many points the tables of G, H and X win over sorting into buckets (measured; both give the same sum).
const TABLE_LIMIT: usize = 150;

/// A failed batch is cut into groups of this size; a failed group is checked one by one. Wasted work stays below one extra pass.
const GROUP: usize = 16;

/// The public keys of one keyset, ready for verification.
pub struct VerifyingKeyset {
    denominations: Vec<Amount>,
    keys: Vec<RistrettoPoint>,
    contexts: Vec<SigningContext>,
    table: VartimeRistrettoPrecomputation,
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

    fn position(&self, denomination: Amount) -> Option<usize> {
        self.denominations.binary_search(&denomination).ok()
    }
}

/// The keysets a verification may use, by id.
pub struct KeyTable {
    keysets: BTreeMap<KeysetId, VerifyingKeyset>,
    second_generator: RistrettoPoint,
}

impl KeyTable {
    /// A table of prepared keysets.
    pub fn new(keysets: impl IntoIterator<Item = (KeysetId, VerifyingKeyset)>) -> Self {
        Self { keysets: keysets.into_iter().collect(), second_generator: *Point::second_generator().element() }
    }

    fn get(&self, id: &KeysetId) -> Option<&VerifyingKeyset> {
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
    /// # Errors
    /// [`ProofError`]: what is wrong with it.
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

/// One spending, decoded and hashed, waiting for the sum.
struct Prepared {
    tokens: Vec<PreparedToken>,
    t: RistrettoPoint,
    coefficients: Vec<Scalar>,
    u: Scalar,
    proof_weight: Scalar,
}

struct PreparedToken {
    keyset: usize,
    key: usize,
    r: RistrettoPoint,
    p: RistrettoPoint,
    challenge: Scalar,
    s: Scalar,
    t: Scalar,
    weight: Scalar,
}

/// Verifies many spendings at once; the answers come in the order of the input.
///
/// Cost (ristretto255, one core): about 25 to 37 us for each one-token payment from 64 on, 71 to 79 us alone.
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
    let mut used: Vec<(KeysetId, &VerifyingKeyset)> = Vec::new();
    let mut weights = Transcript::new(labels::BATCH);
    let mut fresh = [0; 32];
    rng.fill_bytes(&mut fresh);
    weights.bytes(labels::FRESH, &fresh);
    let mut prepared: Vec<Prepared> = Vec::with_capacity(spendings.len());
    let mut errors: Vec<Option<ProofError>> = Vec::with_capacity(spendings.len());
    for spending in &spendings {
        match prepare(spending, keys, &mut used, &mut weights) {
            Ok(one) => {
                prepared.push(one);
                errors.push(None);
            }
            Err(error) => errors.push(Some(error)),
        }
    }
    draw_weights(&mut prepared, &mut weights);
    let batch = Batch { prepared, used: used.into_iter().map(|(_, keyset)| keyset).collect(), second_generator: keys.second_generator };
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

/// Decodes a spending's points, hashes its challenges, and absorbs all of it into the weights' transcript.
fn prepare<'k>(
    spending: &Spending,
    keys: &'k KeyTable,
    used: &mut Vec<(KeysetId, &'k VerifyingKeyset)>,
    weights: &mut Transcript,
) -> Result<Prepared, ProofError> {
    let mut tokens = Vec::with_capacity(spending.tokens.len());
    let mut absorbed = Vec::with_capacity(96 * spending.tokens.len() + 64);
    for token in &spending.tokens {
        let id = token.keyset();
        let keyset = if let Some(index) = used.iter().position(|(known, _)| *known == id) {
            index
        } else {
            used.push((id, keys.get(&id).ok_or(ProofError::UnknownKeyset)?));
            used.len() - 1
        };
        let prepared_keyset = used[keyset].1;
        let key = prepared_keyset.position(token.denomination()).ok_or(ProofError::UnknownDenomination)?;
        let r = Point::from_bytes(token.signature.r).map_err(|_| ProofError::InvalidPoint)?;
        let p = Point::from_bytes(token.spent_key.key).map_err(|_| ProofError::InvalidPoint)?;
        let challenge = prepared_keyset.contexts[key].challenge(&token.spent_key.key, &token.signature.r);
        // c' binds keyset, denomination, X, m and R; with s and t that is every byte of the token.
        for part in [&challenge, &token.signature.s, &token.signature.t] {
            absorbed.extend_from_slice(part.as_bytes());
        }
        let (s, t) = (token.signature.s, token.signature.t);
        tokens.push(PreparedToken { keyset, key, r: *r.element(), p: *p.element(), challenge, s, t, weight: Scalar::ZERO });
    }
    let t = Point::from_bytes(spending.proof.t).map_err(|_| ProofError::InvalidPoint)?;
    let coefficients = spending.proof.coefficients(spending.purpose, &spending.statement, KeyList::Tokens(&spending.list));
    // e binds purpose, S, L and T; with u that is every byte of the proof.
    absorbed.extend_from_slice(coefficients.as_flattened());
    absorbed.extend_from_slice(spending.proof.u.as_bytes());
    weights.bytes(labels::MESSAGE, &absorbed);
    let coefficients = coefficients.into_iter().map(short_scalar).collect();
    Ok(Prepared { tokens, t: *t.element(), coefficients, u: spending.proof.u, proof_weight: Scalar::ZERO })
}

/// One independent 128-bit weight for each equation.
fn draw_weights(prepared: &mut [Prepared], transcript: &mut Transcript) {
    let count: usize = prepared.iter().map(|one| one.tokens.len() + 1).sum();
    let mut bytes = alloc::vec![0; 16 * count];
    transcript.fill(labels::CHALLENGE, &mut bytes);
    let mut drawn = bytes.as_chunks::<16>().0.iter().map(|chunk| short_scalar(*chunk));
    let mut next = || drawn.next().unwrap_or(Scalar::ONE);
    for one in prepared {
        one.proof_weight = next();
        for token in &mut one.tokens {
            token.weight = next();
        }
    }
}

struct Batch<'k> {
    prepared: Vec<Prepared>,
    used: Vec<&'k VerifyingKeyset>,
    second_generator: RistrettoPoint,
}

impl Batch<'_> {
    fn check_all(&self) -> Vec<Result<(), ProofError>> {
        let count = self.prepared.len();
        let mut answers = alloc::vec![Ok(()); count];
        if count == 0 || self.holds(0..count, true, true) {
            return answers;
        }
        for start in (0..count).step_by(GROUP) {
            let group = start..(start + GROUP).min(count);
            // A group that is the whole batch has just been summed.
            if group.len() < count && self.holds(group.clone(), true, true) {
                continue;
            }
            for index in group {
                answers[index] = self.check_one(index);
            }
        }
        answers
    }

    /// Tells a bad signature from a bad proof.
    fn check_one(&self, index: usize) -> Result<(), ProofError> {
        let range = index..index + 1;
        if !self.holds(range.clone(), true, false) {
            Err(ProofError::InvalidSignature)
        } else if !self.holds(range, false, true) {
            Err(ProofError::InvalidProof)
        } else {
            Ok(())
        }
    }

    /// Whether the weighted sum of the range's equations is zero.
    fn holds(&self, range: Range<usize>, signatures: bool, proofs: bool) -> bool {
        let (mut g, mut h) = (Scalar::ZERO, Scalar::ZERO);
        let mut keys: Vec<Vec<Scalar>> = self.used.iter().map(|keyset| alloc::vec![Scalar::ZERO; keyset.keys.len()]).collect();
        let mut scalars = Vec::with_capacity(3 * range.len());
        let mut points = Vec::with_capacity(3 * range.len());
        for one in &self.prepared[range] {
            if signatures {
                for token in &one.tokens {
                    g -= token.weight * token.s;
                    h -= token.weight * token.t;
                    keys[token.keyset][token.key] += token.weight * (token.challenge + fifth_power(&token.t));
                    scalars.push(token.weight);
                    points.push(token.r);
                }
            }
            if proofs {
                g -= one.proof_weight * one.u;
                scalars.push(one.proof_weight);
                points.push(one.t);
                for (token, e) in one.tokens.iter().zip(&one.coefficients) {
                    scalars.push(one.proof_weight * e);
                    points.push(token.p);
                }
            }
        }
        group::is_zero(&self.sum(g, h, &keys, scalars, points))
    }

    fn sum(&self, g: Scalar, h: Scalar, keys: &[Vec<Scalar>], mut scalars: Vec<Scalar>, mut points: Vec<RistrettoPoint>) -> RistrettoPoint {
        let tabled = points.len() < TABLE_LIMIT;
        for (keyset, sums) in self.used.iter().zip(keys).skip(usize::from(tabled)) {
            for (key, sum) in keyset.keys.iter().zip(sums).filter(|(_, sum)| **sum != Scalar::ZERO) {
                scalars.push(*sum);
                points.push(*key);
            }
        }
        if tabled && let (Some(keyset), Some(sums)) = (self.used.first(), keys.first()) {
            return keyset.table.vartime_mixed_multiscalar_mul([g, h].iter().chain(sums), &scalars, &points);
        }
        scalars.extend([g, h]);
        points.extend([*Point::generator().element(), self.second_generator]);
        RistrettoPoint::vartime_multiscalar_mul(&scalars, &points)
    }
}
