//! Metrics and health, on a listener of their own.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::header;
use metrics::{counter, histogram};

use super::problem::Code;
use super::{Problem, Shared, livez, readyz};
use crate::metrics::{Metrics, REQUEST_SECONDS, REQUESTS};
use crate::operations::Operations;

/// The routes of the metrics listener.
pub(crate) fn monitor(operations: Arc<Operations>, metrics: Metrics) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(|| async { Problem::NOT_FOUND })
        .method_not_allowed_fallback(|| async { Problem::METHOD_NOT_ALLOWED })
        .layer(Extension(metrics))
        .with_state(operations)
}

async fn render(State(mint): Shared, Extension(metrics): Extension<Metrics>) -> Response {
    mint.observe().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
}

/// Counts a request under its route's template and what became of it; never its path.
pub(crate) async fn count(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = matched.unwrap_or_else(|| "other".into());
    let begun = std::time::Instant::now();
    let response = next.run(request).await;
    let outcome = response.extensions().get::<Code>().map_or("ok", |code| code.0);
    let time = begun.elapsed();
    tracing::debug!(route, outcome, milliseconds = time.as_millis(), "answered");
    counter!(REQUESTS, "route" => route.clone(), "outcome" => outcome).increment(1);
    histogram!(REQUEST_SECONDS, "route" => route).record(time);
    response
}
