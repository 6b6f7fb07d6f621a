//! The mint's filter of spent tokens: a hit asks the mint first, and nothing else depends on it.

use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::filter::{SpentMark, SpentSegment};
use farthing_protocol::proof::SpentKey;
use farthing_protocol::token::OwnedToken;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{DeferredLimits, Mode, WhenLimited};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{Plan, Reader, Site, pay};
use crate::stand_in::{Fault, StandIn};
use crate::world::{NOW, World, copy};

const LIMITS: DeferredLimits =
    DeferredLimits { outstanding: Amount::from_units(1_000), per_window: Amount::from_units(100_000), window: Duration::from_mins(10) };

/// A deferred site that never asks for filters by itself after its start.
async fn deferred(mint: &StandIn, url: &url::Url, when: WhenLimited) -> Site<MemoryStore> {
    let root = mint.books().world.root();
    let mut plan = Plan::new(url, root).await.mode(Mode::Deferred(LIMITS));
    plan.config = plan.config.filter_interval(Duration::from_hours(9)).overdue(Duration::from_mins(1)).when_limited(when);
    let before = mint.books().filter_asked[0];
    let site = plan.open(MemoryStore::new()).await;
    // The one time.
    while mint.books().filter_asked[0] == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site
}

fn spent_key(token: &OwnedToken) -> SpentKey {
    *token.token().spent_key()
}

fn segment(mint: &StandIn, first: u64, keys: &[SpentKey]) -> Vec<u8> {
    let keyset = mint.books().list.keysets()[0].id();
    SpentSegment::build(keyset, first, keys.iter().map(SpentMark::of).collect()).unwrap().to_bytes()
}

/// Pays for an article and says what came of it: the receipt's state, or the problem's code.
async fn buy(site: &Site<MemoryStore>, tokens: Vec<OwnedToken>, rng: &mut StdRng) -> (String, String) {
    let (reader, url) = (Reader::new(), site.url("/articles/one"));
    let sent = pay(&reader.challenge(&url).await, tokens, None, rng);
    let reply = reader.get_with(&url, &sent.header).await;
    let what = if reply.status == 200 { reply.receipt().extensions["state"].as_str().unwrap().to_owned() } else { reply.code() };
    (what, sent.header)
}

#[tokio::test]
async fn a_hit_asks_the_mint_first_and_refuses_nobody() {
    let (mint, url) = StandIn::start(World::new(80)).await;
    let mut rng = StdRng::seed_from_u64(80);
    let (there, here) = (deferred(&mint, &url, WhenLimited::Refuse).await, deferred(&mint, &url, WhenLimited::Refuse).await);
    let token = mint.books().world.tokens(&[500]);
    let (again, key) = (vec![copy(&token[0])], spent_key(&token[0]));
    assert_eq!(buy(&there, token, &mut rng).await.0, "accepted");
    there.verifier.flush_outbox().await.unwrap();

    // Spent elsewhere and published: not served, with the proof. Without the filter it would have been.
    let honest = mint.books().world.tokens(&[500, 500]);
    let keys = [key, spent_key(&honest[0])];
    mint.books().segments = vec![segment(&mint, 0, &keys)];
    here.verifier.refresh_filters().await.unwrap();
    assert_eq!(buy(&here, again, &mut rng).await.0, "double-spend");
    // An unspent token in the filter costs a round trip, and its payment known here is answered from the store.
    let [hit, other]: [OwnedToken; 2] = honest.try_into().ok().unwrap();
    let (what, header) = buy(&here, vec![hit], &mut rng).await;
    assert_eq!(what, "settled");
    mint.fail_always(Some(Fault::Unavailable));
    let reply = Reader::new().get_with(&here.url("/articles/one"), &header).await;
    assert_eq!(reply.receipt().extensions["state"], "settled");
    // What does not hit is accepted while the mint is down.
    assert_eq!(buy(&here, vec![other], &mut rng).await.0, "accepted");
    assert_eq!(here.verifier.statistics().filter_hit, 2);
    assert_eq!(there.verifier.statistics().filter_hit, 0);
}

#[tokio::test]
async fn the_index_is_asked_for_with_its_tag_and_each_segment_once() {
    let (mint, url) = StandIn::start(World::new(81)).await;
    let keys: Vec<SpentKey> = mint.books().world.tokens(&[500, 500, 500]).iter().map(spent_key).collect();
    mint.books().segments = vec![segment(&mint, 0, &keys[..1])];
    let site = deferred(&mint, &url, WhenLimited::SettleFirst).await;
    site.verifier.refresh_filters().await.unwrap();
    let asked = || mint.books().filter_asked;
    let before = asked();
    site.verifier.refresh_filters().await.unwrap();
    assert_eq!(asked(), [before[0] + 1, before[1], before[2]], "nothing has changed");
    let second = segment(&mint, 1, &keys[1..]);
    mint.books().segments.push(second);
    site.verifier.refresh_filters().await.unwrap();
    assert_eq!(asked(), [before[0] + 2, before[1] + 1, before[2] + 1], "the new one alone");

    // What is held, and for how long it has been what the mint publishes.
    let state = async || site.verifier.metrics().await.unwrap().filters.unwrap();
    site.set_clock(NOW + 40);
    let held = state().await;
    assert_eq!((held.segments, held.tokens, held.age), (2, 3, Some(40)));
    assert!(held.bytes > 0);
    site.verifier.refresh_filters().await.unwrap();
    assert_eq!(state().await.age, Some(0), "nothing has changed, and that was asked");
    mint.books().segments.push(b"nonsense".to_vec());
    site.set_clock(NOW + 90);
    site.verifier.refresh_filters().await.unwrap();
    assert_eq!((state().await.segments, state().await.age), (2, Some(50)), "not all that the mint lists");
}

#[tokio::test]
async fn a_filter_that_is_none_changes_nothing() {
    let (mint, url) = StandIn::start(World::new(82)).await;
    let mut rng = StdRng::seed_from_u64(82);
    let site = deferred(&mint, &url, WhenLimited::SettleFirst).await;
    let [first, second, third]: [OwnedToken; 3] = mint.books().world.tokens(&[500, 500, 500]).try_into().ok().unwrap();
    // Of another keyset, cut short, nonsense: none is held, and the good one beside them is.
    let good = segment(&mint, 0, &[spent_key(&first)]);
    let foreign = SpentSegment::build(farthing_protocol::proof::KeysetId([1; 32]), 0, vec![SpentMark::of(&spent_key(&second))]);
    let cut = segment(&mint, 0, &[spent_key(&second)]);
    mint.books().segments = vec![foreign.unwrap().to_bytes(), cut[..cut.len() - 1].to_vec(), b"nonsense".to_vec(), good];
    site.verifier.refresh_filters().await.unwrap();
    assert_eq!(buy(&site, vec![first], &mut rng).await.0, "settled");
    assert_eq!(buy(&site, vec![second], &mut rng).await.0, "accepted");
    // What was held stays when the mint has nothing readable any more.
    let known = spent_key(&third);
    mint.books().segments = vec![segment(&mint, 0, &[known])];
    site.verifier.refresh_filters().await.unwrap();
    mint.books().segments = vec![b"nonsense".to_vec()];
    site.verifier.refresh_filters().await.unwrap();
    assert_eq!(buy(&site, vec![third], &mut rng).await.0, "settled");
}

#[tokio::test]
async fn beyond_the_limits_and_when_the_mint_is_overdue_it_does_as_configured() {
    for (number, when) in [(83, WhenLimited::Refuse), (84, WhenLimited::SettleFirst)] {
        let (mint, url) = StandIn::start(World::new(number)).await;
        let mut rng = StdRng::seed_from_u64(number);
        let site = deferred(&mint, &url, when).await;
        let token = || mint.books().world.tokens(&[500]);
        // Down: accepted up to the limit, then either refused unclaimed or claimed and undecided.
        mint.fail_always(Some(Fault::Unavailable));
        assert_eq!(buy(&site, token(), &mut rng).await.0, "accepted");
        site.set_clock(NOW + 59);
        assert_eq!(buy(&site, token(), &mut rng).await.0, "accepted", "owed for less than a minute");
        let third = token();
        let kept = vec![copy(&third[0])];
        let down = if when == WhenLimited::Refuse { "limit-reached" } else { "mint-unavailable" };
        assert_eq!(buy(&site, third, &mut rng).await.0, down);
        mint.fail_always(None);
        site.hand_in().await;
        if when == WhenLimited::Refuse {
            assert_eq!(buy(&site, kept, &mut rng).await.0, "accepted", "it was not claimed");
            site.hand_in().await;
        }

        // Overdue, with room enough.
        mint.fail_always(Some(Fault::Unavailable));
        site.set_clock(NOW + 100);
        assert_eq!(buy(&site, token(), &mut rng).await.0, "accepted");
        site.set_clock(NOW + 160);
        assert_eq!(buy(&site, token(), &mut rng).await.0, down, "owed for a minute");
        assert_eq!(site.verifier.metrics().await.unwrap().oldest_undecided, Some(60));
        mint.fail_always(None);
        site.hand_in().await;
        assert_eq!(site.verifier.metrics().await.unwrap().oldest_undecided, None);
        assert_eq!(buy(&site, token(), &mut rng).await.0, "accepted", "answered");
        assert_eq!((site.verifier.statistics().mint_overdue, site.verifier.statistics().limit_reached), (1, 2));
    }
}
