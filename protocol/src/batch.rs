//! The sum behind [`verify_batch`](crate::spending::verify_batch): every equation of a batch, each under a weight of its own.
//!
//! Points are decoded straight into the order in which they are summed, nothing is allocated for a single spending, and what a spending
//! holds already is not copied: at a thousand payments the memory that is moved, and asked of the system anew, costs as much as a hash.

use alloc::vec::Vec;
use core::ops::Range;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{VartimeMultiscalarMul, VartimePrecomputedMultiscalarMul};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use crate::error::ProofError;
use crate::group::{self, WeightedSum, fifth_power, short_product};
use crate::labels;
use crate::proof::{KeyList, KeyProof, KeysetId, Purpose};
use crate::public_transcript::PublicTranscript;
use crate::spending::{KeyTable, Spending, VerifyingKeyset};
use crate::token::Token;

/// Below this many points the tables of G, H and X win over sorting into buckets (measured; both give the same sum).
const TABLE_LIMIT: usize = 110;

/// From this many points on curve25519-dalek sorts into buckets. That pays from [`TABLE_LIMIT`] on already, so a sum in between is
/// filled up with zeros, which cost next to nothing: 10 % less for 48 payments.
const BUCKETS_FROM: usize = 190;

/// A failed batch is cut into groups of this size; a failed group is checked one by one.
const GROUP: usize = 16;

/// One spending, of so many tokens.
struct Prepared<'a> {
    spending: &'a Spending,
    tokens: Range<usize>,
    weight: u128,
}

struct PreparedToken<'a> {
    token: &'a Token,
    /// Where its spending is.
    spending: usize,
    keyset: usize,
    key: usize,
    /// c' + t^5.
    factor: Scalar,
    weight: u128,
}

/// Spendings, decoded and hashed, waiting for the sum.
pub(crate) struct Batch<'a> {
    keys: &'a KeyTable,
    used: Vec<(KeysetId, &'a VerifyingKeyset)>,
    opening: Option<(Purpose, PublicTranscript)>,
    fresh: [u8; 32],
    prepared: Vec<Prepared<'a>>,
    tokens: Vec<PreparedToken<'a>>,
    /// e, one a token.
    coefficients: Vec<[u8; 16]>,
    /// T, one a spending.
    nonces: Vec<RistrettoPoint>,
    /// R and P, one a token.
    commitments: Vec<RistrettoPoint>,
    owners: Vec<RistrettoPoint>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new<R: CryptoRng + ?Sized>(keys: &'a KeyTable, spendings: usize, rng: &mut R) -> Self {
        let mut fresh = [0; 32];
        rng.fill_bytes(&mut fresh);
        Self {
            keys,
            used: Vec::new(),
            opening: None,
            fresh,
            prepared: Vec::with_capacity(spendings),
            tokens: Vec::with_capacity(spendings),
            coefficients: Vec::with_capacity(spendings),
            nonces: Vec::with_capacity(spendings),
            commitments: Vec::with_capacity(spendings),
            owners: Vec::with_capacity(spendings),
        }
    }

    /// Decodes a spending's points and hashes its challenges. One that fails leaves no trace.
    ///
    /// Implements R-SPEND-12.
    pub(crate) fn add(&mut self, spending: &'a Spending) -> Result<(), ProofError> {
        let tokens = self.tokens.len();
        let added = self.try_add(spending);
        if added.is_err() {
            self.tokens.truncate(tokens);
            self.commitments.truncate(tokens);
            self.owners.truncate(tokens);
        }
        added
    }

    fn try_add(&mut self, spending: &'a Spending) -> Result<(), ProofError> {
        let first = self.tokens.len();
        for token in spending.tokens() {
            self.add_token(token)?;
        }
        let proof = spending.proof();
        self.nonces.push(group::decode_element(&proof.t).map_err(|_| ProofError::InvalidPoint)?);
        let purpose = spending.purpose();
        let opening = match &mut self.opening {
            Some((known, opening)) if *known == purpose => opening,
            other => &mut other.insert((purpose, KeyProof::opening(purpose))).1,
        };
        proof.coefficients(opening, spending.statement(), KeyList::Tokens(spending.list()), &mut self.coefficients);
        self.prepared.push(Prepared { spending, tokens: first..self.tokens.len(), weight: 0 });
        Ok(())
    }

    fn add_token(&mut self, token: &'a Token) -> Result<(), ProofError> {
        let id = token.keyset();
        let keyset = if let Some(index) = self.used.iter().position(|(known, _)| *known == id) {
            index
        } else {
            self.used.push((id, self.keys.get(&id).ok_or(ProofError::UnknownKeyset)?));
            self.used.len() - 1
        };
        let verifying = self.used[keyset].1;
        let key = verifying.position(token.denomination()).ok_or(ProofError::UnknownDenomination)?;
        self.commitments.push(group::decode_element(&token.signature.r).map_err(|_| ProofError::InvalidPoint)?);
        self.owners.push(group::decode_element(&token.spent_key.key).map_err(|_| ProofError::InvalidPoint)?);
        let challenge = verifying.contexts[key].challenge(&token.spent_key.key, &token.signature.r);
        let factor = challenge + fifth_power(&token.signature.t);
        self.tokens.push(PreparedToken { token, spending: self.prepared.len(), keyset, key, factor, weight: 0 });
        Ok(())
    }

    /// Everything that the equations depend on, in 32 bytes.
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for one in &self.prepared {
            hash.update((one.tokens.len() as u64).to_le_bytes());
            // c' binds keyset, denomination, X, m and R; with c' + t^5, s and t that is every byte of the token.
            for prepared in &self.tokens[one.tokens.clone()] {
                for part in [&prepared.factor, &prepared.token.signature.s, &prepared.token.signature.t] {
                    hash.update(part.as_bytes());
                }
            }
            // e binds purpose, S, L and T; with u that is every byte of the proof.
            hash.update(self.coefficients[one.tokens.clone()].as_flattened());
            hash.update(one.spending.proof().u.as_bytes());
        }
        hash.finalize().into()
    }

    /// One independent 128-bit weight for each equation, from everything in the batch and 32 fresh bytes.
    ///
    /// Implements R-SPEND-14.
    pub(crate) fn draw_weights(&mut self) {
        let mut bytes = alloc::vec![[0; 16]; self.prepared.len() + self.tokens.len()];
        PublicTranscript::new(labels::BATCH)
            .bytes(labels::FRESH, &self.fresh)
            .count(self.prepared.len())
            .bytes(labels::DIGEST, &self.digest())
            .fill(labels::CHALLENGE, bytes.as_flattened_mut());
        let weights = self.prepared.iter_mut().map(|one| &mut one.weight).chain(self.tokens.iter_mut().map(|one| &mut one.weight));
        for (weight, drawn) in weights.zip(bytes) {
            *weight = u128::from_le_bytes(drawn);
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
        let (mut g, mut h) = (WeightedSum::default(), WeightedSum::default());
        let mut keys: Vec<Vec<WeightedSum>> =
            self.used.iter().map(|(_, keyset)| alloc::vec![WeightedSum::default(); keyset.keys.len()]).collect();
        let tokens = self.prepared[range.start].tokens.start..self.prepared[range.end - 1].tokens.end;
        for one in &self.tokens[tokens.clone()] {
            g.add(one.weight, &one.token.signature.s);
            h.add(one.weight, &one.token.signature.t);
            keys[one.keyset][one.key].add(one.weight, &one.factor);
        }
        // Without their proofs, neither T nor any P is in the sum.
        let (proved, owned) = if proofs { (range, tokens.clone()) } else { (0..0, 0..0) };
        for one in &self.prepared[proved.clone()] {
            g.add(one.weight, &one.spending.proof().u);
        }
        let share =
            |(token, e): (&PreparedToken<'_>, &[u8; 16])| short_product(self.prepared[token.spending].weight, u128::from_le_bytes(*e));
        let scalars = self.prepared[proved.clone()].iter().map(|one| Scalar::from(one.weight));
        let scalars = scalars.chain(self.tokens[tokens.clone()].iter().map(|one| Scalar::from(one.weight)));
        let scalars = scalars.chain(self.tokens[owned.clone()].iter().zip(&self.coefficients[owned.clone()]).map(share));
        let points = self.nonces[proved].iter().chain(&self.commitments[tokens]).chain(&self.owners[owned]);
        let keys: Vec<Vec<Scalar>> = keys.iter().map(|sums| sums.iter().map(WeightedSum::reduce).collect()).collect();
        group::is_zero(&self.sum(-g.reduce(), -h.reduce(), &keys, scalars, points))
    }

    /// g G + h H + the keys under their sums + the points under their scalars, of which there are as many.
    fn sum<'p>(
        &'p self,
        g: Scalar,
        h: Scalar,
        keys: &[Vec<Scalar>],
        scalars: impl Iterator<Item = Scalar>,
        points: impl Iterator<Item = &'p RistrettoPoint>,
    ) -> RistrettoPoint {
        let own = points.size_hint().0;
        let tabled = own < TABLE_LIMIT;
        let (mut sums, mut statics) = (Vec::new(), Vec::new());
        for ((_, keyset), keys) in self.used.iter().zip(keys).skip(usize::from(tabled)) {
            for (key, sum) in keyset.keys.iter().zip(keys).filter(|(_, sum)| **sum != Scalar::ZERO) {
                sums.push(*sum);
                statics.push(key);
            }
        }
        if tabled && let (Some((_, keyset)), Some(tabled)) = (self.used.first(), keys.first()) {
            let (scalars, points) = (scalars.chain(sums), points.chain(statics));
            return keyset.table.vartime_mixed_multiscalar_mul([g, h].iter().chain(tabled), scalars, points);
        }
        sums.extend([g, h]);
        statics.extend([&RISTRETTO_BASEPOINT_POINT, &self.keys.second_generator]);
        let filled = statics.len().max(BUCKETS_FROM.saturating_sub(own));
        sums.resize(filled, Scalar::ZERO);
        statics.resize(filled, &RISTRETTO_BASEPOINT_POINT);
        RistrettoPoint::vartime_multiscalar_mul(scalars.chain(sums), points.chain(statics))
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
