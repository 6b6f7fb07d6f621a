//! The proof of spending: one batched Schnorr proof for every use of keys.
//!
//! ```text
//! S   = Hash(recipient, amount, deposit_by, D)                      what the proof is about
//! L   = (keyset, denomination, P_i), ascending, no duplicates       or one key standing alone
//! T   = tG, t hedged                                                32 bytes
//! e_1 .. e_n = Hash(purpose, S, n, L, T)                            16 bytes each, squeezed from one transcript
//! u   = t + sum e_i k_i;   check  uG = T + sum e_i P_i              32 bytes
//! payment id = Hash(purpose, S, L)
//! ```
//!
//! Independent coefficients matter: with one shared e, a proof about P_1 + P_2 would let a stranger's P_2 be spent by choosing
//! P_1 = P' - P_2.

use alloc::vec::Vec;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::amount::Amount;
use crate::error::{GroupError, ProofError, UseError};
use crate::group::{self, Point, non_zero_scalar_from_bytes, random_non_zero_scalar, short_scalar};
use crate::labels;
use crate::public_transcript::PublicTranscript;
use crate::transcript::Transcript;
use crate::wire::ProofBody;

/// What a proof is for. A proof for one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Paying a publisher.
    Pay,
    /// Reading again what was paid for.
    Reread,
    /// Turning tokens into new ones.
    Refresh,
    /// Taking the rest of a settled payment.
    Change,
    /// Spending a voucher's balance.
    Voucher,
    /// The root key announcing a keyset.
    Announce,
    /// The mint answering a deposit or a refund.
    Answer,
    /// A publisher giving a payment back.
    Refund,
    /// Taking the amount of a refunded payment.
    Reclaim,
    /// A publisher saying that it took a payment.
    Receipt,
    /// Taking back the value of tokens of a frozen denomination.
    Recover,
}

impl Purpose {
    /// The purpose's number in the transcript.
    ///
    /// Implements R-SPEND-02.
    pub const fn number(self) -> u64 {
        match self {
            Self::Pay => 1,
            Self::Reread => 2,
            Self::Refresh => 3,
            Self::Change => 4,
            Self::Voucher => 5,
            Self::Announce => 6,
            Self::Answer => 7,
            Self::Refund => 8,
            Self::Reclaim => 9,
            Self::Receipt => 10,
            Self::Recover => 11,
        }
    }
}

/// The identifier of a keyset: 32 bytes that bind everything in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeysetId(pub [u8; 32]);

/// What is marked as spent, everywhere: a token's keyset, denomination and public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpentKey {
    /// The keyset that issued the token.
    pub keyset: KeysetId,
    /// The token's value.
    pub denomination: Amount,
    /// P, encoded.
    pub key: [u8; 32],
}

impl SpentKey {
    /// Size of [`SpentKey::to_bytes`].
    pub const SIZE: usize = 72;

    /// Keyset, denomination (8 bytes, big-endian, so that bytes sort like values), P.
    ///
    /// Implements R-SPEND-08.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..32].copy_from_slice(&self.keyset.0);
        out[32..40].copy_from_slice(&self.denomination.units().to_be_bytes());
        out[40..].copy_from_slice(&self.key);
        out
    }
}

/// S: a digest of recipient, amount, deposit deadline and subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement([u8; 32]);

impl Statement {
    /// S = Hash(recipient, amount, `deposit_by`, D).
    ///
    /// Implements R-SPEND-01.
    ///
    /// `recipient` is a publisher's name for a payment and the mint's root key for everything else; `deposit_by` is the last second at
    /// which the mint may still take the payment, 0 where there is none.
    pub fn new(recipient: &[u8], amount: Amount, deposit_by: u64, subject: &[u8; 32]) -> Self {
        Self(
            Transcript::new(labels::STATEMENT)
                .bytes(labels::RECIPIENT, recipient)
                .u64(labels::AMOUNT, amount.units())
                .u64(labels::DEPOSIT_BY, deposit_by)
                .bytes(labels::DIGEST, subject)
                .digest(),
        )
    }

    /// A digest received from somebody else, as in a double-spend proof, where it stays opaque.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// The list L that a proof covers.
///
/// Implements R-SPEND-04.
#[derive(Clone, Copy)]
pub enum KeyList<'a> {
    /// Tokens, ascending, without duplicates.
    Tokens(&'a [SpentKey]),
    /// One key by itself: a voucher's, the root's, a receipt key, a publisher's.
    Lone(&'a [u8; 32]),
}

impl KeyList<'_> {
    /// Implements R-EVID-05.
    fn append(&self, transcript: &mut PublicTranscript) {
        match self {
            Self::Tokens(list) => {
                transcript.u64(labels::LIST_KIND, 0).count(list.len());
                for spent in *list {
                    transcript.bytes(labels::KEY, &spent.to_bytes());
                }
            }
            Self::Lone(key) => {
                transcript.u64(labels::LIST_KIND, 1).count(1).bytes(labels::KEY, *key);
            }
        }
    }

    const fn len(&self) -> usize {
        match self {
            Self::Tokens(list) => list.len(),
            Self::Lone(_) => 1,
        }
    }
}

/// The identifier of a payment: 32 bytes over purpose, S and L, without T, u or signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(pub [u8; 32]);

impl PaymentId {
    /// Hash(pay, S, L).
    ///
    /// Implements R-SPEND-06.
    pub fn new(statement: &Statement, list: &[SpentKey]) -> Self {
        let mut transcript = PublicTranscript::new(labels::PAYMENT_ID);
        transcript.u64(labels::PURPOSE, Purpose::Pay.number()).bytes(labels::STATEMENT_VALUE, &statement.0);
        KeyList::Tokens(list).append(&mut transcript);
        Self(transcript.digest())
    }
}

/// (T, u): 64 bytes. T's encoding is checked when the proof is verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyProof {
    pub(crate) t: [u8; 32],
    pub(crate) u: Scalar,
}

impl core::fmt::Debug for KeyProof {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // T and u name one payment: like points, they are never printed.
        f.write_str("KeyProof(..)")
    }
}

impl KeyProof {
    /// Decodes a proof whose u is canonical.
    ///
    /// # Errors
    /// [`GroupError::NonCanonicalScalar`].
    pub fn from_body(body: &ProofBody) -> Result<Self, GroupError> {
        Ok(Self { t: body.t.0, u: group::scalar_from_bytes(body.u.0)? })
    }

    /// The encodings of T and u.
    pub fn to_body(&self) -> ProofBody {
        ProofBody { t: self.t.into(), u: self.u.to_bytes().into() }
    }

    /// How the transcript of every proof for one purpose begins; a batch makes it once.
    pub(crate) fn opening(purpose: Purpose) -> PublicTranscript {
        let mut transcript = PublicTranscript::new(labels::PROOF);
        transcript.u64(labels::PURPOSE, purpose.number());
        transcript
    }

    /// The transcript of a proof up to L, before T.
    fn transcript(opening: &PublicTranscript, statement: &Statement, list: KeyList<'_>) -> PublicTranscript {
        let mut transcript = opening.clone();
        transcript.bytes(labels::STATEMENT_VALUE, &statement.0);
        list.append(&mut transcript);
        transcript
    }

    /// Appends to `out`, for a list of `count` keys.
    fn coefficients_after(transcript: &mut PublicTranscript, count: usize, t: &[u8; 32], out: &mut Vec<[u8; 16]>) {
        transcript.bytes(labels::T_POINT, t);
        let start = out.len();
        out.resize(start + count, [0; 16]);
        transcript.fill(labels::CHALLENGE, out[start..].as_flattened_mut());
    }

    /// `e_1` .. `e_n`, 128 bits each, appended to `out`; `opening` is [`KeyProof::opening`] of the purpose.
    ///
    /// Implements R-SPEND-03.
    pub(crate) fn coefficients(&self, opening: &PublicTranscript, statement: &Statement, list: KeyList<'_>, out: &mut Vec<[u8; 16]>) {
        let mut transcript = Self::transcript(opening, statement, list);
        Self::coefficients_after(&mut transcript, list.len(), &self.t, out);
    }

    /// Checks uG = T + sum `e_i` `P_i`.
    ///
    /// Implements R-SPEND-05.
    ///
    /// # Errors
    /// [`ProofError::InvalidPoint`] if T or a key is not canonical, [`ProofError::InvalidProof`] if the equation does not hold,
    /// [`ProofError::EmptyBatch`] for an empty list.
    ///
    /// # Security
    /// Success says that the prover knows the secret of every key of the list; not that the keys are tokens.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify(&self, purpose: Purpose, statement: &Statement, list: KeyList<'_>) -> Result<(), ProofError> {
        if list.len() == 0 {
            return Err(ProofError::EmptyBatch);
        }
        let t = Point::from_bytes(self.t).map_err(|_| ProofError::InvalidPoint)?;
        let keys: Result<Vec<RistrettoPoint>, GroupError> = match list {
            KeyList::Tokens(list) => list.iter().map(|spent| group::decode_element(&spent.key)).collect(),
            KeyList::Lone(key) => group::decode_element(key).map(|key| alloc::vec![key]),
        };
        let keys = keys.map_err(|_| ProofError::InvalidPoint)?;
        let mut coefficients = Vec::with_capacity(list.len());
        self.coefficients(&Self::opening(purpose), statement, list, &mut coefficients);
        let scalars = coefficients.into_iter().map(short_scalar);
        let sum = RistrettoPoint::vartime_multiscalar_mul(
            scalars.chain([Scalar::ONE, -self.u]),
            keys.iter().chain([t.element(), Point::generator().element()]),
        );
        if group::is_zero(&sum) { Ok(()) } else { Err(ProofError::InvalidProof) }
    }
}

/// A secret k with P = kG. Wiped when dropped; neither cloned nor printed.
#[derive(ZeroizeOnDrop)]
pub struct SpendKey {
    secret: Scalar,
    #[zeroize(skip)]
    public: Point,
}

impl SpendKey {
    /// Draws a key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            if let Ok(key) = Self::from_scalar(random_non_zero_scalar(rng)) {
                return key;
            }
        }
    }

    /// Reads a stored key: 32 bytes, little-endian, canonical, not zero.
    ///
    /// # Errors
    /// [`UseError::InvalidKey`].
    ///
    /// # Security
    /// Loading a key twice makes it usable twice: the wallet's stored state says which keys may still pay.
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Result<Self, UseError> {
        non_zero_scalar_from_bytes(**bytes).and_then(Self::from_scalar).map_err(|_| UseError::InvalidKey)
    }

    pub(crate) fn from_scalar(secret: Scalar) -> Result<Self, GroupError> {
        let public = Point::from_element(RistrettoPoint::mul_base(&secret))?;
        Ok(Self { secret, public })
    }

    /// The key's bytes, for the wallet's own storage.
    pub fn expose_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// P = kG.
    pub const fn public(&self) -> &Point {
        &self.public
    }
}

/// Makes a proof with the keys of `list`, in its order.
///
/// Implements R-SPEND-07.
///
/// The nonce t is hedged: a hash of all secrets, the transcript and 32 fresh bytes, so that neither a weak generator nor a repeated
/// statement alone repeats it.
///
/// # Timing
/// Constant time in the secrets.
pub(crate) fn prove<R: CryptoRng + ?Sized>(
    purpose: Purpose,
    statement: &Statement,
    list: KeyList<'_>,
    keys: &[&SpendKey],
    rng: &mut R,
) -> Result<KeyProof, UseError> {
    if keys.is_empty() || keys.len() != list.len() {
        return Err(UseError::NoKeys);
    }
    let mut transcript = KeyProof::transcript(&KeyProof::opening(purpose), statement, list);
    let mut fresh = Zeroizing::new([0; 32]);
    rng.fill_bytes(fresh.as_mut());
    let mut hedge = Transcript::new(labels::PROOF_NONCE);
    hedge.bytes(labels::FRESH, fresh.as_ref()).bytes(labels::DIGEST, &transcript.clone().digest());
    for key in keys {
        hedge.bytes(labels::SECRET, Zeroizing::new(key.secret.to_bytes()).as_ref());
    }
    let t = Zeroizing::new(hedge.scalar(labels::OUTPUT));
    let t_point = Point::from_element(RistrettoPoint::mul_base(&t)).map_err(|_| UseError::InvalidKey)?.to_bytes();
    let mut coefficients = Vec::with_capacity(keys.len());
    KeyProof::coefficients_after(&mut transcript, keys.len(), &t_point, &mut coefficients);
    let mut u = Zeroizing::new(*t);
    for (e, key) in coefficients.into_iter().zip(keys) {
        *u += *Zeroizing::new(short_scalar(e) * key.secret);
    }
    Ok(KeyProof { t: t_point, u: *u })
}

/// A key that stands alone and may prove many times: a voucher's, the root's, a receipt key, a publisher's.
#[derive(ZeroizeOnDrop)]
pub struct LoneKey(SpendKey);

impl LoneKey {
    /// Draws a key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(SpendKey::generate(rng))
    }

    /// Reads a stored key.
    ///
    /// # Errors
    /// [`UseError::InvalidKey`].
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Result<Self, UseError> {
        SpendKey::from_bytes(bytes).map(Self)
    }

    pub(crate) fn from_secret_scalar(secret: Scalar) -> Result<Self, UseError> {
        SpendKey::from_scalar(secret).map(Self).map_err(|_| UseError::InvalidKey)
    }

    /// The key's bytes, for protected storage.
    pub fn expose_secret(&self) -> Zeroizing<[u8; 32]> {
        self.0.expose_secret()
    }

    /// The public key.
    pub const fn public(&self) -> &Point {
        self.0.public()
    }

    /// Proves a statement with this key alone.
    ///
    /// # Errors
    /// [`UseError::InvalidKey`] with probability 2^-252.
    ///
    /// # Timing
    /// Constant time in the key.
    pub fn prove<R: CryptoRng + ?Sized>(&self, purpose: Purpose, statement: &Statement, rng: &mut R) -> Result<KeyProof, UseError> {
        prove(purpose, statement, KeyList::Lone(self.public().as_bytes()), &[&self.0], rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn a_proof_takes_one_key_for_every_entry_of_its_list() {
        let mut rng = StdRng::seed_from_u64(1);
        let keys = [SpendKey::generate(&mut rng), SpendKey::generate(&mut rng)];
        let spent =
            |key: &SpendKey| SpentKey { keyset: KeysetId([1; 32]), denomination: Amount::from_units(1), key: key.public.to_bytes() };
        let list = [spent(&keys[0]), spent(&keys[1])];
        let statement = Statement::from_bytes([2; 32]);
        let mut made = |list, keys: &[&SpendKey]| prove(Purpose::Pay, &statement, KeyList::Tokens(list), keys, &mut rng).err();
        assert_eq!(made(&list, &[&keys[0], &keys[1]]), None);
        assert_eq!(made(&list, &[&keys[0]]), Some(UseError::NoKeys));
        assert_eq!(made(&list[..1], &[&keys[0], &keys[1]]), Some(UseError::NoKeys));
        assert_eq!(made(&[], &[]), Some(UseError::NoKeys));
    }
}
