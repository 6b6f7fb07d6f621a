//! Pages of other origins whose scripts may pay here: what a browser must be told before it lets them.
//!
//! ```text
//! Origin on the list     Access-Control-Allow-Origin: that origin, Access-Control-Expose-Headers: WWW-Authenticate, Payment-Receipt
//! preflight              204, and Access-Control-Allow-Headers: Authorization, Accept-Payment
//! any other              nothing: the browser keeps the answer from the page
//! ```
//!
//! No answer names `*`, and none allows cookies: what pays is in a header that the page's script sets itself.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use url::Url;

/// How long a browser may remember a preflight's answer, in seconds.
const PREFLIGHT_AGE: u16 = 600;

/// The origins whose pages may pay here with a script. None if not configured.
///
/// # Security
/// A browser enforces this for its reader, and nobody else does: it is no access control of the publisher's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Arc<[HeaderValue]>);

impl AllowedOrigins {
    /// Origins as browsers send them: `https://reader.example`, with the port if it is not the default, without a path.
    ///
    /// Returns `None` if one is anything else: `*`, `null`, a path, another spelling.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Option<Self> {
        let origin = |text: &T| {
            let url = Url::parse(text.as_ref()).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
            let same = url.origin().ascii_serialization() == text.as_ref();
            same.then(|| HeaderValue::try_from(text.as_ref()).ok()).flatten()
        };
        Some(Self(texts.iter().map(origin).collect::<Option<Vec<_>>>()?.into()))
    }

    /// The request's origin, if it is on the list. One that is named twice is not.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut named = headers.get_all(header::ORIGIN).iter();
        let origin = named.next().filter(|_| named.next().is_none())?;
        self.0.iter().find(|allowed| *allowed == origin).cloned()
    }

    /// The method of the request that a browser asks about beforehand.
    pub(crate) fn preflight(&self, request: &Parts) -> Option<Method> {
        if request.method != Method::OPTIONS || self.of(&request.headers).is_none() {
            return None;
        }
        Method::from_bytes(request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
    }

    /// Answers a preflight from an origin on the list.
    pub(crate) fn allow(&self, headers: &HeaderMap, method: &Method) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let origin = self.of(headers);
        let answer = response.headers_mut();
        if origin.is_some() {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Accept-Payment"));
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_AGE));
            if let Ok(method) = HeaderValue::try_from(method.as_str()) {
                answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
            }
        }
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.mark(answer, origin);
        response
    }

    /// Tells the browser that the page may see this answer, its challenge and its receipt.
    ///
    /// Implements R-VERIF-16.
    pub(crate) fn mark(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        if self.0.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("WWW-Authenticate, Payment-Receipt"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact_and_never_everybody() {
        for text in [
            "*",
            "null",
            "",
            "https://a.example/",
            "https://a.example/path",
            "https://A.example",
            "https://a.example:443",
            "ftp://a.example",
        ] {
            assert_eq!(AllowedOrigins::parse(&[text]), None, "{text}");
        }
        let allowed = AllowedOrigins::parse(&["https://a.example", "http://127.0.0.1:8000"]).unwrap();
        let of = |origins: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(header::ORIGIN, HeaderValue::from_static(origin));
            }
            allowed.of(&headers).is_some()
        };
        assert!(of(&["https://a.example"]) && of(&["http://127.0.0.1:8000"]));
        for others in [&["http://a.example"][..], &["https://a.example.evil"], &["null"], &[], &["https://a.example", "https://a.example"]]
        {
            assert!(!of(others));
        }
    }
}
