//! Publishers' receipts: kept with the payment they are about, shown by the reader, checked by anybody.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::proof::{KeyProof, PaymentId};
use farthing_protocol::receipt::PublisherReceipt;
use farthing_protocol::wire::{Bytes, ProofBody};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Wallet;
use crate::error::WalletError;
use crate::offer::{ReceiptHeader, canonical_url};
use crate::records::PaymentRecord;

/// A publisher's receipt, as far as the payment beside it does not say the same. Its signature holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReceipt {
    /// Whether the mint had booked the payment by then.
    pub settled: bool,
    /// When the publisher took it, Unix time in seconds.
    pub paid_at: u64,
    /// Until when it may be read again, Unix time in seconds.
    pub access_until: u64,
    /// The publisher's key.
    pub key: Bytes<32>,
    /// Whether an earlier receipt of this publisher was signed by another key.
    pub another_key: bool,
    proof: ProofBody,
}

/// A receipt as a reader hands it out: everything that it takes to check it, but for whose the key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownReceipt {
    /// The payment's id, base64url.
    pub payment: String,
    /// Who took it.
    pub publisher: String,
    /// What was paid, in smallest units.
    pub amount: Amount,
    /// Such as `eur/100000`. Not signed: the mint that the key is registered with has one currency.
    pub currency: String,
    /// What was paid for: a canonical URL, or `pass ` and the URL that every page begins with that the pass is good for.
    pub resource: String,
    /// Whether the mint had booked it.
    pub settled: bool,
    /// When the publisher took it, Unix time in seconds.
    pub paid_at: u64,
    /// Until when it may be read again, Unix time in seconds.
    pub access_until: u64,
    /// The key it is signed by, base64url.
    pub key: String,
    /// T and u, base64url.
    pub proof: String,
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    Base64UrlUnpadded::decode(text, &mut bytes).is_ok_and(|decoded| decoded.len() == N).then_some(bytes)
}

fn proof_body(bytes: [u8; 64]) -> ProofBody {
    let half = |range: std::ops::Range<usize>| {
        let mut half = [0; 32];
        half.copy_from_slice(&bytes[range]);
        Bytes(half)
    };
    ProofBody { t: half(0..32), u: half(32..64) }
}

impl KeptReceipt {
    /// The receipt that came with a page, if its signature holds for what the wallet knows of the payment.
    ///
    /// Implements R-WALLET-13.
    pub(crate) fn of(header: &ReceiptHeader, payment: &PaymentRecord, earlier: &[PaymentRecord]) -> Option<Self> {
        let (key, proof) = (decode(header.key.as_deref()?)?, proof_body(decode(header.proof.as_deref()?)?));
        let (paid_at, access_until) = (header.paid_at?, header.access_until?);
        let mut of_publisher =
            earlier.iter().filter(|known| known.publisher == payment.publisher).filter_map(|known| known.receipt.as_ref());
        let another_key = of_publisher.any(|known| known.key.0 != key);
        let kept = Self { settled: header.settled, paid_at, access_until, key: Bytes(key), another_key, proof };
        let proof = KeyProof::from_body(&kept.proof).ok()?;
        kept.said(payment).verify(&key, &proof).ok()?;
        Some(kept)
    }

    fn said(&self, payment: &PaymentRecord) -> PublisherReceipt {
        PublisherReceipt {
            payment: PaymentId(payment.id.0),
            publisher: payment.publisher.clone(),
            amount: payment.amount,
            settled: self.settled,
            resource: Sha256::digest(payment.resource()).into(),
            paid_at: self.paid_at,
            access_until: self.access_until,
        }
    }
}

impl ShownReceipt {
    fn of(payment: &PaymentRecord, kept: &KeptReceipt, unit: &Unit) -> Self {
        let text = Base64UrlUnpadded::encode_string;
        Self {
            payment: text(&payment.id.0),
            publisher: payment.publisher.clone(),
            amount: payment.amount,
            currency: unit.name(),
            resource: payment.resource(),
            settled: kept.settled,
            paid_at: kept.paid_at,
            access_until: kept.access_until,
            key: text(&kept.key.0),
            proof: text(&[kept.proof.t.0, kept.proof.u.0].concat()),
        }
    }

    /// Whether the key in it has signed all of it but the currency.
    ///
    /// # Security
    /// Whose key it is has to be known from elsewhere: the publisher's mint tells.
    pub fn holds(&self) -> bool {
        let verified = || {
            let proof = KeyProof::from_body(&proof_body(decode(&self.proof)?)).ok()?;
            let said = PublisherReceipt {
                payment: PaymentId(decode(&self.payment)?),
                publisher: self.publisher.clone(),
                amount: self.amount,
                settled: self.settled,
                resource: Sha256::digest(&self.resource).into(),
                paid_at: self.paid_at,
                access_until: self.access_until,
            };
            said.verify(&decode(&self.key)?, &proof).ok()
        };
        verified().is_some()
    }
}

impl Wallet {
    /// The receipt of the latest payment for a page that has one.
    ///
    /// # Errors
    /// [`WalletError::NothingPaid`] if there is none.
    pub fn receipt(&self, url: &url::Url) -> Result<ShownReceipt, WalletError> {
        let url = canonical_url(url).ok_or(WalletError::InsecureAddress)?;
        let payments = self.history()?;
        let found =
            payments.iter().rev().filter(|payment| payment.url == url).find_map(|payment| Some((payment, payment.receipt.as_ref()?)));
        found.map(|(payment, kept)| ShownReceipt::of(payment, kept, &self.unit)).ok_or(WalletError::NothingPaid)
    }
}
