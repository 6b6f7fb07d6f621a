//! The mint under sequences of requests by honest and hostile readers and publishers, faults and crashes: value is conserved, a token is
//! credited once, what was answered was booked, the same request has the same answer, and no honest reader is accused.
#![no_main]

use farthing_fuzz::machine::{Fault, Machine, Step};
use farthing_fuzz::sequence::Sequence;
use libfuzzer_sys::fuzz_target;

/// Longer sequences find little that shorter ones do not, and cost executions.
const STEPS: usize = 48;

/// Both readers have tokens, and one payment each is on its way: from here every single step means something.
const PROLOGUE: [Step; 6] = [
    Step::Sell { units: 100 },
    Step::Sell { units: 100 },
    Step::Issue { reader: false, voucher: 0, units: 33, keyset: 0, fault: Fault::None },
    Step::Issue { reader: true, voucher: 1, units: 33, keyset: 0, fault: Fault::None },
    Step::Pay { reader: false, publisher: false, tokens: 3, amount: 2, hours: 24 },
    Step::Pay { reader: true, publisher: true, tokens: 3, amount: 2, hours: 24 },
];

fuzz_target!(|steps: Sequence<Step, STEPS>| {
    let mut machine = Machine::default();
    for step in PROLOGUE {
        machine.act(step);
    }
    for step in steps.0 {
        machine.step(step);
    }
});
