//! Traces of the model, replayed on the real types: after every step the ledger and the stores hold what the model says.
//!
//! Every `match` on a type of the code is exhaustive: a new state there does not compile here until the model knows it.

use farthing_mint::store::{Debit, FundingState, Ledger, SessionRow as RealRow};
use farthing_protocol::issue::Issue;
use farthing_protocol::refund::RefundOutcome;
use farthing_protocol::settle::{Outcome as RealOutcome, Refusal};
use farthing_verifier::store::{Decision, PaymentState as RealState, RefusedBecause, Store};

use crate::real::{Real, units};
use farthing_model::Model;
use farthing_model::rules::{Action, Scene};
use farthing_model::state::{Funding, LedgerPayment, Message, Outcome, PaymentId, PaymentState, SessionRow, State};
use farthing_model::{mint, publisher};

/// Replays a trace and compares after every step.
pub async fn replay(scene: &Scene, trace: &[Action], seed: u64) {
    let mut state = scene.init_states().remove(0);
    let mut real = Real::new(scene, &state, seed).await;
    compare(scene, &state, &real).await;
    for action in trace {
        step(scene, &state, &mut real, *action).await;
        state = scene.next_state(&state, *action).expect("a step of the model");
        compare(scene, &state, &real).await;
    }
}

async fn step(scene: &Scene, state: &State, real: &mut Real, action: Action) {
    match action {
        Action::Deliver(message) | Action::Say(message) => deliver(scene, state, real, message).await,
        Action::Commit(booking) => {
            let expected = mint::commit(scene, &mut state.clone(), &booking);
            assert_eq!(real.issue(booking.funding, booking.session, booking.challenge).await, expected);
        }
        Action::CrashMint => real.crash_mint().await,
        Action::Prepare(id) => real.make(id),
        // Nothing leaves the wallet or the publisher but the message that the model delivers later.
        Action::Begin(_) | Action::GiveBack(_) | Action::CrashPublisher(_) => {}
        Action::Late | Action::GiveUp(_) | Action::ProveAgain(_) | Action::Forget(_) => unreachable!("not replayable"),
    }
}

async fn deliver(scene: &Scene, state: &State, real: &mut Real, message: Message) {
    let mut copy = state.clone();
    match message {
        Message::Open(funding) => {
            let expected = mint::open(scene, &mut copy, funding);
            assert_eq!(Some(real.open(funding, state.mint.next_session).await), expected);
        }
        Message::Issue(funding, session, challenge) => {
            // A booking on its way is a request that the mint has not finished: it is sent when the model commits.
            let expected = mint::issue(scene, &mut copy, funding, session, challenge);
            if copy.mint.in_flight == state.mint.in_flight && !state.mint.in_flight.iter().any(|one| one.session == session && one.alive) {
                assert_eq!(real.issue(funding, session, challenge).await, expected);
            }
        }
        Message::Deposit(id) => {
            let outcome = real.deposit(id).await;
            let expected = mint::deposit(scene, &mut copy, id);
            assert_eq!(outcome_of(&outcome), expected);
            real.outcomes.insert(Message::Deposited(id, expected), outcome);
        }
        Message::Refund(id) => {
            let given_back = match real.refund(id).await {
                RefundOutcome::Refunded | RefundOutcome::AlreadyRefunded => true,
                RefundOutcome::Refused(_) => false,
            };
            assert_eq!(given_back, mint::refund(&mut copy, id));
        }
        Message::Pay(id) if !scene.is_hostile(id.publisher) => {
            let expected = publisher::authorize(scene, &mut copy, id);
            assert_eq!(real.pay(id).await, matches!(expected, Some(Message::Delivered(..))));
        }
        Message::Pay(id) => real.make(id),
        Message::Deposited(id, _) => {
            if !scene.is_hostile(id.publisher) {
                let next = judged(&real.outcomes[&message]);
                decide(real, &id, next).await;
            }
        }
        Message::GivenBack(id, true) if !scene.is_hostile(id.publisher) => decide(real, &id, RealState::Refunded).await,
        // Answers to readers: what the wallet keeps of them is in the model alone.
        Message::GivenBack(..)
        | Message::Opened(..)
        | Message::Issued(..)
        | Message::SessionGone(..)
        | Message::NotIssued(..)
        | Message::Delivered(..)
        | Message::Refused(..) => {}
    }
}

async fn decide(real: &Real, id: &PaymentId, state: RealState) {
    let store = &real.sites[usize::from(id.publisher)].store;
    if let RealState::Refused(RefusedBecause::DoubleSpent(proof)) = &state {
        store.keep_proof((**proof).clone()).await.unwrap();
    }
    store.decide(vec![Decision { payment: real.made[id].id, state }], None, None).await.unwrap();
}

/// What a verifier makes of the mint's answer.
fn judged(outcome: &RealOutcome) -> RealState {
    match outcome {
        RealOutcome::Credited { .. } | RealOutcome::AlreadyCredited { .. } => RealState::Settled,
        RealOutcome::Refunded => RealState::Refunded,
        RealOutcome::DoubleSpent(proof) => RealState::Refused(RefusedBecause::DoubleSpent(Box::new(proof.to_frame()))),
        RealOutcome::Refused(refusal) => RealState::Refused(RefusedBecause::Refusal(*refusal)),
    }
}

fn outcome_of(outcome: &RealOutcome) -> Outcome {
    match outcome {
        RealOutcome::Credited { .. } => Outcome::Credited,
        RealOutcome::AlreadyCredited { .. } => Outcome::AlreadyCredited,
        RealOutcome::Refunded => Outcome::Refunded,
        RealOutcome::DoubleSpent(_) => Outcome::DoubleSpent,
        RealOutcome::Refused(Refusal::Refreshed) => Outcome::RefusedRefreshed,
        RealOutcome::Refused(Refusal::Late) => Outcome::RefusedLate,
        RealOutcome::Refused(other) => panic!("the model does not know {}", other.code()),
    }
}

fn state_of(state: &RealState) -> PaymentState {
    match state {
        RealState::Pending => PaymentState::Pending,
        RealState::Accepted => PaymentState::Accepted,
        RealState::Settled => PaymentState::Settled,
        RealState::Refunded => PaymentState::Refunded,
        RealState::Refused(RefusedBecause::DoubleSpent(_)) => PaymentState::RefusedDoubleSpent,
        RealState::Refused(RefusedBecause::Refusal(_)) => PaymentState::RefusedRefusal,
    }
}

/// Whether something could be funded now.
fn would_pay(state: FundingState) -> bool {
    match state {
        FundingState::Ready => true,
        FundingState::VoucherUnknown
        | FundingState::VoucherInsufficient
        | FundingState::TokenSpent
        | FundingState::ChangeUnavailable
        | FundingState::ReclaimUnavailable
        | FundingState::NotFrozen => false,
        FundingState::ChangeDiffers | FundingState::ReclaimDiffers => panic!("another amount than the model's"),
    }
}

/// The abstraction of ledger and stores is the model's state.
async fn compare(scene: &Scene, state: &State, real: &Real) {
    compare_ledger(scene, state, real).await;
    for (site, store) in real.sites.iter().zip(&state.publishers) {
        for (id, made) in &real.made {
            if real.sites[usize::from(id.publisher)].name == site.name {
                let record = site.store.payment(made.id).await.unwrap();
                assert_eq!(record.map(|record| state_of(&record.state)).as_ref(), store.claims.get(id), "{id:?}");
            }
        }
        let totals = site.store.totals().await.unwrap();
        assert_eq!(totals.outstanding, units(store.outstanding));
        assert_eq!(totals.undecided, store.claims.values().filter(|stands| stands.is_open()).count() as u64);
        assert_eq!(site.store.proofs().await.unwrap().len(), store.proofs.len());
    }
}

async fn compare_ledger(scene: &Scene, state: &State, real: &Real) {
    let sheet = real.ledger.sheet().await.unwrap();
    let sum = |each: fn(&farthing_mint::store::Counter) -> u64| {
        sheet.counters.iter().map(|one| one.denomination.units() * each(one)).sum::<u64>()
    };
    let mint = &state.mint;
    assert_eq!(sum(|one| one.issued), u64::from(mint.issued));
    assert_eq!(sum(|one| one.redeemed), u64::from(mint.redeemed));
    assert!(sheet.counters.iter().all(|one| !one.frozen));
    assert_eq!((sheet.change_due, sheet.refunds_due), (units(mint.change_due()), units(mint.refunds_due())));
    // A scene without an honest reader leaves one voucher of one unit unused.
    let unused = u8::from(!scene.honest);
    assert_eq!((sheet.vouchers, sheet.sold), (units(mint.voucher + unused), units(mint.sold + unused)));
    for (site, credit) in real.sites.iter().zip(mint.credits) {
        assert_eq!(real.ledger.publisher_balance(site.name.clone()).await.unwrap(), Some(units(credit)));
    }
    for (session, opened) in &real.opened {
        let row = real.ledger.session(opened.session.0).await.unwrap();
        let row = row.map(|row| match row {
            RealRow::Cancelled => SessionRow::Cancelled,
            RealRow::Booked { digest, .. } => {
                let of = |challenge: &u8| {
                    let request = real.issues.get(&(*session, *challenge));
                    request.is_some_and(|(_, frame)| Issue::from_frame(frame).unwrap().digest() == digest)
                };
                SessionRow::Booked { challenge: [0, 1].into_iter().find(of).expect("a challenge that was sent") }
            }
        });
        assert_eq!(row.as_ref(), mint.rows.get(session), "session {session}");
    }
    for token in real.tokens.keys() {
        let funding = real.ledger.funding(Debit::Refresh(vec![real.spent_key(token)]), units(token.value)).await.unwrap();
        assert_eq!(would_pay(funding), !mint.spent.contains_key(token), "{token:?}");
    }
    for (id, made) in &real.made {
        let known = mint.payments.get(id);
        if id.change() > 0 {
            let change = real.ledger.funding(Debit::Change(made.id), units(Funding::Change(*id).amount())).await.unwrap();
            assert_eq!(would_pay(change), known.is_some_and(|(_, taken)| !taken), "{id:?}");
        }
        let reclaim = real.ledger.funding(Debit::Reclaim(made.id), units(Funding::Reclaim(*id).amount())).await.unwrap();
        assert_eq!(would_pay(reclaim), known.is_some_and(|(stands, _)| *stands == LedgerPayment::Refunded), "{id:?}");
    }
}
