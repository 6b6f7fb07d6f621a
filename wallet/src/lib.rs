//! The reader's wallet: buys tokens from one mint, pays publishers, reads again what was paid for.
//!
//! Everything is written to disk before anything is sent. After a crash or a lost answer, the same call finishes the job: an unfinished
//! issue is asked for again with the same bytes, an unfinished payment is sent again with the same bytes, and no token is lost or paid
//! twice. A token that has left in a payment is never paid again; if the payment came to nothing it is refreshed.
//!
//! What the wallet does not hide: the reader's network address (use a proxy), the time of a payment, and an unusual price.

mod client;
mod error;
mod fetch;
mod issuing;
mod offer;
mod paying;
mod policy;
mod receipt;
mod records;
mod recovering;
mod restoring;
mod seed_text;
mod standing;
mod store;

pub use client::ClientOptions;
pub use error::WalletError;
pub use issuing::RefreshReport;
pub use offer::{Offer, canonical_url, publisher_of};
pub use paying::{Delivery, DeliveryKind, PayOptions};
pub use receipt::{KeptReceipt, ShownReceipt};
pub use records::{PaymentRecord, PaymentState};
pub use restoring::RestoreReport;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::error::KeysetError;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::proof::KeysetId;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::wire::{Frame, KeysetListFrame};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use serde::Serialize;
use url::Url;

use client::MintClient;
use records::TokenState;
use store::Store;

/// A reader's wallet for one mint. One process at a time holds it open.
pub struct Wallet {
    store: Store,
    mint: MintClient,
    options: ClientOptions,
    root: Point,
    seed: WalletSeed,
    keysets: KeysetList,
    unit: Unit,
    /// The denominations that the mint has last said are frozen. Nobody signs that: it decides what is asked for, never what is kept.
    frozen: BTreeSet<(KeysetId, Amount)>,
    rng: StdRng,
}

/// What a wallet holds, in smallest units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The unit, such as `eur/100000`.
    pub currency: String,
    /// Tokens that can be paid now.
    pub spendable: Amount,
    /// Tokens that must be refreshed before they can be paid: `refresh` does it.
    pub to_refresh: Amount,
    /// Tokens in payments that are not finished.
    pub in_payments: Amount,
    /// Value in unfinished issues: asked for or being refreshed.
    pub in_issues: Amount,
    /// The rest of settled payments, not taken yet: `refresh` takes it.
    pub change_due: Amount,
    /// Number of tokens that can be paid now.
    pub tokens: usize,
}

impl Wallet {
    /// Makes a wallet in an empty directory, pinned to one mint and its root key.
    ///
    /// # Errors
    /// [`WalletError`]: the directory holds a wallet already, the mint cannot be reached, or its keyset list is not signed by `root`.
    pub async fn init(directory: &Path, mint: Url, root: Point, options: ClientOptions) -> Result<Self, WalletError> {
        let client = MintClient::new(mint.clone(), &options)?;
        let keysets = KeysetList::verify(&client.keysets().await?, &root)?;
        let mut rng = system_rng()?;
        let seed = WalletSeed::generate(&mut rng);
        let store = Store::create(directory, &seed, &mint, &root, &keysets, 0, &[])?;
        Self::assemble(store, seed, mint, root, keysets, options, rng)
    }

    /// Opens an existing wallet.
    ///
    /// # Errors
    /// [`WalletError`]: there is none, or another process has it open, or it does not read back.
    pub fn open(directory: &Path, options: ClientOptions) -> Result<Self, WalletError> {
        Self::on(Store::open(directory)?, options)
    }

    fn on(store: Store, options: ClientOptions) -> Result<Self, WalletError> {
        let (seed, mint, root) = store.identity()?;
        let frame = KeysetListFrame::from_bytes(&store.keysets()?).map_err(|_| WalletError::Damaged)?;
        let keysets = KeysetList::verify(&frame, &root)?;
        Self::assemble(store, seed, mint, root, keysets, options, system_rng()?)
    }

    fn assemble(
        store: Store,
        seed: WalletSeed,
        mint: Url,
        root: Point,
        keysets: KeysetList,
        options: ClientOptions,
        rng: StdRng,
    ) -> Result<Self, WalletError> {
        // The first keyset's, which no later one can change: a keyset of another unit must not turn what is held into something else.
        let unit = keysets.keysets().first().ok_or(WalletError::Damaged)?.unit().clone();
        Ok(Self { store, mint: MintClient::new(mint, &options)?, options, root, seed, keysets, unit, frozen: BTreeSet::new(), rng })
    }

    /// The unit the wallet counts in.
    pub const fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The pinned root key of the mint.
    pub const fn root(&self) -> &Point {
        &self.root
    }

    /// The keyset list as the wallet knows it.
    pub const fn keysets(&self) -> &KeysetList {
        &self.keysets
    }

    /// What the wallet holds.
    ///
    /// # Errors
    /// [`WalletError`] if the store does not answer.
    pub fn balance(&self) -> Result<Balance, WalletError> {
        let mut balance = Balance {
            currency: self.unit.name(),
            spendable: Amount::ZERO,
            to_refresh: Amount::ZERO,
            in_payments: Amount::ZERO,
            in_issues: Amount::ZERO,
            change_due: Amount::ZERO,
            tokens: 0,
        };
        let add = |sum: &mut Amount, value: Amount| -> Result<(), WalletError> {
            *sum = sum.checked_add(value).ok_or(WalletError::Damaged)?;
            Ok(())
        };
        let now = now();
        for (spent_key, record) in self.store.tokens()? {
            let spendable = self.keysets.get(&spent_key.keyset).is_some_and(|keyset| keyset.spendable_at(now));
            match record.state {
                TokenState::Owned if spendable => {
                    add(&mut balance.spendable, spent_key.denomination)?;
                    balance.tokens += 1;
                }
                TokenState::Owned | TokenState::RefreshOnly => add(&mut balance.to_refresh, spent_key.denomination)?,
                TokenState::Paying(_) => add(&mut balance.in_payments, spent_key.denomination)?,
                TokenState::Refreshing(_) => add(&mut balance.in_issues, spent_key.denomination)?,
            }
        }
        for (_, session) in self.store.sessions()? {
            // Tokens being refreshed were counted above.
            if session.funding.tokens().is_empty() {
                add(&mut balance.in_issues, session.amount()?)?;
            }
        }
        for payment in self.store.payments()? {
            if payment.change_is_due() {
                add(&mut balance.change_due, payment.change)?;
            }
        }
        Ok(balance)
    }

    /// All payments, oldest first.
    ///
    /// # Errors
    /// [`WalletError`] if the store does not answer.
    pub fn history(&self) -> Result<Vec<PaymentRecord>, WalletError> {
        let mut payments = self.store.payments()?;
        payments.sort_by_key(|payment| payment.sequence);
        Ok(payments)
    }

    /// Fetches the mint's keyset list and takes it if it continues the one known.
    ///
    /// # Errors
    /// [`WalletError::Keysets`]: this list is not signed, or does not continue the one known. If the mint has signed two, both are kept as
    /// evidence, and nothing is bought or paid any more.
    pub async fn update_keysets(&mut self) -> Result<(), WalletError> {
        self.refuse_fork()?;
        let frame = self.mint.keysets().await?;
        match self.keysets.follow(&frame) {
            Ok(newer) => {
                self.store.set_keysets(&newer)?;
                self.keysets = newer;
                Ok(())
            }
            Err(error) => {
                if error == KeysetError::Forked {
                    self.store.keep_fork(&frame)?;
                }
                Err(error.into())
            }
        }
    }

    /// Two lists the mint has signed that contradict each other, if it did: the one this wallet knows, and the other.
    ///
    /// # Errors
    /// [`WalletError`] if the store does not answer.
    pub fn forked_keysets(&self) -> Result<Option<[KeysetListFrame; 2]>, WalletError> {
        let Some(other) = self.store.fork()? else { return Ok(None) };
        let other = KeysetListFrame::from_bytes(&other).map_err(|_| WalletError::Damaged)?;
        Ok(Some([self.keysets.to_frame(), other]))
    }

    /// A mint that has shown two lists may be telling readers apart by their keys: nothing new is begun with it.
    fn refuse_fork(&self) -> Result<(), WalletError> {
        if self.store.fork()?.is_some() { Err(KeysetError::Forked.into()) } else { Ok(()) }
    }
}

/// A generator seeded from the operating system.
fn system_rng() -> Result<StdRng, WalletError> {
    StdRng::try_from_rng(&mut SysRng).map_err(|_| WalletError::NoRandomness)
}

/// Unix time in seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

// Here and not beside the other tests, because a wallet's disk is nobody's business but its own.
#[cfg(test)]
#[path = "../tests/faults/mod.rs"]
mod faults;
