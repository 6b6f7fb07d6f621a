//! A ledger that was restored from a backup, and how it catches up from what verifiers kept.
//!
//! ```text
//! behind         a verifier has shown a sequence above the ledger's own: nothing is booked
//! resyncing      the operator has begun: payments are booked again, nothing else
//! in step        the operator has finished: the sequence has jumped over everything ever shown
//! ```
//!
//! What else the backup may lack is kept beside: whether the ledger was restored at all, and the longest signed keyset list that somebody has
//! shown. Until that is settled the ledger takes no announcement and no payout (see [`super::books`]).
//!
//! Tokens issued after the backup come back although the ledger has not counted them as issued. They are counted then, against the account
//! `recovered`: while a resynchronisation runs without a limit, afterwards up to the operator's allowance.

use farthing_protocol::amount::Amount;
use serde::Serialize;

use super::{Announcement, Answer};

/// How far the sequence jumps over everything that was shown, so that no number given out before the backup's loss is given out again:
/// some deposits may have been answered whose verifiers have not come back yet.
pub const JUMP: u64 = 1 << 20;

/// What is known of a restored ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ResyncState {
    /// The highest sequence that a verifier has shown; 0 if none was above the ledger's own.
    pub shown: u64,
    /// When the resynchronisation began that is under way, Unix seconds.
    pub began: Option<u64>,
    /// The value of tokens that came back and were issued after the backup, in smallest units.
    pub recovered: Amount,
    /// How much more of that may come back after a resynchronisation, in smallest units.
    pub allowance: Amount,
    /// Whether it was made from a backup and no resynchronisation has ended since.
    pub restored: bool,
    /// When a resynchronisation ended last, Unix seconds.
    pub finished: Option<u64>,
    /// How many keysets the longest signed list has that was shown and goes on where the ledger's own ends; 0 if none was.
    pub keysets_shown: u64,
}

impl ResyncState {
    /// Whether bookings may be missing that others know of: payouts of a backup's time may then be booked again.
    pub const fn was_restored(&self) -> bool {
        self.restored || self.began.is_some() || self.finished.is_some()
    }

    /// Whether tokens may have been issued that the ledger has not counted and, without anybody's word, may not count now: it was restored,
    /// and nobody has begun to resynchronise it.
    pub const fn may_miss_tokens(&self) -> bool {
        self.restored && self.began.is_none()
    }

    /// Whether publishers may have been added of which the ledger knows nothing.
    pub const fn may_miss_publishers(&self) -> bool {
        self.restored || self.began.is_some()
    }
}

/// What became of beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResyncBegun {
    /// Begun now.
    Begun,
    /// Under way already; nothing changed.
    Earlier,
    /// No verifier has shown that the ledger is behind; nothing changed.
    InStep,
}

/// What became of finishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResyncFinished {
    /// Finished now.
    Finished,
    /// None is under way; nothing changed.
    NotBegun,
    /// A signed list with more keysets than the ledger's was shown and not adopted; nothing changed.
    KeysetsMissing,
}

/// What was booked for a publisher since the resynchronisation began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resynced {
    /// The publisher.
    pub publisher: String,
    /// Payments booked.
    pub payments: u64,
    /// Their sum, in smallest units.
    pub credited: Amount,
}

/// The ledger's part in resynchronising.
pub trait Resync: Send + Sync + 'static {
    /// Remembers that a verifier has shown a sequence of this ledger; a lower one than before changes nothing.
    fn note_shown(&self, sequence: u64) -> Answer<'_, ()>;

    /// Begins; `restored` is the operator's word that the ledger was restored, for one that no verifier has shown to be behind.
    fn begin_resync(&self, restored: bool, now: u64) -> Answer<'_, ResyncBegun>;

    /// Ends, and lets the sequence jump by [`JUMP`]. `drop_keysets` is the operator's word that a list that was shown is not to be adopted.
    fn finish_resync(&self, allowance: Amount, drop_keysets: bool, now: u64) -> Answer<'_, ResyncFinished>;

    /// Remembers that the ledger was made from a backup, until a resynchronisation ends.
    fn note_restored(&self) -> Answer<'_, ()>;

    /// Remembers a signed list of so many keysets, as JSON of its frame; one no longer than the ledger's own or one shown before changes
    /// nothing. The caller has verified that it goes on where the ledger's ends.
    fn note_keysets(&self, keysets: u64, list: String) -> Answer<'_, ()>;

    /// The list that was shown and not adopted.
    fn shown_keysets(&self) -> Answer<'_, Option<String>>;

    /// Adds keysets that were announced before the loss, all of them in one transaction, while a resynchronisation runs; `false`, and
    /// nothing changed, if none does or the ledger's list has another length than the first continues.
    fn adopt_keysets(&self, announcements: Vec<Announcement>) -> Answer<'_, bool>;

    /// What was booked since a time, by publisher. Reads every payment: for operators.
    fn resynced(&self, since: u64) -> Answer<'_, Vec<Resynced>>;
}
