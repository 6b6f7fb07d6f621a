//! Mints that fail and lie, stores that fail, processes that end: nothing is served undecided, nothing is lost, nothing booked twice.

use std::time::Duration;

use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::payment::{Deposit, PaymentTerms};
use farthing_protocol::settle::Refusal;
use farthing_protocol::token::OwnedTokens;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{Offer, Price, PublisherKey, Verifier, VerifierError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::{TcpListener, TcpSocket};

use crate::faulty::{Failing, Faulty, Switch};
use crate::site::{PATIENCE, Plan, Reader, Site, eventually, loop_of, pay, reopen};
use crate::stand_in::{Fault, StandIn};
use crate::world::{World, copy};

#[tokio::test]
async fn a_payment_waits_for_its_mint() {
    let (mint, url) = StandIn::start(World::new(50)).await;
    let root = mint.books().world.root();
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(50));
    let site = Plan::new(&url, root).await.open(MemoryStore::new()).await;
    for fault in [Fault::Unavailable, Fault::Garbage, Fault::LostAnswer, Fault::BadSignature, Fault::WrongChange] {
        waits(&mint, &site, &reader, fault, &mut rng).await;
    }
    assert!(site.verifier.statistics().mint_alarm > 0, "lies are counted");
    // One that says nothing at all costs the time that is set.
    let mut plan = Plan::new(&url, root).await;
    plan.config = plan.config.mint_timeout(Duration::from_millis(800));
    let site = plan.open(MemoryStore::new()).await;
    eventually("the keyset list", async || site.verifier.refresh_keysets().await.is_ok()).await;
    waits(&mint, &site, &reader, Fault::Held, &mut rng).await;
}

async fn waits(mint: &StandIn, site: &Site<MemoryStore>, reader: &Reader, fault: Fault, rng: &mut StdRng) {
    let one = site.url("/articles/one");
    let before = (site.served(), mint.credited());
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, rng);
    mint.fail_always(Some(fault));
    for _ in 0..2 {
        let reply = reader.get_with(&one, &sent.header).await;
        assert_eq!(reply.problem(), ("internal-payment-error".into(), "mint-unavailable".into()), "{fault:?}");
    }
    assert_eq!((site.served(), site.verifier.totals().await.unwrap().undecided), (before.0, 1), "{fault:?}");
    mint.fail_always(None);
    // Without the reader's help.
    site.settled().await;
    assert_eq!(mint.credited(), before.1 + 1, "{fault:?}");
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200, "{fault:?}");
}

#[tokio::test]
async fn an_invented_double_spend_refuses_nobody() {
    let (mint, site, reader) = loop_of(51).await;
    let mut rng = StdRng::seed_from_u64(51);
    let one = site.url("/articles/one");
    // A true proof, against somebody else.
    let tokens = mint.books().world.tokens(&[500]);
    let copied = vec![copy(&tokens[0])];
    let spend = |tokens, name: &str| {
        let amount = farthing_protocol::amount::Amount::from_units(500);
        let terms = PaymentTerms { recipient: name, amount, deposit_by: 1, subject: [5; 32] };
        let (payment, _) = OwnedTokens::new(tokens).unwrap().pay(&terms, &mut StdRng::seed_from_u64(1)).unwrap();
        Deposit::new(name, [5; 32], payment).unwrap().spending()
    };
    let (first, second) = (spend(tokens, "a.example"), spend(copied, "b.example"));
    mint.books().foreign = Some(DoubleSpend::new(SpendingSide::of(&first), &second).unwrap());
    for fault in [Fault::ForeignDoubleSpend, Fault::InventedDoubleSpend] {
        mint.fail_always(Some(fault));
        let alarms = site.verifier.statistics().mint_alarm;
        let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
        assert_eq!(reader.get_with(&one, &sent.header).await.code(), "mint-unavailable", "{fault:?}");
        assert!(site.verifier.statistics().mint_alarm > alarms, "{fault:?}");
        assert_eq!(site.verifier.double_spend_proofs().await.unwrap(), vec![], "{fault:?}");
        mint.fail_always(None);
        assert_eq!(reader.insist(&one, &sent.header).await.status, 200, "{fault:?}");
    }
}

/// Named attack: refused-then-replayed payment served.
#[tokio::test]
async fn what_the_mint_refuses_stays_refused() {
    let (mint, site, reader) = loop_of(52).await;
    let mut rng = StdRng::seed_from_u64(52);
    let one = site.url("/articles/one");
    for (fault, code) in [
        (Fault::Refuse(Refusal::Late), "refused-late"),
        (Fault::Refuse(Refusal::UnknownPublisher), "refused-unknown-publisher"),
        (Fault::Refuse(Refusal::Other(4_242)), "refused-other"),
        (Fault::Refunded, "refused-refunded"),
    ] {
        mint.fail_always(Some(fault));
        let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
        let handed_in = mint.handed_in();
        for _ in 0..3 {
            // Also when the mint has changed its mind.
            assert_eq!(reader.get_with(&one, &sent.header).await.problem(), ("verification-failed".into(), code.into()));
            mint.fail_always(None);
        }
        assert_eq!(mint.handed_in(), handed_in + 1);
    }
    assert_eq!((site.served(), mint.credited()), (0, 0));
}

#[tokio::test]
async fn a_mint_that_is_gone_comes_back() {
    let world = World::new(53);
    let root = world.root();
    // Taken, so that nobody else gets it, and nobody listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap()).parse().unwrap();
    // The site starts before its mint: nothing can be sold, nothing breaks.
    let site = Plan::new(&url, root).await.open(MemoryStore::new()).await;
    let reader = Reader::new();
    let one = site.url("/articles/one");
    let reply = reader.get(&one).await;
    assert_eq!(reply.problem(), ("internal-payment-error".into(), "mint-unavailable".into()));
    assert_eq!(reader.get(&site.url("/")).await.status, 200);
    assert!(matches!(site.verifier.ready().await, Err(VerifierError::MintUnavailable)));
    let mint = StandIn::start_on(world, socket.listen(64).unwrap());
    eventually("the keyset list", async || reader.get(&one).await.status == 402).await;
    assert!(site.verifier.ready().await.is_ok());
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut StdRng::seed_from_u64(53));
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
}

/// A site whose store fails on command.
async fn faulty(number: u64) -> (StandIn, Site<Faulty<MemoryStore>>, Switch) {
    let (mint, url) = StandIn::start(World::new(number)).await;
    let root = mint.books().world.root();
    let switch = Switch::default();
    let site = Plan::new(&url, root).await.open(Faulty { store: MemoryStore::new(), switch: switch.clone() }).await;
    (mint, site, switch)
}

/// Named attack: replay while the replay store is down or overflowed.
#[tokio::test]
async fn a_store_that_fails_serves_nothing_and_loses_nothing() {
    let (mint, site, switch) = faulty(54).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(54));
    let one = site.url("/articles/one");
    let down = ("internal-payment-error".to_owned(), "store-unavailable".to_owned());

    for failing in [Failing::NotStored, Failing::ButStored] {
        let credited = mint.credited();
        let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
        switch.claims(failing);
        for _ in 0..2 {
            let reply = reader.get_with(&one, &sent.header).await;
            // Stored after all: the second time finds it, and the mint decides.
            if failing == Failing::ButStored && reply.status == 200 {
                continue;
            }
            assert_eq!(reply.problem(), down, "{failing:?}");
        }
        switch.claims(Failing::Not);
        assert_eq!(reader.insist(&one, &sent.header).await.status, 200, "{failing:?}");
        assert_eq!(mint.credited(), credited + 1, "{failing:?}");
    }

    for failing in [Failing::NotStored, Failing::ButStored] {
        let credited = mint.credited();
        let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
        switch.decisions(failing);
        assert_eq!(reader.get_with(&one, &sent.header).await.problem(), down, "{failing:?}: the mint has booked, the decision is not kept");
        switch.decisions(Failing::Not);
        assert_eq!(reader.insist(&one, &sent.header).await.status, 200, "{failing:?}");
        assert_eq!(mint.credited(), credited + 1, "{failing:?}");
    }

    // A replay while the store cannot be read is not served from anywhere else.
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
    let served = site.served();
    switch.reads(Failing::NotStored);
    assert_eq!(reader.get_with(&one, &sent.header).await.problem(), down);
    assert_eq!(site.served(), served);
    assert!(site.verifier.statistics().store_failure > 0);
}

/// A publisher may bring a store of its own.
#[tokio::test]
async fn a_store_that_panics_leaves_nobody_waiting() {
    let (mint, site, switch) = faulty(56).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(56));
    let one = site.url("/articles/one");
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    switch.decisions(Failing::Panics);
    // Told at once, not when whoever asks has waited a minute in vain.
    let told = tokio::time::timeout(Duration::from_secs(30), reader.get_with(&one, &sent.header)).await;
    assert_eq!(told.expect("somebody tells the reader").status, 503);
    switch.decisions(Failing::Not);
    assert_eq!(reader.insist(&one, &sent.header).await.status, 200);
    assert_eq!(mint.credited(), 1);
}

#[tokio::test]
async fn a_restart_continues_where_the_store_is() {
    let (mint, url) = StandIn::start(World::new(55)).await;
    let root = mint.books().world.root();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store");
    let plan = Plan::new(&url, root).await;
    let address = plan.listener.local_addr().unwrap();
    let site = plan.open(reopen(&file).await).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(55));
    let one = site.url("/articles/one");

    // Claimed, booked by the mint, and the answer lost; then the process ends.
    mint.fail_always(Some(Fault::LostAnswer));
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 503);
    site.close().await;

    // The mint is down: the stored keyset list is enough to go on, and the payment still waits.
    mint.fail_always(Some(Fault::Unavailable));
    mint.books().closed = true;
    let site = Plan::on(TcpListener::bind(address).await.unwrap(), &url, root).open(reopen(&file).await).await;
    assert_eq!(reader.get_with(&one, &sent.header).await.code(), "mint-unavailable");
    assert_eq!(site.verifier.totals().await.unwrap().undecided, 1);
    assert!(site.verifier.flush_outbox().await.is_err());
    let copied = site.url("/articles/two");
    assert_eq!(reader.get(&copied).await.status, 402);
    site.close().await;

    mint.fail_always(None);
    let site = Plan::on(TcpListener::bind(address).await.unwrap(), &url, root).open(reopen(&file).await).await;
    site.settled().await;
    assert_eq!((mint.credited(), site.verifier.flush_outbox().await.unwrap()), (1, 0));
    let reply = reader.get_with(&one, &sent.header).await;
    assert_eq!((reply.status.as_u16(), reply.receipt().extensions["state"].as_str()), (200, Some("settled")));
    let seen = mint.books().seen.clone();
    assert!(seen.first().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_hangs_up_changes_nothing() {
    let (mint, site, reader) = loop_of(56).await;
    let one = site.url("/articles/one");
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut StdRng::seed_from_u64(56));
    mint.fail_once(Fault::Held);
    tokio::select! {
        _ = reader.get_with(&one, &sent.header) => panic!("it was answered before the mint had said so"),
        // What is on its way has reached the mint.
        () = eventually("the deposit", async || mint.handed_in() == 1) => {}
    }
    mint.let_go();
    eventually("the decision", async || site.verifier.statistics().settled == 1).await;
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
    assert_eq!(mint.handed_in(), 1);
}

#[tokio::test]
async fn a_token_spent_elsewhere_while_undecided_is_refused_when_the_mint_decides() {
    let (mint, url) = StandIn::start(World::new(57)).await;
    let root = mint.books().world.root();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store");
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(57));
    let plan = Plan::new(&url, root).await;
    let address = plan.listener.local_addr().unwrap();
    let news = plan.open(reopen(&file).await).await;
    let at_news = news.url("/articles/one");
    let tokens = mint.books().world.tokens(&[500]);
    let copied = vec![copy(&tokens[0])];
    mint.fail_always(Some(Fault::Unavailable));
    let first = pay(&reader.challenge(&at_news).await, tokens, None, &mut rng);
    assert_eq!(reader.get_with(&at_news, &first.header).await.status, 503);
    news.close().await;

    // The publisher has refused for now; the reader spends the token elsewhere.
    mint.fail_always(None);
    let blog = Plan::new(&url, root).await.open(MemoryStore::new()).await;
    let at_blog = blog.url("/articles/one");
    let second = pay(&reader.challenge(&at_blog).await, copied, None, &mut rng);
    assert_eq!(reader.get_with(&at_blog, &second.header).await.status, 200);

    // Then the publisher deposits after all.
    let news = Plan::on(TcpListener::bind(address).await.unwrap(), &url, root).open(reopen(&file).await).await;
    news.settled().await;
    assert_eq!(reader.get_with(&at_news, &first.header).await.code(), "double-spend");
    assert_eq!((news.served(), mint.credited()), (0, 1));
    assert_eq!(news.verifier.double_spend_proofs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_waits_for_the_mint_at_the_end_lets_go_of_the_store() {
    for dropped in [false, true] {
        ends_while_the_mint_is_busy(dropped).await;
    }
}

/// Ends with four payments on their way and two that wait for a lane, by a shutdown or by dropping the last verifier.
async fn ends_while_the_mint_is_busy(dropped: bool) {
    let (mint, url) = StandIn::start(World::new(58)).await;
    let root = mint.books().world.root();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store");
    let mut rng = StdRng::seed_from_u64(58);
    let config = Plan::new(&url, root).await.config.publisher_key(PublisherKey::generate());
    let verifier = Verifier::open(config, reopen(&file).await).await.unwrap();
    let resource = verifier.resource(&http::Method::GET, &"/articles/one".parse().unwrap());
    let price = Price::Fixed(farthing_protocol::amount::Amount::from_units(500));
    let offer = Offer { price, title: "One".into(), external_id: "1".into(), access: Duration::from_hours(1) };
    mint.fail_always(Some(Fault::Held));
    let (mut readers, mut last) = (Vec::new(), None);
    for number in 1..=6_u64 {
        let challenge = verifier.challenge(&offer, &resource, verifier.now()).unwrap();
        let challenge = mpp::parse_www_authenticate(challenge.header().to_str().unwrap()).unwrap();
        let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rng);
        last = Some(sent.id);
        let asking = verifier.clone();
        let (resource, offer) = (resource.clone(), offer.clone());
        readers.push(tokio::spawn(async move { asking.authorize(&sent.header, &resource, &offer).await.map(drop) }));
        let taken = usize::try_from(number.min(4)).unwrap();
        eventually("that it waits", async || verifier.totals().await.unwrap().undecided == number && mint.handed_in() == taken).await;
    }
    // Somebody at the publisher's asks for a refund of the last; it is handed in first.
    let mut refund = Box::pin(verifier.refund(last.unwrap()));
    // Begun, as far as it gets.
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut refund).await.is_err(), "the mint is busy");

    if dropped {
        drop(refund);
        for reader in readers {
            reader.abort();
            let _ = reader.await;
        }
        drop(verifier);
        mint.let_go();
    } else {
        let mut shutdown = Box::pin(verifier.shutdown());
        let begun = tokio::time::timeout(Duration::from_millis(200), &mut shutdown).await;
        assert!(begun.is_err(), "it waits for what is on its way");
        mint.let_go();
        tokio::time::timeout(PATIENCE, &mut shutdown).await.expect("the end of what is on its way");
        let refunded = tokio::time::timeout(PATIENCE, &mut refund).await.expect("an answer about the refund");
        assert!(matches!(refunded, Err(VerifierError::MintUnavailable)), "{refunded:?}");
        let mut served = Vec::new();
        for reader in readers {
            let answer = tokio::time::timeout(PATIENCE, reader).await.expect("an answer to the reader").unwrap();
            served.push(answer.map_err(|refused| refused.code().to_owned()));
        }
        let away = || Err("mint-unavailable".to_owned());
        assert_eq!(served, [Ok(()), Ok(()), Ok(()), Ok(()), away(), away()]);
        let flushed = tokio::time::timeout(PATIENCE, verifier.flush_outbox()).await.expect("an end");
        assert!(matches!(flushed, Err(VerifierError::MintUnavailable)), "{flushed:?}");
        drop((refund, shutdown));
        drop(verifier);
    }
    // Nobody holds the store, and nothing is lost.
    let config = Plan::new(&url, root).await.config;
    let verifier = Verifier::open(config, reopen(&file).await).await.unwrap();
    mint.fail_always(None);
    eventually("the mint's decision", async || verifier.totals().await.unwrap().undecided == 0).await;
    assert_eq!(mint.credited(), 6);
}
