//! What the embedded store's writer does inside one transaction.
//!
//! A group of requests shares the open tables, and the counts that every accepted claim changes are written once a group: claims
//! that arrive together cost their own rows and no more.

use std::collections::BTreeMap;

use farthing_protocol::proof::SpentKey;
use farthing_protocol::wire::LedgerMark;
use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use super::codec::{answer_name, decode_record, encode_deposit, encode_record, key_from_bytes};
use super::{Claim, ClaimOutcome, Decision, PaymentState, Prune, Pruned, StoreError};

pub(super) const SPENT: TableDefinition<'_, [u8; SpentKey::SIZE], [u8; 32]> = TableDefinition::new("spent");
pub(super) const CHALLENGES: TableDefinition<'_, (u64, [u8; 32]), ()> = TableDefinition::new("challenges");
pub(super) const PAYMENTS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("payments");
pub(super) const OUTBOX: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("outbox");
/// Ledger and sequence of the mark a payment was booked under (a sequence of 0 stands for none), and its deposit.
type Kept<'a> = ([u8; 16], u64, &'a [u8]);
pub(super) const KEPT: TableDefinition<'_, [u8; 32], Kept<'_>> = TableDefinition::new("kept");
/// The mint's answers by their names, each with the number of payments that keep it.
pub(super) const ANSWERS: TableDefinition<'_, [u8; 32], (u64, &[u8])> = TableDefinition::new("answers");
/// Ledger id to (order of first sight, sequence).
pub(super) const LEDGERS: TableDefinition<'_, [u8; 16], (u64, u64)> = TableDefinition::new("ledgers");
pub(super) const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
pub(super) const PROOFS: TableDefinition<'_, [u8; SpentKey::SIZE], &[u8]> = TableDefinition::new("proofs");
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
pub(super) const AT_RISK: TableDefinition<'_, u64, u64> = TableDefinition::new("at-risk");

pub(super) const OUTSTANDING: &str = "outstanding";
pub(super) const LATEST_CLAIM: &str = "latest-claim";
const LAYOUT: &str = "layout";
const LAYOUT_VERSION: u64 = 1;

/// Makes the tables that are missing.
pub(super) fn set_up(setup: &WriteTransaction) -> Result<(), StoreError> {
    setup.open_table(SPENT)?;
    setup.open_table(CHALLENGES)?;
    setup.open_table(PAYMENTS)?;
    setup.open_table(OUTBOX)?;
    setup.open_table(KEPT)?;
    setup.open_table(ANSWERS)?;
    setup.open_table(LEDGERS)?;
    setup.open_table(DOCUMENTS)?;
    setup.open_table(PROOFS)?;
    setup.open_table(AT_RISK)?;
    let mut numbers = setup.open_table(NUMBERS)?;
    let layout = numbers.get(LAYOUT)?.map(|value| value.value());
    match layout {
        None => {
            numbers.insert(LAYOUT, LAYOUT_VERSION)?;
        }
        Some(LAYOUT_VERSION) => {}
        Some(_) => return Err(StoreError::Corrupt),
    }
    Ok(())
}

/// A counter as it will be written when the group ends.
#[derive(Clone, Copy)]
struct Count {
    value: u64,
    changed: bool,
}

impl Count {
    const fn of(value: u64) -> Self {
        Self { value, changed: false }
    }

    const fn set(&mut self, value: u64) {
        self.value = value;
        self.changed = true;
    }
}

/// What a decision has come to.
#[derive(Default)]
struct Decided {
    state: Option<PaymentState>,
    /// Whether the payment keeps the answer from now on.
    keeps: bool,
    /// The answer it keeps no more.
    releases: Option<[u8; 32]>,
}

/// The tables, open for one group of requests.
pub(super) struct Tables<'t> {
    transaction: &'t WriteTransaction,
    pub(super) challenges: Table<'t, (u64, [u8; 32]), ()>,
    spent: Table<'t, [u8; SpentKey::SIZE], [u8; 32]>,
    payments: Table<'t, [u8; 32], &'static [u8]>,
    outbox: Table<'t, [u8; 32], &'static [u8]>,
    numbers: Table<'t, &'static str, u64>,
    outstanding: Count,
    latest_claim: Count,
    at_risk: BTreeMap<u64, Count>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        let numbers = transaction.open_table(NUMBERS)?;
        let number = |name| Ok::<_, StoreError>(Count::of(numbers.get(name)?.map_or(0, |value| value.value())));
        let (outstanding, latest_claim) = (number(OUTSTANDING)?, number(LATEST_CLAIM)?);
        Ok(Self {
            transaction,
            challenges: transaction.open_table(CHALLENGES)?,
            spent: transaction.open_table(SPENT)?,
            payments: transaction.open_table(PAYMENTS)?,
            outbox: transaction.open_table(OUTBOX)?,
            numbers,
            outstanding,
            latest_claim,
            at_risk: BTreeMap::new(),
        })
    }

    /// For what few requests touch.
    pub(super) const fn transaction(&self) -> &'t WriteTransaction {
        self.transaction
    }

    /// Writes the counts. The caller commits.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        for (name, count) in [(OUTSTANDING, self.outstanding), (LATEST_CLAIM, self.latest_claim)] {
            if count.changed {
                self.numbers.insert(name, count.value)?;
            }
        }
        if self.at_risk.values().any(|count| count.changed) {
            let mut at_risk = self.transaction.open_table(AT_RISK)?;
            for (window, count) in self.at_risk.iter().filter(|(_, count)| count.changed) {
                at_risk.insert(window, count.value)?;
            }
        }
        Ok(())
    }

    fn at_risk(&mut self, window: u64) -> Result<&mut Count, StoreError> {
        use std::collections::btree_map::Entry::{Occupied, Vacant};
        match self.at_risk.entry(window) {
            Occupied(known) => Ok(known.into_mut()),
            Vacant(place) => {
                let stored = self.transaction.open_table(AT_RISK)?.get(window)?.map_or(0, |value| value.value());
                Ok(place.insert(Count::of(stored)))
            }
        }
    }

    pub(super) fn claim(&mut self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        let Claim { payment, list, challenge, record, deposit, limits } = claim;
        if let Some(known) = self.payments.get(payment.0)? {
            return decode_record(known.value()).map(ClaimOutcome::Known);
        }
        for key in &list {
            if let Some(other) = self.spent.get(key.to_bytes())? {
                let record = self.payments.get(other.value())?.ok_or(StoreError::Corrupt)?;
                return decode_record(record.value()).map(ClaimOutcome::Conflict);
            }
        }
        if self.challenges.get((challenge.expires, challenge.id))?.is_some() {
            return Ok(ClaimOutcome::ChallengeUsed);
        }
        if record.state == PaymentState::Accepted {
            let amount = record.amount.units();
            let outstanding = self.outstanding.value.checked_add(amount);
            let window = self.at_risk(record.window)?;
            let (Some(outstanding), Some(in_window)) = (outstanding, window.value.checked_add(amount)) else {
                return Ok(ClaimOutcome::LimitReached);
            };
            if limits.is_none_or(|limits| outstanding > limits.outstanding.units() || in_window > limits.per_window.units()) {
                return Ok(ClaimOutcome::LimitReached);
            }
            window.set(in_window);
            self.outstanding.set(outstanding);
        }
        if record.claimed_at > self.latest_claim.value {
            self.latest_claim.set(record.claimed_at);
        }
        for key in &list {
            self.spent.insert(key.to_bytes(), payment.0)?;
        }
        self.challenges.insert((challenge.expires, challenge.id), ())?;
        self.payments.insert(payment.0, encode_record(&record).as_slice())?;
        self.outbox.insert(payment.0, encode_deposit(deposit).as_slice())?;
        Ok(ClaimOutcome::Claimed)
    }

    pub(super) fn decide(
        &mut self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<&[u8]>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        if let Some(mark) = mark {
            self.raise(mark)?;
        }
        let mut kept = self.transaction.open_table(KEPT)?;
        let (name, mut released) = (answer.map(answer_name), BTreeMap::new());
        let (mut states, mut keep) = (Vec::with_capacity(decisions.len()), 0);
        for decision in decisions {
            let decided = self.decide_one(decision, mark, name, &mut kept)?;
            keep += u64::from(decided.keeps);
            if let Some(answer) = decided.releases {
                *released.entry(answer).or_default() += 1;
            }
            states.push(decided.state);
        }
        if let (Some(name), Some(answer)) = (name, answer)
            && keep > 0
        {
            let mut answers = self.transaction.open_table(ANSWERS)?;
            let known = answers.get(name)?.map_or(0, |row| row.value().0);
            answers.insert(name, (known + keep, answer))?;
        }
        self.release(released)?;
        Ok(states)
    }

    /// So many payments less keep these answers.
    fn release(&self, released: BTreeMap<[u8; 32], u64>) -> Result<(), StoreError> {
        if released.is_empty() {
            return Ok(());
        }
        let mut answers = self.transaction.open_table(ANSWERS)?;
        for (name, payments) in released {
            let (left, bytes) = {
                let row = answers.remove(name)?.ok_or(StoreError::Corrupt)?;
                let (known, bytes) = row.value();
                (known.saturating_sub(payments), bytes.to_vec())
            };
            if left > 0 {
                answers.insert(name, (left, bytes.as_slice()))?;
            }
        }
        Ok(())
    }

    fn decide_one(
        &mut self,
        decision: Decision,
        mark: Option<LedgerMark>,
        answer: Option<[u8; 32]>,
        kept: &mut Table<'_, [u8; 32], Kept<'static>>,
    ) -> Result<Decided, StoreError> {
        let id = decision.payment.0;
        let Some(mut record) = self.payments.get(id)?.map(|bytes| decode_record(bytes.value())).transpose()? else {
            return Ok(Decided::default());
        };
        let keeps = decision.state == PaymentState::Settled && record.answer.is_none() && answer.is_some();
        let (ledger, sequence) = mark.map_or(([0; 16], 0), |mark| (mark.ledger.0, mark.sequence));
        if !record.state.leads_to(&decision.state) {
            let again = record.state == PaymentState::Settled && record.state == decision.state;
            if mark.is_some() && again {
                let deposit = kept.remove(id)?.map(|row| row.value().2.to_vec());
                if let Some(deposit) = deposit {
                    kept.insert(id, (ledger, sequence, deposit.as_slice()))?;
                }
            }
            let keeps = keeps && again;
            if keeps {
                record.answer = answer;
                self.payments.insert(id, encode_record(&record).as_slice())?;
            }
            return Ok(Decided { state: Some(record.state), keeps, releases: None });
        }
        if record.state == PaymentState::Accepted {
            let amount = record.amount.units();
            self.outstanding.set(self.outstanding.value.saturating_sub(amount));
            if decision.state == PaymentState::Settled {
                let window = self.at_risk(record.window)?;
                window.set(window.value.saturating_sub(amount));
            }
        }
        if record.state == PaymentState::Settled {
            kept.remove(id)?;
        }
        record.state = decision.state;
        let releases = record.answer.take();
        if keeps {
            record.answer = answer;
        }
        self.payments.insert(id, encode_record(&record).as_slice())?;
        if let Some(deposit) = self.outbox.remove(id)?
            && record.state == PaymentState::Settled
        {
            kept.insert(id, (ledger, sequence, deposit.value()))?;
        }
        Ok(Decided { state: Some(record.state), keeps, releases })
    }

    fn raise(&self, mark: LedgerMark) -> Result<(), StoreError> {
        let mut ledgers = self.transaction.open_table(LEDGERS)?;
        let (order, sequence) = match ledgers.get(mark.ledger.0)?.map(|value| value.value()) {
            Some((order, sequence)) => (order, sequence.max(mark.sequence)),
            None => (ledgers.len()?, mark.sequence),
        };
        ledgers.insert(mark.ledger.0, (order, sequence))?;
        Ok(())
    }

    pub(super) fn prune(&mut self, prune: &Prune) -> Result<Pruned, StoreError> {
        use std::ops::Bound::{Excluded, Included};
        let mut step = Vec::new();
        for keyset in &prune.closed {
            let (mut first, mut last) = ([0; SpentKey::SIZE], [u8::MAX; SpentKey::SIZE]);
            first[..32].copy_from_slice(&keyset.0);
            last[..32].copy_from_slice(&keyset.0);
            let from = match prune.after.map(|key| key.to_bytes()) {
                Some(after) if after >= last => continue,
                Some(after) if after >= first => Excluded(after),
                _ => Included(first),
            };
            for row in self.spent.range::<[u8; SpentKey::SIZE]>((from, Included(last)))?.take(prune.limit - step.len()) {
                let (key, payment) = row?;
                step.push((key.value(), payment.value()));
            }
        }
        let next = if step.len() < prune.limit { None } else { step.last().map(|(key, _)| key_from_bytes(key)).transpose()? };
        let mut pruned = Pruned { payments: 0, next };
        let mut kept = self.transaction.open_table(KEPT)?;
        let mut released = BTreeMap::new();
        for (_, payment) in step {
            let Some(record) = self.payments.get(payment)?.map(|bytes| decode_record(bytes.value())).transpose()? else { continue };
            if prune.forgets(&record) {
                for key in &record.side.list {
                    self.spent.remove(super::codec::spent_key(key).to_bytes())?;
                }
                self.payments.remove(payment)?;
                kept.remove(payment)?;
                if let Some(answer) = record.answer {
                    *released.entry(answer).or_default() += 1;
                }
                if prune.before > self.latest_claim.value {
                    self.latest_claim.set(prune.before);
                }
                pruned.payments += 1;
            }
        }
        self.release(released)?;
        Ok(pruned)
    }
}
