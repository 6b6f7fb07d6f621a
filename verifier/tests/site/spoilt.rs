//! Answers of the mint that one payment spoils for others, that are signed by a key not known yet, or that accuse.

use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::DoubleSpend;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{DeferredLimits, Mode, VerifierError};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{Plan, Reader, eventually, pay};
use crate::stand_in::{Fault, StandIn};
use crate::world::{DAY, NOW, World, announce, copy};

/// More than a request to the mint, and a page of the outbox, holds.
const PAYMENTS: usize = 70;

#[tokio::test]
async fn a_payment_that_spoils_an_answer_holds_up_nobody_but_itself() {
    let (mint, url) = StandIn::start(World::new(120)).await;
    let root = mint.books().world.root();
    let all = Amount::from_units(1_000_000);
    let limits = DeferredLimits { outstanding: all, per_window: all, window: Duration::from_mins(10) };
    let mut plan = Plan::new(&url, root).await.mode(Mode::Deferred(limits));
    // The background work comes once, while the mint is away, and not again.
    plan.config = plan.config.retry(Duration::from_hours(1), Duration::from_hours(1));
    let (site, reader) = (plan.open(MemoryStore::new()).await, Reader::new());
    let (one, mut rng) = (site.url("/articles/one"), StdRng::seed_from_u64(120));
    mint.fail_always(Some(Fault::Unavailable));
    let tokens = mint.books().world.tokens(&[500; PAYMENTS]);
    let mut payments = Vec::new();
    for token in tokens {
        let sent = pay(&reader.challenge(&one).await, vec![token], None, &mut rng);
        assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
        payments.push(sent.id);
    }
    // Nothing is on its way any more.
    eventually("that every request has failed", async || {
        let (failed, asked) = (site.verifier.statistics().mint_error, mint.books().requests.len());
        mint.handed_in() >= PAYMENTS && failed == asked as u64
    })
    .await;
    let before = mint.books().requests.len();
    mint.fail_always(None);
    // It stands on the first page, as the outbox is ordered.
    mint.books().spoilt = payments.iter().min().copied();
    let undecided = async || site.verifier.totals().await.unwrap().undecided;
    assert!(matches!(site.verifier.flush_outbox().await, Err(VerifierError::MintUnavailable)));
    assert_eq!(undecided().await, 1, "all the others are decided, on either page");
    let together = mint.books().requests[before..].iter().filter(|payments| **payments > 1).count();
    assert!((2..8).contains(&together), "they are asked for together first: {together} requests of several");

    mint.books().spoilt = None;
    assert_eq!(site.verifier.flush_outbox().await.unwrap(), 1);
    assert_eq!((undecided().await, mint.credited()), (0, PAYMENTS));
    assert_eq!(site.verifier.flush_outbox().await.unwrap(), 0);
}

#[tokio::test]
async fn an_answer_under_a_new_receipt_key_is_believed_once_the_list_names_it() {
    let (mint, url) = StandIn::start(World::new(121)).await;
    let root = mint.books().world.root();
    let mut plan = Plan::new(&url, root).await;
    plan.config = plan.config.keyset_pause(Duration::ZERO);
    let (site, reader) = (plan.open(MemoryStore::new()).await, Reader::new());
    let (one, mut rng) = (site.url("/articles/one"), StdRng::seed_from_u64(121));
    let tokens = mint.books().world.tokens(&[500, 500]);
    {
        let mut books = mint.books();
        let World { list, root, rng, .. } = &mut books.world;
        // The tokens are of the keyset that the verifier knows; the receipt key is not.
        let (receipt, _) = announce(list, NOW - 2 * DAY, NOW + DAY, root, rng);
        books.world.receipt = receipt;
    }
    let mut tokens = tokens.into_iter();
    let sent = pay(&reader.challenge(&one).await, vec![tokens.next().unwrap()], None, &mut rng);
    let reply = reader.get_with(&one, &sent.header).await;
    assert_eq!(reply.problem(), ("internal-payment-error".into(), "mint-unavailable".into()), "nobody has named that key");
    {
        let mut books = mint.books();
        books.list = books.world.list.clone();
    }
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200, "the answer itself is reason enough to ask for the list");
    let sent = pay(&reader.challenge(&one).await, vec![tokens.next().unwrap()], None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
}

#[tokio::test]
async fn what_was_paid_elsewhere_after_a_loss_counts_as_refused_when_it_is_handed_in_again() {
    let (mint, url) = StandIn::start(World::new(122)).await;
    let root = mint.books().world.root();
    let [here, there] = [Plan::new(&url, root).await, Plan::new(&url, root).await];
    let (here, there, reader) = (here.open(MemoryStore::new()).await, there.open(MemoryStore::new()).await, Reader::new());
    let mut rng = StdRng::seed_from_u64(122);
    let tokens = mint.books().world.tokens(&[500, 500]);
    let copied = vec![copy(&tokens[0])];
    let [one, two] = [&here, &there].map(|site| site.url("/articles/one"));
    for token in tokens {
        let sent = pay(&reader.challenge(&one).await, vec![token], None, &mut rng);
        assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);
    }
    mint.books().forget_all();
    let sent = pay(&reader.challenge(&two).await, copied, None, &mut rng);
    assert_eq!(reader.get_with(&two, &sent.header).await.status, 200, "the mint has forgotten the first payment");
    let done = here.verifier.redeposit(None).await.unwrap();
    assert_eq!((done.credited, done.already_credited, done.refunded, done.refused), (1, 0, 0, 1));
    let proofs = here.verifier.double_spend_proofs().await.unwrap();
    assert!(DoubleSpend::from_frame(&proofs[0]).unwrap().verify(&mint.books().world.table).is_ok());
}
