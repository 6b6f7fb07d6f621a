//! Kills the mint under load and counts the money: `cargo run --release --manifest-path bench/Cargo.toml --bin crash -- --engine sqlite
//! --kills 200`.
//!
//! Ends with one JSON line, in smallest units; the exit code is 1 if anything was lost or created, or if the mint's own audit differs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64ct::{Base64UrlUnpadded, Encoding};
use clap::Parser;
use farthing_bench_ops::Fault;
use farthing_bench_ops::client::{Books, Client, Town};
use farthing_bench_ops::http::Connection;
use farthing_bench_ops::mint::{Engine, MintProcess};
use farthing_bench_ops::reader::{Market, Reader};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::voucher::VoucherCode;
use farthing_wallet::{ClientOptions, Wallet, WalletError};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A simulated reader's voucher, in smallest units: 1,000 EUR.
const VOUCHER: u64 = 100_000_000;

/// A voucher that a real wallet tops up with.
const TOPUP: u64 = 777;

/// Vouchers a wallet has at most.
const TOPUPS: usize = 400;

/// A wallet takes no voucher above this.
const FULL: u64 = 20_000;

/// How long wallets try again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kills a real mint under load, again and again, and counts what is left.
#[derive(Parser)]
struct Arguments {
    /// Where the mint keeps its ledger
    #[arg(long, value_enum, default_value = "sqlite")]
    engine: Engine,
    /// How often the mint is killed
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Decides when and how it is killed and what the simulated readers do; a different one each time if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Simulated readers
    #[arg(long, default_value_t = 6)]
    readers: u64,
    /// Real wallets
    #[arg(long, default_value_t = 2)]
    wallets: u64,
    /// The longest life of a mint in milliseconds
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u64).range(200..))]
    life: u64,
    /// A farthing-mint to kill in place of the one built from this tree
    #[arg(long, value_name = "FILE")]
    mint: Option<PathBuf>,
}

/// What the clients' books and the mint's differ by.
#[derive(Default)]
struct Count {
    lost: u64,
    created: u64,
}

impl Count {
    fn compare(&mut self, what: &str, expected: u64, found: u64) {
        if expected != found {
            eprintln!("{what}: the clients' books say {expected}, the mint {found}");
        }
        self.lost += expected.saturating_sub(found);
        self.created += found.saturating_sub(expected);
    }
}

fn units(value: &Value) -> Result<u64, Fault> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(|| "no amount where one should be".into())
}

/// A real wallet: tops up and refreshes, is closed and opened again in between, and keeps its own store.
struct Purse {
    directory: TempDir,
    codes: Vec<VoucherCode>,
    town: Arc<Town>,
    chance: StdRng,
}

impl Purse {
    /// Returns the wallet's value and how many vouchers it took.
    async fn live(mut self) -> Result<(u64, usize), Fault> {
        let mut wallet = Wallet::open(&self.directory.path().join("wallet"), ClientOptions::default())?;
        let mut taken = 0;
        while !self.town.closing.load(Ordering::Relaxed) {
            if wallet.balance()?.spendable.units() < FULL
                && let Some(code) = self.codes.get(taken)
            {
                top_up(&mut wallet, code).await?;
                taken += 1;
            }
            if self.chance.random_bool(0.5) {
                refresh(&mut wallet).await?;
            }
            if self.chance.random_bool(0.2) {
                drop(wallet);
                wallet = Wallet::open(&self.directory.path().join("wallet"), ClientOptions::default())?;
            }
        }
        // Every token proves once more that the mint takes it.
        refresh(&mut wallet).await?;
        let balance = wallet.balance()?;
        let waiting = [balance.to_refresh, balance.in_payments, balance.in_issues, balance.change_due];
        if waiting.iter().any(|amount| !amount.is_zero()) {
            return Err("a wallet has not finished".into());
        }
        Ok((balance.spendable.units(), taken))
    }
}

async fn top_up(wallet: &mut Wallet, code: &VoucherCode) -> Result<(), Fault> {
    let start = Instant::now();
    loop {
        match wallet.topup(code).await {
            // Empty: an earlier try got everything before its last answer was lost.
            Ok(_) | Err(WalletError::VoucherEmpty) => return Ok(()),
            Err(error) if start.elapsed() > PATIENCE => return Err(format!("a wallet cannot top up: {error}").into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn refresh(wallet: &mut Wallet) -> Result<(), Fault> {
    let start = Instant::now();
    loop {
        match wallet.refresh(true).await {
            Ok(report) if report.lost.is_zero() => return Ok(()),
            Ok(_) => return Err("a wallet has lost money in a refresh".into()),
            Err(error) if start.elapsed() > PATIENCE => return Err(format!("a wallet cannot refresh: {error}").into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Kills and restarts; the mint serves in the end.
async fn havoc(mint: &mut MintProcess, kills: u32, life: u64, chance: &mut StdRng, town: &Town) -> Result<(), Fault> {
    let mut serving = true;
    for number in 1..=kills {
        if serving {
            let kind = chance.random_range(0..8);
            let pause = if kind == 0 { 0 } else { chance.random_range(100..=life) };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let with_database = number % 5 == 0 && mint.postgres().is_some();
        let (database_first, gently) = (chance.random_bool(0.5), chance.random_bool(0.5));
        if let Some(postgres) = mint.postgres().filter(|_| with_database && database_first) {
            postgres.crash(gently)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        mint.kill()?;
        if let Some(postgres) = mint.postgres().filter(|_| with_database) {
            if !database_first {
                postgres.crash(gently)?;
            }
            postgres.start()?;
        }
        // One life in eight ends before the mint has said that it serves.
        serving = number == kills || chance.random_range(0..8) > 0;
        if serving {
            mint.start()?;
        } else {
            mint.spawn()?;
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..40))).await;
        }
        if number % 20 == 0 || number == kills {
            let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            println!(
                "{number} kills: {} answers, {} repetitions, {} sessions gone, {} bookings whose answer was lost",
                read(&town.answered),
                read(&town.repeated),
                read(&town.sessions_gone),
                read(&town.answers_lost),
            );
        }
    }
    Ok(())
}

async fn voucher_balance(connection: &mut Connection, key: &LoneKey) -> Result<u64, Fault> {
    let path = format!("/v1/vouchers/{}", Base64UrlUnpadded::encode_string(key.public().as_bytes()));
    let answer = connection.get(&path).await.ok_or("the mint does not answer")?;
    let body: Value = serde_json::from_slice(&answer.body)?;
    units(&body["balance"])
}

/// Everything that clients hold or were promised against everything the mint says, in peace.
async fn settle(
    mint: &MintProcess,
    town: &Town,
    readers: &[(Arc<LoneKey>, Books)],
    wallets: u64,
    left_on_codes: u64,
    codes: &[(LoneKey, bool)],
) -> Result<(Count, bool), Fault> {
    let (mut count, mut connection) = (Count::default(), Connection::new(mint.address()));
    let mut credited: BTreeMap<&str, u64> = BTreeMap::new();
    let mut on_vouchers = left_on_codes;
    for (voucher, books) in readers {
        let left = VOUCHER - books.bought;
        on_vouchers += left;
        count.compare("a voucher", left, voucher_balance(&mut connection, voucher).await?);
        count.lost += books.lost;
        count.created += books.created;
        for ((name, _), sum) in town.publishers.iter().zip(&books.credited) {
            *credited.entry(name).or_default() += sum;
        }
    }
    for (key, taken) in codes {
        let left = if *taken { 0 } else { TOPUP };
        count.compare("a wallet's voucher", left, voucher_balance(&mut connection, key).await?);
    }
    for (name, sum) in &credited {
        count.compare("a publisher's balance", *sum, units(&mint.ask(&["publisher", "balance", name])?["balance"])?);
    }
    let status = mint.ask(&["status"])?;
    let sold = VOUCHER * readers.len() as u64 + TOPUP * codes.len() as u64;
    for (what, expected) in [
        ("sold", sold),
        ("vouchers", on_vouchers),
        // The simulated readers have spent everything.
        ("outstanding", wallets),
        ("change_due", 0),
        ("refunds_due", 0),
        ("credits", credited.values().sum()),
    ] {
        count.compare(what, expected, units(&status[what])?);
    }
    let clean = mint.command(&["audit"]).inspect_err(|fault| eprintln!("{fault}")).is_ok() && status["balanced"] == true;
    Ok((count, clean))
}

async fn run(arguments: Arguments) -> Result<bool, Fault> {
    let seed = arguments.seed.unwrap_or_else(|| rand::random_range(0..1 << 32));
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut mint = MintProcess::new(arguments.engine, arguments.mint)?;
    let publishers: Vec<_> =
        ["news.example", "blog.example", "map.example"].map(|name| (name.to_owned(), LoneKey::generate(&mut chance))).into();
    for (name, key) in &publishers {
        let key = Base64UrlUnpadded::encode_string(key.public().as_bytes());
        mint.command(&["publisher", "add", name, &format!("--key={key}")])?;
    }
    let town = Arc::new(Town::new(publishers));
    mint.start()?;
    let address = mint.address();
    let market = Market::fetch(&mut Connection::new(address)).await?;

    let mut readers = tokio::task::JoinSet::new();
    for code in mint.vouchers(VOUCHER, usize::try_from(arguments.readers)?)? {
        let voucher = Arc::new(code.key()?);
        let connections = [Connection::new(address), Connection::new(address)];
        let (reader, luck) = (Reader::new(market.clone())?, StdRng::from_rng(&mut chance));
        let client = Client::new(town.clone(), reader, connections, voucher.clone(), VOUCHER, luck);
        readers.spawn(async move { (voucher, client.live().await) });
    }
    let base: url::Url = format!("http://{address}").parse()?;
    let mut wallets = tokio::task::JoinSet::new();
    for _ in 0..arguments.wallets {
        let codes = mint.vouchers(TOPUP, TOPUPS)?;
        let keys = codes.iter().map(VoucherCode::key).collect::<Result<Vec<_>, _>>()?;
        let purse = Purse { directory: TempDir::new()?, codes, town: town.clone(), chance: StdRng::from_rng(&mut chance) };
        // Before the first kill: there is nothing to lose yet, and nothing that would be tried again.
        drop(Wallet::init(&purse.directory.path().join("wallet"), base.clone(), market.root, ClientOptions::default()).await?);
        wallets.spawn(async move { (keys, purse.live().await) });
    }

    havoc(&mut mint, arguments.kills, arguments.life, &mut chance, &town).await?;
    town.closing.store(true, Ordering::Relaxed);
    let readers = readers.join_all().await;
    let (mut in_wallets, mut left_on_codes, mut codes) = (0, 0, Vec::new());
    let mut stuck = 0;
    for (keys, lived) in wallets.join_all().await {
        let (value, taken) = lived.unwrap_or_else(|fault| {
            eprintln!("{fault}");
            stuck += TOPUP;
            (0, 0)
        });
        in_wallets += value;
        left_on_codes += TOPUP * (keys.len() - taken) as u64;
        codes.extend(keys.into_iter().enumerate().map(|(index, key)| (key, index < taken)));
    }
    let (mut count, clean) = settle(&mint, &town, &readers, in_wallets, left_on_codes, &codes).await?;
    count.lost += stuck;
    if !clean {
        eprintln!("the mint's audit differs");
    }
    println!("{}", json!({ "kills": arguments.kills, "lost": count.lost, "created": count.created }));
    Ok(clean && count.lost == 0 && count.created == 0)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(Fault::from).and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("crash: {fault}");
            ExitCode::FAILURE
        }
    }
}
