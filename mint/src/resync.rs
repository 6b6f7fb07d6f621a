//! The operator's part in resynchronising a ledger that was restored from a backup.

use farthing_protocol::amount::Amount;
use serde::Serialize;

use super::{Mint, MintError};
use crate::store::resync::{ResyncBegun, ResyncFinished, ResyncState, Resynced};

/// Where a ledger stands that was, or may have been, restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResyncView {
    /// `in-step`, `restored`, `behind` or `resyncing`.
    pub standing: &'static str,
    /// The ledger's sequence.
    pub sequence: u64,
    /// What is known.
    #[serde(flatten)]
    pub state: ResyncState,
    /// What was booked since the resynchronisation began, by publisher.
    pub resynced: Vec<Resynced>,
}

impl Mint {
    /// Where the ledger stands.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn resync_view(&self) -> Result<ResyncView, MintError> {
        let lifecycle = self.0.ledger.lifecycle().await?;
        let (state, sequence) = (lifecycle.resync, lifecycle.position.sequence);
        let resynced = match state.began {
            Some(began) => self.0.ledger.resynced(began).await?,
            None => Vec::new(),
        };
        let standing = match state.began {
            Some(_) => "resyncing",
            None if state.shown > sequence || state.keysets_shown > lifecycle.keysets.len() as u64 => "behind",
            None if state.restored => "restored",
            None => "in-step",
        };
        Ok(ResyncView { standing, sequence, state, resynced })
    }

    /// Begins: a serving process takes deposits within a second, late ones too, and nothing else. `restored` is the operator's word for a
    /// ledger that no verifier has shown to be behind.
    ///
    /// Implements R-RESYNC-03.
    ///
    /// # Errors
    /// [`MintError::Resync`] if the ledger is not known to be behind, [`MintError::ClockJumped`], [`MintError::Ledger`].
    pub async fn begin_resync(&self, restored: bool) -> Result<ResyncView, MintError> {
        match self.0.ledger.begin_resync(restored, self.resync_time()?).await? {
            ResyncBegun::InStep => {
                Err(MintError::Resync("no verifier has shown that this ledger is behind: say --restored if it was restored"))
            }
            ResyncBegun::Begun | ResyncBegun::Earlier => {
                self.refresh().await?;
                self.resync_view().await
            }
        }
    }

    /// Adopts what was shown of keysets that were announced before the loss, then ends: the sequence jumps over everything that was shown, and
    /// the mint works as before. `allowance` is how much of tokens issued after the backup may still come back; what comes back beyond it
    /// freezes its denomination.
    ///
    /// # Errors
    /// [`MintError::Resync`] if none is under way, [`MintError::KeysetsNotAdopted`] if what was shown cannot be adopted and the operator does
    /// not say with `drop_keysets` that it is to be left out, [`MintError::BooksDiffer`], [`MintError::ClockJumped`], [`MintError::Ledger`].
    ///
    /// # Security
    /// Whoever has seen a list that is dropped will see the next announcement as a fork, and stop.
    pub async fn finish_resync(&self, allowance: Amount, drop_keysets: bool) -> Result<ResyncView, MintError> {
        if !drop_keysets && let Err(error) = self.adopt_shown().await {
            tracing::error!(%error, "the keysets that were shown could not be adopted");
        }
        if !self.audit().await?.differences.is_empty() {
            return Err(MintError::BooksDiffer);
        }
        let view = self.resync_view().await?;
        match self.0.ledger.finish_resync(allowance, drop_keysets, self.resync_time()?).await? {
            ResyncFinished::Finished => {}
            ResyncFinished::NotBegun => return Err(MintError::Resync("no resynchronisation is under way")),
            ResyncFinished::KeysetsMissing => return Err(MintError::KeysetsNotAdopted),
        }
        self.refresh().await?;
        Ok(ResyncView { resynced: view.resynced, ..self.resync_view().await? })
    }

    fn resync_time(&self) -> Result<u64, MintError> {
        self.0.operations.resync_time().map_err(|_| MintError::ClockJumped)
    }
}
