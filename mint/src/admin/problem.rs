//! What an operator's errors are over HTTP.

use http::StatusCode as S;

use crate::MintError;
use crate::http::Problem;
use crate::operations::OperationError;

impl Problem {
    /// No token, or one that is not known.
    pub const UNAUTHORIZED: Self = Self::new(S::UNAUTHORIZED, "unauthorized", "a bearer token of this mint is needed");
    /// The token is good for less.
    pub const FORBIDDEN: Self = Self::new(S::FORBIDDEN, "forbidden", "the token is not good for this");
    /// The body is not JSON.
    pub const NOT_JSON: Self = Self::new(S::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "the body must be application/json");
    /// The body is JSON, but not what is wanted here.
    pub const BODY_MALFORMED: Self =
        Self::new(S::BAD_REQUEST, "body-malformed", "the body is not the JSON object that this takes: see openapi.json");
    /// The query has something unknown, or a day that is none.
    pub const QUERY_MALFORMED: Self = Self::new(S::BAD_REQUEST, "query-malformed", "the query is not what this takes: see openapi.json");
    /// A request that makes money must say which one it is.
    pub const IDEMPOTENCY_KEY_MISSING: Self =
        Self::new(S::BAD_REQUEST, "idempotency-key-missing", "the header Idempotency-Key is needed, once");
    /// No such publisher.
    pub const PUBLISHER_UNKNOWN: Self = Self::new(S::NOT_FOUND, "publisher-unknown", "no such publisher");
    /// No such order.
    pub const ORDER_UNKNOWN: Self = Self::new(S::NOT_FOUND, "order-unknown", "no checkout of that name was told to be paid");
    /// No such payout run.
    pub const PAYOUT_UNKNOWN: Self = Self::new(S::NOT_FOUND, "payout-unknown", "no such payout run");
    /// Not a public key.
    pub const KEY_INVALID: Self = Self::new(S::UNPROCESSABLE_ENTITY, "key-invalid", "not a public key");
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        use MintError as E;
        const UNPROCESSABLE: S = S::UNPROCESSABLE_ENTITY;
        match error {
            E::Ledger(_) => Self::retry(S::SERVICE_UNAVAILABLE, "unavailable", "nothing is known to be booked: repeat the same request", 1),
            E::ClockJumped => {
                Self::retry(S::SERVICE_UNAVAILABLE, "clock-jumped", "the clock disagrees with the ledger: nothing irreversible is done", 60)
            }
            E::OrderReference => {
                Self::new(UNPROCESSABLE, "idempotency-key-invalid", "an idempotency key or order has 1 to 255 visible ASCII characters")
            }
            E::OrderDiffers => Self::new(
                UNPROCESSABLE,
                "idempotency-key-reused",
                "the idempotency key was used for another amount or count: nothing was made",
            ),
            E::VoucherCount => {
                Self::new(UNPROCESSABLE, "voucher-count", "vouchers: 1 to 10,000 at a time, each worth at least the smallest unit")
            }
            E::SoldTooMuch => Self::new(S::CONFLICT, "sold-too-much", "the mint cannot count that much money"),
            E::PublisherName => {
                Self::new(UNPROCESSABLE, "publisher-name-invalid", "a publisher's name is its host, with the port if it is not 443")
            }
            E::BankAccount(why) => Self::new(UNPROCESSABLE, "bank-account-invalid", why),
            E::Adoption(error) => Self::new(UNPROCESSABLE, error.code(), "the payout run is not booked again"),
            E::LedgerBehind => OperationError::LedgerBehind.into(),
            E::Resyncing => OperationError::Resyncing.into(),
            E::Restored => Self::retry(
                S::SERVICE_UNAVAILABLE,
                "ledger-restored",
                "the ledger was restored from a backup and is not resynchronised: no announcement, no payout",
                60,
            ),
            E::Payout(why) => Self::new(UNPROCESSABLE, "payout-invalid", why),
            E::Day => Self::QUERY_MALFORMED,
            E::NoSuchKeyset => Self::new(S::NOT_FOUND, "keyset-not-found", "no such keyset"),
            E::AlreadyRotated => Self::new(S::CONFLICT, "keyset-already-announced", "a newer keyset is announced and does not issue yet"),
            E::ListChanged => Self::new(S::CONFLICT, "keyset-list-changed", "the keyset list has changed meanwhile: nothing was announced"),
            E::NoRootKey => {
                Self::new(S::CONFLICT, "root-key-elsewhere", "the root key is kept elsewhere: prepare, sign there, and publish")
            }
            E::Announcement(_) => Self::new(
                UNPROCESSABLE,
                "announcement-refused",
                "the announcement does not add one keyset of this mint's keys to its list, a day ahead",
            ),
            E::Keyset(error) => Self::new(UNPROCESSABLE, error.code(), "the keyset list breaks a rule"),
            E::KeysWithheld => Self::new(S::CONFLICT, "keys-withheld", "the mint was opened without its keys"),
            other => {
                // Texts of these name kinds of files and what is wrong with them, nothing else.
                tracing::error!(error = %other, "an operator's request failed");
                Self::new(S::INTERNAL_SERVER_ERROR, "internal-error", "the mint could not do it: see its log")
            }
        }
    }
}
