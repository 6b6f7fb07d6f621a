//! What was paid or retired can be refreshed, never paid.
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::token::OwnedTokens;
use rand::rngs::StdRng;

fn retired(tokens: OwnedTokens, terms: &PaymentTerms<'_>, rng: &mut StdRng) {
    let _ = tokens.retire().pay(terms, rng);
}

fn main() {}
