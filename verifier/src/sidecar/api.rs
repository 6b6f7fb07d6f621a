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
use farthing_protocol::amount::Amount;
use http::{HeaderMap, HeaderValue, Response, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::original::Peer;
use super::{Sidecar, answers};
use crate::decision::Decision;
use crate::payment_scheme::{ACCEPT_PAYMENT, MAX_CREDENTIAL};
use crate::site::{Original, Undescribed};

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

fn body(reference: &str, amount: Amount, change: Amount, state: &str, reread: bool) -> Value {
    json!({ "reference": reference, "state": state, "amount": amount.to_string(), "change": change.to_string(), "reread": reread })
}

fn free() -> Response<Body> {
    answers::json(&json!({ "reference": null, "state": "none", "amount": "0", "change": "0", "reread": false }))
}

/// Checks a credential and does nothing else.
pub(super) async fn verify(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    let asked = match sidecar.asked(peer, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    match sidecar.site.check(&asked).await {
        None => free(),
        Some(Ok(found)) => answers::json(&body(&found.reference(), found.amount(), found.change(), found.state_name(), found.is_reread())),
        Some(Err(response)) => response.map(Body::from),
    }
}

/// Decides about a credential: 200 is what may be served.
pub(super) async fn settle(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    let asked = match sidecar.asked(peer, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    match sidecar.site.decide(&asked).await {
        None => free(),
        Some(Decision::Serve(paid)) => {
            let mut body = body(&paid.reference(), paid.amount(), paid.change(), paid.state_name(), paid.is_reread());
            body["receipt"] = paid.receipt().as_ref().and_then(|receipt| receipt.to_str().ok()).into();
            answers::json(&body)
        }
        Some(Decision::Answer(response)) => response.map(Body::from),
    }
}

impl Sidecar {
    /// Reads a question.
    async fn asked(&self, peer: Peer, request: Request) -> Result<Original, Response<Body>> {
        let undescribed = |why: Undescribed| {
            tracing::warn!(code = why.code(), "a question that is not answered");
            why.answer().map(Body::from)
        };
        if !self.trusted_peers.trust(peer) {
            return Err(undescribed(Undescribed::Untrusted));
        }
        let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| undescribed(Undescribed::Incomplete))?;
        // The error would quote what it read.
        let question: Question = serde_json::from_slice(&bytes).map_err(|_| undescribed(Undescribed::Incomplete))?;
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
        Original::new(&question.method, &question.url, headers).map_err(undescribed)
    }
}
