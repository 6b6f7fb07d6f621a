//! Answers to proxies: 200 with every trust header, the canonical 402, or a reason why nothing is decided.

use axum::body::Body;
use farthing_protocol::amount::Amount;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::decision::Paid;
use crate::error::{Problem, Refused};
use crate::page::explain;

/// Answers that the request may pass. Every trust header is there, also on a free request: a reader's own copies never survive.
pub(super) fn pass(paid: Option<&Paid>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    let (verified, state, reread) = match paid {
        Some(paid) => ("true", paid.state_name(), if paid.is_reread() { "true" } else { "false" }),
        None => ("false", "none", "false"),
    };
    headers.insert("x-payment-verified", HeaderValue::from_static(verified));
    headers.insert("x-payment-state", HeaderValue::from_static(state));
    headers.insert("x-payment-reread", HeaderValue::from_static(reread));
    headers.insert("x-payment-amount", HeaderValue::from(paid.map_or(0, |paid| paid.amount().units())));
    let reference = paid.and_then(|paid| HeaderValue::try_from(paid.reference()).ok());
    headers.insert("x-payment-reference", reference.unwrap_or(HeaderValue::from_static("none")));
    if let Some(paid) = paid {
        if let Some(receipt) = paid.receipt() {
            headers.insert("payment-receipt", receipt);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    response
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Answers that nothing can be decided now.
pub(super) fn undecided(refused: &Refused) -> Response<Body> {
    let problem = refused.problem();
    let mut response = explain(StatusCode::SERVICE_UNAVAILABLE, problem.name(), problem.title(), refused.code()).map(Body::from);
    if let Some(seconds) = refused.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Answers with an object.
pub(super) fn json(body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    set(response.headers_mut(), header::CONTENT_TYPE, "application/json");
    set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    response
}

/// Answers the operator that a payment was given back.
pub(super) fn refunded(payment: &str, amount: Amount) -> Response<Body> {
    json(&json!({ "payment": payment, "amount": amount.to_string(), "state": "refunded" }))
}

/// Answers the operator why nothing was done.
pub(super) fn failed(status: StatusCode, title: &str, code: &str) -> Response<Body> {
    let kind = if status.is_server_error() { Problem::Internal.name() } else { "bad-request" };
    explain(status, kind, title, code).map(Body::from)
}

/// Answers a health check.
pub(super) fn health(well: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(if well { "ok\n" } else { "unavailable\n" }));
    *response.status_mut() = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    response
}
