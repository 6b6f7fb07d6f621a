//! Payments that arrive together are checked together.
//!
//! ```text
//! check --> let whoever is ready arrive --> a place is free: take all who wait, at most a group, and check it
//!                                           none is: wait; whoever is done goes on with all who wait
//! ```
//!
//! There is no timer. A payment lets the tasks run first that are ready at that moment; then the most it waits before its own group starts
//! is the groups before it: with n payments waiting and w places, n / (64 w) groups, rounded up, plus the one that is running.
//!
//! A group of few tokens is checked by the task that takes it: handing it to another thread and back costs as much as several tokens. A
//! larger one, and whatever waits when a group is done, goes to tokio's threads for blocking work.

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

/// The most tokens that a task checks by itself, on a thread that others need: up to half a millisecond, about what a TLS handshake takes
/// there, and three times that if one of them is forged.
const AT_ONCE: usize = 16;

/// The most payments that may wait; beyond it nothing is decided (503).
const QUEUE: usize = 4_096;

struct Job {
    payment: Prepared,
    keys: Arc<Trusted>,
    answer: oneshot::Sender<Result<CheckedPayment, Refused>>,
}

/// Payments that are checked in one batch.
struct Group {
    keys: Arc<Trusted>,
    jobs: Vec<Job>,
}

impl Group {
    fn check(self) {
        let (payments, answers): (Vec<_>, Vec<_>) = self.jobs.into_iter().map(|job| (job.payment, job.answer)).unzip();
        for (answer, checked) in answers.into_iter().zip(verify_all(payments, &self.keys)) {
            // Nobody waits any more: nothing was claimed, nothing is lost.
            drop(answer.send(checked));
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    workers: usize,
}

impl Queue {
    /// The next group: payments in order of arrival that are to be checked under the same keys.
    fn group(&mut self) -> Option<Group> {
        // Whoever hung up before the check began costs no curve arithmetic. The payment may be sent again.
        self.waiting.retain(|job| !job.answer.is_closed());
        let keys = Arc::clone(&self.waiting.front()?.keys);
        let (mut jobs, mut tokens) = (Vec::new(), 0);
        while jobs.len() < GROUP
            && tokens < GROUP_TOKENS
            && let Some(job) = self.waiting.pop_front_if(|job| Arc::ptr_eq(&job.keys, &keys))
        {
            tokens += job.payment.tokens();
            jobs.push(job);
        }
        Some(Group { keys, jobs })
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
        {
            let mut queue = self.queue();
            if queue.waiting.len() >= QUEUE {
                return Err(Refused::pending());
            }
            queue.waiting.push_back(Job { payment, keys, answer });
        }
        tokio::task::yield_now().await;
        if let Some((worker, group)) = self.take() {
            worker.begin(group);
        }
        checked.await.unwrap_or_else(|_| Err(Refused::pending()))
    }

    /// What waits, and a place to check it in, if there are both.
    fn take(self: &Arc<Self>) -> Option<(Worker, Group)> {
        let mut queue = self.queue();
        if queue.workers >= self.most_workers {
            return None;
        }
        let group = queue.group()?;
        queue.workers += 1;
        Some((Worker { checker: Arc::clone(self), counted: true }, group))
    }
}

/// A place among the workers, given back when dropped, also by a runtime that shuts down before it ran.
struct Worker {
    checker: Arc<Checker>,
    counted: bool,
}

impl Worker {
    /// Checks a group here if it is small. What is more goes elsewhere.
    fn begin(mut self, group: Group) {
        let tokens: usize = group.jobs.iter().map(|job| job.payment.tokens()).sum();
        let more = if tokens <= AT_ONCE {
            group.check();
            self.next()
        } else {
            Some(group)
        };
        if let Some(more) = more {
            tokio::task::spawn_blocking(move || self.work(more));
        }
    }

    fn work(mut self, first: Group) {
        let mut next = Some(first);
        while let Some(group) = next {
            group.check();
            next = self.next();
        }
    }

    fn next(&mut self) -> Option<Group> {
        let mut queue = self.checker.queue();
        let group = queue.group();
        if group.is_none() {
            // Under the same lock as the look at the queue: whoever comes next finds the place free.
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
