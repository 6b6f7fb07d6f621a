//! Handing payments in at the mint: what waits for a decision, what is on its way, what comes back.
//!
//! ```text
//! submit --join if on its way--> queue --a free lane takes all that waits--> POST /v1/deposits --> decide in one write --> waiters
//! ```
//!
//! A payment is on its way at most once; whoever else asks waits for the same answer. A lone payment leaves at once; while all lanes are
//! busy, payments gather and leave together. Nothing here is the only copy: the store's outbox is, and a background task works it off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::error::AnswerError;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::settle::{Outcome, verify_answer};
use farthing_protocol::wire::{DepositBody, DepositRequestFrame, DepositResponseFrame, LedgerMark};
use rand::RngExt;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::deposit_receipt;
use crate::keysets::{Keysets, Trusted};
use crate::mint_client::{MintClient, MintError};
use crate::redeposit::Redeposited;
use crate::statistics::Counters;
use crate::store::{Decision, KeptDeposit, OutboxEntry, PaymentState, RefusedBecause, Store};

/// The most payments in one request to the mint: about 200 KiB.
pub(crate) const BATCH: usize = 64;

/// Requests to the mint at a time.
const LANES: usize = 4;

/// The most payments that wait for the mint in memory; the rest wait in the store.
const MAX_WAITING: usize = 4_096;

/// Why a payment is still undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// The mint did not answer, or not believably.
    Mint,
    /// The decision could not be stored.
    Store,
}

type Settlement = Result<PaymentState, Undecided>;

/// A payment on its way, with everything needed to judge the answer.
struct Job {
    payment: PaymentId,
    change: Amount,
    body: DepositBody,
}

/// What the mint has answered, its signature verified.
struct Asked {
    mark: LedgerMark,
    /// As it is kept with what it settles.
    answer: Vec<u8>,
    /// One a payment.
    outcomes: Vec<Outcome>,
    /// The list it was verified under.
    trusted: Arc<Trusted>,
}

pub(crate) struct Outbox<S> {
    store: Arc<S>,
    mint: Arc<MintClient>,
    keysets: Arc<Keysets<S>>,
    counters: Arc<Counters>,
    queue: mpsc::UnboundedSender<Job>,
    on_the_way: Mutex<HashMap<PaymentId, Vec<oneshot::Sender<Settlement>>>>,
    lanes: Arc<Semaphore>,
    /// Wakes the background task: something was left undecided, or the mint is back.
    wake: Notify,
    failing: AtomicBool,
}

/// The receiving end of the queue. Whatever it has not taken when it ends, however it ends, is told to be undecided: who waits for it, or
/// joins it later, would wait for ever, and hold the store.
pub(crate) struct Dispatcher<S: Store> {
    outbox: Arc<Outbox<S>>,
    queue: mpsc::UnboundedReceiver<Job>,
    /// Taken from the queue, and no lane is free yet.
    next: Option<Job>,
}

impl<S: Store> Outbox<S> {
    pub(crate) fn new(
        store: Arc<S>,
        mint: Arc<MintClient>,
        keysets: Arc<Keysets<S>>,
        counters: Arc<Counters>,
    ) -> (Arc<Self>, Dispatcher<S>) {
        let (sender, queue) = mpsc::unbounded_channel();
        let outbox = Arc::new(Self {
            store,
            mint,
            keysets,
            counters,
            queue: sender,
            on_the_way: Mutex::default(),
            lanes: Arc::new(Semaphore::new(LANES)),
            wake: Notify::new(),
            failing: AtomicBool::new(false),
        });
        let dispatcher = Dispatcher { outbox: Arc::clone(&outbox), queue, next: None };
        (outbox, dispatcher)
    }

    fn on_the_way(&self) -> MutexGuard<'_, HashMap<PaymentId, Vec<oneshot::Sender<Settlement>>>> {
        // Only map operations happen under the lock.
        self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a payment to the mint, or joins it on its way.
    ///
    /// Implements R-VERIF-04.
    pub(crate) fn submit(&self, payment: PaymentId, deposit: &Deposit) -> oneshot::Receiver<Settlement> {
        let (waiter, settlement) = oneshot::channel();
        let mut on_the_way = self.on_the_way();
        if let Some(waiters) = on_the_way.get_mut(&payment) {
            waiters.push(waiter);
        } else if on_the_way.len() >= MAX_WAITING {
            // It waits in the store, and whoever dropped the other end is told that it is undecided.
            self.wake.notify_one();
        } else {
            let job = Job { payment, change: deposit.payment().change(), body: deposit.to_body() };
            // Under the lock: see the end of [`Dispatcher`]. After it nothing is sent.
            if self.queue.send(job).is_ok() {
                on_the_way.insert(payment, vec![waiter]);
            }
        }
        settlement
    }

    /// Sends a payment and waits for the mint's decision.
    pub(crate) async fn settle(&self, payment: PaymentId, deposit: &Deposit) -> Settlement {
        // A dropped sender means that it was not sent: the background task will.
        self.submit(payment, deposit).await.unwrap_or(Err(Undecided::Mint))
    }

    /// Waits until nothing is on its way.
    pub(crate) async fn idle(&self) {
        let lanes = u32::try_from(LANES).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _all = self.lanes.acquire_many(lanes).await;
    }

    async fn hand_in(&self, batch: Vec<Job>) {
        let flight = Flight { outbox: self, payments: batch.iter().map(|job| job.payment).collect() };
        let settlements = match self.try_batch(&batch).await {
            // One payment's answer may have spoilt the others': ask for each alone.
            Err(Failure::Answer) if batch.len() > 1 => {
                let mut settlements = Vec::with_capacity(batch.len());
                for job in &batch {
                    match self.try_batch(std::slice::from_ref(job)).await {
                        Ok(mut one) => settlements.append(&mut one),
                        Err(failure) => settlements.push(Err(failure.into())),
                    }
                }
                settlements
            }
            Ok(settlements) => settlements,
            Err(failure) => vec![Err(failure.into()); batch.len()],
        };
        if settlements.iter().any(Result::is_err) {
            self.failing.store(true, Ordering::Relaxed);
            self.wake.notify_one();
        } else if self.failing.swap(false, Ordering::Relaxed) {
            self.wake.notify_one();
        }
        flight.land(settlements);
    }

    async fn try_batch(&self, batch: &[Job]) -> Result<Vec<Settlement>, Failure> {
        let Asked { mark, answer, outcomes, trusted } = self.ask(batch).await?;
        let mut decided = Vec::with_capacity(batch.len());
        for (job, outcome) in batch.iter().zip(outcomes) {
            decided.push(self.judge(job, outcome, &trusted));
        }
        let decisions = batch.iter().zip(&decided).filter_map(|(job, state)| {
            let state = state.clone()?;
            Some(Decision { payment: job.payment, state })
        });
        let decisions: Vec<Decision> = decisions.collect();
        for decision in &decisions {
            if let PaymentState::Refused(RefusedBecause::DoubleSpent(proof)) = &decision.state {
                self.store.keep_proof((**proof).clone()).await.map_err(|_| Failure::Store)?;
            }
        }
        let states = self.store.decide(decisions, Some(mark), Some(answer)).await.map_err(|_| Failure::Store)?;
        let mut states = states.into_iter();
        let settlement = |state: Option<PaymentState>| match state {
            // Every decided payment stands in the store; one that does not is not ours to serve.
            Some(_) => states.next().flatten().ok_or(Undecided::Store),
            None => Err(Undecided::Mint),
        };
        Ok(decided.into_iter().map(settlement).collect())
    }

    /// Asks the mint. What comes back is signed by it.
    async fn ask(&self, batch: &[Job]) -> Result<Asked, Failure> {
        let seen = self.store.mark().await.map_err(|_| Failure::Store)?;
        let request = DepositRequestFrame { seen, payments: batch.iter().map(|job| job.body.clone()).collect() };
        let response = self.mint.deposit(&request).await.map_err(|error| match error {
            MintError::Unavailable => {
                self.counters.mint_error();
                Failure::Unreachable
            }
            MintError::Invalid | MintError::Rejected => self.broken("the mint's deposit answer cannot be read"),
        })?;
        let (outcomes, trusted) = self.believe(batch, &response).await?;
        let answer = deposit_receipt::to_be_kept(batch.iter().map(|job| job.payment), &response);
        Ok(Asked { mark: response.mark, answer, outcomes, trusted })
    }

    /// Hands in what the mint had booked before, and counts what it makes of it. No state changes, whatever the mint says now.
    pub(crate) async fn hand_in_again(&self, kept: &[KeptDeposit], done: &mut Redeposited) -> Result<(), Undecided> {
        let job = |kept: &KeptDeposit| {
            let deposit = Deposit::from_body(&kept.deposit).ok()?;
            Some(Job { payment: kept.payment, change: deposit.payment().change(), body: kept.deposit.clone() })
        };
        let batch: Vec<Job> = kept.iter().map(job).collect::<Option<_>>().ok_or(Undecided::Store)?;
        // The semaphore is never closed.
        let _lane = self.lanes.acquire().await;
        let Asked { mark, answer, outcomes, trusted } = self.ask(&batch).await.map_err(Undecided::from)?;
        let (mut settled, mut found) = (Vec::new(), *done);
        for (job, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Outcome::Credited { .. } => found.credited += 1,
                Outcome::AlreadyCredited { .. } => found.already_credited += 1,
                Outcome::Refunded => found.refunded += 1,
                Outcome::Refused(_) => found.refused += 1,
                Outcome::DoubleSpent(_) => {
                    let Some(PaymentState::Refused(RefusedBecause::DoubleSpent(proof))) = self.judge(job, outcome, &trusted) else {
                        return Err(Undecided::Mint);
                    };
                    self.store.keep_proof(*proof).await.map_err(|_| Undecided::Store)?;
                    found.refused += 1;
                    continue;
                }
            }
            if matches!(outcome, Outcome::Credited { .. } | Outcome::AlreadyCredited { .. }) {
                settled.push(Decision { payment: job.payment, state: PaymentState::Settled });
            }
        }
        self.store.decide(settled, Some(mark), Some(answer)).await.map_err(|_| Undecided::Store)?;
        *done = found;
        Ok(())
    }

    /// Verifies the answer's signature, if need be under a newer list.
    async fn believe(&self, batch: &[Job], response: &DepositResponseFrame) -> Result<(Vec<Outcome>, Arc<Trusted>), Failure> {
        let expected: Vec<(PaymentId, Amount)> = batch.iter().map(|job| (job.payment, job.change)).collect();
        let trusted = self.keysets.trusted().map_err(|_| Failure::Unreachable)?;
        match verify_answer(response, &expected, &trusted.list) {
            Ok(outcomes) => return Ok((outcomes, trusted)),
            Err(AnswerError::InvalidSignature) if !trusted.list.knows_receipt_key(&response.receipt_key.0) => {
                self.keysets.refresh_for_unknown().await;
            }
            Err(_) => return Err(self.broken("the mint's deposit answer does not verify")),
        }
        let trusted = self.keysets.trusted().map_err(|_| Failure::Unreachable)?;
        match verify_answer(response, &expected, &trusted.list) {
            Ok(outcomes) => Ok((outcomes, trusted)),
            Err(_) => Err(self.broken("the mint's deposit answer does not verify")),
        }
    }

    /// The state an outcome leads to; `None` if the mint must not be believed.
    ///
    /// Implements R-VERIF-07.
    fn judge(&self, job: &Job, outcome: Outcome, trusted: &Trusted) -> Option<PaymentState> {
        let state = match outcome {
            Outcome::Credited { .. } | Outcome::AlreadyCredited { .. } => PaymentState::Settled,
            Outcome::Refunded => PaymentState::Refunded,
            Outcome::Refused(refusal) => PaymentState::Refused(RefusedBecause::Refusal(refusal)),
            Outcome::DoubleSpent(proof) => {
                let frame = proof.to_frame();
                // The proof must hold, and accuse this very payment.
                if !proof.payment_ids().contains(&job.payment) || proof.verify(&trusted.table).is_err() {
                    self.broken("the mint claims a double-spend and does not prove it");
                    return None;
                }
                PaymentState::Refused(RefusedBecause::DoubleSpent(Box::new(frame)))
            }
        };
        self.counters.decided(&state);
        Some(state)
    }

    fn broken(&self, what: &'static str) -> Failure {
        self.counters.mint_alarm();
        tracing::error!("{what}: its payments stay undecided");
        Failure::Answer
    }

    /// Works off the store's outbox once.
    ///
    /// # Errors
    /// [`Undecided`] if something stays; what could be decided is.
    pub(crate) async fn drain(&self) -> Result<usize, Undecided> {
        let (mut after, mut decided, mut outcome) = (None, 0, Ok(()));
        loop {
            let page = self.store.outbox(after, BATCH).await.map_err(|_| Undecided::Store)?;
            let Some(last) = page.last() else { break };
            after = Some(last.payment);
            let before = decided;
            let submitted: Vec<_> = page.iter().map(|entry| self.resubmit(entry)).collect();
            for settlement in submitted {
                match settlement {
                    Some(settlement) => match settlement.await.unwrap_or(Err(Undecided::Mint)) {
                        Ok(_) => decided += 1,
                        Err(undecided) => outcome = Err(undecided),
                    },
                    None => outcome = Err(Undecided::Store),
                }
            }
            // A whole page without a decision: the mint is down, the next page would fare no better.
            if outcome.is_err() && decided == before {
                break;
            }
        }
        outcome.map(|()| decided)
    }

    fn resubmit(&self, entry: &OutboxEntry) -> Option<oneshot::Receiver<Settlement>> {
        let Ok(deposit) = Deposit::from_body(&entry.deposit) else {
            tracing::error!("the outbox holds something unreadable");
            return None;
        };
        Some(self.submit(entry.payment, &deposit))
    }

    /// Works off the store's outbox for ever: at once when woken, after a growing pause when the mint fails.
    pub(crate) async fn work(self: Arc<Self>, first: Duration, last: Duration) {
        let mut pause = first;
        loop {
            if self.drain().await.is_ok() {
                pause = first;
                // What a cancelled request left behind is found at the latest now.
                let _ = tokio::time::timeout(last, self.wake.notified()).await;
            } else {
                // Not all verifiers of a mint at the same moment.
                let jitter = pause.mul_f64(rand::rng().random_range(0.75..1.25));
                tokio::time::sleep(jitter).await;
                pause = (pause * 2).min(last);
            }
        }
    }
}

impl<S: Store> Dispatcher<S> {
    /// Takes what waits whenever a lane is free.
    pub(crate) async fn run(mut self) {
        loop {
            self.next = self.queue.recv().await;
            if self.next.is_none() {
                return;
            }
            let Ok(lane) = Arc::clone(&self.outbox.lanes).acquire_owned().await else { return };
            let mut batch: Vec<Job> = self.next.take().into_iter().collect();
            while batch.len() < BATCH
                && let Ok(next) = self.queue.try_recv()
            {
                batch.push(next);
            }
            let outbox = Arc::clone(&self.outbox);
            tokio::spawn(async move {
                outbox.hand_in(batch).await;
                // Whoever waits for the lane finds the store let go of.
                drop(outbox);
                drop(lane);
            });
        }
    }
}

impl<S: Store> Drop for Dispatcher<S> {
    fn drop(&mut self) {
        // Nobody sends meanwhile, so that what is left is all there is. What has taken off stays: it lands by itself.
        let mut on_the_way = self.outbox.on_the_way();
        self.queue.close();
        let queued = std::iter::from_fn(|| self.queue.try_recv().ok());
        for job in self.next.take().into_iter().chain(queued) {
            on_the_way.remove(&job.payment);
        }
    }
}

#[derive(Clone, Copy)]
enum Failure {
    Unreachable,
    Answer,
    Store,
}

impl From<Failure> for Undecided {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable | Failure::Answer => Self::Mint,
            Failure::Store => Self::Store,
        }
    }
}

/// Takes its payments off the list of those on their way when it lands or crashes.
struct Flight<'a, S: Store> {
    outbox: &'a Outbox<S>,
    payments: Vec<PaymentId>,
}

impl<S: Store> Flight<'_, S> {
    fn land(mut self, settlements: Vec<Settlement>) {
        let payments = std::mem::take(&mut self.payments);
        let mut on_the_way = self.outbox.on_the_way();
        for (payment, settlement) in payments.into_iter().zip(settlements) {
            for waiter in on_the_way.remove(&payment).unwrap_or_default() {
                // A waiter that is gone comes back with the same credential.
                let _ = waiter.send(settlement.clone());
            }
        }
    }
}

impl<S: Store> Drop for Flight<'_, S> {
    fn drop(&mut self) {
        let mut on_the_way = self.outbox.on_the_way();
        for payment in &self.payments {
            on_the_way.remove(payment);
        }
    }
}
