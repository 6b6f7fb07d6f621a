//! Welch's t-test over two classes of times, as in Reparaz, Balasch, Verbauwhede: *Dude, is my code constant time?* (DATE 2017).

/// Times in nanoseconds, by class.
#[derive(Default)]
pub struct Times {
    /// With the fixed secret.
    pub fixed: Vec<f64>,
    /// With secrets drawn for each sample.
    pub random: Vec<f64>,
}

/// What the times say.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Verdict {
    /// Welch's t, of the crop at which it is furthest from zero.
    pub t: f64,
    /// How much longer the fixed class took at that crop, nanoseconds.
    pub difference_ns: f64,
    /// The smallest difference that would have been |t| = 10, at the crop that is best for that, nanoseconds: what the test can see.
    pub resolution_ns: f64,
}

/// Shares of all samples that are kept, shortest first. Whatever interrupts a measurement makes it longer, so a leak may show only where
/// the longest are cut off; and one that shows only among the long is seen without a cut.
const KEPT: [f64; 6] = [0.25, 0.5, 0.75, 0.9, 0.99, 1.0];

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(times: &[f64], longest: f64) -> Self {
        let kept = || times.iter().copied().filter(|time| *time <= longest);
        let count = kept().map(|_| 1.0).sum::<f64>();
        let mean = kept().sum::<f64>() / count;
        let variance = kept().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance }
    }
}

impl Times {
    /// Compares the classes' means at each crop. Both are cut at the same time, that of all samples together.
    ///
    /// `None` if at no crop both classes have 100 samples or more and any spread: then nothing can be said.
    pub fn verdict(&self) -> Option<Verdict> {
        let mut all: Vec<f64> = self.fixed.iter().chain(&self.random).copied().collect();
        all.sort_unstable_by(f64::total_cmp);
        let further = |one: Verdict, other: Verdict| {
            let furthest = if other.t.abs() > one.t.abs() { other } else { one };
            Verdict { resolution_ns: one.resolution_ns.min(other.resolution_ns), ..furthest }
        };
        KEPT.iter().filter_map(|share| self.at(cut(&all, *share)?)).reduce(further)
    }

    fn at(&self, longest: f64) -> Option<Verdict> {
        let (fixed, random) = (Moments::of(&self.fixed, longest), Moments::of(&self.random, longest));
        let error = (fixed.variance / fixed.count + random.variance / random.count).sqrt();
        if fixed.count < 100.0 || random.count < 100.0 || error <= 0.0 {
            return None;
        }
        let difference_ns = fixed.mean - random.mean;
        Some(Verdict { t: difference_ns / error, difference_ns, resolution_ns: 10.0 * error })
    }
}

/// The longest of the shortest `share` of sorted times.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "an index of a list in memory")]
fn cut(sorted: &[f64], share: f64) -> Option<f64> {
    let kept = (sorted.len() as f64 * share) as usize;
    sorted.get(kept.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    /// Bell-shaped around 1,000 with a standard deviation of 10; one in fifty was interrupted.
    fn time(rng: &mut StdRng) -> f64 {
        let bell = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let interrupted = if rng.random_range(0..50) == 0 { rng.random::<f64>() * 1e6 } else { 0.0 };
        1_000.0 + 10.0 * bell + interrupted
    }

    fn times(seed: u64, later: f64) -> Times {
        let rng = &mut StdRng::seed_from_u64(seed);
        Times { fixed: (0..20_000).map(|_| time(rng) + later).collect(), random: (0..20_000).map(|_| time(rng)).collect() }
    }

    #[test]
    fn equal_classes_stay_far_below_the_bound() {
        for seed in 0..20 {
            assert!(times(seed, 0.0).verdict().unwrap().t.abs() < 6.0, "seed {seed}");
        }
    }

    #[test]
    fn a_difference_of_a_fifth_of_the_spread_is_seen_under_interruptions() {
        for later in [2.0, -2.0] {
            let verdict = times(1, later).verdict().unwrap();
            assert!(verdict.t * later.signum() > 10.0);
            assert!(verdict.resolution_ns < 2.0);
        }
    }

    #[test]
    fn a_known_value() {
        // Means 20.5 and 19.5 over 200 samples each, variances 2.25 * 200/199: t = 1 / sqrt(2 * 2.25 / 199).
        let around = |mean: f64| (0..200).map(|index| mean + if index % 2 == 0 { 1.5 } else { -1.5 }).collect();
        let times = Times { fixed: around(20.5), random: around(19.5) };
        let verdict = times.at(f64::INFINITY).unwrap();
        assert!((verdict.t - 1.0 / (2.0 * 2.25 / 199.0_f64).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_said_about_too_few_or_about_a_clock_that_stands() {
        assert!(Times { fixed: vec![1.0; 50], random: vec![2.0; 50] }.verdict().is_none());
        assert!(Times { fixed: vec![1.0; 500], random: vec![1.0; 500] }.verdict().is_none());
        assert!(Times::default().verdict().is_none());
    }
}
