//! What the ledger knows of a keyset's life, and the few changes to it.
//!
//! ```text
//! open -> closing       at deposit_until: nothing of it is taken any more
//! closing -> closed     a day later: its rows of `spent` may be dropped
//! ```
//!
//! There is no way back, whatever the clock says later. The state is read in the transaction of the insert that it guards, so that a
//! deposit on its way while a keyset closes is either booked before or refused.

use farthing_protocol::amount::Amount;
use serde::Serialize;
use utoipa::ToSchema;

use super::resync::ResyncState;
use super::{Answer, Position};

/// A keyset stays in `closing` for this long, in seconds.
pub const CLOSING: u64 = 86_400;

/// How far a keyset has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeysetState {
    /// Tokens may come back.
    Open,
    /// No token comes back; the spent ones are still known.
    Closing,
    /// The spent ones are dropped.
    Closed,
}

/// A keyset's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysetRow {
    /// The place in the list, from 0.
    pub number: u32,
    /// How far it has come.
    pub state: KeysetState,
    /// When an operator stopped the issuing early, Unix seconds.
    pub retired: Option<u64>,
    /// Whether all of its spent tokens were dropped.
    pub pruned: bool,
    /// When it closes, Unix seconds.
    pub deposit_until: u64,
}

/// Everything about keysets, read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// The signed list, as a frame.
    pub list: Vec<u8>,
    /// One row a keyset, in order.
    pub keysets: Vec<KeysetRow>,
    /// How often an operator has told the mint the time.
    pub clock: u64,
    /// Where the ledger stands.
    pub position: Position,
    /// What is known of it if it was restored from a backup.
    pub resync: ResyncState,
}

/// How much the ledger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LedgerSize {
    /// Rows of spent tokens.
    pub spent: u64,
    /// Payments.
    pub payments: u64,
    /// Sessions, booked and cancelled.
    pub sessions: u64,
    /// Bytes of the file that are in use or wait for use, without the journal.
    pub bytes: u64,
}

/// The ledger's part in the life of keysets. Changes are one transaction each, as in [`super::Ledger`].
pub trait KeysetLedger: Send + Sync + 'static {
    /// All keysets at one moment.
    fn lifecycle(&self) -> Answer<'_, Lifecycle>;

    /// Stops a keyset's issuing, for good; `false` if there is no such keyset. One that was retired before stays as it was.
    fn retire_keyset(&self, number: u32, now: u64) -> Answer<'_, bool>;

    /// Freezes a denomination of a keyset, for good: it neither issues nor comes back; `false` if there is none such.
    fn freeze_denomination(&self, number: u32, denomination: Amount) -> Answer<'_, bool>;

    /// Records the time and moves every keyset whose time has come one step or two. Returns how many steps were made.
    fn advance_keysets(&self, now: u64) -> Answer<'_, u64>;

    /// Drops at most `rows` spent tokens of a closed keyset and gives their room back. Returns how many were dropped; fewer than `rows`
    /// means that it holds no more. One that is not closed loses nothing.
    fn prune_keyset(&self, number: u32, rows: u32) -> Answer<'_, u64>;

    /// Takes the operator's word for the time, forward or back. Keysets stay as far as they have come.
    fn accept_clock(&self, now: u64) -> Answer<'_, ()>;

    /// How much the ledger holds. Counts every row: for operators and tests.
    fn size(&self) -> Answer<'_, LedgerSize>;
}
