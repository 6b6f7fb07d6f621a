//! `farthing-mint serve`, and `config check`, which says whether it would.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use farthing_mint::metrics::Metrics;
use farthing_mint::settings::{Mistakes, Settings};
use farthing_mint::{Mint, MintError, MintOptions, key_text, keys_are_sealed};

use super::desk::{Desk, Secrets};
use super::logs;
use super::secret::SecretArguments;
use crate::{Data, Failure, print};

/// What `serve` may be told on the command line; everything may stand in the file.
#[derive(clap::Args)]
pub struct ServeArguments {
    /// The configuration, as contrib/mint.toml explains it; options given here and variables overrule it
    #[arg(long, env = "FARTHING_MINT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The ledger's PostgreSQL database, as postgres://user@host/database; without it the ledger is a file in the data directory
    #[arg(long, env = "FARTHING_MINT_LEDGER", hide_env_values = true, value_name = "URL", conflicts_with = "ledger_file")]
    ledger: Option<String>,
    /// A file with that connection string, which nobody else may read
    #[arg(long, value_name = "FILE")]
    ledger_file: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8787]; put a TLS proxy in front for the world
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where to show metrics and health
    #[arg(long)]
    metrics_listen: Option<SocketAddr>,
    /// With a shared ledger: where this process listens for the other ones, never for the world [default: 127.0.0.1, any port]
    #[arg(long, value_name = "ADDRESS")]
    forward_listen: Option<SocketAddr>,
    /// Host and port at which the other processes reach it, if not that address
    #[arg(long, value_name = "HOST:PORT")]
    forward_address: Option<String>,
    /// Where the admin API listens: this machine or a private network, never the world
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// A file of the bearer tokens that open the admin API, one a line, of at least 32 random bytes each; `orders ` in front of one
    /// restricts it to looking up the vouchers of checkouts
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Where the payment provider's events are heard; put a TLS proxy in front for the world
    #[arg(long, value_name = "ADDRESS")]
    shop_listen: Option<SocketAddr>,
    /// A file of the endpoint's signing secrets at the provider (`whsec_..`), one a line
    #[arg(long, value_name = "FILE")]
    shop_secret_file: Option<PathBuf>,
    /// Makes vouchers of the provider's test events too, for which nobody has paid: for trials only
    #[arg(long)]
    shop_test_events: bool,
    /// A file with the passphrase of the keys; the variable FARTHING_MINT_PASSPHRASE may hold it instead
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// A file of at least 32 random bytes that opens the keys in place of a passphrase; keep it outside of the data directory
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Announces the next keyset by itself, in time; needs root.key in the data directory
    #[arg(long)]
    rotate: bool,
    /// With --rotate: announces when no keyset will issue for this many days any more
    #[arg(long)]
    rotate_lead: Option<u64>,
    /// With --rotate: the next keyset begins to issue this many days before the newest ends
    #[arg(long)]
    rotate_overlap: Option<u64>,
    /// How log lines are written: text or json
    #[arg(long)]
    log_format: Option<String>,
}

/// The configuration.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Reads everything `serve` would read, says all that is wrong or what holds, and changes nothing
    Check(ServeArguments),
}

impl ServeArguments {
    fn settings(&self) -> Result<Settings, Failure> {
        let mut given: Vec<(&str, String)> = Vec::new();
        let path = |path: &Path| path.to_str().map(str::to_owned).ok_or(Failure::Usage("a path is no text"));
        let files = [
            ("data", &self.data),
            ("ledger_file", &self.ledger_file),
            ("admin_token_file", &self.admin_token_file),
            ("shop_secret_file", &self.shop_secret_file),
            ("passphrase_file", &self.passphrase_file),
            ("key_file", &self.key_file),
        ];
        for (key, file) in files {
            if let Some(file) = file {
                given.push((key, path(file)?));
            }
        }
        let addresses = [
            ("listen", self.listen),
            ("metrics_listen", self.metrics_listen),
            ("forward_listen", self.forward_listen),
            ("admin_listen", self.admin_listen),
            ("shop_listen", self.shop_listen),
        ];
        for (key, address) in addresses {
            given.extend(address.map(|address| (key, address.to_string())));
        }
        for (key, days) in [("rotate_lead", self.rotate_lead), ("rotate_overlap", self.rotate_overlap)] {
            given.extend(days.map(|days| (key, days.to_string())));
        }
        for (key, flag) in [("rotate", self.rotate), ("shop_test_events", self.shop_test_events)] {
            given.extend(flag.then(|| (key, "true".to_owned())));
        }
        given.extend(self.forward_address.clone().map(|address| ("forward_address", address)));
        given.extend(self.log_format.clone().map(|format| ("log_format", format)));
        Settings::load(self.config.as_deref(), &given).map_err(Failure::Settings)
    }
}

/// Where the ledger is, as the settings or else the command line and its variable say.
fn data(settings: &Settings, ledger: Option<&String>) -> Data {
    let (dir, ledger_file) = (settings.data.clone(), settings.ledger_file.clone());
    Data { dir, ledger: ledger.filter(|_| ledger_file.is_none()).cloned(), ledger_file }
}

fn secret(settings: &Settings) -> SecretArguments {
    SecretArguments::files(settings.passphrase_file.clone(), settings.key_file.clone())
}

/// Says what holds, or everything that is wrong.
pub async fn check(arguments: ServeArguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let (mut mistakes, files) = (settings.collisions(), settings.unsound_files());
    let sealed = keys_are_sealed(&settings.data);
    let files_are_sound = files.is_empty();
    mistakes.extend(files);
    let given = if files_are_sound { secret(&settings).given() } else { Ok(None) };
    let mut say = |failure: Failure, key: &str| match failure {
        Failure::Mint(error) => mistakes.push(format!("{key}: {error}")),
        Failure::Usage(text) => mistakes.push(format!("{key}: {text}")),
        Failure::Settings(more) => mistakes.extend(more.0),
        Failure::Output => mistakes.push(format!("{key}: cannot be read")),
    };
    let (keys, word) = match given {
        Err(failure) => {
            say(failure, "the secret of the keys");
            (None, "given")
        }
        Ok(Some(given)) if sealed => (Some(given), "given"),
        Ok(_) if !sealed => (Some(farthing_mint::KeyProtection::Plain), "not needed, the keys are not sealed"),
        Ok(_) => (None, "missing: it will be asked for on the terminal"),
    };
    if files_are_sound && let Err((key, failure)) = Secrets::read(&settings) {
        say(failure, key);
    }
    match data(&settings, arguments.ledger.as_ref()).place() {
        Err(failure) => say(failure, "ledger_file"),
        Ok(ledger) => {
            if let Err(error) = Mint::open(&settings.data, MintOptions { keys, ledger, ..MintOptions::default() }).await {
                say(error.into(), "data");
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(Failure::Settings(Mistakes(mistakes)));
    }
    print(&format!("# the secret of the keys: {word}\n{}", settings.effective()))
}

/// Serves until it is told to stop.
pub async fn serve(arguments: ServeArguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    logs::begin(&settings.log, settings.log_format);
    let obstacles = settings.obstacles();
    if !obstacles.is_empty() {
        return Err(Failure::Settings(Mistakes(obstacles)));
    }
    let options = secret(&settings).options(&data(&settings, arguments.ledger.as_ref()))?;
    let options =
        MintOptions { rotation: settings.rotation, limits: settings.limits.clone(), forwarding: settings.forwarding.clone(), ..options };
    let secrets = Secrets::read(&settings).map_err(|(_, failure)| failure)?;
    let mint = Mint::open(&settings.data, options).await?;
    if !keys_are_sealed(&settings.data) {
        tracing::warn!("the keys are not sealed: whoever reads the data directory can make money");
    }
    if !mint.clock().await?.believed {
        tracing::error!("the clock disagrees with the ledger, or the mint was away for more than a week: see `farthing-mint clock`");
    }
    if mint.resync_view().await?.state.restored {
        tracing::warn!("the ledger was restored from a backup: no keyset is announced and no payout booked before the end of a `resync`");
    }
    let (desk, doors) = Desk::open(&settings, secrets, &mint).await?;
    let (listener, local) = bind(settings.listen).await?;
    let mut said = vec![format!("serving on http://{local}"), format!("root public key {}", key_text(&mint.root()))];
    said.extend(doors);
    let mut monitor = None;
    if let Some(address) = settings.metrics_listen {
        let (listener, local) = bind(address).await?;
        said.push(format!("metrics on http://{local}/metrics"));
        monitor = Some((listener, Metrics::install()?));
    }
    // Whoever started this may not be listening; that is no reason not to serve.
    let _: Result<(), Failure> = print(&said.join("\n"));
    // Metrics are shown until the last answer has left.
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let shown = monitor.map(|(listener, metrics)| {
        let mint = mint.clone();
        tokio::spawn(async move { mint.serve_metrics(listener, metrics, async { drop(ended.await) }).await })
    });
    tokio::try_join!(mint.serve(listener, stopped()), desk.serve(&mint))?;
    drop(end);
    if let Some(shown) = shown {
        shown.await.unwrap_or(Err(MintError::Serve(std::io::ErrorKind::Other)))?;
    }
    tracing::info!("stopped");
    Ok(())
}

pub(super) async fn bind(address: SocketAddr) -> Result<(tokio::net::TcpListener, SocketAddr), MintError> {
    let failed = |error: std::io::Error| MintError::Serve(error.kind());
    let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Done at the first interrupt or termination signal.
pub(super) async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        drop(interrupt.await);
        return;
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}
