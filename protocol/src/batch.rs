//! The sum behind [`verify_batch`](crate::spending::verify_batch): every equation of a batch, each under a weight of its own.
//!
//! Points are decoded straight into the order in which they are summed, and nothing is allocated for a single spending: at a thousand
//! payments the memory that moves costs as much as the hashing.

use alloc::vec::Vec;
use core::ops::Range;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{VartimeMultiscalarMul, VartimePrecomputedMultiscalarMul};
use rand_core::CryptoRng;

use crate::error::ProofError;
use crate::group::{self, fifth_power, short_scalar};
use crate::labels;
use crate::proof::{KeyList, KeyProof, KeysetId, Purpose};
use crate::spending::{KeyTable, Spending, VerifyingKeyset};
use crate::token::Token;
use crate::transcript::Transcript;

/// Below this many points the tables of G, H and X win over sorting into buckets (measured; both give the same sum).
const TABLE_LIMIT: usize = 110;

/// From this many points on curve25519-dalek sorts into buckets. That pays from [`TABLE_LIMIT`] on already, so a sum in between is
/// filled up with zeros, which cost next to nothing: 10 % less for 48 payments.
const BUCKETS_FROM: usize = 190;

/// A failed batch is cut into groups of this size; a failed group is checked one by one.
const GROUP: usize = 16;

/// One spending. Its points are T, then R and P of each token.
struct Prepared {
    points: usize,
    tokens: Range<usize>,
    u: Scalar,
    weight: Scalar,
}

struct PreparedToken {
    keyset: usize,
    key: usize,
    /// c' + t^5.
    factor: Scalar,
    s: Scalar,
    t: Scalar,
    weight: Scalar,
}

/// Spendings, decoded and hashed, waiting for the sum.
pub(crate) struct Batch<'k> {
    keys: &'k KeyTable,
    used: Vec<(KeysetId, &'k VerifyingKeyset)>,
    opening: Option<(Purpose, Transcript)>,
    fresh: [u8; 32],
    /// Every byte that matters, for the weights.
    absorbed: Vec<u8>,
    prepared: Vec<Prepared>,
    tokens: Vec<PreparedToken>,
    /// e, one a token.
    coefficients: Vec<[u8; 16]>,
    points: Vec<RistrettoPoint>,
}

impl<'k> Batch<'k> {
    pub(crate) fn new<R: CryptoRng + ?Sized>(keys: &'k KeyTable, spendings: usize, rng: &mut R) -> Self {
        let mut fresh = [0; 32];
        rng.fill_bytes(&mut fresh);
        Self {
            keys,
            used: Vec::new(),
            opening: None,
            fresh,
            absorbed: Vec::with_capacity(152 * spendings),
            prepared: Vec::with_capacity(spendings),
            tokens: Vec::with_capacity(spendings),
            coefficients: Vec::with_capacity(spendings),
            points: Vec::with_capacity(3 * spendings),
        }
    }

    /// Decodes a spending's points, hashes its challenges, and keeps what the weights must depend on. One that fails leaves no trace.
    ///
    /// Implements R-SPEND-12.
    pub(crate) fn add(&mut self, spending: &Spending) -> Result<(), ProofError> {
        let (points, tokens, absorbed) = (self.points.len(), self.tokens.len(), self.absorbed.len());
        let added = self.try_add(spending);
        if added.is_err() {
            self.points.truncate(points);
            self.tokens.truncate(tokens);
            self.coefficients.truncate(tokens);
            self.absorbed.truncate(absorbed);
        }
        added
    }

    fn try_add(&mut self, spending: &Spending) -> Result<(), ProofError> {
        let (points, tokens) = (self.points.len(), self.tokens.len());
        let proof = spending.proof();
        // The proof's point stands first, but a token's defects are named before it.
        self.points.push(RISTRETTO_BASEPOINT_POINT);
        for token in spending.tokens() {
            self.add_token(token)?;
        }
        self.points[points] = group::decode_element(&proof.t).map_err(|_| ProofError::InvalidPoint)?;
        let purpose = spending.purpose();
        let opening = match &mut self.opening {
            Some((known, opening)) if *known == purpose => opening,
            other => &mut other.insert((purpose, KeyProof::opening(purpose))).1,
        };
        proof.coefficients(opening, spending.statement(), KeyList::Tokens(spending.list()), &mut self.coefficients);
        // e binds purpose, S, L and T; with u that is every byte of the proof.
        self.absorbed.extend_from_slice(&(spending.tokens().len() as u64).to_le_bytes());
        self.absorbed.extend_from_slice(self.coefficients[tokens..].as_flattened());
        self.absorbed.extend_from_slice(proof.u.as_bytes());
        self.prepared.push(Prepared { points, tokens: tokens..self.tokens.len(), u: proof.u, weight: Scalar::ZERO });
        Ok(())
    }

    fn add_token(&mut self, token: &Token) -> Result<(), ProofError> {
        let id = token.keyset();
        let keyset = if let Some(index) = self.used.iter().position(|(known, _)| *known == id) {
            index
        } else {
            self.used.push((id, self.keys.get(&id).ok_or(ProofError::UnknownKeyset)?));
            self.used.len() - 1
        };
        let verifying = self.used[keyset].1;
        let key = verifying.position(token.denomination()).ok_or(ProofError::UnknownDenomination)?;
        for encoded in [&token.signature.r, &token.spent_key.key] {
            self.points.push(group::decode_element(encoded).map_err(|_| ProofError::InvalidPoint)?);
        }
        let challenge = verifying.contexts[key].challenge(&token.spent_key.key, &token.signature.r);
        let (s, t) = (token.signature.s, token.signature.t);
        // c' binds keyset, denomination, X, m and R; with s and t that is every byte of the token.
        for part in [&challenge, &s, &t] {
            self.absorbed.extend_from_slice(part.as_bytes());
        }
        self.tokens.push(PreparedToken { keyset, key, factor: challenge + fifth_power(&t), s, t, weight: Scalar::ZERO });
        Ok(())
    }

    /// One independent 128-bit weight for each equation, from everything in the batch and 32 fresh bytes.
    ///
    /// Implements R-SPEND-14.
    pub(crate) fn draw_weights(&mut self) {
        let mut bytes = alloc::vec![[0; 16]; self.prepared.len() + self.tokens.len()];
        Transcript::new(labels::BATCH)
            .bytes(labels::FRESH, &self.fresh)
            .count(self.prepared.len())
            .bytes(labels::MESSAGE, &self.absorbed)
            .fill(labels::CHALLENGE, bytes.as_flattened_mut());
        let (proofs, tokens) = bytes.split_at(self.prepared.len());
        for (one, weight) in self.prepared.iter_mut().zip(proofs) {
            one.weight = short_scalar(*weight);
        }
        for (one, weight) in self.tokens.iter_mut().zip(tokens) {
            one.weight = short_scalar(*weight);
        }
    }

    /// Sums everything; if that fails, groups; in a failed group each spending by itself.
    ///
    /// Implements R-SPEND-15.
    ///
    /// With one bad spending in every group the work is two passes of the whole and one check of each spending alone; never more.
    pub(crate) fn check_all(&self) -> Vec<Result<(), ProofError>> {
        let count = self.prepared.len();
        let mut answers = alloc::vec![Ok(()); count];
        if count == 0 || self.holds(0..count, true) {
            return answers;
        }
        for start in (0..count).step_by(GROUP) {
            let group = start..(start + GROUP).min(count);
            // A group that is the whole batch has just been summed.
            if group.len() < count && self.holds(group.clone(), true) {
                continue;
            }
            for index in group {
                answers[index] = self.check_one(index, count == 1);
            }
        }
        answers
    }

    /// Checks one spending, and tells a bad signature from a bad proof.
    fn check_one(&self, index: usize, failed: bool) -> Result<(), ProofError> {
        let range = index..index + 1;
        if !failed && self.holds(range.clone(), true) {
            Ok(())
        } else if self.holds(range, false) {
            Err(ProofError::InvalidProof)
        } else {
            Err(ProofError::InvalidSignature)
        }
    }

    /// Whether the weighted sum of the range's signature equations, and with `proofs` of its proofs' too, is zero.
    fn holds(&self, range: Range<usize>, proofs: bool) -> bool {
        let (mut g, mut h) = (Scalar::ZERO, Scalar::ZERO);
        let mut keys: Vec<Vec<Scalar>> = self.used.iter().map(|(_, keyset)| alloc::vec![Scalar::ZERO; keyset.keys.len()]).collect();
        let capacity = 3 * range.len() + 2;
        let (mut scalars, mut points) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        for one in &self.prepared[range] {
            if proofs {
                g -= one.weight * one.u;
                scalars.push(one.weight);
                points.push(&self.points[one.points]);
            }
            for (offset, index) in one.tokens.clone().enumerate() {
                let token = &self.tokens[index];
                g -= token.weight * token.s;
                h -= token.weight * token.t;
                keys[token.keyset][token.key] += token.weight * token.factor;
                scalars.push(token.weight);
                points.push(&self.points[one.points + 1 + 2 * offset]);
                if proofs {
                    scalars.push(one.weight * short_scalar(self.coefficients[index]));
                    points.push(&self.points[one.points + 2 + 2 * offset]);
                }
            }
        }
        group::is_zero(&self.sum(g, h, &keys, scalars, points))
    }

    fn sum<'a>(
        &'a self,
        g: Scalar,
        h: Scalar,
        keys: &[Vec<Scalar>],
        mut scalars: Vec<Scalar>,
        mut points: Vec<&'a RistrettoPoint>,
    ) -> RistrettoPoint {
        let tabled = points.len() < TABLE_LIMIT;
        for ((_, keyset), sums) in self.used.iter().zip(keys).skip(usize::from(tabled)) {
            for (key, sum) in keyset.keys.iter().zip(sums).filter(|(_, sum)| **sum != Scalar::ZERO) {
                scalars.push(*sum);
                points.push(key);
            }
        }
        if tabled && let (Some((_, keyset)), Some(sums)) = (self.used.first(), keys.first()) {
            return keyset.table.vartime_mixed_multiscalar_mul([g, h].iter().chain(sums), scalars, points);
        }
        scalars.extend([g, h]);
        points.extend([&RISTRETTO_BASEPOINT_POINT, &self.keys.second_generator]);
        let filled = points.len().max(BUCKETS_FROM);
        scalars.resize(filled, Scalar::ZERO);
        points.resize(filled, &RISTRETTO_BASEPOINT_POINT);
        RistrettoPoint::vartime_multiscalar_mul(scalars, points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::group::Point;
    use crate::proof::{SpendKey, SpentKey, Statement, prove};
    use crate::snowblind::{Blinding, SigningContext, SigningKey, commit};
    use crate::spending::verify_batch;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn a_batch_checks_each_proof_for_its_own_purpose() {
        let mut rng = StdRng::seed_from_u64(1);
        let (id, denomination, signer) = (KeysetId([1; 32]), Amount::from_units(500), SigningKey::generate(&mut rng));
        let keys = KeyTable::new([(id, VerifyingKeyset::new(id, &[(denomination, *signer.public())]))]);
        let context = SigningContext::new(&id.0, 500, signer.public());
        let mut proven = |proven: Purpose, claimed: Purpose| {
            let key = SpendKey::generate(&mut rng);
            let spent = SpentKey { keyset: id, denomination, key: key.public().to_bytes() };
            let (nonces, commitment) = commit(&Point::second_generator(), &mut rng).unwrap();
            let blinding = Blinding::generate(&mut rng);
            let (pending, challenge) = blinding.challenge(&context, signer.public(), &commitment, &spent.key).unwrap();
            let signature = pending.unblind(&nonces.respond(&signer, &challenge)).unwrap();
            let statement = Statement::from_bytes([2; 32]);
            let proof = prove(proven, &statement, KeyList::Tokens(&[spent]), &[&key], &mut rng).unwrap();
            Spending::new(claimed, statement, alloc::vec![Token::new(spent, signature)], proof)
        };
        let (pay, refresh) = (Purpose::Pay, Purpose::Refresh);
        let batch = alloc::vec![proven(pay, pay), proven(refresh, refresh), proven(refresh, pay), proven(pay, refresh), proven(pay, pay)];
        let answers = verify_batch(batch, &keys, &mut StdRng::seed_from_u64(2)).unwrap();
        let answers: Vec<_> = answers.into_iter().map(Result::err).collect();
        assert_eq!(answers, [None, None, Some(ProofError::InvalidProof), Some(ProofError::InvalidProof), None]);
    }
}
