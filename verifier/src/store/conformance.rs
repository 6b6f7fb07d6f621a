//! What every store must do, as tests a publisher runs on its own store.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use farthing_verifier::store::{MemoryStore, conformance};
//!
//! conformance::run(async || MemoryStore::new()).await;
//! # });
//! ```
//!
//! A store that survives restarts is also tried with [`run_durable`], one that several processes share with [`run_shared`].
//!
//! # Security
//! Passing says nothing about power failures: that a finished write is on the disk is for the database's settings to assure.

mod answers;
mod made_up;

use std::sync::Arc;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;
use farthing_protocol::wire::{
    Bytes, DepositBody, DoubleSpendFrame, LedgerMark, PaymentFrame, ProofBody, SignatureBody, SpendingSideBody, SpentKeyBody, TokenBody,
    TokensBody,
};

#[cfg(test)]
pub(crate) use made_up::filled;
pub use made_up::{accepted_payment, fill};

use super::{
    Claim, ClaimOutcome, Decision, Document, PaymentRecord, PaymentState, Prune, RefusedBecause, RiskLimits, Store, UsedChallenge,
};

/// Runs every case, each on a store that `open` makes empty.
///
/// # Panics
/// On the first case that fails, naming it.
pub async fn run<S: Store>(mut open: impl AsyncFnMut() -> S) {
    a_payment_is_claimed_once(&open().await).await;
    a_token_is_claimed_once(&open().await).await;
    equal_keys_of_other_keysets_are_other_tokens(&open().await).await;
    made_up::tokens_that_begin_alike_are_other_tokens(&open().await).await;
    a_challenge_is_used_once(&open().await).await;
    expired_challenges_are_dropped(&open().await).await;
    decisions_are_final(&open().await).await;
    refusals_keep_their_reason(&open().await).await;
    what_is_given_back_stays_so(&open().await).await;
    what_is_booked_is_kept(&open().await).await;
    answers::the_answer_is_kept_with_what_it_settles(&open().await).await;
    answers::the_answer_is_forgotten_with_the_last_it_settles(&open().await).await;
    only_what_is_over_is_forgotten(&open().await).await;
    a_step_of_forgetting_looks_at_no_more_than_it_may(&open().await).await;
    the_outbox_is_read_in_pages(&open().await).await;
    answers::the_oldest_undecided_is_known(&open().await).await;
    limits_hold(&open().await).await;
    marks_rise(&open().await).await;
    documents_are_replaced(&open().await).await;
    the_first_document_stays(&open().await).await;
    the_first_proof_of_a_token_stays(&open().await).await;
    one_of_many_wins(Arc::new(open().await)).await;
}

/// Runs the cases of a store that survives restarts: `open` opens the same place each time, after the store before was dropped.
///
/// # Panics
/// On the first case that fails, naming it.
pub async fn run_durable<S: Store>(mut open: impl AsyncFnMut() -> S) {
    let store = open().await;
    let (first, second) = (claim(1, &[1, 2], 1), claim(2, &[3], 2));
    assert_eq!(store.claim(first.clone()).await, Ok(ClaimOutcome::Claimed), "durable: first claim");
    assert_eq!(store.claim(accepted(second.clone(), 10, 100, 100)).await, Ok(ClaimOutcome::Claimed), "durable: accepted claim");
    let decision = Decision { payment: first.payment, state: PaymentState::Settled };
    store.decide(vec![decision], Some(mark(1, 7)), Some(vec![5; 300])).await.expect("durable: decide");
    store.save(Document::Keysets, vec![1, 2, 3]).await.expect("durable: save");
    store.keep_proof(proof(1, 1)).await.expect("durable: keep a proof");
    assert_eq!(store.use_challenge(challenge(9)).await, Ok(true), "durable: use a challenge");
    drop(store);

    let store = open().await;
    let record = store.payment(first.payment).await.expect("durable: read").expect("durable: the record survives");
    assert!(record.state == PaymentState::Settled && record.side == first.record.side, "durable: the record is the one written");
    assert!(matches!(store.claim(claim(3, &[2], 3)).await, Ok(ClaimOutcome::Conflict(_))), "durable: spent keys survive");
    assert_eq!(store.claim(claim(3, &[9], 1)).await, Ok(ClaimOutcome::ChallengeUsed), "durable: used challenges survive");
    assert_eq!(store.use_challenge(challenge(9)).await, Ok(false), "durable: used challenges survive");
    let outbox = store.outbox(None, 10).await.expect("durable: outbox");
    assert!(outbox.len() == 1 && outbox[0].payment == second.payment, "durable: the outbox holds what is undecided");
    assert!(outbox[0].deposit == second.deposit, "durable: the deposit is the one written");
    let kept = store.kept(None, None, 10).await.expect("durable: kept");
    assert!(kept.len() == 1 && kept[0].deposit == first.deposit && kept[0].mark == Some(mark(1, 7)), "durable: what is booked is kept");
    let answer = store.kept_answer(first.payment).await.expect("durable: the answer").expect("durable: the answer is kept");
    assert!(answer.answer == Some(vec![5; 300]) && answer.deposit == first.deposit, "durable: the answer is the one given");
    let totals = store.totals().await.expect("durable: totals");
    assert!(totals.outstanding == Amount::from_units(10) && totals.undecided == 1 && totals.latest_claim == 1_000, "durable: totals");
    assert_eq!(store.mark().await, Ok(Some(mark(1, 7))), "durable: mark");
    assert_eq!(store.load(Document::Keysets).await, Ok(Some(vec![1, 2, 3])), "durable: documents");
    assert_eq!(store.proofs().await, Ok(vec![proof(1, 1)]), "durable: proofs");
}

/// Runs the cases of a store that several processes share: `open` opens the same place each time, and those it has opened stay open. Nobody
/// else may use the place, and what others hold in the outbox must stay theirs for longer than the run takes.
///
/// # Panics
/// On the first case that fails, naming it.
pub async fn run_shared<S: Store>(mut open: impl AsyncFnMut() -> S) {
    let stores = [Arc::new(open().await), Arc::new(open().await), Arc::new(open().await)];
    assert!(stores.iter().all(|store| store.is_shared()), "shared: the store says that it is");
    let race = async |claims: Vec<Claim>| {
        let running = claims.into_iter().zip(stores.iter().cycle()).map(|(claim, store)| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.claim(claim).await })
        });
        let running: Vec<_> = running.collect();
        let (mut claimed, mut known, mut conflicts) = (0, 0, 0);
        for outcome in running {
            match outcome.await.expect("a claim does not panic").expect("a claim does not fail") {
                ClaimOutcome::Claimed => claimed += 1,
                ClaimOutcome::Known(_) => known += 1,
                ClaimOutcome::Conflict(_) => conflicts += 1,
                ClaimOutcome::ChallengeUsed | ClaimOutcome::LimitReached => {}
            }
        }
        (claimed, known, conflicts)
    };
    assert_eq!(race((0..30).map(|_| claim(1, &[1, 2], 1)).collect()).await, (1, 29, 0), "shared: one payment is claimed once");
    let many = |number: u8| claim(number, &[3, number], number);
    assert_eq!(race((10..40).map(many).collect()).await, (1, 0, 29), "shared: one token is claimed once");
    let same_challenge = |number: u8| claim(number, &[number], 99);
    assert_eq!(race((50..80).map(same_challenge).collect()).await, (1, 0, 0), "shared: one challenge is used once");
    let limited = |number: u8| accepted(claim(number, &[number], number), 10, 100, 70);
    assert_eq!(race((100..130).map(limited).collect()).await.0, 7, "shared: limits hold together");
    assert_eq!(stores[0].totals().await.map(|totals| totals.outstanding.units()), Ok(70), "shared: what is accepted is counted once");
    assert_eq!(race((130..190).map(|number| claim(number, &[number], number)).collect()).await.0, 60, "shared: others do not disturb");

    let mut held = Vec::new();
    for store in &stores {
        let page = store.outbox(None, 1_000).await.expect("shared: outbox");
        held.extend(page.iter().map(|entry| entry.payment));
        assert!(store.outbox(None, 1_000).await == Ok(page), "shared: what is held is given to its holder again");
    }
    held.sort_unstable();
    assert!(held.is_sorted_by(|one, next| one < next), "shared: nobody holds what another holds");
    assert_eq!(held.len(), 70, "shared: all that is undecided is held by somebody");
    let decisions =
        |state: &PaymentState| held.iter().map(|payment| Decision { payment: *payment, state: state.clone() }).collect::<Vec<_>>();
    let refused = PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late));
    let decided = [decisions(&PaymentState::Settled), decisions(&refused).into_iter().rev().collect()];
    let running = decided.into_iter().zip(&stores).map(|(decisions, store)| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.decide(decisions, Some(mark(1, 1)), None).await })
    });
    let mut states = Vec::new();
    for decided in running.collect::<Vec<_>>() {
        states.push(decided.await.expect("a decision does not panic").expect("a decision does not fail"));
    }
    states[1].reverse();
    assert!(states[0] == states[1], "shared: who decides second learns what the first decided");
    assert_eq!(stores[2].totals().await.map(|totals| totals.undecided), Ok(0), "shared: all is decided");
}

async fn a_payment_is_claimed_once<S: Store>(store: &S) {
    let first = claim(1, &[1, 2], 1);
    assert_eq!(store.payment(first.payment).await, Ok(None), "an unknown payment has no record");
    assert_eq!(store.claim(first.clone()).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    assert_eq!(store.claim(first.clone()).await, Ok(ClaimOutcome::Known(first.record.clone())), "the same payment is known");
    // Not only by its tokens: the id decides first.
    assert_eq!(store.claim(claim(1, &[7], 7)).await, Ok(ClaimOutcome::Known(first.record.clone())), "a payment is known by its id");
    assert_eq!(store.payment(first.payment).await, Ok(Some(first.record)), "the record is the one claimed");
}

async fn a_token_is_claimed_once<S: Store>(store: &S) {
    let first = claim(1, &[1, 2], 1);
    assert_eq!(store.claim(first.clone()).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    let second = claim(2, &[2, 3], 2);
    assert_eq!(store.claim(second.clone()).await, Ok(ClaimOutcome::Conflict(first.record)), "a shared token conflicts");
    assert_eq!(store.payment(second.payment).await, Ok(None), "a conflict inserts no record");
    assert_eq!(store.outbox(None, 10).await.map(|entries| entries.len()), Ok(1), "a conflict inserts no deposit");
    assert_eq!(store.claim(claim(3, &[3], 2)).await, Ok(ClaimOutcome::Claimed), "a conflict inserts neither tokens nor challenge");
}

async fn equal_keys_of_other_keysets_are_other_tokens<S: Store>(store: &S) {
    assert_eq!(store.claim(claim(1, &[1], 1)).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    let mut keyset = claim(2, &[1], 2);
    keyset.list[0].keyset = KeysetId([99; 32]);
    keyset.record.side.list[0].keyset = Bytes([99; 32]);
    assert_eq!(store.claim(keyset).await, Ok(ClaimOutcome::Claimed), "the keyset is part of the spent key");
    let mut denomination = claim(3, &[1], 3);
    denomination.list[0].denomination = Amount::from_units(99);
    denomination.record.side.list[0].denomination = 99;
    assert_eq!(store.claim(denomination).await, Ok(ClaimOutcome::Claimed), "the denomination is part of the spent key");
}

async fn a_challenge_is_used_once<S: Store>(store: &S) {
    assert_eq!(store.claim(claim(1, &[1], 1)).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    assert_eq!(store.claim(claim(2, &[2], 1)).await, Ok(ClaimOutcome::ChallengeUsed), "its challenge pays once");
    assert_eq!(store.payment(PaymentId([2; 32])).await, Ok(None), "a used challenge inserts nothing");
    assert_eq!(store.use_challenge(challenge(1)).await, Ok(false), "its challenge does not read again");
    assert_eq!(store.use_challenge(challenge(2)).await, Ok(true), "a fresh challenge reads again");
    assert_eq!(store.use_challenge(challenge(2)).await, Ok(false), "once");
    assert_eq!(store.claim(claim(2, &[2], 2)).await, Ok(ClaimOutcome::ChallengeUsed), "and then pays no more");
    assert_eq!(store.claim(claim(2, &[2], 3)).await, Ok(ClaimOutcome::Claimed), "the tokens are still free");
}

async fn expired_challenges_are_dropped<S: Store>(store: &S) {
    let (early, late) = (UsedChallenge { expires: 100, id: [1; 32] }, UsedChallenge { expires: 200, id: [1; 32] });
    for challenge in [early, late] {
        assert_eq!(store.use_challenge(challenge).await, Ok(true), "a fresh challenge is used");
    }
    // Those of claims are no others.
    let of_claims = [100, 150, 200].map(|expires| UsedChallenge { expires, id: [2; 32] });
    for (number, challenge) in (1..).zip(of_claims) {
        let claim = Claim { challenge, ..claim(number, &[number], number) };
        assert_eq!(store.claim(claim).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    store.prune_challenges(150).await.expect("prune");
    for challenge in of_claims {
        assert_eq!(
            store.use_challenge(challenge).await,
            Ok(challenge.expires < 150),
            "what has expired before is dropped, what has not stays"
        );
    }
    assert_eq!(store.use_challenge(late).await, Ok(false), "a living challenge stays used");
    assert_eq!(store.use_challenge(early).await, Ok(true), "an expired challenge is dropped");
}

async fn decisions_are_final<S: Store>(store: &S) {
    let (first, second) = (claim(1, &[1], 1), claim(2, &[2], 2));
    for claim in [&first, &second] {
        assert_eq!(store.claim(claim.clone()).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    let refused = PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late));
    let decide = |payment: PaymentId, state: &PaymentState| vec![Decision { payment, state: state.clone() }];
    let settled = Ok(vec![Some(PaymentState::Settled)]);
    assert_eq!(store.decide(decide(first.payment, &PaymentState::Settled), None, None).await, settled, "a payment is settled");
    assert_eq!(store.decide(decide(first.payment, &refused), None, None).await, settled, "and stays settled");
    assert_eq!(store.decide(decide(second.payment, &refused), None, None).await, Ok(vec![Some(refused.clone())]), "a payment is refused");
    let again = store.decide(decide(second.payment, &PaymentState::Settled), None, None).await;
    assert_eq!(again, Ok(vec![Some(refused.clone())]), "and stays refused");
    assert_eq!(store.decide(decide(PaymentId([9; 32]), &refused), None, None).await, Ok(vec![None]), "an unknown payment has no state");
    assert_eq!(store.outbox(None, 10).await, Ok(vec![]), "decided payments leave the outbox");
    assert!(matches!(store.claim(claim(3, &[2], 3)).await, Ok(ClaimOutcome::Conflict(_))), "a refused payment's tokens stay spent");
    assert_eq!(store.totals().await.map(|totals| totals.undecided), Ok(0), "nothing is undecided");
}

async fn refusals_keep_their_reason<S: Store>(store: &S) {
    let reasons = [
        RefusedBecause::DoubleSpent(Box::new(proof(1, 2))),
        RefusedBecause::Refusal(Refusal::Frozen),
        RefusedBecause::Refusal(Refusal::Other(999)),
    ];
    for (number, reason) in (1_u8..).zip(reasons) {
        let claim = claim(number, &[number], number);
        assert_eq!(store.claim(claim.clone()).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
        let state = PaymentState::Refused(reason);
        store.decide(vec![Decision { payment: claim.payment, state: state.clone() }], None, None).await.expect("decide");
        let record = store.payment(claim.payment).await.expect("read").expect("the record is there");
        assert!(record == PaymentRecord { state, ..claim.record }, "the reason is kept, and the rest with it");
    }
}

async fn what_is_given_back_stays_so<S: Store>(store: &S) {
    let decide = async |payment: PaymentId, state: PaymentState| store.decide(vec![Decision { payment, state }], None, None).await;
    let refused = PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late));
    let outstanding = async || store.totals().await.map(|totals| totals.outstanding.units());
    let refunded = Ok(vec![Some(PaymentState::Refunded)]);
    // Settled first, or the answer that it was booked got lost and the next one says that it was given back.
    let (settled, pending, accepted) = (claim(1, &[1], 1), claim(2, &[2], 2), accepted(claim(3, &[3], 3), 10, 10, 10));
    for claim in [&settled, &pending, &accepted] {
        assert_eq!(store.claim(claim.clone()).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    let state = Ok(vec![Some(PaymentState::Settled)]);
    assert_eq!(decide(settled.payment, PaymentState::Settled).await, state, "a payment is settled");
    for claim in [&settled, &pending, &accepted] {
        assert_eq!(decide(claim.payment, PaymentState::Refunded).await, refunded, "a payment is given back");
        for state in [PaymentState::Settled, PaymentState::Pending, PaymentState::Accepted, refused.clone(), PaymentState::Refunded] {
            assert_eq!(decide(claim.payment, state).await, refunded, "and stays so");
        }
        let record = PaymentRecord { state: PaymentState::Refunded, ..claim.record.clone() };
        assert_eq!(store.payment(claim.payment).await, Ok(Some(record.clone())), "the rest of the record is kept");
        assert_eq!(store.claim(claim.clone()).await, Ok(ClaimOutcome::Known(record)), "it is known when it comes again");
    }
    assert_eq!(store.outbox(None, 10).await, Ok(vec![]), "what is given back leaves the outbox");
    assert_eq!(outstanding().await, Ok(0), "and is not outstanding");
    assert!(matches!(store.claim(claim(4, &[1], 4)).await, Ok(ClaimOutcome::Conflict(_))), "its tokens stay spent");
    assert_eq!(store.claim(claim(4, &[4], 4)).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    assert_eq!(decide(PaymentId([4; 32]), refused.clone()).await, Ok(vec![Some(refused.clone())]), "a payment is refused");
    assert_eq!(decide(PaymentId([4; 32]), PaymentState::Refunded).await, Ok(vec![Some(refused)]), "and is never given back");
}

async fn what_is_booked_is_kept<S: Store>(store: &S) {
    let decide = async |number: u8, state: PaymentState, mark| {
        let decisions = vec![Decision { payment: PaymentId([number; 32]), state }];
        store.decide(decisions, mark, None).await.expect("decide");
    };
    let kept = async |after: Option<u8>, since, limit| {
        let page = store.kept(after.map(|number| PaymentId([number; 32])), since, limit).await.expect("kept");
        page.iter().map(|kept| (kept.payment.0[0], kept.mark.map(|mark| mark.sequence))).collect::<Vec<_>>()
    };
    for number in 1..=6 {
        assert_eq!(store.claim(claim(number, &[number], number)).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    assert_eq!(kept(None, None, 10).await, [], "what is undecided is not kept");
    decide(1, PaymentState::Settled, Some(mark(1, 5))).await;
    decide(2, PaymentState::Settled, None).await;
    decide(3, PaymentState::Settled, Some(mark(1, 9))).await;
    decide(4, PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late)), Some(mark(1, 10))).await;
    decide(5, PaymentState::Refunded, Some(mark(1, 11))).await;
    let all = [(1, Some(5)), (2, None), (3, Some(9))];
    assert_eq!(kept(None, None, 10).await, all, "what is booked is kept, with its mark");
    let first = store.kept(None, None, 1).await.expect("kept").remove(0);
    assert!(first.deposit == claim(1, &[1], 1).deposit, "the deposit is the one handed in");
    assert_eq!(kept(None, None, 2).await, all[..2], "in pages");
    assert_eq!(kept(Some(2), None, 2).await, all[2..], "ascending");
    assert_eq!(kept(None, Some(mark(1, 5)), 10).await, all[1..], "what a ledger holds already is left out");
    assert_eq!(kept(None, Some(mark(1, 4)), 10).await, all, "what it may lack is not");
    assert_eq!(kept(None, Some(mark(1, u64::MAX)), 10).await, all[1..2], "however far on the ledger is");
    assert_eq!(kept(None, Some(mark(2, 99)), 10).await, all, "another ledger may lack everything");
    decide(1, PaymentState::Settled, Some(mark(1, 12))).await;
    assert_eq!(kept(None, Some(mark(1, 5)), 1).await, [(1, Some(12))], "what is booked again takes the new mark");
    decide(1, PaymentState::Settled, None).await;
    assert_eq!(kept(None, Some(mark(1, 5)), 1).await, [(1, Some(12))], "and keeps it where there is none to take");
    decide(2, PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late)), Some(mark(1, 13))).await;
    assert_eq!(kept(None, None, 10).await[1], (2, None), "what is booked is not refused any more");
    decide(3, PaymentState::Refunded, Some(mark(1, 14))).await;
    assert_eq!(kept(None, None, 10).await, [(1, Some(12)), (2, None)], "what is given back is not kept");
}

async fn only_what_is_over_is_forgotten<S: Store>(store: &S) {
    let other = |mut claim: Claim, which: usize| {
        claim.list[which].keyset = KeysetId([8; 32]);
        claim.record.side.list[which].keyset = Bytes([8; 32]);
        claim
    };
    let mut still_readable = claim(3, &[3, 13], 3);
    still_readable.record.access_until = 3_000;
    let claims = [
        claim(1, &[1, 11], 1),
        claim(2, &[2], 2),
        still_readable,
        other(claim(4, &[4, 14], 4), 1),
        other(claim(5, &[5], 5), 0),
        claim(6, &[6], 6),
    ];
    for claim in &claims {
        assert_eq!(store.claim(claim.clone()).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    let decide = |number: u8, state| Decision { payment: PaymentId([number; 32]), state };
    let refused = PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late));
    let decisions = [1, 3, 4, 5].map(|number| decide(number, PaymentState::Settled)).into_iter().chain([decide(6, refused)]);
    store.decide(decisions.collect(), Some(mark(1, 1)), None).await.expect("decide");
    let forget = async |closed: &[u8], limit: usize| {
        let mut prune = Prune::new(closed.iter().map(|keyset| KeysetId([*keyset; 32])).collect(), 3_000, limit);
        let mut forgotten = 0;
        loop {
            let pruned = store.prune(prune.clone()).await.expect("prune");
            forgotten += pruned.payments;
            let Some(next) = pruned.next else { return forgotten };
            assert!(prune.after < Some(next), "every step goes on");
            prune.after = Some(next);
        }
    };
    let left = async || {
        let mut left = Vec::new();
        for number in 1..=6 {
            if store.payment(PaymentId([number; 32])).await.expect("read").is_some() {
                left.push(number);
            }
        }
        left
    };
    assert_eq!(forget(&[], 10).await, 0, "no keyset, nothing to forget");
    assert_eq!(left().await, [1, 2, 3, 4, 5, 6], "nothing is forgotten");
    assert_eq!(forget(&[7], 1).await, 2, "decided, access over, all tokens of closed keysets");
    let unfilled = store.prune(Prune::new([KeysetId([7; 32])].into(), 3_000, 100)).await.expect("prune");
    assert!(unfilled.payments == 0 && unfilled.next.is_none(), "a step that was not filled is the last");
    assert_eq!(left().await, [2, 3, 4, 5], "what is undecided, can still be read, or holds other tokens stays");
    assert_eq!(store.totals().await.map(|totals| totals.latest_claim), Ok(3_000), "time does not go back behind what is forgotten");
    for claim in &claims[1..5] {
        let again = store.claim(claim.clone()).await.expect("claim");
        assert!(matches!(again, ClaimOutcome::Known(_)), "what stays is known");
    }
    assert!(matches!(store.claim(claim(9, &[3], 9)).await, Ok(ClaimOutcome::Conflict(_))), "and its tokens are spent");
    let kept = store.kept(None, None, 10).await.expect("kept");
    assert_eq!(kept.iter().map(|kept| kept.payment.0[0]).collect::<Vec<_>>(), [3, 4, 5], "deposits are forgotten with their payments");
    assert_eq!(forget(&[8, 7], 2).await, 2, "then the other keyset");
    assert_eq!(left().await, [2, 3], "what is undecided or can still be read stays");
    assert_eq!(store.claim(claim(1, &[1, 11], 21)).await, Ok(ClaimOutcome::Claimed), "nothing is left of what is forgotten");
}

async fn a_step_of_forgetting_looks_at_no_more_than_it_may<S: Store>(store: &S) {
    for number in 1..=8 {
        let mut claim = claim(number, &[number], number);
        // Half are of another keyset, so that a step begins in one and ends in the other, whose keys begin anew.
        if number <= 4 {
            (claim.list[0].keyset, claim.record.side.list[0].keyset) = (KeysetId([8; 32]), Bytes([8; 32]));
        }
        assert_eq!(store.claim(claim).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    let decisions = (1..=8).map(|number| Decision { payment: PaymentId([number; 32]), state: PaymentState::Settled });
    store.decide(decisions.collect(), None, None).await.expect("decide");
    let mut prune = Prune::new(vec![KeysetId([8; 32]), KeysetId([7; 32])], 3_000, 3);
    for (forgotten, next) in [(3, Some((7, 7))), (3, Some((8, 2))), (2, None)] {
        let pruned = store.prune(prune.clone()).await.expect("prune");
        assert_eq!(pruned.payments, forgotten, "a step looks at as many tokens as it may");
        assert_eq!(pruned.next.map(|key| (key.keyset.0[0], key.key[0])), next, "and says where it ended");
        prune.after = pruned.next;
    }
    assert!(store.prune(Prune { limit: 0, ..prune }).await.is_ok_and(|pruned| pruned.payments == 0), "a step of nothing does nothing");
}

async fn the_first_document_stays<S: Store>(store: &S) {
    for document in Document::ALL {
        assert_eq!(store.save_first(*document, vec![1]).await, Ok(vec![1]), "the first document is written");
        assert_eq!(store.save_first(*document, vec![2]).await, Ok(vec![1]), "and stays");
        assert_eq!(store.load(*document).await, Ok(Some(vec![1])), "and is the one read");
    }
}

async fn the_outbox_is_read_in_pages<S: Store>(store: &S) {
    for number in [3, 1, 5, 2, 4] {
        assert_eq!(store.claim(claim(number, &[number], number)).await, Ok(ClaimOutcome::Claimed), "a payment is claimed");
    }
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.outbox(after, 2).await.expect("outbox");
        assert!(page.len() <= 2, "a page is no longer than asked");
        let Some(last) = page.last() else { break };
        after = Some(last.payment);
        seen.extend(page.iter().map(|entry| entry.payment.0[0]));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5], "every undecided payment once, ascending");
}

async fn limits_hold<S: Store>(store: &S) {
    let take = |number: u8, window: u64, amount: u64| {
        let mut claim = accepted(claim(number, &[number], number), amount, 100, 70);
        claim.record.window = window;
        claim
    };
    let outstanding = async || store.totals().await.map(|totals| totals.outstanding.units());
    assert_eq!(store.claim(take(1, 0, 50)).await, Ok(ClaimOutcome::Claimed), "room in the window");
    assert_eq!(store.claim(take(2, 0, 21)).await, Ok(ClaimOutcome::LimitReached), "no room in the window");
    assert_eq!(store.payment(PaymentId([2; 32])).await, Ok(None), "a limit inserts nothing");
    assert_eq!(store.claim(take(2, 0, 20)).await, Ok(ClaimOutcome::Claimed), "just room in the window");
    assert_eq!(store.claim(take(3, 600, 31)).await, Ok(ClaimOutcome::LimitReached), "another window, but no room in total");
    assert_eq!(store.claim(take(3, 600, 30)).await, Ok(ClaimOutcome::Claimed), "just room in total");
    assert_eq!(outstanding().await, Ok(100), "what is accepted is outstanding");
    let refused = PaymentState::Refused(RefusedBecause::Refusal(Refusal::Late));
    store.decide(vec![Decision { payment: PaymentId([1; 32]), state: refused }], None, None).await.expect("decide");
    assert_eq!(outstanding().await, Ok(50), "what is refused is not outstanding");
    assert_eq!(store.claim(take(4, 0, 1)).await, Ok(ClaimOutcome::LimitReached), "but stays in its window");
    store.decide(vec![Decision { payment: PaymentId([2; 32]), state: PaymentState::Settled }], None, None).await.expect("decide");
    assert_eq!(outstanding().await, Ok(30), "what is settled is not outstanding");
    assert_eq!(store.claim(take(4, 0, 20)).await, Ok(ClaimOutcome::Claimed), "and leaves its window");
    assert_eq!(store.claim(take(5, 0, u64::MAX)).await, Ok(ClaimOutcome::LimitReached), "amounts do not wrap");
    let mut pending = take(5, 0, 1_000);
    pending.record.state = PaymentState::Pending;
    assert_eq!(store.claim(pending).await, Ok(ClaimOutcome::Claimed), "pending payments need no room");
    assert_eq!(outstanding().await, Ok(50), "and are not outstanding");
}

async fn marks_rise<S: Store>(store: &S) {
    let raise = async |mark| store.decide(vec![], Some(mark), None).await.expect("decide");
    assert_eq!(store.mark().await, Ok(None), "no mark at first");
    raise(mark(1, 5)).await;
    raise(mark(1, 3)).await;
    assert_eq!(store.mark().await, Ok(Some(mark(1, 5))), "a mark does not fall");
    raise(mark(1, 6)).await;
    assert_eq!(store.mark().await, Ok(Some(mark(1, 6))), "a mark rises");
    raise(mark(0, 1)).await;
    assert_eq!(store.mark().await, Ok(Some(mark(0, 1))), "a new ledger's mark counts");
    raise(mark(1, 9)).await;
    assert_eq!(store.mark().await, Ok(Some(mark(0, 1))), "an old ledger's does not any more");
}

async fn documents_are_replaced<S: Store>(store: &S) {
    for document in Document::ALL {
        assert_eq!(store.load(*document).await, Ok(None), "no document at first");
        for bytes in [vec![1; 100_000], vec![2], vec![]] {
            store.save(*document, bytes.clone()).await.expect("save");
            assert_eq!(store.load(*document).await, Ok(Some(bytes)), "the document is the one saved");
        }
    }
}

async fn the_first_proof_of_a_token_stays<S: Store>(store: &S) {
    for (token, salt) in [(2, 1), (1, 1), (2, 2)] {
        store.keep_proof(proof(token, salt)).await.expect("keep a proof");
    }
    assert_eq!(store.proofs().await, Ok(vec![proof(1, 1), proof(2, 1)]), "one proof a token, the first");
}

async fn one_of_many_wins<S: Store>(store: Arc<S>) {
    let race = async |claims: Vec<Claim>| {
        let running: Vec<_> = claims
            .into_iter()
            .map(|claim| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.claim(claim).await })
            })
            .collect();
        let mut claimed = 0;
        for outcome in running {
            match outcome.await.expect("a claim does not panic").expect("a claim does not fail") {
                ClaimOutcome::Claimed => claimed += 1,
                ClaimOutcome::Known(_) | ClaimOutcome::Conflict(_) | ClaimOutcome::ChallengeUsed => {}
                ClaimOutcome::LimitReached => panic!("no limit was set"),
            }
        }
        claimed
    };
    assert_eq!(race((1..=64).map(|number| claim(number, &[0, number], number)).collect()).await, 1, "one of many payments gets a token");
    assert_eq!(race((0..64).map(|_| claim(100, &[100], 100)).collect()).await, 1, "one of many equal payments is claimed");
    assert_eq!(race((101..=164).map(|number| claim(number, &[number], 101)).collect()).await, 1, "one of many payments gets a challenge");
    assert_eq!(race((165..=228).map(|number| claim(number, &[number], number)).collect()).await, 64, "unrelated payments do not disturb");
}

fn claim(number: u8, keys: &[u8], of_challenge: u8) -> Claim {
    let keys = || keys.iter().map(|key| Bytes([*key; 32]));
    let side = SpendingSideBody {
        statement: Bytes([number; 32]),
        list: keys().map(|key| SpentKeyBody { keyset: Bytes([7; 32]), denomination: 10, key }).collect(),
        proof: ProofBody { t: Bytes([number; 32]), u: Bytes([3; 32]) },
    };
    let signature = SignatureBody { r: Bytes([1; 32]), s: Bytes([2; 32]), t: Bytes([3; 32]) };
    let tokens = keys().map(|key| TokenBody { keyset: 0, denomination: 10, key, signature }).collect();
    let payment = PaymentFrame {
        amount: u64::from(number) + 1,
        deposit_by: 7_200,
        tokens: TokensBody { keysets: vec![Bytes([7; 32])], tokens },
        proof: side.proof,
    };
    let list =
        keys().map(|key| SpentKey { keyset: KeysetId([7; 32]), denomination: Amount::from_units(10), key: key.0 }).collect::<Vec<_>>();
    Claim {
        payment: PaymentId([number; 32]),
        list,
        challenge: challenge(of_challenge),
        record: PaymentRecord {
            state: PaymentState::Pending,
            side,
            digest: [number; 32],
            resource: [8; 32],
            amount: Amount::from_units(u64::from(number) + 1),
            change: Amount::from_units(3),
            claimed_at: 1_000,
            access_until: 2_000,
            window: 0,
            answer: None,
        },
        deposit: DepositBody { recipient: "news.example".into(), subject: Bytes([number; 32]), payment },
        limits: None,
    }
}

fn accepted(mut claim: Claim, amount: u64, outstanding: u64, per_window: u64) -> Claim {
    claim.record.state = PaymentState::Accepted;
    claim.record.amount = Amount::from_units(amount);
    claim.limits = Some(RiskLimits { outstanding: Amount::from_units(outstanding), per_window: Amount::from_units(per_window) });
    claim
}

const fn challenge(number: u8) -> UsedChallenge {
    UsedChallenge { expires: 5_000, id: [number; 32] }
}

const fn mark(ledger: u8, sequence: u64) -> LedgerMark {
    LedgerMark { ledger: Bytes([ledger; 16]), sequence }
}

fn proof(token: u8, salt: u8) -> DoubleSpendFrame {
    let side = |number: u8| claim(number, &[token], 1).record.side;
    DoubleSpendFrame {
        token: SpentKeyBody { keyset: Bytes([7; 32]), denomination: 10, key: Bytes([token; 32]) },
        signature: SignatureBody { r: Bytes([salt; 32]), s: Bytes([2; 32]), t: Bytes([3; 32]) },
        sides: [side(1), side(2)],
    }
}
