//! Time: an argument everywhere else, read here.
//!
//! ```text
//! service time = max(wall clock, highest time recorded in the ledger)
//! ```
//!
//! What a keyset's windows close does not open again, so a clock that jumps must not decide anything: while it does, irreversible work
//! is refused as `unavailable`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wall clock further behind the recorded time than this has jumped back.
const LARGEST_STEP_BACK: Duration = Duration::from_mins(1);

/// A wall clock that gains more than this on the monotonic clock between two readings has jumped forward.
const LARGEST_STEP_FORWARD: Duration = Duration::from_mins(15);

/// A wall clock further ahead of the recorded time than this when a process starts is believed only on the operator's word: a keyset that
/// closes does not open again.
const LONGEST_ABSENCE: Duration = Duration::from_hours(7 * 24);

/// Where a service gets its time from.
pub trait Clock: Send + Sync + 'static {
    /// Time since the Unix epoch.
    fn wall(&self) -> Duration;

    /// Time since some fixed moment, never going back.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The clocks of this machine.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Duration {
        // A clock before 1970 counts as 1970: far behind every ledger, and refused as a jump.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The clock is not to be believed: it is behind what was recorded, or has jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockJumped;

/// The time of the service, which never goes back.
///
/// Implements R-LIFE-09.
pub(crate) struct ServiceClock {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    /// The highest time given out or recorded.
    highest: Duration,
    /// Wall and monotonic clock at the last reading that was believed.
    believed: Option<(Duration, Duration)>,
}

impl ServiceClock {
    /// Starts from the time the ledger has recorded, Unix seconds.
    pub(crate) fn new(clock: Arc<dyn Clock>, recorded: u64) -> Self {
        let service = Self { clock, state: Mutex::new(State { highest: Duration::ZERO, believed: None }) };
        service.accept(recorded);
        service
    }

    /// Goes on from another recorded time, Unix seconds: at the start, or on the operator's word.
    pub(crate) fn accept(&self, recorded: u64) {
        let (wall, monotonic) = (self.clock.wall(), self.clock.monotonic());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.highest = Duration::from_secs(recorded);
        let near = wall + LARGEST_STEP_BACK >= state.highest && wall <= state.highest + LONGEST_ABSENCE;
        state.believed = near.then_some((wall, monotonic));
    }

    /// The service's time, Unix seconds.
    ///
    /// # Errors
    /// [`ClockJumped`] until the clock is back where it should be, or the operator has said that it is right.
    pub(crate) fn now(&self) -> Result<u64, ClockJumped> {
        let (wall, monotonic) = (self.clock.wall(), self.clock.monotonic());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if wall + LARGEST_STEP_BACK < state.highest {
            return Err(ClockJumped);
        }
        if let Some((last_wall, last_monotonic)) = state.believed {
            let expected = last_wall + monotonic.saturating_sub(last_monotonic);
            if wall > expected + LARGEST_STEP_FORWARD {
                return Err(ClockJumped);
            }
        } else if wall > state.highest + LONGEST_ABSENCE {
            return Err(ClockJumped);
        }
        state.believed = Some((wall, monotonic));
        state.highest = state.highest.max(wall);
        Ok(state.highest.as_secs())
    }

    /// The time to show or to compare where nothing irreversible follows.
    pub(crate) fn roughly(&self) -> u64 {
        let highest = self.state.lock().unwrap_or_else(PoisonError::into_inner).highest;
        self.clock.wall().max(highest).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hands {
        wall: AtomicU64,
        monotonic: AtomicU64,
    }

    impl Clock for Hands {
        fn wall(&self) -> Duration {
            Duration::from_secs(self.wall.load(Ordering::SeqCst))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.monotonic.load(Ordering::SeqCst))
        }
    }

    #[test]
    fn time_never_goes_back_and_jumps_stop_it() {
        let hands = Arc::new(Hands::default());
        let set = |wall, monotonic| {
            hands.wall.store(wall, Ordering::SeqCst);
            hands.monotonic.store(monotonic, Ordering::SeqCst);
        };
        let service = ServiceClock::new(hands.clone(), 1_000_000);
        set(999_990, 0);
        assert_eq!(service.now(), Ok(1_000_000), "a small step back stands still");
        set(900_000, 1);
        assert_eq!(service.now(), Err(ClockJumped), "behind what was recorded");
        set(1_000_050, 60);
        assert_eq!(service.now(), Ok(1_000_050));
        set(1_090_000, 120);
        assert_eq!(service.now(), Err(ClockJumped), "a day in a minute");
        set(1_086_460, 86_470);
        assert_eq!(service.now(), Ok(1_086_460), "a day in a day, without a reading between");
    }

    #[test]
    fn a_clock_far_ahead_at_the_start_needs_the_operators_word() {
        const DAY: u64 = 86_400;
        let hands = Arc::new(Hands::default());
        let set = |wall| hands.wall.store(wall, Ordering::SeqCst);
        set(1_000_000 + 7 * DAY);
        assert_eq!(ServiceClock::new(hands.clone(), 1_000_000).now(), Ok(1_000_000 + 7 * DAY));
        set(1_000_000 + 7 * DAY + 1);
        let service = ServiceClock::new(hands.clone(), 1_000_000);
        assert_eq!(service.now(), Err(ClockJumped), "a year too far, or switched off for a week: nobody here can tell");
        service.accept(1_000_000 + 7 * DAY + 1);
        assert!(service.now().is_ok());
        // Forward was wrong after all; what was recorded stands in the way until the operator says so.
        set(1_000_000);
        assert_eq!(service.now(), Err(ClockJumped));
        service.accept(1_000_000);
        assert_eq!(service.now(), Ok(1_000_000));
    }
}
