//! The mint as a library: make one, open it, serve it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{Frame, KeysetListFrame};
use rand::Rng;
use zeroize::Zeroizing;

use crate::clock::{Clock, ServiceClock, SystemClock};
use crate::config::{Forwarding, InitOptions, LedgerPlace, Limits, MintOptions, Rotation, publisher_name};
use crate::data::{DataDirectory, Described};
use crate::error::MintError;
use crate::http;
use crate::metrics::Metrics;
use crate::operations::{Operations, Status};
use crate::scratch::Scratch;
use crate::signer::{KeyFile, KeyVault, KeysetSecrets, Signer, system_rng};
use crate::store::keysets::Lifecycle;
use crate::store::postgres::PostgresLedger;
use crate::store::sqlite::SqliteLedger;
use crate::store::{Announcement, Ledger, LedgerError};

/// The largest denomination a mint takes: 2^40 units, so that no sum of a payment can overflow.
const LARGEST_DENOMINATION: u64 = 1 << 40;

/// The most vouchers made at once.
const MOST_VOUCHERS: u32 = 10_000;

/// Connections of the metrics listener.
const MONITORS: usize = 16;

/// How often dead nonces are wiped, and looked whether filters are due.
const SWEEP: Duration = Duration::from_secs(5);

/// Fills bytes from the operating system's generator.
pub(crate) fn random(bytes: &mut [u8]) {
    system_rng().fill_bytes(bytes);
}

/// A mint. Cheap to clone: all clones are one mint.
#[derive(Clone)]
pub struct Mint(Arc<Inner>);

struct Inner {
    operations: Arc<Operations>,
    ledger: Arc<dyn Ledger>,
    data: DataDirectory,
    vault: Option<Arc<KeyVault>>,
    /// What this process has last taken in of the ledger's keysets.
    known: tokio::sync::Mutex<Option<Lifecycle>>,
    /// Whether the key file could not be read when it was last wanted.
    keys_missing: AtomicBool,
    clock: Arc<dyn Clock>,
    limits: Limits,
    rotation: Option<Rotation>,
    forwarding: Forwarding,
    root: Point,
}

impl Mint {
    /// Makes a mint in an empty or new directory: root key, first keyset, ledger. Returns the root public key, which wallets and
    /// verifiers pin.
    ///
    /// # Errors
    /// [`MintError::AlreadyInitialised`] if the directory is not empty; [`MintError::Keyset`] if the options break a rule;
    /// [`MintError::File`] or [`MintError::Ledger`] if it cannot be written. What a failed try leaves behind is never taken for a mint.
    pub async fn init(dir: &Path, options: InitOptions) -> Result<Point, MintError> {
        if options.denominations.iter().any(|denomination| denomination.units() > LARGEST_DENOMINATION) {
            return Err(MintError::Keyset(farthing_protocol::error::KeysetError::InvalidDenominations));
        }
        let now = options.now.unwrap_or_else(|| SystemClock::new().wall().as_secs());
        let mut rng = system_rng();
        let (root, secrets) = (LoneKey::generate(&mut rng), KeysetSecrets::generate(&options.denominations));
        let issue_until = now.saturating_add(options.issue);
        let spend_until = issue_until.saturating_add(options.spend);
        let refresh_until = spend_until.saturating_add(options.refresh);
        let deposit_until = refresh_until.saturating_add(options.deposit);
        let proposal = Proposal {
            published: now,
            unit: options.unit.clone(),
            windows: Windows { issue_from: now, issue_until, spend_until, refresh_until, deposit_until },
            receipt_key: *secrets.receipt.public(),
            keys: secrets.public(),
        };
        let mut list = KeysetList::new(*root.public());
        let keyset = list.announce(proposal, &root, &mut rng)?;
        let (mut seal_key, mut ledger_id) = (Zeroizing::new([0; 32]), [0; 16]);
        rng.fill_bytes(seal_key.as_mut());
        rng.fill_bytes(&mut ledger_id);

        let data = DataDirectory::new(dir);
        data.create()?;
        data.write_root(&root)?;
        KeyVault::new(data.clone(), options.protection).create(&KeyFile { seal_key, keysets: vec![secrets] })?;
        let announcement =
            Announcement { list: list.to_frame().to_bytes(), number: 0, keyset, denominations: options.denominations, deposit_until };
        let (announced, postgres) = match &options.ledger {
            LedgerPlace::Embedded => {
                data.reserve_ledger()?;
                SqliteLedger::create(&data.ledger(), ledger_id, now).await?;
                let ledger = SqliteLedger::open(&data.ledger()).await?;
                let announced = ledger.announce(announcement).await;
                ledger.close().await;
                (announced?, None)
            }
            LedgerPlace::Postgres(url) => {
                if !PostgresLedger::create(url.expose_secret(), ledger_id, now).await? {
                    return Err(MintError::LedgerTaken);
                }
                let ledger = PostgresLedger::open(url.expose_secret()).await?;
                let announced = ledger.announce(announcement).await;
                ledger.close().await;
                (announced?, Some(ledger_id))
            }
        };
        if !announced {
            return Err(MintError::Damaged("the ledger"));
        }
        data.describe(&Described { unit: options.unit, root: *root.public(), postgres })?;
        Ok(*root.public())
    }

    /// Opens a mint. Several processes may have one open, so that the command line works while another process serves.
    ///
    /// # Errors
    /// [`MintError::NotInitialised`], [`MintError::OtherEngine`], [`MintError::OtherLedger`], [`MintError::File`], [`MintError::Exposed`],
    /// [`MintError::Damaged`] or [`MintError::Ledger`].
    pub async fn open(dir: &Path, options: MintOptions) -> Result<Self, MintError> {
        let data = DataDirectory::new(dir);
        // Before the ledger, so that a directory without a mint is not taken for a broken one.
        let described = data.description()?;
        let ledger: Arc<dyn Ledger> = match (&options.ledger, described.postgres) {
            (LedgerPlace::Embedded, None) => Arc::new(SqliteLedger::open(&data.ledger()).await?),
            (LedgerPlace::Postgres(url), Some(id)) => {
                let ledger = PostgresLedger::open(url.expose_secret()).await?;
                if ledger.position().await?.ledger != id {
                    return Err(MintError::OtherLedger);
                }
                Arc::new(ledger)
            }
            (LedgerPlace::Embedded, Some(_)) => {
                return Err(MintError::OtherEngine("on PostgreSQL: give --ledger or FARTHING_MINT_LEDGER"));
            }
            (LedgerPlace::Postgres(_), None) => return Err(MintError::OtherEngine("a file of the data directory: leave --ledger out")),
        };
        Self::on(data, ledger, options).await
    }

    /// Opens a mint on a ledger of the caller's: an engine of one's own, which has to pass what `tests/conformance.rs` asks of every engine.
    /// [`MintOptions::ledger`] is not looked at.
    ///
    /// # Errors
    /// [`MintError::NotInitialised`], [`MintError::File`], [`MintError::Exposed`], [`MintError::Damaged`] or [`MintError::Ledger`].
    pub async fn open_on(dir: &Path, ledger: Arc<dyn Ledger>, options: MintOptions) -> Result<Self, MintError> {
        Self::on(DataDirectory::new(dir), ledger, options).await
    }

    async fn on(data: DataDirectory, ledger: Arc<dyn Ledger>, options: MintOptions) -> Result<Self, MintError> {
        let Described { unit, root, .. } = data.description()?;
        let lifecycle = ledger.lifecycle().await?;
        let frame = KeysetListFrame::from_bytes(&lifecycle.list).map_err(|_| MintError::Damaged("the ledger's keyset list"))?;
        let list = KeysetList::verify(&frame, &root)?;
        let vault = options.keys.map(|protection| Arc::new(KeyVault::new(data.clone(), protection)));
        // Without its keys a mint signs nothing, so that any seal will do.
        let seal_key = match &vault {
            Some(vault) => keysets::read(vault).await?.seal_key,
            None => Zeroizing::new([0; 32]),
        };
        let signer = Signer::new(root, seal_key, options.clock.clone(), options.limits.pool);
        let clock = ServiceClock::new(options.clock.clone(), lifecycle.position.time);
        let scratch = Scratch::new(data.path());
        let operations = Operations::new(list, unit, signer, ledger.clone(), clock, &options.limits, scratch).await?;
        let (known, keys_missing) = (tokio::sync::Mutex::new(None), AtomicBool::new(false));
        let MintOptions { clock, limits, rotation, forwarding, .. } = options;
        let mint = Self(Arc::new(Inner {
            operations: Arc::new(operations),
            ledger,
            data,
            vault,
            known,
            keys_missing,
            clock,
            limits,
            rotation,
            forwarding,
            root,
        }));
        mint.take_in(lifecycle).await?;
        Ok(mint)
    }

    /// The root public key.
    pub fn root(&self) -> Point {
        self.0.root
    }

    /// What it takes at most.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The HTTP interface of `spec/http.md`, to be served by [`Mint::serve`] or inside another server. Call it on a Tokio runtime.
    ///
    /// # Security
    /// Only one process may serve a ledger that is a file; [`Mint::serve`] makes sure, this does not. Nor does it tell other processes on a
    /// shared ledger where the sessions opened here are found. Limits on connections and slow heads are the server's.
    pub fn router(&self) -> axum::Router {
        self.0.operations.prepare();
        let operations = Arc::downgrade(&self.0.operations);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP);
            loop {
                ticks.tick().await;
                let Some(operations) = operations.upgrade() else { break };
                operations.sweep();
            }
        });
        let operations = Arc::downgrade(&self.0.operations);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(operations) = operations.upgrade() else { break };
                if operations.publish_filters().await.is_err() {
                    tracing::warn!("the filters of spent tokens stay as they were");
                }
            }
        });
        keysets::watch(&self.0);
        http::router(self.0.operations.clone(), &self.0.limits)
    }

    /// Serves until `shutdown` is done, then finishes the requests that are being answered.
    ///
    /// # Errors
    /// [`MintError::KeysWithheld`], [`MintError::AlreadyServing`], [`MintError::File`] or [`MintError::Serve`].
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), MintError> {
        if self.0.vault.is_none() {
            return Err(MintError::KeysWithheld);
        }
        let shared = match self.0.ledger.instances() {
            Some(_) => Ok(self.join().await?),
            None => Err(self.0.data.lock()?),
        };
        let served = http::serve(listener, self.router(), &self.0.limits, shutdown).await;
        if let Ok(shared) = shared {
            shared.leave().await;
        }
        served.map_err(|error| MintError::Serve(error.kind()))
    }

    /// Serves metrics and health until `shutdown` is done; nothing about it is limited by client, so it is for the operator's network only.
    ///
    /// # Errors
    /// [`MintError::Serve`].
    pub async fn serve_metrics(
        &self,
        listener: tokio::net::TcpListener,
        metrics: Metrics,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), MintError> {
        let limits = Limits { connections: MONITORS, ..self.0.limits.clone() };
        let router = http::monitor(self.0.operations.clone(), metrics);
        http::serve(listener, router, &limits, shutdown).await.map_err(|error| MintError::Serve(error.kind()))
    }

    /// Serves another router of this mint on a listener of its own, such as [`crate::admin::router`], until `shutdown` is done.
    ///
    /// # Errors
    /// [`MintError::Serve`].
    pub async fn serve_beside(
        &self,
        listener: tokio::net::TcpListener,
        router: axum::Router,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), MintError> {
        http::serve(listener, router, &self.0.limits, shutdown).await.map_err(|error| MintError::Serve(error.kind()))
    }

    /// Creates vouchers of one amount. The codes are the money: the ledger keeps only their public keys.
    ///
    /// # Errors
    /// [`MintError::VoucherCount`], [`MintError::SoldTooMuch`], [`MintError::ClockJumped`], [`MintError::Ledger`]. After [`LedgerError::Unavailable`] vouchers may
    /// have been counted as sold whose codes nobody knows.
    pub async fn create_vouchers(&self, amount: Amount, count: u32) -> Result<Vec<VoucherCode>, MintError> {
        if amount.is_zero() || count == 0 || count > MOST_VOUCHERS {
            return Err(MintError::VoucherCount);
        }
        let mut rng = system_rng();
        let codes: Vec<VoucherCode> = (0..count).map(|_| VoucherCode::generate(&mut rng)).collect();
        let key = |code: &VoucherCode| code.key().map(|key| key.public().to_bytes());
        let keys = codes.iter().map(key).collect::<Result<Vec<_>, _>>().map_err(|_| MintError::Damaged("a voucher code"))?;
        if self.0.ledger.create_vouchers(keys, amount, self.time()?).await? { Ok(codes) } else { Err(MintError::SoldTooMuch) }
    }

    /// Adds a publisher: lower-case host, port if it is not 443. A publisher that is there already stays as it is.
    ///
    /// # Errors
    /// [`MintError::PublisherName`], [`MintError::Ledger`].
    pub async fn add_publisher(&self, name: &str) -> Result<(), MintError> {
        let name = publisher_name(name).ok_or(MintError::PublisherName)?;
        Ok(self.0.ledger.add_publisher(name).await?)
    }

    /// Sets or changes the key with which a publisher asks for refunds.
    ///
    /// # Errors
    /// [`MintError::PublisherName`] also if there is no such publisher, [`MintError::Ledger`].
    pub async fn set_publisher_key(&self, name: &str, key: &Point) -> Result<(), MintError> {
        let name = publisher_name(name).ok_or(MintError::PublisherName)?;
        if self.0.ledger.set_publisher_key(name, key.to_bytes()).await? { Ok(()) } else { Err(MintError::PublisherName) }
    }

    /// What a publisher has earned and not been paid; `None` if there is no such publisher.
    ///
    /// # Errors
    /// [`MintError::PublisherName`], [`MintError::Ledger`].
    pub async fn publisher_balance(&self, name: &str) -> Result<Option<Amount>, MintError> {
        let name = publisher_name(name).ok_or(MintError::PublisherName)?;
        Ok(self.0.ledger.publisher_balance(name).await?)
    }

    /// Publishes the filters of spent tokens if they are due, as a serving mint does by itself.
    ///
    /// # Errors
    /// [`MintError::Ledger`]; what was published before stays.
    pub async fn publish_filters(&self) -> Result<(), MintError> {
        self.0.operations.publish_filters().await.map_err(|_| MintError::Ledger(LedgerError::Unavailable))
    }

    /// What the mint counts in.
    pub fn unit(&self) -> farthing_protocol::amount::Unit {
        self.0.operations.unit().clone()
    }

    /// The balance sheet at one moment.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn status(&self) -> Result<Status, MintError> {
        self.0.operations.status().await.map_err(|_| MintError::Ledger(LedgerError::Unavailable))
    }
}

#[path = "backup.rs"]
mod backup;
pub use backup::{Manifest, Restored};

#[path = "closes.rs"]
mod closes;

#[path = "keysets.rs"]
mod keysets;
pub use keysets::{Announced, ClockView, keys_are_sealed};

#[path = "orders.rs"]
mod orders;
pub use orders::{CheckoutSold, OrderVouchers, PublisherView};
#[path = "resync.rs"]
mod resync;
pub use resync::ResyncView;

#[path = "sharing.rs"]
mod sharing;

#[path = "money.rs"]
mod money;
pub use money::{PayoutFile, PayoutOptions, PayoutReport, PublisherStatement, StatementLine};

#[cfg(test)]
#[path = "mint_faults.rs"]
mod faults;
