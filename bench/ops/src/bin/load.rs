//! What the mint carries, measured over HTTP: `cargo run --release --manifest-path bench/Cargo.toml --bin load -- --engine sqlite`.
//!
//! Every round issues tokens, spends most of them in deposits of 100 one-token payments, and the rest one payment a request. Medians over
//! the rounds. Ends with one JSON line. The reader's curve work (blinding, unblinding, proving) is done between the clocks.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use farthing_bench_ops::http::{Answer, Connection};
use farthing_bench_ops::mint::{Engine, MintProcess};
use farthing_bench_ops::reader::{Market, Paid, Reader, deposit_bytes};
use farthing_bench_ops::{Fault, spread};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::settle::{Outcome, verify_answer};
use farthing_protocol::wire::{DepositResponseFrame, IssueResponseFrame, OpenResponseFrame};
use serde_json::json;

/// Payments in a deposit.
const BATCH: usize = 100;

/// Outputs of a session.
const OUTPUTS: usize = 100;

/// Every token's value in smallest units.
const VALUE: u64 = 100;

/// Connections that pay settle-first.
const SINGLES: usize = 64;

const PUBLISHER: &str = "news.example";

/// Measures a real mint under load.
#[derive(Parser)]
struct Arguments {
    /// Where the mint keeps its ledger
    #[arg(long, value_enum, default_value = "sqlite")]
    engine: Engine,
    /// Rounds; every figure is the median over them
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Tokens a round that are spent in deposits of 100; a fifth as many are spent one by one
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=50_000))]
    tokens: u32,
    /// Connections that issue and deposit in batches
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Goes on, round after round, until so many tokens are deposited
    #[arg(long, value_name = "TOKENS")]
    soak: Option<usize>,
    /// A farthing-mint to measure in place of the one built from this tree
    #[arg(long, value_name = "FILE")]
    mint: Option<PathBuf>,
}

/// What one phase took.
struct Timed {
    answers: Vec<Answer>,
    took: Duration,
    latencies: Vec<Duration>,
}

impl Timed {
    fn rate(&self, items: usize) -> f64 {
        items as f64 / self.took.as_secs_f64()
    }
}

/// Posts all bodies over so many connections, each sending its next as soon as it has its answer.
async fn drive(connections: &mut Vec<Connection>, count: usize, path: &'static str, bodies: Vec<Bytes>) -> Result<Timed, Fault> {
    for connection in connections.iter_mut().take(count) {
        // The mint hangs up on who has been idle, and that is not seen while this thread was at the reader's work.
        connection.hang_up();
        if !connection.connect().await {
            return Err("the mint takes no connection".into());
        }
    }
    let (bodies, next) = (Arc::new(bodies), Arc::new(AtomicUsize::new(0)));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut connection in connections.drain(..count) {
        let (bodies, next) = (bodies.clone(), next.clone());
        tasks.spawn(async move {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(body) = bodies.get(index) else { break };
                let sent = Instant::now();
                let answer = connection.post(path, body.clone()).await.ok_or("a request had no answer")?;
                done.push((index, answer, sent.elapsed()));
            }
            Ok::<_, Fault>((connection, done))
        });
    }
    let ended = tasks.join_all().await;
    let took = start.elapsed();
    let mut all = Vec::with_capacity(bodies.len());
    for end in ended {
        let (connection, done) = end?;
        connections.push(connection);
        all.extend(done);
    }
    all.sort_by_key(|(index, ..)| *index);
    let (answers, latencies) = all.into_iter().map(|(_, answer, latency)| (answer, latency)).unzip();
    Ok(Timed { answers, took, latencies })
}

/// One thread's reader with a voucher, good for one session.
struct Buyer {
    reader: Reader,
    voucher: LoneKey,
}

struct Load {
    mint: MintProcess,
    market: Market,
    connections: Vec<Connection>,
    many: usize,
}

impl Load {
    async fn new(arguments: &Arguments) -> Result<Self, Fault> {
        let mut mint = MintProcess::new(arguments.engine, arguments.mint.clone())?;
        mint.command(&["publisher", "add", PUBLISHER])?;
        mint.start()?;
        let market = Market::fetch(&mut Connection::new(mint.address())).await?;
        let connections = (0..SINGLES.max(arguments.connections)).map(|_| Connection::new(mint.address())).collect();
        Ok(Self { mint, market, connections, many: arguments.connections.max(1) })
    }

    fn cpu(&self) -> Result<Used, Fault> {
        Ok(Used { mint: self.mint.cpu()?, database: self.mint.database_cpu()? })
    }

    /// Buys so many tokens, a multiple of [`OUTPUTS`], and pays each alone. Returns the payments and the tokens issued a second.
    async fn issue(&mut self, tokens: usize) -> Result<(Vec<Paid>, f64), Fault> {
        let plan = self.market.plan(&[VALUE; OUTPUTS]);
        let codes = self.mint.vouchers(VALUE * OUTPUTS as u64, tokens / OUTPUTS)?;
        let opening = spread(codes, |code| {
            let mut buyer = Buyer { reader: Reader::new(self.market.clone())?, voucher: code.key()? };
            let body = buyer.reader.open(&plan, &FundingKeys::Voucher(&buyer.voucher))?;
            Ok((buyer, body))
        })?;
        let (buyers, bodies): (Vec<Buyer>, Vec<Bytes>) = opening.into_iter().unzip();
        let opened = drive(&mut self.connections, self.many, "/v1/commitments", bodies).await?;
        let blinding = spread(buyers.into_iter().zip(opened.answers).collect(), |(mut buyer, answer)| {
            let opened: OpenResponseFrame = answer.frame()?;
            let (pending, body) = buyer.reader.blind(&plan, &FundingKeys::Voucher(&buyer.voucher), &opened)?;
            Ok(((buyer, pending), body))
        })?;
        let (blinded, bodies): (Vec<_>, Vec<Bytes>) = blinding.into_iter().unzip();
        let issued = drive(&mut self.connections, self.many, "/v1/issue", bodies).await?;
        let payments = spread(blinded.into_iter().zip(issued.answers).collect(), |((mut buyer, pending), answer)| {
            let tokens = pending.unblind(&answer.frame::<IssueResponseFrame>()?)?;
            tokens.into_iter().map(|token| buyer.reader.pay(vec![token], PUBLISHER, VALUE)).collect::<Result<Vec<_>, _>>()
        })?;
        let rate = tokens as f64 / (opened.took + issued.took).as_secs_f64();
        Ok((payments.into_iter().flatten().collect(), rate))
    }

    /// Deposits payments, so many a request; every answer is verified after the clock has stopped.
    async fn deposit(&mut self, connections: usize, batch: usize, payments: &[Paid]) -> Result<Timed, Fault> {
        let bodies = payments.chunks(batch).map(|some| deposit_bytes(some.iter().map(|one| &one.deposit), None)).collect();
        let timed = drive(&mut self.connections, connections, "/v1/deposits", bodies).await?;
        spread(timed.answers.iter().zip(payments.chunks(batch)).collect(), |(answer, some)| {
            let frame: DepositResponseFrame = answer.frame()?;
            let expected: Vec<_> = some.iter().map(|one| (one.deposit.spending().payment_id(), one.deposit.payment().change())).collect();
            let outcomes = verify_answer(&frame, &expected, &self.market.list)?;
            let credited = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Credited { .. }));
            if credited { Ok(()) } else { Err("a payment was not credited".into()) }
        })?;
        Ok(timed)
    }

    /// Ledger bytes that a deposited token costs.
    async fn bytes_per_token(&mut self, tokens: usize) -> Result<f64, Fault> {
        let (payments, _) = self.issue(tokens).await?;
        let before = self.mint.ledger_bytes()?;
        self.deposit(self.many, BATCH, &payments).await?;
        let grown = self.mint.ledger_bytes()?.saturating_sub(before);
        Ok(grown as f64 / tokens as f64)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Processor time of the mint, and of its database apart from it.
#[derive(Clone, Copy)]
struct Used {
    mint: Duration,
    database: Duration,
}

impl Used {
    /// Microseconds an item.
    fn since(self, earlier: Self, items: usize) -> String {
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / items as f64;
        format!("{:>5.1} + {:<4.1}", micros(self.mint - earlier.mint), micros(self.database.saturating_sub(earlier.database)))
    }
}

/// The latency that one in a hundred exceeds, in milliseconds.
fn p99(mut latencies: Vec<Duration>) -> f64 {
    latencies.sort();
    let index = (latencies.len() * 99).div_ceil(100).saturating_sub(1);
    latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}

async fn run(arguments: Arguments) -> Result<(), Fault> {
    let batched = arguments.tokens as usize / OUTPUTS * OUTPUTS;
    let single = (batched / 5).next_multiple_of(OUTPUTS);
    let rounds = arguments.soak.map_or(arguments.rounds.max(1), |all| all.div_ceil(batched + single));
    let mut load = Load::new(&arguments).await?;
    // Nothing is warm yet: this round does not count.
    let (payments, _) = load.issue(2 * OUTPUTS).await?;
    load.deposit(load.many, BATCH, &payments).await?;

    let (mut issuing, mut deposits, mut settling, mut tails) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    println!("deposited   issue/s deposit/s  single/s    p99 ms   RSS MiB ledger MiB   CPU us + database's: issue, deposit, single");
    for round in 1..=rounds {
        let begun = load.cpu()?;
        let (mut payments, issued) = load.issue(batched + single).await?;
        let alone = payments.split_off(batched);
        let began = load.cpu()?;
        let deposit = load.deposit(load.many, BATCH, &payments).await?.rate(batched);
        let between = load.cpu()?;
        let settled = load.deposit(SINGLES, 1, &alone).await?;
        let ended = load.cpu()?;
        let costs = [began.since(begun, batched + single), between.since(began, batched), ended.since(between, single)];
        let (rate, tail) = (settled.rate(single), p99(settled.latencies));
        let (rss, size) = (load.mint.rss_mib()?, load.mint.ledger_bytes()? as f64 / 1_048_576.0);
        let all = round * (batched + single);
        println!("{all:>9} {issued:>9.0} {deposit:>9.0} {rate:>9.0} {tail:>9.1} {rss:>9.1} {size:>10.1}   {}", costs.join("   "));
        issuing.push(issued);
        deposits.push(deposit);
        settling.push(rate);
        tails.push(tail);
    }
    let rss = load.mint.rss_mib()?;
    let bytes = load.bytes_per_token(batched).await?;
    let rounded = |value: f64| (value * 10.0).round() / 10.0;
    let line = json!({
        "engine": arguments.engine.name(),
        "deposit_tokens_per_s": median(&deposits).round(),
        "settle_first_per_s": median(&settling).round(),
        "settle_first_p99_ms": rounded(median(&tails)),
        "issue_tokens_per_s": median(&issuing).round(),
        "bytes_per_spent_token": rounded(bytes),
        "rss_mib": rounded(rss),
    });
    println!("{line}");
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread: the client takes as little as it can of the machine that it shares with the mint.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Fault::from).and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("load: {fault}");
            ExitCode::FAILURE
        }
    }
}
