//! Time, as an argument wherever a decision depends on it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells Unix time in seconds. A service has one; tests set their own.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        // Before 1970 every keyset is unusable, so a machine without a clock refuses instead of accepting anything.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A clock that never goes back behind a time at which something was claimed: an expired challenge stays expired when the machine's
/// clock is set back.
///
/// Only claims raise the mark. A claim needs a keyset that is spendable at its time, so a clock that jumps far ahead refuses everything,
/// claims nothing, and leaves no mark behind when it is set right.
pub(crate) struct SteadyClock {
    clock: Box<dyn Clock>,
    highest_claim: AtomicU64,
}

impl SteadyClock {
    pub(crate) fn new(clock: Box<dyn Clock>, highest_claim: u64) -> Self {
        Self { clock, highest_claim: AtomicU64::new(highest_claim) }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now().max(self.highest_claim.load(Ordering::Relaxed))
    }

    pub(crate) fn claimed_at(&self, time: u64) {
        self.highest_claim.fetch_max(time, Ordering::Relaxed);
    }
}

impl fmt::Debug for SteadyClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SteadyClock(..)")
    }
}
