//! The model: who may do what next.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

use crate::broken::Broken;
use crate::state::{Booking, Code, Funding, Message, PaymentId, PaymentState, Reader, State, Store, Token, TokenState, VOUCHER, Wallet};
use crate::state::{Mint, WalletPayment};
use crate::{mint, properties, publisher, wallet};

/// How publishers serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    SettleFirst,
    /// With what may be accepted and unsettled, in units, in total and per window.
    Deferred {
        limit: u8,
    },
}

/// Who takes part, and how far it goes.
#[derive(Clone, Debug)]
pub struct Scene {
    pub mode: Mode,
    /// Whether there is an honest reader with a voucher.
    pub honest: bool,
    /// Values of the hostile reader's tokens.
    pub hostile: &'static [u8],
    /// How many publishers can be paid, at most two.
    pub publishers: u8,
    /// Whether publisher 1 is hostile; publisher 0 never is.
    pub hostile_publisher: bool,
    /// The most sessions the mint opens.
    pub sessions: u8,
    /// The most payments the honest reader makes.
    pub payments: usize,
    /// Challenges the hostile reader answers at each publisher.
    pub challenges: u8,
    /// Crashes of the mint.
    pub crashes: u8,
    /// Whether honest publishers give payments back.
    pub refunds: bool,
    /// What must be reachable.
    pub shows: &'static [properties::Shows],
    pub broken: Option<Broken>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A message arrives, once more perhaps.
    Deliver(Message),
    /// A booking becomes durable.
    Commit(Booking),
    CrashMint,
    CrashPublisher(u8),
    /// The deadlines pass.
    Late,
    Begin(Funding),
    Prepare(PaymentId),
    GiveUp(PaymentId),
    /// An honest publisher asks the mint to give a payment back.
    GiveBack(PaymentId),
    /// Something that somebody hostile can say at any time arrives. It is not kept among what was sent: it can be said again.
    Say(Message),
    /// Broken wallets only.
    ProveAgain(PaymentId),
    /// Broken wallets only.
    Forget(Funding),
}

/// The sessions from which the hostile reader's first tokens come.
const EARLIER: u8 = 200;

/// The first challenge the hostile reader answers.
const HOSTILE_CHALLENGE: u8 = 100;

impl Scene {
    pub fn is_hostile(&self, publisher: u8) -> bool {
        self.hostile_publisher && publisher == 1
    }

    /// The hostile reader's tokens: those it began with, and those it got.
    pub fn hostile_tokens(&self, state: &State) -> BTreeSet<Token> {
        let first = (EARLIER..).zip(self.hostile).map(|(session, value)| Token { session, value: *value, owner: Reader::Hostile });
        let got = state.network.iter().filter_map(|message| match message {
            Message::Issued(funding, session, _) if funding.owner() == Reader::Hostile => {
                Some(Token { session: *session, value: funding.amount(), owner: Reader::Hostile })
            }
            _ => None,
        });
        first.chain(got).collect()
    }

    fn hostile_reader(&self, state: &State, say: &mut impl FnMut(Message)) {
        for token in self.hostile_tokens(state) {
            say(Message::Open(Funding::Refresh(token)));
            for publisher in 0..self.publishers {
                for challenge in HOSTILE_CHALLENGE..HOSTILE_CHALLENGE + self.challenges {
                    say(Message::Pay(PaymentId { token, publisher, challenge }));
                }
            }
        }
        for id in state.mint.payments.keys().filter(|id| id.token.owner == Reader::Hostile) {
            if id.change() > 0 {
                say(Message::Open(Funding::Change(*id)));
            }
            if self.refunds {
                say(Message::Open(Funding::Reclaim(*id)));
            }
        }
        for message in &state.network {
            if let Message::Opened(funding, session) = message
                && funding.owner() == Reader::Hostile
            {
                say(Message::Issue(*funding, *session, 0));
                say(Message::Issue(*funding, *session, 1));
            }
        }
    }

    fn hostile_publisher(&self, state: &State, say: &mut impl FnMut(Message)) {
        for message in &state.network {
            if let Message::Pay(id) = message
                && self.is_hostile(id.publisher)
            {
                say(Message::Deposit(*id));
                if id.token.owner == Reader::Honest {
                    say(Message::Delivered(*id, false));
                    say(Message::Refused(*id, Code::Other));
                    say(Message::Refused(*id, Code::Refunded));
                }
                if self.refunds && state.mint.payments.contains_key(id) {
                    say(Message::Refund(*id));
                }
            }
        }
    }

    fn wallet_actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(wallet::beginnings(state).into_iter().map(Action::Begin));
        for (token, stands) in &state.wallet.tokens {
            if *stands == TokenState::Owned && state.wallet.payments.len() < self.payments && !state.late {
                for publisher in 0..self.publishers {
                    let payment = PaymentId { token: *token, publisher, challenge: token.session };
                    if !state.wallet.payments.contains_key(&payment) {
                        actions.push(Action::Prepare(payment));
                    }
                }
            }
        }
        for (id, record) in &state.wallet.payments {
            if record.state == WalletPayment::Sent {
                if state.late {
                    actions.push(Action::GiveUp(*id));
                } else if self.broken == Some(Broken::WalletProvesAgain) {
                    actions.push(Action::ProveAgain(*id));
                }
            }
        }
        if self.broken == Some(Broken::WalletForgetsIssue) {
            actions.extend(state.wallet.sessions.keys().map(|funding| Action::Forget(*funding)));
        }
    }

    /// A message reaches whom it is for; the answers go on their way.
    fn deliver(&self, state: &mut State, message: Message) {
        let answer = match message {
            Message::Open(funding) => {
                let mut after = state.clone();
                let answer = mint::open(self, &mut after, funding);
                // The bound is on what is opened; a refusal is an answer that opens nothing.
                if after.mint.next_session > self.sessions {
                    return;
                }
                *state = after;
                answer
            }
            Message::Issue(funding, session, challenge) => mint::issue(self, state, funding, session, challenge),
            Message::Deposit(id) => {
                let outcome = mint::deposit(self, state, id);
                Some(Message::Deposited(id, outcome))
            }
            Message::Refund(id) => Some(Message::GivenBack(id, mint::refund(state, id))),
            Message::Pay(id) if self.is_hostile(id.publisher) => None,
            Message::Pay(id) => publisher::authorize(self, state, id),
            Message::Deposited(id, outcome) => {
                publisher::decide(state, id, publisher::judge(outcome));
                None
            }
            Message::GivenBack(id, done) => {
                if done {
                    publisher::decide(state, id, PaymentState::Refunded);
                }
                None
            }
            Message::Opened(..)
            | Message::Issued(..)
            | Message::SessionGone(..)
            | Message::NotIssued(..)
            | Message::Delivered(..)
            | Message::Refused(..) => {
                wallet::receive(self, state, message);
                None
            }
        };
        if let Some(answer) = answer.filter(heeded) {
            state.send(answer);
        }
    }
}

/// What the hostile reader is refused tells it nothing that it does not know.
fn heeded(answer: &Message) -> bool {
    match answer {
        Message::NotIssued(funding, ..) => funding.owner() == Reader::Honest,
        Message::Refused(id, _) => id.token.owner == Reader::Honest,
        _ => true,
    }
}

impl Model for Scene {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let hostile: u8 = self.hostile.iter().sum();
        let voucher = if self.honest { VOUCHER } else { 0 };
        let mint = Mint { voucher, sold: voucher + hostile, issued: hostile, ..Mint::default() };
        let publishers = [Store::default(), Store::default()];
        let (wallet, network) = (Wallet::default(), BTreeSet::new());
        vec![State { late: false, crashes: self.crashes, wallet, publishers, mint, network }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.network.iter().copied().map(Action::Deliver));
        actions.extend(state.mint.in_flight.iter().copied().map(Action::Commit));
        if state.crashes > 0 && !(state.mint.open.is_empty() && state.mint.in_flight.is_empty()) {
            actions.push(Action::CrashMint);
        }
        actions.extend([Action::CrashPublisher(0), Action::CrashPublisher(1)]);
        if !state.late {
            actions.push(Action::Late);
        }
        if self.honest {
            self.wallet_actions(state, actions);
        }
        let mut say = |message: Message| actions.push(Action::Say(message));
        self.hostile_reader(state, &mut say);
        self.hostile_publisher(state, &mut say);
        if self.refunds {
            for store in &state.publishers {
                let settled = |(id, stands): (&PaymentId, &PaymentState)| (*stands == PaymentState::Settled).then_some(*id);
                actions.extend(store.claims.iter().filter_map(settled).map(Action::GiveBack));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Deliver(message) | Action::Say(message) => self.deliver(&mut state, message),
            Action::Commit(booking) => {
                if let Some(answer) = mint::commit(self, &mut state, &booking).filter(heeded) {
                    state.send(answer);
                }
            }
            Action::CrashMint => {
                state.crashes -= 1;
                mint::crash(&mut state);
            }
            Action::CrashPublisher(publisher) => publisher::crash(self, &mut state, publisher),
            Action::Late => state.late = true,
            Action::Begin(funding) => wallet::begin(&mut state, funding),
            Action::Prepare(id) => wallet::prepare(self, &mut state, id),
            Action::GiveUp(id) => wallet::give_up(&mut state, id),
            Action::GiveBack(id) => state.send(Message::Refund(id)),
            Action::ProveAgain(id) => state.send(Message::Pay(PaymentId { challenge: id.challenge + 50, ..id })),
            Action::Forget(funding) => wallet::abandon(&mut state, funding),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self.shows)
    }
}

/// How many of each there are.
pub fn count<K: Ord, I: IntoIterator<Item = K>>(items: I) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}
