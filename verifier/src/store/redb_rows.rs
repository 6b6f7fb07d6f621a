//! What the embedded store's writer does inside one transaction.
//!
//! ```text
//! payments   chunk -> rows of some payments     appended: where a payment's row is, is its place
//! rulings    place -> what the mint has decided
//! spent      number of (keyset, denomination), first 8 bytes of P, place          \
//! places     payment id -> place                                                  | indexes: what was claimed of late is in memory,
//! challenges expiry, id                                                           | and in `payments` behind `INDEXED`
//! outbox     payment id -> place of what is undecided                             /
//! answers    number -> payments that keep it, name, the mint's answer
//! ```
//!
//! A group of requests shares the open tables, and the counts that every accepted claim changes are written once a group: claims
//! that arrive together cost their own rows and no more.

use std::collections::{BTreeMap, BTreeSet};

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::wire::LedgerMark;
use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableHandle, WriteTransaction};

use super::codec::answer_name;
use super::redb_codec::{Row, Ruling};
use super::redb_recent::{Changes, Index, Numbers, Place, Recent};
use super::{ClaimOutcome, Decision, PaymentRecord, PaymentState, RiskLimits, StoreError, UsedChallenge};

/// 32 bytes as numbers, which compare faster and in the same order.
pub(super) type Hash = (u64, u64, u64, u64);
pub(super) type Spent = (u32, u64, Place);
pub(super) type Expiring = (u64, u64, u64, u64, u64);
type Answer<'a> = (u64, [u8; 32], &'a [u8]);

pub(super) const PAYMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("claimed");
pub(super) const RULINGS: TableDefinition<'_, Place, &[u8]> = TableDefinition::new("rulings");
const SPENT: TableDefinition<'_, Spent, ()> = TableDefinition::new("spent-keys");
pub(super) const KEYS: TableDefinition<'_, ([u8; 32], u64), u32> = TableDefinition::new("keys");
pub(super) const PLACES: TableDefinition<'_, Hash, Place> = TableDefinition::new("places");
const CHALLENGES: TableDefinition<'_, Expiring, ()> = TableDefinition::new("used-challenges");
pub(super) const OUTBOX: TableDefinition<'_, Hash, Place> = TableDefinition::new("undecided");
pub(super) const ANSWERS: TableDefinition<'_, u64, Answer<'_>> = TableDefinition::new("kept-answers");
/// Ledger id to (order of first sight, sequence).
pub(super) const LEDGERS: TableDefinition<'_, [u8; 16], (u64, u64)> = TableDefinition::new("ledgers");
pub(super) const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
pub(super) const PROOFS: TableDefinition<'_, [u8; SpentKey::SIZE], &[u8]> = TableDefinition::new("proofs");
/// What is counted, and of which window if it is counted for each.
pub(super) const COUNTS: TableDefinition<'_, (u8, u64), u64> = TableDefinition::new("counts");

/// A table of layout 1.
const OF_BEFORE: &str = "numbers";

pub(super) const OUTSTANDING: (u8, u64) = (0, 0);
pub(super) const LATEST_CLAIM: (u8, u64) = (1, 0);
/// The place before which the indexes have every payment.
pub(super) const INDEXED: (u8, u64) = (2, 0);
const LAYOUT: (u8, u64) = (3, 0);
const AT_RISK: u8 = 4;
const LAYOUT_VERSION: u64 = 2;

/// The most bytes of a chunk with several payments: two of the database's pages, less what it writes around them.
const CHUNK: usize = 8_192 - 32;

/// The most payments of a chunk.
pub(super) const SLOTS: u64 = 256;

pub(super) fn hash(bytes: [u8; 32]) -> Hash {
    let (numbers, _) = bytes.as_chunks::<8>();
    (u64::from_be_bytes(numbers[0]), u64::from_be_bytes(numbers[1]), u64::from_be_bytes(numbers[2]), u64::from_be_bytes(numbers[3]))
}

pub(super) fn unhash(hash: Hash) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (part, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip([hash.0, hash.1, hash.2, hash.3]) {
        *part = number.to_be_bytes();
    }
    bytes
}

pub(super) fn expiring(challenge: UsedChallenge) -> Expiring {
    let (first, second, third, fourth) = hash(challenge.id);
    (challenge.expires, first, second, third, fourth)
}

pub(super) fn first_bytes(key: &SpentKey) -> u64 {
    hash(key.key).0
}

/// The rows of a chunk, one a slot; of what is forgotten an empty one.
pub(super) fn slots(chunk: &[u8]) -> impl Iterator<Item = Result<&[u8], StoreError>> {
    let mut left = chunk;
    std::iter::from_fn(move || {
        let (length, rest) = match left.split_first_chunk::<4>() {
            Some(parts) => parts,
            None if left.is_empty() => return None,
            None => {
                left = &[];
                return Some(Err(StoreError::Corrupt));
            }
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((row, rest)) = rest.split_at_checked(length) else {
            left = &[];
            return Some(Err(StoreError::Corrupt));
        };
        left = rest;
        Some(Ok(row))
    })
}

fn slot(chunk: &[u8], place: Place) -> Result<Option<Row<'_>>, StoreError> {
    let number = usize::try_from(place % SLOTS).map_err(|_| StoreError::Corrupt)?;
    slots(chunk).nth(number).transpose()?.filter(|row| !row.is_empty()).map(Row::parse).transpose()
}

/// Reads the row at a place; `None` if it was forgotten.
pub(super) fn row_at<T>(
    payments: &impl ReadableTable<u64, &'static [u8]>,
    place: Place,
    read: impl FnOnce(Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let Some(chunk) = payments.get(place / SLOTS)? else { return Ok(None) };
    slot(chunk.value(), place)?.map(read).transpose()
}

/// Reads what was decided about the payment at a place.
pub(super) fn ruling_at(rulings: &impl ReadableTable<Place, &'static [u8]>, place: Place) -> Result<Option<Ruling>, StoreError> {
    rulings.get(place)?.map(|bytes| Ruling::parse(bytes.value())).transpose()
}

/// The chunk that grows.
#[derive(Clone, Default)]
pub(super) struct Tail {
    pub(super) chunk: u64,
    slots: u64,
    pub(super) bytes: Vec<u8>,
}

impl Tail {
    pub(super) const fn next(&self) -> Place {
        self.chunk * SLOTS + self.slots
    }
}

/// Makes the tables that are missing, and reads what the indexes do not have.
pub(super) fn set_up(setup: &WriteTransaction) -> Result<(Tail, Index), StoreError> {
    if setup.list_tables()?.any(|table| table.name() == OF_BEFORE) {
        return Err(StoreError::OtherLayout);
    }
    let mut counts = setup.open_table(COUNTS)?;
    let count = |key| Ok::<_, StoreError>(counts.get(key)?.map(|value| value.value()));
    let (layout, indexed) = (count(LAYOUT)?, count(INDEXED)?.unwrap_or(0));
    match layout {
        None => {
            counts.insert(LAYOUT, LAYOUT_VERSION)?;
        }
        Some(LAYOUT_VERSION) => {}
        Some(_) => return Err(StoreError::OtherLayout),
    }
    setup.open_table(SPENT)?;
    setup.open_table(PLACES)?;
    setup.open_table(CHALLENGES)?;
    setup.open_table(ANSWERS)?;
    setup.open_table(LEDGERS)?;
    setup.open_table(DOCUMENTS)?;
    setup.open_table(PROOFS)?;
    let (payments, rulings, outbox) = (setup.open_table(PAYMENTS)?, setup.open_table(RULINGS)?, setup.open_table(OUTBOX)?);
    let (mut tail, mut index) = (Tail::default(), Index::default());
    for row in setup.open_table(KEYS)?.iter()? {
        let (key, number) = row?;
        let (keyset, denomination) = key.value();
        index.numbers.insert((KeysetId(keyset), Amount::from_units(denomination)), number.value());
    }
    if let Some((chunk, bytes)) = payments.last()? {
        tail = Tail { chunk: chunk.value(), slots: slots(bytes.value()).count() as u64, bytes: bytes.value().to_vec() };
    }
    for chunk in payments.range(indexed / SLOTS..)? {
        let (chunk, bytes) = chunk?;
        for (place, row) in (chunk.value() * SLOTS..).zip(slots(bytes.value())) {
            let row = row?;
            if place < indexed || row.is_empty() {
                continue;
            }
            let row = Row::parse(row)?;
            index.fresh.insert(row.payment, place, row.list()?, row.challenge);
            if rulings.get(place)?.is_some() || outbox.get(hash(row.payment.0))?.is_some() {
                index.fresh.open.remove(&row.payment);
            }
        }
    }
    Ok((tail, index))
}

/// A counter as it will be written when the group ends.
#[derive(Clone, Copy)]
pub(super) struct Count {
    pub(super) value: u64,
    changed: bool,
}

impl Count {
    const fn of(value: u64) -> Self {
        Self { value, changed: false }
    }

    pub(super) const fn set(&mut self, value: u64) {
        self.value = value;
        self.changed = true;
    }
}

/// A claim, encoded by whoever asks for it, so that the writer need not.
pub(super) struct EncodedClaim {
    pub(super) payment: PaymentId,
    pub(super) list: Vec<SpentKey>,
    pub(super) challenge: UsedChallenge,
    pub(super) accepted: bool,
    pub(super) amount: Amount,
    pub(super) window: u64,
    pub(super) claimed_at: u64,
    pub(super) limits: Option<RiskLimits>,
    pub(super) row: Vec<u8>,
}

/// What a decision has come to.
#[derive(Default)]
struct Decided {
    state: Option<PaymentState>,
    /// Whether the payment keeps the answer from now on.
    keeps: bool,
    /// The answer it keeps no more.
    releases: Option<u64>,
}

/// The tables, open for one group of requests.
pub(super) struct Tables<'t> {
    pub(super) transaction: &'t WriteTransaction,
    /// What was claimed before this group and is not in the indexes; `None` once all of it is.
    pub(super) index: Option<&'t Index>,
    /// What this group has claimed.
    pub(super) claimed: Recent,
    pub(super) decided: BTreeSet<PaymentId>,
    pub(super) numbers: BTreeMap<(KeysetId, Amount), u32>,
    pub(super) known_numbers: &'t Numbers,
    pub(super) expired: u64,
    pub(super) all: bool,
    pub(super) tail: Tail,
    pub(super) grown: bool,
    pub(super) payments: Table<'t, u64, &'static [u8]>,
    pub(super) rulings: Table<'t, Place, &'static [u8]>,
    pub(super) spent: Table<'t, Spent, ()>,
    pub(super) places: Table<'t, Hash, Place>,
    pub(super) challenges: Table<'t, Expiring, ()>,
    pub(super) outbox: Table<'t, Hash, Place>,
    pub(super) counts: Table<'t, (u8, u64), u64>,
    pub(super) outstanding: Count,
    pub(super) latest_claim: Count,
    pub(super) at_risk: BTreeMap<u64, Count>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, index: &'t Index, tail: Tail) -> Result<Self, StoreError> {
        let counts = transaction.open_table(COUNTS)?;
        let count = |key| Ok::<_, StoreError>(Count::of(counts.get(key)?.map_or(0, |value| value.value())));
        let (outstanding, latest_claim) = (count(OUTSTANDING)?, count(LATEST_CLAIM)?);
        Ok(Self {
            transaction,
            index: Some(index),
            claimed: Recent::default(),
            decided: BTreeSet::new(),
            numbers: BTreeMap::new(),
            known_numbers: &index.numbers,
            expired: 0,
            all: false,
            tail,
            grown: false,
            payments: transaction.open_table(PAYMENTS)?,
            rulings: transaction.open_table(RULINGS)?,
            spent: transaction.open_table(SPENT)?,
            places: transaction.open_table(PLACES)?,
            challenges: transaction.open_table(CHALLENGES)?,
            outbox: transaction.open_table(OUTBOX)?,
            counts,
            outstanding,
            latest_claim,
            at_risk: BTreeMap::new(),
        })
    }

    /// For what few requests touch.
    pub(super) const fn transaction(&self) -> &'t WriteTransaction {
        self.transaction
    }

    /// Writes what the group has changed together. The caller commits, and publishes the changes when that is durable.
    pub(super) fn finish(mut self) -> Result<(Tail, Changes), StoreError> {
        if self.grown {
            self.payments.insert(self.tail.chunk, self.tail.bytes.as_slice())?;
        }
        let (slice, moved) = self.index_slice()?;
        for (key, count) in [(OUTSTANDING, self.outstanding), (LATEST_CLAIM, self.latest_claim)] {
            if count.changed {
                self.counts.insert(key, count.value)?;
            }
        }
        for (window, count) in self.at_risk.iter().filter(|(_, count)| count.changed) {
            self.counts.insert((AT_RISK, *window), count.value)?;
        }
        let changes = Changes {
            claimed: self.claimed,
            decided: self.decided,
            slice,
            moved,
            all: self.all,
            numbers: self.numbers.into_iter().collect(),
            expired: self.expired,
            next: self.tail.next(),
        };
        Ok((self.tail, changes))
    }

    fn recent(&self) -> impl Iterator<Item = &Recent> {
        std::iter::once(&self.claimed).chain(self.index.into_iter().flat_map(Index::parts))
    }

    fn at_risk(&mut self, window: u64) -> Result<&mut Count, StoreError> {
        use std::collections::btree_map::Entry::{Occupied, Vacant};
        match self.at_risk.entry(window) {
            Occupied(known) => Ok(known.into_mut()),
            Vacant(place) => {
                let stored = self.counts.get((AT_RISK, window))?.map_or(0, |value| value.value());
                Ok(place.insert(Count::of(stored)))
            }
        }
    }

    /// Where a payment is.
    fn place(&self, payment: PaymentId) -> Result<Option<Place>, StoreError> {
        if let Some(place) = self.recent().find_map(|recent| recent.payments.get(&payment)) {
            return Ok(Some(*place));
        }
        Ok(self.places.get(hash(payment.0))?.map(|place| place.value()))
    }

    pub(super) fn row<T>(&self, place: Place, read: impl FnOnce(Row<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let row = if place / SLOTS == self.tail.chunk {
            slot(&self.tail.bytes, place)?.map(read).transpose()?
        } else {
            row_at(&self.payments, place, read)?
        };
        row.ok_or(StoreError::Corrupt)
    }

    fn record(&self, place: Place) -> Result<PaymentRecord, StoreError> {
        let ruling = ruling_at(&self.rulings, place)?;
        let answer = match &ruling {
            Some(Ruling { answer: 1.., .. }) => {
                let answers = self.transaction.open_table(ANSWERS)?;
                let number = ruling.as_ref().map_or(0, |ruling| ruling.answer);
                Some(answers.get(number)?.ok_or(StoreError::Corrupt)?.value().1)
            }
            _ => None,
        };
        self.row(place, |row| {
            let state = ruling.map_or_else(|| row.claimed_as(), |ruling| ruling.state);
            row.record(state, answer)
        })
    }

    /// The number of a token's keyset and denomination in the index, if it has any of these.
    pub(super) fn number(&self, key: &SpentKey) -> Option<u32> {
        let key = (key.keyset, key.denomination);
        self.known_numbers.get(&key).or_else(|| self.numbers.get(&key)).copied()
    }

    /// The payment that holds a token. The index knows 8 bytes of P, the row all of it.
    fn holder(&self, key: &SpentKey) -> Result<Option<Place>, StoreError> {
        if let Some(place) = self.recent().find_map(|recent| recent.spent.get(key)) {
            return Ok(Some(*place));
        }
        let Some(number) = self.number(key) else { return Ok(None) };
        let first = first_bytes(key);
        for found in self.spent.range((number, first, 0)..=(number, first, Place::MAX))? {
            let (_, _, place) = found?.0.value();
            if self.row(place, |row| Ok(row.list()?.contains(key)))? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn is_used(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        let recent = self.recent().any(|recent| recent.challenges.contains(&challenge));
        Ok(recent || self.challenges.get(expiring(challenge))?.is_some())
    }

    /// Whether the challenge was fresh; it is used up then.
    pub(super) fn use_challenge(&mut self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        let fresh = !self.is_used(challenge)?;
        if fresh {
            self.challenges.insert(expiring(challenge), ())?;
        }
        Ok(fresh)
    }

    pub(super) fn prune_challenges(&mut self, now: u64) -> Result<(), StoreError> {
        self.challenges.retain_in(..(now, 0, 0, 0, 0), |_, ()| false)?;
        self.expired = self.expired.max(now);
        Ok(())
    }

    /// Puts a row at the end.
    fn append(&mut self, row: &[u8]) -> Result<Place, StoreError> {
        let length = u32::try_from(row.len()).map_err(|_| StoreError::Corrupt)?;
        if self.tail.slots == SLOTS || (self.tail.slots > 0 && self.tail.bytes.len() + 4 + row.len() > CHUNK) {
            self.payments.insert(self.tail.chunk, self.tail.bytes.as_slice())?;
            self.tail = Tail { chunk: self.tail.chunk + 1, slots: 0, bytes: Vec::with_capacity(CHUNK) };
        }
        let place = self.tail.next();
        self.tail.bytes.extend_from_slice(&length.to_le_bytes());
        self.tail.bytes.extend_from_slice(row);
        self.tail.slots += 1;
        self.grown = true;
        Ok(place)
    }

    pub(super) fn claim(&mut self, claim: EncodedClaim) -> Result<ClaimOutcome, StoreError> {
        if let Some(known) = self.place(claim.payment)? {
            return self.record(known).map(ClaimOutcome::Known);
        }
        for key in &claim.list {
            if let Some(other) = self.holder(key)? {
                return self.record(other).map(ClaimOutcome::Conflict);
            }
        }
        if self.is_used(claim.challenge)? {
            return Ok(ClaimOutcome::ChallengeUsed);
        }
        if claim.accepted {
            let amount = claim.amount.units();
            let outstanding = self.outstanding.value.checked_add(amount);
            let window = self.at_risk(claim.window)?;
            let (Some(outstanding), Some(in_window)) = (outstanding, window.value.checked_add(amount)) else {
                return Ok(ClaimOutcome::LimitReached);
            };
            if claim.limits.is_none_or(|limits| outstanding > limits.outstanding.units() || in_window > limits.per_window.units()) {
                return Ok(ClaimOutcome::LimitReached);
            }
            window.set(in_window);
            self.outstanding.set(outstanding);
        }
        if claim.claimed_at > self.latest_claim.value {
            self.latest_claim.set(claim.claimed_at);
        }
        let place = self.append(&claim.row)?;
        self.claimed.insert(claim.payment, place, claim.list, claim.challenge);
        Ok(ClaimOutcome::Claimed)
    }

    pub(super) fn decide(
        &mut self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<&[u8]>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        let mark = mark.map(|mark| self.raise(mark)).transpose()?;
        let number = match answer {
            Some(_) => self.transaction.open_table(ANSWERS)?.last()?.map_or(1, |(number, _)| number.value() + 1),
            None => 0,
        };
        let (mut states, mut keep, mut released) = (Vec::with_capacity(decisions.len()), 0, BTreeMap::new());
        for decision in decisions {
            let decided = self.decide_one(decision, mark, number)?;
            keep += u64::from(decided.keeps);
            if let Some(answer) = decided.releases {
                *released.entry(answer).or_default() += 1;
            }
            states.push(decided.state);
        }
        if let Some(answer) = answer
            && keep > 0
        {
            self.transaction.open_table(ANSWERS)?.insert(number, (keep, answer_name(answer), answer))?;
        }
        self.release(released)?;
        Ok(states)
    }

    /// So many payments less keep these answers.
    pub(super) fn release(&self, released: BTreeMap<u64, u64>) -> Result<(), StoreError> {
        if released.is_empty() {
            return Ok(());
        }
        let mut answers = self.transaction.open_table(ANSWERS)?;
        for (number, payments) in released {
            let (left, name, bytes) = {
                let row = answers.remove(number)?.ok_or(StoreError::Corrupt)?;
                let (known, name, bytes) = row.value();
                (known.saturating_sub(payments), name, bytes.to_vec())
            };
            if left > 0 {
                answers.insert(number, (left, name, bytes.as_slice()))?;
            }
        }
        Ok(())
    }

    fn decide_one(&mut self, decision: Decision, mark: Option<(u64, u64)>, answer: u64) -> Result<Decided, StoreError> {
        let Some(place) = self.place(decision.payment)? else { return Ok(Decided::default()) };
        let (claimed_as, amount, window) = self.row(place, |row| Ok((row.claimed_as(), row.amount.units(), row.window)))?;
        let ruling = ruling_at(&self.rulings, place)?;
        let settles = decision.state == PaymentState::Settled;
        let state = ruling.as_ref().map_or(claimed_as, |ruling| ruling.state.clone());
        if !state.leads_to(&decision.state) {
            let Some(mut ruling) = ruling.filter(|ruling| settles && ruling.state == decision.state) else {
                return Ok(Decided { state: Some(state), ..Decided::default() });
            };
            let keeps = ruling.answer == 0 && answer > 0;
            if keeps {
                ruling.answer = answer;
            }
            ruling.mark = mark.unwrap_or(ruling.mark);
            if keeps || mark.is_some() {
                self.rulings.insert(place, ruling.to_bytes().as_slice())?;
            }
            return Ok(Decided { state: Some(ruling.state), keeps, releases: None });
        }
        if state == PaymentState::Accepted {
            self.outstanding.set(self.outstanding.value.saturating_sub(amount));
            if settles {
                let window = self.at_risk(window)?;
                window.set(window.value.saturating_sub(amount));
            }
        }
        let releases = ruling.map(|ruling| ruling.answer).filter(|answer| *answer > 0);
        let keeps = settles && answer > 0;
        let ruling = Ruling { state: decision.state, mark: mark.unwrap_or((0, 0)), answer: if keeps { answer } else { 0 } };
        self.rulings.insert(place, ruling.to_bytes().as_slice())?;
        if self.claimed.open.remove(&decision.payment).is_none() {
            self.outbox.remove(hash(decision.payment.0))?;
            self.decided.insert(decision.payment);
        }
        Ok(Decided { state: Some(ruling.state), keeps, releases })
    }

    /// Which of the ledgers seen it is, and the sequence.
    fn raise(&self, mark: LedgerMark) -> Result<(u64, u64), StoreError> {
        let mut ledgers = self.transaction.open_table(LEDGERS)?;
        let (order, sequence) = match ledgers.get(mark.ledger.0)?.map(|value| value.value()) {
            Some((order, sequence)) => (order, sequence.max(mark.sequence)),
            None => (ledgers.len()?, mark.sequence),
        };
        ledgers.insert(mark.ledger.0, (order, sequence))?;
        Ok((order, mark.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_is_cut_off_is_corrupt() {
        let chunk = [2, 0, 0, 0, 8, 9, 0, 0, 0, 0, 1, 0, 0, 0, 7];
        let rows: Vec<_> = slots(&chunk).collect();
        assert_eq!(rows, [Ok(&[8, 9][..]), Ok(&[]), Ok(&[7])]);
        for (end, whole) in [(0, 0), (6, 1), (10, 2)] {
            assert!(slots(&chunk[..end]).eq(rows[..whole].iter().copied()), "{end} bytes");
        }
        for (end, whole) in [(1, 0), (3, 0), (4, 0), (5, 0), (7, 1), (9, 1), (11, 2), (14, 2)] {
            let cut: Vec<_> = slots(&chunk[..end]).take(4).collect();
            assert!(cut[..whole] == rows[..whole] && cut[whole..] == [Err(StoreError::Corrupt)], "{end} bytes");
        }
    }
}
