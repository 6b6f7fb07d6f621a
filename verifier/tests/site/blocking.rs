//! Threaded servers: plain calls from many threads, refused where they would stop something, ended cleanly.

use std::sync::Barrier;

use farthing_protocol::amount::Amount;
use farthing_verifier::blocking::{BlockingError, Verifier};
use farthing_verifier::store::{MemoryStore, RedbStore, Store};
use farthing_verifier::{Decision, Offer, Price, VerifierConfig};
use http::Request;
use http::request::Parts;
use mpp::PaymentChallenge;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

use crate::site::{Plan, pay};
use crate::stand_in::StandIn;
use crate::world::{World, copy};

const THREADS: usize = 8;

fn head(path: &str, credential: Option<&str>) -> Parts {
    let mut request = Request::get(path);
    if let Some(credential) = credential {
        request = request.header("authorization", credential);
    }
    request.body(()).unwrap().into_parts().0
}

fn offer() -> Offer {
    let price = Price::Fixed(Amount::from_units(500));
    Offer { price, title: "One".into(), external_id: "one".into(), access: std::time::Duration::from_hours(1) }
}

fn challenge<S: Store>(verifier: &Verifier<S>, path: &str) -> PaymentChallenge {
    let Decision::Answer(answer) = verifier.decide(&head(path, None), &offer()).unwrap() else { panic!("served for nothing") };
    assert_eq!(answer.status(), 402);
    mpp::parse_www_authenticate(answer.headers()["www-authenticate"].to_str().unwrap()).unwrap()
}

/// A mint's stand-in on a runtime of its own, and the configuration of a verifier that asks it.
fn mint(number: u64) -> (Runtime, StandIn, VerifierConfig) {
    let runtime = Runtime::new().unwrap();
    let (mint, url) = runtime.block_on(StandIn::start(World::new(number)));
    let root = mint.books().world.root();
    let config = runtime.block_on(Plan::new(&url, root)).config;
    (runtime, mint, config)
}

#[test]
fn eight_threads_pay_and_one_of_eight_cheats_is_served() {
    let (_runtime, mint, config) = mint(96);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("claims.redb");
    let verifier = Verifier::open(config.clone(), RedbStore::open(&file).unwrap()).unwrap();
    assert!(verifier.ready().is_ok());

    // One token of each thread's own, and one that all of them have a copy of.
    let own = mint.books().world.tokens(&[500; THREADS]);
    let shared = mint.books().world.tokens(&[500]).remove(0);
    let copies: Vec<_> = (0..THREADS).map(|_| copy(&shared)).collect();
    let together = Barrier::new(THREADS);
    let served: Vec<(Vec<bool>, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = own
            .into_iter()
            .zip(copies)
            .enumerate()
            .map(|(number, tokens)| {
                let (verifier, together) = (&verifier, &together);
                scope.spawn(move || {
                    let (mut rng, path) = (StdRng::seed_from_u64(number as u64), format!("/articles/{number}"));
                    let sent = [tokens.0, tokens.1].map(|token| pay(&challenge(verifier, &path), vec![token], None, &mut rng));
                    assert_eq!(verifier.check(&head(&path, Some(&sent[0].header)), &offer()).unwrap().unwrap().state_name(), "unclaimed");
                    together.wait();
                    // The first payment twice, then the copied token.
                    let mut code = String::new();
                    let served = [0, 0, 1].map(|which| match verifier.decide(&head(&path, Some(&sent[which].header)), &offer()).unwrap() {
                        Decision::Serve(paid) => paid.is_settled(),
                        Decision::Answer(answer) => {
                            code = serde_json::from_slice::<serde_json::Value>(answer.body()).unwrap()["code"].to_string();
                            false
                        }
                    });
                    (served.to_vec(), code)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(served.iter().all(|(served, _)| served[0] && served[1]));
    assert_eq!(served.iter().filter(|(served, _)| served[2]).count(), 1);
    assert_eq!(served.iter().filter(|(_, code)| code == "\"double-spend\"").count(), THREADS - 1);
    let statistics = verifier.statistics();
    assert_eq!((statistics.claim, statistics.conflict), (THREADS as u64 + 1, THREADS as u64 - 1));
    assert_eq!((verifier.double_spend_proofs().unwrap().len(), verifier.flush_outbox().unwrap()), (1, 0));
    assert_eq!(verifier.totals().unwrap().undecided, 0);

    // Dropped, it has let go of the store, and another finds what was paid.
    drop(verifier);
    let verifier = Verifier::open(config, RedbStore::open(&file).unwrap()).unwrap();
    assert_eq!(verifier.double_spend_proofs().unwrap().len(), 1);
}

#[test]
fn inside_a_runtime_a_call_is_refused_and_nothing_panics() {
    let (runtime, _mint, config) = mint(97);
    let opened = runtime.block_on(async { Verifier::open(config.clone(), MemoryStore::new()).map(drop) });
    assert!(matches!(opened, Err(BlockingError::InsideRuntime)), "{opened:?}");
    let verifier = Verifier::open(config, MemoryStore::new()).unwrap();
    runtime.block_on(async {
        assert!(matches!(verifier.decide(&head("/a", None), &offer()), Err(BlockingError::InsideRuntime)));
        assert!(matches!(verifier.ready(), Err(BlockingError::InsideRuntime)));
    });
    assert!(verifier.ready().is_ok());
    // Dropping is no call, and must not panic anywhere.
    runtime.block_on(async move { drop(verifier) });
}
