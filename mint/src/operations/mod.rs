//! What the mint does, between the HTTP above and the ledger and the signer below: no SQL here, and no HTTP.

mod books;
mod builder;
mod checker;
mod deposits;
mod error;
mod filters;
mod givebacks;
mod issuing;
mod keysets;
mod observe;
mod readiness;
mod recovering;
mod resync;
mod sessions;
mod sharing;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, RwLock};

use farthing_protocol::amount::Unit;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use rand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::ServiceClock;
use crate::config::Limits;
use crate::scratch::Scratch;
use crate::signer::{Signer, system_rng};
use crate::store::{Ledger, LedgerError};
pub use books::{DenominationStatus, KeysetStatus, Status};
use checker::Checker;
pub use error::OperationError;
use filters::Filters;
pub use filters::{ListedSegment, SegmentBytes, SpentIndex};
use keysets::Live;
pub(crate) use keysets::announcement;
pub use keysets::{KeysetSummary, Size};
use readiness::Writable;
pub use recovering::FrozenDenomination;
use sessions::Sessions;
pub use sharing::Owner;

/// What the operations work with.
pub struct Operations {
    root: Point,
    live: RwLock<Live>,
    unit: Unit,
    signer: Signer,
    ledger: Arc<dyn Ledger>,
    /// The ledger's random id.
    ledger_id: [u8; 16],
    /// The highest sequence this process has seen the ledger at.
    sequence: AtomicU64,
    /// The highest sequence that a verifier has shown above the ledger's own.
    shown: AtomicU64,
    /// How many keysets the longest list has that was shown and that the ledger may lack; 0 if none was.
    lists_shown: AtomicU64,
    /// Whether the ledger was made from a backup and not resynchronised since.
    restored: AtomicBool,
    /// Whether the operator has begun to resynchronise the ledger.
    resyncing: AtomicBool,
    /// Invented marks ahead of the ledger that were looked at in this minute: minute * 2^16 + count.
    marks_guessed: AtomicU64,
    clock: ServiceClock,
    sessions: Sessions,
    filters: Filters,
    writable: Writable,
    /// This process's id among those that serve on the ledger.
    instance: AtomicU32,
    readers: Places,
    publishers: Places,
    checker: Arc<Checker>,
    /// When the balance sheet was last looked at.
    observed: tokio::sync::Mutex<Option<std::time::Instant>>,
}

/// Whose request it is. Each kind has places of its own, because readers are nobody: however many they are, publishers are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// Whoever buys, refreshes, takes change, restores or looks something up.
    Reader,
    /// Whoever deposits or gives back.
    Publisher,
}

/// Places for requests of one kind, and for their curve work.
struct Places {
    most: usize,
    requests: Arc<Semaphore>,
    workers: Arc<Semaphore>,
}

impl Places {
    fn new(limits: &Limits) -> Self {
        Self {
            most: limits.requests,
            requests: Arc::new(Semaphore::new(limits.requests)),
            workers: Arc::new(Semaphore::new(limits.workers)),
        }
    }
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
        scratch: Scratch,
    ) -> Result<Self, LedgerError> {
        let position = ledger.position().await?;
        Ok(Self {
            root: *list.root(),
            live: RwLock::new(Live::new(list)),
            unit,
            signer,
            ledger,
            ledger_id: position.ledger,
            sequence: AtomicU64::new(position.sequence),
            shown: AtomicU64::new(0),
            lists_shown: AtomicU64::new(0),
            restored: AtomicBool::new(false),
            resyncing: AtomicBool::new(false),
            marks_guessed: AtomicU64::new(0),
            clock,
            sessions: Sessions::new(limits.sessions, limits.session_outputs),
            writable: Writable::new(scratch.clone(), limits.disk_reserve),
            filters: Filters::new(scratch),
            instance: AtomicU32::new(system_rng().next_u32()),
            readers: Places::new(limits),
            publishers: Places::new(limits),
            checker: Checker::new(limits.workers),
            observed: tokio::sync::Mutex::new(None),
        })
    }

    /// The root key.
    pub const fn root(&self) -> &Point {
        &self.root
    }

    /// What the mint counts in.
    pub const fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The signer, for what an operator asks of it.
    pub(crate) const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Begins what only a serving mint needs: the pool of commitments.
    pub(crate) fn prepare(&self) {
        self.signer.fill_pool();
    }

    /// Wipes the nonces of sessions that are over.
    pub(crate) fn sweep(&self) {
        self.sessions.sweep(self.clock.roughly());
    }

    /// The service's time, if anything irreversible may be done now.
    fn now(&self) -> Result<u64, OperationError> {
        if self.is_resyncing() {
            return Err(OperationError::Resyncing);
        }
        self.deposit_time()
    }

    const fn places(&self, asking: Asking) -> &Places {
        match asking {
            Asking::Reader => &self.readers,
            Asking::Publisher => &self.publishers,
        }
    }

    /// A place among the requests being worked on. Nobody queues here: too many is an answer.
    ///
    /// Implements R-SERV-01.
    fn admit(&self, asking: Asking) -> Result<OwnedSemaphorePermit, OperationError> {
        self.places(asking).requests.clone().try_acquire_owned().map_err(|_| OperationError::Overloaded)
    }

    /// Runs curve work on a thread of its own, as many at a time as there are workers.
    async fn work<T: Send + 'static>(&self, asking: Asking, job: impl FnOnce() -> T + Send + 'static) -> Result<T, OperationError> {
        let permit = self.places(asking).workers.clone().acquire_owned().await.map_err(|_| OperationError::Unavailable)?;
        let job = move || {
            let done = job();
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| OperationError::Unavailable)
    }
}
