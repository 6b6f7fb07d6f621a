//! JSON in and out.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Query, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::Problem;

/// A JSON body. What an error of the parser says may quote a secret, so it goes nowhere.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let plain = media.and_then(|media| media.split(';').next()).unwrap_or_default().trim();
        if !plain.eq_ignore_ascii_case("application/json") {
            return Err(Problem::NOT_JSON);
        }
        let body = raw(request, state).await?;
        serde_json::from_slice(&body).map(Self).map_err(|_| Problem::BODY_MALFORMED)
    }
}

/// The bytes of a body, up to the router's limit.
pub(crate) async fn raw<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let too_large = rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE;
        if too_large { Problem::BODY_TOO_LARGE } else { Problem::BODY_INCOMPLETE }
    })
}

/// A query, if it holds nothing else.
pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|_| Problem::QUERY_MALFORMED)
}

/// An answer in JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Response, Problem> {
    match serde_json::to_vec(value) {
        Ok(bytes) => Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response()),
        Err(_) => Err(Problem::from(crate::MintError::Damaged("an answer"))),
    }
}
