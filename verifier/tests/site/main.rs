//! A publisher's site over real HTTP: what is served, what is refused, and what survives failures.

mod asking;
mod bad_input;
mod batches;
mod blocking;
mod browsers;
mod deferred;
#[cfg(feature = "postgres")]
mod described;
mod faulty;
mod filters;
mod headers;
mod keysets;
mod outages;
mod passes;
mod paying;
#[path = "../../examples/plain/server.rs"]
mod plain_server;
mod plain_types;
#[cfg(feature = "postgres")]
#[path = "../postgres/mod.rs"]
mod postgres;
mod real_mint;
mod receipts;
mod refunding;
mod rereading;
mod several;
#[cfg(feature = "postgres")]
mod shared_keysets;
mod site;
mod spoilt;
mod stand_in;
mod world;
