//! The protocol as a model: issue, pay, claim, deposit, refresh, change, refund and reclaim, with crashes and with messages that are lost,
//! late, repeated and replayed, explored exhaustively to a bound.
//!
//! ```text
//! state       what everybody holds and what was ever sent      rules       who may do what next
//! wallet      the honest reader                                scenes      who takes part, and how far it goes
//! publisher   claim, decide                                    properties  what must hold, what must be reachable
//! mint        sessions, ledger                                 recovery    from any state everything finishes
//! traces      walks and shortest ways, for replaying           broken      one defence left out at a time
//! ```
//!
//! A crate of its own so that it alone is optimised in test builds. `wallet/tests/model` replays its traces on the real types; names are
//! those of the code. `spec/model.md` says what is modelled, what is not, and how to read a counterexample.

#![expect(missing_docs, reason = "variants and fields are named after those of the code they stand for, where they are described")]
#![allow(clippy::trivially_copy_pass_by_ref, reason = "a few bytes more or less do not matter here, and keys of maps come by reference")]

pub mod broken;
pub mod mint;
pub mod properties;
pub mod publisher;
pub mod recovery;
pub mod rules;
pub mod scenes;
pub mod state;
pub mod traces;
pub mod wallet;

pub use stateright::Model;
