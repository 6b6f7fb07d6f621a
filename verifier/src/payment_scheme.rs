//! The HTTP `Payment` scheme through the crate `mpp`, and nothing else of it: writing challenges, reading credentials, writing receipts.
//!
//! What `mpp` leaves to its callers is done here: times are arguments, the fields of the HMAC cannot hold its separator, every challenge
//! has 16 random bytes of its own, and a credential's size is limited before it is looked at.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::http::{ChargeRequest, Credential, EchoedChallenge, INTENT, METHOD};
use http::HeaderValue;
use mpp::protocol::core::accept_payment::{self, HasMethodIntent};
use mpp::{Base64UrlJson, ChallengeEcho, PaymentChallenge, PaymentCredential, Receipt, ReceiptStatus};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::ChallengeSecret;
use crate::error::{Problem, Refused, VerifierError};
use crate::store::UsedChallenge;

/// The longest `Authorization` value that is read. 24 tokens and a full challenge take about 10 KiB.
pub(crate) const MAX_CREDENTIAL: usize = 32 << 10;

/// The longest challenge that is sent: readers accept 8 KiB.
const MAX_CHALLENGE: usize = 8 << 10;

/// A `WWW-Authenticate` value for a 402.
///
/// It may be sent to one reader only: it can be answered once.
#[derive(Clone, Debug)]
pub struct Challenge {
    header: HeaderValue,
    expires: u64,
}

impl Challenge {
    /// The header's value.
    pub const fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// When it expires, Unix time in seconds.
    pub const fn expires(&self) -> u64 {
        self.expires
    }

    /// Writes a challenge under the secret.
    pub(crate) fn issue(
        secret: &ChallengeSecret,
        realm: &str,
        request: &ChargeRequest,
        expires: u64,
        http_method: &str,
        page: Option<String>,
        nonce: [u8; 16],
    ) -> Result<Self, VerifierError> {
        const UNFIT: VerifierError = VerifierError::Offer("title, name or price do not fit in a challenge");
        let encoded = Base64UrlJson::from_typed(request).map_err(|_| UNFIT)?;
        let opaque = Opaque { method: http_method.into(), nonce: Base64UrlUnpadded::encode_string(&nonce), page };
        let opaque = Base64UrlJson::from_typed(&opaque).map_err(|_| UNFIT)?;
        let time = rfc3339(expires).ok_or(UNFIT)?;
        let challenge = PaymentChallenge::with_secret_key_full(
            secret.expose(),
            realm,
            METHOD,
            INTENT,
            encoded,
            Some(&time),
            None,
            None,
            Some(opaque),
            None,
        );
        let text = mpp::format_www_authenticate(&challenge).map_err(|_| UNFIT)?;
        if text.len() > MAX_CHALLENGE {
            return Err(UNFIT);
        }
        Ok(Self { header: HeaderValue::try_from(text).map_err(|_| UNFIT)?, expires })
    }
}

/// What only this verifier reads: the request's method and the bytes that make each challenge unlike any other.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opaque {
    method: String,
    nonce: String,
    /// For a pass, the page it was asked for at: the bytes of its payment finish that delivery and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

/// A credential as it came: readable, and nothing more.
pub(crate) struct Received {
    echo: ChallengeEcho,
    payload: Credential,
}

impl Received {
    /// Reads an `Authorization` value.
    pub(crate) fn parse(authorization: &str) -> Result<Self, Refused> {
        if authorization.len() > MAX_CREDENTIAL {
            return Err(Refused::malformed());
        }
        // The errors of mpp and serde quote what they read: they are dropped here.
        let PaymentCredential { challenge, payload, .. } = mpp::parse_authorization(authorization).map_err(|_| Refused::malformed())?;
        if challenge.method.as_str() != METHOD || challenge.intent.as_str() != INTENT {
            return Err(Refused::new(Problem::MethodUnsupported, "method-unsupported"));
        }
        let payload = serde_json::from_value(payload).map_err(|_| Refused::malformed())?;
        Ok(Self { echo: challenge, payload })
    }

    pub(crate) const fn payload(&self) -> &Credential {
        &self.payload
    }

    pub(crate) fn realm(&self) -> &str {
        &self.echo.realm
    }

    /// The parameters as echoed, for D.
    pub(crate) fn echoed(&self) -> EchoedChallenge<'_> {
        let echo = &self.echo;
        EchoedChallenge {
            id: &echo.id,
            realm: &echo.realm,
            method: echo.method.as_str(),
            intent: echo.intent.as_str(),
            request: echo.request.raw(),
            expires: echo.expires.as_deref(),
            digest: echo.digest.as_deref(),
            opaque: echo.opaque.as_ref().map(Base64UrlJson::raw),
            description: echo.description.as_deref(),
            header: echo.header.as_deref(),
        }
    }

    /// What the challenge says, if it could be one of this verifier's at all.
    pub(crate) fn contents(&self) -> Option<Contents> {
        let echo = &self.echo;
        // Never sent, and the description is not covered by the id.
        if echo.description.is_some() || echo.digest.is_some() || echo.header.is_some() {
            return None;
        }
        let mut id = [0; 32];
        let decoded = Base64UrlUnpadded::decode(&echo.id, &mut id).ok()?.len();
        let expires = OffsetDateTime::parse(echo.expires.as_deref()?, &Rfc3339).ok()?.unix_timestamp();
        let opaque: Opaque = echo.opaque.as_ref()?.decode().ok()?;
        (decoded == 32).then_some(Contents {
            request: echo.request.decode().ok()?,
            challenge: UsedChallenge { expires: u64::try_from(expires).ok()?, id },
            http_method: opaque.method,
            page: opaque.page,
        })
    }

    /// Whether the challenge was written under this secret (compared in constant time).
    pub(crate) fn is_authentic(&self, secret: &ChallengeSecret) -> bool {
        let echo = self.echo.clone();
        let challenge = PaymentChallenge {
            id: echo.id,
            realm: echo.realm,
            method: echo.method,
            intent: echo.intent,
            request: echo.request,
            expires: echo.expires,
            description: echo.description,
            digest: echo.digest,
            opaque: echo.opaque,
            header: echo.header,
        };
        challenge.verify(secret.expose())
    }
}

/// What an echoed challenge says.
pub(crate) struct Contents {
    pub(crate) request: ChargeRequest,
    pub(crate) challenge: UsedChallenge,
    pub(crate) http_method: String,
    pub(crate) page: Option<String>,
}

/// The `Payment` credential among the `Authorization` values: none, one, or too many.
pub(crate) fn find_credential(headers: &http::HeaderMap) -> Result<Option<&str>, Refused> {
    let mut found = None;
    for value in headers.get_all(http::header::AUTHORIZATION) {
        if !carries_payment(value) {
            continue;
        }
        let text = value.to_str().map_err(|_| Refused::malformed())?;
        if found.replace(text).is_some() {
            return Err(Refused::malformed());
        }
    }
    Ok(found)
}

/// The header in which a client says what it can pay with.
pub(crate) const ACCEPT_PAYMENT: http::HeaderName = http::HeaderName::from_static("accept-payment");

/// The longest `Accept-Payment` that is read.
const MAX_ACCEPT: usize = 4 << 10;

/// What this verifier offers, to be compared with `Accept-Payment`.
struct Offered;

impl HasMethodIntent for Offered {
    fn method(&self) -> &str {
        METHOD
    }

    fn intent(&self) -> &str {
        INTENT
    }
}

/// Whether `Accept-Payment` leaves out `farthing/charge`. A header that cannot be read leaves out nothing: it only states preferences.
///
/// Implements R-VERIF-15.
pub(crate) fn excludes_farthing(headers: &http::HeaderMap) -> bool {
    let values: Option<Vec<&str>> = headers.get_all(ACCEPT_PAYMENT).iter().map(|value| value.to_str().ok()).collect();
    let text = values.unwrap_or_default().join(",");
    if text.is_empty() || text.len() > MAX_ACCEPT {
        return false;
    }
    accept_payment::parse(&text).is_ok_and(|preferences| accept_payment::select(&[Offered], &preferences).is_none())
}

/// Whether an `Authorization` value holds a credential of the scheme.
pub(crate) fn carries_payment(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    // Too long to be tokenised: what starts like a credential is treated as one, and refused for its length.
    let starts = bytes.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Payment "));
    starts || value.to_str().is_ok_and(|text| mpp::protocol::core::extract_payment_scheme(text).is_some())
}

/// A `Payment-Receipt` value, with what only this method has.
pub(crate) fn receipt(reference: String, now: u64, extensions: serde_json::Map<String, serde_json::Value>) -> Option<HeaderValue> {
    let receipt = Receipt {
        status: ReceiptStatus::Success,
        method: METHOD.into(),
        timestamp: rfc3339(now)?,
        reference,
        external_id: None,
        subscription_id: None,
        extensions,
    };
    HeaderValue::try_from(mpp::format_receipt(&receipt).ok()?).ok()
}

fn rfc3339(seconds: u64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?.format(&Rfc3339).ok()
}
