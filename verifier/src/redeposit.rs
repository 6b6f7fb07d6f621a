//! Handing in again what the mint had booked: for a mint that was restored from a backup and has forgotten the last of it.

use farthing_protocol::wire::LedgerMark;
use serde::{Deserialize, Serialize};

use crate::error::VerifierError;
use crate::outbox::{BATCH, Undecided};
use crate::store::{Store, StoreError};
use crate::verifier::Verifier;

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
    /// Hands in again every payment the mint has booked, or with `after` those it booked after its ledger stood at that sequence, as the
    /// restored mint names it. It may be called again at any time: the mint credits each payment once.
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
        let since = after.and_then(|sequence| ledger.map(|ledger| LedgerMark { ledger, sequence }));
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
