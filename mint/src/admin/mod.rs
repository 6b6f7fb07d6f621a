//! The operator's interface: what the command line does, over HTTP on a listener of its own, behind bearer tokens (`spec/http.md`, section 4).
//!
//! Nothing here is for the public: bind it to the machine itself or to a private network. Whoever has a token can make money.

mod bearer;
mod body;
mod keysets;
pub(crate) mod openapi;
mod payouts;
mod problem;
mod publishers;
mod vouchers;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Mint;
use crate::http::{Problem, count, no_store, timed};
pub use bearer::Tokens;
pub(crate) use body::{json, raw};

/// The longest body, in bytes: a signed keyset list is the longest thing an operator sends.
const LONGEST_BODY: usize = 1 << 20;

/// How long a request may take: an audit reads the whole ledger.
const REQUEST_TIME: Duration = Duration::from_mins(5);

/// All routes of the admin API. Serve them with [`Mint::serve_beside`].
///
/// Implements R-ADMIN-01.
///
/// # Security
/// The mint should be open with its keys, or what needs them is refused.
pub fn router(mint: Mint, tokens: Tokens) -> Router {
    let (router, document) = routes().split_for_parts();
    let document = Arc::new(openapi::finished(document, openapi::Access::Bearer));
    router
        .route("/admin/v1/openapi.json", get(move || async move { json(&*document) }))
        .fallback(|| async { Problem::NOT_FOUND })
        .method_not_allowed_fallback(|| async { Problem::METHOD_NOT_ALLOWED })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        // Outermost, so that nothing is told to strangers, not even what is here.
        .layer(middleware::from_fn_with_state(Arc::new(tokens), authorised))
        .layer(middleware::from_fn(|request: Request, next: Next| timed(REQUEST_TIME, request, next)))
        .layer(middleware::from_fn(count))
        .with_state(mint)
}

/// The document of the admin API.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::finished(routes().split_for_parts().1, openapi::Access::Bearer)
}

fn routes() -> OpenApiRouter<Mint> {
    OpenApiRouter::with_openapi(openapi::admin())
        .routes(routes!(vouchers::create))
        .routes(routes!(vouchers::order))
        .routes(routes!(publishers::list, publishers::add))
        .routes(routes!(publishers::show))
        .routes(routes!(publishers::set_key))
        .routes(routes!(publishers::set_payee))
        .routes(routes!(publishers::statement))
        .routes(routes!(payouts::list, payouts::run))
        .routes(routes!(payouts::show))
        .routes(routes!(keysets::list, keysets::rotate))
        .routes(routes!(keysets::prepare))
        .routes(routes!(keysets::publish))
        .routes(routes!(keysets::retire))
        .routes(routes!(keysets::freeze))
        .routes(routes!(status))
        .routes(routes!(audit))
        .routes(routes!(clock))
        .routes(routes!(accept_clock))
}

async fn authorised(State(tokens): State<Arc<Tokens>>, request: Request, next: Next) -> Response {
    let answer = match tokens.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            let mut answer = problem.into_response();
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            answer
        }
    };
    no_store(answer)
}

/// The balance sheet.
#[utoipa::path(get, path = "/admin/v1/status", tag = "books", responses((status = 200, description = "The sums at one moment", body = crate::Status)))]
async fn status(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&mint.status().await?)
}

/// Recomputes everything from the journal and the tables. `differences` is empty if all is well.
#[utoipa::path(get, path = "/admin/v1/audit", tag = "books", responses((status = 200, description = "What was found", body = crate::Audit)))]
async fn audit(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&mint.audit().await?)
}

/// The time that the ledger has recorded, and this machine's.
#[utoipa::path(get, path = "/admin/v1/clock", tag = "clock", responses((status = 200, description = "Both clocks", body = crate::ClockView)))]
async fn clock(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&mint.clock().await?)
}

/// Says that this machine's clock is right, whatever the ledger has recorded.
#[utoipa::path(post, path = "/admin/v1/clock/accept", tag = "clock", responses((status = 200, description = "Both clocks", body = crate::ClockView)))]
async fn accept_clock(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&mint.accept_clock().await?)
}
