//! Between the processes of one mint: a request for a session that another process has open is passed on to it, once.
//!
//! The listener is the processes' own. What arrives there is answered from this process's memory and the ledger and never passed on
//! again, and only if it carries a seal that nobody can make who has not the mint's keys.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use farthing_protocol::wire::{Frame, IssueRequestFrame, IssueResponseFrame};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::encoding::{BINARY, Encoding, encoded};
use super::{Problem, no_store};
use crate::config::{base64url, from_base64url};
use crate::operations::{Operations, Owner};

const PATH: &str = "/forward/issue";
const SEAL: HeaderName = HeaderName::from_static("farthing-seal");

/// How long the owner of a session may take, and how long it may take to reach it.
const PATIENCE: Duration = Duration::from_secs(8);
const CONNECT: Duration = Duration::from_secs(2);

/// The most bytes of an answer that is no frame.
const PROBLEM: usize = 4_096;

/// Passes requests on.
#[derive(Clone)]
pub(super) struct Forwarder(Client<HttpConnector, Full<Bytes>>);

impl Forwarder {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(PATIENCE).build(connector))
    }

    /// The owner's answer; `None` if it gave none that can be told from a stranger's.
    pub(super) async fn issue(&self, mint: &Operations, owner: Owner, frame: &IssueRequestFrame, answer: Encoding) -> Option<Response> {
        let body = frame.to_bytes();
        let request = Request::post(format!("http://{}{PATH}", owner.address))
            .header(header::CONTENT_TYPE, BINARY)
            .header(SEAL, base64url(&mint.forward_seal(owner.instance, &body)))
            .body(Full::from(body));
        let answered = tokio::time::timeout(PATIENCE, self.ask(request.ok()?, answer)).await.ok().flatten();
        if answered.is_none() {
            tracing::warn!("the process that has a session open does not answer: the ledger decides");
        }
        answered
    }

    async fn ask(&self, request: Request<Full<Bytes>>, answer: Encoding) -> Option<Response> {
        let (head, body) = self.0.request(request).await.ok()?.into_parts();
        let body = Limited::new(body, IssueResponseFrame::LIMIT.max(PROBLEM)).collect().await.ok()?.to_bytes();
        let media = head.headers.get(header::CONTENT_TYPE)?;
        if head.status == StatusCode::OK && media == BINARY {
            return Some(no_store(encoded(&IssueResponseFrame::from_bytes(&body).ok()?, answer)));
        }
        if head.status == StatusCode::OK || media != "application/problem+json" {
            return None;
        }
        let mut response = (head.status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = head.headers.get(header::RETRY_AFTER) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.clone());
        }
        Some(no_store(response))
    }
}

/// What a process answers to the others.
pub(crate) fn router(operations: Arc<Operations>) -> Router {
    Router::new().route(PATH, post(issue).layer(DefaultBodyLimit::max(IssueRequestFrame::LIMIT))).with_state(operations)
}

async fn issue(State(mint): super::Shared, headers: HeaderMap, body: Bytes) -> Response {
    let seal = headers.get(SEAL).and_then(|seal| from_base64url(seal.to_str().ok()?));
    // No problem body: so the sender tells a process that is not the owner from the owner's answers.
    if !seal.is_some_and(|seal| mint.forwarded_here(&body, &seal)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let frame = match IssueRequestFrame::from_bytes(&body) {
        Ok(frame) => frame,
        Err(error) => return Problem::from(error).into_response(),
    };
    match mint.issue(&frame).await {
        Ok(issued) => encoded(&issued, Encoding::Binary),
        Err(error) => Problem::from(error).into_response(),
    }
}
