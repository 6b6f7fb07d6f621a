//! `farthing-mint`: the operator's command line.

mod commands;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::backup::{BackupArguments, RestoreArguments};
use commands::books::BooksCommand;
use commands::payout::{PayeeArguments, PayoutCommand, StatementArguments};
use commands::resync::ResyncCommand;
use commands::serve::{ConfigCommand, ServeArguments};
use commands::voucher::VoucherCommand;
use commands::{clock::ClockCommand, keyset::KeysCommand, keyset::KeysetCommand, secret::SecretArguments};
use farthing_mint::settings::{LogFormat, Mistakes};
use farthing_mint::{InitOptions, LedgerPlace, Mint, MintError, MintOptions, Status, key_text, parse_key};
use farthing_protocol::amount::{Amount, Unit};
use serde_json::json;

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
    #[arg(id = "data", long, env = "FARTHING_MINT_DATA", value_name = "DIR")]
    dir: PathBuf,
    /// The ledger's PostgreSQL database, as postgres://user@host/database; a password is better kept in the variable or a .pgpass file.
    /// Without it the ledger is a file in the data directory
    #[arg(long, env = "FARTHING_MINT_LEDGER", hide_env_values = true, value_name = "URL")]
    ledger: Option<String>,
    /// A file with that connection string, which nobody else may read
    #[arg(long, env = "FARTHING_MINT_LEDGER_FILE", value_name = "FILE", conflicts_with = "ledger")]
    ledger_file: Option<PathBuf>,
}

impl Data {
    /// The text is not repeated in any error: it may hold a password.
    fn place(&self) -> Result<LedgerPlace, Failure> {
        const HOW: &str = "--ledger and FARTHING_MINT_LEDGER begin with postgres://";
        const FILE: &str = "the ledger file holds no connection string that begins with postgres://";
        if let Some(file) = &self.ledger_file {
            let text = commands::secret::read(file, "the ledger file")?;
            let url = std::str::from_utf8(&text).map_err(|_| Failure::Usage(FILE))?;
            return LedgerPlace::postgres(url.trim()).ok_or(Failure::Usage(FILE));
        }
        match self.ledger.as_deref() {
            None | Some("") => Ok(LedgerPlace::Embedded),
            Some(url) => LedgerPlace::postgres(url).ok_or(Failure::Usage(HOW)),
        }
    }
}

/// How long keysets live: those of the first one, which later ones take over. The sum is how long spent tokens are kept.
#[derive(clap::Args)]
struct WindowArguments {
    /// Days that a keyset issues
    #[arg(long = "issue-days", default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(7..=3650))]
    issue: u16,
    /// Days after them that its tokens pay
    #[arg(long = "spend-days", default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    spend: u16,
    /// Days after those that its tokens can be exchanged for new ones; then they are worth nothing
    #[arg(long = "refresh-days", default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    refresh: u16,
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
        windows: WindowArguments,
        #[command(flatten)]
        secret: SecretArguments,
        /// Leaves the keys unsealed: whoever reads the data directory or a backup of it can make money
        #[arg(long, env = "FARTHING_MINT_INSECURE_PLAIN_KEYS")]
        insecure_plain_keys: bool,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Serves the HTTP interface until it is interrupted, then finishes what it has begun
    Serve(ServeArguments),
    /// What `serve` is told
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
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
    /// Copies ledger, keys and description while the mint serves
    Backup(BackupArguments),
    /// Makes a data directory from a backup, checks it, and says what that means
    Restore(RestoreArguments),
    /// Rebuilds a restored ledger from what verifiers kept
    Resync {
        #[command(subcommand)]
        command: ResyncCommand,
    },
    /// Closes the books, and shows closes
    Books {
        #[command(subcommand)]
        command: BooksCommand,
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
        #[arg(long, allow_hyphen_values = true)]
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
    Settings(Mistakes),
    Output,
}

impl From<MintError> for Failure {
    fn from(error: MintError) -> Self {
        Self::Mint(error)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What serves is told by its settings what to log.
    if !matches!(arguments.command, Command::Serve(_)) {
        commands::logs::begin(&std::env::var("FARTHING_MINT_LOG").unwrap_or_default(), LogFormat::Text);
    }
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
                Failure::Settings(mistakes) => mistakes.0.iter().for_each(|mistake| eprintln!("farthing-mint: {mistake}")),
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
        Command::Init { data, currency, decimals, windows, secret, insecure_plain_keys, json } => {
            let unit = Unit::new(&currency, decimals).map_err(|error| Failure::Mint(error.into()))?;
            let protection = secret.seals(insecure_plain_keys)?;
            let WindowArguments { issue, spend, refresh } = windows;
            let [issue, spend, refresh] = [issue, spend, refresh].map(|days| u64::from(days) * 86_400);
            let ledger = data.place()?;
            let options = InitOptions { unit: unit.clone(), issue, spend, refresh, protection, ledger, ..InitOptions::default() };
            let root = Mint::init(&data.dir, options).await?;
            let key = key_text(&root);
            if json { print(&json!({ "root": key, "unit": unit.name() }).to_string()) } else { print(&key) }
        }
        Command::Serve(arguments) => commands::serve::serve(arguments).await,
        Command::Config { command: ConfigCommand::Check(arguments) } => commands::serve::check(arguments).await,
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
        Command::Backup(arguments) => commands::backup::backup(arguments).await,
        Command::Restore(arguments) => commands::backup::restore(arguments).await,
        Command::Resync { command } => commands::resync::resync(command).await,
        Command::Books { command } => commands::books::books(command).await,
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
    Ok(Mint::open(&data.dir, MintOptions { keys: None, ledger: data.place()?, ..MintOptions::default() }).await?)
}

/// The balance sheet for people.
fn sheet(status: &Status, unit: &Unit) -> String {
    let show = |amount: Amount| unit.display(amount);
    let mut lines = Vec::new();
    for keyset in &status.keysets {
        let (issued, redeemed, outstanding) = (show(keyset.issued), show(keyset.redeemed), show(keyset.outstanding));
        lines.push(format!("keyset {}   issued {issued}   redeemed {redeemed}   outstanding {outstanding}", keyset.number));
        for frozen in keyset.denominations.iter().filter(|one| one.frozen) {
            let (repaid, counterfeits) = (frozen.repaid, frozen.counterfeits);
            let value = show(frozen.denomination);
            lines.push(format!("  FROZEN: {value}   {repaid} paid back for their sessions   counterfeits: at least {counterfeits}"));
        }
    }
    for (name, amount) in [
        ("sold", status.sold),
        ("recovered", status.recovered),
        ("counterfeits", status.counterfeits),
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
