//! A copy of the nonces would answer a second time.
use farthing_protocol::snowblind::Nonces;

fn copy(nonces: &Nonces) -> Nonces {
    nonces.clone()
}

fn main() {}
