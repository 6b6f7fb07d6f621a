//! Paying, paying twice, and everything a 402 and a 200 carry.

use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::wire::{DoubleSpendFrame, Frame};
use farthing_verifier::store::{MemoryStore, RedbStore};
use farthing_verifier::{Offer, Price};
use http::Method;

use crate::site::{Plan, Reader, echoed, eventually, loop_of, pay, payment_credential, request_of};
use crate::stand_in::{Fault, StandIn};
use crate::world::{NOW, World, copy};

#[tokio::test]
async fn an_article_is_paid_for_and_served() {
    let (mint, site, reader) = loop_of(1).await;
    let url = site.url("/articles/one");
    let reply = reader.get(&url).await;
    assert_eq!(reply.problem(), ("payment-required".into(), "payment-required".into()));
    let challenge = reply.challenge();
    assert!(reply.headers["www-authenticate"].len() < 8_192);
    let request = request_of(&challenge);
    assert_eq!((request.amount.as_str(), request.currency.as_str()), ("500", "eur/100000"));
    assert_eq!(request.recipient, site.name);
    assert_eq!(challenge.realm, site.name);
    // Rounded up to the full hour, an hour or more after the expiry.
    let deposit_by = request.method_details.deposit_by;
    let earliest = NOW + 300 + 3_600;
    assert!(deposit_by.is_multiple_of(3_600) && (earliest..earliest + 3_600).contains(&deposit_by));

    let (tokens, mut rng) = {
        let mut books = mint.books();
        (books.world.tokens(&[200, 500]), rand::SeedableRng::seed_from_u64(1))
    };
    let sent = pay(&challenge, tokens, None, &mut rng);
    let reply = reader.get_with(&url, &sent.header).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "paid /articles/one"));
    assert_eq!(reply.headers["cache-control"], "private, max-age=60");
    let receipt = reply.receipt();
    assert!(receipt.is_success() && receipt.method.as_str() == "farthing");
    assert_eq!((&receipt.extensions["state"], &receipt.extensions["change"]), (&"settled".into(), &"200".into()));
    assert_eq!(mint.credited(), 1);

    // Byte for byte the same: an interrupted delivery is finished, however late, and nothing is deposited again.
    site.set_clock(NOW + 10_000_000);
    let reply = reader.get_with(&url, &sent.header).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "paid /articles/one"));
    assert_eq!(mint.handed_in(), 1);
    let statistics = site.verifier.statistics();
    assert_eq!((statistics.claim, statistics.settled, statistics.replay), (1, 1, 1));
}

#[tokio::test]
async fn free_requests_pass_and_head_counts_as_get() {
    let (mint, site, reader) = loop_of(2).await;
    let reply = reader.get_with(&site.url("/"), "Basic dXNlcjpwYXNz").await;
    assert_eq!(reply.body, "free, with a header", "a free request passes untouched");
    let reply = reader.get(&site.url("/")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "free"));
    assert!(!reply.headers.contains_key("payment-receipt") && !reply.headers.contains_key("cache-control"));

    let url = site.url("/articles/head");
    let challenge = reader.challenge(&url).await;
    let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rand::SeedableRng::seed_from_u64(2));
    let reply = reader.send(Method::HEAD, &url, &[("authorization", &sent.header)]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reader.get_with(&url, &sent.header).await.body, "paid /articles/head");
}

#[tokio::test]
async fn a_challenge_is_for_one_reader_one_method_and_one_url() {
    let (mint, site, reader) = loop_of(3).await;
    let url = site.url("/articles/one");
    let (first, second) = (reader.challenge(&url).await, reader.challenge(&url).await);
    assert_ne!(first.id, second.id, "two readers never share a challenge");

    let sent = pay(&first, mint.books().world.tokens(&[500]), None, &mut rand::SeedableRng::seed_from_u64(3));
    for other in ["/articles/two", "/articles/one?page=2", "/articles/./one", "/articles/%6fne"] {
        // The client library would tidy the URL up: ask for it by hand.
        let reply = raw_get(&site.name, other, &sent.header).await;
        assert!(reply.contains("402 Payment Required") && reply.contains("wrong-resource"), "{other}");
    }
    let reply = reader.send(Method::POST, &url, &[("authorization", &sent.header)]).await;
    assert_eq!(reply.problem(), ("invalid-challenge".into(), "wrong-resource".into()));
    let reply = reader.send(Method::GET, &url, &[("authorization", &sent.header), ("host", "evil.example")]).await;
    assert_eq!(reply.status, 200, "the publisher's name is configuration, whatever the host header says");

    // The same challenge again, with other tokens.
    let again = pay(&first, mint.books().world.tokens(&[500]), None, &mut rand::SeedableRng::seed_from_u64(4));
    assert_eq!(reader.get_with(&url, &again.header).await.problem(), ("invalid-challenge".into(), "challenge-unknown".into()));
    assert_eq!(mint.credited(), 1);
}

async fn raw_get(host: &str, path: &str, credential: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {credential}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn a_payment_that_was_claimed_is_answered_for_its_own_bytes_alone() {
    let (mint, site, reader) = loop_of(8).await;
    let url = site.url("/articles/one");
    let challenge = reader.challenge(&url).await;
    let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rand::SeedableRng::seed_from_u64(8));
    // The id leaves the proof out: whoever knows what was paid, but not the keys, can name it, and no more.
    let mut frame = sent.payment.to_frame();
    frame.proof.u.0[0] ^= 1;
    let forged = payment_credential(&challenge, &frame.to_bytes(), &sent.salt);
    mint.fail_always(Some(Fault::Unavailable));
    assert_eq!(reader.get_with(&url, &sent.header).await.code(), "mint-unavailable");
    assert_eq!(reader.get_with(&url, &forged).await.code(), "invalid-proof", "it does not join what is pending");
    mint.fail_always(None);
    assert_eq!(reader.insist(&url, &sent.header).await.status, 200);
    assert_eq!(reader.get_with(&url, &forged).await.code(), "invalid-proof");
    assert_eq!((site.served(), mint.credited()), (1, 1));
}

#[tokio::test]
async fn a_token_paid_twice_here_is_refused_with_a_proof_that_is_kept() {
    let (mint, site, reader) = loop_of(4).await;
    let mut rng = rand::SeedableRng::seed_from_u64(5);
    let tokens = mint.books().world.tokens(&[500, 500]);
    let copied = copy(&tokens[1]);
    let (one, two) = (site.url("/articles/one"), site.url("/articles/two"));
    let first = pay(&reader.challenge(&one).await, tokens, None, &mut rng);
    assert_eq!(reader.get_with(&one, &first.header).await.status, 200);
    let second = pay(&reader.challenge(&two).await, vec![copied], None, &mut rng);
    for _ in 0..2 {
        let reply = reader.get_with(&two, &second.header).await;
        assert_eq!(reply.problem(), ("verification-failed".into(), "double-spend".into()));
        let frame = proof_in(&reply.json());
        let proven = DoubleSpend::from_frame(&frame).unwrap().verify(&mint.books().world.table).unwrap();
        assert!(proven.proof().payment_ids().contains(&first.id) && proven.proof().payment_ids().contains(&second.id));
        assert_eq!(site.verifier.double_spend_proofs().await.unwrap(), vec![frame]);
    }
    assert_eq!((mint.credited(), site.served()), (1, 1));
    // The first payment is none the worse.
    assert_eq!(reader.get_with(&one, &first.header).await.status, 200);
}

fn proof_in(json: &serde_json::Value) -> DoubleSpendFrame {
    use base64ct::{Base64UrlUnpadded, Encoding};
    DoubleSpendFrame::from_bytes(&Base64UrlUnpadded::decode_vec(json["proof"].as_str().unwrap()).unwrap()).unwrap()
}

/// Named attack: refused-then-replayed payment served.
#[tokio::test]
async fn a_token_paid_at_another_publisher_is_refused_and_stays_refused() {
    let (mint, url) = StandIn::start(World::new(5)).await;
    let root = mint.books().world.root();
    let (news, blog) =
        (Plan::new(&url, root).await.open(MemoryStore::new()).await, Plan::new(&url, root).await.open(MemoryStore::new()).await);
    let reader = Reader::new();
    let mut rng = rand::SeedableRng::seed_from_u64(6);
    let tokens = mint.books().world.tokens(&[500]);
    let copied = vec![copy(&tokens[0])];
    let (at_news, at_blog) = (news.url("/articles/one"), blog.url("/articles/one"));
    let first = pay(&reader.challenge(&at_news).await, tokens, None, &mut rng);
    let second = pay(&reader.challenge(&at_blog).await, copied, None, &mut rng);
    assert_eq!(reader.get_with(&at_news, &first.header).await.status, 200);
    // A payment to one publisher is none to another.
    assert_eq!(reader.get_with(&at_blog, &first.header).await.problem(), ("invalid-challenge".into(), "wrong-publisher".into()));
    for _ in 0..3 {
        let reply = reader.get_with(&at_blog, &second.header).await;
        assert_eq!(reply.problem(), ("verification-failed".into(), "double-spend".into()), "refused, also when it comes again");
        assert!(DoubleSpend::from_frame(&proof_in(&reply.json())).unwrap().verify(&mint.books().world.table).is_ok());
    }
    assert_eq!(blog.served(), 0);
    assert_eq!(mint.handed_in(), 2, "a refused payment is not handed in again");
    assert_eq!(blog.verifier.double_spend_proofs().await.unwrap().len(), 1);
    assert_eq!(blog.verifier.statistics().double_spent, 1);
}

/// Named attack: two parallel replays in settle-first.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_replays_are_served_together_and_deposited_once() {
    let (mint, url) = StandIn::start(World::new(6)).await;
    let root = mint.books().world.root();
    let directory = tempfile::tempdir().unwrap();
    let site = Plan::new(&url, root).await.open(RedbStore::open(directory.path().join("store")).unwrap()).await;
    let reader = Reader::new();
    let article = site.url("/articles/one");
    let sent = pay(&reader.challenge(&article).await, mint.books().world.tokens(&[500]), None, &mut rand::SeedableRng::seed_from_u64(7));
    mint.fail_once(Fault::Slow(std::time::Duration::from_millis(200)));
    let one = || reader.get_with(&article, &sent.header);
    let replies = tokio::join!(one(), one(), one(), one());
    for reply in [replies.0, replies.1, replies.2, replies.3] {
        assert_eq!(reply.status, 200);
    }
    assert_eq!((mint.handed_in(), site.served()), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_payments_share_deposits() {
    let (mint, site, reader) = loop_of(7).await;
    let mut rng = rand::SeedableRng::seed_from_u64(8);
    let article = site.url("/articles/one");
    let mut headers = Vec::new();
    for token in mint.books().world.tokens(&[500; 24]) {
        headers.push((token, ()));
    }
    let mut sent = Vec::new();
    for (token, ()) in headers {
        sent.push(pay(&reader.challenge(&article).await, vec![token], None, &mut rng).header);
    }
    // As many as the verifier asks at a time say nothing until everybody has come.
    for _ in 0..4 {
        mint.fail_once(Fault::Held);
    }
    let reader = std::sync::Arc::new(reader);
    let running: Vec<_> = sent
        .into_iter()
        .map(|header| {
            let (reader, article) = (reader.clone(), article.clone());
            tokio::spawn(async move { reader.get_with(&article, &header).await.status })
        })
        .collect();
    eventually("all claims", async || site.verifier.statistics().claim == 24).await;
    mint.let_go();
    for reply in running {
        assert_eq!(reply.await.unwrap(), 200);
    }
    let books = mint.books();
    assert_eq!(books.requests.iter().sum::<usize>(), 24);
    assert!(books.requests.len() < 24, "what waits for a busy mint travels together: {:?}", books.requests);
    // The mark of the last answer is echoed in later requests.
    assert!(books.seen[0].is_none() && books.seen.last().unwrap().is_some());
}

#[tokio::test]
async fn tips_are_what_the_reader_chooses() {
    let (mint, site, reader) = loop_of(8).await;
    let mut rng = rand::SeedableRng::seed_from_u64(9);
    let url = site.url("/tips");
    for (amount, code) in [(99, Some("wrong-amount")), (100, None), (1_000, None), (1_001, Some("wrong-amount"))] {
        let sent = pay(&reader.challenge(&url).await, mint.books().world.tokens(&[2_000]), Some(amount), &mut rng);
        let reply = reader.get_with(&url, &sent.header).await;
        match code {
            Some(code) => assert_eq!(reply.problem(), ("payment-insufficient".into(), code.into())),
            None => assert_eq!(reply.receipt().extensions["change"], (2_000 - amount).to_string()),
        }
    }
    assert_eq!(mint.credited(), 2);
}

#[tokio::test]
async fn browsers_see_a_page_with_the_price() {
    let (_mint, site, reader) = loop_of(9).await;
    let accept = [("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    let reply = reader.send(Method::GET, &site.url("/articles/one"), &accept).await;
    assert_eq!((reply.status.as_u16(), reply.headers["content-type"].to_str().unwrap()), (402, "text/html; charset=utf-8"));
    reply.challenge();
    assert!(reply.body.contains("<html lang=\"en\">") && reply.body.contains("0.00500 EUR"));
    assert!(reply.body.contains("Signs &amp; &lt;wonders&gt;") && !reply.body.contains("<wonders>") && !reply.body.contains("<script"));
    let reply = reader.send(Method::GET, &site.url("/broken"), &[]).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (500, "invalid-offer"), "a price of nothing is the publisher's mistake");
}

#[tokio::test]
async fn a_server_of_any_kind_can_ask_without_the_layer() {
    let (mint, site, _reader) = loop_of(10).await;
    let verifier = &site.verifier;
    let resource = verifier.resource(&Method::GET, &"/anything".parse().unwrap());
    let price = Price::Fixed(Amount::from_units(500));
    let offer = Offer { price, title: "Anything".into(), external_id: "1".into(), access: std::time::Duration::ZERO };
    let challenge = verifier.challenge(&offer, &resource, verifier.now()).unwrap();
    let challenge = mpp::parse_www_authenticate(challenge.header().to_str().unwrap()).unwrap();
    assert_eq!(echoed(&challenge).method, "farthing");
    let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rand::SeedableRng::seed_from_u64(10));
    let paid = verifier.authorize(&sent.header, &resource, &offer).await.unwrap();
    assert!(paid.is_settled() && !paid.is_reread() && paid.payment() == sent.id && paid.amount() == Amount::from_units(500));
    let other = Offer { price: Price::Fixed(Amount::from_units(501)), ..offer.clone() };
    let challenge = verifier.challenge(&offer, &resource, verifier.now()).unwrap();
    let challenge = mpp::parse_www_authenticate(challenge.header().to_str().unwrap()).unwrap();
    let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rand::SeedableRng::seed_from_u64(11));
    let refused = verifier.authorize(&sent.header, &resource, &other).await.unwrap_err();
    assert_eq!(refused.code(), "wrong-amount", "the price has changed since the challenge");
}

#[tokio::test]
async fn the_largest_payment_fits_in_a_header() {
    let (mint, site, reader) = loop_of(11).await;
    let url = site.url("/articles/one");
    let sent = pay(&reader.challenge(&url).await, mint.books().world.tokens(&[50; 24]), None, &mut rand::SeedableRng::seed_from_u64(12));
    assert!(sent.header.len() > 6_000 && sent.header.len() < 16_384, "{}", sent.header.len());
    let reply = reader.get_with(&url, &sent.header).await;
    assert_eq!((reply.status.as_u16(), reply.receipt().extensions["change"].as_str()), (200, Some("700")));
}
