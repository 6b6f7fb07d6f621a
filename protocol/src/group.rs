//! The group ristretto255 (RFC 9496): validated points, canonical scalars, the generators.
//!
//! This is the only module that turns bytes into points or scalars. A [`Point`] is canonical and never the identity, by construction:
//! the identity as a key would let anybody sign, and two encodings of one point would let a token be spent twice.

use alloc::vec::Vec;

use curve25519_dalek::constants::{RISTRETTO_BASEPOINT_COMPRESSED, RISTRETTO_BASEPOINT_POINT};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::error::GroupError;
use crate::labels;
use crate::transcript::Transcript;

/// A group element with its 32-byte canonical encoding; never the identity.
///
/// Implements R-PRIV-02.
#[derive(Clone, Copy)]
pub struct Point {
    point: RistrettoPoint,
    encoded: [u8; 32],
}

impl Point {
    /// Decodes 32 canonical bytes.
    ///
    /// Implements R-WIRE-06.
    ///
    /// # Errors
    /// [`GroupError::NonCanonicalPoint`] if RFC 9496 section 4.3.1 refuses the bytes, [`GroupError::IdentityPoint`] for the identity.
    ///
    /// # Timing
    /// Variable time in whether the bytes are valid; encodings are public.
    pub fn from_bytes(encoded: [u8; 32]) -> Result<Self, GroupError> {
        Ok(Self { point: decode_element(&encoded)?, encoded })
    }

    /// The 32-byte encoding.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.encoded
    }

    /// The 32-byte encoding, by reference.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.encoded
    }

    /// The base point G.
    pub const fn generator() -> Self {
        Self { point: RISTRETTO_BASEPOINT_POINT, encoded: RISTRETTO_BASEPOINT_COMPRESSED.0 }
    }

    /// The second generator H, whose discrete logarithm nobody knows: 64 bytes of the transcript `farthing/1 generator H`, mapped to the
    /// group by RFC 9496 section 4.3.4.
    ///
    /// It is recomputed at each call (about 12 us); types that need it often keep it.
    pub fn second_generator() -> Self {
        let mut uniform = [0; 64];
        Transcript::new(labels::GENERATOR_H).fill(labels::OUTPUT, &mut uniform);
        let point = RistrettoPoint::from_uniform_bytes(&uniform);
        Self { point, encoded: point.compress().0 }
    }

    /// Encodes a computed element.
    ///
    /// # Errors
    /// [`GroupError::IdentityPoint`] if it is the identity, which honest parties meet with probability 2^-252.
    pub(crate) fn from_element(point: RistrettoPoint) -> Result<Self, GroupError> {
        if point.is_identity() {
            return Err(GroupError::IdentityPoint);
        }
        Ok(Self { point, encoded: point.compress().0 })
    }

    /// Doubles and encodes computed elements together, at the cost of one inversion.
    ///
    /// # Errors
    /// [`GroupError::IdentityPoint`] if one of them is the identity, which honest parties meet with probability 2^-252.
    pub(crate) fn from_halves(halves: &[RistrettoPoint]) -> Result<Vec<Self>, GroupError> {
        if halves.iter().any(IsIdentity::is_identity) {
            return Err(GroupError::IdentityPoint);
        }
        let encoded = RistrettoPoint::double_and_compress_batch(halves);
        Ok(halves.iter().zip(encoded).map(|(half, encoded)| Self { point: half + half, encoded: encoded.0 }).collect())
    }

    pub(crate) const fn element(&self) -> &RistrettoPoint {
        &self.point
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for Point {}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Point {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.encoded.cmp(&other.encoded)
    }
}

impl core::fmt::Debug for Point {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Points identify tokens and sessions: they are never printed, not even in a panic message.
        f.write_str("Point(..)")
    }
}

/// Decodes an element that is not the identity.
///
/// # Errors
/// As [`Point::from_bytes`].
pub(crate) fn decode_element(encoded: &[u8; 32]) -> Result<RistrettoPoint, GroupError> {
    // Encodings are unique, and 32 zero bytes are the identity's: cheaper than comparing points.
    if *encoded == [0; 32] {
        return Err(GroupError::IdentityPoint);
    }
    CompressedRistretto(*encoded).decompress().ok_or(GroupError::NonCanonicalPoint)
}

/// Decodes a canonical scalar (an integer below l, 32 bytes little-endian).
///
/// Implements R-WIRE-07.
///
/// # Errors
/// [`GroupError::NonCanonicalScalar`] for l and above.
pub(crate) fn scalar_from_bytes(bytes: [u8; 32]) -> Result<Scalar, GroupError> {
    Option::from(Scalar::from_canonical_bytes(bytes)).ok_or(GroupError::NonCanonicalScalar)
}

/// Decodes a canonical scalar other than zero.
///
/// Implements R-WIRE-07.
///
/// # Errors
/// [`GroupError::NonCanonicalScalar`] for l and above, [`GroupError::ZeroScalar`] for zero.
pub(crate) fn non_zero_scalar_from_bytes(bytes: [u8; 32]) -> Result<Scalar, GroupError> {
    let scalar = scalar_from_bytes(bytes)?;
    if scalar == Scalar::ZERO {
        return Err(GroupError::ZeroScalar);
    }
    Ok(scalar)
}

/// Draws a scalar uniformly from 0..l.
pub(crate) fn random_scalar<R: CryptoRng + ?Sized>(rng: &mut R) -> Scalar {
    let mut wide = Zeroizing::new([0; 64]);
    rng.fill_bytes(wide.as_mut());
    Scalar::from_bytes_mod_order_wide(&wide)
}

/// Draws a scalar uniformly from 1..l.
pub(crate) fn random_non_zero_scalar<R: CryptoRng + ?Sized>(rng: &mut R) -> Scalar {
    loop {
        let scalar = random_scalar(rng);
        if scalar != Scalar::ZERO {
            return scalar;
        }
    }
}

/// y^5, the map of the Snowblind construction; a permutation of the scalars because gcd(5, l - 1) = 1.
pub(crate) fn fifth_power(y: &Scalar) -> Scalar {
    let square = y * y;
    square * square * y
}

/// A 128-bit number as a scalar.
pub(crate) fn short_scalar(bytes: [u8; 16]) -> Scalar {
    Scalar::from(u128::from_le_bytes(bytes))
}

/// The product of two 128-bit numbers as a scalar.
pub(crate) fn short_product(a: u128, b: u128) -> Scalar {
    let (low, high) = a.carrying_mul(b, 0);
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&low.to_le_bytes());
    bytes[16..].copy_from_slice(&high.to_le_bytes());
    Scalar::from_bytes_mod_order(bytes)
}

/// A sum of products of a 128-bit weight and a scalar, reduced modulo l once, at its end: 16 multiplications of words and no division a
/// product, where a product of two scalars reduces twice.
///
/// 512 bits hold more than 2^130 products, each below 2^381.
#[derive(Clone, Copy, Default)]
pub(crate) struct WeightedSum([u64; 8]);

impl WeightedSum {
    /// Adds `weight * scalar`.
    pub(crate) fn add(&mut self, weight: u128, scalar: &Scalar) {
        let words = scalar.as_bytes().as_chunks::<8>().0;
        for (offset, half) in weight.to_le_bytes().as_chunks::<8>().0.iter().enumerate() {
            let (factor, mut carry) = (u64::from_le_bytes(*half), 0);
            for (sum, word) in self.0[offset..].iter_mut().zip(words) {
                (*sum, carry) = factor.carrying_mul_add(u64::from_le_bytes(*word), carry, *sum);
            }
            for sum in &mut self.0[offset + words.len()..] {
                let over;
                (*sum, over) = sum.overflowing_add(carry);
                carry = u64::from(over);
            }
        }
    }

    /// The sum modulo l.
    pub(crate) fn reduce(&self) -> Scalar {
        if self.0 == [0; 8] {
            return Scalar::ZERO;
        }
        let mut bytes = [0; 64];
        for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
        Scalar::from_bytes_mod_order_wide(&bytes)
    }
}

/// The neutral element, for comparing a verification equation with zero.
pub(crate) fn is_zero(sum: &RistrettoPoint) -> bool {
    *sum == RistrettoPoint::identity()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn a_weighted_sum_is_the_sum_of_the_products() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut terms: Vec<(u128, Scalar)> = (0..100).map(|_| (rng.random(), random_scalar(&mut rng))).collect();
        // Carries run through every word: the largest weight and scalar, more often than a word has bits.
        terms.extend([(u128::MAX, -Scalar::ONE); 300]);
        terms.extend([(0, -Scalar::ONE), (1, Scalar::ZERO), (u128::MAX, Scalar::ONE)]);
        let (mut ours, mut plain) = (WeightedSum::default(), Scalar::ZERO);
        assert_eq!(ours.reduce(), plain);
        for (weight, scalar) in terms {
            ours.add(weight, &scalar);
            plain += Scalar::from(weight) * scalar;
            assert_eq!(ours.reduce(), plain);
        }
    }

    #[test]
    fn a_product_of_short_numbers_is_theirs() {
        let mut rng = StdRng::seed_from_u64(2);
        for (a, b) in (0..100).map(|_| (rng.random(), rng.random())).chain([(u128::MAX, u128::MAX), (0, 7), (1, u128::MAX)]) {
            assert_eq!(short_product(a, b), Scalar::from(a) * Scalar::from(b));
        }
    }
}
