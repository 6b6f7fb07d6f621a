//! Giving a payment back: the mint takes it from the publisher's balance, its reader may take it from the mint, and here it counts no more.
//!
//! ```text
//! record settled --proof by the publisher's key--> POST /v1/refunds --signed answer--> record refunded          no arrow back
//! ```

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use farthing_protocol::amount::Amount;
use farthing_protocol::error::AnswerError;
use farthing_protocol::group::Point;
use farthing_protocol::proof::{LoneKey, PaymentId};
use farthing_protocol::receipt::PublisherReceipt;
use farthing_protocol::refund::{RefundOutcome, RefundRefusal, request, verify_answer};
use farthing_protocol::wire::RefundResponseFrame;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::error::VerifierError;
use crate::mint_client::MintError;
use crate::secret_file;
use crate::store::{Decision, Document, PaymentRecord, PaymentState, Store, StoreError};
use crate::verifier::{Inner, Verifier};

/// The key with which a publisher asks the mint to give a payment back, and signs its readers' receipts. The mint's operator registers its
/// public half.
///
/// # Security
/// Whoever has it can give the publisher's earnings back to those who paid them, and sign receipts in its name. Never log it.
#[derive(Clone)]
pub struct PublisherKey(Arc<LoneKey>);

impl PublisherKey {
    /// Draws a key.
    pub fn generate() -> Self {
        Self(Arc::new(LoneKey::generate(&mut rand::rng())))
    }

    /// Reads the key from a file, or draws one and writes it there, readable by its owner only.
    ///
    /// # Errors
    /// [`std::io::Error`] if the file cannot be read or written, or holds anything else.
    pub fn load_or_create(path: &Path) -> std::io::Result<Self> {
        let bytes = secret_file::load_or_create(path, || Self::generate().0.expose_secret())?;
        let key = LoneKey::from_bytes(&bytes);
        key.map(|key| Self(Arc::new(key))).map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "not a publisher's key"))
    }

    /// Reads the key that all instances on a store share, or stores `own` if there is none: whoever comes first wins.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] if the store holds anything else.
    pub async fn shared<S: Store>(store: &S, own: Self) -> Result<Self, StoreError> {
        let stored = Zeroizing::new(store.save_first(Document::PublisherKey, own.0.expose_secret().to_vec()).await?);
        let bytes = <[u8; 32]>::try_from(stored.as_slice()).map_err(|_| StoreError::Corrupt)?;
        let key = LoneKey::from_bytes(&Zeroizing::new(bytes)).map_err(|_| StoreError::Corrupt)?;
        Ok(Self(Arc::new(key)))
    }

    /// The public half, to be registered with the mint.
    pub fn public(&self) -> &Point {
        self.0.public()
    }

    /// What the reader of a payment is given to show. `None` with probability 2^-252: the next answer is signed.
    pub(crate) fn sign_receipt(&self, payment: PaymentId, record: &PaymentRecord, publisher: &str) -> Option<SignedReceipt> {
        let receipt = PublisherReceipt {
            payment,
            publisher: publisher.to_owned(),
            amount: record.amount,
            settled: record.state == PaymentState::Settled,
            resource: record.resource,
            paid_at: record.claimed_at,
            access_until: record.access_until,
        };
        let body = receipt.sign(&self.0, &mut rand::rng()).ok()?.to_body();
        let mut proof = [0; 64];
        proof[..32].copy_from_slice(&body.t.0);
        proof[32..].copy_from_slice(&body.u.0);
        Some(SignedReceipt { paid_at: record.claimed_at, access_until: record.access_until, key: *self.public().as_bytes(), proof })
    }
}

impl fmt::Debug for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublisherKey(..)")
    }
}

/// What a publisher's key has signed, as far as the reader does not know it already.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SignedReceipt {
    pub(crate) paid_at: u64,
    pub(crate) access_until: u64,
    pub(crate) key: [u8; 32],
    /// T and u.
    pub(crate) proof: [u8; 64],
}

/// Why a payment was not given back. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotRefunded {
    /// The verifier was configured without a publisher's key.
    #[error("no publisher's key is configured")]
    NoKey,
    /// No payment with this id was claimed here.
    #[error("no such payment")]
    UnknownPayment,
    /// The mint has refused the payment: there is nothing to give back.
    #[error("the payment was refused")]
    NotPaid,
    /// The mint does not take the proof by the publisher's key.
    #[error("the mint does not know this publisher's key: its operator registers it")]
    KeyNotRegistered,
    /// The mint has a reason, and has signed it.
    #[error("the mint does not give it back ({})", .0.code())]
    Refused(RefundRefusal),
}

impl NotRefunded {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownPayment => "payment-unknown",
            Self::NotPaid => "payment-refused",
            Self::NoKey | Self::KeyNotRegistered => "key-not-registered",
            Self::Refused(refusal) => refusal.code(),
        }
    }
}

impl<S: Store> Verifier<S> {
    /// Gives a payment back, and returns the amount that its reader may now take from the mint. From then on it neither serves nor reads
    /// again (`refused-refunded`). A second call changes nothing and returns the same.
    ///
    /// A payment the mint has not decided yet is handed in first. The future may be dropped at any time: what was begun goes on, and
    /// another call finds what became of it.
    ///
    /// Implements R-VERIF-13.
    ///
    /// # Errors
    /// [`VerifierError::NotRefunded`] and [`VerifierError::MintUnavailable`]: nothing is known to have changed, and nothing has changed
    /// here. [`VerifierError::Store`]: the mint may have given it back already; call again.
    pub async fn refund(&self, payment: PaymentId) -> Result<Amount, VerifierError> {
        let inner = self.share();
        // Between the mint's answer and the store's write is no place to stop.
        tokio::spawn(async move { inner.refund(payment).await }).await.unwrap_or(Err(VerifierError::MintUnavailable))
    }
}

impl<S: Store> Inner<S> {
    async fn refund(&self, payment: PaymentId) -> Result<Amount, VerifierError> {
        let key = self.config.publisher_key.as_ref().ok_or(NotRefunded::NoKey)?;
        let mut record = self.claimed(payment).await?;
        if record.state.is_open() {
            // What else could not be handed in does not matter here.
            let _ = self.outbox.drain().await;
            record = self.claimed(payment).await?;
        }
        match &record.state {
            PaymentState::Settled => {}
            PaymentState::Refunded => return Ok(record.amount),
            PaymentState::Refused(_) => return Err(NotRefunded::NotPaid.into()),
            PaymentState::Pending | PaymentState::Accepted => return Err(VerifierError::MintUnavailable),
        }
        let frame = request(&self.config.root, payment, &self.config.publisher, &key.0, &mut rand::rng());
        // With probability 2^-252: the next call draws anew.
        let frame = frame.map_err(|_| VerifierError::MintUnavailable)?;
        let response = self.mint.refund(&frame).await.map_err(|error| match error {
            MintError::Rejected => NotRefunded::KeyNotRegistered.into(),
            MintError::Unavailable | MintError::Invalid => VerifierError::MintUnavailable,
        })?;
        let (decisions, refused) = match self.refund_outcome(&response, payment).await? {
            RefundOutcome::Refunded | RefundOutcome::AlreadyRefunded => (vec![Decision { payment, state: PaymentState::Refunded }], None),
            RefundOutcome::Refused(refusal) => (Vec::new(), Some(NotRefunded::Refused(refusal))),
        };
        let states = self.store.decide(decisions, Some(response.mark), None).await.inspect_err(|_| self.counters.store_failure())?;
        match (refused, states.as_slice()) {
            (Some(refused), _) => Err(refused.into()),
            (None, [Some(PaymentState::Refunded)]) => {
                self.counters.refunded();
                Ok(record.amount)
            }
            (None, _) => Err(StoreError::Corrupt.into()),
        }
    }

    async fn claimed(&self, payment: PaymentId) -> Result<PaymentRecord, VerifierError> {
        Ok(self.store.payment(payment).await?.ok_or(NotRefunded::UnknownPayment)?)
    }

    /// Verifies the answer's signature, if need be under a newer list.
    async fn refund_outcome(&self, response: &RefundResponseFrame, payment: PaymentId) -> Result<RefundOutcome, VerifierError> {
        let trusted = || self.keysets.trusted().map_err(|_| VerifierError::MintUnavailable);
        let mut keys = trusted()?;
        if !keys.list.knows_receipt_key(&response.receipt_key.0) {
            self.keysets.refresh_for_unknown().await;
            keys = trusted()?;
        }
        verify_answer(response, payment, &keys.list).map_err(|_: AnswerError| {
            self.counters.mint_alarm();
            tracing::error!("the mint's refund answer does not verify: the payment stays as it is");
            VerifierError::MintUnavailable
        })
    }
}
