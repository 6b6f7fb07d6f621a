//! Several backends of one publisher, and what a mint that was restored from a backup is handed in again.

use farthing_protocol::settle::Refusal;
use farthing_verifier::store::{Document, MemoryStore, RedbStore, Store};
use farthing_verifier::{ChallengeSecret, PublisherKey, Redeposited, Verifier, VerifierError};
use rand::SeedableRng;
use rand::rngs::StdRng;

#[cfg(feature = "postgres")]
use crate::site::{PATIENCE, Reader};
use crate::site::{Plan, loop_of, pay, secret};
use crate::stand_in::{Fault, StandIn};
use crate::world::World;
#[cfg(feature = "postgres")]
use crate::world::copy;

#[tokio::test]
async fn several_instances_are_refused_on_a_store_of_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let (_mint, url) = StandIn::start(World::new(110)).await;
    let root = World::new(110).root();
    let config = Plan::new(&url, root).await.config;
    let refused = |opened: Result<(), VerifierError>| matches!(opened, Err(VerifierError::PrivateStore));
    let two = config.clone().instances(2);
    assert!(refused(Verifier::open(two.clone(), MemoryStore::new()).await.map(|_| ())));
    let file = directory.path().join("claims.redb");
    let error = Verifier::open(two, RedbStore::open(&file).unwrap()).await.err().unwrap();
    assert!(error.to_string().contains("(private-store)") && error.to_string().contains("postgres"), "{error}");
    let none = Verifier::open(config.clone().instances(0), MemoryStore::new()).await;
    assert!(matches!(none.err(), Some(VerifierError::Config(_))));
    assert!(Verifier::open(config, RedbStore::open(&file).unwrap()).await.is_ok(), "one instance is fine");
}

#[tokio::test]
async fn instances_share_the_first_ones_secrets() {
    let store = MemoryStore::new();
    let mut keys = Vec::new();
    for number in [1, 2] {
        ChallengeSecret::shared(&store, secret(number)).await.unwrap();
        keys.push(*PublisherKey::shared(&store, PublisherKey::generate()).await.unwrap().public());
    }
    assert!(keys[0] == keys[1]);
    let stored = async |document| store.load(document).await.unwrap();
    assert_eq!(stored(Document::ChallengeSecret).await, Some(vec![1; 32]), "the first one's counts");
    // The one to come is accepted before anybody uses it, and the one before is accepted afterwards.
    assert!(ChallengeSecret::shared_other(&store).await.unwrap().is_none());
    assert!(ChallengeSecret::switch_shared(&store).await.is_err(), "there is nothing to switch to");
    ChallengeSecret::prepare_shared(&store).await.unwrap();
    let next = stored(Document::OtherSecret).await;
    assert_eq!(stored(Document::ChallengeSecret).await, Some(vec![1; 32]));
    ChallengeSecret::switch_shared(&store).await.unwrap();
    assert_eq!((stored(Document::ChallengeSecret).await, stored(Document::OtherSecret).await), (next, Some(vec![1; 32])));
    assert!(ChallengeSecret::shared_other(&store).await.unwrap().is_some());
    store.save(Document::ChallengeSecret, vec![1; 31]).await.unwrap();
    assert!(ChallengeSecret::shared(&store, secret(1)).await.is_err(), "anything else is no secret");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_on_one_database_claim_once() {
    use farthing_verifier::store::PostgresStore;

    let Some(server) = crate::postgres::Server::start() else { return };
    let place = server.database();
    let (mint, url) = StandIn::start(World::new(111)).await;
    let root = mint.books().world.root();
    let reader = Reader::new();
    let mut rng = StdRng::seed_from_u64(111);
    let mut sites = Vec::new();
    let mut shared = None;
    for number in [1, 2] {
        let store = PostgresStore::open(&place).await.unwrap();
        let mut plan = Plan::new(&url, root).await;
        let own = ChallengeSecret::shared(&store, secret(number)).await.unwrap();
        let name = shared.get_or_insert(plan.name.clone()).clone();
        let config = farthing_verifier::VerifierConfig::new(name, url.clone(), root, own).clock(plan.clock.clone()).instances(2);
        plan.config = config.mint_timeout(PATIENCE);
        sites.push(plan.open(store).await);
    }
    let urls: Vec<String> = sites.iter().map(|site| site.url("/articles/one")).collect();
    let claims = || sites.iter().map(|site| site.verifier.statistics().claim).sum::<u64>();

    // The same payment to both at once: claimed once, booked once, served by both.
    for round in 1..=5 {
        let sent = pay(&reader.challenge(&urls[0]).await, mint.books().world.tokens(&[500]), None, &mut rng);
        let (first, second) = tokio::join!(reader.get_with(&urls[0], &sent.header), reader.get_with(&urls[1], &sent.header));
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200), "{} {}", first.body, second.body);
        assert_eq!((claims(), mint.credited()), (round, usize::try_from(round).unwrap()));
    }
    // The same token in different payments to both at once: one is served, the other gets the proof.
    for round in 6..=10 {
        let tokens = mint.books().world.tokens(&[500]);
        let copied = vec![copy(&tokens[0])];
        let one = pay(&reader.challenge(&urls[0]).await, tokens, None, &mut rng);
        let other = pay(&reader.challenge(&urls[1]).await, copied, None, &mut rng);
        let (first, second) = tokio::join!(reader.get_with(&urls[0], &one.header), reader.get_with(&urls[1], &other.header));
        let (served, refused) = if first.status == 200 { (first, second) } else { (second, first) };
        assert_eq!((served.status.as_u16(), refused.code().as_str()), (200, "double-spend"));
        let proof = <base64ct::Base64UrlUnpadded as base64ct::Encoding>::decode_vec(refused.json()["proof"].as_str().unwrap());
        assert_proof(proof, &mint);
        assert_eq!((claims(), mint.credited()), (round, usize::try_from(round).unwrap()));
    }
    assert_eq!(sites[1].verifier.double_spend_proofs().await.unwrap().len(), 5, "both have the proofs");

    // A mint that is away: what one instance has claimed, the other does not hand in.
    mint.fail_always(Some(Fault::Unavailable));
    let sent = pay(&reader.challenge(&urls[0]).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&urls[0], &sent.header).await.code(), "mint-unavailable");
    assert_eq!(sites[1].verifier.flush_outbox().await.unwrap(), 0, "it has nothing to ask the mint");
    assert_eq!(sites[1].verifier.totals().await.unwrap().undecided, 1);
    assert!(matches!(sites[0].verifier.flush_outbox().await, Err(VerifierError::MintUnavailable)));
    mint.fail_always(None);
    // The background work may have been faster.
    sites[0].hand_in().await;
    assert_eq!(sites[1].verifier.totals().await.unwrap().undecided, 0);
    assert_eq!(reader.get_with(&urls[1], &sent.header).await.status, 200);
    for site in sites {
        site.close().await;
    }
}

#[cfg(feature = "postgres")]
fn assert_proof<E: std::fmt::Debug>(proof: Result<Vec<u8>, E>, mint: &StandIn) {
    use farthing_protocol::wire::{DoubleSpendFrame, Frame};
    let frame = DoubleSpendFrame::from_bytes(&proof.unwrap()).unwrap();
    let proof = farthing_protocol::evidence::DoubleSpend::from_frame(&frame).unwrap();
    assert!(proof.verify(&mint.books().list.key_table()).is_ok());
}

#[tokio::test]
async fn a_restored_mint_is_handed_in_again_what_it_has_lost() {
    let (mint, site, reader) = loop_of(112).await;
    let mut rng = StdRng::seed_from_u64(112);
    let one = site.url("/articles/one");
    let mut last = None;
    for _ in 0..3 {
        let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
        assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
        last = Some(sent);
    }
    let again = async |after| {
        let done: Redeposited = site.verifier.redeposit(after).await.unwrap();
        (done.credited, done.already_credited, done.refunded, done.refused)
    };
    // Booked at 1, 2 and 3, whose seals are the highest, one in between and the lowest. What is handed in again is booked there from then on.
    assert_eq!((again(Some(u64::MAX)).await, mint.handed_in()), ((0, 0, 0, 0), 3), "that is everything");
    for (after, handed_in) in [(3, 0), (2, 1), (1, 2), (0, 3)] {
        assert_eq!(again(Some(after)).await, (0, handed_in, 0, 0), "after {after}");
    }
    assert_eq!(again(None).await, (0, 3, 0, 0), "nothing is lost");
    let sequence = mint.books().sequence;
    mint.books().forget_all();
    assert_eq!(again(Some(sequence)).await, (0, 0, 0, 0), "what the mint's backup holds is left out");
    assert_eq!(again(Some(sequence - 1)).await, (3, 0, 0, 0));
    assert_eq!((mint.credited(), again(None).await), (3, (0, 3, 0, 0)), "once");

    // A mint that does not answer is asked again later; one that lies is not believed.
    mint.books().forget_all();
    for fault in [Fault::Unavailable, Fault::BadSignature, Fault::WrongChange, Fault::InventedDoubleSpend] {
        mint.fail_once(fault);
        assert!(matches!(site.verifier.redeposit(None).await, Err(VerifierError::MintUnavailable)), "{fault:?}");
    }
    // Whatever it says now, what was paid stays paid.
    mint.fail_once(Fault::Refuse(Refusal::Late));
    assert_eq!(again(None).await.3, 3);
    mint.fail_once(Fault::Refunded);
    assert_eq!(again(None).await.2, 3);
    assert_eq!(reader.get_with(&one, &last.unwrap().header).await.status, 200);
}
