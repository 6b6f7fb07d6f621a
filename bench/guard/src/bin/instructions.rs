//! Counts instructions under Valgrind and compares them with `instructions.json`. `bench/README.md` says when to accept new counts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Parser;
use farthing_bench_guard::baseline::{Baseline, percent};
use farthing_bench_guard::counted::{OPERATIONS, tolerance};
use farthing_bench_guard::{Fault, backend};

const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

/// Instruction counts of the protocol's operations, compared with the accepted ones.
#[derive(Parser)]
struct Arguments {
    /// Accepts what is counted now.
    #[arg(long)]
    update: bool,
    /// Runs one operation, without counting: what runs under Valgrind.
    #[arg(long, hide = true)]
    run: Option<usize>,
}

/// The instructions of one operation, and the backend that ran it.
fn count(index: usize) -> Result<(u64, String), Fault> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*count_this*"])
        .arg(std::env::current_exe()?)
        .args(["--run", &index.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start ({error}); Debian has it in the package valgrind"))?;
    let (out, log) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
    let collected = log.lines().find_map(|line| line.split_once("Collected :")).and_then(|(_, count)| count.trim().parse().ok());
    match collected {
        // Nothing is counted if the function's name was not found.
        Some(count) if count > 0 && output.status.success() => Ok((count, out.trim().to_owned())),
        _ => Err(format!("operation {index} was not counted:\n{log}").into()),
    }
}

fn compiler() -> Result<String, Fault> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run(arguments: &Arguments) -> Result<bool, Fault> {
    let mut counted = Baseline { compiler: compiler()?, backend: String::new(), instructions: BTreeMap::new() };
    for (index, (name, ..)) in OPERATIONS.iter().enumerate() {
        let (instructions, ran) = count(index)?;
        counted.backend = ran;
        counted.instructions.insert((*name).to_owned(), instructions);
    }
    if arguments.update {
        std::fs::write(Path::new(ACCEPTED), serde_json::to_string_pretty(&counted)? + "\n")?;
    }
    let accepted: Baseline = serde_json::from_slice(&std::fs::read(ACCEPTED)?)?;
    println!("backend {}, {}", counted.backend, counted.compiler);
    for (name, now) in &counted.instructions {
        let change = accepted.instructions.get(name).map_or(0.0, |before| percent(*before, *now));
        println!("{name:<40} {now:>12} {change:>+8.2} %");
    }
    let objections = accepted.objections(&counted, tolerance);
    for objection in &objections {
        eprintln!("{objection}");
    }
    if !objections.is_empty() {
        eprintln!("instructions.json was made with {}", accepted.compiler);
    }
    Ok(objections.is_empty())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some((_, operation, _)) = arguments.run.and_then(|index| OPERATIONS.get(index)) {
        operation();
        println!("{}", backend());
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}
