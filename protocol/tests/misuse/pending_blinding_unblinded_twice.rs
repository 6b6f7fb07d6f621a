//! One pending blinding, one signature.
use farthing_protocol::snowblind::{PendingBlinding, Response};

fn twice(pending: PendingBlinding, first: &Response, second: &Response) {
    let _ = pending.unblind(first);
    let _ = pending.unblind(second);
}

fn main() {}
