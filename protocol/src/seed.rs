//! The wallet seed, from which every token key and every blinding is derived.
//!
//! ```text
//! k                 = PRF(seed; mint root, keyset, denomination, index, A, B, X)
//! u                 = PRF(seed; mint root, keyset, denomination, index);  the hash of all of a session's is sent when it opens
//! (r, alpha, beta)  = PRF(u; keyset, denomination, A, B, X)
//! recovery key      = PRF(seed; mint root, session index);  its public hash is sent when the session opens
//! ```
//!
//! Because the commitment goes into both PRFs, a mint that sends another commitment gets another key and blinding, and a repeated index
//! alone repeats nothing. The wallet still reserves an index durably before use, never uses it again, and refuses a commitment it has seen.

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::amount::Amount;
use crate::error::IssueError;
use crate::group::Point;
use crate::labels;
use crate::proof::{KeysetId, SpendKey};
use crate::recovery::RecoverySecret;
use crate::snowblind::{Blinding, Commitment};
use crate::transcript::Transcript;

/// 32 bytes that are the reader's money: whoever has them can recover and spend it. Wiped when dropped; neither cloned nor printed.
///
/// Implements R-ISSUE-02.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct WalletSeed([u8; 32]);

/// Where in the wallet and the mint a token is derived.
#[derive(Clone, Copy)]
pub struct TokenPlace<'a> {
    /// The mint's root key.
    pub root: &'a Point,
    /// The keyset that issues.
    pub keyset: KeysetId,
    /// The value.
    pub denomination: Amount,
    /// The wallet's index, used once.
    pub index: u64,
    /// The denomination's public key X.
    pub key: &'a Point,
}

impl WalletSeed {
    /// Draws a seed.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Self([0; 32]);
        rng.fill_bytes(&mut seed.0);
        seed
    }

    /// Reads a stored seed.
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(**bytes)
    }

    /// The seed's bytes, for the wallet's own storage and its backup.
    pub fn expose_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// Derives a token's key and the blinding of its issue.
    ///
    /// Implements R-ISSUE-03.
    ///
    /// # Errors
    /// [`IssueError::UnusableBlinding`] with probability 2^-252: take the next index.
    ///
    /// # Timing
    /// Constant time in the seed.
    pub fn token(&self, place: &TokenPlace<'_>, commitment: &Commitment) -> Result<(SpendKey, Blinding), IssueError> {
        let mut prf = Transcript::new(labels::WALLET_TOKEN);
        prf.bytes(labels::SEED, &self.0)
            .bytes(labels::ROOT, place.root.as_bytes())
            .bytes(labels::KEYSET, &place.keyset.0)
            .u64(labels::DENOMINATION, place.denomination.units())
            .u64(labels::INDEX, place.index)
            .bytes(labels::COMMITMENT, commitment.a.as_bytes())
            .bytes(labels::COMMITMENT, commitment.b.as_bytes())
            .bytes(labels::KEY, place.key.as_bytes());
        let key = SpendKey::from_scalar(prf.scalar(labels::TOKEN_KEY)).map_err(|_| IssueError::UnusableBlinding)?;
        let secret = self.recovery_secret(place.root, place.keyset, place.denomination, place.index);
        Ok((key, secret.blinding(place.keyset, place.denomination, place.key, commitment)))
    }

    /// u: the recovery secret of one output, known before its commitment is.
    ///
    /// Implements R-RECOVER-01.
    ///
    /// # Timing
    /// Constant time in the seed.
    pub fn recovery_secret(&self, root: &Point, keyset: KeysetId, denomination: Amount, index: u64) -> RecoverySecret {
        let secret = Transcript::new(labels::RECOVERY_SECRET)
            .bytes(labels::SEED, &self.0)
            .bytes(labels::ROOT, root.as_bytes())
            .bytes(labels::KEYSET, &keyset.0)
            .u64(labels::DENOMINATION, denomination.units())
            .u64(labels::INDEX, index)
            .digest();
        RecoverySecret::from_bytes(secret)
    }

    /// The hash of a session's recovery key, sent when the session opens. It looks random to everybody else.
    ///
    /// Implements R-PRIV-03.
    pub fn recovery_hash(&self, root: &Point, session_index: u64) -> [u8; 32] {
        self.recovery_hashes(root).at(session_index)
    }

    /// The same for many indices: what they share is hashed once.
    pub(crate) fn recovery_hashes(&self, root: &Point) -> RecoveryHashes {
        let mut key = Transcript::new(labels::WALLET_RECOVERY);
        key.bytes(labels::SEED, &self.0).bytes(labels::ROOT, root.as_bytes());
        RecoveryHashes { key, hash: Transcript::new(labels::RECOVERY_HASH) }
    }
}

/// The recovery hashes of one seed and mint. Its transcripts are wiped when dropped.
pub(crate) struct RecoveryHashes {
    key: Transcript,
    hash: Transcript,
}

impl RecoveryHashes {
    /// The hash of the session whose first index this is.
    pub(crate) fn at(&self, session_index: u64) -> [u8; 32] {
        let key = Zeroizing::new(self.key.clone().u64(labels::INDEX, session_index).digest());
        self.hash.clone().bytes(labels::KEY, key.as_ref()).digest()
    }
}
