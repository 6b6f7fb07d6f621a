//! Recovery: whoever honestly holds tokens of a frozen denomination gets their value back, although somebody else has its key x.
//!
//! ```text
//! u_i                 = PRF(seed; root, keyset, denomination, index)        one an output, before A and B are known
//! leaf_i              = Hash(u_i);   C = Hash(leaf_1 .. leaf_n)              C is sent when the session opens
//! (r, alpha, beta)_i  = PRF(u_i; keyset, denomination, A, B, X)
//!
//! claim               keyset, recovery hash, leaves, (position, denomination, P, u)..; proof by the keys k
//! check               C = Hash(leaves) is the one recorded, leaf = Hash(u);
//!                     R = rG + alpha^5 A + alpha B + alpha^5 beta X,  c' = Hash(keyset, denomination, X, P, R),
//!                     c = c' alpha^-5 + beta,  zG = A + (c + y^5) X with the recorded response
//! ```
//!
//! A signature proves nothing once x is known, and neither does any (r, alpha, beta): with x every session can be opened to every P. Here
//! u is fixed before A and B are drawn, so R is, and the one answered c then fits one P. So each output pays back one P, whoever knows x,
//! and no more is paid back than was issued. k does not follow from u: to show u gives nothing away but which session led to P.

use alloc::vec::Vec;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::amount::Amount;
use crate::error::IssueError;
use crate::group::Point;
use crate::issue::MAX_OUTPUTS;
use crate::keyset::Keyset;
use crate::labels;
use crate::proof::{KeysetId, SpentKey};
use crate::restore::RecordedSession;
use crate::seed::WalletSeed;
use crate::snowblind::{Blinding, Commitment, Response, SigningContext};
use crate::token::MAX_TOKENS;
use crate::transcript::Transcript;
use crate::wire::{Bytes, ClaimBody, FundingBody};

/// u: what an output's blinding follows from. Wiped when dropped.
///
/// # Security
/// Whoever has it and the session's records can tell which token the output became, and cannot spend it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RecoverySecret([u8; 32]);

impl RecoverySecret {
    /// Reads 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Hash(u).
    ///
    /// # Timing
    /// Constant time.
    pub fn leaf(&self) -> [u8; 32] {
        Transcript::new(labels::RECOVERY_LEAF).bytes(labels::SECRET, &self.0).digest()
    }

    /// (r, alpha, beta) of the output: other commitments, other blindings.
    ///
    /// Implements R-ISSUE-03, R-RECOVER-01.
    ///
    /// # Timing
    /// Constant time in u.
    pub fn blinding(&self, keyset: KeysetId, denomination: Amount, key: &Point, commitment: &Commitment) -> Blinding {
        let mut prf = Transcript::new(labels::BLINDING);
        prf.bytes(labels::SECRET, &self.0)
            .bytes(labels::KEYSET, &keyset.0)
            .u64(labels::DENOMINATION, denomination.units())
            .bytes(labels::COMMITMENT, commitment.a.as_bytes())
            .bytes(labels::COMMITMENT, commitment.b.as_bytes())
            .bytes(labels::KEY, key.as_bytes());
        Blinding::new(prf.scalar(labels::R_SCALAR), prf.scalar(labels::ALPHA), prf.scalar(labels::BETA))
    }
}

/// A session as its wallet knows it: enough to derive its recovery secrets again.
#[derive(Clone, Copy)]
pub struct SessionOrigin<'a> {
    /// The mint's root key.
    pub root: &'a Point,
    /// The keyset that issued.
    pub keyset: KeysetId,
    /// The denominations of all outputs, ascending.
    pub denominations: &'a [Amount],
    /// The index of the first output.
    pub first_index: u64,
}

impl SessionOrigin<'_> {
    fn secret(&self, seed: &WalletSeed, position: usize) -> Result<RecoverySecret, IssueError> {
        let denomination = self.denominations.get(position).ok_or(IssueError::InvalidFunding)?;
        let index = self.first_index.checked_add(position as u64).ok_or(IssueError::UnusableBlinding)?;
        Ok(seed.recovery_secret(self.root, self.keyset, *denomination, index))
    }

    fn leaves(&self, seed: &WalletSeed) -> Result<Vec<[u8; 32]>, IssueError> {
        (0..self.denominations.len()).map(|position| Ok(self.secret(seed, position)?.leaf())).collect()
    }

    /// C, sent when the session opens.
    ///
    /// Implements R-RECOVER-01.
    ///
    /// # Errors
    /// [`IssueError::UnusableBlinding`] if the indices run past 2^64 - 1.
    ///
    /// # Timing
    /// Constant time in the seed.
    pub fn recovery_commitment(&self, seed: &WalletSeed) -> Result<[u8; 32], IssueError> {
        self.leaves(seed).map(|leaves| hash_leaves(&leaves))
    }
}

fn hash_leaves(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut transcript = Transcript::new(labels::RECOVERY_COMMITMENT);
    transcript.count(leaves.len());
    for leaf in leaves {
        transcript.bytes(labels::LEAF, leaf);
    }
    transcript.digest()
}

#[derive(Clone, PartialEq, Eq)]
struct Claimed {
    spent_key: SpentKey,
    position: u8,
    secret: RecoverySecret,
}

/// Outputs of one session, claimed because their denomination is frozen: 1 to 24 of them, ascending by spent key.
///
/// Outputs of one session only, so that a claim never tells that two sessions are of one wallet.
#[derive(Clone, PartialEq, Eq)]
pub struct Recovery {
    keyset: KeysetId,
    session: [u8; 32],
    leaves: Vec<[u8; 32]>,
    claimed: Vec<Claimed>,
}

impl Recovery {
    /// Claims tokens by the places of their outputs in the session.
    ///
    /// # Errors
    /// [`IssueError::InvalidFunding`] if a token cannot be of this session, stands twice, or there are none or too many;
    /// [`IssueError::UnusableBlinding`] if the indices run past 2^64 - 1.
    ///
    /// # Timing
    /// Constant time in the seed.
    pub fn new(seed: &WalletSeed, origin: &SessionOrigin<'_>, tokens: &[(u8, SpentKey)]) -> Result<Self, IssueError> {
        let claim = |(position, spent_key): &(u8, SpentKey)| {
            let known = origin.denominations.get(usize::from(*position)) == Some(&spent_key.denomination);
            if !known || spent_key.keyset != origin.keyset {
                return Err(IssueError::InvalidFunding);
            }
            Ok(Claimed { spent_key: *spent_key, position: *position, secret: origin.secret(seed, usize::from(*position))? })
        };
        let mut claimed = tokens.iter().map(claim).collect::<Result<Vec<_>, _>>()?;
        claimed.sort_unstable_by_key(|one| one.spent_key);
        let session = seed.recovery_hash(origin.root, origin.first_index);
        Self { keyset: origin.keyset, session, leaves: origin.leaves(seed)?, claimed }.check()
    }

    /// Implements R-RECOVER-02.
    fn check(self) -> Result<Self, IssueError> {
        let counted = (1..=MAX_OUTPUTS).contains(&self.leaves.len()) && (1..=MAX_TOKENS).contains(&self.claimed.len());
        let ascending = self.claimed.is_sorted_by(|one, other| one.spent_key < other.spent_key);
        let placed = self.claimed.iter().all(|one| usize::from(one.position) < self.leaves.len() && !one.spent_key.denomination.is_zero());
        if counted && ascending && placed { Ok(self) } else { Err(IssueError::InvalidFunding) }
    }

    pub(crate) fn from_body(keyset: Bytes<32>, session: Bytes<32>, leaves: &[Bytes<32>], claims: &[ClaimBody]) -> Result<Self, IssueError> {
        let keyset = KeysetId(keyset.0);
        let claim = |body: &ClaimBody| Claimed {
            spent_key: SpentKey { keyset, denomination: Amount::from_units(body.denomination), key: body.key.0 },
            position: body.position,
            secret: RecoverySecret(body.secret.0),
        };
        let (leaves, claimed) = (leaves.iter().map(|leaf| leaf.0).collect(), claims.iter().map(claim).collect());
        Self { keyset, session: session.0, leaves, claimed }.check()
    }

    pub(crate) fn to_body(&self) -> FundingBody {
        let body = |one: &Claimed| ClaimBody {
            position: one.position,
            denomination: one.spent_key.denomination.units(),
            key: one.spent_key.key.into(),
            secret: one.secret.0.into(),
        };
        FundingBody::Recovery {
            keyset: self.keyset.0.into(),
            session: self.session.into(),
            leaves: self.leaves.iter().map(|leaf| (*leaf).into()).collect(),
            claims: self.claimed.iter().map(body).collect(),
        }
    }

    /// The keyset whose tokens are claimed.
    pub const fn keyset(&self) -> KeysetId {
        self.keyset
    }

    /// The recovery hash under which the session was booked.
    pub const fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// C, as it follows from the leaves.
    pub fn commitment(&self) -> [u8; 32] {
        hash_leaves(&self.leaves)
    }

    /// What is marked as spent, ascending: the list L.
    pub fn list(&self) -> Vec<SpentKey> {
        self.claimed.iter().map(|one| one.spent_key).collect()
    }

    /// What the tokens are worth, or `None` if it does not fit.
    pub fn value(&self) -> Option<Amount> {
        Amount::checked_sum(self.claimed.iter().map(|one| one.spent_key.denomination))
    }

    /// Checks that the session led to the claimed tokens.
    ///
    /// Implements R-RECOVER-03.
    ///
    /// `recorded` was booked under [`Recovery::session`] and [`Recovery::commitment`], of this keyset.
    ///
    /// # Errors
    /// [`IssueError::InvalidRecovery`]: it did not, or not to all of them.
    ///
    /// # Security
    /// Holds also against whoever knows x. Success does not say that a denomination is frozen, nor that a token is unspent: the ledger does,
    /// in the issuing transaction. Without the proof by the keys it says nothing about who asks.
    ///
    /// # Timing
    /// Constant time but for what is public once it is claimed.
    pub fn verify(&self, keyset: &Keyset, recorded: &RecordedSession) -> Result<(), IssueError> {
        let wrong = IssueError::InvalidRecovery;
        let outputs = recorded.output_bodies();
        if keyset.id() != self.keyset || *recorded.recovery() != self.session || outputs.len() != self.leaves.len() {
            return Err(wrong);
        }
        let second_generator = Point::second_generator();
        for Claimed { spent_key, position, secret } in &self.claimed {
            let place = usize::from(*position);
            let (output, leaf) = outputs.get(place).zip(self.leaves.get(place)).ok_or(wrong)?;
            if output.denomination != spent_key.denomination.units() || secret.leaf() != *leaf {
                return Err(wrong);
            }
            let key = keyset.key(spent_key.denomination).ok_or(wrong)?;
            let commitment = Commitment::from_body(&output.commitment).map_err(|_| wrong)?;
            let response = Response::from_body(&output.response).map_err(|_| wrong)?;
            let context = SigningContext::new(&self.keyset.0, spent_key.denomination.units(), key);
            let blinding = secret.blinding(self.keyset, spent_key.denomination, key, &commitment);
            let (pending, _) = blinding.challenge(&context, key, &commitment, &spent_key.key).map_err(|_| wrong)?;
            // It unblinds to a signature on P only if the response answers the very challenge that P and u give.
            pending.unblind_with(&second_generator, &response).map_err(|_| wrong)?;
        }
        Ok(())
    }
}
