//! What the targets share: a small mint in memory, the protocol written out slowly, and the mint as a state machine.

pub mod forgery;
pub mod machine;
pub mod plain;
pub mod sequence;
pub mod world;
