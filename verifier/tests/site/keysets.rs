//! Following the mint's keyset list.

use std::time::Duration;

use farthing_protocol::error::KeysetError;
use farthing_protocol::keyset::KeysetList;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{Verifier, VerifierError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;

use crate::site::{Plan, Reader, pay, reopen};
use crate::stand_in::StandIn;
use crate::world::{DAY, NOW, World, announce};

#[tokio::test]
async fn a_new_keyset_is_learnt_from_a_payment() {
    let (mint, url) = StandIn::start(World::new(70)).await;
    let root = mint.books().world.root();
    let mut plan = Plan::new(&url, root).await;
    plan.config = plan.config.keyset_pause(Duration::from_hours(1));
    let (site, reader) = (plan.open(MemoryStore::new()).await, Reader::new());
    let one = site.url("/articles/one");
    let mut rng = StdRng::seed_from_u64(70);
    let tokens = {
        let mut books = mint.books();
        let World { list, root, rng, .. } = &mut books.world;
        let (receipt, keys) = announce(list, NOW - 2 * DAY, NOW - DAY, root, rng);
        let tokens = books.world.tokens_of(1, &keys, &[500]);
        books.list = books.world.list.clone();
        // Answers are signed by the new keyset's receipt key from now on.
        books.world.receipt = receipt;
        tokens
    };
    let sent = pay(&reader.challenge(&one).await, tokens, None, &mut rng);
    // The list was asked for a moment ago, at the start: a payment cannot make the verifier ask again at once.
    assert_eq!(reader.get_with(&one, &sent.header).await.code(), "unknown-keyset");
    site.verifier.refresh_keysets().await.unwrap();
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);

    // After the pause between two such questions the payment itself is reason enough.
    let mut plan = Plan::new(&url, root).await;
    plan.config = plan.config.keyset_pause(Duration::ZERO);
    let site = plan.open(MemoryStore::new()).await;
    let one = site.url("/articles/one");
    let tokens = {
        let mut books = mint.books();
        let World { list, root, rng, .. } = &mut books.world;
        let (_, keys) = announce(list, NOW - 2 * DAY, NOW + 10 * DAY, root, rng);
        let tokens = books.world.tokens_of(2, &keys, &[500]);
        books.list = books.world.list.clone();
        tokens
    };
    site.set_clock(NOW + 10 * DAY);
    let sent = pay(&reader.challenge(&one).await, tokens, None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
}

#[tokio::test]
async fn a_forked_list_stops_everything_for_good() {
    let (mint, url) = StandIn::start(World::new(71)).await;
    let root = mint.books().world.root();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store");
    let plan = Plan::new(&url, root).await;
    let address = plan.listener.local_addr().unwrap();
    let site = plan.open(reopen(&file).await).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(71));
    let one = site.url("/articles/one");
    let paid = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &paid.header).await.status, 200);
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    let honest = mint.books().list.clone();
    {
        let mut books = mint.books();
        let mut other = KeysetList::new(root);
        let World { root, rng, .. } = &mut books.world;
        announce(&mut other, 0, 0, root, rng);
        books.list = other;
    }
    assert!(matches!(site.verifier.refresh_keysets().await, Err(VerifierError::Keysets(KeysetError::Forked))));
    let evidence = site.verifier.forked_keysets().await.unwrap().unwrap();
    assert!(evidence[0] == honest.to_frame() && evidence[1] == mint.books().list.to_frame());
    let stopped = ("internal-payment-error".to_owned(), "mint-unavailable".to_owned());
    assert_eq!(reader.get(&one).await.problem(), stopped);
    assert_eq!(reader.get_with(&one, &sent.header).await.problem(), stopped);
    // What was paid is still delivered.
    assert_eq!(reader.get_with(&one, &paid.header).await.status, 200);
    site.close().await;

    mint.books().list = honest;
    let site = Plan::on(TcpListener::bind(address).await.unwrap(), &url, root).open(reopen(&file).await).await;
    assert_eq!(reader.get(&one).await.problem(), stopped, "a restart forgets nothing");
    assert!(site.verifier.forked_keysets().await.unwrap().is_some());
}

/// Named attack: copied keyset of another mint.
#[tokio::test]
async fn lists_that_are_not_the_mints_are_refused() {
    let (mint, url) = StandIn::start(World::new(72)).await;
    let root = mint.books().world.root();
    // Pinned to another mint's key.
    let wrong = Plan::new(&url, World::new(73).root()).await;
    let opened = Verifier::open(wrong.config, MemoryStore::new()).await;
    assert!(matches!(opened.err(), Some(VerifierError::Keysets(KeysetError::WrongRoot))));

    let site = Plan::new(&url, root).await.open(MemoryStore::new()).await;
    let reader = Reader::new();
    let honest = mint.books().list.clone();
    mint.books().list = World::new(73).list;
    assert!(matches!(site.verifier.refresh_keysets().await, Err(VerifierError::Keysets(KeysetError::WrongRoot))));
    assert_eq!(reader.get(&site.url("/articles/one")).await.status, 402, "the list that was trusted stays trusted");
    mint.books().list = honest;
    site.verifier.refresh_keysets().await.unwrap();
}
