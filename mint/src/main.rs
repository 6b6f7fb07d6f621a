//! `farthing-mint`: the operator's command line.

mod commands;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::desk::DeskArguments;
use commands::payout::{PayeeArguments, PayoutCommand, StatementArguments};
use commands::voucher::VoucherCommand;
use commands::{clock::ClockCommand, keyset::KeysCommand, keyset::KeysetCommand, secret::SecretArguments};
use farthing_mint::{InitOptions, Mint, MintError, MintOptions, Rotation, Status, key_text, keys_are_sealed, parse_key};
use farthing_protocol::amount::{Amount, Unit};
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// The mint of Farthing: sells blinded tokens, keeps the ledger, credits publishers.
#[derive(Parser)]
#[command(name = "farthing-mint", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Where the mint keeps its keys and its ledger.
#[derive(clap::Args)]
struct Data {
    /// The data directory
    #[arg(long, env = "FARTHING_MINT_DATA", value_name = "DIR")]
    data: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a mint in an empty directory and prints its root public key, which wallets and verifiers pin
    Init {
        #[command(flatten)]
        data: Data,
        /// ISO 4217 code in lower case
        #[arg(long, default_value = "eur")]
        currency: String,
        /// Decimals of the smallest unit
        #[arg(long, default_value_t = 5)]
        decimals: u8,
        #[command(flatten)]
        secret: SecretArguments,
        /// Leaves the keys unsealed: whoever reads the data directory or a backup of it can make money
        #[arg(long, env = "FARTHING_MINT_INSECURE_PLAIN_KEYS")]
        insecure_plain_keys: bool,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Serves the HTTP interface until it is interrupted
    Serve {
        #[command(flatten)]
        data: Data,
        /// Where to listen; put a TLS proxy in front for the world
        #[arg(long, default_value = "127.0.0.1:8787")]
        listen: SocketAddr,
        #[command(flatten)]
        secret: SecretArguments,
        /// Announces the next keyset by itself, in time; needs root.key in the data directory
        #[arg(long, env = "FARTHING_MINT_ROTATE")]
        rotate: bool,
        #[command(flatten)]
        desk: DeskArguments,
        /// With --rotate: announces when no keyset will issue for this many days any more
        #[arg(long, env = "FARTHING_MINT_ROTATE_LEAD", default_value_t = 14, value_parser = clap::value_parser!(u64).range(2..=365))]
        rotate_lead: u64,
        /// With --rotate: the next keyset begins to issue this many days before the newest ends
        #[arg(long, env = "FARTHING_MINT_ROTATE_OVERLAP", default_value_t = 7, value_parser = clap::value_parser!(u64).range(0..=365))]
        rotate_overlap: u64,
    },
    /// The life of keysets
    Keyset {
        #[command(subcommand)]
        command: KeysetCommand,
    },
    /// The keys at rest
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// The mint's time
    Clock {
        #[command(subcommand)]
        command: ClockCommand,
    },
    /// Sells prepaid money
    Voucher {
        #[command(subcommand)]
        command: VoucherCommand,
    },
    /// Those who are paid
    Publisher {
        #[command(subcommand)]
        command: PublisherCommand,
    },
    /// Pays publishers
    Payout {
        #[command(subcommand)]
        command: PayoutCommand,
    },
    /// Recomputes everything from journal and tables, and fails if anything differs
    Audit {
        #[command(flatten)]
        data: Data,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
    /// Prints the balance sheet
    Status {
        #[command(flatten)]
        data: Data,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum PublisherCommand {
    /// Adds a publisher by its domain, with the port if it is not 443
    Add {
        #[command(flatten)]
        data: Data,
        /// The domain
        name: String,
        /// The public key with which it asks for refunds, as printed by its own tools; replaces an earlier one
        #[arg(long)]
        key: Option<String>,
    },
    /// Prints all publishers and what they have earned
    List {
        #[command(flatten)]
        data: Data,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
    /// Says where a publisher is paid: IBAN, holder, address if the bank wants one
    Iban(PayeeArguments),
    /// Prints a publisher's account, day by day
    Statement(StatementArguments),
    /// Prints what a publisher has earned
    Balance {
        #[command(flatten)]
        data: Data,
        /// The domain
        name: String,
        /// Prints JSON, the amount in smallest units
        #[arg(long)]
        json: bool,
    },
}

/// Why a command failed, in words for the operator.
enum Failure {
    Mint(MintError),
    Usage(&'static str),
    Output,
}

impl From<MintError> for Failure {
    fn from(error: MintError) -> Self {
        Self::Mint(error)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("FARTHING_MINT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // A core dump would hold nonces and keys.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if rustix::process::setrlimit(rustix::process::Resource::Core, none).is_err() {
        tracing::warn!("core dumps could not be switched off");
    }
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        eprintln!("farthing-mint: no threads to run on");
        return ExitCode::FAILURE;
    };
    match runtime.block_on(run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match failure {
                Failure::Mint(error) => eprintln!("farthing-mint: {error}"),
                Failure::Usage(text) => eprintln!("farthing-mint: {text}"),
                Failure::Output => eprintln!("farthing-mint: the output could not be written"),
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard output; a closed pipe is a failure, because a voucher code nobody read is money nobody has.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|_| Failure::Output)
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init { data, currency, decimals, secret, insecure_plain_keys, json } => {
            let unit = Unit::new(&currency, decimals).map_err(|error| Failure::Mint(error.into()))?;
            let protection = secret.seals(insecure_plain_keys)?;
            let root = Mint::init(&data.data, InitOptions { unit: unit.clone(), protection, ..InitOptions::default() }).await?;
            let key = key_text(&root);
            if json { print(&json!({ "root": key, "unit": unit.name() }).to_string()) } else { print(&key) }
        }
        Command::Serve { data, listen, secret, rotate, desk, rotate_lead, rotate_overlap } => {
            let days = |days: u64| days * 86_400;
            let rotation = rotate.then_some(Rotation { lead: days(rotate_lead), overlap: days(rotate_overlap) });
            serve(&data, listen, &desk, MintOptions { rotation, ..secret.options(&data.data)? }).await
        }
        Command::Keyset { command } => commands::keyset::keyset(command).await,
        Command::Keys { command } => commands::keyset::keys(command).await,
        Command::Clock { command } => commands::clock::clock(command).await,
        Command::Voucher { command } => commands::voucher::voucher(command).await,
        Command::Publisher { command: PublisherCommand::Add { data, name, key } } => {
            let key = key.map(|text| parse_key(&text).ok_or(Failure::Usage("not a public key"))).transpose()?;
            let mint = open(data).await?;
            mint.add_publisher(&name).await?;
            match key {
                Some(key) => Ok(mint.set_publisher_key(&name, &key).await?),
                None => Ok(()),
            }
        }
        Command::Publisher { command: PublisherCommand::Balance { data, name, json } } => {
            let mint = open(data).await?;
            let balance = mint.publisher_balance(&name).await?.ok_or(Failure::Usage("no such publisher"))?;
            if json {
                return print(&json!({ "balance": balance.to_string(), "currency": mint.unit().name() }).to_string());
            }
            print(&mint.unit().display(balance))
        }
        Command::Publisher { command: PublisherCommand::List { data, json } } => commands::payout::publishers(data, json).await,
        Command::Publisher { command: PublisherCommand::Iban(arguments) } => commands::payout::payee(arguments).await,
        Command::Publisher { command: PublisherCommand::Statement(arguments) } => commands::payout::statement(arguments).await,
        Command::Payout { command } => commands::payout::payout(command).await,
        Command::Audit { data, json } => commands::books::audit(data, json).await,
        Command::Status { data, json } => {
            let mint = open(data).await?;
            let status = mint.status().await?;
            if json {
                let text = serde_json::to_string_pretty(&status).map_err(|_| Failure::Output)?;
                return print(&text);
            }
            print(&sheet(&status, &mint.unit()))
        }
    }
}

/// Without the keys: nothing that only reads or sells needs them.
async fn open(data: Data) -> Result<Mint, Failure> {
    Ok(Mint::open(&data.data, MintOptions { keys: None, ..MintOptions::default() }).await?)
}

async fn serve(data: &Data, listen: SocketAddr, desk: &DeskArguments, options: MintOptions) -> Result<(), Failure> {
    let mint = Mint::open(&data.data, options).await?;
    if !keys_are_sealed(&data.data) {
        tracing::warn!("the keys are not sealed: whoever reads the data directory can make money");
    }
    if !mint.clock().await?.believed {
        tracing::error!("the clock disagrees with the ledger, or the mint was away for more than a week: see `farthing-mint clock`");
    }
    let desk = desk.open(&mint).await?;
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| MintError::Serve(error.kind()))?;
    let local = listener.local_addr().map_err(|error| MintError::Serve(error.kind()))?;
    // Whoever started this may not be listening; that is no reason not to serve.
    let _: Result<(), Failure> = print(&format!("serving on http://{local}\nroot public key {}", key_text(&mint.root())));
    desk.announce();
    let public = async { mint.serve(listener, stopped()).await.map_err(Failure::Mint) };
    tokio::try_join!(public, desk.serve(&mint))?;
    Ok(())
}

/// Done at the first interrupt or termination signal.
async fn stopped() {
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

/// The balance sheet for people.
fn sheet(status: &Status, unit: &Unit) -> String {
    let show = |amount: Amount| unit.display(amount);
    let mut lines = Vec::new();
    for keyset in &status.keysets {
        let (issued, redeemed, outstanding) = (show(keyset.issued), show(keyset.redeemed), show(keyset.outstanding));
        lines.push(format!("keyset {}   issued {issued}   redeemed {redeemed}   outstanding {outstanding}", keyset.number));
        for frozen in keyset.denominations.iter().filter(|one| one.frozen) {
            lines.push(format!("  FROZEN: {} (more came back than was issued)", show(frozen.denomination)));
        }
    }
    for (name, amount) in [
        ("sold", status.sold),
        ("left on vouchers", status.vouchers),
        ("in wallets", status.outstanding),
        ("change due", status.change_due),
        ("refunds due", status.refunds_due),
        ("credited to publishers", status.credits),
        ("fees", status.fees),
        ("paid out", status.paid_out),
    ] {
        lines.push(format!("{name:<24}{:>24}", show(amount)));
    }
    lines.push(if status.balanced { "balanced" } else { "NOT BALANCED" }.into());
    lines.join("\n")
}
