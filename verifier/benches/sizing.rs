//! How large the embedded store grows, and how fast it claims at that size.
//!
//! ```text
//! cargo bench -p farthing-verifier --bench sizing                                             a million tokens, one a payment
//! FARTHING_SIZING_TOKENS=50000000 FARTHING_SIZING_EACH=6 cargo bench -p farthing-verifier --bench sizing
//! ```
//!
//! One token a payment is the largest share of everything else a token can have; `FARTHING_SIZING_EACH` is how many a payment has. What is
//! filled lies in the directory for temporary files (`TMPDIR`). Memory is bounded: redb's cache of 1 GiB for each of two files, and what the
//! store holds back from its indexes. At a million tokens and after every tenth of the way it prints bytes a token on the disk, tokens claimed
//! and settled a second in service (one group of 64 payments after the other), and bare keys and values inserted into another redb table
//! in groups of as many tokens, each group durable, in the same minute. In between it fills many groups at a time.
//!
//! Challenges are dropped before each figure: a store in service holds those of about an hour, 60 bytes each.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use farthing_verifier::store::{RedbStore, Store, conformance};
use redb::{Database, TableDefinition};

/// Payments claimed and settled for one figure.
const SAMPLE: u64 = 16_384;

/// Groups filled at a time.
const FILLING: usize = 32;

/// A spent key and the payment that holds it: what no store can do without.
const BARE: TableDefinition<'_, [u8; 72], [u8; 32]> = TableDefinition::new("bare");

fn per_second(count: u64, start: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64()
}

/// Rows a second of nothing but spent keys.
fn bare(database: &Database, rows: u64, group: u64) -> f64 {
    let (start, mut left) = (Instant::now(), rows);
    while left > 0 {
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(BARE).unwrap();
            for _ in 0..left.min(group) {
                let (mut key, value): ([u8; 72], [u8; 32]) = ([7; 72], rand::random());
                key[40..].copy_from_slice(&value);
                table.insert(key, value).unwrap();
            }
        }
        transaction.commit().unwrap();
        left = left.saturating_sub(group);
    }
    per_second(rows, start)
}

/// What is written of the file: it grows in doublings, and what is not written takes no room.
fn size(file: &Path) -> u64 {
    let metadata = std::fs::metadata(file).unwrap();
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    #[cfg(not(unix))]
    metadata.len()
}

/// A number from the environment.
fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn main() {
    let each =
        u8::try_from(asked("FARTHING_SIZING_EACH", 1)).ok().filter(|each| (1..=24).contains(each)).expect("1 to 24 tokens a payment");
    let most = asked("FARTHING_SIZING_TOKENS", 1_000_000) / u64::from(each);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("claims.redb");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Arc::new(runtime.block_on(async { RedbStore::open(&file).unwrap() }));
    let database = Database::create(directory.path().join("bare.redb")).unwrap();
    println!("tokens, {each:>2} a payment      file  bytes a token  claimed and settled /s  bare rows /s  filled /s");
    let (mut done, step) = (0, (most / 10).max(2 * SAMPLE));
    let million = 1_000_000 / u64::from(each);
    let stops: BTreeSet<u64> = (1..=10).map(|tenth| tenth * step).chain([million]).filter(|stop| *stop <= most.max(step)).collect();
    for stop in stops.into_iter().filter(|stop| *stop >= 2 * SAMPLE) {
        let start = Instant::now();
        runtime.block_on(conformance::fill(&store, done..stop - SAMPLE, each, FILLING));
        let filled = per_second((stop - SAMPLE - done) * u64::from(each), start);
        runtime.block_on(store.prune_challenges(u64::MAX)).unwrap();
        let (rows, group) = (SAMPLE * u64::from(each), 64 * u64::from(each));
        let bare = bare(&database, rows, group);
        let start = Instant::now();
        runtime.block_on(conformance::fill(&store, stop - SAMPLE..stop, each, 1));
        let rate = per_second(rows, start);
        done = stop;
        let tokens = done * u64::from(each);
        println!("{tokens:>20} {:>5} MiB {:>14} {rate:>23.0} {bare:>13.0} {filled:>10.0}", size(&file) >> 20, size(&file) / tokens);
    }
}
