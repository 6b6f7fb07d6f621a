//! Decisions without a router and without the layer: hyper serves, the verifier decides about heads.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_verifier::store::{MemoryStore, RedbStore, StoreError};
use farthing_verifier::{Decision, DeferredLimits, Mode, Offer, Price, Verifier};
use http::{Method, Request};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::plain_server::serve;
use crate::site::{Plan, Reader, eventually, pay, reopen, reread};
use crate::stand_in::{Fault, StandIn};
use crate::world::{World, copy};

#[tokio::test]
async fn a_server_without_the_layer_is_paid_as_well() {
    let (mint, url) = StandIn::start(World::new(95)).await;
    let root = mint.books().world.root();
    let plan = Plan::new(&url, root).await;
    let verifier = Verifier::open(plan.config, MemoryStore::new()).await.unwrap();
    let server = tokio::spawn(serve(plan.listener, verifier.clone()));
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(95));
    let site = format!("http://{}", plan.name);
    let article = format!("{site}/articles/one");

    assert_eq!(reader.get(&site).await.body, "Articles cost half a cent.\n");
    assert_eq!(reader.get(&article).await.problem().1, "payment-required");
    assert_eq!(reader.get_with(&article, "Payment nonsense").await.problem().1, "malformed-credential");
    let page = reader.send(Method::GET, &article, &[("accept", "text/html")]).await;
    assert!(page.status == 402 && page.body.contains("0.00500 EUR"), "{}", page.body);

    let token = mint.books().world.tokens(&[500]).remove(0);
    let copied = copy(&token);
    let sent = pay(&reader.challenge(&article).await, vec![token], None, &mut rng);
    for _ in 0..2 {
        let paid = reader.get_with(&article, &sent.header).await;
        assert_eq!((paid.status.as_u16(), paid.body.as_str()), (200, "Worth half a cent: /articles/one\n"));
        assert_eq!(paid.headers["cache-control"], "private");
        assert_eq!(paid.receipt().extensions["state"], "settled");
    }
    assert_eq!(reader.get_with(&format!("{site}/articles/two"), &sent.header).await.problem().1, "wrong-resource");
    let again = reread(&reader.challenge(&article).await, sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&article, &again).await.status, 200);

    // The same decision without any server: check alone finds nothing wrong, the claim does, with a proof.
    let cheat = pay(&reader.challenge(&article).await, vec![copied], None, &mut rng);
    let head = Request::get("/articles/one").header("authorization", &cheat.header).body(()).unwrap().into_parts().0;
    let price = Price::Fixed(Amount::from_units(500));
    let offer = Offer { price, title: "One".into(), external_id: "one".into(), access: Duration::from_hours(1) };
    for _ in 0..2 {
        let found = verifier.check(&head, &offer).await.unwrap();
        assert_eq!((found.state_name(), found.amount().units(), found.is_reread()), ("unclaimed", 500, false));
    }
    let Decision::Answer(refused) = verifier.decide(&head, &offer).await else { panic!("a copied token was served") };
    assert_eq!(refused.status(), 402);
    let body: serde_json::Value = serde_json::from_slice(refused.body()).unwrap();
    assert_eq!(body["code"], "double-spend");
    assert!(body["proof"].is_string() && refused.headers().contains_key("www-authenticate"));
    assert_eq!(verifier.double_spend_proofs().await.unwrap().len(), 1);
    server.abort();
}

#[tokio::test]
async fn a_decision_and_a_look_say_what_became_of_a_payment() {
    let (mint, url) = StandIn::start(World::new(96)).await;
    let root = mint.books().world.root();
    let limits =
        DeferredLimits { outstanding: Amount::from_units(1_000), per_window: Amount::from_units(1_000), window: Duration::from_mins(10) };
    let verifier = Verifier::open(Plan::new(&url, root).await.mode(Mode::Deferred(limits)).config, MemoryStore::new()).await.unwrap();
    let mut rng = StdRng::seed_from_u64(96);
    let price = Price::Fixed(Amount::from_units(500));
    let offer = Offer { price, title: "One".into(), external_id: "one".into(), access: Duration::from_hours(1) };
    let resource = verifier.resource(&Method::GET, &"/articles/one".parse().unwrap());
    let challenge = || {
        let challenge = verifier.challenge(&offer, &resource, verifier.now()).unwrap();
        mpp::parse_www_authenticate(challenge.header().to_str().unwrap()).unwrap()
    };
    let head = |credential: &str| Request::get("/articles/one").header("authorization", credential).body(()).unwrap().into_parts().0;
    mint.fail_always(Some(Fault::Unavailable));
    let sent = pay(&challenge(), mint.books().world.tokens(&[200, 500]), None, &mut rng);
    let reference = Base64UrlUnpadded::encode_string(&sent.id.0);

    let found = verifier.check(&head(&sent.header), &offer).await.unwrap();
    assert_eq!((found.state_name(), found.is_reread(), found.reference()), ("unclaimed", false, reference.clone()));
    assert_eq!((found.amount().units(), found.change().units()), (500, 200));
    assert_eq!(format!("{found:?}"), "Found { state: \"unclaimed\", reread: false, .. }");

    for (settles, state) in [(false, "accepted"), (true, "settled")] {
        if settles {
            mint.fail_always(None);
            eventually("that all is handed in", async || verifier.flush_outbox().await.is_ok()).await;
        }
        let Decision::Serve(paid) = verifier.decide(&head(&sent.header), &offer).await else { panic!("not served") };
        assert_eq!((paid.is_settled(), paid.state_name(), paid.is_reread(), paid.reference()), (settles, state, false, reference.clone()));
        assert_eq!((paid.amount().units(), paid.change().units()), (500, 200));
        assert_eq!(format!("{paid:?}"), format!("Paid {{ state: \"{state}\", reread: false, .. }}"));
        let found = verifier.check(&head(&sent.header), &offer).await.unwrap();
        assert_eq!((found.state_name(), found.is_reread()), (state, false));

        let again = reread(&challenge(), sent.id, &sent.used, &mut rng);
        let found = verifier.check(&head(&again), &offer).await.unwrap();
        assert_eq!((found.state_name(), found.is_reread(), found.reference()), (state, true, reference.clone()));
        let Decision::Serve(paid) = verifier.decide(&head(&again), &offer).await else { panic!("not read again") };
        assert_eq!((paid.state_name(), paid.is_reread(), paid.change().units()), (state, true, 200));
    }
    verifier.shutdown().await;
}

#[tokio::test]
async fn the_last_clone_that_is_dropped_stops_the_work_and_lets_go_of_the_store() {
    let (mint, url) = StandIn::start(World::new(97)).await;
    let root = mint.books().world.root();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store");
    let verifier = Verifier::open(Plan::new(&url, root).await.config, RedbStore::open(&file).unwrap()).await.unwrap();
    let clone = verifier.clone();
    drop(verifier);
    assert_eq!(RedbStore::open(&file).err(), Some(StoreError::InUse), "a clone is left");
    drop(clone);
    drop(reopen(&file).await);
}
