//! Deposits: payments in, credits, refusals and proofs out, one outcome each.

use std::sync::atomic::Ordering;
use std::time::Instant;

use farthing_protocol::error::ProofError;
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::payment::Deposit;
use farthing_protocol::settle::{MAX_DEPOSITS, Outcome, Refusal};
use farthing_protocol::spending::Spending;
use farthing_protocol::wire::{DepositRequestFrame, DepositResponseFrame, LedgerMark};
use metrics::{counter, histogram};

use super::checker::Step;
use super::{Asking, OperationError, Operations};
use crate::metrics as names;
use crate::side;
use crate::store::{LedgerError, PaymentBooked, PaymentBooking};

/// How many invented marks ahead of the ledger are looked at in one minute: guessing the 24 bits of a seal takes years.
const GUESSES_A_MINUTE: u64 = 10;

impl Operations {
    /// Books payments and signs what became of each.
    ///
    /// # Errors
    /// [`OperationError`]; after `Unavailable` some payments may be booked, and the same deposit again says which.
    pub async fn deposit(&self, request: DepositRequestFrame) -> Result<DepositResponseFrame, OperationError> {
        let _place = self.admit(Asking::Publisher)?;
        let now = self.deposit_time()?;
        if request.payments.is_empty() {
            return Err(ProofError::EmptyBatch.into());
        }
        if request.payments.len() > MAX_DEPOSITS {
            return Err(OperationError::TooManyPayments);
        }
        histogram!(names::DEPOSIT_PAYMENTS).record(u32::try_from(request.payments.len()).unwrap_or(u32::MAX));
        self.check_mark(request.seen, now).await?;
        let steps = self.checker.verify(request.payments, self.table()).await?;
        // What is refused stays refused: a keyset that this ledger has forgotten may come back yet.
        if (self.is_resyncing() || self.is_restored()) && steps.iter().any(|step| matches!(step, Step::Refused(_, Refusal::UnknownKeyset)))
        {
            return Err(self.not_yet());
        }

        let bookings: Vec<PaymentBooking> = steps.iter().filter_map(|step| self.booking(step, now)).collect();
        // The ledger's answer may be that a payment is booked already, so the clock is no reason to leave one out.
        let (sequence, booked) = if bookings.is_empty() {
            (self.ledger.position().await?.sequence, Vec::new())
        } else {
            let begun = Instant::now();
            let done = self.ledger.deposit(bookings, now).await?;
            histogram!(names::LEDGER_SECONDS, "booking" => "deposit").record(begun.elapsed());
            (done.sequence, done.outcomes)
        };
        self.sequence.fetch_max(sequence, Ordering::SeqCst);
        if booked.contains(&PaymentBooked::NotYet) {
            return Err(self.not_yet());
        }

        let mut booked = booked.into_iter();
        let mut ids = Vec::with_capacity(steps.len());
        let mut outcomes = Vec::with_capacity(steps.len());
        for step in steps {
            let (id, outcome) = match step {
                Step::Malformed => (None, Outcome::Refused(Refusal::Malformed)),
                Step::Refused(id, refusal) => (Some(id), Outcome::Refused(refusal)),
                Step::Verified(deposit, spending) => {
                    let booked = booked.next().ok_or(LedgerError::Corrupt("fewer outcomes than payments"))?;
                    (Some(spending.payment_id()), self.outcome(booked, &deposit, &spending)?)
                }
            };
            counter!(names::PAYMENTS, "outcome" => outcome_name(&outcome)).increment(1);
            ids.push(id);
            outcomes.push(outcome);
        }
        let mark = self.signer.mark(self.ledger_id, sequence);
        self.signer.answer(mark, &ids, &outcomes).map_err(|_| OperationError::Unavailable)
    }

    /// Implements R-MINT-07.
    fn booking(&self, step: &Step, now: u64) -> Option<PaymentBooking> {
        let Step::Verified(deposit, spending) = step else { return None };
        let payment = deposit.payment();
        Some(PaymentBooking {
            id: spending.payment_id(),
            publisher: deposit.recipient().to_owned(),
            amount: payment.amount(),
            change: payment.change(),
            tokens: spending.list().to_vec(),
            side: side::encode(&SpendingSide::of(spending)),
            refusal: self.window_refusal(deposit, spending, now),
        })
    }

    /// Why a payment that was not booked before is not to be booked now.
    ///
    /// Implements R-SPEND-16, R-LIFE-02.
    fn window_refusal(&self, deposit: &Deposit, spending: &Spending, now: u64) -> Option<Refusal> {
        // What is late while the ledger catches up was credited before (spec/resync.md).
        if deposit.payment().deposit_by() < now && !self.is_resyncing() {
            return Some(Refusal::Late);
        }
        let list = self.list();
        for token in spending.list() {
            let Some(keyset) = list.get(&token.keyset) else { return Some(Refusal::UnknownKeyset) };
            if *keyset.unit() != self.unit {
                return Some(Refusal::MixedUnits);
            }
            if !keyset.depositable_at(now) {
                return Some(Refusal::KeysetClosed);
            }
        }
        None
    }

    /// Implements R-MINT-08.
    fn outcome(&self, booked: PaymentBooked, deposit: &Deposit, spending: &Spending) -> Result<Outcome, OperationError> {
        let change = deposit.payment().change();
        Ok(match booked {
            PaymentBooked::Credited => {
                counter!(names::DEPOSITED_TOKENS).increment(spending.list().len() as u64);
                counter!(names::CREDITED_UNITS).increment(deposit.payment().amount().units());
                Outcome::Credited { change }
            }
            PaymentBooked::AlreadyCredited => Outcome::AlreadyCredited { change },
            PaymentBooked::Refunded => Outcome::Refunded,
            PaymentBooked::Refused(refusal) => Outcome::Refused(refusal),
            PaymentBooked::NotYet => return Err(self.not_yet()),
            PaymentBooked::DoubleSpent { earlier } => {
                let damaged = LedgerError::Corrupt("a stored side");
                let proof = DoubleSpend::new(side::decode(&earlier).map_err(|_| damaged)?, spending).map_err(|_| damaged)?;
                // A mint that signs an accusation which does not hold is broken: better no answer.
                proof.clone().verify(&self.table()).map_err(|_| damaged)?;
                Outcome::DoubleSpent(Box::new(proof))
            }
        })
    }

    /// What a restored ledger answers instead of a refusal that would be for good.
    ///
    /// Implements R-RESYNC-07.
    fn not_yet(&self) -> OperationError {
        if self.is_resyncing() { OperationError::Resyncing } else { OperationError::LedgerBehind }
    }

    /// Stops the mint if the verifier has seen this ledger further ahead than it is.
    ///
    /// Implements R-MINT-10.
    async fn check_mark(&self, seen: Option<LedgerMark>, now: u64) -> Result<(), OperationError> {
        let Some(seen) = seen.filter(|seen| seen.ledger.0 == self.ledger_id) else { return Ok(()) };
        let known = self.signer.mark(self.ledger_id, self.sequence.load(Ordering::SeqCst));
        if seen.sequence <= known.sequence {
            return Ok(());
        }
        // Another process may have taken the ledger further than this one knows: such a mark is no guess.
        let own = self.ledger.position().await?.sequence;
        self.sequence.fetch_max(own, Ordering::SeqCst);
        if seen.sequence <= self.signer.mark(self.ledger_id, own).sequence {
            return Ok(());
        }
        if !self.count_guess(now) {
            return Err(OperationError::Overloaded);
        }
        let Some(sequence) = self.signer.sequence_of(&seen) else {
            // Invented: only this mint makes marks.
            tracing::warn!("a deposit named a mark that this mint did not make");
            return Ok(());
        };
        self.uncount_guess(now);
        if sequence <= own { Ok(()) } else { self.fall_behind(sequence, own).await }
    }

    /// Whoever guesses at marks gets few tries; `false` if there are none left.
    fn count_guess(&self, now: u64) -> bool {
        let minute = now / 60;
        let update = |packed: u64| {
            let count = if packed >> 16 == minute { packed & 0xffff } else { 0 };
            (count < GUESSES_A_MINUTE).then_some((minute << 16) | (count + 1))
        };
        self.marks_guessed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update).is_ok()
    }

    /// It was no guess.
    fn uncount_guess(&self, now: u64) {
        let update = |packed: u64| (packed >> 16 == now / 60 && packed & 0xffff > 0).then(|| packed - 1);
        // Another minute has begun: there is nothing to give back.
        let _ = self.marks_guessed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update);
    }
}

const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Credited { .. } => "credited",
        Outcome::AlreadyCredited { .. } => "already-credited",
        Outcome::Refunded => "refunded",
        Outcome::DoubleSpent(_) => "double-spent",
        Outcome::Refused(_) => "refused",
    }
}
