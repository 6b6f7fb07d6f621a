//! Payments of deposits that arrive together are verified together.
//!
//! ```text
//! verify --> a worker is free: it starts at once, with what waits       a lone deposit waits for nobody
//!            all are busy:     the deposit waits; the next worker that is done takes all who wait, at most a group
//! ```
//!
//! There is no timer. The most a deposit waits before its own group starts is the groups before it: with n tokens waiting and w workers,
//! n / (256 w) groups, rounded up, plus the one that is running; 256 tokens take some 6 ms. A bad payment costs its group the splitting
//! of the batch, twice the work at most but for the sixteen payments around each bad one, and changes nobody else's answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farthing_protocol::error::ProofError;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::settle::Refusal;
use farthing_protocol::spending::{Checked, KeyTable, Spending, verify_batch};
use farthing_protocol::wire::DepositBody;
use tokio::sync::oneshot;

use super::OperationError;
use crate::signer::system_rng;

/// The most tokens of one group, but for the last deposit taken: larger batches save next to nothing.
const GROUP_TOKENS: usize = 256;

/// One payment on its way.
pub(super) enum Step {
    /// Not well formed: it has not even an id.
    Malformed,
    /// Looked at; the answer stands without the ledger.
    Refused(PaymentId, Refusal),
    /// Verified; the ledger decides.
    Verified(Box<Deposit>, Box<Spending>),
}

/// One deposit.
struct Job {
    payments: Vec<DepositBody>,
    keys: Arc<KeyTable>,
    answer: oneshot::Sender<Vec<Step>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    workers: usize,
}

impl Queue {
    /// The next group: deposits in order of arrival that are to be verified under the same keys.
    fn group(&mut self) -> Option<(Arc<KeyTable>, Vec<Job>)> {
        // Whoever hung up before the work began costs no curve arithmetic. The deposit may be sent again.
        self.waiting.retain(|job| !job.answer.is_closed());
        let keys = Arc::clone(&self.waiting.front()?.keys);
        let (mut group, mut tokens) = (Vec::new(), 0);
        while tokens < GROUP_TOKENS
            && let Some(job) = self.waiting.pop_front_if(|job| Arc::ptr_eq(&job.keys, &keys))
        {
            tokens += job.payments.iter().map(|payment| payment.payment.tokens.tokens.len().max(1)).sum::<usize>();
            group.push(job);
        }
        Some((keys, group))
    }
}

/// Verifies deposits, those that wait at the same time in one batch. How many may wait is up to the caller's places.
pub(super) struct Checker {
    queue: Mutex<Queue>,
    most_workers: usize,
}

impl Checker {
    /// A checker with so many threads at most.
    pub(super) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), most_workers: workers.max(1) })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies the payments of one deposit, one step each, in order.
    ///
    /// Implements R-MINT-20.
    ///
    /// May be dropped at any time: a deposit that is not being verified yet is left out, one that is costs its work and nothing else.
    ///
    /// # Errors
    /// [`OperationError::Unavailable`] if the work was cut off.
    pub(super) async fn verify(self: &Arc<Self>, payments: Vec<DepositBody>, keys: Arc<KeyTable>) -> Result<Vec<Step>, OperationError> {
        let (answer, verified) = oneshot::channel();
        let start = {
            let mut queue = self.queue();
            queue.waiting.push_back(Job { payments, keys, answer });
            let start = queue.workers < self.most_workers;
            queue.workers += usize::from(start);
            start
        };
        if start {
            let worker = Worker { checker: Arc::clone(self), counted: true };
            tokio::task::spawn_blocking(move || worker.work());
        }
        verified.await.map_err(|_| OperationError::Unavailable)
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
            let (deposits, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.payments, job.answer)).unzip();
            for (answer, steps) in answers.into_iter().zip(verify_all(&deposits, &keys)) {
                // Nobody waits any more: nothing was booked, nothing is lost.
                drop(answer.send(steps));
            }
        }
    }

    fn next(&mut self) -> Option<(Arc<KeyTable>, Vec<Job>)> {
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

/// Verifies what is well formed of all deposits, all at once.
fn verify_all(deposits: &[Vec<DepositBody>], keys: &KeyTable) -> Vec<Vec<Step>> {
    let read = |payments: &Vec<DepositBody>| payments.iter().map(|body| Deposit::from_body(body).ok()).collect();
    let deposits: Vec<Vec<Option<Deposit>>> = deposits.iter().map(read).collect();
    let spendings: Vec<Spending> = deposits.iter().flatten().flatten().map(Deposit::spending).collect();
    let ids: Vec<PaymentId> = spendings.iter().map(Spending::payment_id).collect();
    // The only error of a batch as a whole is that it is empty.
    let mut checked = verify_batch(spendings, keys, &mut system_rng()).unwrap_or_default().into_iter().zip(ids);
    let mut step = |deposit: Option<Deposit>| {
        let Some(deposit) = deposit else { return Step::Malformed };
        match checked.next() {
            Some((Ok(spending), _)) => Step::Verified(Box::new(deposit), Box::new(Checked::into_inner(spending))),
            Some((Err(error), id)) => Step::Refused(id, refusal(error)),
            None => Step::Malformed,
        }
    };
    deposits.into_iter().map(|deposit| deposit.into_iter().map(&mut step).collect()).collect()
}

const fn refusal(error: ProofError) -> Refusal {
    match error {
        ProofError::UnknownKeyset | ProofError::UnknownDenomination => Refusal::UnknownKeyset,
        ProofError::InvalidSignature => Refusal::InvalidSignature,
        ProofError::InvalidProof => Refusal::InvalidProof,
        _ => Refusal::Malformed,
    }
}
