//! The two encodings of a frame: bytes for machines, JSON for people.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use farthing_protocol::error::FrameError;
use farthing_protocol::wire::Frame;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;
use crate::operations::OperationError;

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

/// Room for the bodies of requests of one kind, together.
///
/// Implements R-SERV-01.
#[derive(Clone)]
pub(super) struct BodyRoom(Arc<Semaphore>);

impl BodyRoom {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Room for so many bytes that have arrived.
    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = u32::try_from(bytes).map_err(|_| Problem::BODY_TOO_LARGE)?;
        self.0.clone().try_acquire_many_owned(bytes).map_err(|_| OperationError::Overloaded.into())
    }
}

/// A frame from a request's body, and how its answer is to be encoded.
pub(super) struct Framed<F> {
    pub(super) frame: F,
    pub(super) answer: Encoding,
    /// Held for as long as the frame.
    _room: Option<OwnedSemaphorePermit>,
}

impl<F: Frame, S: Send + Sync> FromRequest<S> for Framed<F> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let encoding = Encoding::of_body(request.headers()).ok_or(Problem::UNSUPPORTED_MEDIA_TYPE)?;
        let answer = Encoding::accepted(request.headers()).unwrap_or(encoding);
        let limit = encoding.limit::<F>();
        // Said before the body is sent, so that the client hears it.
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(Problem::BODY_TOO_LARGE);
        }
        let room = request.extensions().get::<BodyRoom>().cloned();
        let (body, room) = read(request.into_body(), limit, room).await?;
        let frame = match encoding {
            Encoding::Binary => F::from_bytes(&body)?,
            // The text of a parser's error may quote the input, so it goes nowhere.
            Encoding::Json => {
                serde_json::from_slice(&body).map_err(|error| if error.is_eof() { FrameError::Truncated } else { FrameError::Malformed })?
            }
        };
        Ok(Self { frame, answer, _room: room })
    }
}

/// The whole body. Room is taken for what has arrived, not for what was announced, so that only what was sent is held.
async fn read(mut body: Body, limit: usize, room: Option<BodyRoom>) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    let (mut bytes, mut held) = (Vec::new(), None::<OwnedSemaphorePermit>);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Problem::BODY_INCOMPLETE)?.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(Problem::BODY_TOO_LARGE);
        }
        if let Some(room) = &room {
            let more = room.take(data.len())?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, held))
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
