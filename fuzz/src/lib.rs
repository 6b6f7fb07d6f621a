//! What the targets share: a small mint in memory, the protocol written out slowly, and the mint and a verifier as state machines.

pub mod forgery;
pub mod machine;
pub mod plain;
pub mod publisher;
pub mod sequence;
pub mod world;
