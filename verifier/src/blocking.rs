//! The verifier for threaded servers: plain calls that block, on threads of its own.
//!
//! ```no_run
//! use farthing_verifier::store::RedbStore;
//! use farthing_verifier::{Decision, Offer, VerifierConfig, blocking};
//!
//! # fn run(config: VerifierConfig, head: &http::request::Parts, offer: &Offer) -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = blocking::Verifier::open(config, RedbStore::open("payments.redb")?)?; // share it in an Arc
//! match verifier.decide(head, offer)? {
//!     Decision::Serve(paid) => println!("serve it, with the receipt {:?}", paid.receipt()),
//!     Decision::Answer(answer) => println!("send {} as it is", answer.status()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How long a call takes
//! As long as the decision: a few milliseconds of disk and arithmetic, and in settle-first mode the mint's answer, for which it waits as
//! long as [`VerifierConfig::mint_timeout`] and two seconds more. A thread is held for that time.
//!
//! # Where it does not work
//! Inside an async runtime a call would stop the runtime's other work, and is refused: there, use [`crate::Verifier`]. A process that was
//! forked off has none of the threads: open one handle in each process, after the fork, each with a store that processes may share.

use std::future::Future;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::DoubleSpendFrame;
use http::Response;
use http::request::Parts;
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::config::VerifierConfig;
use crate::decision::{Decision, Found};
use crate::error::VerifierError;
use crate::offer::Offer;
use crate::statistics::Statistics;
use crate::store::{Store, Totals};

/// How many threads wait for the network. Arithmetic and disk have others.
const THREADS: usize = 2;

/// Why a call did nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockingError {
    /// The call came from inside an async runtime, which it would have stopped.
    #[error("a blocking call inside an async runtime: use the asynchronous verifier there")]
    InsideRuntime,
    /// The process was forked off after the handle was opened: its threads stayed behind.
    #[error("the process was forked after the handle was opened: open one in each process")]
    Forked,
    /// The operating system gives no threads.
    #[error("no threads to run on")]
    Threads,
    /// The work panicked: a defect, not the caller's fault. What it left undecided the next call finds.
    #[error("a defect of the verifier")]
    Defect,
    /// The verifier's own reason.
    #[error("{0}")]
    Verifier(#[from] VerifierError),
}

/// Threads on which futures run while their callers block.
///
/// Implements R-EMBED-02.
pub struct Threads {
    runtime: Option<Runtime>,
    process: u32,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// [`BlockingError::InsideRuntime`], [`BlockingError::Threads`].
    pub fn start() -> Result<Self, BlockingError> {
        outside()?;
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("farthing").enable_all().build();
        Ok(Self { runtime: Some(runtime.map_err(|_| BlockingError::Threads)?), process: std::process::id() })
    }

    /// Waits for a future, which runs on the caller's thread and stack. Any number of threads may wait at once.
    ///
    /// # Errors
    /// [`BlockingError::InsideRuntime`], [`BlockingError::Forked`]; the future has not begun.
    pub fn wait<F: Future>(&self, future: F) -> Result<F::Output, BlockingError> {
        Ok(self.usable()?.block_on(future))
    }

    /// Waits for a future that runs on these threads: for callers whose own stack may be small, as those of other languages are.
    ///
    /// # Errors
    /// [`BlockingError::InsideRuntime`], [`BlockingError::Forked`]: the future has not begun. [`BlockingError::Defect`]: it panicked.
    pub fn run<F>(&self, future: F) -> Result<F::Output, BlockingError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let runtime = self.usable()?;
        runtime.block_on(runtime.spawn(future)).map_err(|_| BlockingError::Defect)
    }

    fn usable(&self) -> Result<&Runtime, BlockingError> {
        outside()?;
        match &self.runtime {
            Some(_) if self.process != std::process::id() => Err(BlockingError::Forked),
            Some(runtime) => Ok(runtime),
            // Only while it is dropped.
            None => Err(BlockingError::Threads),
        }
    }

    /// Waits for a last future, then for every thread. Inside an async runtime it waits for neither; in a process that was forked off
    /// there is nothing to wait for.
    pub fn end(&mut self, last: impl Future<Output = ()>) {
        let Some(runtime) = self.runtime.take() else { return };
        if self.process != std::process::id() {
            // Its threads are the other process's.
            std::mem::forget(runtime);
        } else if outside().is_err() {
            runtime.shutdown_background();
        } else {
            runtime.block_on(last);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end(async {});
    }
}

fn outside() -> Result<(), BlockingError> {
    if Handle::try_current().is_ok() { Err(BlockingError::InsideRuntime) } else { Ok(()) }
}

/// A [verifier](crate::Verifier) for threads. All of them may use one handle at once.
///
/// Dropping it ends the background work and waits for what is on its way to the mint, then lets go of the store. What is undecided waits
/// there for the next start.
pub struct Verifier<S: Store> {
    verifier: crate::Verifier<S>,
    threads: Threads,
}

impl<S: Store> Verifier<S> {
    /// Opens a verifier, as [`crate::Verifier::open`] does.
    ///
    /// # Errors
    /// [`BlockingError`]; the verifier's reasons are those of [`crate::Verifier::open`].
    pub fn open(config: VerifierConfig, store: S) -> Result<Self, BlockingError> {
        let threads = Threads::start()?;
        let verifier = threads.wait(crate::Verifier::open(config, store))??;
        Ok(Self { verifier, threads })
    }

    /// Decides about a request that has a price: checks, claims and settles. See [`crate::Verifier::decide`].
    ///
    /// # Errors
    /// [`BlockingError`]: nothing was decided, serve nothing.
    pub fn decide(&self, head: &Parts, offer: &Offer) -> Result<Decision, BlockingError> {
        self.threads.wait(self.verifier.decide(head, offer))
    }

    /// Checks a request's credential and changes nothing. See [`crate::Verifier::check`].
    ///
    /// # Errors
    /// [`BlockingError`]. The inner error is the answer that [`decide`](Self::decide) would give.
    pub fn check(&self, head: &Parts, offer: &Offer) -> Result<Result<Found, Response<bytes::Bytes>>, BlockingError> {
        self.threads.wait(self.verifier.check(head, offer))
    }

    /// Gives a payment back. See [`crate::Verifier::refund`].
    ///
    /// # Errors
    /// [`BlockingError`]; the verifier's reasons are those of [`crate::Verifier::refund`].
    pub fn refund(&self, payment: PaymentId) -> Result<Amount, BlockingError> {
        Ok(self.threads.wait(self.verifier.refund(payment))??)
    }

    /// Hands in everything the outbox holds. See [`crate::Verifier::flush_outbox`].
    ///
    /// # Errors
    /// [`BlockingError`]; nothing is lost.
    pub fn flush_outbox(&self) -> Result<usize, BlockingError> {
        Ok(self.threads.wait(self.verifier.flush_outbox())??)
    }

    /// The double-spend proofs kept, one a token.
    ///
    /// # Errors
    /// [`BlockingError`].
    pub fn double_spend_proofs(&self) -> Result<Vec<DoubleSpendFrame>, BlockingError> {
        Ok(self.threads.wait(self.verifier.double_spend_proofs())??)
    }

    /// What was served and is not settled, and how many payments wait for the mint.
    ///
    /// # Errors
    /// [`BlockingError`].
    pub fn totals(&self) -> Result<Totals, BlockingError> {
        Ok(self.threads.wait(self.verifier.totals())??)
    }

    /// Whether payments can be decided now. See [`crate::Verifier::ready`].
    ///
    /// # Errors
    /// [`BlockingError`].
    pub fn ready(&self) -> Result<(), BlockingError> {
        Ok(self.threads.wait(self.verifier.ready())??)
    }

    /// How often something happened since the start.
    pub fn statistics(&self) -> Statistics {
        self.verifier.statistics()
    }
}

impl<S: Store> Drop for Verifier<S> {
    fn drop(&mut self) {
        let verifier = self.verifier.clone();
        self.threads.end(async move { verifier.shutdown().await });
    }
}
