//! A restored ledger: read-only until it has caught up, and then as before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use farthing_protocol::keyset::KeysetList;
use farthing_protocol::wire::{Frame, KeysetListFrame};

use super::keysets::announcement;
use super::{Asking, OperationError, Operations};
use crate::store::LedgerError;
use crate::store::keysets::Lifecycle;

impl Operations {
    /// Whether the operator has begun to resynchronise the ledger.
    pub(super) fn is_resyncing(&self) -> bool {
        self.resyncing.load(Ordering::SeqCst)
    }

    /// Whether a verifier has shown that the ledger lost something, and nobody has begun to resynchronise it.
    pub(super) fn is_behind(&self) -> bool {
        let sequence = self.shown.load(Ordering::SeqCst) > self.sequence.load(Ordering::SeqCst);
        !self.is_resyncing() && (sequence || self.lists_shown.load(Ordering::SeqCst) > self.list().keysets().len() as u64)
    }

    /// Whether the ledger was made from a backup and nobody has resynchronised it: it may lack announcements and payouts.
    pub(crate) fn is_restored(&self) -> bool {
        self.restored.load(Ordering::SeqCst)
    }

    /// The service's time, if deposits may be booked now.
    ///
    /// # Errors
    /// [`OperationError::LedgerBehind`], [`OperationError::Unavailable`] if the clock has jumped.
    pub(crate) fn deposit_time(&self) -> Result<u64, OperationError> {
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
        self.lists_shown.store(lifecycle.resync.keysets_shown, Ordering::SeqCst);
        self.restored.store(lifecycle.resync.restored, Ordering::SeqCst);
        self.resyncing.store(lifecycle.resync.began.is_some(), Ordering::SeqCst);
    }

    /// What a verifier has shown and the ledger could not write down then.
    pub(crate) fn shown_unwritten(&self, lifecycle: &Lifecycle) -> Option<u64> {
        let shown = self.shown.load(Ordering::SeqCst);
        (shown > lifecycle.resync.shown && shown > lifecycle.position.sequence).then_some(shown)
    }

    /// A verifier has seen the ledger further ahead than it is: remembered for good, and by every process, so that no restart forgets it.
    ///
    /// Implements R-RESYNC-01.
    pub(crate) async fn fall_behind(&self, shown: u64, own: u64) -> Result<(), OperationError> {
        // This process stops whatever becomes of the write, which is tried again every second.
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

    /// Takes a signed list from whoever has one with more keysets than this mint shows: evidence that announcements were lost. It is written
    /// down before anything else; while the ledger catches up, what it lacks is added to it at once. Returns the list that stands then.
    ///
    /// Implements R-RESYNC-05, R-RESYNC-06.
    ///
    /// # Errors
    /// [`OperationError::Keyset`] if it is not this root key's or contradicts the mint's own, [`OperationError::LedgerBehind`] if nobody has
    /// begun to resynchronise the ledger, [`OperationError::Overloaded`], [`OperationError::Unavailable`].
    pub async fn show_keysets(&self, frame: KeysetListFrame) -> Result<Arc<KeysetListFrame>, OperationError> {
        let _place = self.admit(Asking::Reader)?;
        let keysets = frame.keysets.len() as u64;
        let own = self.list();
        // Another process may have announced what this one does not know yet.
        if keysets <= own.keysets().len() as u64 || keysets <= self.ledger.lifecycle().await?.keysets.len() as u64 {
            return Ok(self.keysets().1);
        }
        let json = serde_json::to_string(&frame).map_err(|_| OperationError::Unavailable)?;
        let list = self.work(Asking::Reader, move || own.follow(&frame)).await??;
        self.ledger.note_keysets(keysets, json).await?;
        if self.is_resyncing() {
            self.adopt_keysets(list).await?;
            return Ok(self.keysets().1);
        }
        if self.lists_shown.fetch_max(keysets, Ordering::SeqCst) < keysets {
            tracing::error!(shown = keysets, "the ledger was restored from a backup and lacks keysets: nothing is booked any more");
        }
        Err(OperationError::LedgerBehind)
    }

    /// Adds to the ledger what a list has more than its own, as it was announced: from then on those tokens come back. Whether the mint can
    /// issue them is up to its keys. `false` if there is nothing to add, or the ledger is not being resynchronised.
    ///
    /// # Errors
    /// [`OperationError::Keyset`] if the list contradicts the ledger's own, [`OperationError::Unavailable`].
    pub(crate) async fn adopt_keysets(&self, list: KeysetList) -> Result<bool, OperationError> {
        let lifecycle = self.ledger.lifecycle().await?;
        let known = KeysetListFrame::from_bytes(&lifecycle.list).map_err(|_| LedgerError::Corrupt("the keyset list"))?;
        if list.keysets().len() <= known.keysets.len() {
            return Ok(false);
        }
        KeysetList::verify(&known, &self.root)?.follow(&list.to_frame())?;
        let new = list.keysets().get(known.keysets.len()..).unwrap_or_default();
        let announcements = new.iter().map(|keyset| announcement(&list, keyset)).collect::<Option<Vec<_>>>();
        let announcements = announcements.ok_or(LedgerError::Corrupt("a keyset number"))?;
        if !self.ledger.adopt_keysets(announcements).await? {
            return Ok(false);
        }
        tracing::warn!(keysets = list.keysets().len(), "keysets that were announced before the ledger was lost were adopted");
        self.lengthen(list);
        Ok(true)
    }
}
