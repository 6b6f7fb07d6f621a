//! What a verifier may forget, and when.
//!
//! ```text
//! challenge   an hour after it has expired
//! payment     a day after the deposit windows of all its keysets have ended, if it is decided and its access was over by then
//! ```
//!
//! A spent key is what refuses a token the second time, so it stays while anybody could accept the token: the deposit window ends last
//! of all windows.

use std::sync::Arc;
use std::time::Duration;

use farthing_protocol::keyset::{Keyset, KeysetList};
use farthing_protocol::proof::KeysetId;

use crate::store::{Prune, Store, StoreError};
use crate::verifier::Inner;

/// How often there is a look at what may be forgotten.
const INTERVAL: Duration = Duration::from_mins(10);

/// Seconds an expired challenge is remembered: for instances whose clocks differ.
const CHALLENGE_GRACE: u64 = 3_600;

/// Seconds a payment is remembered after the last deposit window and its access have ended.
const KEYSET_GRACE: u64 = 24 * 3_600;

/// The most spent keys of one write: claims wait for it.
const STEP: usize = 256;

/// The pause between two steps, for claims to pass.
const PAUSE: Duration = Duration::from_millis(20);

/// The keysets whose tokens nobody accepts any more. None if the mint has announced nothing that issues or is spendable now: then the
/// clock is wrong rather than everything over.
///
/// Implements R-VERIF-19.
pub(crate) fn closed(list: &KeysetList, now: u64) -> Vec<KeysetId> {
    let lives = |keyset: &Keyset| keyset.windows().issue_from <= now && keyset.spendable_at(now);
    if !list.keysets().iter().any(lives) {
        return Vec::new();
    }
    let over = |keyset: &&Keyset| keyset.windows().deposit_until.saturating_add(KEYSET_GRACE) < now;
    list.keysets().iter().filter(over).map(Keyset::id).collect()
}

impl<S: Store> Inner<S> {
    /// Forgets what may be forgotten now. Returns how many payments that were.
    pub(crate) async fn prune(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        self.store.prune_challenges(now.saturating_sub(CHALLENGE_GRACE)).await?;
        let Ok(trusted) = self.keysets.trusted() else { return Ok(0) };
        let mut prune = Prune::new(closed(&trusted.list, now), now.saturating_sub(KEYSET_GRACE), STEP);
        let mut forgotten = 0;
        while !prune.closed.is_empty() {
            let pruned = self.store.prune(prune.clone()).await?;
            forgotten += pruned.payments;
            if pruned.next.is_none() {
                break;
            }
            prune.after = pruned.next;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(forgotten)
    }
}

pub(crate) async fn work<S: Store>(inner: Arc<Inner<S>>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if inner.prune().await.is_err() {
            inner.counters.store_failure();
        }
    }
}

#[cfg(test)]
mod tests {
    use farthing_protocol::amount::{Unit, default_denominations};
    use farthing_protocol::keyset::{Proposal, Windows};
    use farthing_protocol::proof::LoneKey;
    use farthing_protocol::snowblind::SigningKey;

    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn a_keyset_is_closed_a_day_after_its_last_window_and_under_a_clock_that_the_mint_confirms() {
        let mut rng = rand::rng();
        let root = LoneKey::generate(&mut rng);
        let mut list = KeysetList::new(*root.public());
        for from in [0, 80 * DAY] {
            let keys = default_denominations().into_iter().map(|denomination| (denomination, *SigningKey::generate(&mut rng).public()));
            let keys = keys.collect();
            let windows = Windows {
                issue_from: from,
                issue_until: from + 30 * DAY,
                spend_until: from + 60 * DAY,
                refresh_until: from + 90 * DAY,
                deposit_until: from + 90 * DAY,
            };
            let receipt_key = *LoneKey::generate(&mut rng).public();
            let published = from.saturating_sub(2 * DAY);
            let proposal = Proposal { published, unit: Unit::default_eur(), windows, receipt_key, keys };
            list.announce(proposal, &root, &mut rng).unwrap();
        }
        let first = vec![list.keysets()[0].id()];
        let cases = [(10, vec![]), (89, vec![]), (91, vec![]), (92, first.clone()), (139, first), (141, vec![]), (9_999, vec![])];
        for (day, expected) in cases {
            assert!(closed(&list, day * DAY) == expected, "day {day}");
        }
    }
}
