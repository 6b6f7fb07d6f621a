//! The mint when keys have leaked: denominations are frozen, counterfeits come in, and readers claim what they hold by their sessions.
//! Value is conserved, a token is credited or repaid once and never both, no session repays more than it bought, nobody else's session
//! repays anything, and whoever honestly holds a token gets its value back.
#![no_main]

use farthing_fuzz::machine::{Fault, Machine, Move, Step};
use farthing_fuzz::sequence::Sequence;
use libfuzzer_sys::fuzz_target;

const STEPS: usize = 24;

/// Both readers hold tokens of all denominations, each from two sessions; one payment of each is on its way when the middle one is frozen.
const PROLOGUE: [Step; 8] = [
    Step::Sell { units: 100 },
    Step::Sell { units: 100 },
    Step::Issue { reader: false, voucher: 0, units: 37, keyset: 0, fault: Fault::None },
    Step::Issue { reader: true, voucher: 1, units: 37, keyset: 0, fault: Fault::None },
    Step::Issue { reader: false, voucher: 0, units: 16, keyset: 0, fault: Fault::None },
    Step::Issue { reader: true, voucher: 1, units: 16, keyset: 0, fault: Fault::None },
    Step::Pay { reader: false, publisher: false, tokens: 4, amount: 4, hours: 24 },
    Step::Pay { reader: true, publisher: true, tokens: 4, amount: 4, hours: 24 },
];

fuzz_target!(|moves: Sequence<Move, STEPS>| {
    let mut machine = Machine::default();
    for step in PROLOGUE {
        machine.act(step);
    }
    machine.go(Move::Freeze { kind: 1 });
    for step in moves.0 {
        machine.go(step);
    }
    machine.finish();
});
