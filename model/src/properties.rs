//! What must hold in every state, and what must be reachable.

use stateright::Property;

use crate::recovery::recovers;
use crate::rules::{Mode, Scene, count};
use crate::state::{
    Code, Funding, LedgerPayment, Message, NotIssued, Outcome, PRICE, PaymentId, PaymentState, Reader, SessionRow, SpentBy, State,
    WalletPayment,
};

pub const CONSERVED: &str = "value is conserved";
pub const CREDITED_ONCE: &str = "a token comes back at most once";
pub const ONE_PUBLISHER: &str = "no two publishers are credited for one token";
pub const CLAIMED_ONCE: &str = "a publisher claims a token at most once";
pub const BOOKED_FIRST: &str = "no response leaves before its booking";
pub const SAME_ANSWER: &str = "the same request gets the same answer";
pub const ONE_ANSWER: &str = "a commitment answers one challenge";
pub const NOT_ACCUSED: &str = "an honest reader is never accused";
pub const SETTLED_FIRST: &str = "settle-first serves nothing unsettled";
pub const BOUNDED_LOSS: &str = "deferred loses at most its limit";
pub const RECOVERS: &str = "without further faults everything finishes";

/// Every property, and what this scene must show.
///
/// Implements R-MODEL-01.
pub fn all(shows: &[Shows]) -> Vec<Property<Scene>> {
    let mut properties = vec![
        Property::always(CONSERVED, conserved),
        Property::always(CREDITED_ONCE, |_, state: &State| credited_once(state)),
        Property::always(ONE_PUBLISHER, |_, state: &State| one_publisher(state)),
        Property::always(CLAIMED_ONCE, |_, state: &State| {
            state.publishers.iter().all(|store| count(store.claims.keys().map(|id| id.token)).values().all(|claims| *claims == 1))
        }),
        Property::always(BOOKED_FIRST, |_, state: &State| state.network.iter().all(|message| booked_first(state, message))),
        Property::always(SAME_ANSWER, |_, state: &State| state.network.iter().all(|message| same_answer(state, message))),
        Property::always(ONE_ANSWER, |_, state: &State| one_answer(state)),
        Property::always(NOT_ACCUSED, |_, state: &State| not_accused(state)),
        Property::always(SETTLED_FIRST, |scene, state: &State| scene.mode != Mode::SettleFirst || unbooked(scene, state) == [0, 0]),
        Property::always(BOUNDED_LOSS, bounded_loss),
        Property::always(RECOVERS, recovers),
    ];
    properties.extend(shows.iter().map(|(name, shown)| Property::sometimes(name, *shown)));
    properties
}

/// The sums of the mint's `Sheet`, and redeemed never above issued.
fn conserved(_: &Scene, state: &State) -> bool {
    let mint = &state.mint;
    let credits: u8 = mint.credits.iter().sum();
    let outstanding = mint.issued.checked_sub(mint.redeemed);
    outstanding.is_some_and(|tokens| mint.voucher + tokens + credits + mint.change_due() + mint.refunds_due() == mint.sold)
}

fn credited_once(state: &State) -> bool {
    let paid = state.mint.payments.keys().map(|id| id.token);
    let refreshed = state.mint.spent.iter().filter(|(_, by)| matches!(by, SpentBy::Session(_))).map(|(token, _)| *token);
    count(paid.chain(refreshed)).values().all(|times| *times == 1)
}

fn one_publisher(state: &State) -> bool {
    let publishers = |token| state.mint.payments.keys().filter(move |id| id.token == token).map(|id| id.publisher);
    state.mint.payments.keys().all(|id| publishers(id.token).all(|publisher| publisher == id.publisher))
}

fn booked_first(state: &State, message: &Message) -> bool {
    let paid = |id: &PaymentId| state.mint.payments.get(id).map(|(stands, _)| *stands);
    match message {
        Message::Issued(_, session, challenge) => state.mint.rows.get(session) == Some(&SessionRow::Booked { challenge: *challenge }),
        Message::SessionGone(_, session) => state.mint.rows.get(session) == Some(&SessionRow::Cancelled),
        Message::Deposited(id, Outcome::Credited | Outcome::AlreadyCredited) => paid(id).is_some(),
        Message::Deposited(id, Outcome::Refunded) | Message::GivenBack(id, true) => {
            paid(id).is_some_and(|stands| stands != LedgerPayment::Settled)
        }
        Message::Deposited(id, Outcome::DoubleSpent) => {
            paid(id).is_none() && matches!(state.mint.spent.get(&id.token), Some(SpentBy::Payment(_)))
        }
        _ => true,
    }
}

fn same_answer(state: &State, message: &Message) -> bool {
    let said = |message: Message| state.network.contains(&message);
    match *message {
        Message::Issued(funding, session, _) => !said(Message::SessionGone(funding, session)),
        Message::Deposited(id, Outcome::Credited | Outcome::AlreadyCredited | Outcome::Refunded) => {
            [Outcome::DoubleSpent, Outcome::RefusedRefreshed, Outcome::RefusedLate]
                .iter()
                .all(|outcome| !said(Message::Deposited(id, *outcome)))
        }
        _ => true,
    }
}

fn one_answer(state: &State) -> bool {
    let answered = state.network.iter().filter_map(|message| match message {
        Message::Issued(_, session, _) => Some(*session),
        _ => None,
    });
    count(answered).values().all(|answers| *answers == 1)
}

/// Two payments that share a token are a double-spend proof, whoever holds them.
fn not_accused(state: &State) -> bool {
    let paid = state.network.iter().filter_map(|message| match message {
        Message::Pay(id) if id.token.owner == Reader::Honest => Some(id.token),
        _ => None,
    });
    count(paid).values().all(|payments| *payments == 1)
}

/// What each honest publisher has served and the mint has not booked, in units.
fn unbooked(scene: &Scene, state: &State) -> [u8; 2] {
    let mut out = [0; 2];
    let served = state.network.iter().filter_map(|message| match message {
        Message::Delivered(id, _) => Some(*id),
        _ => None,
    });
    // A payment served twice, accepted first and settled then, is one payment.
    for id in count(served).into_keys() {
        if !scene.is_hostile(id.publisher) && !state.mint.payments.contains_key(&id) {
            out[usize::from(id.publisher)] += PRICE;
        }
    }
    out
}

fn bounded_loss(scene: &Scene, state: &State) -> bool {
    match scene.mode {
        Mode::SettleFirst => true,
        Mode::Deferred { limit } => unbooked(scene, state).iter().all(|loss| *loss <= limit),
    }
}

/// Whether a state shows something.
pub type Shows = (&'static str, fn(&Scene, &State) -> bool);

/// What must be reachable with an honest reader.
pub const HONEST_SHOWS: &[Shows] = &[
    ("the voucher becomes a token", |_, state| said(state, |message| matches!(message, Message::Issued(Funding::Voucher, ..)))),
    ("a settled payment is served", |_, state| said(state, |message| matches!(message, Message::Delivered(_, true)))),
    ("change is taken", |_, state| said(state, |message| matches!(message, Message::Issued(Funding::Change(_), ..)))),
    ("a token is refreshed", |_, state| said(state, |message| matches!(message, Message::Issued(Funding::Refresh(_), ..)))),
    ("a cancelled session is renewed", |_, state| {
        state.mint.rows.values().any(|row| *row == SessionRow::Cancelled) && said(state, |message| matches!(message, Message::Issued(..)))
    }),
    ("a late commit finds its session cancelled", |_, state| {
        state.mint.in_flight.iter().any(|booking| state.mint.rows.get(&booking.session) == Some(&SessionRow::Cancelled))
    }),
    ("a payment of a refused reader is deposited after all", |_, state| {
        state
            .wallet
            .payments
            .iter()
            .any(|(id, record)| record.state == WalletPayment::Refused { code: Code::Other } && state.mint.payments.contains_key(id))
    }),
    ("a page is served and never deposited", |_, state| {
        let unpaid = |id: &PaymentId| state.late && !state.mint.payments.contains_key(id);
        said(state, |message| matches!(message, Message::NotIssued(Funding::Change(id), _, NotIssued::ChangeUnavailable) if unpaid(id)))
    }),
];

/// What must be reachable with a publisher that says "refunded" and lies.
pub const LIAR_SHOWS: &[Shows] = &[
    ("a refund that never was is found out", |_, state| lied_about(state, |id| !state.mint.spent.contains_key(&id.token))),
    ("a refund that never was is of a payment that was deposited", |_, state| lied_about(state, |id| state.mint.payments.contains_key(id))),
];

fn lied_about(state: &State, which: impl Fn(&PaymentId) -> bool) -> bool {
    let lie = WalletPayment::Refused { code: Code::NotRefunded };
    state.wallet.payments.iter().any(|(id, record)| record.state == lie && id.change() == 0 && which(id))
}

/// What must be reachable when payments are given back.
pub const REFUND_SHOWS: &[Shows] = &[("a payment is refunded and reclaimed", |_, state| {
    state.mint.payments.values().any(|(stands, _)| *stands == LedgerPayment::Reclaimed)
})];

/// What must be reachable with a hostile reader.
pub const HOSTILE_SHOWS: &[Shows] = &[
    ("the mint proves a double-spend", |_, state| said(state, |message| matches!(message, Message::Deposited(_, Outcome::DoubleSpent)))),
    ("a payment after a refresh is refused", |_, state| {
        said(state, |message| matches!(message, Message::Deposited(_, Outcome::RefusedRefreshed)))
    }),
    ("a refresh after a payment is refused", |_, state| {
        let paid = |funding: &Funding| matches!(funding, Funding::Refresh(token) if matches!(state.mint.spent.get(token), Some(SpentBy::Payment(_))));
        state.mint.in_flight.iter().any(|booking| paid(&booking.funding))
    }),
    ("a late deposit is refused", |_, state| said(state, |message| matches!(message, Message::Deposited(_, Outcome::RefusedLate)))),
];

/// What must be reachable with two payments of one token at one publisher.
pub const CONFLICT_SHOWS: &[Shows] = &[("a publisher proves a double-spend itself", |_, state| {
    state.publishers.iter().any(|store| !store.proofs.is_empty() && store.claims.values().all(|stands| *stands == PaymentState::Settled))
})];

/// What must be reachable in deferred mode.
pub const DEFERRED_SHOWS: &[Shows] = &[
    ("a payment is served before it is settled", |_, state| said(state, |message| matches!(message, Message::Delivered(_, false)))),
    ("a served payment is refused", |_, state| {
        let refused = |id: &PaymentId| state.publishers[usize::from(id.publisher)].claims.get(id) == Some(&PaymentState::RefusedRefusal);
        said(state, |message| matches!(message, Message::Delivered(id, false) if refused(id)))
    }),
    ("the limit makes a payment wait", |_, state| {
        state.publishers.iter().any(|store| store.at_risk > 0 && store.claims.values().any(|stands| *stands == PaymentState::Pending))
    }),
];

fn said(state: &State, which: impl Fn(&Message) -> bool) -> bool {
    state.network.iter().any(which)
}
