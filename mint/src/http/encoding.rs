//! The two encodings of a frame: bytes for machines, JSON for people.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use farthing_protocol::error::FrameError;
use farthing_protocol::wire::Frame;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Problem;

pub(super) const BINARY: &str = "application/vnd.farthing";
const JSON: &str = "application/json";

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Binary,
    Json,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Binary => BINARY,
            Self::Json => JSON,
        }
    }

    /// JSON says the same as a frame in at most about twice its bytes.
    pub(super) const fn limit<F: Frame>(self) -> usize {
        match self {
            Self::Binary => F::LIMIT,
            Self::Json => 2 * F::LIMIT,
        }
    }

    fn from_type(text: &str) -> Option<Self> {
        // Parameters such as charset or q change nothing here.
        let plain = text.split(';').next().unwrap_or_default().trim();
        [Self::Binary, Self::Json].into_iter().find(|encoding| plain.eq_ignore_ascii_case(encoding.name()))
    }

    /// The first encoding that `Accept` names.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).find_map(Self::from_type)
    }

    fn of_body(headers: &HeaderMap) -> Option<Self> {
        Self::from_type(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
    }
}

/// A frame from a request's body, and how its answer is to be encoded.
pub(super) struct Framed<F> {
    pub(super) frame: F,
    pub(super) answer: Encoding,
}

impl<F: Frame, S: Send + Sync> FromRequest<S> for Framed<F> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let encoding = Encoding::of_body(request.headers()).ok_or(Problem::UNSUPPORTED_MEDIA_TYPE)?;
        let answer = Encoding::accepted(request.headers()).unwrap_or(encoding);
        // Said before the body is sent, so that the client hears it.
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > encoding.limit::<F>()) {
            return Err(Problem::BODY_TOO_LARGE);
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            let too_large = rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE;
            if too_large { Problem::BODY_TOO_LARGE } else { Problem::BODY_INCOMPLETE }
        })?;
        let frame = match encoding {
            _ if body.len() > encoding.limit::<F>() => return Err(Problem::BODY_TOO_LARGE),
            Encoding::Binary => F::from_bytes(&body)?,
            // The text of a parser's error may quote the input, so it goes nowhere.
            Encoding::Json => {
                serde_json::from_slice(&body).map_err(|error| if error.is_eof() { FrameError::Truncated } else { FrameError::Malformed })?
            }
        };
        Ok(Self { frame, answer })
    }
}

/// An answer with this frame.
pub(super) fn encoded<F: Frame>(frame: &F, encoding: Encoding) -> Response {
    let bytes = match encoding {
        Encoding::Binary => frame.to_bytes(),
        Encoding::Json => match serde_json::to_vec(frame) {
            Ok(bytes) => bytes,
            // Frames hold numbers, strings and lists only, which always serialise.
            Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
    };
    let mut response = bytes.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.name()));
    response
}
