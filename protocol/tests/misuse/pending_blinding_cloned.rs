//! A copy of a pending blinding would unblind a second response.
use farthing_protocol::snowblind::PendingBlinding;

fn copy(pending: &PendingBlinding) -> PendingBlinding {
    pending.clone()
}

fn main() {}
