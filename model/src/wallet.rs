//! What the honest reader's wallet does: every step is one durable change, and what is sent is what was stored.

use crate::broken::Broken;
use crate::rules::Scene;
use crate::state::{Code, Funding, Message, NotIssued, PaymentId, PaymentRecord, Reader, State, Token, TokenState, WalletPayment};

/// Stores an issue and what pays for it, then asks for a session: `begin`.
pub fn begin(state: &mut State, funding: Funding) {
    mark_funding(state, funding, TokenState::Refreshing, true);
    ask(state, funding);
}

/// Opens a session. What was answered to an earlier request came on a connection that is closed: it answers this one no more.
fn ask(state: &mut State, funding: Funding) {
    state.network.retain(|message| match message {
        Message::Opened(of, _) | Message::NotIssued(of, None, _) => *of != funding,
        _ => true,
    });
    state.wallet.sessions.insert(funding, None);
    state.send(Message::Open(funding));
}

/// What the wallet could begin now: `topup`, `refresh(all)`, `reclaim`.
pub fn beginnings(state: &State) -> Vec<Funding> {
    let wallet = &state.wallet;
    let mut out = Vec::new();
    if state.mint.voucher > 0 {
        out.push(Funding::Voucher);
    }
    let usable = |state: &TokenState| matches!(state, TokenState::Owned | TokenState::RefreshOnly);
    out.extend(wallet.tokens.iter().filter(|(_, state)| usable(state)).map(|(token, _)| Funding::Refresh(*token)));
    for (id, record) in &wallet.payments {
        if record.change_is_due(id) {
            out.push(Funding::Change(*id));
        }
        if !record.reclaimed && (record.was_refunded() || matches!(record.state, WalletPayment::Delivered { .. })) {
            out.push(Funding::Reclaim(*id));
        }
    }
    out.retain(|funding| !wallet.sessions.contains_key(funding));
    out
}

/// What `refresh(false)` begins: nothing that the reader did not ask for.
pub fn duties(state: &State) -> Vec<Funding> {
    let asked = |funding: &Funding| match funding {
        Funding::Voucher => false,
        Funding::Refresh(token) => state.wallet.tokens.get(token) == Some(&TokenState::RefreshOnly),
        Funding::Change(_) => true,
        Funding::Reclaim(id) => state.wallet.payments.get(id).is_some_and(PaymentRecord::was_refunded),
    };
    beginnings(state).into_iter().filter(asked).collect()
}

/// Stores a payment's final bytes and sends them: `prepare`, `send`.
pub fn prepare(scene: &Scene, state: &mut State, payment: PaymentId) {
    if scene.broken != Some(Broken::WalletSendsBeforeStoring) {
        state.wallet.tokens.insert(payment.token, TokenState::Paying(payment));
        let record = PaymentRecord { state: WalletPayment::Sent, change_taken: false, reclaimed: false, spent: false };
        state.wallet.payments.insert(payment, record);
    }
    state.send(Message::Pay(payment));
}

/// A payment without an answer whose deadline has passed: `give_up_late_payments`.
pub fn give_up(state: &mut State, payment: PaymentId) {
    free_tokens(state, payment, TokenState::RefreshOnly);
    set(state, payment, |record| record.state = WalletPayment::Refused { code: Code::Other });
}

/// Takes an answer that it waits for.
pub fn receive(scene: &Scene, state: &mut State, message: Message) {
    let waits = |funding: &Funding, session: Option<u8>| state.wallet.sessions.get(funding) == Some(&session);
    match message {
        Message::Opened(funding, session) if waits(&funding, None) => opened(state, funding, session),
        Message::Issued(funding, session, 0) if waits(&funding, Some(session)) => {
            state.wallet.sessions.remove(&funding);
            if let Funding::Refresh(token) = funding {
                state.wallet.tokens.remove(&token);
            }
            let token = Token { session, value: funding.amount(), owner: Reader::Honest };
            state.wallet.tokens.insert(token, TokenState::Owned);
        }
        Message::SessionGone(funding, session) if waits(&funding, Some(session)) => {
            // `renew`
            ask(state, funding);
        }
        Message::NotIssued(funding, session, why) if waits(&funding, session) => not_issued(scene, state, funding, why),
        Message::Delivered(payment, settled) if is_sent(state, &payment) => {
            state.wallet.tokens.remove(&payment.token);
            set(state, payment, |record| record.state = WalletPayment::Delivered { settled });
        }
        Message::Refused(payment, code) if is_sent(state, &payment) => {
            set(state, payment, |record| record.state = WalletPayment::Refused { code });
            if code == Code::Refunded {
                state.wallet.tokens.remove(&payment.token);
            } else if scene.broken == Some(Broken::WalletPaysRefusedTokens) {
                free_tokens(state, payment, TokenState::Owned);
            } else {
                free_tokens(state, payment, TokenState::RefreshOnly);
            }
        }
        _ => {}
    }
}

/// Stores the exchange and sends the request made from it, unless the mint repeats a commitment.
fn opened(state: &mut State, funding: Funding, session: u8) {
    if state.wallet.commitments.insert(session) {
        state.wallet.sessions.insert(funding, Some(session));
        state.send(Message::Issue(funding, session, 0));
    }
}

fn is_sent(state: &State, payment: &PaymentId) -> bool {
    state.wallet.payments.get(payment).is_some_and(|record| record.state == WalletPayment::Sent)
}

fn set(state: &mut State, payment: PaymentId, change: impl FnOnce(&mut PaymentRecord)) {
    if let Some(record) = state.wallet.payments.get_mut(&payment) {
        change(record);
    }
}

fn free_tokens(state: &mut State, payment: PaymentId, to: TokenState) {
    state.wallet.tokens.insert(payment.token, to);
}

fn mark_funding(state: &mut State, funding: Funding, tokens_to: TokenState, used: bool) {
    match funding {
        Funding::Voucher => {}
        Funding::Refresh(token) => drop(state.wallet.tokens.insert(token, tokens_to)),
        Funding::Change(id) => set(state, id, |record| record.change_taken = used),
        Funding::Reclaim(id) => set(state, id, |record| record.reclaimed = used),
    }
}

/// `abandon`, and what `refresh` makes of the refusal.
fn not_issued(scene: &Scene, state: &mut State, funding: Funding, why: NotIssued) {
    abandon(state, funding);
    match (why, funding) {
        (NotIssued::TokenSpent, Funding::Refresh(token)) => {
            // `forget_spent`: the publisher has deposited it after all, whatever it had answered.
            state.wallet.tokens.remove(&token);
            let holder = state.wallet.payments.keys().find(|id| id.token == token).copied();
            if let Some(id) = holder {
                set(state, id, |record| {
                    record.state = WalletPayment::Delivered { settled: true };
                    if !record.spent {
                        (record.change_taken, record.spent) = (false, true);
                    }
                });
            }
        }
        (NotIssued::ChangeUnavailable, Funding::Change(id)) if state.late => no_change(state, id),
        (NotIssued::ReclaimUnavailable, Funding::Reclaim(id)) => no_refund(scene, state, id),
        _ => {}
    }
}

/// `no_change`: either the payment was never deposited, and too late for it now, or its change was taken before.
fn no_change(state: &mut State, id: PaymentId) {
    set(state, id, |record| record.change_taken = true);
    if state.wallet.payments.get(&id).is_some_and(|record| !record.spent) {
        let_go(state, id);
    }
}

/// `no_refund`: the publisher has lied. Unless change says that it has deposited, the payment is a refused one like any other.
fn no_refund(scene: &Scene, state: &mut State, id: PaymentId) {
    let Some(record) = state.wallet.payments.get(&id).copied().filter(PaymentRecord::was_refunded) else { return };
    match scene.broken {
        Some(Broken::WalletBelievesRefunds) => {}
        _ if state.wallet.sessions.contains_key(&Funding::Change(id)) => {}
        _ if record.change_taken => set(state, id, |record| record.state = WalletPayment::Delivered { settled: true }),
        _ => let_go(state, id),
    }
}

fn let_go(state: &mut State, id: PaymentId) {
    set(state, id, |record| {
        if record.was_refunded() {
            record.state = WalletPayment::Refused { code: Code::NotRefunded };
        }
    });
    free_tokens(state, id, TokenState::RefreshOnly);
}

/// Forgets an issue for which nothing was booked.
pub fn abandon(state: &mut State, funding: Funding) {
    mark_funding(state, funding, TokenState::RefreshOnly, false);
    state.wallet.sessions.remove(&funding);
}
