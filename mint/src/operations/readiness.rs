//! Whether the mint would take work: the clock is believed, the ledger is in step, and it can be written.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{OperationError, Operations};
use crate::scratch::Scratch;

/// A write that succeeded speaks for so long.
const HOLDS: Duration = Duration::from_secs(5);

/// After one that failed nobody tries again before.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of whether the ledger can be written.
pub(super) struct Writable {
    place: Scratch,
    /// Bytes that must be free where an embedded ledger is.
    reserve: u64,
    /// When it was last tried, and whether it went well.
    tried: tokio::sync::Mutex<Option<(Instant, bool)>>,
    /// What the log was last told.
    told: std::sync::Mutex<Obstacle>,
}

/// What keeps the ledger from being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Nothing,
    /// Less is free than the reserve.
    Room,
    /// A durable write failed.
    Write,
}

impl Writable {
    pub(super) fn new(place: Scratch, reserve: u64) -> Self {
        Self { place, reserve, tried: tokio::sync::Mutex::default(), told: std::sync::Mutex::new(Obstacle::Nothing) }
    }

    /// A file system that does not say how much is free counts as full.
    fn has_room(&self) -> bool {
        self.reserve == 0 || self.place.free().is_ok_and(|free| free >= self.reserve)
    }

    /// Says in the log what is in the way, once each time that changes: whoever finds the mint not ready looks there.
    fn tell(&self, obstacle: Obstacle) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *told, obstacle) == obstacle {
            return;
        }
        match obstacle {
            Obstacle::Nothing => tracing::info!("the ledger can be written again"),
            Obstacle::Room => tracing::error!(reserve = self.reserve, "not ready: fewer bytes are free for the ledger than the reserve"),
            Obstacle::Write => tracing::error!("not ready: the ledger cannot be written"),
        }
    }
}

impl Operations {
    /// Whether the mint would take work now.
    ///
    /// # Errors
    /// [`OperationError`]: why it would not.
    pub async fn ready(&self) -> Result<(), OperationError> {
        self.deposit_time()?;
        self.ledger.position().await?;
        if self.is_writable().await { Ok(()) } else { Err(OperationError::LedgerUnwritable) }
    }

    /// Whether the ledger can be written durably: tried by writing, at most once in five seconds. Where the ledger is a file, less than the
    /// reserve of free bytes is too little already, because what is left in its log takes some writes after the disk is full.
    ///
    /// Implements R-SERV-07.
    pub(super) async fn is_writable(&self) -> bool {
        if self.ledger.instances().is_none() && !self.writable.has_room() {
            self.writable.tell(Obstacle::Room);
            return false;
        }
        // Whoever asks meanwhile waits for the one answer.
        let mut tried = self.writable.tried.lock().await;
        if let Some((at, well)) = *tried
            && at.elapsed() < if well { HOLDS } else { PAUSE }
        {
            return well;
        }
        let well = self.ledger.probe().await.is_ok();
        *tried = Some((Instant::now(), well));
        self.writable.tell(if well { Obstacle::Nothing } else { Obstacle::Write });
        well
    }
}
