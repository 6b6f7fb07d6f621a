//! The mint's HTTP interface, as `spec/http.md` says: the same frames in two encodings, problems with stable codes.

mod encoding;
mod problem;
mod server;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use farthing_protocol::wire::{DepositRequestFrame, Frame, IssueRequestFrame, OpenRequestFrame, RefundRequestFrame};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::config::{Limits, base64url, from_base64url};
use crate::operations::{OperationError, Operations};
use encoding::{Encoding, Framed, encoded};
pub(crate) use problem::Body as ProblemBody;
pub use problem::Problem;
pub(crate) use server::serve;

type Shared = State<Arc<Operations>>;

/// All routes.
pub(crate) fn router(operations: Arc<Operations>, limits: &Limits) -> Router {
    let time = limits.request_time;
    Router::new()
        .route("/v1/keysets", get(keysets))
        .route("/v1/vouchers/{key}", get(voucher))
        .route("/v1/commitments", post(commitments).layer(body_limit::<OpenRequestFrame>()))
        .route("/v1/issue", post(issue).layer(body_limit::<IssueRequestFrame>()))
        .route("/v1/deposits", post(deposits).layer(body_limit::<DepositRequestFrame>()))
        .route("/v1/refunds", post(refunds).layer(body_limit::<RefundRequestFrame>()))
        .route("/v1/restore/{keyset}/{bucket}", get(restore))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .fallback(|| async { Problem::NOT_FOUND })
        .method_not_allowed_fallback(|| async { Problem::METHOD_NOT_ALLOWED })
        .layer(middleware::from_fn(move |request: Request, next: Next| timed(time, request, next)))
        .with_state(operations)
}

fn body_limit<F: Frame>() -> DefaultBodyLimit {
    DefaultBodyLimit::max(Encoding::Json.limit::<F>())
}

pub(crate) async fn timed(time: Duration, request: Request<Body>, next: Next) -> Response {
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::REQUEST_TIMEOUT.into_response(),
    }
}

async fn keysets(State(mint): Shared, headers: HeaderMap) -> Response {
    let encoding = if Encoding::accepted(&headers) == Some(Encoding::Binary) { Encoding::Binary } else { Encoding::Json };
    let (head, list) = mint.keysets();
    // The two encodings are two representations, so each has a tag of its own, both led by the head.
    let tag = format!("\"{}{}\"", base64url(&head), if encoding == Encoding::Binary { "" } else { ".json" });
    let unchanged = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { encoded(&*list, encoding) };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

async fn voucher(State(mint): Shared, Path(key): Path<String>) -> Result<Response, Problem> {
    let key = from_base64url(&key).ok_or(Problem::from(OperationError::VoucherUnknown))?;
    let balance = mint.voucher_balance(key).await?;
    let body = json!({ "balance": balance.to_string(), "currency": mint.unit().name() });
    Ok(no_store(([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()))
}

async fn commitments(State(mint): Shared, Framed { frame, answer }: Framed<OpenRequestFrame>) -> Result<Response, Problem> {
    let opened = mint.open(&frame).await?;
    Ok(no_store(encoded(&opened, answer)))
}

async fn issue(State(mint): Shared, Framed { frame, answer }: Framed<IssueRequestFrame>) -> Result<Response, Problem> {
    let issued = mint.issue(&frame).await?;
    Ok(no_store(encoded(&issued, answer)))
}

async fn deposits(State(mint): Shared, Framed { frame, answer }: Framed<DepositRequestFrame>) -> Result<Response, Problem> {
    let settled = mint.deposit(frame).await?;
    Ok(no_store(encoded(&settled, answer)))
}

async fn refunds(State(mint): Shared, Framed { frame, answer }: Framed<RefundRequestFrame>) -> Result<Response, Problem> {
    let refunded = mint.refund(&frame).await?;
    Ok(no_store(encoded(&refunded, answer)))
}

async fn restore(State(mint): Shared, Path((keyset, bucket)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, Problem> {
    // One spelling of a number, so that caches hold a bucket once.
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text).ok_or(Problem::NOT_FOUND);
    let (keyset, bucket) = (number(&keyset)?, number(&bucket)?);
    let keyset = u32::try_from(keyset).map_err(|_| Problem::NOT_FOUND)?;
    let (frame, closed) = mint.bucket(keyset, bucket).await?.ok_or(Problem::NOT_FOUND)?;
    let encoding = if Encoding::accepted(&headers) == Some(Encoding::Binary) { Encoding::Binary } else { Encoding::Json };
    let mut response = encoded(&frame, encoding);
    let headers = response.headers_mut();
    let caching = if closed { "public, max-age=31536000, immutable" } else { "public, max-age=10" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

async fn readyz(State(mint): Shared) -> Result<&'static str, Problem> {
    mint.ready().await?;
    Ok("ready\n")
}

/// Sessions, responses and outcomes are for one client.
pub(crate) fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
