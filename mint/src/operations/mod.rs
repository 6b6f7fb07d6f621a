//! What the mint does, between the HTTP above and the ledger and the signer below: no SQL here, and no HTTP.

mod books;
mod deposits;
mod error;
mod givebacks;
mod issuing;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use farthing_protocol::amount::Unit;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::spending::KeyTable;
use farthing_protocol::wire::KeysetListFrame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::ServiceClock;
use crate::config::Limits;
use crate::signer::Signer;
use crate::store::{Ledger, LedgerError};
pub use books::{DenominationStatus, KeysetStatus, Status};
pub use error::OperationError;
use sessions::Sessions;

/// What the operations work with.
pub struct Operations {
    list: KeysetList,
    frame: KeysetListFrame,
    table: Arc<KeyTable>,
    unit: Unit,
    signer: Signer,
    ledger: Arc<dyn Ledger>,
    /// The ledger's random id.
    ledger_id: [u8; 16],
    /// The highest sequence this process has seen the ledger at.
    sequence: AtomicU64,
    /// Set for good once a verifier has shown that the ledger lost something.
    behind: AtomicBool,
    /// Marks ahead of the ledger that were looked at in this second: second * 2^16 + count.
    marks_tried: AtomicU64,
    clock: ServiceClock,
    sessions: Sessions,
    admitted: Arc<Semaphore>,
    workers: Arc<Semaphore>,
}

impl Operations {
    /// Puts the operations together.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger does not say where it stands.
    pub(crate) async fn new(
        list: KeysetList,
        unit: Unit,
        signer: Signer,
        ledger: Arc<dyn Ledger>,
        clock: ServiceClock,
        limits: &Limits,
    ) -> Result<Self, LedgerError> {
        let position = ledger.position().await?;
        Ok(Self {
            frame: list.to_frame(),
            table: Arc::new(list.key_table()),
            list,
            unit,
            signer,
            ledger,
            ledger_id: position.ledger,
            sequence: AtomicU64::new(position.sequence),
            behind: AtomicBool::new(false),
            marks_tried: AtomicU64::new(0),
            clock,
            sessions: Sessions::new(limits.sessions, limits.session_outputs),
            admitted: Arc::new(Semaphore::new(limits.requests)),
            workers: Arc::new(Semaphore::new(limits.workers)),
        })
    }

    /// The root key.
    pub fn root(&self) -> &Point {
        self.list.root()
    }

    /// What the mint counts in.
    pub const fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The signed keyset list.
    pub const fn keysets(&self) -> &KeysetListFrame {
        &self.frame
    }

    /// The head of the keyset list.
    pub fn head(&self) -> [u8; 32] {
        self.list.head()
    }

    /// Begins what only a serving mint needs: the pool of commitments.
    pub(crate) fn prepare(&self) {
        self.signer.fill_pool();
    }

    /// Wipes the nonces of sessions that are over.
    pub(crate) fn sweep(&self) {
        self.sessions.sweep(self.clock.roughly());
    }

    /// Whether the mint would take work now.
    ///
    /// # Errors
    /// [`OperationError`]: why it would not.
    pub async fn ready(&self) -> Result<(), OperationError> {
        self.now()?;
        self.ledger.position().await?;
        Ok(())
    }

    /// The service's time, if anything irreversible may be done now.
    fn now(&self) -> Result<u64, OperationError> {
        if self.behind.load(Ordering::SeqCst) {
            return Err(OperationError::LedgerBehind);
        }
        Ok(self.clock.now()?)
    }

    /// A place among the requests being worked on. Nobody queues here: too many is an answer.
    fn admit(&self) -> Result<OwnedSemaphorePermit, OperationError> {
        self.admitted.clone().try_acquire_owned().map_err(|_| OperationError::Overloaded)
    }

    /// Runs curve work on a thread of its own, as many at a time as there are workers.
    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, OperationError> {
        let permit = self.workers.clone().acquire_owned().await.map_err(|_| OperationError::Unavailable)?;
        let job = move || {
            let done = job();
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| OperationError::Unavailable)
    }
}
