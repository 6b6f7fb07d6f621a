//! The mint under sequences of requests by honest and hostile readers and publishers, faults and crashes: value is conserved, a token is
//! credited once, what was answered was booked, the same request has the same answer, and no honest reader is accused.
#![no_main]

use farthing_fuzz::machine::{Machine, Step};
use libfuzzer_sys::fuzz_target;

/// Longer sequences find little that shorter ones do not, and cost executions.
const STEPS: usize = 48;

fuzz_target!(|steps: Vec<Step>| {
    let mut machine = Machine::new();
    for step in steps.into_iter().take(STEPS) {
        machine.step(step);
    }
});
