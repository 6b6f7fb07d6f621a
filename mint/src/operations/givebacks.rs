//! Giving back: a publisher's refunds, and what wallets need that have only their seed.

use std::sync::atomic::Ordering;
use std::time::Instant;

use farthing_protocol::error::RefundError;
use farthing_protocol::group::Point;
use farthing_protocol::payment::MAX_RECIPIENT;
use farthing_protocol::proof::KeysetId;
use farthing_protocol::refund::{Refund, RefundOutcome, RefundRefusal};
use farthing_protocol::restore::{Bucket, RecordedSession};
use farthing_protocol::wire::{
    CommitmentBody, Frame, IssueResponseFrame, RecordedOutputBody, RefundRequestFrame, RefundResponseFrame, RestoreBucketFrame,
};
use metrics::{counter, histogram};

use super::{Asking, OperationError, Operations};
use crate::metrics as names;
use crate::store::{LedgerError, RecordedRow, RefundDone};

impl Operations {
    /// Gives a payment back, or says again that it was given back.
    ///
    /// # Errors
    /// [`OperationError`]; after `Unavailable` the payment may be refunded, and the same request again says so.
    pub async fn refund(&self, frame: &RefundRequestFrame) -> Result<RefundResponseFrame, OperationError> {
        let _place = self.admit(Asking::Publisher)?;
        let now = self.now()?;
        let refund = Refund::from_frame(frame)?;
        // Nobody learns from the answer which publishers there are.
        let key = self.ledger.publisher_key(refund.publisher().to_owned()).await?.ok_or(RefundError::InvalidProof)?;
        let key = Point::from_bytes(key).map_err(|_| LedgerError::Corrupt("a publisher's key"))?;
        let root = *self.root();
        let checked = self.work(Asking::Publisher, move || refund.verify(&root, &key)).await??;
        let begun = Instant::now();
        let booked = self.ledger.refund(checked.payment(), checked.publisher().to_owned(), now).await?;
        histogram!(names::LEDGER_SECONDS, "booking" => "refund").record(begun.elapsed());
        if booked.done == RefundDone::Refunded {
            counter!(names::REFUNDS).increment(1);
        }
        self.sequence.fetch_max(booked.sequence, Ordering::SeqCst);
        let outcome = match booked.done {
            RefundDone::Refunded => RefundOutcome::Refunded,
            RefundDone::AlreadyRefunded => RefundOutcome::AlreadyRefunded,
            RefundDone::UnknownPayment => RefundOutcome::Refused(RefundRefusal::UnknownPayment),
            RefundDone::PaidOut => RefundOutcome::Refused(RefundRefusal::PaidOut),
        };
        let mark = self.signer.mark(self.ledger_id, booked.sequence);
        self.signer.answer_refund(mark, checked.payment(), outcome).map_err(|_| OperationError::Unavailable)
    }

    /// The key registered for a publisher, by which anybody checks the receipts it signs: 32 bytes. `None` for a publisher without one,
    /// as for a name that is none.
    ///
    /// # Errors
    /// [`OperationError::Overloaded`] or [`OperationError::Unavailable`].
    pub async fn publisher_key(&self, name: &str) -> Result<Option<[u8; 32]>, OperationError> {
        let _place = self.admit(Asking::Reader)?;
        if name.len() > MAX_RECIPIENT {
            return Ok(None);
        }
        Ok(self.ledger.publisher_key(name.to_owned()).await?)
    }

    /// A bucket of recorded sessions of the keyset with this number, and whether it is closed: full, and the same for ever.
    /// `None` if there is no such keyset. A bucket that nothing was recorded in yet is empty.
    ///
    /// # Errors
    /// [`OperationError::Overloaded`] or [`OperationError::Unavailable`].
    pub async fn bucket(&self, keyset: u32, bucket: u64) -> Result<Option<(RestoreBucketFrame, bool)>, OperationError> {
        let _place = self.admit(Asking::Reader)?;
        let list = self.list();
        let known = list.keysets().iter().find(|known| known.number() == u64::from(keyset));
        let Some(id) = known.map(farthing_protocol::keyset::Keyset::id) else { return Ok(None) };
        let rows = self.ledger.recorded(keyset, bucket).await?;
        let made = bucket_of(id, bucket, rows)?;
        Ok(Some((made.to_frame(), made.is_closed())))
    }
}

fn bucket_of(keyset: KeysetId, number: u64, rows: Vec<RecordedRow>) -> Result<Bucket, LedgerError> {
    let sessions = rows.into_iter().map(recorded_session).collect::<Result<_, _>>()?;
    Bucket::new(keyset, number, sessions).map_err(|_| DAMAGED)
}

const DAMAGED: LedgerError = LedgerError::Corrupt("a recorded session");

/// A session as the protocol has it.
pub(super) fn recorded_session(row: RecordedRow) -> Result<RecordedSession, LedgerError> {
    let response = IssueResponseFrame::from_bytes(&row.response).map_err(|_| DAMAGED)?;
    if response.responses.len() != row.outputs.len() {
        return Err(DAMAGED);
    }
    let outputs = row.outputs.into_iter().zip(response.responses).map(|((denomination, points), response)| {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        a.copy_from_slice(&points[..32]);
        b.copy_from_slice(&points[32..]);
        RecordedOutputBody { denomination: denomination.units(), commitment: CommitmentBody { a: a.into(), b: b.into() }, response }
    });
    RecordedSession::new(row.recovery, outputs.collect()).map_err(|_| DAMAGED)
}
