//! What an attacker can take from publishers who serve before they deposit:
//! `cargo run --release --manifest-path bench/Cargo.toml --bin loss`.
//!
//! Every publisher is a real store of the verifier with its real limits, and follows real filters of spent tokens; time, the mint's answers
//! and the attacker are simulated, second by second, the same for the same seed. The attacker pays each token at every publisher. The
//! first deposit of a token is money, all others are loss. There are no honest readers: what they pay is settled and takes no room away.
//! Ends with one JSON line, and with exit code 1 if a publisher lost more than docs/publisher.md says, in any window or at any moment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::ExitCode;

use clap::Parser;
use farthing_protocol::amount::Amount;
use farthing_protocol::filter::{SpentMark, SpentSegment, plan};
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;
use farthing_verifier::store::conformance::accepted_payment;
use farthing_verifier::store::{ClaimOutcome, Decision, MemoryStore, PaymentState, RefusedBecause, RiskLimits, Store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// What an article costs, and what each token is worth, in smallest units: half a cent.
const PRICE: u64 = 500;

/// How often the mint publishes filters, and how much later than a slot's end, in seconds.
const SLOT: u64 = 30;
const SETTLED: u64 = 5;

/// Simulates double-spending at many publishers.
#[derive(Parser)]
struct Arguments {
    /// The same seed gives the same figures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Publishers hit
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    publishers: Vec<u64>,
    /// Tokens bought
    #[arg(long, value_delimiter = ',', default_value = "10,100,400")]
    tokens: Vec<u64>,
}

/// What the mint makes of deposits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mint {
    /// It answers after at most so many seconds.
    Honest(u64),
    /// It refuses everything, at once: a mint that helps the attacker.
    Refuses,
    /// It never answers, and in the end refuses everything.
    Away,
}

struct Settings {
    name: &'static str,
    mint: Mint,
    outstanding: u64,
    per_window: u64,
    window: u64,
    /// How often filters are fetched; 0 for never.
    filter: u64,
    /// Over how many seconds the attacker spreads its payments.
    spread: u64,
}

/// In units: 200 articles, one EUR.
const LIMIT: u64 = 100_000;

const ALL: [Settings; 8] = [
    Settings { name: "all at once", mint: Mint::Honest(5), outstanding: LIMIT, per_window: LIMIT, window: 3_600, filter: 30, spread: 1 },
    Settings {
        name: "spread over 2 h, no filter",
        mint: Mint::Honest(5),
        outstanding: LIMIT,
        per_window: LIMIT,
        window: 3_600,
        filter: 0,
        spread: 7_200,
    },
    Settings {
        name: "spread over 2 h, filter every 30 s",
        mint: Mint::Honest(5),
        outstanding: LIMIT,
        per_window: LIMIT,
        window: 3_600,
        filter: 30,
        spread: 7_200,
    },
    Settings {
        name: "spread over 2 h, filter every 10 min",
        mint: Mint::Honest(5),
        outstanding: LIMIT,
        per_window: LIMIT,
        window: 3_600,
        filter: 600,
        spread: 7_200,
    },
    Settings {
        name: "deposits take up to 10 min",
        mint: Mint::Honest(600),
        outstanding: LIMIT,
        per_window: LIMIT,
        window: 3_600,
        filter: 30,
        spread: 7_200,
    },
    Settings {
        name: "a tenth of the limit a window",
        mint: Mint::Honest(5),
        outstanding: LIMIT,
        per_window: LIMIT / 10,
        window: 3_600,
        filter: 0,
        spread: 7_200,
    },
    Settings {
        name: "the mint refuses everything",
        mint: Mint::Refuses,
        outstanding: LIMIT,
        per_window: LIMIT,
        window: 3_600,
        filter: 0,
        spread: 7_200,
    },
    Settings { name: "the mint is away", mint: Mint::Away, outstanding: LIMIT, per_window: LIMIT, window: 3_600, filter: 0, spread: 7_200 },
];

/// What the mint has published of the tokens spent.
#[derive(Default)]
struct Filters {
    booked: Vec<SpentMark>,
    segments: HashMap<(u64, u64), SpentSegment>,
    /// The segments published last.
    listed: Vec<(u64, u64)>,
}

impl Filters {
    fn publish(&mut self) {
        self.listed = plan(self.booked.len() as u64);
        for (first, count) in &self.listed {
            let marks = self.booked.iter().skip(*first as usize).take(*count as usize).copied();
            let build = || SpentSegment::build(KEYSET, *first, marks.collect()).expect("different marks give a filter");
            self.segments.entry((*first, *count)).or_insert_with(build);
        }
    }

    fn hit(&self, listed: &[(u64, u64)], mark: SpentMark) -> bool {
        listed.iter().any(|range| self.segments.get(range).is_some_and(|segment| segment.may_hold(mark)))
    }
}

const KEYSET: KeysetId = KeysetId([7; 32]);

fn token(number: u64, seed: u64) -> SpentKey {
    let mut key = [5; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key[8..16].copy_from_slice(&seed.to_le_bytes());
    SpentKey { keyset: KEYSET, denomination: Amount::from_units(PRICE), key }
}

#[derive(Default)]
struct Publisher {
    store: MemoryStore,
    /// The segments it knows.
    listed: Vec<(u64, u64)>,
    /// What was accepted and then refused, by window.
    lost: BTreeMap<u64, u64>,
}

#[derive(Default)]
struct Found {
    served: u64,
    credited: u64,
    loss: u64,
    bound: u64,
    worst_window: u64,
    worst_outstanding: u64,
    asked_first: u64,
    broken: bool,
}

struct Due {
    publisher: usize,
    token: u64,
    payment: PaymentId,
    window: u64,
}

async fn run(settings: &Settings, publishers: u64, tokens: u64, seed: u64) -> Found {
    let mut rng = StdRng::seed_from_u64(seed);
    let limits = RiskLimits { outstanding: Amount::from_units(settings.outstanding), per_window: Amount::from_units(settings.per_window) };
    let mut sites: Vec<Publisher> = (0..publishers).map(|_| Publisher::default()).collect();
    let (mut filters, mut spent, mut found, mut number) = (Filters::default(), HashSet::new(), Found::default(), 0);
    // When each token is shown where.
    let mut plans: BTreeMap<u64, Vec<(usize, u64)>> = BTreeMap::new();
    for token in 0..tokens {
        for site in 0..sites.len() {
            plans.entry(rng.random_range(0..settings.spread)).or_default().push((site, token));
        }
    }
    let mut due: BTreeMap<u64, Vec<Due>> = BTreeMap::new();
    let slowest = if let Mint::Honest(delay) = settings.mint { delay } else { 1 };
    // Begins in the middle of a window, where an attack touches most of them.
    let start = 1_000 * settings.window + settings.window / 2;
    for second in 0..=settings.spread + slowest {
        let now = start + second;
        for deposit in due.remove(&second).unwrap_or_default() {
            settle(&mut sites[deposit.publisher], &deposit, settings.mint, &mut spent, &mut filters, &mut found, seed).await;
        }
        if now % SLOT == SETTLED {
            filters.publish();
        }
        for (index, token_number) in plans.remove(&second).unwrap_or_default() {
            let site = &mut sites[index];
            let spent_key = token(token_number, seed);
            let window = now - now % settings.window;
            number += 1;
            let payment = accepted_payment(number, spent_key, Amount::from_units(PRICE), now, window, limits);
            let id = payment.payment;
            if settings.filter > 0 && filters.hit(&site.listed, SpentMark::of(&spent_key)) {
                // Settled first: served only if it is money.
                found.asked_first += 1;
                if settings.mint == Mint::Refuses || !spent.insert(token_number) {
                    continue;
                }
                filters.booked.push(SpentMark::of(&spent_key));
                (found.served, found.credited) = (found.served + PRICE, found.credited + PRICE);
                continue;
            }
            match site.store.claim(payment).await.expect("memory does not fail") {
                ClaimOutcome::Claimed => {
                    found.served += PRICE;
                    let after = if let Mint::Honest(delay) = settings.mint { rng.random_range(1..=delay) } else { 1 };
                    let at = if settings.mint == Mint::Away { u64::MAX } else { second + after };
                    due.entry(at).or_default().push(Due { publisher: index, token: token_number, payment: id, window });
                }
                ClaimOutcome::LimitReached => {
                    found.asked_first += 1;
                    if settings.mint != Mint::Honest(slowest) || !spent.insert(token_number) {
                        continue;
                    }
                    filters.booked.push(SpentMark::of(&spent_key));
                    (found.served, found.credited) = (found.served + PRICE, found.credited + PRICE);
                }
                _ => {}
            }
            let open = site.store.totals().await.expect("memory does not fail").outstanding.units();
            found.worst_outstanding = found.worst_outstanding.max(open);
        }
        if settings.filter > 0 {
            // Each has its own moment of the interval.
            for (index, site) in sites.iter_mut().enumerate() {
                if (now + index as u64).is_multiple_of(settings.filter) {
                    site.listed.clone_from(&filters.listed);
                }
            }
        }
    }
    for deposit in std::mem::take(&mut due).into_values().flatten() {
        settle(&mut sites[deposit.publisher], &deposit, settings.mint, &mut spent, &mut filters, &mut found, seed).await;
    }
    // The windows that the attack touched, and no more than was ever open without an answer.
    let windows = (start + settings.spread - 1) / settings.window - start / settings.window + 1;
    let of_one = windows * settings.per_window;
    let of_one = if settings.mint == Mint::Away { of_one.min(settings.outstanding) } else { of_one };
    found.bound = of_one * publishers;
    for site in &sites {
        let lost: u64 = site.lost.values().sum();
        found.loss += lost;
        found.worst_window = found.worst_window.max(site.lost.values().copied().max().unwrap_or(0));
        found.broken |= lost > of_one;
    }
    found.broken |= found.worst_window > settings.per_window || found.worst_outstanding > settings.outstanding;
    found.broken |= found.loss > found.bound || found.served != found.credited + found.loss;
    found
}

/// The mint's answer to a deposit.
async fn settle(
    site: &mut Publisher,
    due: &Due,
    mint: Mint,
    spent: &mut HashSet<u64>,
    filters: &mut Filters,
    found: &mut Found,
    seed: u64,
) {
    let credited = matches!(mint, Mint::Honest(_)) && spent.insert(due.token);
    let state = if credited {
        filters.booked.push(SpentMark::of(&token(due.token, seed)));
        found.credited += PRICE;
        PaymentState::Settled
    } else {
        *site.lost.entry(due.window).or_default() += PRICE;
        PaymentState::Refused(RefusedBecause::Refusal(Refusal::Refreshed))
    };
    site.store.decide(vec![Decision { payment: due.payment, state }], None, None).await.expect("memory does not fail");
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers starts");
    println!(
        "Prices and losses in units of a thousandth of a cent; each publisher's limits: {LIMIT} outstanding, as much an hour or as said.\n"
    );
    println!("| attack | publishers | tokens | bought | served | credited | loss | bound | loss / bound |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let (mut runs, mut broken) = (Vec::new(), false);
    for settings in &ALL {
        for publishers in &arguments.publishers {
            for tokens in &arguments.tokens {
                let found = runtime.block_on(run(settings, *publishers, *tokens, arguments.seed));
                let share = found.loss as f64 / found.bound as f64;
                println!(
                    "| {} | {publishers} | {tokens} | {} | {} | {} | {} | {} | {share:.3} |",
                    settings.name,
                    tokens * PRICE,
                    found.served,
                    found.credited,
                    found.loss,
                    found.bound
                );
                runs.push(json!({
                    "attack": settings.name, "publishers": publishers, "tokens": tokens, "bought": tokens * PRICE, "served": found.served,
                    "credited": found.credited, "loss": found.loss, "bound": found.bound, "worst_window": found.worst_window,
                    "per_window": settings.per_window, "worst_outstanding": found.worst_outstanding, "asked_first": found.asked_first,
                    "broken": found.broken,
                }));
                broken |= found.broken;
            }
        }
    }
    println!("\n{}", json!({ "seed": arguments.seed, "runs": runs, "broken": broken }));
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
