//! What a publisher embeds to be paid with Farthing.
//!
//! A request for something with a price is answered `402 Payment Required` with a challenge. The reader's wallet sends the request again
//! with a payment. The verifier checks it with public keys only, claims its tokens in one durable write, has the mint book it, and
//! lets the request through.
//!
//! ```text
//! request --> price? --> credential? --> check --> claim --> deposit --> serve
//!               no: pass     no: 402      402: why    402: double-spend, with proof
//!                                                     503: store or mint cannot decide; nothing is served, nothing is lost
//! ```
//!
//! # For an axum publisher
//! ```no_run
//! use std::time::Duration;
//!
//! use farthing_protocol::{amount::Amount, group::Point};
//! use farthing_verifier::store::RedbStore;
//! use farthing_verifier::{ChallengeSecret, Offer, PaymentLayer, Price, Verifier, VerifierConfig};
//!
//! # async fn run(mint_root_key: Point) -> Result<(), Box<dyn std::error::Error>> {
//! let secret = ChallengeSecret::load_or_create("challenge.secret".as_ref())?;
//! let config = VerifierConfig::new("news.example", "https://mint.example".parse()?, mint_root_key, secret);
//! let verifier = Verifier::open(config, RedbStore::open("payments.redb")?).await?;
//!
//! let articles = PaymentLayer::new(verifier, |request: &http::request::Parts| {
//!     request.uri.path().strip_prefix("/articles/").map(|name| Offer {
//!         price: Price::Fixed(Amount::from_units(500)), // half a cent
//!         title: format!("Article {name}"),
//!         external_id: name.to_owned(),
//!         access: Duration::from_secs(24 * 3_600),
//!     })
//! });
//! let site = axum::Router::new().route("/articles/{name}", axum::routing::get(|| async { "Worth half a cent." })).layer(articles);
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8801").await?, site).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # For any other server
//! [`Verifier::decide`] decides about a request's head in the types of the crate `http`; [`Decision`] has an example, `examples/plain` a
//! whole server. Threaded servers take [`blocking::Verifier`], other languages the C library of the crate `farthing-ffi`.
//!
//! # What must be kept
//! The store (spent tokens, undecided deposits) and the challenge secret, over restarts, and shared by all instances of a publisher.
//! [`RedbStore`](store::RedbStore) serves one process. For more take `PostgresStore` (feature `postgres`), tell the configuration their
//! number ([`VerifierConfig::instances`]), and read the secrets from the store ([`ChallengeSecret::shared`], [`PublisherKey::shared`]).
//! Losing the store loses undecided deposits, and in deferred mode lets tokens be spent here again.
//!
//! # What an outage does
//! | | settle-first | deferred |
//! |---|---|---|
//! | mint down | 503, payments wait in the outbox and are booked later; readers send the same request again | serves up to the limits, then as settle-first |
//! | store down | 503 | 503 |
//!
//! # What is learnt, and must not be logged
//! That a valid token paid for this request. Credentials, payment ids and URLs together with addresses or times would tell who read
//! what; this crate logs none of them, and takes the credential out of a request before the publisher's service sees it.
//!
//! # What success does not mean
//! A paid request is no identified person, and an *accepted* payment (deferred mode) is not yet money.

#[cfg(feature = "blocking")]
pub mod blocking;
mod check;
mod checker;
mod clock;
mod config;
mod cors;
mod decision;
mod deposit_receipt;
mod error;
mod filters;
mod keysets;
mod layer;
mod metrics;
mod mint_client;
mod offer;
mod outbox;
mod overdue;
mod page;
mod payment_scheme;
mod prune;
mod redeposit;
mod refund;
mod secret_file;
#[cfg(feature = "sidecar")]
pub mod sidecar;
#[cfg(feature = "settings")]
pub mod site;
mod statistics;
pub mod store;
mod verifier;

pub use clock::{Clock, SystemClock};
pub use config::{ChallengeSecret, DeferredLimits, Mode, VerifierConfig, WhenLimited};
pub use cors::AllowedOrigins;
pub use decision::{Decision, Found, Paid, strip_credential};
pub use deposit_receipt::{DepositReceipt, NoReceipt, ProvenDeposit, ReceiptError};
pub use error::{Problem, Refused, VerifierError};
pub use filters::FilterState;
pub use layer::{PaymentFuture, PaymentLayer, PaymentService};
pub use metrics::{Metrics, Taken};
pub use offer::{MAX_EXTERNAL_ID, MAX_TITLE, Offer, Pass, Price, Resource};
pub use payment_scheme::Challenge;
pub use redeposit::Redeposited;
pub use refund::{NotRefunded, PublisherKey};
pub use statistics::Statistics;
pub use verifier::Verifier;

/// The README's snippet compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
