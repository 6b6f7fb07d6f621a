//! The command line.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use base64ct::{Base64UrlUnpadded, Encoding};
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};
use url::Url;

use super::{Settings, SidecarError, evidence, refund, resync, serve};
use crate::deposit_receipt::{self, DepositReceipt, ProvenDeposit};
use crate::site::{SettingsError, payment_id, root_key};

/// The verifier beside a reverse proxy: answers whether a request was paid for.
#[derive(Parser)]
#[command(name = "farthing-verifier", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answers a reverse proxy until it is interrupted
    Serve {
        /// The configuration, in TOML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// The configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Prints the public half of the publisher's key, for the mint's operator to register; draws the key at its first use
    Key {
        /// The configuration, in TOML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Gives a payment back to its reader; the sidecar may be running
    Refund {
        /// The configuration, in TOML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The payment, as `X-Payment-Reference` and the reader's receipt name it
        // One in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        payment: String,
    },
    /// Hands in again what the mint has booked, for a mint restored from a backup; the sidecar may be running
    Resync {
        /// The configuration, in TOML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Only what was booked after the mint's ledger stood here, as `farthing-mint restore` has said; everything if not given
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
    },
    /// Replaces the challenge secret that instances share, in two steps, each followed by a restart of one instance after the other
    Secret {
        /// The configuration, in TOML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What to do
        step: SecretStep,
    },
    /// The mint's signed answer about a payment, to be kept where a dispute may arise; the sidecar may be running
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Receipt {
        #[command(subcommand)]
        command: Option<ReceiptCommand>,
        /// The configuration, in TOML
        #[arg(long, value_name = "FILE", required = true)]
        config: Option<PathBuf>,
        /// The payment, as `X-Payment-Reference` and the reader's receipt name it
        #[arg(required = true, allow_hyphen_values = true)]
        payment: Option<String>,
        /// Where to write it, a file that is not there yet; standard output if not given
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Double-spend proofs
    Evidence {
        #[command(subcommand)]
        command: EvidenceCommand,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum SecretStep {
    /// Draws the secret to come, which instances accept from their next start
    Prepare,
    /// Uses it, and goes on accepting the one before
    Switch,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Reads it, environment included, and says what does not fit; touches nothing and asks nobody
    Check {
        /// The configuration, in TOML
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Subcommand)]
enum ReceiptCommand {
    /// Checks a deposit receipt under the mint's root key alone, and asks nobody
    Verify {
        /// The receipt
        file: PathBuf,
        /// The mint's root key, as its operator publishes it
        #[arg(long, allow_hyphen_values = true)]
        mint_key: String,
    },
}

#[derive(Subcommand)]
enum EvidenceCommand {
    /// Checks a proof with the mint's public keys alone
    Verify {
        /// The proof: a frame, its base64url text, or the JSON of the refusal that carried it
        file: PathBuf,
        /// The mint's root key, as its operator publishes it
        #[arg(long, allow_hyphen_values = true)]
        mint_key: String,
        /// The mint's keyset list, as `GET /v1/keysets` answers it
        #[arg(long, value_name = "FILE", conflicts_with = "mint", required_unless_present = "mint")]
        keysets: Option<PathBuf>,
        /// The mint's address, to fetch the list from
        #[arg(long)]
        mint: Option<Url>,
    },
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        eprintln!("farthing-verifier: no threads to run on");
        return ExitCode::FAILURE;
    };
    match runtime.block_on(execute(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match &error {
                // Some name it in their words.
                SidecarError::Settings(why) if !why.to_string().contains(why.code()) => {
                    eprintln!("farthing-verifier: {error} ({})", why.code());
                }
                _ => eprintln!("farthing-verifier: {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> Result<(), SidecarError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|_| SidecarError::Output)
}

/// Begins to log to standard error what a filter lets through.
///
/// Implements R-PRIV-06: only what this program says itself is written, at any level. Libraries below it name addresses when they are asked
/// to say much.
fn log(filter: EnvFilter) {
    let own = filter_fn(|metadata| metadata.target().starts_with("farthing_"));
    let lines = fmt::layer().with_writer(std::io::stderr).with_filter(own);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

async fn execute(command: Command) -> Result<(), SidecarError> {
    match command {
        Command::Serve { config } => {
            let settings = Settings::load(&config)?;
            let filter = EnvFilter::try_new(&settings.log).map_err(|_| SettingsError::Setting("log", "not a filter such as info"))?;
            log(filter);
            serve(settings, stopped()).await
        }
        Command::Config { command: ConfigCommand::Check { config } } => {
            let settings = Settings::load(&config)?;
            EnvFilter::try_new(&settings.log).map_err(|_| SettingsError::Setting("log", "not a filter such as info"))?;
            print("The configuration fits.")
        }
        Command::Key { config } => {
            let key = Settings::load(&config)?.site.key().await?;
            print(&Base64UrlUnpadded::encode_string(key.public().as_bytes()))
        }
        Command::Refund { config, payment } => {
            let payment = payment_id(&payment).ok_or(SettingsError::Setting("payment", "not a payment id"))?;
            let settings = Settings::load(&config)?.site;
            let unit = settings.unit.clone();
            let amount = refund(settings, payment).await?;
            print(&format!("Refunded: {}. Its reader may take it back from the mint.", unit.display(amount)))
        }
        Command::Resync { config, after } => {
            let done = resync(Settings::load(&config)?.site, after).await?;
            print(&format!(
                "The mint has booked again: {}. It had still: {}, and as refunded: {}. It refuses: {}.",
                done.credited, done.already_credited, done.refunded, done.refused
            ))
        }
        Command::Receipt { command: Some(ReceiptCommand::Verify { file, mint_key }), .. } => {
            let root = root_key(&mint_key).ok_or(SidecarError::Evidence("the mint key is not a root key"))?;
            let receipt = DepositReceipt::from_json(&evidence::read(&file, deposit_receipt::LIMIT)?)?;
            print(&proven(&receipt.verify(&root)?))
        }
        Command::Receipt { command: None, config, payment, out } => {
            let (Some(config), Some(payment)) = (config, payment) else { return Err(SettingsError::Setting("payment", "missing").into()) };
            let payment = payment_id(&payment).ok_or(SettingsError::Setting("payment", "not a payment id"))?;
            let receipt = super::deposit_receipt(Settings::load(&config)?.site, payment).await?.to_json();
            match out {
                None => print(&receipt),
                Some(file) => {
                    let written = File::create_new(file).and_then(|mut file| writeln!(file, "{receipt}").and_then(|()| file.sync_all()));
                    written.map_err(|error| SidecarError::File(error.kind()))
                }
            }
        }
        Command::Secret { config, step } => {
            let settings = Settings::load(&config)?.site;
            match step {
                SecretStep::Prepare => settings.prepare_secret().await?,
                SecretStep::Switch => settings.switch_secret().await?,
            }
            print("Done. Now start the instances again, one after the other.")
        }
        Command::Evidence { command: EvidenceCommand::Verify { file, mint_key, keysets, mint } } => {
            let root = root_key(&mint_key).ok_or(SidecarError::Evidence("the mint key is not a root key"))?;
            let keysets = match (keysets, mint) {
                (Some(list), _) => evidence::keysets_in(&list, &root)?,
                (None, Some(mint)) => evidence::keysets_of(&mint, &root).await?,
                (None, None) => return Err(SidecarError::Evidence("neither --keysets nor --mint is given")),
            };
            let proven = evidence::verify(&file, &keysets)?;
            let text = |bytes: &[u8; 32]| Base64UrlUnpadded::encode_string(bytes);
            let [first, second] = proven.proof().payment_ids();
            print(&format!(
                "The proof holds: the key of one token has signed two payments.\npayment  {}\npayment  {}\ntoken    {}",
                text(&first.0),
                text(&second.0),
                text(&proven.token().key),
            ))
        }
    }
}

/// What a receipt proves, and what not.
fn proven(deposit: &ProvenDeposit) -> String {
    let text = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let when = if deposit.first { "booked it then" } else { "had booked it before" };
    format!(
        "The receipt holds: the mint has signed that it {when}.\npayment    {}\npublisher  {}\namount     {}\nledger     {}\nmark       {}\n\
         It does not say that the amount was paid out, that the payment was not given back since, who paid, or for what.",
        text(&deposit.payment.0),
        deposit.publisher,
        deposit.unit.display(deposit.amount),
        text(&deposit.mark.ledger.0),
        deposit.mark.sequence,
    )
}

/// Done at the first interrupt or termination signal.
async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        drop(interrupt.await);
        return;
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}
