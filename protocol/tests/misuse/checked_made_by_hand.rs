//! Only verification makes something verified.
use farthing_protocol::evidence::{DoubleSpend, ProvenDoubleSpend};
use farthing_protocol::spending::{Checked, Spending};

fn spending(spending: Spending) -> Checked {
    Checked(spending)
}

fn double_spend(proof: DoubleSpend) -> ProvenDoubleSpend {
    ProvenDoubleSpend(proof)
}

fn main() {}
