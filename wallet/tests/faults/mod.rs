//! Every flow cut at every boundary, in every way: enumerated, not sampled.
//!
//! ```text
//! messages     lost, answered in vain, repeated, late, truncated; either end dies before or after
//! wallet       its disk loses power before, in the middle of and after everything it makes sure of
//! publishers   every write of the store: failed, or stored and said to have failed; the process lives or dies
//! mint         every change of the ledger: likewise
//! ```
//!
//! A run without faults counts the boundaries; then each of them is cut in each way that fits it. After every cut everybody who died is
//! started again, the same command is given again until it succeeds, and the money is counted.

mod desk;
mod disk;
mod flows;
mod line;
mod stores;
mod world;

use farthing_mint::store;
#[path = "../../../mint/tests/common/faulty_ledger.rs"]
mod faulty_ledger;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use desk::{Party, Place, Plan};
use flows::{Case, Flow};
use world::{IMPATIENCE, PATIENCE, World};

/// Worlds at a time: most of them wait for something.
const WORLDS: usize = 4;

/// Cases a world sees before the next takes its place: a restored wallet reads everything that was ever issued.
const CASES: usize = 10;

/// How often a cut is tried that did not happen, because a busy machine ended the run before it came to that boundary.
const TRIES: u32 = 8;

/// Failures after which nobody is impatient any more: on a busy machine they would give up by mistake again and again.
const FAILURES: u32 = 5;

/// The boundaries of the flow, and whether the plan has happened.
type Seen = (BTreeMap<Place, usize>, bool);

async fn play(flow: Flow, world: &mut World, plan: Option<Plan>) -> Result<Seen, String> {
    let mut case = Case::new(flow, world, plan).await?;
    world.desk.begin(plan);
    let died = Arc::clone(&world.desk);
    let mut finished = tokio::select! {
        finished = case.run(world) => finished,
        // A dead wallet goes no further; what it has sent goes on without it.
        () = died.died(Party::Wallet) => Err("the wallet died".into()),
    };
    let seen = world.desk.end();
    let (begun, mut failures) = (Instant::now(), 0);
    while finished.is_err() && begun.elapsed() < PATIENCE {
        failures += 1;
        if failures == FAILURES {
            case.be_patient(world, plan).await?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        finished = match case.revive(world).await {
            Ok(()) => case.run(world).await,
            dead => dead,
        };
    }
    finished.map_err(|error| format!("it is never finished: {error}"))?;
    // What was to come too late has done so.
    case.be_patient(world, plan).await?;
    case.finish(world).await?;
    case.count(world).await?;
    case.close(world).await?;
    Ok(seen)
}

/// Works off the plans, in a world of its own.
async fn work(flow: Flow, plans: Arc<Mutex<VecDeque<Plan>>>) -> Vec<String> {
    let (mut world, mut failed) = (World::new().await, Vec::new());
    loop {
        let Some(plan) = plans.lock().unwrap().pop_front() else { break };
        let mut problem = String::new();
        for before in 0..TRIES {
            if flow == Flow::FollowKeysets || world.cases >= CASES {
                world = World::new().await;
            }
            world.impatience = IMPATIENCE * (1 << before.min(4));
            problem = match tokio::time::timeout(Duration::from_mins(5), Box::pin(play(flow, &mut world, Some(plan)))).await {
                Ok(Ok((_, true))) => String::new(),
                Ok(Ok((_, false))) => {
                    world = World::new().await;
                    "it never came to that".to_owned()
                }
                Ok(Err(error)) => error,
                Err(_) => "it takes for ever".to_owned(),
            };
            if problem != "it never came to that" {
                break;
            }
        }
        if !problem.is_empty() {
            failed.push(format!("{flow:?} {plan:?}: {problem}"));
            world = World::new().await;
        }
    }
    let differences = world.mint.audit().await.unwrap().differences;
    if !differences.is_empty() {
        failed.push(format!("{flow:?}: the audit finds {differences:?}"));
    }
    failed
}

/// The boundaries of a flow in which nothing is cut.
async fn boundaries(flow: Flow) -> BTreeMap<Place, usize> {
    play(flow, &mut World::new().await, None).await.unwrap().0
}

async fn cut_everywhere(flow: Flow) {
    let mut counts = Box::pin(boundaries(flow)).await;
    let again = Box::pin(boundaries(flow)).await;
    // What a busy machine adds by asking twice is no boundary of the flow.
    for (place, count) in &mut counts {
        *count = again.get(place).map_or(0, |other| (*count).min(*other));
    }
    let plans = counts.iter().flat_map(|(place, count)| {
        let place = *place;
        (0..*count).flat_map(move |nth| place.cuts().iter().map(move |cut| (place, nth, *cut)))
    });
    let plans: VecDeque<Plan> = plans.collect();
    assert!(!plans.is_empty());
    println!("{flow:?}: {} cases, boundaries {counts:?}", plans.len());
    let plans = Arc::new(Mutex::new(plans));
    let workers: Vec<_> = (0..WORLDS).map(|_| tokio::spawn(work(flow, Arc::clone(&plans)))).collect();
    let mut failed = Vec::new();
    for worker in workers {
        failed.append(&mut worker.await.unwrap());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Named attack: lost response after booking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_cut_anywhere_is_finished() {
    cut_everywhere(Flow::Issue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_settled_first_cut_anywhere_is_finished() {
    cut_everywhere(Flow::PaySettleFirst).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deferred_payment_cut_anywhere_is_finished() {
    cut_everywhere(Flow::PayDeferred).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_cut_anywhere_is_finished() {
    cut_everywhere(Flow::Deposit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_read_again_whatever_is_cut() {
    cut_everywhere(Flow::Reread).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_cut_anywhere_is_finished() {
    cut_everywhere(Flow::Refresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_cut_anywhere_is_taken() {
    cut_everywhere(Flow::Change).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_cut_anywhere_is_finished() {
    cut_everywhere(Flow::Refund).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reclaim_cut_anywhere_is_finished() {
    cut_everywhere(Flow::Reclaim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_cut_anywhere_is_finished() {
    cut_everywhere(Flow::Restore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keysets_are_followed_whatever_is_cut() {
    cut_everywhere(Flow::FollowKeysets).await;
}
