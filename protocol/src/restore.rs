//! Restoring: a wallet that has only its seed gets its tokens back from what the mint recorded.
//!
//! ```text
//! mint -> anybody   buckets of completed sessions: recovery hash, (denomination, A, B, b, y, z)..
//! reader            for index 0, 1, ..: recovery hash = PRF(seed; root, index);  known? derive (k, r, alpha, beta), unblind
//! ```
//!
//! A wallet downloads whole buckets and asks about no single session, so that the mint does not learn which are its. A session is named
//! by the recovery hash of its first index; indices advance by the number of outputs, so every index is tried. A hash can be copied by
//! whoever reads a bucket: a session that matches and does not unblind is somebody else's, and is passed over.
//!
//! What a bucket tells the world is what the mint knew already: how many sessions there were, how big, of which denominations. For a
//! session of an honest wallet (A, B, b, y, z) can be made up from X alone, by choosing b, y, z and a challenge first, so it helps
//! nobody to forge; and exactly one blinding joins it with any token, so it traces nobody.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::amount::Amount;
use crate::error::{IssueError, RestoreError, UseError};
use crate::group::Point;
use crate::issue::{MAX_OUTPUTS, SessionPlan};
use crate::keyset::Keyset;
use crate::proof::{KeysetId, SpendKey};
use crate::seed::WalletSeed;
use crate::token::{OwnedToken, OwnedTokens, Token, UsedTokens};
use crate::wire::{IssueResponseFrame, OpenResponseFrame, RecordedOutputBody, RecordedSessionBody, RestoreBucketFrame};

/// A bucket holds at most this many sessions; one that holds them all is closed and never changes again.
pub const MAX_SESSIONS: usize = 64;

/// A scan ends after this many indices without a session. 256 sessions of the largest size, all opened and never completed, in a row.
pub const GAP: u64 = 1 << 16;

/// A completed session as the mint recorded it: 1 to 256 outputs, denominations ascending, none zero.
///
/// # Security
/// Points and scalars have not been looked at, and nobody has signed this: a session that does not unblind is no evidence.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordedSession {
    recovery: [u8; 32],
    outputs: Vec<RecordedOutputBody>,
}

impl RecordedSession {
    /// Puts a session together from what was recorded.
    ///
    /// # Errors
    /// [`RestoreError::OutputCount`] or [`RestoreError::InvalidDenominations`].
    pub fn new(recovery: [u8; 32], outputs: Vec<RecordedOutputBody>) -> Result<Self, RestoreError> {
        if outputs.is_empty() || outputs.len() > MAX_OUTPUTS {
            return Err(RestoreError::OutputCount);
        }
        if outputs[0].denomination == 0 || !outputs.is_sorted_by_key(|output| output.denomination) {
            return Err(RestoreError::InvalidDenominations);
        }
        Ok(Self { recovery, outputs })
    }

    /// Hash of the session's recovery key.
    pub const fn recovery(&self) -> &[u8; 32] {
        &self.recovery
    }

    /// How many outputs it has: as many indices of the wallet.
    pub const fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// The denominations of its outputs, ascending.
    pub fn denominations(&self) -> Vec<Amount> {
        self.outputs.iter().map(|output| Amount::from_units(output.denomination)).collect()
    }

    pub(crate) fn output_bodies(&self) -> &[RecordedOutputBody] {
        &self.outputs
    }

    /// What sessions of a bucket are sorted by. A commitment is recorded once, so no two sessions are equal in it.
    fn order(&self) -> ([u8; 32], [u8; 32]) {
        (self.recovery, self.outputs[0].commitment.a.0)
    }

    /// Derives the session's tokens again.
    ///
    /// Implements R-BACK-04.
    ///
    /// `first_index` is the index whose recovery hash is this session's.
    ///
    /// # Errors
    /// [`IssueError`]: this is not a session of the seed, or not one the mint answered correctly. Pass it over.
    ///
    /// # Security
    /// A restored token may have been paid before its wallet was lost: it is refreshed, never paid, or an honest reader makes a
    /// double-spend proof against itself. [`RestoredToken`] cannot pay.
    ///
    /// # Timing
    /// Constant time in the seed; variable in the mint's public records.
    pub fn restore(&self, seed: &WalletSeed, root: &Point, keyset: &Keyset, first_index: u64) -> Result<Vec<RestoredToken>, IssueError> {
        let denominations = self.denominations();
        // Nothing is opened: what was committed to then makes no difference.
        let plan = SessionPlan { keyset: keyset.id(), denominations, recovery: self.recovery, recovery_commitment: [0; 32] };
        let commitments = self.outputs.iter().map(|output| output.commitment.clone()).collect();
        let opened = OpenResponseFrame { session: [0; 16].into(), expires: 0, commitments };
        let responses = IssueResponseFrame { responses: self.outputs.iter().map(|output| output.response.clone()).collect() };
        let tokens = plan.blind(seed, root, keyset, first_index, &opened)?.unblind(&responses)?;
        Ok(tokens.into_iter().map(RestoredToken).collect())
    }
}

/// A token that came back from a seed: it can be refreshed, and nothing else.
///
/// Implements R-BACK-05.
pub struct RestoredToken(OwnedToken);

impl RestoredToken {
    /// The token.
    pub const fn token(&self) -> &Token {
        self.0.token()
    }

    /// The key, for the wallet's own storage.
    ///
    /// # Security
    /// The stored token must stay marked as one that cannot pay.
    pub const fn key(&self) -> &SpendKey {
        self.0.key()
    }

    /// Sorts tokens for a refresh.
    ///
    /// # Errors
    /// As [`OwnedTokens::new`].
    pub fn retire(tokens: Vec<Self>) -> Result<UsedTokens, UseError> {
        OwnedTokens::new(tokens.into_iter().map(|token| token.0).collect()).map(OwnedTokens::retire)
    }
}

/// Some completed sessions of one keyset: at most [`MAX_SESSIONS`], in canonical order.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    keyset: KeysetId,
    number: u64,
    sessions: Vec<RecordedSession>,
}

impl Bucket {
    /// Sorts sessions into a bucket, as the mint publishes it: the order says nothing about when they were booked.
    ///
    /// # Errors
    /// [`RestoreError::TooManySessions`] or, if one stands twice, [`RestoreError::NotSorted`].
    pub fn new(keyset: KeysetId, number: u64, mut sessions: Vec<RecordedSession>) -> Result<Self, RestoreError> {
        sessions.sort_unstable_by_key(RecordedSession::order);
        Self { keyset, number, sessions }.check()
    }

    /// Reads the bucket asked for.
    ///
    /// Implements R-BACK-03.
    ///
    /// # Errors
    /// [`RestoreError`], one variant per defect.
    pub fn from_frame(frame: &RestoreBucketFrame, keyset: KeysetId, number: u64) -> Result<Self, RestoreError> {
        if frame.keyset.0 != keyset.0 || frame.bucket != number {
            return Err(RestoreError::WrongBucket);
        }
        let session = |body: &RecordedSessionBody| RecordedSession::new(body.recovery.0, body.outputs.clone());
        let sessions = frame.sessions.iter().map(session).collect::<Result<_, _>>()?;
        Self { keyset, number, sessions }.check()
    }

    fn check(self) -> Result<Self, RestoreError> {
        if self.sessions.len() > MAX_SESSIONS {
            return Err(RestoreError::TooManySessions);
        }
        if !self.sessions.is_sorted_by(|a, b| a.order() < b.order()) {
            return Err(RestoreError::NotSorted);
        }
        Ok(self)
    }

    /// The frame to publish.
    pub fn to_frame(&self) -> RestoreBucketFrame {
        let body = |session: &RecordedSession| RecordedSessionBody { recovery: session.recovery.into(), outputs: session.outputs.clone() };
        RestoreBucketFrame { keyset: self.keyset.0.into(), bucket: self.number, sessions: self.sessions.iter().map(body).collect() }
    }

    /// The sessions.
    pub fn sessions(&self) -> &[RecordedSession] {
        &self.sessions
    }

    /// Whether it is full: there may be another one after it, and it never changes again.
    pub const fn is_closed(&self) -> bool {
        self.sessions.len() == MAX_SESSIONS
    }
}

/// Finds which of the recovery hashes are a seed's, with the index of each, ascending.
///
/// Implements R-BACK-04.
///
/// Tries every index from `from` until [`GAP`] in a row, or the last index, have none: two hashes each.
///
/// # Timing
/// Constant time in the seed but for what was found, and how many indices were tried.
pub fn find(seed: &WalletSeed, root: &Point, from: u64, hashes: &BTreeSet<[u8; 32]>) -> Vec<(u64, [u8; 32])> {
    let (mut found, mut index, mut missed) = (Vec::new(), from, 0);
    let recovery = seed.recovery_hashes(root);
    while missed < GAP {
        let hash = recovery.at(index);
        if hashes.contains(&hash) {
            found.push((index, hash));
            missed = 0;
        } else {
            missed += 1;
        }
        match index.checked_add(1) {
            Some(next) => index = next,
            None => break,
        }
    }
    found
}
