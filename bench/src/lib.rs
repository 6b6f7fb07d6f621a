//! Measuring side by side: every contender runs in every round, so that a noisy minute hits all of them alike.

pub mod peers;

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One thing to be measured: how many items a call handles, and the call.
pub struct Contender<'a> {
    name: &'static str,
    items: usize,
    work: Box<dyn FnMut() -> Duration + 'a>,
    samples: Vec<f64>,
}

impl<'a> Contender<'a> {
    /// `work` handles `items` tokens at each call; what it returns is kept from being optimised away.
    pub fn new<T>(name: &'static str, items: usize, mut work: impl FnMut() -> T + 'a) -> Self {
        Self::fed(name, items, || (), move |()| work())
    }

    /// `work` uses up what `prepare` makes outside the clock; what it returns is dropped outside it too.
    pub fn fed<I, T>(name: &'static str, items: usize, mut prepare: impl FnMut() -> I + 'a, mut work: impl FnMut(I) -> T + 'a) -> Self {
        let work = Box::new(move || {
            let input = prepare();
            let start = Instant::now();
            let output = work(input);
            let took = start.elapsed();
            drop(black_box(output));
            took
        });
        Self { name, items, work, samples: Vec::new() }
    }

    /// Median of the rounds, microseconds an item.
    pub fn median(&self) -> f64 {
        let mut samples = self.samples.clone();
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    }

    /// The name in tables.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// Runs all contenders in turn, round after round; each gets about `slice` of time a round.
pub fn race(contenders: &mut [Contender<'_>], rounds: usize, slice: Duration) {
    for _ in 0..rounds {
        for contender in &mut *contenders {
            let start = Instant::now();
            let (mut calls, mut took) = (0_u32, Duration::ZERO);
            while calls == 0 || start.elapsed() < slice {
                took += (contender.work)();
                calls += 1;
            }
            let micros = took.as_secs_f64() * 1e6;
            contender.samples.push(micros / (f64::from(calls) * contender.items as f64));
        }
    }
}
