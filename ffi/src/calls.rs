//! What the library does, in JSON: a request in, a decision out. No pointers here.

use std::fmt::Write;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::wire::Frame;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use verifier::blocking::BlockingError;
use verifier::site::{Original, SettingsError, Undescribed, payment_id};
use verifier::{Decision, Found, Paid, VerifierError};

use crate::handles;

/// How a call ended. Zero is success; after anything else nothing may be served.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarthingStatus {
    /// It was done.
    Ok = 0,
    /// A pointer is null, a length is out of bounds, or a text is not UTF-8 or not the JSON that is asked for.
    BadArgument = 1,
    /// The settings do not fit, or their data cannot be opened; another process may be using it.
    BadSettings = 2,
    /// The number is no verifier that is open.
    Closed = 3,
    /// The process was forked after the verifier was opened: open one in each process.
    Forked = 4,
    /// The disk or the mint cannot be asked now. Nothing is lost: ask again.
    Unavailable = 5,
    /// It will not be done, for the reason in the text.
    Refused = 6,
    /// A defect of the library. Close the verifier, open it again, and report it.
    Defect = 7,
}

/// Why a call has no answer.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("a pointer is null, a length is out of bounds, or a text is not what is asked for")]
    Argument,
    #[error("no verifier with this number is open")]
    Closed,
    #[error("{0}")]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Verifier(#[from] VerifierError),
    #[error("{0}")]
    Blocking(#[from] BlockingError),
    #[error("a defect of the library")]
    Defect,
}

impl Failure {
    /// The status, and the stable code.
    pub(crate) const fn code(&self) -> (FarthingStatus, &'static str) {
        match self {
            Self::Argument => (FarthingStatus::BadArgument, "bad-argument"),
            Self::Closed => (FarthingStatus::Closed, "closed"),
            Self::Settings(_) => (FarthingStatus::BadSettings, "bad-settings"),
            Self::Verifier(error) | Self::Blocking(BlockingError::Verifier(error)) => {
                let refused = matches!(error, VerifierError::NotRefunded(_));
                (if refused { FarthingStatus::Refused } else { FarthingStatus::Unavailable }, error.code())
            }
            Self::Blocking(BlockingError::Forked) => (FarthingStatus::Forked, "forked"),
            Self::Blocking(BlockingError::Defect) => Self::Defect.code(),
            Self::Blocking(_) => (FarthingStatus::Unavailable, "no-threads"),
            Self::Defect => (FarthingStatus::Defect, "defect"),
        }
    }

    /// The explanation, as the caller reads it.
    pub(crate) fn text(&self) -> String {
        json!({ "code": self.code().1, "title": self.to_string() }).to_string()
    }
}

/// A reader's request, in the backend's words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    method: String,
    /// Path and query as the reader spelled them.
    url: String,
    /// All headers, or those that matter.
    #[serde(default)]
    headers: Vec<(String, String)>,
}

/// The headers that matter to a decision. Others are not read, and cannot be wrong.
const MATTER: [&str; 5] = ["accept", "accept-payment", "access-control-request-method", "authorization", "origin"];

impl Question {
    fn read(text: &str) -> Result<Self, Failure> {
        // The error would quote what it read.
        serde_json::from_str(text).map_err(|_| Failure::Argument)
    }

    fn original(&self) -> Result<Original, Undescribed> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let Some(name) = MATTER.into_iter().find(|known| known.eq_ignore_ascii_case(name)) else { continue };
            let value = HeaderValue::try_from(value).map_err(|_| Undescribed::Incomplete)?;
            headers.append(HeaderName::from_static(name), value);
        }
        Original::new(&self.method, &self.url, headers)
    }
}

fn headers(map: &HeaderMap) -> Value {
    map.iter().filter_map(|(name, value)| Some(json!([name.as_str(), value.to_str().ok()?]))).collect()
}

fn answer<B: AsRef<[u8]>>(response: &Response<B>) -> String {
    let body = String::from_utf8_lossy(response.body().as_ref());
    json!({ "decision": "answer", "status": response.status().as_u16(), "headers": headers(response.headers()), "body": body }).to_string()
}

fn paid(paid: &Paid) -> Value {
    json!({
        "reference": paid.reference(), "state": paid.state_name(), "amount": paid.amount().to_string(),
        "change": paid.change().to_string(), "reread": paid.is_reread(),
    })
}

fn found(found: &Found) -> Value {
    json!({
        "reference": found.reference(), "state": found.state_name(), "amount": found.amount().to_string(),
        "change": found.change().to_string(), "reread": found.is_reread(),
    })
}

fn serve(payment: &Value, marks: &HeaderMap) -> String {
    json!({ "decision": "serve", "payment": payment, "headers": headers(marks) }).to_string()
}

pub(crate) fn decide(number: u64, question: &str) -> Result<String, Failure> {
    let open = handles::get(number)?;
    let original = match Question::read(question)?.original() {
        Ok(original) => original,
        Err(why) => return Ok(answer(&why.answer())),
    };
    if let Some(preflight) = open.site.preflight(&original) {
        return Ok(answer(&preflight));
    }
    let original = Arc::new(original);
    let asked = Arc::clone(&original);
    Ok(match open.run(|site| async move { site.decide(&asked).await })? {
        None => serve(&Value::Null, &HeaderMap::new()),
        Some(Decision::Serve(payment)) => {
            let mut marked = Response::new(());
            payment.mark(&mut marked);
            open.site.allow_origin(&original, marked.headers_mut());
            serve(&paid(&payment), marked.headers())
        }
        Some(Decision::Answer(mut response)) => {
            open.site.allow_origin(&original, response.headers_mut());
            answer(&response)
        }
    })
}

pub(crate) fn check(number: u64, question: &str) -> Result<String, Failure> {
    let open = handles::get(number)?;
    let original = match Question::read(question)?.original() {
        Ok(original) => original,
        Err(why) => return Ok(answer(&why.answer())),
    };
    Ok(match open.run(|site| async move { site.check(&original).await })? {
        None => json!({ "decision": "found", "payment": null }).to_string(),
        Some(Ok(checked)) => json!({ "decision": "found", "payment": found(&checked) }).to_string(),
        Some(Err(response)) => answer(&response),
    })
}

pub(crate) fn refund(number: u64, reference: &str) -> Result<String, Failure> {
    let open = handles::get(number)?;
    let payment = payment_id(reference).ok_or(Failure::Argument)?;
    let amount = open.run(move |site| async move { site.verifier().refund(payment).await })??;
    Ok(json!({ "payment": reference, "amount": amount.to_string(), "state": "refunded" }).to_string())
}

pub(crate) fn proofs(number: u64) -> Result<String, Failure> {
    let open = handles::get(number)?;
    let proofs = open.run(|site| async move { site.verifier().double_spend_proofs().await })??;
    let proofs: Vec<_> = proofs.iter().map(|proof| Base64UrlUnpadded::encode_string(&proof.to_bytes())).collect();
    Ok(json!({ "proofs": proofs }).to_string())
}

pub(crate) fn ready(number: u64) -> Result<(), Failure> {
    let open = handles::get(number)?;
    Ok(open.run(|site| async move { site.verifier().ready().await })??)
}

pub(crate) fn metrics(number: u64) -> Result<String, Failure> {
    let open = handles::get(number)?;
    let metrics = open.run(|site| async move { site.verifier().metrics().await })??;
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = write!(text, "# TYPE farthing_verifier_{name} {kind}\nfarthing_verifier_{name} {value}\n");
    };
    for (name, count) in metrics.statistics.named() {
        line(&format!("{name}_total"), "counter", count);
    }
    line("outstanding_units", "gauge", metrics.totals.outstanding.units());
    line("undecided_payments", "gauge", metrics.totals.undecided);
    line("undecided_oldest_seconds", "gauge", metrics.oldest_undecided.unwrap_or(0));
    if let Some(filters) = metrics.filters {
        line("filter_segments", "gauge", filters.segments);
        line("filter_tokens", "gauge", filters.tokens);
        line("filter_bytes", "gauge", filters.bytes);
        line("filter_age_seconds", "gauge", filters.age.unwrap_or(u64::MAX));
    }
    Ok(text)
}
