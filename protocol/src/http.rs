//! What the HTTP `Payment` scheme carries for the method `farthing`, and D, the digest a payment is bound to.
//!
//! The JSON inside a challenge's `request` is [`ChargeRequest`]; the JSON beside the echoed challenge in a credential is [`Credential`].
//! Reading and writing the headers themselves is the services' work.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::labels;
use crate::transcript::Transcript;

/// The payment method's identifier.
pub const METHOD: &str = "farthing";

/// The intent this method serves.
pub const INTENT: &str = "charge";

/// The JSON of a challenge's `request`. Amounts are decimal strings of smallest units.
///
/// Implements R-HTTP-02.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChargeRequest {
    /// The price; for a tip the suggested one.
    pub amount: String,
    /// Such as `eur/100000`.
    pub currency: String,
    /// The publisher's name: the host of the URL, with its port if it is not the default.
    pub recipient: String,
    /// The publisher's own name for the article.
    pub external_id: String,
    /// What only this method has.
    pub method_details: MethodDetails,
}

/// The part of a request that is the method's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MethodDetails {
    /// The mint's base URL.
    pub mint: String,
    /// base64url of the keyset list's head, as the verifier knows it.
    pub keysets: String,
    /// What is for sale, for people.
    pub title: String,
    /// For how many seconds it may be read again.
    pub access: u64,
    /// base64url of SHA-256 of the canonical URL.
    pub resource: String,
    /// The last second at which the publisher may deposit, Unix time, rounded up to a full hour.
    pub deposit_by: u64,
    /// The least a tip may be; absent for a fixed price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<String>,
    /// The most a tip may be; absent for a fixed price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<String>,
    /// For a pass, the start of every path it is good for: begins and ends with a slash. Absent for a single page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The text whose SHA-256 is the `resource` of a pass: no URL is spelled like it.
///
/// Implements R-HTTP-05.
pub fn pass_resource(scheme: &str, publisher: &str, scope: &str) -> String {
    alloc::format!("pass {scheme}://{publisher}{scope}")
}

/// The JSON of a credential's `payload`. `Debug` shows only its kind: the salt links a payment to an article, the bytes are money.
///
/// Implements R-HTTP-02, R-PRIV-02.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Credential {
    /// Paying.
    Payment {
        /// base64url of a [`PaymentFrame`](crate::wire::PaymentFrame).
        payment: String,
        /// base64url of 32 random bytes that only reader and publisher know.
        salt: String,
    },
    /// Reading again.
    Reread {
        /// base64url of a [`RereadFrame`](crate::wire::RereadFrame).
        reread: String,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Payment { .. } => "Payment(..)",
            Self::Reread { .. } => "Reread(..)",
        })
    }
}

/// Every parameter of a challenge as echoed, raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoedChallenge<'a> {
    /// `id`.
    pub id: &'a str,
    /// `realm`.
    pub realm: &'a str,
    /// `method`.
    pub method: &'a str,
    /// `intent`.
    pub intent: &'a str,
    /// `request`, still base64url.
    pub request: &'a str,
    /// `expires`.
    pub expires: Option<&'a str>,
    /// `digest`.
    pub digest: Option<&'a str>,
    /// `opaque`, still base64url.
    pub opaque: Option<&'a str>,
    /// `description`.
    pub description: Option<&'a str>,
    /// `header`.
    pub header: Option<&'a str>,
}

impl EchoedChallenge<'_> {
    /// D = Hash(salt, every parameter): each under its name, absent ones marked. The salt keeps the mint from guessing the article.
    ///
    /// Implements R-HTTP-01.
    ///
    /// A reread has no salt (nobody but the publisher sees its D): pass an empty one.
    pub fn subject(&self, salt: &[u8]) -> [u8; 32] {
        let mut transcript = Transcript::new(labels::HTTP_CHALLENGE);
        transcript.bytes(labels::SALT, salt);
        let parameters = [
            ("id", Some(self.id)),
            ("realm", Some(self.realm)),
            ("method", Some(self.method)),
            ("intent", Some(self.intent)),
            ("request", Some(self.request)),
            ("expires", self.expires),
            ("digest", self.digest),
            ("opaque", self.opaque),
            ("description", self.description),
            ("header", self.header),
        ];
        for (name, value) in parameters {
            transcript.bytes(labels::NAME, name.as_bytes()).optional(labels::VALUE, value.map(str::as_bytes));
        }
        transcript.digest()
    }
}
