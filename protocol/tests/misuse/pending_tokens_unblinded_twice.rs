//! A session's responses make its tokens once.
use farthing_protocol::issue::PendingTokens;
use farthing_protocol::wire::IssueResponseFrame;

fn twice(pending: PendingTokens, responses: &IssueResponseFrame) {
    let _ = pending.unblind(responses);
    let _ = pending.unblind(responses);
}

fn main() {}
