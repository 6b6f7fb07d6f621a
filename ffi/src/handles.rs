//! Verifiers that are open, by number.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use verifier::blocking::{BlockingError, Threads};
use verifier::site::{Settings, Site};

use crate::calls::Failure;

/// A site, and the threads it works on.
pub(crate) struct Open {
    pub(crate) site: Arc<Site>,
    threads: Threads,
}

impl Open {
    /// Has the library's own threads do it: the caller's stack may be a small one.
    pub(crate) fn run<F, T>(&self, act: impl FnOnce(Arc<Site>) -> F) -> Result<T, BlockingError>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.threads.run(act(Arc::clone(&self.site)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let verifier = self.site.verifier().clone();
        // In a process that was forked off there is nothing to end.
        let _ = self.threads.run(async move { verifier.shutdown().await });
    }
}

static OPEN: RwLock<BTreeMap<u64, Arc<Open>>> = RwLock::new(BTreeMap::new());

/// The next number. None is ever given twice, and 0 never.
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) fn open(settings: &str) -> Result<u64, Failure> {
    let settings = Settings::parse(settings)?;
    let threads = Threads::start()?;
    let site = threads.run(Site::open(settings))??;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    OPEN.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(Open { site: Arc::new(site), threads }));
    Ok(number)
}

pub(crate) fn get(number: u64) -> Result<Arc<Open>, Failure> {
    OPEN.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned().ok_or(Failure::Closed)
}

/// Closes it once the calls that use it are done: the last of them waits for its end.
pub(crate) fn close(number: u64) -> Result<(), Failure> {
    let closed = OPEN.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    // Dropped after the lock was let go: its end may take the mint's time.
    closed.map(drop).ok_or(Failure::Closed)
}
