//! Handing in again what the mint had booked: for a mint that was restored from a backup and has forgotten the last of it.

use farthing_protocol::wire::LedgerMark;
use serde::{Deserialize, Serialize};

use crate::error::VerifierError;
use crate::outbox::{BATCH, Undecided};
use crate::store::{Store, StoreError};
use crate::verifier::Verifier;

/// The highest number of a mark that a ledger gives out at this sequence, whatever the seal:
///
/// ```text
/// sequence * 2^24 + 2^24 - 1
/// ```
///
/// So a mark is at or below it exactly if the ledger stood at this sequence, or before. From 2^40 on there are no sequences.
///
/// Implements R-VERIF-44.
const fn last_mark(sequence: u64) -> u64 {
    const SEALS: u64 = (1 << LedgerMark::SEAL_BITS) - 1;
    if sequence > u64::MAX >> LedgerMark::SEAL_BITS { u64::MAX } else { (sequence << LedgerMark::SEAL_BITS) | SEALS }
}

/// What the mint made of payments that were handed in again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Redeposited {
    /// The mint had forgotten them and has booked them again.
    pub credited: u64,
    /// The mint had them still.
    pub already_credited: u64,
    /// The mint knows them as given back, and refuses them.
    pub refunded: u64,
    /// The mint refuses them, for whatever reason: what it once owed is in dispute. The payments stay settled here.
    pub refused: u64,
}

impl<S: Store> Verifier<S> {
    /// Hands in again every payment the mint has booked, or with `after` those it booked after its ledger stood at that sequence. It may be
    /// called again at any time: the mint credits each payment once.
    ///
    /// The sequence is that of the backup, as the mint names it when it is restored: a plain number, not that of a mark, which is 2^24
    /// times as high (spec/deposit.md, section 4). A later one, which the ledger has reached since, leaves out what the backup lacks.
    ///
    /// Nothing changes here but the marks under which deposits are kept: what was settled and served stays so, whatever the mint says now.
    ///
    /// Implements R-VERIF-21.
    ///
    /// # Errors
    /// [`VerifierError::MintUnavailable`] if the mint does not answer, or not believably; [`VerifierError::Store`]. What was handed in
    /// by then is; call again.
    pub async fn redeposit(&self, after: Option<u64>) -> Result<Redeposited, VerifierError> {
        let inner = self.inner();
        // A mint that has forgotten keysets gets them back first, or it would know nobody's tokens of them. If it cannot, it says so below.
        drop(inner.keysets.refresh().await);
        let ledger = inner.store.mark().await?.map(|mark| mark.ledger);
        let since = after.and_then(|sequence| ledger.map(|ledger| LedgerMark { ledger, sequence: last_mark(sequence) }));
        let (mut last, mut done) = (None, Redeposited::default());
        loop {
            let page = inner.store.kept(last, since, BATCH).await?;
            let Some(end) = page.last() else { return Ok(done) };
            last = Some(end.payment);
            inner.outbox.hand_in_again(&page, &mut done).await.map_err(|undecided| match undecided {
                Undecided::Mint => VerifierError::MintUnavailable,
                Undecided::Store => VerifierError::Store(StoreError::Unavailable),
            })?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::last_mark;

    #[test]
    fn every_seal_of_a_sequence_is_at_or_below_its_last_mark_and_none_of_the_next() {
        for sequence in [0, 1, 41, (1 << 40) - 2] {
            let last = last_mark(sequence);
            assert_eq!((last >> 24, (last + 1) >> 24), (sequence, sequence + 1));
        }
        assert_eq!([(1 << 40) - 1, 1 << 40, u64::MAX].map(last_mark), [u64::MAX; 3]);
    }
}
