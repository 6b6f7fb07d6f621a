//! What a sidecar is told: a TOML file, and environment variables that overrule it.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};
use serde::Deserialize;

use super::SidecarError;
use super::original::{Proxy, TrustedPeers};
use crate::site::{self, OF_THE_SIDECAR, SettingsError};

/// What only a sidecar reads. `FARTHING_VERIFIER_LISTEN` overrules `listen`, and so on; lists of rules stand in the file only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: String,
    proxy: Proxy,
    #[serde(default)]
    trusted_peers: Vec<String>,
    #[serde(default = "info")]
    log: String,
    metrics: Option<String>,
    #[serde(default)]
    peers_may_refund: bool,
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
    /// What is logged, as a filter of `tracing`.
    pub log: String,
    /// Where `/metrics` is served, an address and port; nowhere if not set.
    pub metrics: Option<String>,
    /// Whether a trusted peer may give a payment back.
    pub peers_may_refund: bool,
    /// What is for sale, and where that is kept.
    pub site: site::Settings,
}

impl Settings {
    /// Reads the file and the environment, and checks everything that can be checked without network and data.
    ///
    /// # Errors
    /// [`SidecarError`] says what does not fit.
    pub fn load(file: &Path) -> Result<Self, SidecarError> {
        let environment = Environment::with_prefix("FARTHING_VERIFIER").prefix_separator("_").separator("__").try_parsing(true);
        let written = Config::builder()
            .add_source(File::from(file).format(FileFormat::Toml))
            .add_source(environment.list_separator(",").with_list_parse_key("trusted_peers").with_list_parse_key("allowed_origins"))
            .build();
        let mut rest = written.and_then(|config| config.cache.into_table()).map_err(SettingsError::unreadable)?;
        let own = OF_THE_SIDECAR.into_iter().filter_map(|name| rest.remove_entry(name)).collect();
        let own: Written = Value::new(None, ValueKind::Table(own)).try_deserialize().map_err(SettingsError::unreadable)?;
        let listen = match own.listen.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Listen::Unix(path.into()),
            Some(_) => return Err(SettingsError::Setting("listen", "a socket's path starts with a slash").into()),
            None => Listen::Tcp(own.listen),
        };
        let trusted_peers = TrustedPeers::parse(&own.trusted_peers);
        let trusted_peers =
            trusted_peers.ok_or(SettingsError::Setting("trusted_peers", "not addresses or networks such as 10.1.0.0/16"))?;
        if matches!(listen, Listen::Tcp(_)) && own.trusted_peers.is_empty() {
            let why = "nobody could ask: list the proxy's addresses, or listen on a socket";
            return Err(SettingsError::Setting("trusted_peers", why).into());
        }
        let site = site::Settings::of(rest)?;
        let (metrics, peers_may_refund) = (own.metrics, own.peers_may_refund);
        Ok(Self { listen, proxy: own.proxy, trusted_peers, log: own.log, metrics, peers_may_refund, site })
    }
}
