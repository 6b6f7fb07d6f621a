//! Answers to proxies: 200 with every trust header, the canonical 402, or a reason why nothing is decided.

use axum::body::Body;
use farthing_protocol::amount::Amount;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::original::Undescribed;
use crate::error::{Problem, Refused};
use crate::payment_scheme::receipt;
use crate::verifier::Paid;

/// Answers that the request may pass. Every trust header is there, also on a free request: a reader's own copies never survive.
pub(super) fn pass(paid: Option<&Paid>, now: u64) -> Response<Body> {
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
        if let Some(receipt) = receipt(paid.reference(), now, paid.change().to_string(), paid.state_name()) {
            headers.insert("payment-receipt", receipt);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    response
}

fn problem(status: StatusCode, kind: &str, title: &str, code: &str) -> Response<Body> {
    let kind = format!("https://paymentauth.org/problems/{kind}");
    let body = json!({ "type": kind, "title": title, "status": status.as_u16(), "code": code });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    set(response.headers_mut(), header::CONTENT_TYPE, "application/problem+json");
    set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    response
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Answers a request that is not described, or not by somebody who may.
pub(super) fn undescribed(why: Undescribed) -> Response<Body> {
    let (status, title) = match why {
        Undescribed::Untrusted => (StatusCode::FORBIDDEN, "Only the site's proxy may ask here."),
        Undescribed::Incomplete => (StatusCode::BAD_REQUEST, "The proxy does not say which request it asks about."),
        Undescribed::OtherSite => (StatusCode::BAD_REQUEST, "The request is for another host or scheme than the publisher's."),
        Undescribed::Ambiguous => (StatusCode::BAD_REQUEST, "This spelling of the address is not accepted."),
    };
    problem(status, "bad-request", title, why.code())
}

/// Answers that nothing can be decided now.
pub(super) fn undecided(refused: &Refused) -> Response<Body> {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, Problem::Internal.name(), Problem::Internal.title(), refused.code());
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
    problem(status, kind, title, code)
}

/// Answers a health check.
pub(super) fn health(well: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(if well { "ok\n" } else { "unavailable\n" }));
    *response.status_mut() = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    response
}
