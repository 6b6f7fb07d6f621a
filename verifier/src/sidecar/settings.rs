//! What a sidecar is told: a TOML file, and environment variables that overrule it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use config::{Config, Environment, File, FileFormat};
use farthing_protocol::amount::Unit;
use farthing_protocol::group::Point;
use serde::Deserialize;
use url::Url;

use super::SidecarError;
use super::original::{Proxy, TrustedPeers};
use super::rules::{RuleSettings, Rules};
use crate::config::{ChallengeSecret, DeferredLimits, Mode, VerifierConfig};
use crate::cors::AllowedOrigins;
use crate::error::VerifierError;

/// Where claims are kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum StoreKind {
    /// `claims.redb` in the data directory, for one process.
    #[default]
    Redb,
    /// Nowhere: for trying out.
    Memory,
    /// A database for any number of processes.
    Postgres,
}

/// Where claims are kept, with all that is needed to open it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum StorePlace {
    Redb,
    Memory,
    #[cfg(feature = "postgres")]
    Postgres(String),
}

/// The configuration as written. `FARTHING_VERIFIER_LISTEN` overrules `listen`, and so on; lists of rules stand in the file only.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: String,
    proxy: Proxy,
    #[serde(default)]
    trusted_peers: Vec<String>,
    #[serde(default)]
    allowed_origins: Vec<String>,
    publisher: String,
    mint: String,
    mint_key: String,
    data: PathBuf,
    #[serde(default)]
    store: StoreKind,
    database: Option<String>,
    #[serde(default = "one")]
    instances: u32,
    #[serde(default = "eur")]
    currency: String,
    #[serde(default = "five")]
    decimals: u8,
    challenge_lifetime: Option<u64>,
    deferred: Option<Deferred>,
    #[serde(default = "info")]
    log: String,
    rules: Vec<RuleSettings>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deferred {
    outstanding: String,
    per_window: String,
    window: u64,
}

fn eur() -> String {
    "eur".into()
}

const fn one() -> u32 {
    1
}

const fn five() -> u8 {
    5
}

fn info() -> String {
    "info".into()
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and port.
    Tcp(String),
    /// A socket's file: `unix:/run/farthing/verifier.sock`.
    Unix(PathBuf),
}

/// A configuration that fits.
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// Who asks.
    pub proxy: Proxy,
    /// Whose word about requests counts.
    pub trusted_peers: TrustedPeers,
    /// Whose pages' scripts may pay.
    pub allowed_origins: AllowedOrigins,
    /// Where claims and the challenge secret are kept.
    pub data: PathBuf,
    /// What costs how much.
    pub rules: Rules,
    /// What is logged, as a filter of `tracing`.
    pub log: String,
    publisher: String,
    mint: Url,
    root: Point,
    pub(super) unit: Unit,
    pub(super) store: StorePlace,
    instances: u32,
    mode: Mode,
    challenge_lifetime: Option<Duration>,
}

impl Settings {
    /// Reads the file and the environment, and checks everything that can be checked without network and data.
    ///
    /// # Errors
    /// [`SidecarError`] says what does not fit.
    pub fn load(file: &Path) -> Result<Self, SidecarError> {
        let environment = Environment::with_prefix("FARTHING_VERIFIER").prefix_separator("_").separator("__").try_parsing(true);
        let written: Written = Config::builder()
            .add_source(File::from(file).format(FileFormat::Toml))
            .add_source(environment.list_separator(",").with_list_parse_key("trusted_peers").with_list_parse_key("allowed_origins"))
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|error| SidecarError::Unreadable(error.to_string()))?;
        let settings = Self::check(written)?;
        settings.verifier_config(ChallengeSecret::generate()).validate()?;
        Ok(settings)
    }

    fn check(written: Written) -> Result<Self, SidecarError> {
        const MONEY: SidecarError = SidecarError::Setting("deferred", "amounts are in main units, such as 5.00");
        let unit = Unit::new(&written.currency, written.decimals);
        let unit = unit.map_err(|_| SidecarError::Setting("currency", "not an ISO 4217 code in lower case, or too many decimals"))?;
        let mode = match &written.deferred {
            None => Mode::SettleFirst,
            Some(deferred) => Mode::Deferred(DeferredLimits {
                outstanding: unit.parse(&deferred.outstanding).ok_or(MONEY)?,
                per_window: unit.parse(&deferred.per_window).ok_or(MONEY)?,
                window: Duration::from_secs(deferred.window),
            }),
        };
        let store = match (written.store, written.database) {
            (StoreKind::Redb, None) => StorePlace::Redb,
            (StoreKind::Memory, None) => StorePlace::Memory,
            #[cfg(feature = "postgres")]
            (StoreKind::Postgres, Some(database)) => StorePlace::Postgres(database),
            (StoreKind::Postgres, None) => {
                return Err(SidecarError::Setting("database", "missing: postgres://user:password@host/name?sslmode=verify-full"));
            }
            #[cfg(not(feature = "postgres"))]
            (StoreKind::Postgres, Some(_)) => return Err(SidecarError::Setting("store", "this program was built without PostgreSQL")),
            (StoreKind::Redb | StoreKind::Memory, Some(_)) => {
                return Err(SidecarError::Setting("database", "only for store = \"postgres\""));
            }
        };
        if written.instances > 1 && matches!(store, StorePlace::Redb | StorePlace::Memory) {
            return Err(VerifierError::PrivateStore.into());
        }
        let listen = match written.listen.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Listen::Unix(path.into()),
            Some(_) => return Err(SidecarError::Setting("listen", "a socket's path starts with a slash")),
            None => Listen::Tcp(written.listen),
        };
        let trusted_peers = TrustedPeers::parse(&written.trusted_peers);
        let trusted_peers = trusted_peers.ok_or(SidecarError::Setting("trusted_peers", "not addresses or networks such as 10.1.0.0/16"))?;
        if matches!(listen, Listen::Tcp(_)) && written.trusted_peers.is_empty() {
            return Err(SidecarError::Setting("trusted_peers", "nobody could ask: list the proxy's addresses, or listen on a socket"));
        }
        let allowed_origins = AllowedOrigins::parse(&written.allowed_origins);
        let allowed_origins =
            allowed_origins.ok_or(SidecarError::Setting("allowed_origins", "not origins such as https://reader.example"))?;
        Ok(Self {
            listen,
            proxy: written.proxy,
            trusted_peers,
            allowed_origins,
            data: written.data,
            rules: Rules::parse(&written.rules, &unit, &written.publisher)?,
            log: written.log,
            publisher: written.publisher,
            mint: written.mint.parse().map_err(|_| SidecarError::Setting("mint", "not a URL"))?,
            root: root_key(&written.mint_key).ok_or(SidecarError::Setting("mint_key", "not a root key"))?,
            unit,
            store,
            instances: written.instances,
            mode,
            challenge_lifetime: written.challenge_lifetime.map(Duration::from_secs),
        })
    }

    /// Whether other processes may use the store at the same time.
    pub(super) const fn is_shared(&self) -> bool {
        !matches!(self.store, StorePlace::Redb | StorePlace::Memory)
    }

    /// The verifier's configuration under this secret.
    pub(super) fn verifier_config(&self, secret: ChallengeSecret) -> VerifierConfig {
        let config = VerifierConfig::new(self.publisher.clone(), self.mint.clone(), self.root, secret);
        let config = config.unit(self.unit.clone()).mode(self.mode).instances(self.instances);
        match self.challenge_lifetime {
            Some(lifetime) => config.challenge_lifetime(lifetime),
            None => config,
        }
    }
}

/// A mint's root key as operators publish it.
pub(super) fn root_key(text: &str) -> Option<Point> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text.trim(), &mut bytes).is_ok_and(|decoded| decoded.len() == 32);
    decoded.then(|| Point::from_bytes(bytes).ok()).flatten()
}
