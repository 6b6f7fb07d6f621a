//! Do secrets show in the time an operation takes? `bench/README.md` says how to read the answer.

use std::process::ExitCode;

use clap::Parser;
use farthing_bench_guard::secrets::{CASES, CONTROLS, Case};
use farthing_bench_guard::{backend, welch::Verdict};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// |t| above this is a leak. Equal classes exceed 4.5 about once in 100,000 tests, but a shared machine's noise is not independent from
/// sample to sample; above 10 the authors of dudect call code "definitely not constant time".
const BOUND: f64 = 10.0;

/// A case is suspected, measured anew, and convicted only if it is above the bound, in one direction, so many times in a row.
const TRIALS: u64 = 3;

/// Welch's t-test over the times of operations on fixed and on random secrets.
#[derive(Parser)]
struct Arguments {
    /// Takes so many times the usual number of samples.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Measures only what has this in its name.
    #[arg(long)]
    only: Option<String>,
    /// Draws classes and secrets from this seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(serde::Serialize)]
struct Line {
    name: &'static str,
    samples: usize,
    trials: u64,
    leaks: bool,
    #[serde(flatten)]
    last: Verdict,
}

/// Measures a case until it is below the bound or has been above it often enough.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a count of samples")]
fn judge(case: &Case, arguments: &Arguments) -> Option<Line> {
    let samples = ((case.samples as f64 * arguments.scale) as usize).max(2_000);
    let mut direction = None;
    let mut trials = 0;
    let last = loop {
        let rng = &mut StdRng::seed_from_u64(arguments.seed.wrapping_mul(1_000).wrapping_add(trials));
        let verdict = (case.measure)(samples, rng).verdict()?;
        trials += 1;
        println!(
            "{:<40} {samples:>9} samples  t {:>8.2}  difference {:>8.2} ns  visible from {:>7.2} ns",
            case.name, verdict.t, verdict.difference_ns, verdict.resolution_ns
        );
        let suspected = verdict.t.abs() > BOUND && *direction.get_or_insert(verdict.t > 0.0) == (verdict.t > 0.0);
        if !suspected || trials == TRIALS {
            break (verdict, suspected);
        }
    };
    Some(Line { name: case.name, samples, trials, leaks: last.1, last: last.0 })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    println!("curve25519-dalek backend: {}", backend());
    let wanted = |case: &&Case| arguments.only.as_ref().is_none_or(|part| case.name.contains(part.as_str()));
    let judged = |cases: &'static [Case]| cases.iter().filter(wanted).map(|case| judge(case, &arguments)).collect::<Option<Vec<_>>>();
    let (Some(controls), Some(cases)) = (judged(&CONTROLS), judged(&CASES)) else {
        eprintln!("too few samples, or a clock that stands still");
        return ExitCode::FAILURE;
    };
    let sensitive = controls.iter().all(|line| line.leaks);
    let constant = !cases.iter().any(|line| line.leaks);
    if !sensitive {
        eprintln!("not sensitive enough: a control that leaks was not caught");
    }
    let report = serde_json::json!({
        "backend": backend(), "bound": BOUND, "constant": constant, "sensitive": sensitive, "cases": cases, "controls": controls,
    });
    println!("{report}");
    if sensitive && constant { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
