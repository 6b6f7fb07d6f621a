//! Instruction counts that were accepted, and how a new count is judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much more or less than accepted is no news, in percent: a patch release of the compiler moves counts about so much.
pub const TOLERANCE_PERCENT: f64 = 3.0;

/// The same for an operation of a few ten thousand instructions of which an eighth is the allocator and as much copying: both belong to the C
/// library, which chooses its routines by the processor, and the allocator's path depends on what the process allocated before. The same
/// binary was seen 5 % apart on two machines.
pub const ALLOCATING_TOLERANCE_PERCENT: f64 = 10.0;

/// `instructions.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The compiler that the counts were made with, as it names itself.
    pub compiler: String,
    /// The backend of curve25519-dalek that ran: Valgrind offers no AVX-512.
    pub backend: String,
    /// Instructions by operation.
    pub instructions: BTreeMap<String, u64>,
}

impl Baseline {
    /// Every reason not to accept `counted`: more than the operation's `tolerance` (in percent) above, or as much below (then the better count
    /// is to be kept, or it could be lost again unnoticed), an operation that one of the two does not have, another backend.
    pub fn objections(&self, counted: &Self, tolerance: impl Fn(&str) -> f64) -> Vec<String> {
        if self.backend != counted.backend {
            return vec![format!("counted with backend {}, accepted with {}: not comparable", counted.backend, self.backend)];
        }
        let mut found = Vec::new();
        for (name, accepted) in &self.instructions {
            let Some(now) = counted.instructions.get(name) else {
                found.push(format!("{name}: no longer counted"));
                continue;
            };
            let change = percent(*accepted, *now);
            if change.abs() > tolerance(name) {
                found.push(format!("{name}: {now} instructions, accepted {accepted} ({change:+.1} %)"));
            }
        }
        let new = counted.instructions.keys().filter(|name| !self.instructions.contains_key(*name));
        found.extend(new.map(|name| format!("{name}: no accepted count")));
        found
    }
}

/// By how many percent `now` is above `accepted`.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn percent(accepted: u64, now: u64) -> f64 {
    (now as f64 / accepted as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tolerance(name: &str) -> f64 {
        if name == "decode" { ALLOCATING_TOLERANCE_PERCENT } else { TOLERANCE_PERCENT }
    }

    fn counts(backend: &str, counts: &[(&str, u64)]) -> Baseline {
        let instructions = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Baseline { compiler: "rustc".to_owned(), backend: backend.to_owned(), instructions }
    }

    #[test]
    fn what_is_within_the_tolerance_is_accepted() {
        let accepted = counts("avx2", &[("commit", 100_000), ("respond", 2_000)]);
        for now in [100_000, 102_900, 97_100] {
            assert!(accepted.objections(&counts("avx2", &[("commit", now), ("respond", 2_000)]), tolerance).is_empty(), "{now}");
        }
    }

    #[test]
    fn slower_faster_missing_and_new_operations_are_named() {
        let accepted = counts("avx2", &[("commit", 100_000), ("respond", 2_000)]);
        for (now, name) in [
            (&[("commit", 103_100), ("respond", 2_000)][..], "commit"),
            (&[("commit", 96_900), ("respond", 2_000)], "commit"),
            (&[("commit", 100_000)], "respond"),
            (&[("commit", 100_000), ("respond", 2_000), ("unblind", 5)], "unblind"),
            (&[("commit", 100_000), ("respond", 0)], "respond"),
        ] {
            let found = accepted.objections(&counts("avx2", now), tolerance);
            assert!(found.len() == 1 && found[0].starts_with(name), "{found:?}");
        }
    }

    #[test]
    fn an_operation_has_its_own_tolerance() {
        let accepted = counts("avx2", &[("decode", 30_000)]);
        for now in [32_900, 27_100] {
            assert!(accepted.objections(&counts("avx2", &[("decode", now)]), tolerance).is_empty(), "{now}");
        }
        for now in [33_100, 26_900] {
            assert_eq!(accepted.objections(&counts("avx2", &[("decode", now)]), tolerance).len(), 1, "{now}");
        }
    }

    #[test]
    fn another_backend_is_not_compared() {
        let accepted = counts("avx2", &[("commit", 100_000)]);
        assert_eq!(accepted.objections(&counts("serial", &[("commit", 100_000)]), tolerance).len(), 1);
    }
}
