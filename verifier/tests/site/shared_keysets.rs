//! Instances of one publisher on one database: they follow one keyset list, and stop together.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::error::KeysetError;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::wire::Frame;
use farthing_verifier::VerifierError;
use farthing_verifier::store::{Document, PostgresStore, Store, StoreError};

use crate::postgres::Server;
use crate::site::{Plan, Reader, Site, eventually, request_of};
use crate::stand_in::StandIn;
use crate::world::{DAY, NOW, World, announce};

/// A list, and two that go on from it and contradict each other.
fn two_ends(world: &mut World) -> [KeysetList; 3] {
    let World { list, root, rng, .. } = world;
    let mut ends = [list.clone(), list.clone(), list.clone()];
    for end in &mut ends[1..] {
        announce(end, NOW - 2 * DAY, NOW - DAY, root, rng);
    }
    ends
}

/// Two instances on one database, which follow the first list, and the database as anybody may write to it.
async fn two_instances(server: &Server, mint: &StandIn, url: &url::Url) -> ([Site<PostgresStore>; 2], PostgresStore) {
    let (place, root) = (server.database(), mint.books().world.root());
    let open = async || {
        let mut plan = Plan::new(url, root).await;
        // Only when they are told to.
        plan.config = plan.config.instances(2).keyset_interval(Duration::from_hours(1));
        plan.open(PostgresStore::open(&place).await.unwrap()).await
    };
    ([open().await, open().await], PostgresStore::open(&place).await.unwrap())
}

async fn is_stored(store: &impl Store, list: &KeysetList) -> bool {
    store.load(Document::Keysets).await.unwrap() == Some(list.to_frame().to_bytes())
}

async fn refreshed<S: Store>(site: &Site<S>) -> Result<(), KeysetError> {
    match site.verifier.refresh_keysets().await {
        Ok(()) => Ok(()),
        Err(VerifierError::Keysets(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// The head that a site's challenges name, or why there are none.
async fn told<S: Store>(site: &Site<S>) -> Result<String, String> {
    let reply = Reader::new().get(&site.url("/articles/one")).await;
    if reply.status == 402 { Ok(request_of(&reply.challenge()).method_details.keysets) } else { Err(reply.code()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_are_shown_different_lists_all_stop() {
    let Some(server) = Server::start() else { return };
    let (mint, url) = StandIn::start(World::new(74)).await;
    let [first, one, other] = two_ends(&mut mint.books().world);
    let show = |list: &KeysetList| mint.books().list = list.clone();
    let head = |list: &KeysetList| Ok(Base64UrlUnpadded::encode_string(&list.head()));
    let stopped = Err("mint-unavailable".to_owned());

    // One after the other.
    let (sites, store) = two_instances(&server, &mint, &url).await;
    show(&one);
    assert_eq!((refreshed(&sites[0]).await, is_stored(&store, &one).await), (Ok(()), true));
    assert_eq!((told(&sites[0]).await, told(&sites[1]).await), (head(&one), head(&first)));
    show(&other);
    assert_eq!(refreshed(&sites[1]).await, Err(KeysetError::Forked));
    assert_eq!((told(&sites[1]).await, told(&sites[0]).await), (stopped.clone(), head(&one)));
    // Whatever the mint tells the other one, or if it tells it nothing.
    mint.books().closed = true;
    assert_eq!(refreshed(&sites[0]).await, Err(KeysetError::Forked));
    mint.books().closed = false;
    assert_eq!(told(&sites[0]).await, stopped);
    for site in sites {
        let evidence = site.verifier.forked_keysets().await.unwrap().unwrap();
        assert!(evidence[0] == one.to_frame() && evidence[1] == other.to_frame());
        site.close().await;
    }

    // At the same time: the other's list comes while this one's is on its way from the mint.
    show(&first);
    let (sites, store) = two_instances(&server, &mint, &url).await;
    show(&one);
    let asked = mint.books().keysets_asked;
    mint.books().keysets_held = true;
    let asking = sites[0].verifier.clone();
    let answer = tokio::spawn(async move { asking.refresh_keysets().await });
    eventually("the question", async || mint.books().keysets_asked > asked).await;
    store.save(Document::Keysets, other.to_frame().to_bytes()).await.unwrap();
    mint.let_go();
    assert!(matches!(answer.await.unwrap(), Err(VerifierError::Keysets(KeysetError::Forked))));
    assert_eq!(told(&sites[0]).await, stopped);
    let evidence = sites[0].verifier.forked_keysets().await.unwrap().unwrap();
    assert!(evidence[0] == one.to_frame() && evidence[1] == other.to_frame() && is_stored(&store, &other).await);
    for site in sites {
        site.close().await;
    }

    // At the very same time: this one's list is written over, and it finds out when it next asks.
    show(&first);
    let (sites, store) = two_instances(&server, &mint, &url).await;
    show(&one);
    assert_eq!(refreshed(&sites[0]).await, Ok(()));
    store.save(Document::Keysets, other.to_frame().to_bytes()).await.unwrap();
    assert_eq!(refreshed(&sites[0]).await, Err(KeysetError::Forked));
    assert_eq!(told(&sites[0]).await, stopped);
    assert!(sites[1].verifier.forked_keysets().await.unwrap().is_some());
    for site in sites {
        site.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_follow_the_longest_list_that_any_of_them_was_shown() {
    let Some(server) = Server::start() else { return };
    let (mint, url) = StandIn::start(World::new(75)).await;
    let [first, longer, _] = two_ends(&mut mint.books().world);
    let (sites, store) = two_instances(&server, &mint, &url).await;
    assert!(is_stored(&store, &first).await);
    mint.books().list = longer.clone();
    assert_eq!(refreshed(&sites[0]).await, Ok(()));

    // From the store, while the mint is away.
    mint.books().closed = true;
    assert!(matches!(sites[1].verifier.refresh_keysets().await, Err(VerifierError::MintUnavailable)));
    assert_eq!(told(&sites[1]).await, told(&sites[0]).await);
    mint.books().closed = false;
    // A mint that shows the shorter one is not followed back, and the store's is not shortened.
    mint.books().list = first.clone();
    assert_eq!(refreshed(&sites[1]).await, Err(KeysetError::Shortened));
    assert!(is_stored(&store, &longer).await);
    // Neither by an instance that was late.
    store.save(Document::Keysets, first.to_frame().to_bytes()).await.unwrap();
    mint.books().list = longer.clone();
    assert_eq!((refreshed(&sites[1]).await, is_stored(&store, &longer).await), (Ok(()), true));
    assert!(sites[0].verifier.forked_keysets().await.unwrap().is_none());
    // What cannot be read is not followed, and not written over.
    store.save(Document::Keysets, b"nonsense".to_vec()).await.unwrap();
    let corrupt = sites[0].verifier.refresh_keysets().await;
    assert!(matches!(corrupt, Err(VerifierError::Store(StoreError::Corrupt))), "{corrupt:?}");
    assert_eq!(store.load(Document::Keysets).await.unwrap().unwrap(), b"nonsense");
    assert_eq!(told(&sites[0]).await.map(|_| ()), Ok(()));
    for site in sites {
        site.close().await;
    }
}
