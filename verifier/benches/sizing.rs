//! How large the embedded store grows, and how fast it claims at that size.
//!
//! `FARTHING_SIZING_TOKENS=10000000 cargo bench -p farthing-verifier --bench sizing` fills it to there; the default is a million. Payments have
//! one token each, which is the largest share of everything else a token can have. After every tenth of the way it prints claims and decisions
//! a second, and the same keys and values inserted into a bare redb table in groups of 64, each group durable, in the same minute.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use farthing_verifier::store::{RedbStore, conformance};
use redb::{Database, TableDefinition};

/// Payments claimed and settled, and rows inserted, for one figure.
const SAMPLE: u64 = 16_384;

/// About what a payment of one token writes: its spent key, record and deposit.
const BARE: TableDefinition<'_, [u8; 72], [u8; 32]> = TableDefinition::new("bare");

fn per_second(count: u64, start: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64()
}

/// Rows a second of nothing but spent keys.
fn bare(database: &Database, numbers: std::ops::Range<u64>) -> f64 {
    let (start, count) = (Instant::now(), numbers.end - numbers.start);
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(BARE).unwrap();
            for _ in numbers.by_ref().take(64) {
                let (mut key, value): ([u8; 72], [u8; 32]) = ([7; 72], rand::random());
                key[40..].copy_from_slice(&value);
                table.insert(key, value).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
    per_second(count, start)
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().len()
}

fn main() {
    let asked = std::env::var("FARTHING_SIZING_TOKENS").ok().and_then(|text| text.parse().ok());
    let most: u64 = asked.unwrap_or(1_000_000);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("claims.redb");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Arc::new(runtime.block_on(async { RedbStore::open(&file).unwrap() }));
    let database = Database::create(directory.path().join("bare.redb")).unwrap();
    println!("payments of one token      file  bytes each  claimed and settled /s  bare rows /s");
    let (mut done, step) = (0, (most / 10).max(SAMPLE));
    while done < most {
        runtime.block_on(conformance::fill(&store, done..done + step - SAMPLE));
        let bare = bare(&database, done..done + SAMPLE);
        let start = Instant::now();
        runtime.block_on(conformance::fill(&store, done + step - SAMPLE..done + step));
        let rate = per_second(SAMPLE, start);
        done += step;
        println!("{done:>21} {:>5} MiB {:>11} {rate:>23.0} {bare:>13.0}", size(&file) >> 20, size(&file) / done);
    }
}
