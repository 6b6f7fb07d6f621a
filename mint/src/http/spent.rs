//! Filters of spent tokens: an index that verifiers follow, and segments that never change.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::channel::Channel;
use sha2::{Digest, Sha256};

use super::{ProblemBody, Shared};
use crate::config::base64url;
use crate::http::Problem;
use crate::operations::{SegmentBytes, SpentIndex};
use crate::scratch::ScratchFile;

/// It was replaced by a longer one, or never was.
const SEGMENT_UNKNOWN: Problem = Problem::new(StatusCode::NOT_FOUND, "segment-unknown", "no such segment: fetch the index");

/// The segments of a keyset's spent tokens.
#[utoipa::path(
    get,
    path = "/v1/spent/{keyset}",
    tag = "mint",
    params(("keyset" = u32, Path, description = "The keyset's number")),
    responses(
        (status = 200, description = "The index, with an `ETag`", body = SpentIndex),
        (status = 304, description = "As `If-None-Match` says"),
        (status = 404, description = "`not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn index(State(mint): Shared, Path(keyset): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let index = mint.spent_index(number(&keyset)?).ok_or(Problem::NOT_FOUND)?;
    // Numbers and short texts always serialise.
    let body = serde_json::to_vec(&index).unwrap_or_default();
    let tag = format!("\"{}\"", base64url(&Sha256::digest(&body)));
    let unchanged = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=10"));
    Ok(response)
}

/// A segment, by its digest.
#[utoipa::path(
    get,
    path = "/v1/spent/{keyset}/{digest}",
    tag = "mint",
    params(
        ("keyset" = u32, Path, description = "The keyset's number"),
        ("digest" = String, Path, description = "SHA-256 of the segment, base64url")
    ),
    responses(
        (status = 200, description = "The bytes of spec/wire.md, section 5", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "`not-found`, `segment-unknown`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn segment(State(mint): Shared, Path((keyset, digest)): Path<(String, String)>) -> Result<Response, Problem> {
    let bytes = mint.spent_segment(number(&keyset)?, &digest).ok_or(SEGMENT_UNKNOWN)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    let bytes = match bytes {
        SegmentBytes::Short(bytes) => return Ok((headers, bytes).into_response()),
        SegmentBytes::Long(bytes) => bytes,
    };
    let length = [(header::CONTENT_LENGTH, bytes.length())];
    Ok((headers, length, read_out(bytes)).into_response())
}

/// Reads a file as fast as the client takes it. A disk that fails breaks the connection, and what came is no segment.
fn read_out(file: ScratchFile) -> Body {
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
    tokio::spawn(async move {
        let mut at = 0;
        while at < file.length() {
            match file.read(at).await {
                Ok(piece) => {
                    at += piece.len() as u64;
                    // The client has gone.
                    let Ok(()) = sender.send_data(piece).await else { return };
                }
                Err(error) => return sender.abort(error),
            }
        }
    });
    Body::new(body)
}

/// One spelling of a number, so that caches hold a thing once.
fn number(text: &str) -> Result<u64, Problem> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text).ok_or(Problem::NOT_FOUND)
}
