//! For a backend that asks by itself instead of having a proxy ask: one JSON object in, one out.
//!
//! ```text
//! POST /v1/verify     check only: nothing is claimed, nothing is booked, and nothing may be served for it
//! POST /v1/settle     check, claim, deposit: what the layer does; 200 is what may be served
//! in                  {"method":"GET","url":"/articles/one?page=2","authorization":"Payment ..","accept_payment":"..","accept":".."}
//! ```

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use http::{HeaderMap, HeaderValue, Response, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::original::{Original, Peer, Undescribed};
use super::{Sidecar, answers};
use crate::error::Refused;
use crate::layer::{decide, refusal};
use crate::offer::Offer;
use crate::payment_scheme::{ACCEPT_PAYMENT, MAX_CREDENTIAL, excludes_farthing, find_credential, receipt};

/// The longest question: a credential and a URL.
const MAX_BODY: usize = MAX_CREDENTIAL + (16 << 10);

/// A reader's request, in the backend's words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    method: String,
    /// Path and query as the reader spelled them.
    url: String,
    /// The value of its `Authorization`, if it has one.
    authorization: Option<String>,
    /// The value of its `Accept-Payment`, if it has one.
    accept_payment: Option<String>,
    /// The value of its `Accept`, if it has one: a browser is shown the price as a page.
    accept: Option<String>,
}

/// A question about something that has a price.
struct Asked {
    original: Original,
    offer: Offer,
    headers: HeaderMap,
}

fn body(payment: PaymentId, amount: Amount, change: Amount, state: &str, reread: bool) -> Value {
    let reference = Base64UrlUnpadded::encode_string(&payment.0);
    json!({ "reference": reference, "state": state, "amount": amount.to_string(), "change": change.to_string(), "reread": reread })
}

fn free() -> Response<Body> {
    answers::json(&json!({ "reference": null, "state": "none", "amount": "0", "change": "0", "reread": false }))
}

/// Checks a credential and does nothing else.
pub(super) async fn verify(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    let asked = match sidecar.asked(peer, request).await {
        Ok(Some(asked)) => asked,
        Ok(None) => return free(),
        Err(response) => return response,
    };
    let Asked { original, offer, headers } = asked;
    let resource = sidecar.verifier.resource(&original.method, &original.uri);
    let refused = match find_credential(&headers) {
        Ok(Some(credential)) => match sidecar.verifier.check(credential, &resource, &offer).await {
            Ok(found) => return answers::json(&body(found.payment, found.amount, found.change, found.state, found.reread)),
            Err(refused) => refused,
        },
        Ok(None) if excludes_farthing(&headers) => Refused::method_not_accepted(),
        Ok(None) => Refused::payment_required(),
        Err(refused) => refused,
    };
    refusal(&sidecar.verifier, &refused, &resource, &headers, &offer).map(Body::from)
}

/// Decides about a credential: 200 is what may be served.
pub(super) async fn settle(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    let asked = match sidecar.asked(peer, request).await {
        Ok(Some(asked)) => asked,
        Ok(None) => return free(),
        Err(response) => return response,
    };
    let Asked { original, offer, headers } = asked;
    match decide(&sidecar.verifier, &original.method, &original.uri, &headers, &offer).await {
        Ok(paid) => {
            let mut body = body(paid.payment(), paid.amount(), paid.change(), paid.state_name(), paid.is_reread());
            let receipt = receipt(paid.reference(), sidecar.verifier.now(), paid.change().to_string(), paid.state_name());
            body["receipt"] = receipt.as_ref().and_then(|receipt| receipt.to_str().ok()).into();
            answers::json(&body)
        }
        Err(response) => response.map(Body::from),
    }
}

impl Sidecar {
    /// Reads a question; `None` if what it asks about is free.
    async fn asked(&self, peer: Peer, request: Request) -> Result<Option<Asked>, Response<Body>> {
        let undescribed = |why: Undescribed| {
            tracing::warn!(code = why.code(), "a question that is not answered");
            answers::undescribed(why)
        };
        if !self.settings.trusted_peers.trust(peer) {
            return Err(undescribed(Undescribed::Untrusted));
        }
        let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| undescribed(Undescribed::Incomplete))?;
        // The error would quote what it read.
        let question: Question = serde_json::from_slice(&bytes).map_err(|_| undescribed(Undescribed::Incomplete))?;
        let original = Original::new(&question.method, &question.url).map_err(undescribed)?;
        let Some(offer) = self.settings.rules.offer(&original.path) else { return Ok(None) };
        let mut headers = HeaderMap::new();
        let told = [
            (header::AUTHORIZATION, &question.authorization),
            (ACCEPT_PAYMENT, &question.accept_payment),
            (header::ACCEPT, &question.accept),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::try_from(value).map_err(|_| undescribed(Undescribed::Incomplete))?);
            }
        }
        Ok(Some(Asked { original, offer, headers }))
    }
}
