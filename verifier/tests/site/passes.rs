//! One payment for everything below a path.

use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{ChallengeSecret, Pass, Verifier, VerifierConfig};
use mpp::PaymentChallenge;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{Plan, Reader, Reply, pay, request_of, reread};
use crate::stand_in::StandIn;
use crate::world::{NOW, World};

const HOUR: u64 = 3_600;

fn pass(scope: &str) -> Pass {
    Pass { price: Amount::from_units(2_000), title: "All <articles>".into(), scope: scope.into(), access: Duration::from_secs(HOUR) }
}

/// The challenges of a 402: for the page, and for the pass beside it.
fn challenges(reply: &Reply) -> (PaymentChallenge, Option<PaymentChallenge>) {
    let mut all =
        reply.headers.get_all("www-authenticate").iter().map(|value| mpp::parse_www_authenticate(value.to_str().unwrap()).unwrap());
    (all.next().unwrap(), all.next())
}

#[tokio::test]
async fn a_pass_reads_what_it_covers_and_its_bytes_one_page() {
    let (mint, mint_url) = StandIn::start(World::new(95)).await;
    let root = mint.books().world.root();
    let mut plan = Plan::new(&mint_url, root).await;
    plan.config = plan.config.pass(pass("/articles/"));
    let site = plan.open(MemoryStore::new()).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(95));
    let (one, two) = (site.url("/articles/one"), site.url("/articles/two"));

    let (page, offered) = challenges(&reader.get(&one).await);
    let offered = offered.unwrap();
    let (page, details) = (request_of(&page), request_of(&offered).method_details);
    assert_eq!((page.amount.as_str(), page.method_details.scope), ("500", None));
    assert_eq!((request_of(&offered).amount.as_str(), details.scope.as_deref(), details.access), ("2000", Some("/articles/"), HOUR));
    // Other pages, tips, and spellings that lead elsewhere sell none.
    for path in ["/dear/one", "/tips", "/articles/../dear/one", "/articles/%2e%2e/dear", "/articles//one", "/articles/a%2Fb"] {
        let reply = reader.get(&site.url(path)).await;
        assert!(reply.status != 402 || challenges(&reply).1.is_none(), "{path}");
    }
    let html = reader.send(http::Method::GET, &one, &[("accept", "text/html")]).await;
    assert!(html.body.contains("All &lt;articles&gt;") && html.body.contains("farthing pay --pass"));

    let sent = pay(&offered, mint.books().world.tokens(&[2_000]), None, &mut rng);
    assert_eq!(reader.get_with(&two, &sent.header).await.problem(), ("invalid-challenge".into(), "wrong-resource".into()));
    assert_eq!(reader.get_with(&one, &sent.header).await.body, "paid /articles/one");
    // The bytes alone finish this delivery, and open no other page.
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
    assert_eq!(reader.get_with(&two, &sent.header).await.problem(), ("invalid-challenge".into(), "wrong-resource".into()));

    let ask = async |url: &str| challenges(&reader.get(url).await);
    let again = reread(&ask(&two).await.1.unwrap(), sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&one, &again).await.problem().1, "wrong-resource", "one challenge, one page");
    assert_eq!(reader.get_with(&two, &again).await.body, "again /articles/two");
    assert_eq!(reader.get_with(&two, &again).await.problem().1, "challenge-unknown", "one challenge, one reading");
    // It is no payment for the page alone, nor is a page's payment a pass.
    let as_page = reread(&ask(&two).await.0, sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&two, &as_page).await.problem().1, "reread-unknown");
    let single = pay(&ask(&two).await.0, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&two, &single.header).await.status, 200);
    let as_pass = reread(&ask(&one).await.1.unwrap(), single.id, &single.used, &mut rng);
    assert_eq!(reader.get_with(&one, &as_pass).await.problem().1, "reread-unknown");
    assert_eq!(mint.handed_in(), 2);
    let cheap = pay(&ask(&one).await.1.unwrap(), mint.books().world.tokens(&[500]), Some(500), &mut rng);
    assert_eq!(reader.get_with(&one, &cheap.header).await.problem(), ("payment-insufficient".into(), "wrong-amount".into()));

    site.set_clock(NOW + HOUR);
    let late = reread(&ask(&two).await.1.unwrap(), sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&two, &late).await.problem().1, "access-expired");
}

#[tokio::test]
async fn a_scope_is_a_path_between_slashes() {
    let (mint, mint_url) = StandIn::start(World::new(96)).await;
    let root = mint.books().world.root();
    for scope in ["", "articles/", "/articles", "//", "/a/../", "/a/./", "/%2e/", "/a?b/", "/a\\b/"] {
        let config = VerifierConfig::new("news.example", mint_url.clone(), root, ChallengeSecret::generate()).pass(pass(scope));
        assert!(Verifier::open(config, MemoryStore::new()).await.is_err(), "{scope}");
    }
    let free = Pass { price: Amount::ZERO, ..pass("/") };
    let config = VerifierConfig::new("news.example", mint_url, root, ChallengeSecret::generate()).pass(free);
    assert!(Verifier::open(config, MemoryStore::new()).await.is_err());
}
