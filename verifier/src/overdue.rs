//! How long the mint has owed an answer about something that was served on trust.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use farthing_protocol::proof::PaymentId;

use crate::store::{Store, StoreError};

/// The most payments watched: of each second the first, so that a day of waiting fits.
const MOST: usize = 86_400;

/// Accepted payments whose answers are awaited, of each second the first, oldest first. Only of this process and since its start: what was
/// accepted before, or by another instance, is bounded by the limits, which the store holds.
#[derive(Default)]
pub(crate) struct Overdue(Mutex<VecDeque<(u64, PaymentId)>>);

impl Overdue {
    fn watched(&self) -> MutexGuard<'_, VecDeque<(u64, PaymentId)>> {
        // A queue is whole whatever happens to whoever holds it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a payment that was accepted now.
    pub(crate) fn accepted(&self, payment: PaymentId, now: u64) {
        let mut watched = self.watched();
        if watched.back().is_none_or(|(last, _)| *last < now) && watched.len() < MOST {
            watched.push_back((now, payment));
        }
    }

    /// Whether an answer has been awaited for at least `patience` seconds. The store knows what was answered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn is_overdue<S: Store>(&self, store: &S, patience: u64, now: u64) -> Result<bool, StoreError> {
        loop {
            let oldest = self.watched().front().copied();
            let Some((at, payment)) = oldest.filter(|(at, _)| now.saturating_sub(*at) >= patience) else { return Ok(false) };
            if store.payment(payment).await?.is_some_and(|record| record.state.is_open()) {
                return Ok(true);
            }
            // Another request may have found the same meanwhile.
            self.watched().pop_front_if(|front| *front == (at, payment));
        }
    }
}
