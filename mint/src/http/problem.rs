//! Problem answers: the one place where errors become status codes.

use axum::response::{IntoResponse, Response};
use farthing_protocol::error::{FrameError, IssueError};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::operations::OperationError;

/// What a client is told when it does not get what it asked for. Holds nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    retry_after: Option<u64>,
}

/// The code of the problem that an answer is, for the metrics.
#[derive(Clone, Copy)]
pub(super) struct Code(pub(super) &'static str);

/// A problem as `application/problem+json` (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body {
    /// `urn:farthing:problem:` and the code.
    r#type: String,
    /// For people.
    title: &'static str,
    /// The HTTP status.
    #[schema(value_type = u16)]
    status: u16,
    /// Stable, for programs.
    code: &'static str,
}

impl Problem {
    pub(crate) const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, retry_after: None }
    }

    pub(crate) const fn retry(status: StatusCode, code: &'static str, title: &'static str, seconds: u64) -> Self {
        Self { status, code, title, retry_after: Some(seconds) }
    }

    /// The body is longer than this request may be.
    pub const BODY_TOO_LARGE: Self = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "the body is too large");
    /// The body is neither of the two encodings.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "the body must be application/vnd.farthing or application/json",
    );
    /// The request took too long.
    pub const REQUEST_TIMEOUT: Self = Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "the request took too long");
    /// Nothing is here.
    pub const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "not-found", "nothing is here");
    /// Not with this method.
    pub const METHOD_NOT_ALLOWED: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this resource does not take that method");
    /// The body did not arrive whole.
    pub const BODY_INCOMPLETE: Self = Self::new(StatusCode::BAD_REQUEST, "body-incomplete", "the body did not arrive whole");

    /// One client asks too often.
    pub(super) const fn too_many_requests(seconds: u64) -> Self {
        Self::retry(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "you ask too often", seconds)
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<FrameError> for Problem {
    fn from(error: FrameError) -> Self {
        let status = if error == FrameError::TooLong { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        Self::new(status, error.code(), "the body is not the frame it should be")
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        use OperationError as E;
        use StatusCode as S;
        match error {
            E::Issue(IssueError::AmountMismatch) => {
                Self::new(S::UNPROCESSABLE_ENTITY, "issue-amount-mismatch", "the outputs are not worth what the funding is")
            }
            E::Issue(error) => Self::new(S::UNPROCESSABLE_ENTITY, error.code(), "the request is not valid"),
            E::Proof(error) => Self::new(S::UNPROCESSABLE_ENTITY, error.code(), "a token or proof does not hold"),
            E::Refund(error) => Self::new(S::UNPROCESSABLE_ENTITY, error.code(), "the refund is not valid"),
            E::Keyset(error) => Self::new(S::UNPROCESSABLE_ENTITY, error.code(), "the keyset list is not one of this mint's"),
            E::TooManyPayments => Self::new(S::UNPROCESSABLE_ENTITY, "too-many-payments", "a deposit holds at most 256 payments"),
            E::KeysetNotIssuing => Self::new(S::CONFLICT, "keyset-not-issuing", "the keyset does not issue now: fetch the list"),
            E::KeysetNotRefreshing => Self::new(S::CONFLICT, "keyset-not-refreshing", "a token's keyset is past its refresh window"),
            E::DenominationFrozen => {
                Self::new(S::CONFLICT, "denomination-frozen", "a denomination is frozen: claim its tokens by their session")
            }
            E::DenominationNotFrozen => {
                Self::new(S::CONFLICT, "denomination-not-frozen", "a denomination is not frozen: refresh its tokens")
            }
            E::RecoveryUnknown => Self::new(S::NOT_FOUND, "recovery-unknown", "no such session was booked"),
            E::VoucherUnknown => Self::new(S::NOT_FOUND, "voucher-unknown", "no such voucher"),
            E::VoucherInsufficient => Self::new(S::CONFLICT, "voucher-insufficient", "the voucher's balance is below the amount"),
            E::TokenSpent => Self::new(S::CONFLICT, "token-spent", "a token to be refreshed was spent before"),
            E::ChangeUnavailable => {
                Self::new(S::CONFLICT, "change-unavailable", "the payment is not settled here, or its change was taken")
            }
            E::ReclaimUnavailable => Self::new(S::CONFLICT, "reclaim-unavailable", "the payment is not refunded here, or was reclaimed"),
            E::SessionBusy(seconds) => Self::retry(S::CONFLICT, "session-busy", "another session of the same funding is open", seconds),
            E::SessionGone => Self::new(S::GONE, "session-gone", "the session is cancelled, nothing was booked: open another"),
            E::SessionAnswered => Self::new(S::CONFLICT, "session-answered", "the session has answered other challenges"),
            E::TooManySessions => Self::retry(S::SERVICE_UNAVAILABLE, "too-many-sessions", "too many sessions are open", 5),
            E::Overloaded => Self::retry(S::SERVICE_UNAVAILABLE, "overloaded", "too many requests at once", 1),
            E::Unavailable => {
                Self::retry(S::SERVICE_UNAVAILABLE, "unavailable", "nothing is known to be booked: repeat the same request", 1)
            }
            E::LedgerUnwritable => {
                Self::retry(S::SERVICE_UNAVAILABLE, "ledger-unwritable", "the ledger cannot be written: its disk is full or fails", 10)
            }
            E::Resyncing => {
                Self::retry(S::SERVICE_UNAVAILABLE, "resyncing", "the ledger catches up with publishers: only deposits are booked", 60)
            }
            E::LedgerBehind => {
                Self::retry(S::SERVICE_UNAVAILABLE, "ledger-behind", "the ledger was restored from a backup: nothing is booked", 60)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: format!("urn:farthing:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            code: self.code,
        };
        // Four plain fields always serialise.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, bytes).into_response();
        response.extensions_mut().insert(Code(self.code));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
