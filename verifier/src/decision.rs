//! Deciding about a request by its head, in the types of the crate `http` and nothing else: what the tower layer, the sidecar and every
//! other server rest on.
//!
//! ```text
//! head and offer --decide--> Serve(paid)   take the credential out, serve, mark the answer with its receipt
//!                            Answer(402..) send it as it is
//! ```
//!
//! # With any server
//! ```no_run
//! use bytes::Bytes;
//! use farthing_verifier::store::RedbStore;
//! use farthing_verifier::{Decision, Offer, Verifier, strip_credential};
//! use http::{Request, Response};
//!
//! # fn offer(_: &http::request::Parts) -> Option<Offer> { None }
//! # async fn serve(_: Request<Bytes>) -> Response<Bytes> { Response::default() }
//! async fn answer(verifier: &Verifier<RedbStore>, request: Request<Bytes>) -> Response<Bytes> {
//!     let (mut head, body) = request.into_parts();
//!     let Some(offer) = offer(&head) else { return serve(Request::from_parts(head, body)).await };
//!     match verifier.decide(&head, &offer).await {
//!         Decision::Answer(answer) => answer,
//!         Decision::Serve(paid) => {
//!             strip_credential(&mut head.headers);
//!             let mut served = serve(Request::from_parts(head, body)).await;
//!             paid.mark(&mut served);
//!             served
//!         }
//!     }
//! }
//! ```

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::config::VerifierConfig;
use crate::error::{Refused, VerifierError};
use crate::offer::{Offer, Resource};
use crate::page::{broken_offer, refuse, wants_html};
use crate::payment_scheme::{carries_payment, excludes_farthing, find_credential, receipt};
use crate::refund::SignedReceipt;
use crate::store::{PaymentRecord, PaymentState, Store};
use crate::verifier::Verifier;

/// What to do with a request that has a price.
#[derive(Debug)]
#[must_use = "a decision that is not looked at serves without a payment"]
pub enum Decision {
    /// Serve it: it was paid for. [`strip_credential`] before, [`Paid::mark`] after.
    Serve(Paid),
    /// Serve nothing, and send this as it is: status, headers and body. A 402 holds a challenge for one reader; never send it twice.
    Answer(Response<Bytes>),
}

/// A request that was paid for. Only a verifier makes one.
///
/// # Security
/// `Settled` says that the mint has booked the payment. `Accepted` says only that it holds in itself and was never seen *here*: the
/// publisher carries the risk. The payment's id links nothing to a person, but logged beside an address it would.
#[derive(Clone, PartialEq, Eq)]
pub struct Paid {
    payment: PaymentId,
    amount: Amount,
    change: Amount,
    settled: bool,
    reread: bool,
    decided_at: u64,
    signed: Option<SignedReceipt>,
}

/// Headers by which a page tells shared caches what `Cache-Control` does not.
const FOR_SHARED_CACHES: [&str; 5] =
    ["cdn-cache-control", "cloudflare-cdn-cache-control", "vercel-cdn-cache-control", "surrogate-control", "x-accel-expires"];

impl Paid {
    pub(crate) fn new(payment: PaymentId, record: &PaymentRecord, reread: bool, decided_at: u64, config: &VerifierConfig) -> Self {
        let settled = record.state == PaymentState::Settled;
        let signed = config.publisher_key.as_ref().and_then(|key| key.sign_receipt(payment, record, &config.publisher));
        Self { payment, amount: record.amount, change: record.change, settled, reread, decided_at, signed }
    }

    /// The payment's id.
    pub const fn payment(&self) -> PaymentId {
        self.payment
    }

    /// What was paid.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// What the reader may take back from the mint once the payment is settled.
    pub const fn change(&self) -> Amount {
        self.change
    }

    /// Whether the mint has booked it; if not, it was accepted in deferred mode.
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether this request read again what had been paid for before.
    pub const fn is_reread(&self) -> bool {
        self.reread
    }

    /// `settled` or `accepted`.
    pub const fn state_name(&self) -> &'static str {
        if self.settled { "settled" } else { "accepted" }
    }

    /// The payment's id in base64url, as the receipt and refunds name it.
    pub fn reference(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.payment.0)
    }

    /// The value of `Payment-Receipt`, for a 2xx answer to this request and nobody else. With a publisher's key it is signed.
    ///
    /// Implements R-VERIF-31.
    pub fn receipt(&self) -> Option<HeaderValue> {
        let text = Base64UrlUnpadded::encode_string;
        let mut extensions = serde_json::Map::new();
        extensions.insert("amount".into(), self.amount.to_string().into());
        extensions.insert("change".into(), self.change.to_string().into());
        extensions.insert("state".into(), self.state_name().into());
        if let Some(signed) = &self.signed {
            extensions.insert("paidAt".into(), signed.paid_at.into());
            extensions.insert("accessUntil".into(), signed.access_until.into());
            extensions.insert("key".into(), text(&signed.key).into());
            extensions.insert("proof".into(), text(&signed.proof).into());
        }
        receipt(self.reference(), self.decided_at, extensions)
    }

    /// Adds the receipt to what is served, if that is a success, and keeps shared caches away from it: also from what is said to them alone
    /// (RFC 9213, and what came before it), which they would obey instead.
    ///
    /// Implements R-VERIF-30.
    pub fn mark<R>(&self, response: &mut Response<R>) {
        if response.status().is_success()
            && let Some(receipt) = self.receipt()
        {
            response.headers_mut().insert("payment-receipt", receipt);
        }
        for name in FOR_SHARED_CACHES {
            response.headers_mut().remove(name);
        }
        let kept = response.headers().get_all(header::CACHE_CONTROL);
        let kept = kept
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|directive| {
                let name = directive.split('=').next().unwrap_or_default().to_ascii_lowercase();
                !matches!(name.as_str(), "" | "public" | "private" | "s-maxage")
            })
            .map(str::to_owned);
        // First: what is left of a directive with a comma in its quotes might hide what comes after it.
        let directives: Vec<String> = std::iter::once("private".to_owned()).chain(kept).collect();
        let value = HeaderValue::try_from(directives.join(", ")).unwrap_or(HeaderValue::from_static("private"));
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
}

impl std::fmt::Debug for Paid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Paid").field("state", &self.state_name()).field("reread", &self.reread).finish_non_exhaustive()
    }
}

/// What a check alone has found.
///
/// # Security
/// It is no payment: the same tokens may be spent by the time anything is served for it. Serve for [`Decision::Serve`] alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    pub(crate) payment: PaymentId,
    pub(crate) amount: Amount,
    pub(crate) change: Amount,
    pub(crate) state: &'static str,
    pub(crate) reread: bool,
}

impl Found {
    /// The payment's id in base64url.
    pub fn reference(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.payment.0)
    }

    /// What it would pay, or has paid.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// What its reader may take back once it is settled.
    pub const fn change(&self) -> Amount {
        self.change
    }

    /// `unclaimed`, or what became of it: `pending`, `accepted` or `settled`.
    pub const fn state_name(&self) -> &'static str {
        self.state
    }

    /// Whether it asks to read again.
    pub const fn is_reread(&self) -> bool {
        self.reread
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("state", &self.state).field("reread", &self.reread).finish_non_exhaustive()
    }
}

impl<S: Store> Verifier<S> {
    /// Decides about a request that has a price, by its head: checks its credential, claims its tokens and has them booked, or says what
    /// to answer instead. Whatever fails, the decision is an answer.
    ///
    /// Implements R-EMBED-01.
    ///
    /// May be dropped at any time: what was begun goes on, and the same credential finds what became of it.
    ///
    /// # Security
    /// The price must be the same for every spelling of a path that is served as the same article. Only method, path, query,
    /// `Authorization`, `Accept` and `Accept-Payment` are looked at; the host is the configured one, whatever the request says.
    pub async fn decide(&self, head: &Parts, offer: &Offer) -> Decision {
        let resource = self.resource(&head.method, &head.uri);
        let refused = match credential(&head.headers) {
            Ok(credential) => match self.authorize(credential, &resource, offer).await {
                Ok(paid) => return Decision::Serve(paid),
                Err(refused) => refused,
            },
            Err(refused) => refused,
        };
        Decision::Answer(self.refusal(&refused, &resource, &head.headers, offer))
    }

    /// Checks a request's credential and changes nothing: no token is claimed, no challenge used up, no payment handed in.
    ///
    /// # Errors
    /// What [`decide`](Self::decide) would answer, but for what only a claim finds out.
    pub async fn check(&self, head: &Parts, offer: &Offer) -> Result<Found, Response<Bytes>> {
        let resource = self.resource(&head.method, &head.uri);
        let refused = match credential(&head.headers) {
            Ok(credential) => match self.look(credential, &resource, offer).await {
                Ok(found) => return Ok(found),
                Err(refused) => refused,
            },
            Err(refused) => refused,
        };
        Err(self.refusal(&refused, &resource, &head.headers, offer))
    }

    /// The answer to a request that is not served, with a fresh challenge if it is a 402.
    fn refusal(&self, refused: &Refused, resource: &Resource, headers: &HeaderMap, offer: &Offer) -> Response<Bytes> {
        self.inner().observed.refusal(refused.code());
        let unit = &self.inner().config.unit;
        let html = wants_html(headers);
        if refused.status() != http::StatusCode::PAYMENT_REQUIRED || !refused.wants_challenge() {
            return refuse(refused, None, offer, None, unit, html);
        }
        let now = self.now();
        match self.challenge(offer, resource, now).and_then(|challenge| Ok((challenge, self.pass_challenge(offer, resource, now)?))) {
            Ok((challenge, pass)) => {
                let sold = pass.as_ref().and(self.inner().config.pass.as_ref());
                let mut answer = refuse(refused, Some(&challenge), offer, sold, unit, html);
                if let Some(pass) = &pass {
                    answer.headers_mut().append(header::WWW_AUTHENTICATE, pass.header().clone());
                }
                answer
            }
            Err(VerifierError::MintUnavailable) => refuse(&Refused::mint_unavailable(), None, offer, None, unit, html),
            Err(error) => broken_offer(&error),
        }
    }
}

/// The request's credential, or why it is asked for one.
fn credential(headers: &HeaderMap) -> Result<&str, Refused> {
    match find_credential(headers)? {
        Some(credential) => Ok(credential),
        None if excludes_farthing(headers) => Err(Refused::method_not_accepted()),
        None => Err(Refused::payment_required()),
    }
}

/// Takes the credential out of a request and leaves other `Authorization` values: whatever logs requests behind the decision has no
/// business with it.
pub fn strip_credential(headers: &mut HeaderMap) {
    let kept: Vec<HeaderValue> = headers.get_all(header::AUTHORIZATION).iter().filter(|value| !carries_payment(value)).cloned().collect();
    headers.remove(header::AUTHORIZATION);
    for value in kept {
        headers.append(header::AUTHORIZATION, value);
    }
}
