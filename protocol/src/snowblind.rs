//! Blind signatures: Snowblind with a single signer (Crites, Komlo, Maller, Tessaro, Zhu, CRYPTO 2023, ePrint 2023/1228), with
//! f(c, y) = c + y^5 over ristretto255.
//!
//! ```text
//! key        x <- Zl*, X = xG
//! commit     a, b <- Zl, y <- Zl*;  A = aG, B = bG + yH                            signer -> user  A, B      (64 bytes)
//! challenge  R = rG + alpha^5 A + alpha B + alpha^5 beta X
//!            c' = Hash(keyset, denomination, X, m, R);  c = c' alpha^-5 + beta      user -> signer  c         (32 bytes)
//! respond    z = a + (c + y^5) x                                                   signer -> user  b, y, z   (96 bytes)
//! unblind    y != 0, B = bG + yH, zG = A + (c + y^5) X
//!            s = r + alpha^5 z + alpha b,  t = alpha y                             signature (R, s, t)       (96 bytes)
//! verify     t != 0 and R + (c' + t^5) X = sG + tH
//! ```
//!
//! A commitment answers one challenge, ever: two answers reveal x. [`Nonces::respond`] therefore takes the nonces by value, and they can
//! be neither copied nor stored. The blinding is one-time too: [`Blinding::challenge`] and [`PendingBlinding::unblind`] consume it.

use alloc::vec::Vec;

use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::MultiscalarMul;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{GroupError, IssueError};
use crate::group::{Point, fifth_power, non_zero_scalar_from_bytes, random_non_zero_scalar, random_scalar, scalar_from_bytes};
use crate::labels;
use crate::public_transcript::PublicTranscript;
use crate::transcript::Transcript;
use crate::wire::{CommitmentBody, ResponseBody, SignatureBody};

/// What a denomination key signs under: the transcript of c' up to X, so that only m and R remain to be hashed.
#[derive(Clone)]
pub struct SigningContext {
    prefix: PublicTranscript,
}

impl SigningContext {
    /// The context of one denomination key: `keyset` is the keyset's 32-byte id, `denomination` its value in smallest units, `key` X.
    pub fn new(keyset: &[u8; 32], denomination: u64, key: &Point) -> Self {
        let mut prefix = PublicTranscript::new(labels::SIGNATURE);
        prefix.bytes(labels::KEYSET, keyset).u64(labels::DENOMINATION, denomination).bytes(labels::KEY, key.as_bytes());
        Self { prefix }
    }

    /// c' = Hash(keyset, denomination, X, m, R).
    pub(crate) fn challenge(&self, message: &[u8; 32], r: &[u8; 32]) -> Scalar {
        let mut transcript = self.prefix.clone();
        let mut wide = [0; 64];
        // All of this is public once the token is spent, and says nothing about keys or blindings before.
        transcript.bytes(labels::MESSAGE, message).bytes(labels::R_POINT, r).fill(labels::CHALLENGE, &mut wide);
        Scalar::from_bytes_mod_order_wide(&wide)
    }
}

/// A denomination's signing key x with its public key X = xG. Wiped when dropped; neither cloned nor printed.
#[derive(ZeroizeOnDrop)]
pub struct SigningKey {
    secret: Scalar,
    #[zeroize(skip)]
    public: Point,
}

impl SigningKey {
    /// Draws a key.
    ///
    /// # Panics
    /// Never: xG with x != 0 is not the identity.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            let secret = random_non_zero_scalar(rng);
            if let Ok(public) = Point::from_element(RistrettoPoint::mul_base(&secret)) {
                return Self { secret, public };
            }
        }
    }

    /// Reads a stored key: 32 bytes, little-endian, canonical, not zero.
    ///
    /// # Errors
    /// [`GroupError::NonCanonicalScalar`] or [`GroupError::ZeroScalar`].
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Result<Self, GroupError> {
        let secret = non_zero_scalar_from_bytes(**bytes)?;
        let public = Point::from_element(RistrettoPoint::mul_base(&secret))?;
        Ok(Self { secret, public })
    }

    /// The key's bytes, for encrypted storage only.
    pub fn expose_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// The public key X.
    pub const fn public(&self) -> &Point {
        &self.public
    }
}

/// The signer's secrets (a, b, y) behind one commitment. Answers one challenge, then is gone.
///
/// Implements R-ISSUE-02.
///
/// # Security
/// Nonces must be drawn from the operating system's generator, live in memory only, and never exist twice: a copied process or a revived
/// snapshot that answers again gives away the key. The ledger's unique row per commitment is the last line against that.
#[derive(ZeroizeOnDrop)]
pub struct Nonces {
    a: Scalar,
    b: Scalar,
    y: Scalar,
    #[zeroize(skip)]
    commitment: Commitment,
}

/// The public half of [`Nonces`]: A = aG and B = bG + yH, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commitment {
    /// A = aG.
    pub a: Point,
    /// B = bG + yH.
    pub b: Point,
}

impl Commitment {
    /// Decodes A and B.
    ///
    /// # Errors
    /// [`GroupError`] if either is not canonical or is the identity.
    pub fn from_body(body: &CommitmentBody) -> Result<Self, GroupError> {
        Ok(Self { a: Point::from_bytes(body.a.0)?, b: Point::from_bytes(body.b.0)? })
    }

    /// The encodings of A and B.
    pub fn to_body(&self) -> CommitmentBody {
        CommitmentBody { a: self.a.to_bytes().into(), b: self.b.to_bytes().into() }
    }

    /// The commitment's unique row in the ledger: Hash(A, B).
    pub fn row(&self) -> [u8; 32] {
        Transcript::new(labels::COMMITMENT_ROW)
            .bytes(labels::COMMITMENT, self.a.as_bytes())
            .bytes(labels::COMMITMENT, self.b.as_bytes())
            .digest()
    }
}

/// Draws nonces and commits to them.
///
/// # Errors
/// [`GroupError::IdentityPoint`] with probability 2^-252: draw again.
///
/// # Timing
/// Constant time: fixed-base and constant-time multiplication only.
pub fn commit<R: CryptoRng + ?Sized>(second_generator: &Point, rng: &mut R) -> Result<(Nonces, Commitment), GroupError> {
    let (a, b, y) = (Zeroizing::new(random_scalar(rng)), Zeroizing::new(random_scalar(rng)), Zeroizing::new(random_non_zero_scalar(rng)));
    let commitment = Commitment {
        a: Point::from_element(RistrettoPoint::mul_base(&a))?,
        b: Point::from_element(RistrettoPoint::mul_base(&b) + *y * second_generator.element())?,
    };
    Ok((Nonces { a: *a, b: *b, y: *y, commitment }, commitment))
}

/// Commits many times: a table of multiples of H (30 KiB), and encodings made together.
///
/// Cost: about 33 us a commitment in batches of 16, against 55 us with [`commit`].
pub struct Committer {
    second_generator: RistrettoBasepointTable,
}

impl Committer {
    /// Computes the table (about 0.1 ms).
    pub fn new() -> Self {
        Self { second_generator: RistrettoBasepointTable::create(Point::second_generator().element()) }
    }

    /// Draws `count` nonces and commits to each.
    ///
    /// A = 2((a/2) G) and B = 2((b/2) G + (y/2) H): halving first lets all points be doubled and encoded with one inversion.
    ///
    /// # Errors
    /// [`GroupError::IdentityPoint`] with probability 2^-252: draw again.
    ///
    /// # Timing
    /// Constant time in the nonces.
    pub fn commit<R: CryptoRng + ?Sized>(&self, count: usize, rng: &mut R) -> Result<Vec<Nonces>, GroupError> {
        let mut secrets = Zeroizing::new(Vec::with_capacity(3 * count));
        let mut halves = Vec::with_capacity(2 * count);
        for _ in 0..count {
            let (a, b, y) = (random_scalar(rng), random_scalar(rng), random_non_zero_scalar(rng));
            let (half_a, half_b) = (Zeroizing::new(a.div_by_2()), Zeroizing::new(b.div_by_2()));
            let half_y = Zeroizing::new(y.div_by_2());
            halves.push(RistrettoPoint::mul_base(&half_a));
            halves.push(RistrettoPoint::mul_base(&half_b) + &*half_y * &self.second_generator);
            secrets.extend([a, b, y]);
        }
        let points = Point::from_halves(&halves)?;
        let drawn = secrets.as_chunks::<3>().0.iter().zip(points.as_chunks::<2>().0);
        let join = |([a, b, y], [a_point, b_point]): (&[Scalar; 3], &[Point; 2])| {
            let commitment = Commitment { a: *a_point, b: *b_point };
            Nonces { a: *a, b: *b, y: *y, commitment }
        };
        Ok(drawn.map(join).collect())
    }
}

impl Default for Committer {
    fn default() -> Self {
        Self::new()
    }
}

impl Nonces {
    /// The commitment these nonces stand behind.
    pub const fn commitment(&self) -> &Commitment {
        &self.commitment
    }

    /// Answers the one challenge: z = a + (c + y^5) x. Consumes the nonces.
    ///
    /// Implements R-ISSUE-01.
    ///
    /// # Security
    /// The response must not leave before the ledger has durably recorded what it cost.
    ///
    /// # Timing
    /// Constant time in a, b, y and x.
    ///
    /// # Example
    /// A second answer does not compile:
    ///
    /// ```compile_fail
    /// # use farthing_protocol::snowblind::{Challenge, Nonces, SigningKey};
    /// fn twice(nonces: Nonces, key: &SigningKey, first: &Challenge, second: &Challenge) {
    ///     nonces.respond(key, first);
    ///     nonces.respond(key, second);
    /// }
    /// ```
    pub fn respond(self, key: &SigningKey, challenge: &Challenge) -> Response {
        let factor = Zeroizing::new(challenge.0 + *Zeroizing::new(fifth_power(&self.y)));
        let z = self.a + *Zeroizing::new(*factor * key.secret);
        Response { b: self.b, y: self.y, z }
    }
}

/// c, what the user asks the signer to answer: 32 bytes, uniform and independent of the token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Challenge(Scalar);

impl Challenge {
    /// Decodes 32 canonical bytes.
    ///
    /// # Errors
    /// [`GroupError::NonCanonicalScalar`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, GroupError> {
        scalar_from_bytes(bytes).map(Self)
    }

    /// The 32-byte encoding.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }
}

/// b, y, z: the signer's answer, 96 bytes.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Response {
    b: Scalar,
    y: Scalar,
    z: Scalar,
}

impl Response {
    /// Decodes three canonical scalars, y not zero.
    ///
    /// Implements R-ISSUE-06.
    ///
    /// # Errors
    /// [`GroupError::NonCanonicalScalar`] or [`GroupError::ZeroScalar`].
    pub fn from_body(body: &ResponseBody) -> Result<Self, GroupError> {
        Ok(Self { b: scalar_from_bytes(body.b.0)?, y: non_zero_scalar_from_bytes(body.y.0)?, z: scalar_from_bytes(body.z.0)? })
    }

    /// The encodings of b, y and z.
    pub fn to_body(&self) -> ResponseBody {
        ResponseBody { b: self.b.to_bytes().into(), y: self.y.to_bytes().into(), z: self.z.to_bytes().into() }
    }
}

/// The user's secrets (r, alpha, beta), fresh for every commitment.
///
/// Implements R-ISSUE-02, R-PRIV-01.
///
/// # Security
/// Exactly one (r, alpha, beta) fits any (signature, session) pair, so a fresh one hides the link perfectly; repeating any one of the
/// three for two commitments links tokens to sessions. The wallet derives them from its seed and the commitment itself.
#[derive(ZeroizeOnDrop)]
pub struct Blinding {
    r: Scalar,
    alpha: Scalar,
    beta: Scalar,
}

/// What the user keeps between challenge and response. Answered once, then gone.
#[derive(ZeroizeOnDrop)]
pub struct PendingBlinding {
    blinding: Blinding,
    #[zeroize(skip)]
    r_point: [u8; 32],
    challenge: Scalar,
    #[zeroize(skip)]
    commitment: Commitment,
    #[zeroize(skip)]
    key: Point,
}

impl Blinding {
    pub(crate) const fn new(r: Scalar, alpha: Scalar, beta: Scalar) -> Self {
        Self { r, alpha, beta }
    }

    /// Draws a blinding.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self { r: random_scalar(rng), alpha: random_non_zero_scalar(rng), beta: random_scalar(rng) }
    }

    /// Blinds the message (a token's public key P, 32 bytes) and makes the challenge. Consumes the blinding.
    ///
    /// Implements R-ISSUE-04.
    ///
    /// # Errors
    /// [`IssueError::UnusableBlinding`] if alpha is zero or R is the identity (probability 2^-252): use another blinding.
    ///
    /// # Timing
    /// Constant time in r, alpha, beta and the message.
    pub fn challenge(
        self,
        context: &SigningContext,
        key: &Point,
        commitment: &Commitment,
        message: &[u8; 32],
    ) -> Result<(PendingBlinding, Challenge), IssueError> {
        if self.alpha == Scalar::ZERO {
            return Err(IssueError::UnusableBlinding);
        }
        let alpha_5 = Zeroizing::new(fifth_power(&self.alpha));
        let alpha_5_beta = Zeroizing::new(*alpha_5 * self.beta);
        let blinded = RistrettoPoint::multiscalar_mul(
            [&*alpha_5, &self.alpha, &*alpha_5_beta],
            [commitment.a.element(), commitment.b.element(), key.element()],
        );
        let r_point =
            Point::from_element(RistrettoPoint::mul_base(&self.r) + blinded).map_err(|_| IssueError::UnusableBlinding)?.to_bytes();
        let unblinded = Zeroizing::new(context.challenge(message, &r_point));
        let challenge = *unblinded * *Zeroizing::new(alpha_5.invert()) + self.beta;
        let pending = PendingBlinding { blinding: self, r_point, challenge, commitment: *commitment, key: *key };
        Ok((pending, Challenge(challenge)))
    }
}

impl PendingBlinding {
    /// Checks the signer's response and turns it into a signature. Consumes the pending blinding.
    ///
    /// Implements R-ISSUE-04, R-ISSUE-05.
    ///
    /// # Errors
    /// [`IssueError::InvalidResponse`] if b, y, z do not open the commitment or do not answer the challenge.
    ///
    /// # Timing
    /// Constant time in everything but validity.
    ///
    /// # Example
    /// A second signature does not compile:
    ///
    /// ```compile_fail
    /// # use farthing_protocol::snowblind::{PendingBlinding, Response};
    /// fn twice(pending: PendingBlinding, first: &Response, second: &Response) {
    ///     pending.unblind(first);
    ///     pending.unblind(second);
    /// }
    /// ```
    pub fn unblind(self, response: &Response) -> Result<Signature, IssueError> {
        self.unblind_with(&Point::second_generator(), response)
    }

    /// [`PendingBlinding::unblind`] for a caller with many, who computes H once.
    pub(crate) fn unblind_with(self, second_generator: &Point, response: &Response) -> Result<Signature, IssueError> {
        let opened = RistrettoPoint::mul_base(&response.b) + response.y * second_generator.element();
        let factor = self.challenge + fifth_power(&response.y);
        let answered = self.commitment.a.element() + factor * self.key.element();
        if opened != *self.commitment.b.element() || RistrettoPoint::mul_base(&response.z) != answered {
            return Err(IssueError::InvalidResponse);
        }
        let Blinding { r, alpha, .. } = &self.blinding;
        let t = alpha * response.y;
        if t == Scalar::ZERO {
            return Err(IssueError::InvalidResponse);
        }
        let alpha_5 = Zeroizing::new(fifth_power(alpha));
        Ok(Signature { r: self.r_point, s: r + *alpha_5 * response.z + alpha * response.b, t })
    }
}

/// (R, s, t): 96 bytes, unlinkable to the session that made it. R's encoding is checked when the signature is verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    pub(crate) r: [u8; 32],
    pub(crate) s: Scalar,
    pub(crate) t: Scalar,
}

impl Signature {
    /// Decodes a signature whose scalars are canonical and whose t is not zero.
    ///
    /// Implements R-ISSUE-06.
    ///
    /// # Errors
    /// [`GroupError::NonCanonicalScalar`] or [`GroupError::ZeroScalar`].
    ///
    /// # Security
    /// Nothing is verified yet.
    pub fn from_body(body: &SignatureBody) -> Result<Self, GroupError> {
        Ok(Self { r: body.r.0, s: scalar_from_bytes(body.s.0)?, t: non_zero_scalar_from_bytes(body.t.0)? })
    }

    /// The encodings of R, s and t.
    pub fn to_body(&self) -> SignatureBody {
        SignatureBody { r: self.r.into(), s: self.s.to_bytes().into(), t: self.t.to_bytes().into() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// The verification equation, written out once more as plainly as possible.
    pub(crate) fn verifies(context: &SigningContext, key: &Point, message: &[u8; 32], signature: &Signature) -> bool {
        let Ok(r) = Point::from_bytes(signature.r) else { return false };
        let factor = context.challenge(message, &signature.r) + fifth_power(&signature.t);
        let left = r.element() + factor * key.element();
        let right = RistrettoPoint::mul_base(&signature.s) + signature.t * Point::second_generator().element();
        signature.t != Scalar::ZERO && left == right
    }

    #[test]
    fn a_blind_signature_verifies_and_is_bound_to_its_message() {
        let mut rng = StdRng::seed_from_u64(1);
        let h = Point::second_generator();
        let key = SigningKey::generate(&mut rng);
        let context = SigningContext::new(&[7; 32], 500, key.public());
        let (nonces, commitment) = commit(&h, &mut rng).unwrap();
        let (pending, challenge) = Blinding::generate(&mut rng).challenge(&context, key.public(), &commitment, &[1; 32]).unwrap();
        let signature = pending.unblind(&nonces.respond(&key, &challenge)).unwrap();
        assert!(verifies(&context, key.public(), &[1; 32], &signature));
        assert!(!verifies(&context, key.public(), &[2; 32], &signature));
        let other = SigningContext::new(&[7; 32], 501, key.public());
        assert!(!verifies(&other, key.public(), &[1; 32], &signature));
    }

    #[test]
    fn commitments_made_together_are_what_they_should_be() {
        let mut rng = StdRng::seed_from_u64(4);
        let h = Point::second_generator();
        let drawn = Committer::new().commit(5, &mut rng).unwrap();
        assert_eq!(drawn.len(), 5);
        for nonces in &drawn {
            assert!(*nonces.commitment.a.element() == RistrettoPoint::mul_base(&nonces.a));
            assert!(*nonces.commitment.b.element() == RistrettoPoint::mul_base(&nonces.b) + nonces.y * h.element());
            // The encodings are those of the points, and decode.
            assert!(Commitment::from_body(&nonces.commitment.to_body()).unwrap() == nonces.commitment);
        }
        let mut rows: Vec<_> = drawn.iter().map(|nonces| nonces.commitment.row()).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 5, "each has nonces of its own");
        assert!(Committer::new().commit(0, &mut rng).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_response_is_refused() {
        let mut rng = StdRng::seed_from_u64(2);
        let h = Point::second_generator();
        let key = SigningKey::generate(&mut rng);
        let context = SigningContext::new(&[7; 32], 500, key.public());
        for field in 0..3 {
            let (nonces, commitment) = commit(&h, &mut rng).unwrap();
            let (pending, challenge) = Blinding::generate(&mut rng).challenge(&context, key.public(), &commitment, &[1; 32]).unwrap();
            let mut body = nonces.respond(&key, &challenge).to_body();
            *[&mut body.b, &mut body.y, &mut body.z][field] = random_non_zero_scalar(&mut rng).to_bytes().into();
            let forged = Response::from_body(&body).unwrap();
            assert_eq!(pending.unblind(&forged).err(), Some(IssueError::InvalidResponse));
        }
    }

    #[test]
    fn the_fifth_power_is_a_permutation_of_the_scalars() {
        // gcd(5, l - 1) = 1; for the cube it would be 3.
        let modulo = |small: u32| (-Scalar::ONE).to_bytes().iter().rev().fold(0, |rest, byte| (256 * rest + u32::from(*byte)) % small);
        assert_ne!(modulo(5), 0);
        assert_eq!(modulo(3), 0);
    }

    #[test]
    fn two_answers_to_one_commitment_reveal_the_key() {
        // Why `respond` consumes the nonces: z1 - z2 = (c1 - c2) x.
        let mut rng = StdRng::seed_from_u64(3);
        let (x, a, y) = (random_non_zero_scalar(&mut rng), random_scalar(&mut rng), random_non_zero_scalar(&mut rng));
        let (c1, c2) = (random_scalar(&mut rng), random_scalar(&mut rng));
        let answer = |c: Scalar| a + (c + fifth_power(&y)) * x;
        assert_eq!((answer(c1) - answer(c2)) * (c1 - c2).invert(), x);
    }
}
