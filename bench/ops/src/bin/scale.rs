//! What a market's day asks of a mint: `cargo run --release --manifest-path bench/Cargo.toml --bin scale`.
//!
//! Plays one day second by second against mints of several sizes. What a token costs is measured (BENCHMARKS.md; `--help` names every
//! figure, and takes others); what a mint of many processes or ledgers does with it is arithmetic, and is not measured. `docs/scale.md` says
//! what follows. Ends with one JSON line.

use clap::Parser;
use serde_json::json;

/// Share of a day's payments in each hour, in thousandths: the morning, the lunch break, and most in the evening.
const HOURS: [u32; 24] = [14, 8, 5, 4, 6, 15, 40, 68, 66, 54, 48, 48, 56, 52, 44, 42, 44, 50, 56, 62, 70, 66, 52, 30];

/// A breaking story: from the start of the busiest hour on.
const STORY: (usize, usize) = (20 * 3_600, 20 * 3_600 + 1_800);

const DAY: usize = 86_400;

/// A station may be this busy on average over a minute before those who wait in front of it wait long.
const BUSY: f64 = 0.7;

/// What a token costs each station, and what the market is.
#[derive(Parser, Clone)]
struct Arguments {
    /// Payments a day, in millions: 20 million readers, five articles each
    #[arg(long, default_value_t = 100.0)]
    payments: f64,
    /// Tokens a payment; prices of 5, 10, 20, 25, 29 and 49 cents, as often as 10, 25, 25, 10, 10 and 20 in a hundred, in exact coins
    #[arg(long, default_value_t = 2.2)]
    tokens: f64,
    /// How many times the usual rate a breaking story brings, for half an hour of the busiest hour
    #[arg(long, default_value_t = 5.0)]
    story: f64,
    /// Share of payments that are settled before they are served; the others are deposited in batches
    #[arg(long, default_value_t = 0.2)]
    settle_first: f64,
    /// Microseconds of a processor to check a token in a batch, outside the ledger (measured)
    #[arg(long, default_value_t = 37.0)]
    check: f64,
    /// Microseconds of a processor for a payment that is settled first (measured)
    #[arg(long, default_value_t = 115.0)]
    check_alone: f64,
    /// Microseconds of a processor to issue a token, commitment and answer (measured)
    #[arg(long, default_value_t = 44.0)]
    issue: f64,
    /// Microseconds of the one writer for a token in a batch (measured)
    #[arg(long, default_value_t = 32.0)]
    write: f64,
    /// Microseconds of the one writer for a payment that is settled first (measured)
    #[arg(long, default_value_t = 60.0)]
    write_alone: f64,
    /// Microseconds of the one writer for an issued token (measured)
    #[arg(long, default_value_t = 15.0)]
    write_issue: f64,
    /// Bytes of the ledger a deposited token, all tables (measured)
    #[arg(long, default_value_t = 646.0)]
    bytes: f64,
    /// Bytes of the two indices whose keys are random, a token (computed from their rows)
    #[arg(long, default_value_t = 135.0)]
    index_bytes: f64,
    /// Days from a keyset's first issue until its spent tokens are dropped; 270 as `init` makes them
    #[arg(long, default_value_t = 270.0)]
    keyset_days: f64,
    /// Microseconds of a random read from a good disk
    #[arg(long, default_value_t = 80.0)]
    read: f64,
    /// Reads that the database has under way at once before the writer takes its lock; 1: the writer reads by itself, as it does now
    #[arg(long, default_value_t = 1.0)]
    reads_at_once: f64,
}

/// A mint: so many ledgers with one writer each, and so many processors in all that check and sign.
#[derive(Clone, Copy)]
struct Mint {
    name: &'static str,
    ledgers: f64,
    processors: f64,
    /// For the indices, GiB a ledger.
    memory: f64,
}

const MINTS: [Mint; 5] = [
    Mint { name: "SQLite, 2 processors", ledgers: 1.0, processors: 1.0, memory: 4.0 },
    Mint { name: "PostgreSQL, 4 processors for the mint", ledgers: 1.0, processors: 4.0, memory: 48.0 },
    Mint { name: "PostgreSQL, 16 processors for the mint", ledgers: 1.0, processors: 16.0, memory: 192.0 },
    Mint { name: "4 ledgers, 16 processors for the mint", ledgers: 4.0, processors: 16.0, memory: 192.0 },
    Mint { name: "16 ledgers, 64 processors for the mint", ledgers: 16.0, processors: 64.0, memory: 192.0 },
];

/// How a day went.
struct Day {
    /// The most that a minute asked of the processors and of the writers by payments that wait and by issuing, as a share of what there is.
    processors: f64,
    writers: f64,
    /// The most tokens that waited to be deposited, and the longest wait in seconds.
    backlog: f64,
    wait: f64,
    /// What is left at the end of the day.
    rest: f64,
}

impl Day {
    fn carried(&self) -> bool {
        self.processors < BUSY && self.writers < BUSY && self.wait < 3_600.0 && self.rest < 1.0
    }
}

/// Payments a second at this second of the day.
fn rate(market: &Arguments, second: usize) -> f64 {
    let hour = f64::from(HOURS[second / 3_600]) / f64::from(HOURS.iter().sum::<u32>());
    let story = if (STORY.0..STORY.1).contains(&second) { market.story } else { 1.0 };
    market.payments * 1e6 * hour / 3_600.0 * story
}

/// Microseconds that the writer spends on reading, a token: two random pages, where the indices of the living keysets are not in memory.
fn reading(market: &Arguments, mint: Mint) -> f64 {
    let living = market.payments * 1e6 * market.tokens * market.keyset_days * market.index_bytes / mint.ledgers;
    let missing = (1.0 - mint.memory * 1_073_741_824.0 / living).max(0.0);
    2.0 * missing * market.read / market.reads_at_once
}

fn play(market: &Arguments, mint: Mint) -> Day {
    let reading = reading(market, mint);
    let mut day = Day { processors: 0.0, writers: 0.0, backlog: 0.0, wait: 0.0, rest: 0.0 };
    let mut backlog = 0.0_f64;
    for second in 0..DAY {
        let payments = rate(market, second);
        let (first, later) = (payments * market.settle_first, payments * (1.0 - market.settle_first) * market.tokens);
        let issued = payments * market.tokens;
        // Who waits for an answer comes first; deposits of what is served already take what is left.
        let extra = (market.tokens - 1.0) * market.write;
        let processors =
            (first * (market.check_alone + (market.tokens - 1.0) * market.check) + issued * market.issue) / 1e6 / mint.processors;
        let writers = (first * (market.write_alone + extra + market.tokens * reading) + issued * (market.write_issue + reading / 2.0))
            / 1e6
            / mint.ledgers;
        day.processors = day.processors.max(processors);
        day.writers = day.writers.max(writers);
        let by_processors = (1.0 - processors).max(0.0) * mint.processors * 1e6 / market.check;
        let by_writers = (1.0 - writers).max(0.0) * mint.ledgers * 1e6 / (market.write + reading);
        let served = by_processors.min(by_writers);
        backlog = (backlog + later - served).max(0.0);
        day.backlog = day.backlog.max(backlog);
        day.wait = day.wait.max(if served > 0.0 { backlog / served } else { f64::INFINITY });
    }
    day.rest = backlog;
    day
}

/// The largest market, in millions of payments a day, that a mint carries.
fn carries(market: &Arguments, mint: Mint) -> f64 {
    let (mut low, mut high) = (0.0, 100_000.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        let of_this_size = Arguments { payments: middle, ..market.clone() };
        if play(&of_this_size, mint).carried() { low = middle } else { high = middle }
    }
    low
}

fn main() {
    let market = Arguments::parse();
    let peak = rate(&market, STORY.0);
    let usual = rate(&market, STORY.1);
    let daily = market.payments * 1e6 * market.tokens;
    println!(
        "{:.0} million payments a day, {:.1} tokens each: {:.0} tokens a second on average",
        market.payments,
        market.tokens,
        daily / DAY as f64
    );
    println!("busiest hour {usual:.0} payments a second, with the story {peak:.0}, which is {:.0} tokens", peak * market.tokens);
    println!(
        "ledger: {:.0} GB a day; spent tokens of living keysets {:.1} billion, their random indices {:.2} TB\n",
        daily * market.bytes / 1e9,
        daily * market.keyset_days / 1e9,
        daily * market.keyset_days * market.index_bytes / 1e12
    );
    println!(
        "{:<40} {:>10} {:>8} {:>16} {:>10} {:>9} {:>22}",
        "", "processors", "writers", "waiting deposits", "longest", "carries", "largest market, M/day"
    );
    let mut rows = Vec::new();
    for mint in MINTS {
        let (day, largest) = (play(&market, mint), carries(&market, mint));
        let wait = if day.wait.is_finite() { format!("{:.0} s", day.wait) } else { "for ever".to_owned() };
        println!(
            "{:<40} {:>9.0}% {:>7.0}% {:>16.0} {wait:>10} {:>9} {largest:>22.1}",
            mint.name,
            100.0 * day.processors,
            100.0 * day.writers,
            day.backlog,
            if day.carried() { "yes" } else { "no" }
        );
        rows.push(json!({
            "mint": mint.name, "processors": day.processors, "writers": day.writers, "waiting_deposits": day.backlog.round(),
            "carries": day.carried(), "largest_million_payments_a_day": (largest * 10.0).round() / 10.0,
        }));
    }
    println!("{}", json!({ "million_payments_a_day": market.payments, "tokens_per_payment": market.tokens, "mints": rows }));
}
