//! What a publisher signs for the reader who paid: that it took this payment, for what, when, and until when it may be read again.
//!
//! ```text
//! D = Hash(payment id, settled, resource, paid at, access until)
//! S = Hash(publisher, amount, 0, D);   proof by the publisher's key, purpose receipt
//! ```
//!
//! Only the reader gets it, and shows it to whom it likes: it names the article to everybody who can guess its address.

use alloc::string::String;

use rand_core::CryptoRng;

use crate::amount::Amount;
use crate::error::{ProofError, UseError};
use crate::labels;
use crate::proof::{KeyList, KeyProof, LoneKey, PaymentId, Purpose, Statement};
use crate::transcript::Transcript;

/// What a publisher's receipt says.
#[derive(Clone, PartialEq, Eq)]
pub struct PublisherReceipt {
    /// The payment that was taken.
    pub payment: PaymentId,
    /// Who took it.
    pub publisher: String,
    /// What was paid.
    pub amount: Amount,
    /// Whether the mint had booked it by then; if not, the publisher served at its own risk.
    pub settled: bool,
    /// SHA-256 of the canonical URL it was paid for.
    pub resource: [u8; 32],
    /// When it was taken, Unix time in seconds, by the publisher's clock.
    pub paid_at: u64,
    /// Until when it may be read again, Unix time in seconds, by the publisher's clock.
    pub access_until: u64,
}

impl PublisherReceipt {
    fn statement(&self) -> Statement {
        let mut transcript = Transcript::new(labels::PUBLISHER_RECEIPT);
        transcript.bytes(labels::PAYMENT, &self.payment.0).u64(labels::OUTCOME, u64::from(self.settled));
        transcript.bytes(labels::DIGEST, &self.resource).u64(labels::WINDOW, self.paid_at).u64(labels::WINDOW, self.access_until);
        Statement::new(self.publisher.as_bytes(), self.amount, 0, &transcript.digest())
    }

    /// Signs it with the publisher's key.
    ///
    /// # Errors
    /// [`UseError::InvalidKey`] with probability 2^-252.
    ///
    /// # Timing
    /// Constant time in the key.
    pub fn sign<R: CryptoRng + ?Sized>(&self, key: &LoneKey, rng: &mut R) -> Result<KeyProof, UseError> {
        key.prove(Purpose::Receipt, &self.statement(), rng)
    }

    /// Verifies the signature under a publisher's public key.
    ///
    /// Implements R-EVID-09.
    ///
    /// # Errors
    /// [`ProofError::InvalidProof`].
    ///
    /// # Security
    /// Success says that the key's holder said so. Whose key it is, the mint's registry tells; that the money arrived, only the mint's
    /// own answer does.
    ///
    /// # Timing
    /// Variable time: all inputs are public.
    pub fn verify(&self, key: &[u8; 32], proof: &KeyProof) -> Result<(), ProofError> {
        proof.verify(Purpose::Receipt, &self.statement(), KeyList::Lone(key))
    }
}

impl core::fmt::Debug for PublisherReceipt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // It joins a payment with an article.
        f.write_str("PublisherReceipt(..)")
    }
}
