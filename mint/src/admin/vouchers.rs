//! Vouchers for the operator, and for the shop that sold one.

use axum::extract::{Path, State};
use axum::response::Response;
use farthing_protocol::amount::Amount;
use farthing_protocol::voucher::VoucherCode;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Json, json};
use crate::Mint;
use crate::http::{Problem, ProblemBody};

/// Vouchers to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VoucherRequest {
    /// What each is worth, in smallest units
    #[schema(value_type = u64)]
    amount: Amount,
    /// How many, 1 to 10,000; 1 if it is not given
    #[serde(default = "one")]
    count: u32,
}

const fn one() -> u32 {
    1
}

/// Vouchers that were made.
#[derive(Serialize, ToSchema)]
struct VoucherAnswer {
    /// What each is worth, in smallest units
    #[schema(value_type = u64)]
    amount: Amount,
    /// What the mint counts in, such as `eur/100000`
    currency: String,
    /// The codes: whoever reads one has the money
    codes: Vec<String>,
}

/// The voucher of a checkout.
#[derive(Serialize, ToSchema)]
struct OrderAnswer {
    /// What was paid, in smallest units
    #[schema(value_type = u64)]
    amount: Amount,
    /// What the mint counts in, such as `eur/100000`
    currency: String,
    /// When the voucher was made, Unix seconds
    time: u64,
    /// What was taken back after a refund or dispute at the payment provider, in smallest units
    #[schema(value_type = u64)]
    reversed: Amount,
    /// The code, for the buyer alone
    code: String,
}

fn text(code: &VoucherCode) -> String {
    code.expose_secret().to_string()
}

/// Makes vouchers and answers their codes. The same key and body again get the same codes, for good, and make nothing.
#[utoipa::path(
    post,
    path = "/admin/v1/vouchers",
    tag = "vouchers",
    request_body = VoucherRequest,
    params(("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters that name this order for good")),
    responses(
        (status = 200, description = "Made, now or before", body = VoucherAnswer),
        (status = 400, description = "`idempotency-key-missing`, `body-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`sold-too-much`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`idempotency-key-reused`, `idempotency-key-invalid`, `voucher-count`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(State(mint): State<Mint>, headers: HeaderMap, Json(request): Json<VoucherRequest>) -> Result<Response, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return Err(Problem::IDEMPOTENCY_KEY_MISSING) };
    // What is no text is no key either.
    let key = key.to_str().unwrap_or_default();
    let codes = mint.order_vouchers(key, request.amount, request.count).await?;
    json(&VoucherAnswer { amount: request.amount, currency: mint.unit().name(), codes: codes.iter().map(text).collect() })
}

/// The voucher of a checkout that the payment provider has told to be paid. The shop asks this for its success page; a token of the scope
/// `orders` is enough.
#[utoipa::path(
    get,
    path = "/admin/v1/orders/{checkout}",
    tag = "vouchers",
    params(("checkout" = String, Path, description = "The id of the checkout session")),
    responses(
        (status = 200, description = "Paid", body = OrderAnswer),
        (status = 404, description = "`order-unknown`: not paid, or not told yet; ask again", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`idempotency-key-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn order(State(mint): State<Mint>, Path(checkout): Path<String>) -> Result<Response, Problem> {
    let order = mint.order(&checkout).await?.ok_or(Problem::ORDER_UNKNOWN)?;
    let code = order.codes.first().map(text).ok_or(Problem::ORDER_UNKNOWN)?;
    json(&OrderAnswer { amount: order.amount, currency: mint.unit().name(), time: order.time, reversed: order.reversed, code })
}
