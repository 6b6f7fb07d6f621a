//! Explores the large scenes: `farthing-model [SECONDS [SCENE]]`. At most that many seconds for each scene (60), of all scenes or of those
//! whose name holds the text.
//!
//! Says how many states there were, and whether those are all. Exit status 1: a property fails, and how is printed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use farthing_model::rules::Scene;
use farthing_model::{Model, scenes};
use stateright::{Checker, Expectation};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(60), |text| text.parse());
    let part = arguments.next().unwrap_or_default();
    let Ok(seconds) = seconds else {
        eprintln!("farthing-model [SECONDS [SCENE]]");
        return ExitCode::FAILURE;
    };
    let mut held = true;
    for (name, scene) in scenes::large().into_iter().filter(|(name, _)| name.contains(&part)) {
        held &= explore(name, scene, Duration::from_secs(seconds));
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether no property was found to fail.
fn explore(name: &str, scene: Scene, limit: Duration) -> bool {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let started = Instant::now();
    let checker = scene.checker().threads(threads).timeout(limit).spawn_bfs().join();
    let seconds = started.elapsed().as_secs();
    // What ended by its time has states left to visit.
    let whole = started.elapsed() < limit;
    let ending = if whole { "all of them" } else { "not all" };
    println!("{name}: {} states, {ending}, {} steps deep, {seconds} s", checker.unique_state_count(), checker.max_depth());
    let mut held = true;
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        match (property.expectation, found) {
            (Expectation::Sometimes, None) => {
                println!("  not shown: {}", property.name);
                held &= !whole;
            }
            (Expectation::Always, Some(path)) => {
                println!("  fails: {}\n{path}", property.name);
                held = false;
            }
            (Expectation::Always | Expectation::Eventually, None) | (Expectation::Sometimes | Expectation::Eventually, Some(_)) => {}
        }
    }
    held
}
