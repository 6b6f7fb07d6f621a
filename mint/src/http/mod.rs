//! The mint's HTTP interface, as `spec/http.md` says: the same frames in two encodings, problems with stable codes.

mod clients;
mod encoding;
mod forward;
mod frames;
mod monitor;
mod patience;
mod problem;
mod server;
mod spent;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use farthing_protocol::wire::{DepositRequestFrame, IssueRequestFrame, KeysetListFrame, OpenRequestFrame, RefundRequestFrame};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use utoipa::OpenApi;

use crate::config::{Limits, base64url, from_base64url};
use crate::operations::{FrozenDenomination, ListedSegment, OperationError, Operations, SpentIndex};
use clients::Clients;
use encoding::{BodyRoom, Encoding, Framed, encoded};
use forward::Forwarder;
pub(crate) use monitor::{count, monitor};
pub(crate) use problem::Body as ProblemBody;
pub use problem::Problem;
pub(crate) use server::serve;

type Shared = State<Arc<Operations>>;

/// The document of the public interface.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Farthing mint",
        description = "For wallets and verifiers. Every frame is JSON or, as application/vnd.farthing, the bytes of spec/wire.md."
    ),
    paths(
        keysets,
        show_keysets,
        frozen,
        voucher,
        publisher,
        commitments,
        issue,
        deposits,
        refunds,
        restore,
        spent::index,
        spent::segment,
        livez,
        readyz
    ),
    components(schemas(ProblemBody, SpentIndex, ListedSegment, FrozenDenomination))
)]
struct Document;

/// The document of the public interface.
pub fn document() -> utoipa::openapi::OpenApi {
    crate::admin::openapi::finished(Document::openapi(), crate::admin::openapi::Access::Public)
}

async fn openapi() -> Result<Response, Problem> {
    crate::admin::json(&document())
}

/// All routes.
pub(crate) fn router(operations: Arc<Operations>, limits: &Limits) -> Router {
    let (clients, forwarder) = (Clients::new(&limits.client), Forwarder::new());
    let (readers, publishers) = (BodyRoom::new(limits.body_bytes), BodyRoom::new(limits.body_bytes));
    let issue = move |mint: Shared, framed: Framed<IssueRequestFrame>| issue(mint, framed, forwarder);
    let routes = Router::new()
        .route("/v1/keysets", get(keysets).post(show_keysets).layer(Extension(readers.clone())))
        .route("/v1/frozen", get(frozen))
        .route("/v1/vouchers/{key}", get(voucher))
        .route("/v1/commitments", post(commitments).layer(Extension(readers.clone())))
        .route("/v1/issue", post(issue).layer(Extension(readers)))
        .route("/v1/deposits", post(deposits).layer(Extension(publishers.clone())))
        .route("/v1/refunds", post(refunds).layer(Extension(publishers)))
        .route("/v1/restore/{keyset}/{bucket}", get(restore))
        .route("/v1/spent/{keyset}", get(spent::index))
        .route("/v1/spent/{keyset}/{digest}", get(spent::segment))
        .route("/v1/publishers/{name}", get(publisher))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/v1/openapi.json", get(openapi))
        .fallback(|| async { Problem::NOT_FOUND })
        .method_not_allowed_fallback(|| async { Problem::METHOD_NOT_ALLOWED })
        .with_state(operations);
    in_time(routes, limits)
        .layer(middleware::from_fn(move |request: Request, next: Next| clients::limit(clients.clone(), request, next)))
        .layer(middleware::from_fn(count))
}

/// What the other processes of this mint may ask of this one.
pub(crate) fn forward_router(operations: Arc<Operations>, limits: &Limits) -> Router {
    in_time(forward::router(operations), limits)
}

fn in_time(routes: Router, limits: &Limits) -> Router {
    let time = limits.request_time;
    routes.layer(middleware::from_fn(move |request: Request, next: Next| timed(time, request, next)))
}

pub(crate) async fn timed(time: Duration, request: Request<Body>, next: Next) -> Response {
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::REQUEST_TIMEOUT.into_response(),
    }
}

/// All keysets, with the list's head as `ETag`.
#[utoipa::path(
    get,
    path = "/v1/keysets",
    tag = "mint",
    responses(
        (status = 200, description = "The signed list", content((frames::KeysetListFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
        (status = 304, description = "As `If-None-Match` says"),
    )
)]
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

/// Takes a signed list that has more keysets than the mint shows, which may have lost them: from anybody, because the signatures speak for
/// themselves. Answers the list that stands then.
#[utoipa::path(
    post,
    path = "/v1/keysets",
    tag = "mint",
    request_body(content((frames::KeysetListFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
    responses(
        (status = 200, description = "The mint's list now", content((frames::KeysetListFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
        (status = 400, description = "codes of frames, `body-incomplete`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`, `frame-too-long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "codes of keyset lists", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show_keysets(State(mint): Shared, Framed { frame, answer, .. }: Framed<KeysetListFrame>) -> Result<Response, Problem> {
    let list = mint.show_keysets(frame).await?;
    Ok(no_store(encoded(&*list, answer)))
}

/// The frozen denominations: what wallets claim by their sessions, and do not ask for.
#[utoipa::path(
    get,
    path = "/v1/frozen",
    tag = "mint",
    responses((status = 200, description = "All of them, by keyset", body = Vec<FrozenDenomination>))
)]
async fn frozen(State(mint): Shared) -> Result<Response, Problem> {
    let mut response = crate::admin::json(&mint.frozen().await?)?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=10"));
    Ok(response)
}

/// What is left on a voucher.
#[utoipa::path(
    get,
    path = "/v1/vouchers/{key}",
    tag = "mint",
    params(("key" = String, Path, description = "The voucher's public key, base64url")),
    responses(
        (status = 200, description = "The balance", body = frames::VoucherBalance),
        (status = 404, description = "`voucher-unknown`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn voucher(State(mint): Shared, Path(key): Path<String>) -> Result<Response, Problem> {
    let key = from_base64url(&key).ok_or(Problem::from(OperationError::VoucherUnknown))?;
    let balance = mint.voucher_balance(key).await?;
    let body = json!({ "balance": balance.to_string(), "currency": mint.unit().name() });
    Ok(no_store(([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()))
}

/// The key with which a publisher signs what it asks for.
#[utoipa::path(
    get,
    path = "/v1/publishers/{name}",
    tag = "mint",
    params(("name" = String, Path, description = "The domain, with the port if it is not 443")),
    responses(
        (status = 200, description = "The key", body = frames::PublisherKey),
        (status = 404, description = "`not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn publisher(State(mint): Shared, Path(name): Path<String>) -> Result<Response, Problem> {
    let key = mint.publisher_key(&name).await?.ok_or(Problem::NOT_FOUND)?;
    let body = json!({ "publisher": name, "key": base64url(&key) });
    Ok(no_store(([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()))
}

/// Opens a session. The same request again gets the same session while it lives.
#[utoipa::path(
    post,
    path = "/v1/commitments",
    tag = "mint",
    request_body(content((frames::OpenRequestFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
    responses(
        (status = 200, description = "Done", content((frames::OpenResponseFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
        (status = 400, description = "codes of frames, `body-incomplete`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`, `frame-too-long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`voucher-unknown`, `recovery-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`keyset-not-issuing`, `keyset-not-refreshing`, `voucher-insufficient`, `token-spent`, `change-unavailable`, `reclaim-unavailable`, `session-busy`, `denomination-not-frozen`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "codes of issuing and proofs, `issue-amount-mismatch`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn commitments(State(mint): Shared, Framed { frame, answer, .. }: Framed<OpenRequestFrame>) -> Result<Response, Problem> {
    let opened = mint.open(&frame).await?;
    Ok(no_store(encoded(&opened, answer)))
}

/// Answers the challenges of a session. The same request again gets the same response, for good.
#[utoipa::path(
    post,
    path = "/v1/issue",
    tag = "mint",
    request_body(content((frames::IssueRequestFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
    responses(
        (status = 200, description = "Done", content((frames::IssueResponseFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
        (status = 400, description = "codes of frames, `body-incomplete`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`, `frame-too-long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`voucher-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`session-answered`, `keyset-not-issuing`, `keyset-not-refreshing`, `voucher-insufficient`, `token-spent`, `change-unavailable`, `reclaim-unavailable`, `denomination-frozen`, `denomination-not-frozen`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "`session-gone`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "codes of issuing and proofs", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn issue(
    State(mint): Shared,
    Framed { frame, answer, .. }: Framed<IssueRequestFrame>,
    forwarder: Forwarder,
) -> Result<Response, Problem> {
    if let Some(owner) = mint.owner(&frame).await?
        && let Some(response) = forwarder.issue(&mint, owner, &frame, answer).await
    {
        return Ok(response);
    }
    let issued = mint.issue(&frame).await?;
    Ok(no_store(encoded(&issued, answer)))
}

/// Credits payments: one outcome each, in order.
#[utoipa::path(
    post,
    path = "/v1/deposits",
    tag = "mint",
    request_body(content((frames::DepositRequestFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
    responses(
        (status = 200, description = "Done", content((frames::DepositResponseFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
        (status = 400, description = "codes of frames, `body-incomplete`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`, `frame-too-long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "codes of payments and proofs, `too-many-payments`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn deposits(State(mint): Shared, Framed { frame, answer, .. }: Framed<DepositRequestFrame>) -> Result<Response, Problem> {
    let settled = mint.deposit(frame).await?;
    Ok(no_store(encoded(&settled, answer)))
}

/// Gives a payment back to whoever paid it.
#[utoipa::path(
    post,
    path = "/v1/refunds",
    tag = "mint",
    request_body(content((frames::RefundRequestFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
    responses(
        (status = 200, description = "Done", content((frames::RefundResponseFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
        (status = 400, description = "codes of frames, `body-incomplete`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`, `frame-too-long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "codes of refunds", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn refunds(State(mint): Shared, Framed { frame, answer, .. }: Framed<RefundRequestFrame>) -> Result<Response, Problem> {
    let refunded = mint.refund(&frame).await?;
    Ok(no_store(encoded(&refunded, answer)))
}

/// The booked sessions of a bucket, for wallets that have only their seed.
#[utoipa::path(
    get,
    path = "/v1/restore/{keyset}/{bucket}",
    tag = "mint",
    params(("keyset" = u32, Path, description = "The keyset's number"), ("bucket" = u64, Path, description = "The bucket's number, from 0")),
    responses(
        (status = 200, description = "The bucket", content((frames::RestoreBucketFrame = "application/json"), (Vec<u8> = "application/vnd.farthing"))),
        (status = 404, description = "`not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
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

/// Whether the process lives.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the mint would take work now.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, description = "It would", body = String, content_type = "text/plain")))]
async fn readyz(State(mint): Shared) -> Result<&'static str, Problem> {
    mint.ready().await?;
    Ok("ready\n")
}

/// Sessions, responses and outcomes are for one client.
pub(crate) fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
