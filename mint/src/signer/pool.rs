//! Commitments made ahead, in idle time.
//!
//! A commitment depends on no key, so it can be made before anybody asks. The pool is bounded and its entries are young: what is not used
//! within [`FRESH`] is wiped, so that a session still gets most of the nonces' life.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use farthing_protocol::snowblind::Committer;

use super::{Stamp, Stamped, system_rng};
use crate::clock::Clock;

/// How old an entry may be when it is taken.
const FRESH: Duration = Duration::from_secs(20);

/// How often the pool is looked after when nobody takes from it.
const LOOK: Duration = Duration::from_secs(5);

/// How many are made at a time: enough to share the cost of encoding, few enough to leave the core soon.
const TOGETHER: usize = 16;

pub(super) struct Pool(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    committer: Committer,
    size: usize,
    entries: Mutex<VecDeque<Stamped>>,
    taken: Condvar,
    started: AtomicBool,
    closed: AtomicBool,
}

impl Pool {
    pub(super) fn new(clock: Arc<dyn Clock>, size: usize) -> Self {
        Self(Arc::new(Shared {
            clock,
            committer: Committer::new(),
            size,
            entries: Mutex::new(VecDeque::with_capacity(size)),
            taken: Condvar::new(),
            started: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    pub(super) fn start(&self) {
        if self.0.size == 0 || self.0.started.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = self.0.clone();
        let spawned = std::thread::Builder::new().name("commitments".into()).spawn(move || shared.fill());
        if spawned.is_err() {
            tracing::warn!("no thread for the pool of commitments: they are made when they are asked for");
        }
    }

    /// Moves up to `count` fresh entries out.
    pub(super) fn take(&self, count: usize) -> Vec<Stamped> {
        let mut taken = Vec::with_capacity(count);
        {
            let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
            while taken.len() < count {
                let Some(entry) = entries.pop_front() else { break };
                if entry.stamp.alive(&*self.0.clock, FRESH) {
                    taken.push(entry);
                }
            }
        }
        self.0.taken.notify_one();
        taken
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Draws so many now.
    pub(super) fn draw(&self, count: usize) -> Option<Vec<Stamped>> {
        self.0.draw(count)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.taken.notify_all();
    }
}

impl Shared {
    fn draw(&self, count: usize) -> Option<Vec<Stamped>> {
        let stamp = Stamp::now(&*self.clock);
        // A draw fails with probability 2^-252; twice in a row is a broken generator.
        let drawn = self.committer.commit(count, &mut system_rng()).or_else(|_| self.committer.commit(count, &mut system_rng()));
        Some(drawn.ok()?.into_iter().map(|nonces| Stamped { nonces, stamp }).collect())
    }

    fn fill(&self) {
        while !self.closed.load(Ordering::SeqCst) {
            let room = {
                let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
                // The oldest stand in front.
                while entries.front().is_some_and(|entry| !entry.stamp.alive(&*self.clock, FRESH)) {
                    entries.pop_front();
                }
                if entries.len() >= self.size {
                    drop(self.taken.wait_timeout(entries, LOOK).unwrap_or_else(PoisonError::into_inner));
                    continue;
                }
                self.size - entries.len()
            };
            let Some(drawn) = self.draw(room.min(TOGETHER)) else { return };
            self.entries.lock().unwrap_or_else(PoisonError::into_inner).extend(drawn);
        }
    }
}
