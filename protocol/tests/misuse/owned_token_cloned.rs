//! A token is money: it is not copied.
use farthing_protocol::token::OwnedToken;

fn copy(token: &OwnedToken) -> OwnedToken {
    token.clone()
}

fn main() {}
