//! What the mint does with a message: the rules of its operations and of its ledger.

use crate::broken::Broken;
use crate::rules::Scene;
use crate::state::{Booking, Funding, LedgerPayment, Message, NotIssued, Outcome, PRICE, PaymentId, SessionRow, SpentBy, State, Token};

/// `Operations::open`. `None`: `session-busy`, one of the funding keys has another session; whoever asked tries later.
pub fn open(scene: &Scene, state: &mut State, funding: Funding) -> Option<Message> {
    if let Some(session) = state.mint.open.get(&funding) {
        return Some(Message::Opened(funding, *session));
    }
    let answering = state.mint.in_flight.iter().filter(|booking| booking.alive).map(|booking| &booking.funding);
    if state.mint.open.keys().chain(answering).any(|other| other.same_key(&funding)) {
        return None;
    }
    if let Err(why) = ready(scene, state, &funding) {
        return Some(Message::NotIssued(funding, None, why));
    }
    let session = state.mint.next_session;
    state.mint.next_session += 1;
    state.mint.open.insert(funding, session);
    Some(Message::Opened(funding, session))
}

/// `Operations::issue`: the nonces are taken, the booking is on its way. `None`: whoever asked waits.
pub fn issue(scene: &Scene, state: &mut State, funding: Funding, session: u8, challenge: u8) -> Option<Message> {
    let booking = Booking { session, challenge, funding, alive: true };
    if state.mint.open.get(&funding) == Some(&session) {
        if scene.broken == Some(Broken::NoncesReused) {
            state.mint.rows.insert(session, SessionRow::Booked { challenge });
            return Some(Message::Issued(funding, session, challenge));
        }
        state.mint.open.remove(&funding);
        state.mint.in_flight.insert(booking);
        let early = scene.broken == Some(Broken::ResponseBeforeBooking);
        return early.then_some(Message::Issued(funding, session, challenge));
    }
    if state.mint.in_flight.iter().any(|booking| booking.session == session && booking.alive) {
        return None;
    }
    recorded(scene, state, &booking)
}

/// `Operations::recorded`.
fn recorded(scene: &Scene, state: &mut State, booking: &Booking) -> Option<Message> {
    let gone = Message::SessionGone(booking.funding, booking.session);
    match scene.broken {
        Some(Broken::GoneWithoutLooking) => return Some(gone),
        Some(Broken::GoneWithoutCancelling) if !state.mint.rows.contains_key(&booking.session) => return Some(gone),
        _ => {}
    }
    match *state.mint.rows.entry(booking.session).or_insert(SessionRow::Cancelled) {
        SessionRow::Cancelled => Some(gone),
        SessionRow::Booked { challenge } if challenge == booking.challenge => {
            Some(Message::Issued(booking.funding, booking.session, challenge))
        }
        // `session-answered`: only who sends two challenges hears it.
        SessionRow::Booked { .. } => None,
    }
}

/// `Ledger::issue` becomes durable; the answer leaves if its process still runs.
pub fn commit(scene: &Scene, state: &mut State, booking: &Booking) -> Option<Message> {
    state.mint.in_flight.remove(booking);
    let answer =
        if state.mint.rows.contains_key(&booking.session) { recorded(scene, state, booking) } else { Some(book(scene, state, booking)) };
    answer.filter(|_| booking.alive)
}

fn book(scene: &Scene, state: &mut State, booking: &Booking) -> Message {
    if let Err(why) = debit(scene, state, booking) {
        return Message::NotIssued(booking.funding, Some(booking.session), why);
    }
    state.mint.issued += booking.funding.amount();
    state.mint.rows.insert(booking.session, SessionRow::Booked { challenge: booking.challenge });
    Message::Issued(booking.funding, booking.session, booking.challenge)
}

fn free(scene: &Scene, state: &State, token: &Token) -> bool {
    match state.mint.spent.get(token) {
        None => true,
        Some(SpentBy::Payment(_)) => scene.broken == Some(Broken::RefreshIgnoresPayments),
        Some(SpentBy::Session(_)) => false,
    }
}

/// `Ledger::funding`.
fn ready(scene: &Scene, state: &State, funding: &Funding) -> Result<(), NotIssued> {
    let payment = |id: &PaymentId| state.mint.payments.get(id);
    let (good, why) = match funding {
        Funding::Voucher => (state.mint.voucher >= funding.amount(), NotIssued::VoucherInsufficient),
        Funding::Refresh(token) => (free(scene, state, token), NotIssued::TokenSpent),
        Funding::Change(id) => (
            payment(id).is_some_and(|(_, taken)| !taken || scene.broken == Some(Broken::ChangeTwice)) && id.change() > 0,
            NotIssued::ChangeUnavailable,
        ),
        Funding::Reclaim(id) => (payment(id).is_some_and(|(state, _)| *state == LedgerPayment::Refunded), NotIssued::ReclaimUnavailable),
    };
    if good { Ok(()) } else { Err(why) }
}

fn debit(scene: &Scene, state: &mut State, booking: &Booking) -> Result<(), NotIssued> {
    ready(scene, state, &booking.funding)?;
    match booking.funding {
        Funding::Voucher => state.mint.voucher -= booking.funding.amount(),
        Funding::Refresh(token) => {
            state.mint.spent.insert(token, SpentBy::Session(booking.session));
            state.mint.redeemed += token.value;
        }
        Funding::Change(id) => {
            state.mint.payments.entry(id).and_modify(|(_, taken)| *taken = true);
        }
        Funding::Reclaim(id) => {
            state.mint.payments.entry(id).and_modify(|(state, _)| *state = LedgerPayment::Reclaimed);
        }
    }
    Ok(())
}

/// `Operations::deposit` of one payment, by the table of `resolve`.
pub fn deposit(scene: &Scene, state: &mut State, payment: PaymentId) -> Outcome {
    if let Some((known, _)) = state.mint.payments.get_mut(&payment) {
        return match known {
            LedgerPayment::Settled => Outcome::AlreadyCredited,
            LedgerPayment::Refunded | LedgerPayment::Reclaimed if scene.broken == Some(Broken::RefundThenCredit) => {
                *known = LedgerPayment::Settled;
                state.mint.credits[usize::from(payment.publisher)] += PRICE;
                Outcome::Credited
            }
            LedgerPayment::Refunded | LedgerPayment::Reclaimed => Outcome::Refunded,
        };
    }
    if state.late {
        return Outcome::RefusedLate;
    }
    match state.mint.spent.get(&payment.token) {
        Some(SpentBy::Payment(_)) if scene.broken != Some(Broken::DepositIgnoresPayments) => return Outcome::DoubleSpent,
        Some(SpentBy::Session(_)) => return Outcome::RefusedRefreshed,
        _ => {}
    }
    if scene.broken == Some(Broken::CreditBeforeBooking) && !state.network.contains(&Message::Deposited(payment, Outcome::Credited)) {
        return Outcome::Credited;
    }
    state.mint.spent.insert(payment.token, SpentBy::Payment(payment));
    state.mint.payments.insert(payment, (LedgerPayment::Settled, payment.change() == 0));
    state.mint.redeemed += payment.token.value;
    state.mint.credits[usize::from(payment.publisher)] += PRICE;
    Outcome::Credited
}

/// `Operations::refund`: whether it is given back, now or before.
pub fn refund(state: &mut State, payment: PaymentId) -> bool {
    let Some((known, _)) = state.mint.payments.get_mut(&payment) else { return false };
    if *known == LedgerPayment::Settled {
        *known = LedgerPayment::Refunded;
        state.mint.credits[usize::from(payment.publisher)] -= PRICE;
    }
    true
}

/// The process ends: what is in memory is gone, what is on its way to the disk may still arrive.
pub fn crash(state: &mut State) {
    state.mint.open.clear();
    state.mint.in_flight = state.mint.in_flight.iter().map(|booking| Booking { alive: false, ..*booking }).collect();
}
