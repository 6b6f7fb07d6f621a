//! Closes of the books: made by the operator, or by a serving mint after midnight, UTC.

use super::{Mint, MintError};
use crate::store::closes::{Close, CloseMade};

const DAY: u64 = 86_400;

impl Mint {
    /// Closes the books up to the last booking. `None` if every booking belongs to a close already.
    ///
    /// # Errors
    /// [`MintError::BooksDiffer`] if journal and tables do not agree, and then nothing is stored; [`MintError::ClockJumped`],
    /// [`MintError::Ledger`].
    pub async fn close_books(&self) -> Result<Option<Close>, MintError> {
        let now = self.time()?;
        self.close(now, false).await
    }

    /// All closes, oldest first, without their totals.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn book_closes(&self) -> Result<Vec<Close>, MintError> {
        Ok(self.0.ledger.closes().await?)
    }

    /// A close with its totals; `None` if there is none of that number.
    ///
    /// # Errors
    /// [`MintError::Ledger`].
    pub async fn book_close(&self, number: u64) -> Result<Option<Close>, MintError> {
        Ok(self.0.ledger.close(number).await?)
    }

    /// Closes the days that have ended, once after each midnight; `closed` is the day of the last try. A ledger that differs is looked at
    /// again the next day, or when the mint starts.
    ///
    /// Implements R-BOOKS-08.
    pub(super) async fn close_in_time(&self, closed: &mut u64) -> Result<(), MintError> {
        let Ok(now) = self.time() else { return Ok(()) };
        if *closed >= now / DAY {
            return Ok(());
        }
        let made = self.close(now, true).await;
        if matches!(made, Ok(_) | Err(MintError::BooksDiffer)) {
            *closed = now / DAY;
        }
        made.map(drop)
    }

    async fn close(&self, now: u64, ended: bool) -> Result<Option<Close>, MintError> {
        match self.0.ledger.close_books(now, ended).await? {
            CloseMade::Closed(close) => {
                tracing::info!(number = close.number, last_booking = close.last_booking, digest = close.digest, "the books were closed");
                Ok(Some(*close))
            }
            CloseMade::Nothing => Ok(None),
            CloseMade::Differs(differences) => {
                for one in differences {
                    tracing::error!(
                        what = one.what,
                        recomputed = one.recomputed,
                        stated = one.stated,
                        "the books differ: no close is made"
                    );
                }
                Err(MintError::BooksDiffer)
            }
        }
    }
}
