//! A blinding used for two commitments links the two tokens to their sessions.
use farthing_protocol::error::IssueError;
use farthing_protocol::group::Point;
use farthing_protocol::snowblind::{Blinding, Commitment, SigningContext};

fn twice(blinding: Blinding, context: &SigningContext, key: &Point, commitments: &[Commitment; 2]) -> Result<(), IssueError> {
    blinding.challenge(context, key, &commitments[0], &[1; 32])?;
    blinding.challenge(context, key, &commitments[1], &[2; 32])?;
    Ok(())
}

fn main() {}
