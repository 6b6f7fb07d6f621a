//! What caches and browsers are told, for every class of answer.

use std::time::Duration;

use axum::response::IntoResponse;
use farthing_protocol::amount::Amount;
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{AllowedOrigins, Offer, PaymentLayer, Price};
use http::request::Parts;
use http::{Method, StatusCode};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{Plan, Reader, Reply, pay, reread};
use crate::stand_in::{Fault, StandIn};
use crate::world::World;

const PAGE: &str = "https://reader.example";

/// A class of answer: its status, whether a challenge and a receipt go with it, and what a cache is told.
type Class = (u16, bool, bool, &'static str);

/// A request: its method, URL and headers, and the class of its answer.
type Row<'a> = (Method, &'a str, Vec<(&'a str, &'a str)>, Class);

const CHALLENGED: Class = (402, true, false, "no-store");
const REFUSED: Class = (402, false, false, "no-store");
const UNSUPPORTED: Class = (400, false, false, "no-store");
const UNDECIDED: Class = (503, false, false, "no-store");
const BROKEN: Class = (500, false, false, "no-store");
const PREFLIGHT: Class = (204, false, false, "no-store");
const PAID: Class = (200, false, true, "private, max-age=60");
const FAILED: Class = (404, false, false, "private, max-age=60");
const FREE: Class = (200, false, false, "public, max-age=60");

fn price(request: &Parts) -> Option<Offer> {
    let units = match request.uri.path() {
        "/broken" => 0,
        "/free" => return None,
        _ => 500,
    };
    let price = Price::Fixed(Amount::from_units(units));
    Some(Offer { price, title: "One".into(), external_id: "one".into(), access: Duration::from_hours(1) })
}

fn check(reply: &Reply, class: Class, from_page: bool) {
    let (status, challenge, receipt, caching) = class;
    let joined = |name: &str| {
        let values = reply.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(", ").to_ascii_lowercase()
    };
    assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
    assert_eq!(reply.headers.contains_key("www-authenticate"), challenge);
    assert_eq!(reply.headers.contains_key("payment-receipt"), receipt);
    assert_eq!(joined("cache-control"), caching, "status {status}");
    assert_eq!(reply.headers.contains_key("retry-after"), class == UNDECIDED);
    // What is free is not ours: nothing is added to it. Everything else depends on the page that asks.
    let priced = class != FREE;
    assert_eq!(joined("vary").contains("origin"), priced, "status {status}");
    let told = if priced && from_page { PAGE } else { "" };
    assert_eq!(joined("access-control-allow-origin"), told);
    assert_eq!(joined("access-control-expose-headers"), if told.is_empty() { "" } else { "www-authenticate, payment-receipt" });
    assert!(!reply.headers.contains_key("access-control-allow-credentials"));
    assert_eq!(reply.headers.contains_key("cdn-cache-control"), class == FREE, "shared caches obey it before all else");
    if matches!(class, CHALLENGED | REFUSED | UNSUPPORTED | UNDECIDED) {
        assert!(joined("vary").starts_with("accept, accept-payment, authorization"));
    }
}

#[tokio::test]
async fn caches_and_browsers_are_told_the_right_thing_about_every_class_of_answer() {
    let (mint, mint_url) = StandIn::start(World::new(94)).await;
    let root = mint.books().world.root();
    let plan = Plan::new(&mint_url, root).await;
    let listener = plan.listener;
    let verifier = farthing_verifier::Verifier::open(plan.config, MemoryStore::new()).await.unwrap();
    let served = async |request: http::Request<axum::body::Body>| {
        let status = if request.uri().path() == "/missing" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        (status, [("cache-control", "public, max-age=60"), ("cdn-cache-control", "max-age=600")], "page").into_response()
    };
    let layer = PaymentLayer::new(verifier, price).allowed_origins(AllowedOrigins::parse(&[PAGE]).unwrap());
    let app = axum::Router::new().fallback(served).layer(layer);
    let url = |path: &str| format!("http://{}{path}", listener.local_addr().unwrap());
    let (one, free, broken, missing) = (url("/one"), url("/free"), url("/broken"), url("/missing"));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(94));
    for from_page in [true, false] {
        let ask = async |method: Method, url: &str, more: &[(&str, &str)]| {
            let mut headers = more.to_vec();
            headers.extend(from_page.then_some(("origin", PAGE)));
            reader.send(method, url, &headers).await
        };
        let other = credential_of_another_method(&ask(Method::GET, &one, &[]).await);
        let table: [Row<'_>; 9] = [
            (Method::GET, &one, vec![], CHALLENGED),
            (Method::HEAD, &one, vec![], CHALLENGED),
            (Method::GET, &one, vec![("accept", "text/html")], CHALLENGED),
            (Method::POST, &one, vec![("authorization", "Payment nonsense")], CHALLENGED),
            (Method::GET, &one, vec![("accept-payment", "stripe/charge")], REFUSED),
            (Method::GET, &one, vec![("accept", "text/html"), ("accept-payment", "stripe/charge")], REFUSED),
            (Method::GET, &one, vec![("authorization", &other)], UNSUPPORTED),
            (Method::GET, &broken, vec![], BROKEN),
            (Method::GET, &free, vec![("authorization", "Payment nonsense")], FREE),
        ];
        for (method, url, headers, class) in &table {
            check(&ask(method.clone(), url, headers).await, *class, from_page);
        }
        if from_page {
            check(&ask(Method::OPTIONS, &one, &[("access-control-request-method", "GET")]).await, PREFLIGHT, true);
        }

        let challenge = ask(Method::GET, &one, &[]).await.challenge();
        let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rng);
        mint.fail_once(Fault::Unavailable);
        check(&ask(Method::GET, &one, &[("authorization", &sent.header)]).await, UNDECIDED, from_page);
        check(&ask(Method::GET, &one, &[("authorization", &sent.header)]).await, PAID, from_page);
        let again = reread(&ask(Method::GET, &one, &[]).await.challenge(), sent.id, &sent.used, &mut rng);
        check(&ask(Method::GET, &one, &[("authorization", &again)]).await, PAID, from_page);
        // Used up: it may be read again under a fresh challenge.
        check(&ask(Method::GET, &one, &[("authorization", &again)]).await, CHALLENGED, from_page);
        // Paid for, and not there: no receipt for nothing, and still nobody else's.
        let sent = pay(&ask(Method::GET, &missing, &[]).await.challenge(), mint.books().world.tokens(&[500]), None, &mut rng);
        check(&ask(Method::GET, &missing, &[("authorization", &sent.header)]).await, FAILED, from_page);
    }
}

fn credential_of_another_method(refused: &Reply) -> String {
    let mut echo = refused.challenge().to_echo();
    echo.method = "stripe".into();
    mpp::format_authorization(&mpp::PaymentCredential::new(echo, serde_json::json!({ "token": "x" }))).unwrap()
}
