//! What the mint has signed about a payment is there as long as the payment is settled and known; and what it owes an answer about.

use farthing_protocol::proof::{KeysetId, PaymentId};
use farthing_protocol::settle::Refusal;
use sha2::{Digest, Sha256};

use super::super::{Decision, PaymentState, Prune, RefusedBecause, Store};
use super::{claim, mark};

async fn claimed<S: Store>(store: &S, numbers: impl Iterator<Item = u8>) {
    for number in numbers {
        assert_eq!(store.claim(claim(number, &[number], number)).await, Ok(super::ClaimOutcome::Claimed), "a payment is claimed");
    }
}

async fn decide<S: Store>(store: &S, numbers: &[u8], state: PaymentState, answer: Option<&[u8]>) {
    let decision = |number: &u8| Decision { payment: PaymentId([*number; 32]), state: state.clone() };
    let decided = store.decide(numbers.iter().map(decision).collect(), Some(mark(1, 1)), answer.map(<[u8]>::to_vec)).await;
    decided.expect("decide");
}

/// `None` if nothing is kept, then the answer if there is one.
async fn kept<S: Store>(store: &S, number: u8) -> Option<Option<Vec<u8>>> {
    let kept = store.kept_answer(PaymentId([number; 32])).await.expect("the answer kept")?;
    assert!(kept.deposit == claim(number, &[number], number).deposit, "the deposit is the one handed in");
    Some(kept.answer)
}

/// The answer's name in the record, which is the same for whoever looks and whoever claims again.
async fn name<S: Store>(store: &S, number: u8) -> Option<[u8; 32]> {
    let record = store.payment(PaymentId([number; 32])).await.expect("read").expect("the record is there");
    let again = store.claim(claim(number, &[number], number)).await.expect("claim");
    assert!(matches!(again, super::ClaimOutcome::Known(known) if known == record), "the record is one");
    record.answer
}

pub(super) async fn the_answer_is_kept_with_what_it_settles<S: Store>(store: &S) {
    claimed(store, 1..=5).await;
    assert_eq!(kept(store, 1).await, None, "what is undecided has no answer");
    let (first, second) = (vec![1; 3_000], vec![2]);
    decide(store, &[1, 2], PaymentState::Settled, Some(&first)).await;
    decide(store, &[3], PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late)), Some(&first)).await;
    decide(store, &[4], PaymentState::Settled, None).await;
    decide(store, &[9], PaymentState::Settled, Some(&first)).await;
    let of_first = Some(Sha256::digest(&first).into());
    assert_eq!([name(store, 1).await, name(store, 2).await], [of_first; 2], "the record names it");
    assert_eq!([name(store, 3).await, name(store, 4).await], [None; 2], "or says that there is none");
    let first = Some(Some(first));
    assert_eq!([kept(store, 1).await, kept(store, 2).await], [first.clone(), first.clone()], "one answer for all that it settles");
    assert_eq!([kept(store, 3).await, kept(store, 9).await], [None, None], "what is refused or unknown keeps none");
    assert_eq!(kept(store, 4).await, Some(None), "what is settled without one has none");
    decide(store, &[1, 4], PaymentState::Settled, Some(&second)).await;
    assert_eq!(kept(store, 1).await, first, "the first answer stays");
    assert_eq!(kept(store, 4).await, Some(Some(second.clone())), "what has none takes the next");
    let record = store.payment(PaymentId([1; 32])).await.expect("read").expect("the record is there");
    assert!(record.state == PaymentState::Settled && record.side == claim(1, &[1], 1).record.side, "the rest of the record is kept");
    decide(store, &[1], PaymentState::Refunded, None).await;
    assert_eq!([kept(store, 1).await, kept(store, 2).await], [None, first], "what is given back keeps none, the others theirs");
    assert_eq!([name(store, 1).await, name(store, 2).await], [None, of_first], "and its record names none");
    decide(store, &[2, 5], PaymentState::Refunded, Some(&second)).await;
    assert_eq!([kept(store, 2).await, kept(store, 5).await], [None, None], "what is given back keeps none");
    decide(store, &[1, 3], PaymentState::Settled, Some(&second)).await;
    assert_eq!([name(store, 1).await, name(store, 3).await], [None, None], "nor does it once it is said to be settled");
    assert_eq!([kept(store, 1).await, kept(store, 3).await], [None, None], "which it is not");
    assert_eq!(kept(store, 4).await, Some(Some(second)), "others do not disturb");
}

pub(super) async fn the_answer_is_forgotten_with_the_last_it_settles<S: Store>(store: &S) {
    claimed(store, [1].into_iter()).await;
    let mut readable = claim(2, &[2], 2);
    readable.record.access_until = 3_000;
    assert_eq!(store.claim(readable).await, Ok(super::ClaimOutcome::Claimed), "a payment is claimed");
    decide(store, &[1, 2], PaymentState::Settled, Some(&[7; 100])).await;
    let forget = async |before| {
        let pruned = store.prune(Prune::new(vec![KeysetId([7; 32])], before, 10)).await.expect("prune");
        pruned.payments
    };
    assert_eq!(forget(3_000).await, 1, "one is over");
    assert_eq!([kept(store, 1).await, kept(store, 2).await], [None, Some(Some(vec![7; 100]))], "the other keeps the answer");
    assert_eq!(forget(4_000).await, 1, "then the other");
    assert_eq!(kept(store, 2).await, None, "nothing is left");
}

pub(super) async fn the_oldest_undecided_is_known<S: Store>(store: &S) {
    let oldest = async || store.oldest_undecided().await.expect("the oldest");
    assert_eq!(oldest().await, None, "nothing is undecided");
    for (number, at, latest) in [(1_u8, 5_000_u64, 5_000), (2, 1 << 40, 1 << 40), (3, 4_999, 1 << 40), (4, 4_999, 1 << 40)] {
        let mut claim = claim(number, &[number], number);
        claim.record.claimed_at = at;
        assert_eq!(store.claim(claim).await, Ok(super::ClaimOutcome::Claimed), "a payment is claimed");
        assert_eq!(store.totals().await.map(|totals| totals.latest_claim), Ok(latest), "the latest claim is known at once, and stays");
    }
    assert_eq!(oldest().await, Some(4_999), "the oldest of all");
    decide(store, &[3], PaymentState::Settled, Some(&[1])).await;
    assert_eq!(oldest().await, Some(4_999), "another of that second");
    decide(store, &[4], PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late)), None).await;
    assert_eq!(oldest().await, Some(5_000), "then the next");
    decide(store, &[1], PaymentState::Refunded, None).await;
    assert_eq!(oldest().await, Some(1 << 40), "whatever is decided");
    decide(store, &[2], PaymentState::Settled, None).await;
    assert_eq!(oldest().await, None, "nothing is undecided any more");
}
