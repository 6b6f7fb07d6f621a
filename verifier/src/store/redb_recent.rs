//! What was claimed of late, in memory, until the file's indexes have it.
//!
//! ```text
//! claim --> fresh --when there is much--> moving --a slice with every commit--> indexes in the file
//! ```
//!
//! Tokens, ids and challenges are random: a row of theirs in an index is a page of its own. So a claim writes one row at the end of the
//! file's payments, which holds all of it, and is found here; the indexes get what was claimed in key order, so that rows share pages,
//! and in slices, so that no claim waits for all of it. Nothing here is the only copy: when the file is opened, the payments behind the last
//! slice are read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};

use super::UsedChallenge;

/// Where a payment's row is: the number of its chunk, times 256, and its number in there. They ascend in the order of claims.
pub(super) type Place = u64;

/// Where the file's index of spent keys finds (keyset, denomination): its number.
pub(super) type Numbers = HashMap<(KeysetId, Amount), u32>;

/// Claims, found by whatever they are looked for.
#[derive(Default)]
pub(super) struct Recent {
    pub(super) spent: BTreeMap<SpentKey, Place>,
    pub(super) payments: BTreeMap<PaymentId, Place>,
    pub(super) challenges: BTreeSet<UsedChallenge>,
    /// Those of the payments the mint has not decided.
    pub(super) open: BTreeMap<PaymentId, Place>,
}

impl Recent {
    pub(super) fn len(&self) -> usize {
        self.spent.len() + self.payments.len() + self.challenges.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.open.is_empty()
    }

    pub(super) fn insert(&mut self, payment: PaymentId, place: Place, list: Vec<SpentKey>, challenge: UsedChallenge) {
        self.spent.extend(list.into_iter().map(|key| (key, place)));
        self.payments.insert(payment, place);
        self.challenges.insert(challenge);
        self.open.insert(payment, place);
    }

    fn extend(&mut self, more: Self) {
        self.spent.extend(more.spent);
        self.payments.extend(more.payments);
        self.challenges.extend(more.challenges);
        self.open.extend(more.open);
    }

    /// Takes away what the indexes have.
    fn drain(&mut self, slice: &Slice) {
        for key in &slice.spent {
            self.spent.remove(key);
        }
        for payment in &slice.payments {
            self.payments.remove(payment);
        }
        for challenge in &slice.challenges {
            self.challenges.remove(challenge);
        }
        for payment in &slice.open {
            self.open.remove(payment);
        }
    }
}

/// What one commit has put into the indexes.
#[derive(Default)]
pub(super) struct Slice {
    pub(super) spent: Vec<SpentKey>,
    pub(super) payments: Vec<PaymentId>,
    pub(super) challenges: Vec<UsedChallenge>,
    pub(super) open: Vec<PaymentId>,
}

/// Claims on their way into the indexes.
pub(super) struct Moving {
    pub(super) recent: Recent,
    /// The first place behind them: once the indexes have them, they have all before it.
    pub(super) until: Place,
}

/// Everything that is looked up outside the file. Readers see it as of the last commit.
#[derive(Default)]
pub(super) struct Index {
    pub(super) fresh: Recent,
    pub(super) moving: Option<Moving>,
    pub(super) numbers: Numbers,
}

/// What a commit changes here, once it is durable.
pub(super) struct Changes {
    pub(super) claimed: Recent,
    pub(super) decided: BTreeSet<PaymentId>,
    pub(super) slice: Slice,
    /// The indexes have all of what was moving.
    pub(super) moved: bool,
    /// The indexes have everything but `claimed`.
    pub(super) all: bool,
    pub(super) numbers: Vec<((KeysetId, Amount), u32)>,
    /// Challenges before it are dropped.
    pub(super) expired: u64,
    /// Where the next payment goes.
    pub(super) next: Place,
}

impl Index {
    pub(super) fn parts(&self) -> impl Iterator<Item = &Recent> {
        std::iter::once(&self.fresh).chain(self.moving.as_ref().map(|moving| &moving.recent))
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Recent> {
        std::iter::once(&mut self.fresh).chain(self.moving.as_mut().map(|moving| &mut moving.recent))
    }

    pub(super) fn payment(&self, payment: PaymentId) -> Option<Place> {
        self.parts().find_map(|recent| recent.payments.get(&payment).copied())
    }

    /// At most `limit` payments after `after`, ascending.
    pub(super) fn payments_after(&self, after: Option<PaymentId>, limit: usize) -> BTreeMap<PaymentId, Place> {
        Self::after(self.parts().map(|recent| &recent.payments), after, limit)
    }

    /// The same of those that are undecided.
    pub(super) fn open_after(&self, after: Option<PaymentId>, limit: usize) -> BTreeMap<PaymentId, Place> {
        Self::after(self.parts().map(|recent| &recent.open), after, limit)
    }

    fn after<'a>(
        parts: impl Iterator<Item = &'a BTreeMap<PaymentId, Place>>,
        after: Option<PaymentId>,
        limit: usize,
    ) -> BTreeMap<PaymentId, Place> {
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        parts.flat_map(|part| part.range(range).take(limit)).map(|(payment, place)| (*payment, *place)).collect()
    }

    /// Takes over what a commit has made durable; `most` claims may be fresh.
    ///
    /// Implements R-VERIF-41.
    pub(super) fn publish(&mut self, changes: Changes, most: usize) {
        if changes.all {
            (self.fresh, self.moving) = (Recent::default(), None);
        }
        if let Some(moving) = &mut self.moving {
            moving.recent.drain(&changes.slice);
        }
        if changes.moved {
            self.moving = None;
        }
        for recent in self.parts_mut() {
            for payment in &changes.decided {
                recent.open.remove(payment);
            }
            if changes.expired > 0 {
                recent.challenges = recent.challenges.split_off(&UsedChallenge { expires: changes.expired, id: [0; 32] });
            }
        }
        self.fresh.extend(changes.claimed);
        self.numbers.extend(changes.numbers);
        if self.moving.is_none() && self.fresh.len() > most {
            self.moving = Some(Moving { recent: std::mem::take(&mut self.fresh), until: changes.next });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(payments: u8, tokens: u8) -> Changes {
        let mut claimed = Recent::default();
        for payment in 0..payments {
            let key = |token: u8| {
                let mut key = [payment; 32];
                key[31] = token;
                SpentKey { keyset: KeysetId([7; 32]), denomination: Amount::from_units(1), key }
            };
            let challenge = UsedChallenge { expires: 100, id: [payment; 32] };
            claimed.insert(PaymentId([payment; 32]), payment.into(), (0..tokens).map(key).collect(), challenge);
        }
        Changes {
            claimed,
            decided: BTreeSet::new(),
            slice: Slice::default(),
            moved: false,
            all: false,
            numbers: Vec::new(),
            expired: 0,
            next: payments.into(),
        }
    }

    #[test]
    fn claims_move_once_more_is_fresh_than_may_be() {
        for (payments, tokens) in [(1, 1), (1, 3), (3, 1), (4, 20)] {
            let all = usize::from(payments) * (usize::from(tokens) + 2);
            let mut index = Index::default();
            index.publish(claimed(payments, tokens), all);
            assert!(index.moving.is_none() && index.fresh.len() == all, "{payments} payments of {tokens} tokens");
            let mut index = Index::default();
            index.publish(claimed(payments, tokens), all - 1);
            assert!(index.fresh.is_empty() && index.moving.is_some_and(|moving| moving.until == u64::from(payments)));
        }
    }
}
