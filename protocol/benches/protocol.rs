//! What each step of a token's life costs, and how far batch verification stands from its floor.
//!
//! `cargo bench -p farthing-protocol`. The floor of a batch is what no verifier of this protocol can avoid: decompressing every point and
//! one variable-time multiscalar multiplication with as many points, and scalars as wide. Batch and floor are measured in turns in one
//! run, so that their ratio does not depend on what else the machine does.
#![allow(unexpected_cfgs, reason = "the backend is chosen by a cfg of curve25519-dalek, not of this crate")]

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::World;
use criterion::{BatchSize, Criterion};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::snowblind::{Blinding, SigningContext, SigningKey, commit};
use farthing_protocol::spending::{Spending, verify_batch};
use farthing_protocol::token::OwnedTokens;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const BATCHES: [usize; 5] = [1, 16, 64, 256, 1_024];

fn spendings(world: &mut World, count: usize, denominations: &[u64]) -> Vec<Spending> {
    let wanted = denominations.repeat(count);
    let mut tokens = wanted.chunks(252).flat_map(|part| world.tokens(part)).collect::<Vec<_>>().into_iter();
    let terms = PaymentTerms { recipient: "news.example", amount: Amount::from_units(1), deposit_by: 3_600, subject: [5; 32] };
    let mut pay = || {
        let tokens = tokens.by_ref().take(denominations.len()).collect();
        let (payment, _) = OwnedTokens::new(tokens).unwrap().pay(&terms, &mut world.rng).unwrap();
        payment.state(terms.recipient, terms.subject)
    };
    (0..count).map(|_| pay()).collect()
}

fn blind_signature(criterion: &mut Criterion) {
    let rng = &mut StdRng::seed_from_u64(1);
    let h = Point::second_generator();
    let key = SigningKey::generate(rng);
    let context = SigningContext::new(&[7; 32], 500, key.public());
    let session = |rng: &mut StdRng| {
        let (nonces, commitment) = commit(&h, rng).unwrap();
        let (pending, challenge) = Blinding::generate(rng).challenge(&context, key.public(), &commitment, &[1; 32]).unwrap();
        (nonces, commitment, pending, challenge)
    };
    criterion.bench_function("commit", |bench| bench.iter(|| commit(&h, rng).unwrap()));
    let (.., challenge) = session(rng);
    criterion.bench_function("respond", |bench| {
        bench.iter_batched(|| commit(&h, rng).unwrap().0, |nonces| nonces.respond(&key, &challenge), BatchSize::SmallInput);
    });
    let (_, commitment, ..) = session(rng);
    criterion.bench_function("challenge (blind)", |bench| {
        let blind = |blinding: Blinding| blinding.challenge(&context, key.public(), &commitment, &[1; 32]).unwrap();
        bench.iter_batched(|| Blinding::generate(rng), blind, BatchSize::SmallInput);
    });
    let answered = |rng: &mut StdRng| {
        let (nonces, _, pending, challenge) = session(rng);
        (pending, nonces.respond(&key, &challenge))
    };
    criterion.bench_function("unblind", |bench| {
        bench.iter_batched(|| answered(rng), |(pending, response)| pending.unblind(&response).unwrap(), BatchSize::SmallInput);
    });
}

fn verification(criterion: &mut Criterion) {
    let mut world = World::new(2);
    let mut group = criterion.benchmark_group("verify");
    for (name, count, denominations) in
        [("1 payment of 1 token", 1, &[500][..]), ("1 payment of 3 tokens", 1, &[100, 200, 500]), ("64 payments of 1 token", 64, &[500])]
    {
        let spendings = spendings(&mut world, count, denominations);
        let (table, rng) = (&world.table, &mut world.rng);
        group.bench_function(name, |bench| {
            bench.iter_batched(|| spendings.clone(), |batch| verify_batch(batch, table, rng).unwrap(), BatchSize::SmallInput);
        });
    }
    let spendings = spendings(&mut world, 1_024, &[500]);
    let (table, rng) = (&world.table, &mut world.rng);
    group.sample_size(20).bench_function("1,024 payments of 1 token", |bench| {
        bench.iter_batched(|| spendings.clone(), |batch| verify_batch(batch, table, rng).unwrap(), BatchSize::LargeInput);
    });
}

/// The points and scalars of a batch of one-token payments: R and T under 128-bit scalars, P under full ones; G, H and one X.
struct Floor {
    encodings: Vec<[u8; 32]>,
    scalars: Vec<Scalar>,
    fixed: [RistrettoPoint; 3],
}

impl Floor {
    fn new(count: usize, rng: &mut StdRng) -> Self {
        let wide = |rng: &mut StdRng| {
            let mut bytes = [0; 64];
            rng.fill_bytes(&mut bytes);
            Scalar::from_bytes_mod_order_wide(&bytes)
        };
        let short = |rng: &mut StdRng| {
            let mut bytes = [0; 16];
            rng.fill_bytes(&mut bytes);
            Scalar::from(u128::from_le_bytes(bytes))
        };
        let encodings = (0..3 * count).map(|_| RistrettoPoint::mul_base(&wide(rng)).compress().0).collect();
        let one = |rng: &mut StdRng| [short(rng), short(rng), wide(rng)];
        let mut scalars: Vec<Scalar> = (0..count).flat_map(|_| one(rng)).collect();
        scalars.extend((0..3).map(|_| wide(rng)));
        let fixed = [(); 3].map(|()| RistrettoPoint::mul_base(&wide(rng)));
        Self { encodings, scalars, fixed }
    }

    fn run(&self) -> RistrettoPoint {
        let mut points: Vec<RistrettoPoint> = Vec::with_capacity(self.scalars.len());
        points.extend(self.encodings.iter().map(|bytes| CompressedRistretto(*bytes).decompress().unwrap()));
        points.extend(self.fixed);
        RistrettoPoint::vartime_multiscalar_mul(&self.scalars, &points)
    }
}

fn backend() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let ifma = std::arch::is_x86_feature_detected!("avx512ifma") && std::arch::is_x86_feature_detected!("avx512vl");
        if cfg!(curve25519_dalek_backend = "avx512") && ifma {
            return "avx512";
        }
        if !cfg!(curve25519_dalek_backend = "serial") && std::arch::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "serial"
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Microseconds.
fn timed<T>(run: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    let result = black_box(run());
    let time = start.elapsed();
    drop(result);
    time.as_secs_f64() * 1e6
}

/// Batch against floor, measured in turns.
fn summary() {
    let mut world = World::new(3);
    println!("\ncurve25519-dalek backend: {}", backend());
    println!("medians of a one-token payment; the ratio is the median over rounds of one batch and one floor in turns");
    println!("payments        batch        floor    ratio");
    for count in BATCHES {
        let spendings = spendings(&mut world, count, &[500]);
        let floor = Floor::new(count, &mut world.rng);
        let (table, rng) = (&world.table, &mut world.rng);
        let (mut batches, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..(100 * 1_024 / count).min(400) {
            let batch = spendings.clone();
            batches.push(timed(|| verify_batch(batch, table, rng).unwrap()));
            floors.push(timed(|| floor.run()));
            ratios.extend(batches.last().zip(floors.last()).map(|(batch, floor)| batch / floor));
        }
        let one = |time: f64| time / f64::from(u32::try_from(count).unwrap());
        println!("{count:>8} {:>9.2} us {:>9.2} us   {:>6.3}", one(median(batches)), one(median(floors)), median(ratios));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    blind_signature(&mut criterion);
    verification(&mut criterion);
    criterion.final_summary();
    // `cargo test --benches` passes --test: then every benchmark runs once, and nothing is worth measuring.
    if !std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        summary();
    }
}
