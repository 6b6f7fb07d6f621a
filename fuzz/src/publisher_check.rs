//! What must hold of the verifier's answers, of its store, and of both together with what the mint has said.

use std::collections::BTreeMap;

use farthing_protocol::wire::DoubleSpendFrame;
use farthing_verifier::store::{PaymentState, RefusedBecause};
use farthing_verifier::{Paid, Refused};
use http::header::AUTHORIZATION;

use super::mint::Said;
use super::*;

const DAY: u64 = 24 * HOUR;

/// The code by which a state that does not serve is told, once the mint has decided.
fn told(state: &PaymentState) -> Option<&'static str> {
    match state {
        PaymentState::Refused(RefusedBecause::DoubleSpent(_)) => Some("double-spend"),
        PaymentState::Refused(RefusedBecause::Refusal(refusal)) => Some(refusal.code()),
        PaymentState::Refunded => Some("refused-refunded"),
        PaymentState::Pending | PaymentState::Accepted | PaymentState::Settled => None,
    }
}

fn shares(one: &Sent, other: &Sent) -> bool {
    one.tokens.iter().any(|token| other.tokens.contains(token))
}

impl Publisher {
    /// What the store holds, whatever the disk does.
    pub(super) async fn record(&self, id: PaymentId) -> Option<PaymentRecord> {
        self.store.well().payment(id).await.expect("it reads back")
    }

    /// Sends a payment and looks at the answer.
    pub(super) async fn send(&mut self, index: usize, sending: Sending, line: Line, disk: Disk) {
        let one = &self.sent[index];
        let page = if sending == Sending::OtherPage { (one.page + 1) % 8 } else { one.page };
        let mut offer = offer(one.page);
        if sending == Sending::OtherPrice {
            offer.price = Price::Fixed(Amount::from_units(price(one.page) + STEP));
        }
        let patience = if let Sending::HangUp(polls) = sending { Some(polls.into()) } else { self.patience(line) };
        let (before, now) = (self.record(one.id).await, self.verifier().now());
        let answer = patiently(patience, self.verifier().authorize(&one.header, &self.resource(page), &offer)).await;
        let after = self.record(one.id).await;
        match answer {
            Some(Ok(paid)) => self.served(index, sending, now, before.as_ref(), &paid, after.as_ref()).await,
            Some(Err(refused)) => self.refused(index, sending, now, disk, before.as_ref(), &refused, after.as_ref()).await,
            None => {}
        }
    }

    /// Why this payment may be refused before it is claimed.
    async fn reasons(&self, index: usize, sending: Sending, now: u64) -> Vec<&'static str> {
        let one = &self.sent[index];
        let mut reasons = Vec::new();
        let mut because = |holds: bool, code| reasons.extend(holds.then_some(code));
        because(sending == Sending::OtherPage, "wrong-resource");
        because(sending == Sending::OtherPrice, "wrong-amount");
        because(one.expires <= now || one.expires > now + LIFETIME + DAY, "challenge-expired");
        let keyset = &TEMPLATE.list.keysets()[0];
        because(!keyset.spendable_at(now) && !keyset.spendable_at(now + 60), "refused-keyset-closed");
        because(self.setup.deferred && self.setup.refuse, "limit-reached");
        for (_, other) in self.sent.iter().enumerate().filter(|(other, _)| *other != index) {
            if (shares(one, other) || one.challenge.id == other.challenge.id) && self.record(other.id).await.is_some() {
                because(shares(one, other), "double-spend");
                because(one.challenge.id == other.challenge.id, "challenge-unknown");
            }
            because(other.forgotten && one.challenge.id == other.challenge.id, "challenge-unknown");
        }
        reasons
    }

    async fn served(
        &self,
        index: usize,
        sending: Sending,
        now: u64,
        before: Option<&PaymentRecord>,
        paid: &Paid,
        after: Option<&PaymentRecord>,
    ) {
        let one = &self.sent[index];
        let record = after.expect("served what is not claimed");
        assert!(one.good && sending != Sending::OtherPage, "served for a payment that is none");
        assert!(
            paid.payment() == one.id && paid.amount().units() == one.amount && record.amount.units() == one.amount && !paid.is_reread()
        );
        if paid.is_settled() {
            assert!(self.front.said(|said| said.credited.contains_key(&one.id)), "settled without the mint's word");
        } else {
            assert!(self.setup.deferred && record.window > 0, "served what was neither settled nor accepted");
        }
        match before {
            Some(before) => assert!(told(&before.state).is_none(), "served what was refused or given back"),
            None => {
                let mut reasons = self.reasons(index, sending, now).await;
                reasons.retain(|reason| *reason != "limit-reached");
                assert!(reasons.is_empty(), "claimed although it was to be refused: {reasons:?}");
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an answer, and what was before and after it")]
    async fn refused(
        &mut self,
        index: usize,
        sending: Sending,
        now: u64,
        disk: Disk,
        before: Option<&PaymentRecord>,
        refused: &Refused,
        after: Option<&PaymentRecord>,
    ) {
        let (one, code) = (&self.sent[index], refused.code());
        if let Some(proof) = refused.proof() {
            self.accused(proof);
        }
        assert!(one.good || after.is_none(), "claimed a payment that is none");
        if sending == Sending::OtherPage {
            assert!(code == "wrong-resource" || !one.good, "{code} on another page");
            return;
        }
        if disk != Disk::Well {
            return;
        }
        let undecided = ["mint-unavailable", "store-unavailable", "pending"].contains(&code);
        match (before, after) {
            (Some(before), Some(after)) => {
                let waited = before.state == PaymentState::Pending && undecided;
                let decided = told(&after.state) == Some(code) && before.state.is_open();
                assert!(waited || decided || told(&before.state) == Some(code), "the same payment has another answer now: {code}");
            }
            (None, Some(after)) => assert!(undecided || told(&after.state) == Some(code), "claimed, and refused with {code}"),
            (None, None) if one.good => {
                let reasons = self.reasons(index, sending, now).await;
                assert!(reasons.contains(&code), "a good payment is refused: {code}");
            }
            (None, None) => {}
            (Some(_), None) => panic!("forgotten while it was asked for"),
        }
        if let Some(proof) = refused.proof().filter(|_| before.is_none() && after.is_none()) {
            let kept = self.store.well().proofs().await.unwrap();
            assert!(kept.iter().any(|one| one.token == proof.token), "the evidence was not kept");
        }
    }

    /// An accusation is proved, and about a token that the second reader has paid twice.
    fn accused(&self, frame: &DoubleSpendFrame) {
        let proven =
            DoubleSpend::from_frame(frame).ok().and_then(|proof| proof.verify(&TEMPLATE.table).ok()).expect("an accusation is proved");
        let token = TEMPLATE.tokens.iter().position(|(token, cheat)| *cheat && token.token().spent_key() == proven.token());
        let token = token.expect("an honest reader is never accused");
        let payments = self.sent.iter().filter(|one| one.tokens.contains(&token)).count() + usize::from(self.elsewhere.contains(&token));
        assert!(payments > 1, "whoever paid once is accused");
    }

    pub(super) async fn refund(&mut self, payment: u8, patience: Option<usize>) {
        let Some(index) = self.some(payment) else { return };
        let one = &self.sent[index];
        if let Some(Ok(amount)) = patiently(patience, self.verifier().refund(one.id)).await {
            assert_eq!(amount.units(), one.amount);
            assert!(self.front.said(|said| said.refunded.contains(&one.id)), "given back without the mint's word");
            assert!(self.record(one.id).await.is_some_and(|record| record.state == PaymentState::Refunded));
        }
    }

    pub(super) async fn look_at(&mut self, payment: u8) {
        let Some(index) = self.some(payment) else { return };
        let one = &self.sent[index];
        let mut head = http::Request::builder().uri(uri(one.page)).body(()).unwrap().into_parts().0;
        head.headers.insert(AUTHORIZATION, one.header.parse().unwrap());
        let before = self.record(one.id).await;
        let found = self.verifier().check(&head, &offer(one.page)).await;
        if before.is_none() {
            assert!(self.record(one.id).await.is_none(), "a look has claimed something");
        }
        assert!(found.is_err() || one.good, "found good what is not");
    }

    pub(super) async fn receipt(&mut self, payment: u8, patience: Option<usize>) {
        let Some(index) = self.some(payment) else { return };
        let one = &self.sent[index];
        if let Some(Ok(receipt)) = patiently(patience, self.verifier().deposit_receipt(one.id)).await {
            let proven = receipt.verify(TEMPLATE.list.root()).expect("a receipt holds");
            assert!(proven.payment == one.id && proven.amount.units() == one.amount && proven.publisher == PUBLISHERS[0]);
            assert!(self.front.said(|said| said.credited.contains_key(&one.id)), "a receipt for what was not credited");
        }
    }

    /// Lets everything work that has something to do.
    async fn quiet(&self) {
        for _ in 0..5_000 {
            let mut still = true;
            for _ in 0..8 {
                still &= !self.store.is_busy() && !self.front.is_busy();
                tokio::task::yield_now().await;
            }
            if still {
                return;
            }
            std::thread::sleep(Duration::from_micros(10));
        }
    }

    /// What must hold between steps.
    pub(super) async fn compare(&mut self) {
        self.latest = self.latest.max(self.verifier().now());
        for tries in 0.. {
            self.quiet().await;
            // Something may go on while the store is read.
            match self.look_around().await {
                Ok(()) => break,
                Err(what) => assert!(tries < 5, "{what}"),
            }
        }
        let (lies, alarms) = (self.front.said(|said| said.lies), self.verifier().statistics().mint_alarm);
        assert!(lies > 0 || alarms == 0, "an alarm about a mint that speaks the truth");
    }

    async fn look_around(&mut self) -> Result<(), &'static str> {
        let store = self.store.well();
        for index in 0..self.sent.len() {
            let found = self.record(self.sent[index].id).await;
            self.moved(index, found);
        }
        let claimed = || self.sent.iter().filter_map(|one| Some((one, one.record.as_ref()?)));
        let mut holders: BTreeMap<usize, PaymentId> = BTreeMap::new();
        for (one, _) in claimed() {
            for token in &one.tokens {
                assert!(holders.insert(*token, one.id).is_none(), "a token was claimed by two payments");
            }
        }
        let open: BTreeSet<PaymentId> = claimed().filter(|(_, record)| record.state.is_open()).map(|(one, _)| one.id).collect();
        let waiting: BTreeSet<PaymentId> = store.outbox(None, 64).await.unwrap().iter().map(|entry| entry.payment).collect();
        if open != waiting {
            return Err("what is claimed and undecided is in the outbox, and nothing else");
        }
        let accepted = |record: &PaymentRecord| record.state == PaymentState::Accepted;
        let outstanding: u64 = claimed().filter(|(_, record)| accepted(record)).map(|(one, _)| one.amount).sum();
        let totals = store.totals().await.unwrap();
        if (totals.outstanding.units(), totals.undecided) != (outstanding, open.len() as u64) {
            return Err("the totals are not the sum of what is open");
        }
        let mut windows: BTreeMap<u64, u64> = BTreeMap::new();
        for (one, record) in claimed().filter(|(one, record)| record.window > 0 && !one.was_settled) {
            *windows.entry(record.window).or_default() += one.amount;
        }
        let limit = |units: u8| if self.setup.deferred { STEP * u64::from(units % 16) } else { 0 };
        assert!(outstanding <= limit(self.setup.outstanding), "more is accepted than may be outstanding");
        assert!(windows.values().all(|sum| *sum <= limit(self.setup.per_window)), "more is accepted than one window may hold");
        let proofs = store.proofs().await.unwrap();
        if proofs.len() > self.proofs {
            proofs.iter().for_each(|proof| self.accused(proof));
        }
        assert!(proofs.len() >= self.proofs, "evidence was lost");
        self.proofs = proofs.len();
        Ok(())
    }

    /// Takes in what the store holds of a payment now.
    fn moved(&mut self, index: usize, found: Option<PaymentRecord>) {
        let latest = self.latest;
        let one = &mut self.sent[index];
        let (id, forgotten) = (one.id, one.forgotten);
        let said = |look: fn(&Said, &PaymentId) -> bool| self.front.said(|said| look(said, &id));
        match (&one.record, &found) {
            (Some(before), None) => {
                let over = TEMPLATE.list.keysets()[0].windows().deposit_until + DAY < latest && before.access_until < latest;
                assert!(!before.state.is_open() && over, "a payment was forgotten");
                one.forgotten = true;
            }
            (None, Some(_)) => assert!(one.good && !forgotten, "claimed what is no payment, or what was forgotten"),
            (Some(before), Some(after)) => {
                assert!(before.state == after.state || before.state.leads_to(&after.state), "an arrow that is not there");
                assert!((before.amount, before.access_until, before.window) == (after.amount, after.access_until, after.window));
            }
            (None, None) => {}
        }
        match found.as_ref().map(|record| &record.state) {
            Some(PaymentState::Settled) => {
                assert!(said(|said, id| said.credited.contains_key(id)), "settled without the mint's word");
                one.was_settled = true;
            }
            Some(PaymentState::Refunded) => {
                assert!(said(|said, id| said.refunded.contains(id)), "given back without the mint's word");
                // Settled on the way.
                one.was_settled = true;
            }
            Some(PaymentState::Refused(RefusedBecause::DoubleSpent(_))) => {
                assert!(one.cheat && said(|said, id| said.double_spent.contains(id)), "refused without the mint's word");
            }
            Some(PaymentState::Refused(RefusedBecause::Refusal(refusal))) => {
                let number = refusal.number();
                assert!(self.front.said(|said| said.refused.contains(&(id, number))), "refused without the mint's word");
            }
            Some(PaymentState::Pending) | None => {}
            Some(PaymentState::Accepted) => assert!(self.setup.deferred, "accepted in settle-first"),
        }
        one.record = found;
    }

    /// All is well from here on: everything is decided, nothing is lost, and whoever asks again gets the same answer.
    pub(super) async fn finish(&mut self) {
        self.front.let_go();
        let mut handed_in = false;
        for _ in 0..10 {
            self.quiet().await;
            handed_in = self.verifier().flush_outbox().await.is_ok();
            if handed_in {
                break;
            }
        }
        assert!(handed_in, "nothing is in the way, and not all is handed in");
        self.compare().await;
        let (credited, refunded) = self.front.said(|said| (said.credited.clone(), said.refunded.clone()));
        let mut accounted = 0;
        for one in &self.sent {
            let state = one.record.as_ref().map(|record| &record.state);
            assert!(state.is_none_or(|state| !state.is_open()), "undecided for ever");
            let settled = matches!(state, Some(PaymentState::Settled | PaymentState::Refunded));
            assert!(settled || one.forgotten || !credited.contains_key(&one.id), "credited, and not settled here");
            accounted += usize::from(credited.contains_key(&one.id));
        }
        assert_eq!(accounted, credited.len(), "the mint has credited what nobody has paid");
        let earned: u64 = credited.iter().filter(|(id, _)| !refunded.contains(*id)).map(|(_, amount)| amount).sum();
        let balance = self.mint.publisher_balance(PUBLISHERS[0]).await.unwrap();
        assert_eq!(balance.map(Amount::units), Some(earned), "the publisher's balance");
        for index in (0..self.sent.len()).filter(|index| self.sent[*index].record.is_some()).take(4).collect::<Vec<_>>() {
            self.send(index, Sending::Plain, Line::Open, Disk::Well).await;
        }
        self.compare().await;
    }
}
