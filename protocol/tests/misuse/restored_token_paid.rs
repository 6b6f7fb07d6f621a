//! What came back from a seed can be refreshed, never paid.
use farthing_protocol::restore::RestoredToken;
use farthing_protocol::token::OwnedTokens;

fn gathered(token: RestoredToken) {
    let _ = OwnedTokens::new(vec![token]);
}

fn main() {}
