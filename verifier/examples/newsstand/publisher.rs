//! A publisher in one page of code: free front page, articles behind a price, a tip jar.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_verifier::store::RedbStore;
use farthing_verifier::{ChallengeSecret, Offer, Paid, PaymentLayer, Price, Verifier, VerifierConfig};
use tokio::net::TcpListener;
use url::Url;

use crate::articles::{Article, read_articles};

/// Where a publisher stands and whom it trusts.
pub struct Publisher {
    /// Its name: the host and port readers see.
    pub name: String,
    /// Where its articles lie.
    pub articles: PathBuf,
    /// Where it keeps what must not be lost: claims, outbox, secret.
    pub data: PathBuf,
    /// The mint's address.
    pub mint: Url,
    /// The mint's root key.
    pub root: Point,
}

/// A day to read again what was paid for.
const ACCESS: Duration = Duration::from_hours(24);

impl Publisher {
    /// Serves until the program ends; returns the verifier, whose books the caller may look at.
    pub async fn serve(self, listener: TcpListener) -> Result<Verifier<RedbStore>, Box<dyn std::error::Error>> {
        std::fs::create_dir_all(&self.data)?;
        let articles = Arc::new(read_articles(&self.articles, &Unit::default_eur())?);

        // What embedding takes: a secret, a store, a verifier, and a layer that knows the prices.
        let secret = ChallengeSecret::load_or_create(&self.data.join("challenge-secret"))?;
        let config = VerifierConfig::new(self.name, self.mint, self.root, secret);
        let verifier = Verifier::open(config, RedbStore::open(self.data.join("claims.redb"))?).await?;
        let for_sale = Arc::clone(&articles);
        let layer = PaymentLayer::new(verifier.clone(), move |request: &Parts| offer(request, &for_sale));

        let app = Router::new()
            .route("/", get(front_page))
            .route("/articles/{slug}", get(article))
            .route("/tips", get(tips))
            .layer(layer)
            .with_state(articles);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(verifier)
    }
}

/// What a request costs; `None` is free.
fn offer(request: &Parts, articles: &[Article]) -> Option<Offer> {
    if request.uri.path() == "/tips" {
        let price =
            Price::Tip { minimum: Amount::from_units(10), suggested: Amount::from_units(2_000), maximum: Amount::from_units(1_000_000) };
        return Some(Offer { price, title: "The tip jar".into(), external_id: "tips".into(), access: ACCESS });
    }
    let slug = request.uri.path().strip_prefix("/articles/")?;
    let article = articles.iter().find(|article| article.slug == slug)?;
    Some(Offer { price: Price::Fixed(article.price), title: article.title.clone(), external_id: article.slug.clone(), access: ACCESS })
}

async fn front_page(State(articles): State<Arc<Vec<Article>>>) -> Html<String> {
    let unit = Unit::default_eur();
    let item = |article: &Article| {
        format!("<li><a href=\"/articles/{}\">{}</a>, {}</li>", article.slug, article.title, unit.display(article.price))
    };
    let items: String = articles.iter().map(item).collect();
    Html(page("The newsstand", &format!("<ul>{items}</ul><p><a href=\"/tips\">The tip jar</a></p>")))
}

/// The router decodes `/articles/%61` to `a`, and the prices do not: what is for sale is served to a request that was paid for, and to
/// no other, however it is spelt.
async fn article(State(articles): State<Arc<Vec<Article>>>, Path(slug): Path<String>, paid: Option<Extension<Paid>>) -> Response {
    match articles.iter().find(|article| article.slug == slug) {
        Some(article) if paid.is_some() => Html(page(&article.title, &article.html)).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn tips() -> Html<String> {
    Html(page("Thank you", "<p>Your tip has arrived. Nobody here knows from whom.</p>"))
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><main><h1>{title}</h1>{body}</main></html>\n"
    )
}
