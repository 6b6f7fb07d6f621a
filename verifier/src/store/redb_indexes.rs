//! How the embedded store's indexes get what was claimed, and how a payment leaves them.

use std::collections::BTreeMap;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use redb::ReadableTable;

use super::redb_recent::{Index, Place, Recent, Slice};
use super::redb_rows::{INDEXED, KEYS, SLOTS, Spent, Tables, expiring, first_bytes, hash, ruling_at, slots};
use super::{PaymentRecord, Prune, Pruned, StoreError, UsedChallenge};

/// What a slice has at least, whatever the group has claimed: so it ends.
const LEAST: usize = 32;

/// What the index of spent keys has a number for.
type Key = (KeysetId, Amount);

impl Tables<'_> {
    fn index_spent(&mut self, key: &SpentKey, place: Place) -> Result<(), StoreError> {
        let number = match self.number(key) {
            Some(number) => number,
            None => self.new_number(key)?,
        };
        self.spent.insert((number, first_bytes(key), place), ())?;
        Ok(())
    }

    fn new_number(&mut self, key: &SpentKey) -> Result<u32, StoreError> {
        let taken = self.known_numbers.len() + self.numbers.len();
        let number = u32::try_from(taken).map_err(|_| StoreError::Corrupt)?;
        self.transaction.open_table(KEYS)?.insert((key.keyset.0, key.denomination.units()), number)?;
        self.numbers.insert((key.keyset, key.denomination), number);
        Ok(number)
    }

    fn index_challenge(&mut self, challenge: UsedChallenge) -> Result<(), StoreError> {
        if challenge.expires >= self.expired {
            self.challenges.insert(expiring(challenge), ())?;
        }
        Ok(())
    }

    /// Puts the next of what is on its way into the indexes, more than the group has claimed, and says whether that was the last.
    ///
    /// Implements R-VERIF-41.
    pub(super) fn index_slice(&mut self) -> Result<(Slice, bool), StoreError> {
        let mut slice = Slice::default();
        let Some(moving) = self.index.and_then(|index| index.moving.as_ref()) else { return Ok((slice, false)) };
        let mut left = LEAST + 2 * self.claimed.len();
        for (key, place) in moving.recent.spent.iter().take(left) {
            self.index_spent(key, *place)?;
            slice.spent.push(*key);
        }
        left -= slice.spent.len();
        for (payment, place) in moving.recent.payments.iter().take(left) {
            self.places.insert(hash(payment.0), place)?;
            slice.payments.push(*payment);
        }
        left -= slice.payments.len();
        for challenge in moving.recent.challenges.iter().take(left) {
            self.index_challenge(*challenge)?;
            slice.challenges.push(*challenge);
        }
        left -= slice.challenges.len();
        for (payment, place) in moving.recent.open.iter().take(left) {
            if !self.decided.contains(payment) {
                self.outbox.insert(hash(payment.0), place)?;
            }
            slice.open.push(*payment);
        }
        let moved = left > slice.open.len();
        if moved {
            self.counts.insert(INDEXED, moving.until)?;
        }
        Ok((slice, moved))
    }

    /// Puts everything into the indexes.
    fn index_all(&mut self) -> Result<(), StoreError> {
        let claimed = std::mem::take(&mut self.claimed);
        let parts: Vec<&Recent> = self.index.take().into_iter().flat_map(Index::parts).chain([&claimed]).collect();
        for recent in parts {
            for (key, place) in &recent.spent {
                self.index_spent(key, *place)?;
            }
            for (payment, place) in &recent.payments {
                self.places.insert(hash(payment.0), place)?;
            }
            for challenge in &recent.challenges {
                self.index_challenge(*challenge)?;
            }
            for (payment, place) in &recent.open {
                if !self.decided.contains(payment) {
                    self.outbox.insert(hash(payment.0), place)?;
                }
            }
        }
        self.all = true;
        self.counts.insert(INDEXED, self.tail.next())?;
        Ok(())
    }

    pub(super) fn prune(&mut self, prune: &Prune) -> Result<Pruned, StoreError> {
        if prune.closed.is_empty() || prune.limit == 0 {
            return Ok(Pruned { payments: 0, next: None });
        }
        // Only the index is in the order of keysets.
        if self.index.is_some_and(|index| index.parts().any(|recent| !recent.is_empty())) || !self.claimed.is_empty() {
            self.index_all()?;
        }
        let mut step = Vec::new();
        for keyset in &prune.closed {
            for number in self.numbers_of(*keyset)? {
                self.look_at(number, prune, &mut step)?;
            }
        }
        let next = match step.last() {
            Some((spent, key)) if step.len() == prune.limit => Some(self.whole_key(*spent, *key)?),
            _ => None,
        };
        let mut pruned = Pruned { payments: 0, next };
        let mut released = BTreeMap::new();
        for ((_, _, place), _) in step {
            // Forgotten already, with another of its tokens.
            if self.chunk(place, |chunk| Ok(slots(chunk).nth(slot_of(place)).transpose()?.is_none_or(<[u8]>::is_empty)))? {
                continue;
            }
            let ruling = ruling_at(&self.rulings, place)?;
            let answer = ruling.as_ref().map_or(0, |ruling| ruling.answer);
            let (payment, record) = self.row(place, |row| {
                let state = ruling.map_or_else(|| row.claimed_as(), |ruling| ruling.state);
                Ok((row.payment, row.record(state, None)?))
            })?;
            if prune.forgets(&record) {
                self.forget(payment, place, &record)?;
                if answer > 0 {
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

    /// The numbers of a keyset's denominations, ascending by denomination.
    fn numbers_of(&self, keyset: KeysetId) -> Result<Vec<(Key, u32)>, StoreError> {
        let keys = self.transaction.open_table(KEYS)?;
        let mut numbers = Vec::new();
        for row in keys.range((keyset.0, 0)..=(keyset.0, u64::MAX))? {
            let (key, number) = row?;
            numbers.push(((keyset, Amount::from_units(key.value().1)), number.value()));
        }
        Ok(numbers)
    }

    /// Collects a keyset and denomination's part of a step.
    fn look_at(&self, (key, number): (Key, u32), prune: &Prune, step: &mut Vec<(Spent, Key)>) -> Result<(), StoreError> {
        use std::ops::Bound::{Excluded, Included};
        let from = match prune.after {
            Some(after) if (after.keyset, after.denomination) > key => return Ok(()),
            // Of tokens that begin with the same 8 bytes the next run finds the rest.
            Some(after) if (after.keyset, after.denomination) == key => Excluded((number, first_bytes(&after), Place::MAX)),
            _ => Included((number, 0, 0)),
        };
        let left = prune.limit.saturating_sub(step.len());
        for row in self.spent.range::<Spent>((from, Included((number, u64::MAX, Place::MAX))))?.take(left) {
            step.push((row?.0.value(), key));
        }
        Ok(())
    }

    /// All bytes of a key in the index.
    fn whole_key(&self, (_, first, place): Spent, key: Key) -> Result<SpentKey, StoreError> {
        let list = self.row(place, |row| row.list())?;
        let found = list.into_iter().find(|held| (held.keyset, held.denomination) == key && first_bytes(held) == first);
        found.ok_or(StoreError::Corrupt)
    }

    fn forget(&mut self, payment: PaymentId, place: Place, record: &PaymentRecord) -> Result<(), StoreError> {
        for key in record.side.list.iter().map(super::codec::spent_key) {
            if let Some(number) = self.number(&key) {
                self.spent.remove((number, first_bytes(&key), place))?;
            }
        }
        self.places.remove(hash(payment.0))?;
        self.rulings.remove(place)?;
        let rows = self.chunk(place, |chunk| {
            let rows = slots(chunk).enumerate().map(|(number, row)| Ok(if number == slot_of(place) { Vec::new() } else { row?.to_vec() }));
            rows.collect::<Result<Vec<_>, StoreError>>()
        })?;
        let empty = rows.iter().all(Vec::is_empty);
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend_from_slice(&u32::try_from(row.len()).map_err(|_| StoreError::Corrupt)?.to_le_bytes());
            bytes.extend_from_slice(&row);
        }
        if place / SLOTS == self.tail.chunk {
            (self.tail.bytes, self.grown) = (bytes, true);
        } else if empty {
            self.payments.remove(place / SLOTS)?;
        } else {
            self.payments.insert(place / SLOTS, bytes.as_slice())?;
        }
        Ok(())
    }

    fn chunk<T>(&self, place: Place, read: impl FnOnce(&[u8]) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if place / SLOTS == self.tail.chunk {
            return read(&self.tail.bytes);
        }
        // A chunk of which nothing is left is gone.
        let chunk = self.payments.get(place / SLOTS)?;
        read(chunk.as_ref().map_or(&[], |chunk| chunk.value()))
    }
}

fn slot_of(place: Place) -> usize {
    usize::try_from(place % SLOTS).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::{Database, ReadableDatabase};

    use super::super::redb::RedbStore;
    use super::super::redb_rows::PAYMENTS;
    use super::super::{Claim, ClaimOutcome, RiskLimits, Store, conformance};
    use super::*;

    /// One that stays undecided.
    fn open(number: u8) -> Claim {
        let token = SpentKey { keyset: KeysetId([7; 32]), denomination: Amount::from_units(10), key: [number; 32] };
        let limits = RiskLimits { outstanding: Amount::from_units(100), per_window: Amount::from_units(100) };
        conformance::accepted_payment(1_000_000 + u64::from(number), token, Amount::from_units(1), 1_000, 0, limits)
    }

    /// How many chunks there are, and payments in them.
    fn left_in(file: &std::path::Path) -> (usize, usize) {
        let (mut chunks, mut payments) = (0, 0);
        let database = Database::open(file).unwrap();
        for chunk in database.begin_read().unwrap().open_table(PAYMENTS).unwrap().iter().unwrap() {
            chunks += 1;
            payments += slots(chunk.unwrap().1.value()).filter(|row| row.is_ok_and(|row| !row.is_empty())).count();
        }
        (chunks, payments)
    }

    /// However many payments have the same chunk, and whether it still grows.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_forgotten_leaves_the_file_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        for (which, fresh) in [0, 40, 10_000].into_iter().enumerate() {
            let file = directory.path().join(format!("{which}.redb"));
            let store = Arc::new(RedbStore::open_with(&file, fresh).unwrap());
            for number in 0..5_u8 {
                let first = u64::from(number) * 60;
                conformance::fill(&store, first..first + 60, 3, 2).await;
                assert_eq!(store.claim(open(number)).await, Ok(ClaimOutcome::Claimed));
            }
            drop(store);
            let (whole, rows) = left_in(&file);
            assert!(whole > 20 && rows == 305, "{rows} payments in {whole} chunks");
            let store = Arc::new(RedbStore::open_with(&file, fresh).unwrap());
            let mut prune = Prune::new(vec![KeysetId([7; 32])], 3_000, 100);
            let mut forgotten = 0;
            loop {
                let pruned = store.prune(prune.clone()).await.unwrap();
                forgotten += pruned.payments;
                prune.after = pruned.next;
                if prune.after.is_none() {
                    break;
                }
            }
            assert_eq!(forgotten, 300);
            // The chunk that grows is written again with the next claim.
            assert_eq!(store.claim(open(5)).await, Ok(ClaimOutcome::Claimed));
            drop(store);
            let (left, rows) = left_in(&file);
            assert!(left <= 6 && rows == 6, "of {whole} chunks those that the six are in: {left}, with {rows} payments");
            let store = Arc::new(RedbStore::open_with(&file, fresh).unwrap());
            assert!(store.kept(None, None, 10).await.unwrap().is_empty());
            assert_eq!(store.outbox(None, 10).await.unwrap().len(), 6);
            for number in 0..6 {
                let known = store.claim(open(number)).await.unwrap();
                assert!(matches!(known, ClaimOutcome::Known(record) if record.side == open(number).record.side));
                let mut other = open(number);
                (other.payment, other.challenge.id) = (PaymentId([number; 32]), [number; 32]);
                assert!(matches!(store.claim(other).await, Ok(ClaimOutcome::Conflict(_))), "its token is spent");
            }
            // Of the others nothing is left but their challenges.
            store.prune_challenges(u64::MAX).await.unwrap();
            conformance::fill(&store, 0..300, 3, 2).await;
        }
    }
}
