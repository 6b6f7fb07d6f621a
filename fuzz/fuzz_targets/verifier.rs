//! A publisher's verifier under sequences of payments true and false, answers of the mint that are lost, late or lies, a disk that fails, and
//! restarts: a token is claimed once, nothing is served that is neither settled nor accepted, the same payment has the same answer, what is
//! claimed is credited at the mint once and not forgotten before, the limits hold, and no honest reader is accused.
#![no_main]

use arbitrary::Arbitrary;
use farthing_fuzz::publisher::{Act, Disk, Flaw, Line, Sending, Setup, Step, run};
use farthing_fuzz::sequence::Sequence;
use libfuzzer_sys::fuzz_target;

const STEPS: usize = 20;

#[derive(Arbitrary, Debug)]
struct Input {
    setup: Setup,
    steps: Sequence<Step, STEPS>,
}

/// Each reader has paid once, the second one with a token that it has spent elsewhere by now.
const PROLOGUE: [Act; 3] = [
    Act::Pay { reader: false, tokens: 3, page: 0, flaw: Flaw::None, sending: Sending::Plain },
    Act::PayElsewhere { tokens: 1 },
    Act::Pay { reader: true, tokens: 3, page: 1, flaw: Flaw::None, sending: Sending::Plain },
];

fuzz_target!(|input: Input| {
    let prologue = PROLOGUE.map(|act| Step { act, careful: true, well: true, line: Line::Open, disk: Disk::Well });
    run(input.setup, &prologue, &input.steps.0);
});
