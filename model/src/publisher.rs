//! What an honest publisher's verifier does: check is taken for granted, claim and outbox are here.

use crate::broken::Broken;
use crate::rules::{Mode, Scene};
use crate::state::{Code, Message, Outcome, PRICE, PaymentId, PaymentState, State};

/// The verifier's `ClaimOutcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    Claimed,
    Known(PaymentState),
    Conflict,
    ChallengeUsed,
    LimitReached,
}

/// `Store::claim`.
pub fn claim(scene: &Scene, state: &mut State, payment: PaymentId, accept: bool) -> ClaimOutcome {
    let store = &mut state.publishers[usize::from(payment.publisher)];
    if let Some(known) = store.claims.get(&payment) {
        return ClaimOutcome::Known(*known);
    }
    if scene.broken != Some(Broken::ClaimNotUnique) && store.claims.keys().any(|claimed| claimed.token == payment.token) {
        return ClaimOutcome::Conflict;
    }
    if store.claims.keys().any(|claimed| claimed.challenge == payment.challenge) {
        return ClaimOutcome::ChallengeUsed;
    }
    if let (true, Mode::Deferred { limit }) = (accept, scene.mode) {
        let room = store.outstanding + PRICE <= limit && store.at_risk + PRICE <= limit;
        if !room && scene.broken != Some(Broken::NoLimits) {
            return ClaimOutcome::LimitReached;
        }
        store.outstanding += PRICE;
        store.at_risk += PRICE;
        store.claims.insert(payment, PaymentState::Accepted);
    } else {
        store.claims.insert(payment, PaymentState::Pending);
    }
    ClaimOutcome::Claimed
}

/// `Verifier::authorize`: what is answered, if anything is. What is claimed goes to the mint.
pub fn authorize(scene: &Scene, state: &mut State, payment: PaymentId) -> Option<Message> {
    let first = !state.publishers[usize::from(payment.publisher)].claims.contains_key(&payment);
    if first && state.late {
        // Only a first claim needs a living challenge.
        return Some(Message::Refused(payment, Code::Other));
    }
    let mut outcome = claim(scene, state, payment, true);
    if outcome == ClaimOutcome::LimitReached {
        outcome = claim(scene, state, payment, false);
    }
    let store = &mut state.publishers[usize::from(payment.publisher)];
    match outcome {
        ClaimOutcome::Claimed => {
            let stands = store.claims[&payment];
            state.send(Message::Deposit(payment));
            answer(scene, payment, stands)
        }
        ClaimOutcome::Known(stands) => answer(scene, payment, stands),
        ClaimOutcome::Conflict => {
            store.proofs.insert(payment.token);
            Some(Message::Refused(payment, Code::DoubleSpend))
        }
        ClaimOutcome::ChallengeUsed => Some(Message::Refused(payment, Code::Other)),
        ClaimOutcome::LimitReached => None,
    }
}

/// `resume`: a pending payment has no answer yet; the same bytes ask again.
fn answer(scene: &Scene, payment: PaymentId, stands: PaymentState) -> Option<Message> {
    let served = stands.serves() || (stands == PaymentState::Pending && scene.broken == Some(Broken::ServesPending));
    match stands {
        _ if served => Some(Message::Delivered(payment, stands == PaymentState::Settled)),
        PaymentState::Refunded => Some(Message::Refused(payment, Code::Refunded)),
        PaymentState::RefusedDoubleSpent => Some(Message::Refused(payment, Code::DoubleSpend)),
        PaymentState::RefusedRefusal => Some(Message::Refused(payment, Code::Other)),
        PaymentState::Pending | PaymentState::Accepted | PaymentState::Settled => None,
    }
}

/// The state an outcome of the mint leads to: `judge`.
pub fn judge(outcome: Outcome) -> PaymentState {
    match outcome {
        Outcome::Credited | Outcome::AlreadyCredited => PaymentState::Settled,
        Outcome::Refunded => PaymentState::Refunded,
        Outcome::DoubleSpent => PaymentState::RefusedDoubleSpent,
        Outcome::RefusedRefreshed | Outcome::RefusedLate => PaymentState::RefusedRefusal,
    }
}

/// `Store::decide`.
pub fn decide(state: &mut State, payment: PaymentId, next: PaymentState) {
    let store = &mut state.publishers[usize::from(payment.publisher)];
    let Some(stands) = store.claims.get_mut(&payment) else { return };
    if next == PaymentState::RefusedDoubleSpent {
        store.proofs.insert(payment.token);
    }
    if stands.leads_to(next) {
        if *stands == PaymentState::Accepted {
            store.outstanding = store.outstanding.saturating_sub(PRICE);
            if next == PaymentState::Settled {
                store.at_risk = store.at_risk.saturating_sub(PRICE);
            }
        }
        *stands = next;
    }
}

/// A restart: the store is durable, and memory holds nothing that matters.
pub fn crash(scene: &Scene, state: &mut State, publisher: u8) {
    if scene.broken == Some(Broken::StoreForgets) {
        state.publishers[usize::from(publisher)] = crate::state::Store::default();
    }
}
