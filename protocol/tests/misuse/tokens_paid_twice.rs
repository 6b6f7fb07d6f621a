//! An honest reader can never make a double-spend.
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::token::OwnedTokens;
use rand::rngs::StdRng;

fn twice(tokens: OwnedTokens, terms: &[PaymentTerms<'_>; 2], rng: &mut StdRng) {
    let _ = tokens.pay(&terms[0], rng);
    let _ = tokens.pay(&terms[1], rng);
}

fn main() {}
