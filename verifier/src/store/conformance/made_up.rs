//! Payments that nobody made, to fill a store with and to try limits.

use std::ops::Range;
use std::sync::Arc;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{PaymentId, SpentKey};
use farthing_protocol::wire::{Bytes, SpentKeyBody};
use sha2::{Digest, Sha256};

use super::super::{Claim, ClaimOutcome, Decision, PaymentState, RiskLimits, Store};
use super::{claim, mark};

/// Claims and settles made-up payments of so many tokens each (at least one), numbered by `numbers`, 64 at a time: to measure a store at any
/// size.
///
/// # Panics
/// If the store fails, or knows one of them already.
pub async fn fill<S: Store>(store: &Arc<S>, numbers: Range<u64>, tokens: u8) {
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        let running: Vec<_> = numbers
            .by_ref()
            .take(64)
            .map(|number| {
                let (store, claim) = (Arc::clone(store), made_up(number, tokens));
                tokio::spawn(async move {
                    let payment = claim.payment;
                    assert_eq!(store.claim(claim).await, Ok(ClaimOutcome::Claimed), "a made-up payment is claimed");
                    payment
                })
            })
            .collect();
        let mut decisions = Vec::with_capacity(running.len());
        for claimed in running {
            decisions.push(Decision { payment: claimed.await.expect("a claim does not fail"), state: PaymentState::Settled });
        }
        // As long as a true one: ids, outcomes, mark, key and proof.
        let mut answer: Vec<u8> = decisions.iter().flat_map(|decision| decision.payment.0).collect();
        answer.resize(answer.len() + 12 * decisions.len() + 128, 0);
        store.decide(decisions, Some(mark(1, 1)), Some(answer)).await.expect("made-up payments are settled");
    }
}

/// Spread over the whole range of ids and keys, as true payments are.
fn made_up(number: u64, tokens: u8) -> Claim {
    let id: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
    let mut keys: Vec<[u8; 32]> = (0..tokens.max(1)).map(|token| Sha256::digest([&id[..], &[token]].concat()).into()).collect();
    keys.sort_unstable();
    let mut claim = claim(1, &vec![1; keys.len()], 1);
    claim.payment = PaymentId(id);
    claim.challenge.id = id;
    let (listed, paid) = (&mut claim.record.side.list, &mut claim.deposit.payment.tokens.tokens);
    for (((own, listed), paid), key) in claim.list.iter_mut().zip(listed).zip(paid).zip(keys) {
        (own.key, listed.key, paid.key) = (key, Bytes(key), Bytes(key));
    }
    claim
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
