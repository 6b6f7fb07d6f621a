//! Decisions without a router and without the layer: hyper serves, the verifier decides about heads.

use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{Decision, Offer, Price, Verifier};
use http::{Method, Request};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::plain_server::serve;
use crate::site::{Plan, Reader, pay, reread};
use crate::stand_in::StandIn;
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
