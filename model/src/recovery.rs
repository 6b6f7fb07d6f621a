//! From any state, with faults switched off and nobody hostile speaking: everything finishes, and every unit is in a known place.

use crate::rules::Scene;
use crate::state::{
    Funding, LedgerPayment, PRICE, PaymentId, PaymentRecord, PaymentState, Reader, SessionRow, State, TokenState, VOUCHER, WalletPayment,
};
use crate::{mint, publisher, wallet};

/// More rounds than any state needs: each round finishes what the last one began.
const ROUNDS: usize = 20;

/// Whether everything finishes, wherever commits that a crash left behind land: at once, or after everything else, or never.
pub fn recovers(scene: &Scene, state: &State) -> bool {
    let mut early = state.clone();
    commit_all(scene, &mut early, |_| true);
    if !finishes(scene, &mut early) {
        return false;
    }
    if state.mint.in_flight.iter().all(|booking| booking.alive) {
        return true;
    }
    let mut late = state.clone();
    commit_all(scene, &mut late, |alive| alive);
    if !finishes(scene, &mut late) {
        return false;
    }
    commit_all(scene, &mut late, |_| true);
    in_place(scene, &late)
}

fn commit_all(scene: &Scene, state: &mut State, which: impl Fn(bool) -> bool) {
    for booking in state.mint.in_flight.clone() {
        if which(booking.alive) {
            // Its answer is lost; the same request asks again.
            mint::commit(scene, state, &booking);
        }
    }
}

fn finishes(scene: &Scene, state: &mut State) -> bool {
    if !settles(scene, state, false) {
        return false;
    }
    state.late = true;
    // Sessions that nobody answered have expired by then.
    state.mint.open.clear();
    settles(scene, state, true) && in_place(scene, state)
}

/// Rounds until nothing changes any more. Before the deadlines change may have to wait, so that is asked for once.
fn settles(scene: &Scene, state: &mut State, change: bool) -> bool {
    for _ in 0..ROUNDS {
        let before = state.clone();
        round(scene, state, change);
        if without_messages(&before) == without_messages(state) {
            return true;
        }
    }
    false
}

fn without_messages(state: &State) -> State {
    let mut mint = state.mint.clone();
    // Sessions that were asked for and refused are gone again.
    (mint.next_session, mint.open) = (0, std::collections::BTreeMap::new());
    State { network: std::collections::BTreeSet::new(), mint, ..state.clone() }
}

fn round(scene: &Scene, state: &mut State, change: bool) {
    for publisher in [0, 1] {
        if !scene.is_hostile(publisher) {
            flush_outbox(scene, state, publisher);
        }
    }
    let sent: Vec<PaymentId> =
        state.wallet.payments.iter().filter(|(_, record)| record.state == WalletPayment::Sent).map(|(id, _)| *id).collect();
    for id in sent {
        if !scene.is_hostile(id.publisher) {
            if let Some(answer) = publisher::authorize(scene, state, id) {
                wallet::receive(scene, state, answer);
            }
        } else if state.late {
            wallet::give_up(state, id);
        }
    }
    for funding in state.wallet.sessions.keys().copied().collect::<Vec<_>>() {
        run(scene, state, funding);
    }
    for funding in wallet::duties(state) {
        if change || !matches!(funding, Funding::Change(_)) {
            wallet::begin(state, funding);
            run(scene, state, funding);
        }
    }
}

/// `flush_outbox`.
fn flush_outbox(scene: &Scene, state: &mut State, publisher: u8) {
    let open: Vec<PaymentId> =
        state.publishers[usize::from(publisher)].claims.iter().filter(|(_, stands)| stands.is_open()).map(|(id, _)| *id).collect();
    for id in open {
        let outcome = mint::deposit(scene, state, id);
        publisher::decide(state, id, publisher::judge(outcome));
    }
}

/// The wallet's `run`: open, issue, again while the session is gone.
fn run(scene: &Scene, state: &mut State, funding: Funding) {
    for _ in 0..6 {
        let Some(exchange) = state.wallet.sessions.get(&funding).copied() else { return };
        let answer = match exchange {
            None => mint::open(scene, state, funding),
            Some(session) => {
                let answer = mint::issue(scene, state, funding, session, 0);
                let booking = state.mint.in_flight.iter().find(|booking| booking.session == session && booking.alive).copied();
                booking.map_or(answer, |booking| mint::commit(scene, state, &booking))
            }
        };
        let Some(answer) = answer else { return };
        wallet::receive(scene, state, answer);
    }
}

/// Every unit of the honest reader is spendable, or on the voucher, or paid to a publisher, or given back and waiting to be asked for;
/// and every publisher knows what became of its claims.
fn in_place(scene: &Scene, state: &State) -> bool {
    let wallet = &state.wallet;
    let honest = |id: &&PaymentId| id.token.owner == Reader::Honest;
    let finished = wallet.sessions.is_empty() && wallet.payments.values().all(|record| record.state != WalletPayment::Sent);
    let spendable = wallet
        .tokens
        .iter()
        .all(|(token, stands)| *stands == TokenState::Owned && !state.mint.spent.contains_key(token) && issued(state, token.session));
    let held: u8 = wallet.tokens.keys().map(|token| token.value).sum();
    let paid: u8 = state.mint.payments.keys().filter(honest).map(|id| place(state, id)).sum();
    let whole = state.mint.voucher + held + paid + left(state) == if scene.honest { VOUCHER } else { 0 };
    let decided = state.publishers.iter().flat_map(|store| &store.claims).all(|(id, stands)| {
        let booked = state.mint.payments.get(id).map(|(stands, _)| *stands);
        match stands {
            PaymentState::Pending | PaymentState::Accepted => false,
            // Given back, and the publisher's answer was lost: its next call hears it.
            PaymentState::Settled => booked.is_some(),
            PaymentState::Refunded => booked.is_some_and(|stands| stands != LedgerPayment::Settled),
            PaymentState::RefusedDoubleSpent | PaymentState::RefusedRefusal => booked.is_none(),
        }
    });
    finished && spendable && whole && decided
}

fn issued(state: &State, session: u8) -> bool {
    matches!(state.mint.rows.get(&session), Some(SessionRow::Booked { .. }))
}

/// What a publisher has served and never asked the mint for. Without change the reader has nothing to ask for either.
fn left(state: &State) -> u8 {
    let served = |record: &PaymentRecord| matches!(record.state, WalletPayment::Delivered { .. });
    let left = |(id, record): &(&PaymentId, &PaymentRecord)| {
        served(record) && id.change() == 0 && !state.wallet.tokens.contains_key(&id.token) && !state.mint.payments.contains_key(id)
    };
    state.wallet.payments.iter().filter(left).map(|_| PRICE).sum()
}

/// What of a booked payment is not in the wallet: with the publisher, or given back without the reader knowing, who can ask for it.
fn place(state: &State, id: &PaymentId) -> u8 {
    let known = state.wallet.payments.get(id);
    match state.mint.payments[id].0 {
        LedgerPayment::Settled => PRICE,
        LedgerPayment::Refunded => {
            let asks = known.is_some_and(|record| matches!(record.state, WalletPayment::Delivered { .. }) && !record.reclaimed);
            if asks { PRICE } else { 0 }
        }
        LedgerPayment::Reclaimed => 0,
    }
}
