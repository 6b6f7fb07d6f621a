//! Two answers to one commitment reveal the signing key.
use farthing_protocol::snowblind::{Challenge, Nonces, Response, SigningKey};

fn twice(nonces: Nonces, key: &SigningKey, first: &Challenge, second: &Challenge) -> [Response; 2] {
    [nonces.respond(key, first), nonces.respond(key, second)]
}

fn main() {}
