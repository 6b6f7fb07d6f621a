//! A reader's request, as whoever asks about it describes it.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

use super::rules::readable;
use crate::page::explain;

/// Why a description is not taken for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undescribed {
    /// From somebody who is not trusted to describe requests.
    Untrusted,
    /// Something is missing, there twice, or cannot be read: whoever asks is configured otherwise.
    Incomplete,
    /// Of another host or over another scheme than the publisher's.
    OtherSite,
    /// A spelling of a path that servers read in different ways.
    Ambiguous,
}

impl Undescribed {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Untrusted => "peer-untrusted",
            Self::Incomplete => "request-undescribed",
            Self::OtherSite => "other-site",
            Self::Ambiguous => "path-ambiguous",
        }
    }

    /// The answer: 403 or 400, as problem+json. Nothing is served for what is not understood.
    pub fn answer(self) -> Response<Bytes> {
        let (status, title) = match self {
            Self::Untrusted => (StatusCode::FORBIDDEN, "Only the site's proxy may ask here."),
            Self::Incomplete => (StatusCode::BAD_REQUEST, "The proxy does not say which request it asks about."),
            Self::OtherSite => (StatusCode::BAD_REQUEST, "The request is for another host or scheme than the publisher's."),
            Self::Ambiguous => (StatusCode::BAD_REQUEST, "This spelling of the address is not accepted."),
        };
        explain(status, "bad-request", title, self.code())
    }
}

/// A reader's request: its head, and the path by which rules know it.
pub struct Original {
    pub(crate) head: Parts,
    /// The path with its escapes undone.
    pub(crate) path: String,
}

impl Original {
    /// A method, a path with its query in the reader's spelling, and the reader's headers.
    ///
    /// # Errors
    /// [`Undescribed::Incomplete`] for what is no method, [`Undescribed::Ambiguous`] for a path that servers read in different ways.
    pub fn new(method: &str, target: &str, headers: HeaderMap) -> Result<Self, Undescribed> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Undescribed::Incomplete)?;
        // A fragment is never sent; what looks like one is read by some and dropped by others.
        if target.contains('#') {
            return Err(Undescribed::Ambiguous);
        }
        let path = readable(target.split('?').next().unwrap_or_default()).ok_or(Undescribed::Ambiguous)?;
        let uri: Uri = target.parse().map_err(|_| Undescribed::Ambiguous)?;
        // What is hashed must be what was said, byte for byte.
        if uri.path_and_query().is_none_or(|parsed| parsed.as_str() != target) {
            return Err(Undescribed::Ambiguous);
        }
        let mut head = Request::new(()).into_parts().0;
        (head.method, head.uri, head.headers) = (method, uri, headers);
        Ok(Self { head, path })
    }
}
