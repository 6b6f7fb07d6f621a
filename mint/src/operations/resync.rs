//! A restored ledger: read-only until it has caught up, and then as before.

use std::sync::atomic::Ordering;

use super::{OperationError, Operations};
use crate::store::keysets::Lifecycle;

impl Operations {
    /// Whether the operator has begun to resynchronise the ledger.
    pub(super) fn is_resyncing(&self) -> bool {
        self.resyncing.load(Ordering::SeqCst)
    }

    /// Whether a verifier has shown that the ledger lost something, and nobody has begun to resynchronise it.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_resyncing() && self.shown.load(Ordering::SeqCst) > self.sequence.load(Ordering::SeqCst)
    }

    /// The service's time, if deposits may be booked now.
    pub(super) fn deposit_time(&self) -> Result<u64, OperationError> {
        if self.is_behind() { Err(OperationError::LedgerBehind) } else { self.resync_time() }
    }

    /// The service's time, wherever the ledger stands.
    ///
    /// # Errors
    /// [`OperationError::Unavailable`] if the clock has jumped.
    pub(crate) fn resync_time(&self) -> Result<u64, OperationError> {
        Ok(self.clock.now()?)
    }

    /// Takes in where the ledger stands.
    pub(crate) fn stand(&self, lifecycle: &Lifecycle) {
        self.sequence.fetch_max(lifecycle.position.sequence, Ordering::SeqCst);
        self.shown.fetch_max(lifecycle.resync.shown, Ordering::SeqCst);
        self.resyncing.store(lifecycle.resync.began.is_some(), Ordering::SeqCst);
    }

    /// A verifier has seen the ledger further ahead than it is: remembered for good, and by every process, so that no restart forgets it.
    ///
    /// Implements R-RESYNC-01.
    pub(super) async fn fall_behind(&self, shown: u64, own: u64) -> Result<(), OperationError> {
        let news = self.shown.fetch_max(shown, Ordering::SeqCst) < shown;
        if news {
            self.ledger.note_shown(shown).await?;
        }
        if self.is_resyncing() {
            return Ok(());
        }
        if news {
            tracing::error!(ledger = own, seen = shown, "the ledger was restored from a backup: nothing is booked any more");
        }
        Err(OperationError::LedgerBehind)
    }
}
