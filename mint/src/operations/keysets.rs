//! The keysets as this process sees them, and what time does to them.

use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::keyset::{Keyset, KeysetList};
use farthing_protocol::spending::KeyTable;
use farthing_protocol::wire::{Frame, KeysetListFrame};
use serde::Serialize;
use utoipa::ToSchema;

use super::{OperationError, Operations};
use crate::signer::KeyFile;
use crate::store::Announcement;
use crate::store::keysets::{KeysetRow, KeysetState, LedgerSize, Lifecycle};

/// Spent tokens dropped in one transaction: some milliseconds of the writer's time.
const BATCH: u32 = 2_000;

/// Rest between two of them, so that deposits come through.
const REST: Duration = Duration::from_millis(20);

/// Batches before everything else that waits for its turn.
const BATCHES: usize = 100;

/// The time is recorded at least this often, so that a start tells how long the mint was away; in seconds.
const RECORD: u64 = 600;

/// The list in the forms in which it is used, always of one moment.
pub(super) struct Live {
    list: Arc<KeysetList>,
    frame: Arc<KeysetListFrame>,
    table: Arc<KeyTable>,
}

impl Live {
    pub(super) fn new(list: KeysetList) -> Self {
        Self { frame: Arc::new(list.to_frame()), table: Arc::new(list.key_table()), list: Arc::new(list) }
    }
}

/// What the ledger holds; rows and bytes.
pub type Size = LedgerSize;

/// A keyset in the operator's eyes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeysetSummary {
    /// The place in the list, from 0.
    pub number: u64,
    /// The id, in base64url.
    pub id: String,
    /// `open`, `closing` or `closed`.
    pub state: KeysetState,
    /// What its windows allow now: `announced`, `issuing`, `retired`, `spending`, `refreshing`, `depositing` or `over`.
    pub window: &'static str,
    /// When an operator stopped the issuing early, Unix seconds.
    pub retired: Option<u64>,
    /// When it was announced, Unix seconds.
    pub published: u64,
    /// Tokens are issued from here.
    pub issue_from: u64,
    /// And up to here.
    pub issue_until: u64,
    /// Verifiers accept tokens up to here.
    pub spend_until: u64,
    /// The mint refreshes them up to here.
    pub refresh_until: u64,
    /// The mint takes deposits up to here.
    pub deposit_until: u64,
    /// Tokens issued.
    pub issued: u64,
    /// Tokens that came back.
    pub redeemed: u64,
    /// Value in readers' wallets, in smallest units.
    #[schema(value_type = u64)]
    pub outstanding: Amount,
    /// Whether its spent tokens were dropped.
    pub pruned: bool,
}

/// A keyset of a list as the ledger takes it; `None` if its number is beyond what the ledger counts.
pub(crate) fn announcement(list: &KeysetList, keyset: &Keyset) -> Option<Announcement> {
    Some(Announcement {
        list: list.to_frame().to_bytes(),
        number: u32::try_from(keyset.number()).ok()?,
        keyset: keyset.id(),
        denominations: keyset.denominations(),
        deposit_until: keyset.windows().deposit_until,
    })
}

fn window(keyset: &Keyset, row: &KeysetRow, now: u64) -> &'static str {
    let windows = keyset.windows();
    if now < windows.issue_from {
        "announced"
    } else if row.state != KeysetState::Open || !keyset.depositable_at(now) {
        "over"
    } else if now < windows.issue_until && row.retired.is_none() {
        "issuing"
    } else if now < windows.issue_until {
        "retired"
    } else if now < windows.spend_until {
        "spending"
    } else if now < windows.refresh_until {
        "refreshing"
    } else {
        "depositing"
    }
}

impl Operations {
    fn live(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verified list.
    pub(crate) fn list(&self) -> Arc<KeysetList> {
        self.live().list.clone()
    }

    /// The keys that tokens are verified with.
    pub(crate) fn table(&self) -> Arc<KeyTable> {
        self.live().table.clone()
    }

    /// The head of the signed list, and the list.
    pub fn keysets(&self) -> ([u8; 32], Arc<KeysetListFrame>) {
        let live = self.live();
        (live.list.head(), live.frame.clone())
    }

    /// The service's time.
    ///
    /// # Errors
    /// [`OperationError::Unavailable`] if the clock has jumped, [`OperationError::LedgerBehind`].
    pub(crate) fn time(&self) -> Result<u64, OperationError> {
        self.now()
    }

    /// Goes on from a time that the operator has accepted.
    pub(crate) fn accept_time(&self, recorded: u64) {
        self.clock.accept(recorded);
    }

    /// Takes a list, and keys if there are any, in place of those it had. Requests that are being answered keep what they began with.
    ///
    /// Returns the numbers of keysets that should issue and cannot.
    pub(crate) fn install(&self, list: KeysetList, rows: &[KeysetRow], keys: Option<KeyFile>) -> Vec<u64> {
        let now = self.clock.roughly();
        let issues = |keyset: &Keyset| {
            let open = rows.iter().find(|row| u64::from(row.number) == keyset.number());
            open.is_some_and(|row| row.retired.is_none() && row.state == KeysetState::Open) && now < keyset.windows().issue_until
        };
        let missing = keys.map(|keys| self.signer.load(&list, keys, issues)).unwrap_or_default();
        if list.head() != self.live().list.head() {
            self.replace(Live::new(list));
        }
        missing
    }

    fn replace(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// Takes a list unless it has one as long: another may have been adopted meanwhile.
    pub(super) fn lengthen(&self, list: KeysetList) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.list.keysets().len() < list.keysets().len() {
            *live = Live::new(list);
        }
    }

    /// Records the time now and then, closes the keysets whose time has come, and drops the spent tokens of closed ones, in small steps.
    /// While the clock is not to be believed nothing is closed.
    ///
    /// Implements R-LIFE-03.
    ///
    /// # Errors
    /// [`OperationError`]: another time, then.
    pub(crate) async fn close_keysets(&self, lifecycle: &Lifecycle) -> Result<(), OperationError> {
        let Ok(now) = self.clock.now() else { return Ok(()) };
        let due = lifecycle.keysets.iter().any(|row| match row.state {
            KeysetState::Open => row.deposit_until <= now,
            KeysetState::Closing => row.deposit_until.saturating_add(crate::store::keysets::CLOSING) <= now,
            KeysetState::Closed => false,
        });
        if due || lifecycle.position.time.saturating_add(RECORD) <= now {
            let steps = self.ledger.advance_keysets(now).await?;
            if steps > 0 {
                tracing::info!(steps, "keysets were closed");
            }
        }
        let closed = lifecycle.keysets.iter().filter(|row| row.state == KeysetState::Closed && !row.pruned);
        for row in closed {
            let mut dropped = 0;
            for _ in 0..BATCHES {
                let rows = self.ledger.prune_keyset(row.number, BATCH).await?;
                dropped += rows;
                if rows < u64::from(BATCH) {
                    tracing::info!(keyset = row.number, dropped, "the last spent tokens of a closed keyset were dropped");
                    break;
                }
                tokio::time::sleep(REST).await;
            }
        }
        Ok(())
    }

    /// All keysets, oldest first, at one moment or nearly so.
    ///
    /// # Errors
    /// [`OperationError::Unavailable`].
    pub async fn keyset_summaries(&self) -> Result<Vec<KeysetSummary>, OperationError> {
        let (lifecycle, sheet, list, now) = (self.ledger.lifecycle().await?, self.ledger.sheet().await?, self.list(), self.clock.roughly());
        let both = list.keysets().iter().zip(&lifecycle.keysets);
        let summary = |(keyset, row): (&Keyset, &KeysetRow)| {
            let own = || sheet.counters.iter().filter(|counter| counter.keyset == row.number);
            let out = |counter: &crate::store::Counter| counter.denomination.units().saturating_mul(counter.outstanding());
            let windows = keyset.windows();
            KeysetSummary {
                number: keyset.number(),
                id: crate::config::base64url(&keyset.id().0),
                state: row.state,
                window: window(keyset, row, now),
                retired: row.retired,
                published: keyset.published(),
                issue_from: windows.issue_from,
                issue_until: windows.issue_until,
                spend_until: windows.spend_until,
                refresh_until: windows.refresh_until,
                deposit_until: windows.deposit_until,
                issued: own().map(|counter| counter.issued).sum(),
                redeemed: own().map(|counter| counter.redeemed).sum(),
                outstanding: Amount::from_units(own().map(out).fold(0, u64::saturating_add)),
                pruned: row.pruned,
            }
        };
        Ok(both.map(summary).collect())
    }
}
