//! The mint of Farthing: sells blinded tokens for vouchers, keeps the ledger, credits publishers, and learns nobody's reading.
//!
//! ```text
//! http        -> operations -> store   the ledger: money, in transactions
//!                           -> signer  keys and nonces: the only place that signs
//! admin, shop -> Mint       -> operations, store: what the operator and a payment provider may ask
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), farthing_mint::MintError> {
//! use farthing_mint::{InitOptions, Mint, MintOptions, key_text};
//! use farthing_protocol::amount::Amount;
//!
//! let dir = std::path::Path::new("mint-data");
//! let root = Mint::init(dir, InitOptions::default()).await?;
//! println!("pin this key: {}", key_text(&root));
//! let mint = Mint::open(dir, MintOptions::default()).await?;
//! mint.add_publisher("news.example").await?;
//! for code in mint.create_vouchers(Amount::from_units(500_000), 1).await? {
//!     println!("{}", code.expose_secret().as_str());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Not promised: a mint that is cloned together with its ledger can be made to leak its keys; whoever reads the data directory can make
//! money; and network addresses are seen by whatever stands in front.

pub mod admin;
mod announce;
mod clock;
mod config;
mod data;
mod error;
pub mod http;
pub mod metrics;
mod mint;
pub mod operations;
mod saved_run;
mod scratch;
mod sepa;
pub mod settings;
pub mod shop;
pub mod side;
pub mod signer;
pub mod store;

use mint::random;

pub use announce::{SignedAnnouncement, UnsignedKeyset};
pub use clock::{Clock, SystemClock};
pub use config::{ClientLimits, Forwarding, InitOptions, LedgerPlace, Limits, MintOptions, Rotation, key_text, parse_key, publisher_name};
pub use error::{AdoptionError, MintError};
pub use mint::{
    Announced, CheckoutSold, ClockView, Manifest, Mint, OrderVouchers, PayoutFile, PayoutOptions, PayoutReport, PublisherStatement,
    PublisherView, Restored, ResyncView, StatementLine, keys_are_sealed,
};
pub use operations::{DenominationStatus, KeysetStatus, KeysetSummary, Size, Status};
pub use signer::KeyProtection;
pub use store::books::{Address, Audit, Balance, BankAccount, Difference, Payout, PayoutRun};
pub use store::closes::{Close, CloseTotal};
pub use store::orders::PayoutSummary;
pub use store::resync::Resynced;
