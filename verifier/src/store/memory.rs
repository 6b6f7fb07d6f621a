//! A store that forgets everything when it is dropped: for tests and for trying things out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, MutexGuard};

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{PaymentId, SpentKey};
use farthing_protocol::wire::{DepositBody, DoubleSpendFrame, LedgerMark};

use super::codec::answer_name;
use super::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned, Store,
    StoreError, Totals, UsedChallenge, may_lack, proof_key,
};

/// Everything in memory.
///
/// # Security
/// After a restart every token that was spent here before is unknown again, and undecided deposits are lost: never for a real site.
#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    spent: BTreeMap<SpentKey, PaymentId>,
    challenges: HashSet<UsedChallenge>,
    payments: HashMap<PaymentId, PaymentRecord>,
    outbox: BTreeMap<PaymentId, DepositBody>,
    kept: BTreeMap<PaymentId, KeptDeposit>,
    ledgers: Vec<LedgerMark>,
    documents: HashMap<Document, Vec<u8>>,
    proofs: BTreeMap<[u8; SpentKey::SIZE], DoubleSpendFrame>,
    /// Each with the number of payments that keep it.
    answers: HashMap<[u8; 32], (usize, Vec<u8>)>,
    outstanding: u64,
    at_risk: HashMap<u64, u64>,
    latest_claim: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> Result<MutexGuard<'_, Tables>, StoreError> {
        // A thread that panicked while writing may have left half a claim behind.
        self.0.lock().map_err(|_| StoreError::Unavailable)
    }
}

impl Tables {
    fn claim(&mut self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        let Claim { payment, list, challenge, record, deposit, limits } = claim;
        if let Some(known) = self.payments.get(&payment) {
            return Ok(ClaimOutcome::Known(known.clone()));
        }
        if let Some(other) = list.iter().find_map(|key| self.spent.get(key)) {
            let record = self.payments.get(other).ok_or(StoreError::Corrupt)?;
            return Ok(ClaimOutcome::Conflict(record.clone()));
        }
        if self.challenges.contains(&challenge) {
            return Ok(ClaimOutcome::ChallengeUsed);
        }
        if record.state == PaymentState::Accepted {
            let at_risk = self.at_risk.get(&record.window).copied().unwrap_or(0);
            let amount = record.amount.units();
            let (Some(outstanding), Some(in_window)) = (self.outstanding.checked_add(amount), at_risk.checked_add(amount)) else {
                return Ok(ClaimOutcome::LimitReached);
            };
            if limits.is_none_or(|limits| outstanding > limits.outstanding.units() || in_window > limits.per_window.units()) {
                return Ok(ClaimOutcome::LimitReached);
            }
            self.outstanding = outstanding;
            self.at_risk.insert(record.window, in_window);
        }
        self.latest_claim = self.latest_claim.max(record.claimed_at);
        self.spent.extend(list.into_iter().map(|key| (key, payment)));
        self.challenges.insert(challenge);
        self.outbox.insert(payment, deposit);
        self.payments.insert(payment, record);
        Ok(ClaimOutcome::Claimed)
    }

    fn decide(&mut self, decision: Decision, mark: Option<LedgerMark>, answer: Option<&[u8]>) -> Option<PaymentState> {
        let record = self.payments.get_mut(&decision.payment)?;
        let settles = decision.state == PaymentState::Settled;
        if record.state == PaymentState::Settled
            && record.state == decision.state
            && let Some(kept) = self.kept.get_mut(&decision.payment)
        {
            kept.mark = mark.or(kept.mark);
        }
        if record.state.leads_to(&decision.state) {
            if record.state == PaymentState::Accepted {
                let amount = record.amount.units();
                self.outstanding = self.outstanding.saturating_sub(amount);
                if decision.state == PaymentState::Settled
                    && let Some(at_risk) = self.at_risk.get_mut(&record.window)
                {
                    *at_risk = at_risk.saturating_sub(amount);
                }
            }
            record.state = decision.state;
            self.kept.remove(&decision.payment);
            if let Some(deposit) = self.outbox.remove(&decision.payment)
                && record.state == PaymentState::Settled
            {
                self.kept.insert(decision.payment, KeptDeposit { payment: decision.payment, deposit, mark });
            }
        }
        let state = record.state.clone();
        if state != PaymentState::Settled {
            let left = record.answer.take();
            self.release(left);
        } else if settles && let (None, Some(answer)) = (record.answer, answer) {
            let name = answer_name(answer);
            record.answer = Some(name);
            self.answers.entry(name).or_insert_with(|| (0, answer.to_vec())).0 += 1;
        }
        Some(state)
    }

    /// One payment less keeps this answer.
    fn release(&mut self, answer: Option<[u8; 32]>) {
        if let Some(name) = answer
            && let Some((payments, _)) = self.answers.get_mut(&name)
        {
            *payments -= 1;
            if *payments == 0 {
                self.answers.remove(&name);
            }
        }
    }

    fn raise(&mut self, mark: LedgerMark) {
        match self.ledgers.iter_mut().find(|known| known.ledger == mark.ledger) {
            Some(known) => known.sequence = known.sequence.max(mark.sequence),
            None => self.ledgers.push(mark),
        }
    }

    fn prune(&mut self, prune: &Prune) -> Pruned {
        let from = prune.after.map_or(Unbounded, Excluded);
        let closed = self.spent.range((from, Unbounded)).filter(|(key, _)| prune.closed.contains(&key.keyset));
        let step: Vec<(SpentKey, PaymentId)> = closed.take(prune.limit).map(|(key, payment)| (*key, *payment)).collect();
        let mut pruned = Pruned { payments: 0, next: if step.len() < prune.limit { None } else { step.last().map(|(key, _)| *key) } };
        for (_, payment) in step {
            if self.payments.get(&payment).is_some_and(|record| prune.forgets(record)) {
                let answer = self.payments.remove(&payment).and_then(|record| record.answer);
                self.release(answer);
                self.kept.remove(&payment);
                self.spent.retain(|_, holder| *holder != payment);
                self.latest_claim = self.latest_claim.max(prune.before);
                pruned.payments += 1;
            }
        }
        pruned
    }
}

impl Store for MemoryStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        self.tables()?.claim(claim)
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        Ok(self.tables()?.payments.get(&payment).cloned())
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        Ok(self.tables()?.challenges.insert(challenge))
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        let mut tables = self.tables()?;
        if let Some(mark) = mark {
            tables.raise(mark);
        }
        Ok(decisions.into_iter().map(|decision| tables.decide(decision, mark, answer.as_deref())).collect())
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let tables = self.tables()?;
        let entries = tables.outbox.range((after.map_or(Unbounded, Excluded), Unbounded)).take(limit);
        Ok(entries.map(|(payment, deposit)| OutboxEntry { payment: *payment, deposit: deposit.clone() }).collect())
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        let tables = self.tables()?;
        let kept = tables.kept.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, kept)| kept);
        Ok(kept.filter(|kept| may_lack(since.as_ref(), kept.mark.as_ref())).take(limit).cloned().collect())
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        let tables = self.tables()?;
        let (Some(kept), Some(record)) = (tables.kept.get(&payment), tables.payments.get(&payment)) else { return Ok(None) };
        let answer = record.answer.and_then(|name| tables.answers.get(&name)).map(|(_, answer)| answer.clone());
        Ok(Some(KeptAnswer { deposit: kept.deposit.clone(), answer }))
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        Ok(self.tables()?.ledgers.last().copied())
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        let tables = self.tables()?;
        Ok(tables.outbox.keys().filter_map(|payment| tables.payments.get(payment)).map(|record| record.claimed_at).min())
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        let tables = self.tables()?;
        Ok(Totals {
            outstanding: Amount::from_units(tables.outstanding),
            undecided: tables.outbox.len() as u64,
            latest_claim: tables.latest_claim,
        })
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables()?.documents.get(&document).cloned())
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.tables()?.documents.insert(document, bytes);
        Ok(())
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        Ok(self.tables()?.documents.entry(document).or_insert(bytes).clone())
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        self.tables()?.proofs.entry(proof_key(&proof)).or_insert(proof);
        Ok(())
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        Ok(self.tables()?.proofs.values().cloned().collect())
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        self.tables()?.challenges.retain(|challenge| challenge.expires >= now);
        Ok(())
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        Ok(self.tables()?.prune(&prune))
    }
}
