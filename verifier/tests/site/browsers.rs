//! What a request's headers say about how it would pay, and from which page.

use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_verifier::sidecar::{self, Settings};
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{AllowedOrigins, Offer, PaymentLayer, Price, Verifier};
use http::request::Parts;
use http::{HeaderMap, Method};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;

use crate::site::{Reader, free_address, listening, loop_of, pay};

const PAGE: &str = "https://reader.example";

#[tokio::test]
async fn who_accepts_another_method_only_gets_no_challenge() {
    let (mint, site, reader) = loop_of(90).await;
    let url = site.url("/articles/one");
    let ask = async |accept: &str| reader.send(Method::GET, &url, &[("accept-payment", accept)]).await;
    for accept in ["stripe/charge", "farthing/charge;q=0", "*/*, farthing/charge;q=0", "farthing/session"] {
        let reply = ask(accept).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (402, "method-not-accepted"), "{accept}");
        assert!(!reply.headers.contains_key("www-authenticate"));
        assert!(reply.body.contains("Only farthing/charge is accepted here."));
    }
    for accept in ["farthing/charge", "*/*", "farthing/*", "stripe/charge, farthing/charge;q=0.1", "nonsense", "", "stripe/charge;q=7"] {
        let reply = ask(accept).await;
        assert_eq!(reply.problem().1, "payment-required", "{accept}");
        assert_eq!(reply.headers["vary"], "accept, accept-payment, authorization");
    }
    // Two headers are one list.
    let both = [("accept-payment", "stripe/charge"), ("accept-payment", "farthing/charge")];
    let challenge = reader.send(Method::GET, &url, &both).await.challenge();
    // A credential says more than a preference.
    let sent = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut StdRng::seed_from_u64(90));
    let paid = reader.send(Method::GET, &url, &[("accept-payment", "stripe/charge"), ("authorization", &sent.header)]).await;
    assert_eq!(paid.status, 200);
}

/// The same site, for pages of one other origin.
async fn open_to_a_page(verifier: Verifier<MemoryStore>) -> String {
    let price = |request: &Parts| {
        // What only a GET costs is found out before a GET is sent.
        let priced = request.method == Method::GET && request.uri.path().starts_with("/articles/");
        let price = Price::Fixed(Amount::from_units(500));
        priced.then(|| Offer { price, title: "One".into(), external_id: "one".into(), access: Duration::from_hours(1) })
    };
    let layer = PaymentLayer::new(verifier, price).allowed_origins(AllowedOrigins::parse(&[PAGE]).unwrap());
    let app = axum::Router::new().fallback(async || "served").layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/articles/one", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn list(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ").to_ascii_lowercase()
}

#[tokio::test]
async fn pages_of_listed_origins_may_pay() {
    let (mint, site, reader) = loop_of(91).await;
    let url = open_to_a_page(site.verifier.clone()).await;
    let preflight = async |url: &str, origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];
        reader.send(Method::OPTIONS, url, &headers).await
    };
    let reply = preflight(&url, PAGE).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (204, ""));
    assert_eq!(reply.headers["access-control-allow-origin"], PAGE);
    assert_eq!(reply.headers["access-control-allow-methods"], "GET");
    assert!(list(&reply.headers, "access-control-allow-headers").contains("authorization"));
    assert!(!reply.headers.contains_key("access-control-allow-credentials") && !reply.headers.contains_key("www-authenticate"));
    // What is free is the site's own business, and nobody else's page is told anything.
    for (url, origin) in [(url.replace("/articles/", "/free/"), PAGE), (url.clone(), "https://evil.example"), (url.clone(), "null")] {
        let reply = preflight(&url, origin).await;
        assert!(reply.status != 204 && !reply.headers.contains_key("access-control-allow-origin"), "{url} {origin}");
    }

    let refused = reader.send(Method::GET, &url, &[("origin", PAGE)]).await;
    let sent = pay(&refused.challenge(), mint.books().world.tokens(&[500]), None, &mut StdRng::seed_from_u64(91));
    let paid = reader.send(Method::GET, &url, &[("origin", PAGE), ("authorization", &sent.header)]).await;
    assert_eq!((paid.status.as_u16(), paid.body.as_str()), (200, "served"));
    for reply in [refused, paid] {
        assert_eq!(reply.headers["access-control-allow-origin"], PAGE);
        assert_eq!(list(&reply.headers, "access-control-expose-headers"), "www-authenticate, payment-receipt");
        assert!(list(&reply.headers, "vary").contains("origin"));
        assert!(!reply.headers.contains_key("access-control-allow-credentials"));
    }
    for headers in [&[][..], &[("origin", "https://evil.example")], &[("origin", PAGE), ("origin", PAGE)]] {
        let reply = reader.send(Method::GET, &url, headers).await;
        assert!(reply.status == 402 && !reply.headers.contains_key("access-control-allow-origin"));
        assert!(list(&reply.headers, "vary").contains("origin"), "a cache must not show it to the page");
    }
}

#[tokio::test]
async fn the_sidecar_tells_browsers_the_same() {
    use base64ct::{Base64UrlUnpadded, Encoding};
    let (mint, mint_url) = crate::stand_in::StandIn::start(crate::world::World::new(92)).await;
    let directory = tempfile::tempdir().unwrap();
    let address = free_address().await;
    let written = format!(
        "listen = \"{address}\"\nproxy = \"envoy\"\ntrusted_peers = [\"127.0.0.1\"]\npublisher = \"{address}\"\nmint = \"{mint_url}\"\n\
         mint_key = \"{}\"\ndata = \"{}\"\nallowed_origins = [\"{PAGE}\"]\n[[rules]]\npath = \"/**\"\nprice = \"0.005\"\n\
         title = \"One\"\naccess = 3600\n",
        Base64UrlUnpadded::encode_string(mint.books().world.root().as_bytes()),
        directory.path().join("data").display(),
    );
    let file = directory.path().join("verifier.toml");
    std::fs::write(&file, &written).unwrap();
    tokio::spawn(sidecar::serve(Settings::load(&file).unwrap(), std::future::pending()));
    listening(&address).await;
    let reader = Reader::new();
    for (path, method, status) in [("/v1/envoy/one", Method::GET, 402), ("/v1/preflight", Method::OPTIONS, 204)] {
        let url = format!("http://{address}{path}");
        for (origin, allowed) in [(PAGE, true), ("https://evil.example", false)] {
            let headers = [("origin", origin), ("access-control-request-method", "GET")];
            let reply = reader.send(method.clone(), &url, &headers).await;
            assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
            assert_eq!(reply.headers.contains_key("access-control-allow-origin"), allowed);
            assert_eq!(reply.headers.contains_key("access-control-allow-headers"), allowed && status == 204);
            assert!(list(&reply.headers, "vary").contains("origin"));
        }
    }
    std::fs::write(&file, written.replace(PAGE, "*")).unwrap();
    assert!(Settings::load(&file).is_err());
}
