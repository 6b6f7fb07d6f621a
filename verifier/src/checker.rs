//! Payments that arrive together are checked together.
//!
//! ```text
//! check --> a worker is free: it starts at once, with what waits          a lone payment waits for nobody
//!           all are busy:     the payment waits; the next worker that is done takes all who wait, at most a group
//! ```
//!
//! There is no timer. The most a payment waits before its own group starts is the groups before it: with n payments waiting and w
//! workers, n / (64 w) groups, rounded up, plus the one that is running.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use tokio::sync::oneshot;

use crate::check::{CheckedPayment, Prepared, verify_all};
use crate::error::Refused;
use crate::keysets::Trusted;

/// The most payments of one group.
const GROUP: usize = 64;

/// The most tokens of one group, but for the last payment taken: a group's time is bounded whatever the payments hold.
const GROUP_TOKENS: usize = 256;

/// The most payments that may wait; beyond it nothing is decided (503).
const QUEUE: usize = 4_096;

struct Job {
    payment: Prepared,
    keys: Arc<Trusted>,
    answer: oneshot::Sender<Result<CheckedPayment, Refused>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    workers: usize,
}

impl Queue {
    /// The next group: payments in order of arrival that are to be checked under the same keys.
    fn group(&mut self) -> Option<(Arc<Trusted>, Vec<Job>)> {
        // Whoever hung up before the check began costs no curve arithmetic. The payment may be sent again.
        self.waiting.retain(|job| !job.answer.is_closed());
        let keys = Arc::clone(&self.waiting.front()?.keys);
        let (mut group, mut tokens) = (Vec::new(), 0);
        while group.len() < GROUP
            && tokens < GROUP_TOKENS
            && let Some(job) = self.waiting.pop_front_if(|job| Arc::ptr_eq(&job.keys, &keys))
        {
            tokens += job.payment.tokens();
            group.push(job);
        }
        Some((keys, group))
    }
}

/// Checks payments, those that wait at the same time in one batch.
pub(crate) struct Checker {
    queue: Mutex<Queue>,
    most_workers: usize,
}

impl Checker {
    /// A checker with one worker a processor.
    pub(crate) fn new() -> Arc<Self> {
        let most_workers = available_parallelism().map_or(1, NonZeroUsize::get);
        Arc::new(Self { queue: Mutex::default(), most_workers })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks one payment.
    ///
    /// Implements R-VERIF-10.
    ///
    /// May be dropped at any time: a payment that is not being checked yet is left out, one that is costs its check and nothing else.
    ///
    /// # Errors
    /// What is wrong with this payment, whatever else is in its batch; `pending` if too many wait, or if the check was cut off.
    pub(crate) async fn check(self: &Arc<Self>, payment: Prepared, keys: Arc<Trusted>) -> Result<CheckedPayment, Refused> {
        let (answer, checked) = oneshot::channel();
        let start = {
            let mut queue = self.queue();
            if queue.waiting.len() >= QUEUE {
                return Err(Refused::pending());
            }
            queue.waiting.push_back(Job { payment, keys, answer });
            let start = queue.workers < self.most_workers;
            queue.workers += usize::from(start);
            start
        };
        if start {
            let worker = Worker { checker: Arc::clone(self), counted: true };
            tokio::task::spawn_blocking(move || worker.work());
        }
        checked.await.unwrap_or_else(|_| Err(Refused::pending()))
    }
}

/// A place among the workers, given back when dropped, also by a runtime that shuts down before it ran.
struct Worker {
    checker: Arc<Checker>,
    counted: bool,
}

impl Worker {
    fn work(mut self) {
        while let Some((keys, group)) = self.next() {
            let (payments, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.payment, job.answer)).unzip();
            for (answer, checked) in answers.into_iter().zip(verify_all(payments, &keys)) {
                // Nobody waits any more: nothing was claimed, nothing is lost.
                drop(answer.send(checked));
            }
        }
    }

    fn next(&mut self) -> Option<(Arc<Trusted>, Vec<Job>)> {
        let mut queue = self.checker.queue();
        let group = queue.group();
        if group.is_none() {
            // Under the same lock as the look at the queue: whoever comes next starts a worker.
            queue.workers -= 1;
            self.counted = false;
        }
        group
    }
}

impl Drop for Worker {
    /// Only after a panic or at the runtime's end is it still counted: whoever waits is then told that nothing is decided, rather than
    /// kept waiting.
    fn drop(&mut self) {
        if self.counted {
            let mut queue = self.checker.queue();
            queue.workers -= 1;
            queue.waiting.clear();
        }
    }
}
