//! Serving before the mint has decided: within limits, then not.

use std::time::Duration;

use farthing_protocol::amount::{Amount, Unit, default_denominations};
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::keyset::{Proposal, Windows};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::snowblind::SigningKey;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{DeferredLimits, Mode};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{Plan, Reader, Site, pay, request_of, reread};
use crate::stand_in::{Fault, StandIn};
use crate::world::{DAY, NOW, World, copy};

async fn deferred(number: u64, outstanding: u64, per_window: u64) -> (StandIn, Site<MemoryStore>, Reader, StdRng) {
    let (mint, url) = StandIn::start(World::new(number)).await;
    let root = mint.books().world.root();
    let limits = DeferredLimits {
        outstanding: Amount::from_units(outstanding),
        per_window: Amount::from_units(per_window),
        window: Duration::from_mins(10),
    };
    let site = Plan::new(&url, root).await.mode(Mode::Deferred(limits)).open(MemoryStore::new()).await;
    (mint, site, Reader::new(), StdRng::seed_from_u64(number))
}

#[tokio::test]
async fn the_mint_is_asked_after_serving_until_a_limit_is_reached() {
    let (mint, site, reader, mut rng) = deferred(60, 1_000, 100_000).await;
    let one = site.url("/articles/one");
    mint.fail_always(Some(Fault::Unavailable));
    let mut headers = Vec::new();
    for number in 0..3 {
        let challenge = reader.challenge(&one).await;
        // A day and the rest of an hour to deposit.
        assert!(request_of(&challenge).method_details.deposit_by >= NOW + 300 + 24 * 3_600);
        let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rng);
        let reply = reader.get_with(&one, &sent.header).await;
        if number < 2 {
            assert_eq!((reply.status.as_u16(), reply.receipt().extensions["state"].as_str()), (200, Some("accepted")));
            let again = reread(&reader.challenge(&one).await, sent.id, &sent.used, &mut rng);
            assert_eq!(reader.get_with(&one, &again).await.body, "again /articles/one");
        } else {
            assert_eq!(reply.problem(), ("internal-payment-error".into(), "mint-unavailable".into()), "settled first");
        }
        headers.push(sent.header);
    }
    let totals = site.verifier.totals().await.unwrap();
    assert_eq!((totals.outstanding, totals.undecided), (Amount::from_units(1_000), 3));
    assert_eq!(site.verifier.statistics().limit_reached, 1);
    mint.fail_always(None);
    site.settled().await;
    assert_eq!(site.verifier.totals().await.unwrap().outstanding, Amount::ZERO);
    assert_eq!(mint.credited(), 3);
    for header in &headers {
        let reply = reader.get_with(&one, header).await;
        assert_eq!((reply.status.as_u16(), reply.receipt().extensions["state"].as_str()), (200, Some("settled")));
    }
}

#[tokio::test]
async fn what_the_mint_refuses_counts_until_its_window_ends() {
    let (mint, site, reader, mut rng) = deferred(61, 100_000, 500).await;
    let one = site.url("/articles/one");
    // The token was spent elsewhere: served once at the publisher's risk, then never again.
    let tokens = mint.books().world.tokens(&[500]);
    let copied = vec![copy(&tokens[0])];
    let (elsewhere_mint, elsewhere) = (mint.clone(), site.url("/articles/two"));
    let sent = pay(&reader.challenge(&elsewhere).await, tokens, None, &mut rng);
    assert_eq!(reader.get_with(&elsewhere, &sent.header).await.status, 200);
    site.settled().await;
    assert_eq!(elsewhere_mint.credited(), 1);

    let (_, url) = (0, site.name.clone());
    let second_site = {
        let root = mint.books().world.root();
        let limits = DeferredLimits {
            outstanding: Amount::from_units(100_000),
            per_window: Amount::from_units(500),
            window: Duration::from_mins(10),
        };
        let mint_url = {
            let challenge = reader.challenge(&one).await;
            request_of(&challenge).method_details.mint.parse().unwrap()
        };
        Plan::new(&mint_url, root).await.mode(Mode::Deferred(limits)).open(MemoryStore::new()).await
    };
    assert_ne!(url, second_site.name);
    let there = second_site.url("/articles/one");
    let cheat = pay(&reader.challenge(&there).await, copied, None, &mut rng);
    assert_eq!(reader.get_with(&there, &cheat.header).await.status, 200, "served at the publisher's risk");
    second_site.settled().await;
    let reply = reader.get_with(&there, &cheat.header).await;
    assert_eq!(reply.code(), "double-spend", "not served again");
    let proofs = second_site.verifier.double_spend_proofs().await.unwrap();
    assert!(DoubleSpend::from_frame(&proofs[0]).unwrap().verify(&mint.books().world.table).is_ok());
    let again = reread(&reader.challenge(&there).await, cheat.id, &cheat.used, &mut rng);
    assert_eq!(reader.get_with(&there, &again).await.code(), "reread-unknown");

    // The loss fills the window, to its last second: payments are settled first; after it they are accepted again.
    let end = (NOW / 600 + 1) * 600;
    for (time, state) in [(NOW, "settled"), (end - 1, "settled"), (end, "accepted")] {
        second_site.set_clock(time);
        let sent = pay(&reader.challenge(&there).await, mint.books().world.tokens(&[500]), None, &mut rng);
        let reply = reader.get_with(&there, &sent.header).await;
        assert_eq!(reply.receipt().extensions["state"], state);
    }
    assert_eq!(second_site.verifier.statistics().limit_reached, 2);
}

#[tokio::test]
async fn tokens_that_cannot_be_deposited_for_long_enough_are_settled_first() {
    let mut world = World::new(62);
    // A second keyset that takes its last deposits ten hours from now, before the day that deferred payments have.
    let keys: Vec<_> =
        default_denominations().into_iter().map(|denomination| (denomination, SigningKey::generate(&mut world.rng))).collect();
    let end = NOW + 10 * 3_600;
    let proposal = Proposal {
        published: 5 * DAY,
        unit: Unit::default_eur(),
        windows: Windows { issue_from: 6 * DAY, issue_until: 20 * DAY, spend_until: end, refresh_until: end, deposit_until: end },
        receipt_key: *LoneKey::generate(&mut world.rng).public(),
        keys: keys.iter().map(|(denomination, key)| (*denomination, *key.public())).collect(),
    };
    world.list.announce(proposal, &world.root, &mut world.rng).unwrap();
    let (mint, url) = StandIn::start(world).await;
    let root = mint.books().world.root();
    let limits = DeferredLimits {
        outstanding: Amount::from_units(100_000),
        per_window: Amount::from_units(100_000),
        window: Duration::from_mins(10),
    };
    let site = Plan::new(&url, root).await.mode(Mode::Deferred(limits)).open(MemoryStore::new()).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(62));
    let one = site.url("/articles/one");
    for (lasting, ending, state) in [(500, 0, "accepted"), (0, 500, "settled"), (200, 500, "settled")] {
        let mut tokens = Vec::new();
        if lasting > 0 {
            tokens.extend(mint.books().world.tokens(&[lasting]));
        }
        if ending > 0 {
            tokens.extend(mint.books().world.tokens_of(1, &keys, &[ending]));
        }
        let sent = pay(&reader.challenge(&one).await, tokens, None, &mut rng);
        let reply = reader.get_with(&one, &sent.header).await;
        assert_eq!(reply.receipt().extensions["state"], state, "{lasting} and {ending}");
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_on_its_way() {
    let (mint, site, reader, mut rng) = deferred(63, 1_000, 1_000).await;
    let one = site.url("/articles/one");
    mint.fail_always(Some(Fault::Slow(Duration::from_millis(400))));
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.receipt().extensions["state"], "accepted");
    while mint.handed_in() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.verifier.shutdown().await;
    let totals = site.verifier.totals().await.unwrap();
    assert_eq!((totals.outstanding, totals.undecided), (Amount::ZERO, 0));
}
