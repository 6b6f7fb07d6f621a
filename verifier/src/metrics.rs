//! A verifier's numbers at one moment: how often, how much, how long; never what or whose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::config::{DeferredLimits, Mode};
use crate::error::VerifierError;
use crate::filters::FilterState;
use crate::statistics::Statistics;
use crate::store::{Store, Totals};
use crate::verifier::Verifier;

/// How often something was done, and how long that took altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How often.
    pub count: u64,
    /// Altogether, in nanoseconds.
    pub nanos: u64,
}

/// A verifier's numbers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// How often something happened since the start.
    pub statistics: Statistics,
    /// Requests with a price that were not served, by the code of the answer; codes are those of the specification.
    pub refusals: BTreeMap<&'static str, u64>,
    /// What waits for the mint.
    pub totals: Totals,
    /// For how many seconds the mint has owed its answer about the oldest undecided payment; `None` if nothing is undecided.
    pub oldest_undecided: Option<u64>,
    /// The mint's filters of spent tokens, as far as they are followed: in the deferred mode.
    pub filters: Option<FilterState>,
    /// Double-spend proofs kept, one a token.
    pub proofs: u64,
    /// The limits of the deferred mode.
    pub limits: Option<DeferredLimits>,
    /// Whether there is a keyset list to go by.
    pub keysets_trusted: bool,
    /// Deciding about credentials, the mint's answer included.
    pub decided: Taken,
    /// Claiming in the store.
    pub claimed: Taken,
}

#[derive(Default)]
pub(crate) struct Timer {
    count: AtomicU64,
    nanos: AtomicU64,
}

impl Timer {
    pub(crate) fn since(&self, start: Instant) {
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn read(&self) -> Taken {
        Taken { count: self.count.load(Ordering::Relaxed), nanos: self.nanos.load(Ordering::Relaxed) }
    }
}

/// What is counted beside the statistics.
#[derive(Default)]
pub(crate) struct Observed {
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) decided: Timer,
    pub(crate) claimed: Timer,
}

impl Observed {
    pub(crate) fn refusal(&self, code: &'static str) {
        // Only this addition happens under the lock.
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }
}

impl<S: Store> Verifier<S> {
    /// The numbers of this moment.
    ///
    /// Implements R-VERIF-34.
    ///
    /// # Errors
    /// [`VerifierError::Store`].
    pub async fn metrics(&self) -> Result<Metrics, VerifierError> {
        let inner = self.inner();
        let refusals = inner.observed.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (now, deferred) = (inner.config.clock.now(), matches!(inner.config.mode, Mode::Deferred(_)));
        Ok(Metrics {
            statistics: self.statistics(),
            refusals,
            totals: inner.store.totals().await?,
            oldest_undecided: inner.store.oldest_undecided().await?.map(|since| now.saturating_sub(since)),
            filters: deferred.then(|| inner.filters.state(now)),
            proofs: inner.store.proofs().await?.len() as u64,
            limits: match inner.config.mode {
                Mode::Deferred(limits) => Some(limits),
                Mode::SettleFirst => None,
            },
            keysets_trusted: inner.keysets.trusted().is_ok(),
            decided: inner.observed.decided.read(),
            claimed: inner.observed.claimed.read(),
        })
    }
}
