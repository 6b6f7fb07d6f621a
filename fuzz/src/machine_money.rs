//! Requests that move money, and what the model makes of their answers.

use super::*;

impl Machine {
    pub(super) fn buy(&mut self, cheat: bool, voucher: u8, units: u64, keyset: u8, fault: Fault) {
        if !self.vouchers.is_empty() {
            let voucher = usize::from(voucher) % self.vouchers.len();
            // More than there is now and then.
            self.issue(cheat, &Paying::Voucher(voucher), units.min(self.vouchers[voucher].1 + STEP), keyset, fault, None);
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
            Paying::Tokens(tokens) => {
                let whole = |token: &usize| self.tokens[*token].state == State::Unspent && !self.is_frozen(*token);
                tokens.iter().all(whole)
            }
            Paying::Recovery(claim) => {
                let whole = |token: &usize| self.tokens[*token].state == State::Unspent && self.is_frozen(*token);
                claim.tokens.iter().all(whole)
            }
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
            Paying::Recovery(claim) => {
                for token in &claim.tokens {
                    self.tokens[*token].state = State::Repaid;
                }
            }
        }
    }

    /// Whether an honest reader has a right to this now: whole tokens, within their windows, for what the mint issues.
    fn due(&self, cheat: bool, paying: &Paying, keyset: &Keyset) -> bool {
        let (Paying::Tokens(tokens) | Paying::Recovery(Claim { tokens, .. })) = paying else { return false };
        !cheat && self.allowed(paying, 0) && self.in_time(tokens) && self.issues(keyset)
    }

    /// Whether a claim is true but for tokens that are not frozen: its reader must be told to refresh them.
    fn misled(&self, paying: &Paying, keyset: &Keyset) -> bool {
        let Paying::Recovery(Claim { tokens, .. }) = paying else { return false };
        let unspent = tokens.iter().all(|token| self.tokens[*token].state == State::Unspent);
        unspent && !self.allowed(paying, 0) && self.in_time(tokens) && self.issues(keyset)
    }

    fn in_time(&self, tokens: &[usize]) -> bool {
        let own = |token: &usize| self.list.get(&self.tokens[*token].token.token().keyset());
        tokens.iter().all(|token| own(token).is_some_and(|own| own.refreshable_at(self.now())))
    }

    fn issues(&self, keyset: &Keyset) -> bool {
        keyset.issues_at(self.now()) && !self.retired.contains(&keyset.number())
    }

    /// One whole session, under the name of another one if the reader is so bold. Answers that are refusals change nothing, nothing is
    /// issued that the model does not allow, and an honest reader's value is not refused.
    pub(super) fn issue(&mut self, cheat: bool, paying: &Paying, units: u64, keyset: u8, fault: Fault, name: Option<usize>) {
        let careless = keyset % 8 == 7;
        let keyset = self.keyset(keyset);
        self.learn_frozen();
        let mut kinds = keyset.denominations();
        kinds.retain(|denomination| careless || !self.frozen.contains(&(keyset.id(), denomination.units())));
        let Some(denominations) = split(Amount::from_units(units), &kinds) else { return };
        if denominations.is_empty() || denominations.len() > 40 {
            return;
        }
        let (root, outputs) = (*self.list.root(), denominations.len() as u64);
        let (index, recovery) = self.called(cheat, name);
        let mut plan = SessionPlan::new(&self.seed, &root, keyset.id(), denominations, index).unwrap();
        plan.recovery = recovery.unwrap_or(plan.recovery);
        let retired;
        let funding = match paying {
            Paying::Voucher(voucher) => FundingKeys::Voucher(&self.vouchers[*voucher].0),
            Paying::Tokens(tokens) | Paying::Recovery(Claim { tokens, .. }) => {
                let Some(owned) = self.owned(tokens) else { return };
                retired = owned.retire();
                if let Paying::Recovery(claim) = paying {
                    FundingKeys::Recovery(&retired, &claim.recovery)
                } else {
                    FundingKeys::Refresh(&retired)
                }
            }
            Paying::Change(payment) => FundingKeys::Change(&self.sent[*payment].used, self.sent[*payment].said),
            Paying::Reclaim(payment) => FundingKeys::Reclaim(&self.sent[*payment].used, self.sent[*payment].said),
        };
        let mut rng = StdRng::seed_from_u64(self.next_index);
        let Ok(mut frame) = plan.open(&root, &funding, &mut rng) else { return };
        let leads = if let Paying::Recovery(claim) = paying { self.leads(claim, &mut frame) } else { true };
        let open = frame.to_bytes();
        let (mut status, mut opened, _) = self.post_ref("/v1/commitments", &open);
        if problem(&opened) == "session-busy" {
            self.hands.0.fetch_add(121, Ordering::SeqCst);
            (status, opened, _) = self.post_ref("/v1/commitments", &open);
        }
        if status != StatusCode::OK {
            let code = problem(&opened);
            assert!(!(leads && self.due(cheat, paying, &keyset)), "an honest reader's value is refused: {code}");
            let refreshes = code == "denomination-not-frozen";
            assert!(refreshes || !leads || !self.misled(paying, &keyset), "what is not frozen is refreshed: {code}");
            return;
        }
        assert!(leads, "a claim opened a session that does not lead to its tokens");
        let opened = OpenResponseFrame::from_bytes(&opened).unwrap();
        let pending = plan.blind(&self.seed, &root, &keyset, index, &opened).unwrap();
        let mut request = plan.request(&root, &pending, &funding, &mut rng).unwrap();
        let spoilt = if let Paying::Recovery(claim) = paying { claim.spoil(&mut request) } else { false };
        let request = request.to_bytes();
        self.next_index = self.next_index.max(index + outputs);
        let whole = plan.denominations.iter().all(|denomination| !self.frozen.contains(&(keyset.id(), denomination.units())));
        let allowed = self.allowed(paying, units) && whole && !spoilt && self.issues(&keyset);
        let (status, answer, _) = self.post("/v1/issue", &request, fault);
        if status != StatusCode::OK {
            let (code, kept) = (problem(&answer), matches!(fault, Fault::None | Fault::Lost));
            let tokens = if let Paying::Tokens(tokens) = paying { tokens.as_slice() } else { &[] };
            // Counterfeits that came back first have used up the cap: that is what claims are for. If that answer is lost, the session is gone
            // for the second try.
            let frozen = code == "denomination-frozen" || matches!(fault, Fault::Lost) && code == "session-gone";
            let overdrawn = frozen && tokens.iter().any(|token| self.leaked.contains(&self.kind(*token)));
            let due = kept && whole && !spoilt && !overdrawn && self.due(cheat, paying, &keyset);
            assert!(!due, "an honest reader's value is refused: {code}");
            return;
        }
        assert!(allowed, "issued what nobody had paid for");
        self.book(paying, units);
        let tokens = pending.unblind(&IssueResponseFrame::from_bytes(&answer).unwrap()).expect("an honest mint answers correctly");
        let session = self.sessions.len();
        self.sessions.push(Bought::new(&self.seed, &root, &plan, index, cheat));
        let held = |(token, position)| Held { token, cheat, state: State::Unspent, origin: Some((session, position)), left: false };
        self.tokens.extend(tokens.into_iter().zip(0..=u8::MAX).map(held));
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
        self.issue(cheat, &paying, units, keyset, fault, None);
    }

    pub(super) fn deposit(&mut self, publisher: usize, mask: u32, twice: bool, fault: Fault) {
        let chosen = |(index, one): &(usize, &Sent)| mask >> (index % 32) & 1 == 1 && (publisher == 1 || one.publisher == 0);
        let mut payments: Vec<usize> = self.sent.iter().enumerate().filter(chosen).map(|(index, _)| index).take(8).collect();
        if twice {
            payments.extend(payments.clone());
        }
        self.hand_in(payments, fault);
    }

    /// A deposit of these payments.
    pub(super) fn hand_in(&mut self, payments: Vec<usize>, fault: Fault) {
        if payments.is_empty() {
            return;
        }
        self.learn_frozen();
        let before = self.frozen.clone();
        let bodies = payments.iter().map(|payment| self.sent[*payment].deposit.to_body()).collect();
        let request = DepositRequestFrame { seen: self.mark, payments: bodies }.to_bytes();
        let (status, answer, again) = self.post("/v1/deposits", &request, fault);
        assert_eq!(status, StatusCode::OK, "{}", problem(&answer));
        self.learn_frozen();
        let frame = DepositResponseFrame::from_bytes(&answer).unwrap();
        let known = |payment: &usize| (self.sent[*payment].deposit.spending().payment_id(), self.sent[*payment].deposit.payment().change());
        let expected: Vec<_> = payments.iter().map(known).collect();
        let outcomes = verify_answer(&frame, &expected, &self.list).expect("the mint signs what it says");
        assert!(self.mark.is_none_or(|mark| mark.ledger == frame.mark.ledger && mark.sequence <= frame.mark.sequence), "marks only grow");
        self.mark = Some(frame.mark);
        let mut told: Vec<(usize, Outcome)> = payments.into_iter().zip(outcomes).collect();
        if again {
            // What the lost answer has booked stands before anything this one says: a payment that was refused then, for a refreshed or a
            // frozen token, is double-spent now if a later one has paid another of its tokens.
            told.sort_by_key(|(_, outcome)| !matches!(outcome, Outcome::Credited { .. } | Outcome::AlreadyCredited { .. }));
        }
        for (payment, outcome) in told {
            self.settle(payment, outcome, again, &before);
        }
    }

    fn settle(&mut self, payment: usize, outcome: Outcome, again: bool, frozen: &BTreeSet<Kind>) {
        let one = &self.sent[payment];
        let state = |token: &usize| self.tokens[*token].state;
        let unspent = one.tokens.iter().all(|token| state(token) == State::Unspent);
        match outcome {
            Outcome::Refunded => assert!(one.refunded),
            Outcome::AlreadyCredited { .. } if one.credited => assert!(!one.refunded),
            Outcome::Credited { .. } | Outcome::AlreadyCredited { .. } => {
                assert!(again || matches!(outcome, Outcome::Credited { .. }), "credited without anybody having asked");
                assert!(unspent && !one.credited, "a token is credited once");
                assert!(!one.tokens.iter().any(|token| frozen.contains(&self.kind(*token))), "what is frozen is credited no more");
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
                    Refusal::Refreshed => {
                        assert!(one.tokens.iter().any(|token| matches!(state(token), State::Refreshed | State::Repaid)));
                    }
                    Refusal::Frozen => assert!(one.tokens.iter().any(|token| self.frozen.contains(&self.kind(*token)))),
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
