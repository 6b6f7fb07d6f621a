//! Payments that nobody made, to fill a store with and to try limits.

use std::ops::Range;
use std::sync::Arc;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::wire::{Bytes, SpentKeyBody};
use sha2::{Digest, Sha256};

use super::super::{Claim, ClaimOutcome, Decision, PaymentState, Prune, RiskLimits, Store, UsedChallenge};
use super::{claim, mark};

/// Claims and settles made-up payments of so many tokens each (at least one), numbered by `numbers`, in groups of 64, so many groups at a time
/// (at least one): to measure a store at any size. Their challenges expire a second later every thousand, the first at 5,000.
///
/// # Panics
/// If the store fails, or knows one of them already.
pub async fn fill<S: Store>(store: &Arc<S>, numbers: Range<u64>, tokens: u8, groups: usize) {
    let mut running = tokio::task::JoinSet::new();
    for first in numbers.clone().step_by(64) {
        while running.len() >= groups.max(1) {
            running.join_next().await.transpose().expect("made-up payments are claimed and settled");
        }
        running.spawn(group(Arc::clone(store), first..numbers.end.min(first + 64), tokens));
    }
    while running.join_next().await.transpose().expect("made-up payments are claimed and settled").is_some() {}
}

async fn group<S: Store>(store: Arc<S>, numbers: Range<u64>, tokens: u8) {
    let running = numbers.map(|number| {
        let (store, claim) = (Arc::clone(&store), made_up(number, tokens));
        tokio::spawn(async move {
            let payment = claim.payment;
            assert_eq!(store.claim(claim).await, Ok(ClaimOutcome::Claimed), "a made-up payment is claimed");
            payment
        })
    });
    let mut decisions = Vec::with_capacity(64);
    for claimed in running.collect::<Vec<_>>() {
        decisions.push(Decision { payment: claimed.await.expect("a claim does not fail"), state: PaymentState::Settled });
    }
    // As long as a true one: ids, outcomes, mark, key and proof.
    let mut answer: Vec<u8> = decisions.iter().flat_map(|decision| decision.payment.0).collect();
    answer.resize(answer.len() + 12 * decisions.len() + 128, 0);
    store.decide(decisions, Some(mark(1, 1)), Some(answer)).await.expect("made-up payments are settled");
}

/// Tries every one of these again: each is known, and another payment with any of its tokens is refused.
///
/// # Panics
/// If the store has forgotten one.
#[cfg(test)]
pub(crate) async fn filled<S: Store>(store: &S, numbers: Range<u64>, tokens: u8) {
    for number in numbers {
        let again = made_up(number, tokens);
        let known = store.claim(again.clone()).await;
        assert!(matches!(known, Ok(ClaimOutcome::Known(record)) if record.state == PaymentState::Settled), "a made-up payment is known");
        for (which, key) in again.list.iter().enumerate() {
            let mut other = claim(1, &[1], 1);
            other.payment = PaymentId(Sha256::digest([&again.payment.0[..], &[u8::try_from(which).unwrap_or(u8::MAX), 1]].concat()).into());
            other.challenge.id = other.payment.0;
            (other.list[0].key, other.record.side.list[0].key) = (key.key, Bytes(key.key));
            let refused = store.claim(other).await;
            let held = matches!(&refused, Ok(ClaimOutcome::Conflict(record)) if record.side == again.record.side);
            assert!(held, "a made-up payment's tokens are spent");
        }
        let mut answered = claim(1, &[1], 1);
        answered.payment = PaymentId([9; 32]);
        answered.list[0].key = [9; 32];
        answered.challenge = again.challenge;
        assert_eq!(store.claim(answered).await, Ok(ClaimOutcome::ChallengeUsed), "a made-up payment's challenge is used");
    }
}

/// Spread over the whole range of ids and keys, as true payments are.
fn made_up(number: u64, tokens: u8) -> Claim {
    let id: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
    let mut keys: Vec<[u8; 32]> = (0..tokens.max(1)).map(|token| Sha256::digest([&id[..], &[token]].concat()).into()).collect();
    keys.sort_unstable();
    let mut claim = claim(1, &vec![1; keys.len()], 1);
    claim.payment = PaymentId(id);
    claim.challenge = UsedChallenge { expires: 5_000 + number / 1_000, id };
    let (listed, paid) = (&mut claim.record.side.list, &mut claim.deposit.payment.tokens.tokens);
    for (((own, listed), paid), key) in claim.list.iter_mut().zip(listed).zip(paid).zip(keys) {
        (own.key, listed.key, paid.key) = (key, Bytes(key), Bytes(key));
    }
    claim
}

/// A reader chooses its keys: it may well choose two that differ in their last byte alone.
pub(super) async fn tokens_that_begin_alike_are_other_tokens<S: Store>(store: &S) {
    let alike = |number: u8, last: u8| {
        let mut claim = claim(number, &[1], number);
        let mut key = [1; 32];
        key[31] = last;
        let [token] = &mut claim.deposit.payment.tokens.tokens[..] else { unreachable!("a payment of one token") };
        (claim.list[0].key, claim.record.side.list[0].key, token.key) = (key, Bytes(key), Bytes(key));
        claim
    };
    for number in 1..=3 {
        assert_eq!(store.claim(alike(number, number)).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    for number in 1..=3 {
        let holder = alike(number, number).record;
        assert_eq!(store.claim(alike(number + 10, number)).await, Ok(ClaimOutcome::Conflict(holder)), "each has a token of its own");
    }
    let decisions = [1, 3].map(|number| Decision { payment: PaymentId([number; 32]), state: PaymentState::Settled });
    store.decide(decisions.to_vec(), None, None).await.expect("decide");
    let pruned = store.prune(Prune::new(vec![KeysetId([7; 32])], 3_000, 10)).await.expect("prune");
    assert_eq!(pruned.payments, 2, "what is over is forgotten");
    assert_eq!(store.claim(alike(21, 1)).await, Ok(ClaimOutcome::Claimed), "nothing is left of what is forgotten");
    let left = alike(2, 2).record;
    assert_eq!(store.claim(alike(22, 2)).await, Ok(ClaimOutcome::Conflict(left)), "what is undecided stays");
}

/// A made-up payment of one token that asks to be accepted within limits: to try these with, on whatever store.
pub fn accepted_payment(number: u64, token: SpentKey, amount: Amount, now: u64, window: u64, limits: RiskLimits) -> Claim {
    let mut claim = made_up(number, 1);
    let spent = SpentKeyBody { keyset: Bytes(token.keyset.0), denomination: token.denomination.units(), key: Bytes(token.key) };
    (claim.list, claim.record.side.list) = (vec![token], vec![spent]);
    (claim.record.state, claim.record.amount, claim.limits) = (PaymentState::Accepted, amount, Some(limits));
    (claim.record.claimed_at, claim.record.window) = (now, window);
    claim
}
