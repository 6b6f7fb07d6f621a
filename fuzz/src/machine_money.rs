//! Requests that move money, and what the model makes of their answers.

use super::*;

impl Machine {
    pub(super) fn buy(&mut self, cheat: bool, voucher: u8, units: u64, keyset: u8, fault: Fault) {
        if !self.vouchers.is_empty() {
            let voucher = usize::from(voucher) % self.vouchers.len();
            // More than there is now and then.
            self.issue(cheat, &Paying::Voucher(voucher), units.min(self.vouchers[voucher].1 + STEP), keyset, fault);
        }
    }

    /// A keyset, mostly one that issues.
    fn keyset(&self, choice: u8) -> Keyset {
        let (all, now) = (self.list.keysets(), self.now());
        let issuing = all.iter().rev().find(|keyset| keyset.issues_at(now) && !self.retired.contains(&keyset.number()));
        let other = &all[usize::from(choice) % all.len()];
        if choice < 200 { issuing.unwrap_or(other).clone() } else { other.clone() }
    }

    /// The value that may be issued for this funding, by the model.
    fn allowed(&self, paying: &Paying, units: u64) -> bool {
        match paying {
            Paying::Voucher(voucher) => self.vouchers[*voucher].1 >= units,
            Paying::Tokens(tokens) => tokens.iter().all(|token| self.tokens[*token].state == State::Unspent),
            Paying::Change(payment) => {
                let one = &self.sent[*payment];
                one.credited && !one.change_taken && one.deposit.payment().change().units() == units
            }
            Paying::Reclaim(payment) => {
                let one = &self.sent[*payment];
                one.refunded && !one.reclaimed && one.deposit.payment().amount().units() == units
            }
        }
    }

    fn book(&mut self, paying: &Paying, units: u64) {
        match paying {
            Paying::Voucher(voucher) => self.vouchers[*voucher].1 -= units,
            Paying::Tokens(tokens) => {
                for token in tokens {
                    self.tokens[*token].state = State::Refreshed;
                }
            }
            Paying::Change(payment) => self.sent[*payment].change_taken = true,
            Paying::Reclaim(payment) => self.sent[*payment].reclaimed = true,
        }
    }

    /// One whole session. Answers that are refusals change nothing, and nothing is issued that the model does not allow.
    pub(super) fn issue(&mut self, cheat: bool, paying: &Paying, units: u64, keyset: u8, fault: Fault) {
        let keyset = self.keyset(keyset);
        let Some(denominations) = split(Amount::from_units(units), &keyset.denominations()) else { return };
        if denominations.is_empty() || denominations.len() > 40 {
            return;
        }
        let (root, outputs) = (*self.list.root(), denominations.len() as u64);
        let plan = SessionPlan::new(&self.seed, &root, keyset.id(), denominations, self.next_index).unwrap();
        let retired;
        let funding = match paying {
            Paying::Voucher(voucher) => FundingKeys::Voucher(&self.vouchers[*voucher].0),
            Paying::Tokens(tokens) => {
                let Some(owned) = self.owned(tokens) else { return };
                retired = owned.retire();
                FundingKeys::Refresh(&retired)
            }
            Paying::Change(payment) => FundingKeys::Change(&self.sent[*payment].used, self.sent[*payment].said),
            Paying::Reclaim(payment) => FundingKeys::Reclaim(&self.sent[*payment].used, self.sent[*payment].said),
        };
        let mut rng = StdRng::seed_from_u64(self.next_index);
        let Ok(open) = plan.open(&root, &funding, &mut rng) else { return };
        let open = open.to_bytes();
        let (mut status, mut opened, _) = self.post_ref("/v1/commitments", &open);
        if problem(&opened) == "session-busy" {
            self.hands.0.fetch_add(121, Ordering::SeqCst);
            (status, opened, _) = self.post_ref("/v1/commitments", &open);
        }
        if status != StatusCode::OK {
            return;
        }
        let opened = OpenResponseFrame::from_bytes(&opened).unwrap();
        let pending = plan.blind(&self.seed, &root, &keyset, self.next_index, &opened).unwrap();
        let request = plan.request(&root, &pending, &funding, &mut rng).unwrap().to_bytes();
        self.next_index += outputs;
        let allowed = self.allowed(paying, units) && keyset.issues_at(self.now()) && !self.retired.contains(&keyset.number());
        let (status, answer, _) = self.post("/v1/issue", &request, fault);
        if status != StatusCode::OK {
            return;
        }
        assert!(allowed, "issued what nobody had paid for");
        self.book(paying, units);
        let tokens = pending.unblind(&IssueResponseFrame::from_bytes(&answer).unwrap()).expect("an honest mint answers correctly");
        self.tokens.extend(tokens.into_iter().map(|token| Held { token, cheat, state: State::Unspent, left: false }));
        self.issued.push(Answered { body: request, answer });
    }

    /// As [`Machine::post`], without a fault.
    fn post_ref(&self, path: &'static str, body: &[u8]) -> (StatusCode, Vec<u8>, bool) {
        let (status, answer) = self.process().runtime.block_on(send(self.process().router.clone(), path, body.to_vec()));
        (status, answer, false)
    }

    pub(super) fn retry(&mut self, request: u8) {
        if self.issued.is_empty() {
            return;
        }
        let old = &self.issued[usize::from(request) % self.issued.len()];
        let (status, answer, _) = self.post_ref("/v1/issue", &old.body);
        assert!(status == StatusCode::OK && answer == old.answer, "the same request has the same answer for good: {status}");
    }

    pub(super) fn take(&mut self, payment: u8, more: u8, keyset: u8, fault: Fault, amount: bool) {
        if self.sent.is_empty() {
            return;
        }
        let index = usize::from(payment) % self.sent.len();
        let (payment, cheat) = (self.sent[index].deposit.payment(), self.sent[index].cheat);
        let greed = if cheat { u64::from(more % 4) * STEP } else { 0 };
        let units = if amount { payment.amount() } else { payment.change() }.units() + greed;
        let paying = if amount { Paying::Reclaim(index) } else { Paying::Change(index) };
        self.issue(cheat, &paying, units, keyset, fault);
    }

    pub(super) fn deposit(&mut self, publisher: usize, mask: u32, twice: bool, fault: Fault) {
        let chosen = |(index, one): &(usize, &Sent)| mask >> (index % 32) & 1 == 1 && (publisher == 1 || one.publisher == 0);
        let mut payments: Vec<usize> = self.sent.iter().enumerate().filter(chosen).map(|(index, _)| index).take(8).collect();
        if twice {
            payments.extend(payments.clone());
        }
        if payments.is_empty() {
            return;
        }
        let bodies = payments.iter().map(|payment| self.sent[*payment].deposit.to_body()).collect();
        let request = DepositRequestFrame { seen: self.mark, payments: bodies }.to_bytes();
        let (status, answer, again) = self.post("/v1/deposits", &request, fault);
        assert_eq!(status, StatusCode::OK, "{}", problem(&answer));
        let frame = DepositResponseFrame::from_bytes(&answer).unwrap();
        let known = |payment: &usize| (self.sent[*payment].deposit.spending().payment_id(), self.sent[*payment].deposit.payment().change());
        let expected: Vec<_> = payments.iter().map(known).collect();
        let outcomes = verify_answer(&frame, &expected, &self.list).expect("the mint signs what it says");
        assert!(self.mark.is_none_or(|mark| mark.ledger == frame.mark.ledger && mark.sequence <= frame.mark.sequence), "marks only grow");
        self.mark = Some(frame.mark);
        for (payment, outcome) in payments.into_iter().zip(outcomes) {
            self.settle(payment, outcome, again);
        }
    }

    fn settle(&mut self, payment: usize, outcome: Outcome, again: bool) {
        let one = &self.sent[payment];
        let state = |token: &usize| self.tokens[*token].state;
        let unspent = one.tokens.iter().all(|token| state(token) == State::Unspent);
        match outcome {
            Outcome::Refunded => assert!(one.refunded),
            Outcome::AlreadyCredited { .. } if one.credited => assert!(!one.refunded),
            Outcome::Credited { .. } | Outcome::AlreadyCredited { .. } => {
                assert!(again || matches!(outcome, Outcome::Credited { .. }), "credited without anybody having asked");
                assert!(unspent && !one.credited, "a token is credited once");
                self.earned += one.deposit.payment().amount().units();
                let tokens = one.tokens.clone();
                self.sent[payment].credited = true;
                for token in tokens {
                    self.tokens[token].state = State::Paid(payment);
                }
            }
            Outcome::DoubleSpent(proof) => {
                assert!(one.cheat, "an honest reader is never accused");
                let proven = proof.verify(&self.list.key_table()).expect("an accusation is proved");
                let shared = |token: &&usize| self.tokens[**token].token.token().spent_key() == proven.token();
                let token = one.tokens.iter().find(shared).expect("it is about this payment");
                assert!(matches!(self.tokens[*token].state, State::Paid(other) if other != payment));
            }
            Outcome::Refused(refusal) => {
                assert!(!one.credited, "what was credited stays so");
                let closed = |token: &usize| {
                    let keyset = self.list.get(&self.tokens[*token].token.token().keyset());
                    keyset.is_none_or(|keyset| !keyset.depositable_at(self.now()))
                };
                match refusal {
                    Refusal::Refreshed => assert!(one.tokens.iter().any(|token| state(token) == State::Refreshed)),
                    Refusal::Late => assert!(one.deposit.payment().deposit_by() < self.now()),
                    Refusal::KeysetClosed => assert!(one.tokens.iter().any(closed)),
                    other => panic!("a good payment was refused: {other:?}"),
                }
            }
        }
    }

    pub(super) fn steal(&mut self, payment: u8) {
        let honest: Vec<&Sent> = self.sent.iter().filter(|one| one.publisher == 0).collect();
        if honest.is_empty() {
            return;
        }
        let mut body = honest[usize::from(payment) % honest.len()].deposit.to_body();
        body.recipient = PUBLISHERS[1].into();
        let request = DepositRequestFrame { seen: None, payments: vec![body] }.to_bytes();
        let (status, answer, _) = self.post_ref("/v1/deposits", &request);
        assert_eq!(status, StatusCode::OK);
        let frame = DepositResponseFrame::from_bytes(&answer).unwrap();
        let refused = farthing_protocol::wire::OutcomeBody::Refused(Refusal::InvalidProof.number());
        assert!(frame.outcomes == [refused], "a payment is worth nothing to another publisher");
    }

    pub(super) fn refund(&mut self, publisher: usize, payment: u8, fault: Fault) {
        if self.sent.is_empty() {
            return;
        }
        let index = usize::from(payment) % self.sent.len();
        let id = self.sent[index].deposit.spending().payment_id();
        if publisher == 0 && self.sent[index].publisher != 0 {
            return;
        }
        let root = *self.list.root();
        let request = refund::request(&root, id, PUBLISHERS[publisher], &TEMPLATE.keys[publisher], &mut self.rng).unwrap();
        let (status, answer, again) = self.post("/v1/refunds", &request.to_bytes(), fault);
        assert_eq!(status, StatusCode::OK, "{}", problem(&answer));
        let frame = RefundResponseFrame::from_bytes(&answer).unwrap();
        let outcome = refund::verify_answer(&frame, id, &self.list).expect("the mint signs what it says");
        // The same statement twice is one payment.
        let one = &mut self.sent[index];
        match outcome {
            RefundOutcome::AlreadyRefunded if one.refunded => {}
            RefundOutcome::Refunded | RefundOutcome::AlreadyRefunded => {
                assert!(again || outcome == RefundOutcome::Refunded);
                assert!(one.credited && !one.refunded && one.publisher == publisher, "only the one who was paid gives back, once");
                one.refunded = true;
                self.earned -= one.deposit.payment().amount().units();
            }
            RefundOutcome::Refused(RefundRefusal::UnknownPayment) => assert!(!one.credited || one.publisher != publisher),
            RefundOutcome::Refused(_) => assert!(one.credited),
        }
    }
}
