//! The voucher shop's hook: a payment provider tells of paid checkouts, and each becomes one voucher (`spec/http.md`, section 5).
//!
//! The provider must reach it from outside, so it has a listener of its own, on which nothing else is served. Signatures say who speaks; the
//! code never goes to the provider: the shop asks the admin API for it.

mod event;
mod signature;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::openapi::{Access, finished};
use crate::http::{Problem, ProblemBody, count, no_store, timed};
use crate::{CheckoutSold, Mint, MintError};
use event::{Event, NoEvent, Told};
use signature::Forged;
pub use signature::ShopSecrets;

/// The longest event, in bytes: they have some kilobytes.
const LONGEST_EVENT: usize = 256 << 10;

impl Problem {
    /// Nobody who knows the endpoint's secret said this.
    const SIGNATURE_INVALID: Self = Self::new(StatusCode::BAD_REQUEST, "signature-invalid", "the signature is not the provider's");
    /// Said too long ago, or the clocks differ.
    const SIGNATURE_STALE: Self =
        Self::new(StatusCode::BAD_REQUEST, "signature-stale", "the signature is more than five minutes old, or of the future");
    /// The provider said something that cannot be read.
    const EVENT_MALFORMED: Self = Self::new(StatusCode::BAD_REQUEST, "event-malformed", "not an event as this reads them");
}

/// What the shop's hook needs.
pub struct Shop {
    /// The mint.
    pub mint: Mint,
    /// What the provider signs with.
    pub secrets: ShopSecrets,
    /// Whether events of the provider's test mode, for which nobody has paid, make vouchers too.
    pub test_events: bool,
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
struct EventAnswer {
    /// `sold`, `sold-earlier`, `reversed`, `ignored`, or `refused`
    outcome: &'static str,
    /// Why it was refused: `test-event`, `zero-amount`, `other-currency`, `order-differs`
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Farthing mint, voucher shop", description = "For a payment provider's webhooks."),
    components(schemas(ProblemBody))
)]
struct Document;

/// All routes of the shop's hook. Serve them with [`Mint::serve_beside`].
pub fn router(shop: Shop) -> Router {
    let time = shop.mint.limits().request_time;
    let (router, document) = routes().split_for_parts();
    let document = Arc::new(finished(document, Access::Signed));
    router
        .route("/shop/v1/openapi.json", get(move || async move { crate::admin::json(&*document) }))
        .fallback(|| async { Problem::NOT_FOUND })
        .method_not_allowed_fallback(|| async { Problem::METHOD_NOT_ALLOWED })
        .layer(DefaultBodyLimit::max(LONGEST_EVENT))
        .layer(middleware::from_fn(move |request: Request, next: Next| timed(time, request, next)))
        .layer(middleware::from_fn(count))
        .with_state(Arc::new(shop))
}

/// The document of the shop's hook.
pub fn document() -> utoipa::openapi::OpenApi {
    finished(routes().split_for_parts().1, Access::Signed)
}

fn routes() -> OpenApiRouter<Arc<Shop>> {
    OpenApiRouter::with_openapi(Document::openapi()).routes(routes!(stripe))
}

/// Takes an event of Stripe, or of whoever signs as Stripe does. Everything that no repetition can change is answered 200, so that the provider
/// does not repeat it for days.
#[utoipa::path(
    post,
    path = "/shop/v1/stripe",
    tag = "shop",
    request_body(description = "An event, as it was signed", content = Object),
    params(("Stripe-Signature" = String, Header, description = "`t=..,v1=..`: HMAC-SHA256 over time and body")),
    responses(
        (status = 200, description = "Heard, once and for all", body = EventAnswer),
        (status = 400, description = "`signature-invalid`, `signature-stale`, `event-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn stripe(State(shop): State<Arc<Shop>>, request: Request) -> Result<Response, Problem> {
    let mut headers = request.headers().get_all("Stripe-Signature").iter();
    let (Some(header), None) = (headers.next().cloned(), headers.next()) else { return Err(Problem::SIGNATURE_INVALID) };
    let body = crate::admin::raw(request, &()).await?;
    let now = shop.mint.service_time()?;
    shop.secrets.check(header.to_str().unwrap_or_default(), &body, now).map_err(|forged| match forged {
        Forged::Unsigned => Problem::SIGNATURE_INVALID,
        Forged::Stale => Problem::SIGNATURE_STALE,
    })?;
    let malformed = |_: NoEvent| Problem::EVENT_MALFORMED;
    let told = Event::parse(&body).map_err(malformed)?.told(&shop.mint.unit(), shop.test_events).map_err(malformed)?;
    let (outcome, reason) = answer(&shop.mint, told).await?;
    crate::admin::json(&EventAnswer { outcome, reason }).map(no_store)
}

async fn answer(mint: &Mint, told: Told) -> Result<(&'static str, Option<&'static str>), Problem> {
    let refused = match told {
        Told::Nothing => return Ok(("ignored", None)),
        Told::Reversed { payment, total } => {
            mint.reverse_payment(&payment, total).await.map_err(readable)?;
            return Ok(("reversed", None));
        }
        Told::Paid { checkout, payment, amount } => match mint.sell_checkout(&checkout, payment.as_deref(), amount).await {
            Ok(CheckoutSold::Sold) => return Ok(("sold", None)),
            Ok(CheckoutSold::Earlier) => return Ok(("sold-earlier", None)),
            Err(MintError::OrderDiffers) => "order-differs",
            Err(error) => return Err(readable(error)),
        },
        Told::Refused(reason) => reason,
    };
    tracing::warn!(reason = refused, "a signed event was refused: somebody may have paid for nothing");
    Ok(("refused", Some(refused)))
}

/// A reference that cannot be one makes the event unreadable.
fn readable(error: MintError) -> Problem {
    if error == MintError::OrderReference { Problem::EVENT_MALFORMED } else { error.into() }
}
