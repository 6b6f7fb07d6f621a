//! What a publisher reads of a request: challenges it wrote, credentials, `Accept-Payment`, and the original request as a proxy describes
//! it. Nothing panics, nothing is served for nothing, and what parses prints back the same.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_fuzz::world::{World, body};
use farthing_protocol::amount::Amount;
use farthing_protocol::http::{ChargeRequest, Credential};
use farthing_protocol::wire::{Frame, PaymentFrame, ProofBody, RereadFrame};
use farthing_verifier::sidecar::{Proxy, described};
use farthing_verifier::site::readable;
use farthing_verifier::store::{Document, MemoryStore, Store};
use farthing_verifier::{ChallengeSecret, Decision, Offer, Price, Verifier, VerifierConfig, strip_credential};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use mpp::{Base64UrlJson, PaymentCredential};
use tokio::runtime::Runtime;

struct Site {
    runtime: Runtime,
    verifier: Verifier<MemoryStore>,
    world: World,
}

/// A verifier that has its keysets, and a mint that is away.
static SITE: LazyLock<Site> = LazyLock::new(|| {
    let (runtime, world) = (farthing_fuzz::machine::runtime(), World::default());
    let secret = ChallengeSecret::from_bytes(&[1; 32].into());
    let config = VerifierConfig::new("news.example", "http://127.0.0.1:1".parse().unwrap(), *world.list.root(), secret);
    let verifier = runtime.block_on(async {
        let store = MemoryStore::default();
        store.save(Document::Keysets, world.list.to_frame().to_bytes()).await.unwrap();
        Verifier::open(config, store).await.unwrap()
    });
    Site { runtime, verifier, world }
});

#[derive(Arbitrary, Debug)]
enum Payload {
    Payment { tokens: u16, amount: u64, salt: [u8; 32], proof: [u8; 32] },
    Reread { payment: [u8; 32], proof: [u8; 32] },
    Text { payment: String, salt: String },
}

#[derive(Arbitrary, Debug)]
struct Echo {
    id: String,
    realm: String,
    method: Option<String>,
    request: String,
    expires: Option<String>,
    digest: Option<String>,
    opaque: Option<String>,
    description: Option<String>,
}

#[derive(Arbitrary, Debug)]
enum Input {
    /// A challenge, and an answer to it that was changed on the way.
    Challenge {
        price: u64,
        tip: Option<(u64, u64)>,
        title: String,
        external_id: String,
        access: u32,
        path: String,
        payload: Payload,
        flips: Vec<(u16, u8)>,
    },
    /// A credential that answers no challenge of this verifier.
    Credential { echo: Echo, payload: Payload },
    /// Any lines of headers.
    Headers { authorization: Vec<Vec<u8>>, accept: Vec<Vec<u8>>, named: bool },
    /// A request as a proxy describes it.
    Original { proxy: u8, method: String, target: Vec<u8>, more: Vec<(u8, Vec<u8>)> },
}

fn offer() -> Offer {
    Offer {
        price: Price::Fixed(Amount::from_units(500)),
        title: "Article".into(),
        external_id: "1".into(),
        access: Duration::from_secs(60),
    }
}

fn head(path: &str) -> Option<Parts> {
    Some(Request::builder().uri(path).body(()).ok()?.into_parts().0)
}

/// What is decided: never to serve, because nothing here was ever paid.
fn decide(head: &Parts, offer: &Offer) -> http::Response<impl AsRef<[u8]> + use<>> {
    match SITE.runtime.block_on(SITE.verifier.decide(head, offer)) {
        Decision::Serve(_) => panic!("served for nothing"),
        Decision::Answer(answer) => {
            assert!(
                answer.status().is_client_error()
                    || answer.status() == StatusCode::SERVICE_UNAVAILABLE
                    || answer.status() == StatusCode::INTERNAL_SERVER_ERROR
            );
            answer
        }
    }
}

impl Payload {
    fn credential(&self) -> Credential {
        let text = |bytes: Vec<u8>| Base64UrlUnpadded::encode_string(&bytes);
        match self {
            Self::Payment { tokens, amount, salt, proof } => {
                let picked = SITE.world.tokens.iter().enumerate().filter(|(place, _)| tokens >> place & 1 == 1).map(|(_, token)| token);
                let proof = ProofBody { t: (*proof).into(), u: [1; 32].into() };
                let frame = PaymentFrame { amount: *amount, deposit_by: *amount, tokens: body(picked), proof };
                Credential::Payment { payment: text(frame.to_bytes()), salt: text(salt.to_vec()) }
            }
            Self::Reread { payment, proof } => {
                let proof = ProofBody { t: (*proof).into(), u: [1; 32].into() };
                Credential::Reread { reread: text(RereadFrame { payment: (*payment).into(), proof }.to_bytes()) }
            }
            Self::Text { payment, salt } => Credential::Payment { payment: payment.clone(), salt: salt.clone() },
        }
    }
}

/// Sends an `Authorization` value, and checks that reading and writing it again changes nothing.
fn answer(head: &mut Parts, offer: &Offer, text: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    if let Some(credential) = value.to_str().ok().and_then(|text| mpp::parse_authorization(text).ok()) {
        let printed = mpp::format_authorization(&credential).expect("what was read can be written");
        let again = mpp::parse_authorization(&printed).expect("what was written can be read");
        assert_eq!(mpp::format_authorization(&again).ok(), Some(printed));
    }
    head.headers.insert(AUTHORIZATION, value);
    decide(head, offer);
    strip_credential(&mut head.headers);
    let left = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    assert!(left.is_none_or(|text| mpp::parse_authorization(text).is_err()), "no credential goes on to the publisher's service");
}

fn challenge(offer: &Offer, path: &str, payload: &Payload, flips: &[(u16, u8)]) {
    let Some(mut head) = head(path) else { return };
    let asked = decide(&head, offer);
    let Some(header) = asked.headers().get(WWW_AUTHENTICATE) else {
        return assert!(asked.status() != StatusCode::PAYMENT_REQUIRED, "a 402 says what it wants");
    };
    let text = header.to_str().expect("challenges are plain text");
    let challenge = mpp::parse_www_authenticate(text).expect("a wallet reads what a verifier writes");
    assert_eq!(mpp::format_www_authenticate(&challenge).ok().as_deref(), Some(text), "what parses prints back the same");
    let request: ChargeRequest = challenge.request.decode().expect("a request that decodes");
    assert_eq!(request.amount, offer.price.amount().units().to_string());
    assert_eq!(request.external_id, offer.external_id);
    assert_eq!(Base64UrlJson::from_typed(&request).unwrap().raw(), challenge.request.raw(), "what parses prints back the same");
    let credential = PaymentCredential::new(challenge.to_echo(), payload.credential());
    let Ok(mut authorization) = mpp::format_authorization(&credential).map(String::into_bytes) else { return };
    for (place, bits) in flips.iter().take(4) {
        let place = usize::from(*place) % authorization.len();
        authorization[place] ^= bits;
    }
    answer(&mut head, offer, &authorization);
}

fn credential(echo: &Echo, payload: &Payload) {
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, value: Option<&str>| value.map(|value| fields.insert(name.into(), value.into()));
    put("id", Some(&echo.id));
    put("realm", Some(&echo.realm));
    put("method", Some(echo.method.as_deref().unwrap_or("farthing")));
    put("intent", Some("charge"));
    put("request", Some(&echo.request));
    put("expires", echo.expires.as_deref());
    put("digest", echo.digest.as_deref());
    put("opaque", echo.opaque.as_deref());
    put("description", echo.description.as_deref());
    let json = serde_json::json!({ "challenge": fields, "payload": payload.credential() }).to_string();
    let text = format!("Payment {}", Base64UrlUnpadded::encode_string(json.as_bytes()));
    answer(&mut head("/a").unwrap(), &offer(), text.as_bytes());
}

fn headers(authorization: &[Vec<u8>], accept: &[Vec<u8>], named: bool) {
    let mut head = head("/a").unwrap();
    let mut put = |name: HeaderName, lines: &[Vec<u8>]| {
        for value in lines.iter().take(4).filter_map(|line| HeaderValue::from_bytes(line).ok()) {
            head.headers.append(name.clone(), value);
        }
    };
    put(AUTHORIZATION, authorization);
    put(HeaderName::from_static("accept-payment"), accept);
    if named && accept.is_empty() {
        put(HeaderName::from_static("accept-payment"), &[b"stripe/charge;q=0.5, farthing/charge".to_vec()]);
    }
    let answer = decide(&head, &offer());
    let required = authorization.is_empty() && accept.is_empty();
    assert!(!required || answer.headers().contains_key(WWW_AUTHENTICATE), "whoever can pay is told how");
}

fn original(proxy: u8, method: &str, target: &[u8], more: &[(u8, Vec<u8>)]) {
    let names = ["x-original-method", "x-original-uri", "x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-proto"];
    let proxy = [Proxy::Nginx, Proxy::Caddy, Proxy::Traefik, Proxy::Envoy][usize::from(proxy) % 4];
    let Ok(mut request) = Request::builder().method(method).body(()) else { return };
    let mut line = |name: &'static str, value: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(name, value);
        }
    };
    for name in [names[0], names[2]] {
        line(name, method.as_bytes());
    }
    for name in [names[1], names[3]] {
        line(name, target);
    }
    line(names[4], b"news.example");
    line(names[5], b"https");
    for (name, value) in more.iter().take(3) {
        line(names[usize::from(*name) % names.len()], value);
    }
    if proxy == Proxy::Envoy {
        let Ok(uri) = http::Uri::try_from([&b"/v1/envoy"[..], target].concat()) else { return };
        *request.uri_mut() = uri;
    }
    let forwarded: HeaderMap = request.headers().clone();
    let Ok((method, uri, path)) = described(request.into_parts().0, proxy, "https", "news.example") else { return };
    let said = |name: &str| forwarded.get(name).map(HeaderValue::as_bytes);
    let (by_method, by_target) = match proxy {
        Proxy::Nginx => (said(names[0]), said(names[1])),
        Proxy::Caddy | Proxy::Traefik => (said(names[2]), said(names[3])),
        // A request line with a fragment is read without it by whoever reads it here; Envoy refuses such a line.
        Proxy::Envoy => (Some(method.as_str().as_bytes()), target.split(|byte| *byte == b'#').next()),
    };
    assert_eq!(Some(method.as_str().as_bytes()), by_method);
    assert_eq!(Some(uri.to_string().as_bytes()), by_target, "what is hashed is what was said");
    assert_eq!(readable(uri.path()), Some(path.clone()));
    assert!(path.starts_with('/') && !path.split('/').any(|part| part == "." || part == ".."), "one reading of a path");
}

/// A header as it stands: a credential if it reads as one, else perhaps a challenge.
fn text(bytes: &[u8]) {
    if let Some(challenge) = std::str::from_utf8(bytes).ok().and_then(|text| mpp::parse_www_authenticate(text).ok()) {
        let printed = mpp::format_www_authenticate(&challenge).expect("what was read can be written");
        let again = mpp::parse_www_authenticate(&printed).expect("what was written can be read");
        assert_eq!(mpp::format_www_authenticate(&again).ok(), Some(printed));
    }
    answer(&mut head("/a").unwrap(), &offer(), bytes);
}

fuzz_target!(|bytes: &[u8]| {
    // The scheme's name begins a header; anything else is taken apart into fields.
    if bytes.starts_with(b"Payment ") {
        return text(bytes);
    }
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    match input {
        Input::Challenge { price, tip, title, external_id, access, path, payload, flips } => {
            let units = Amount::from_units;
            let price = match tip {
                None => Price::Fixed(units(price)),
                Some((minimum, maximum)) => Price::Tip { minimum: units(minimum), suggested: units(price), maximum: units(maximum) },
            };
            let offer = Offer { price, title, external_id, access: Duration::from_secs(u64::from(access)) };
            challenge(&offer, &path, &payload, &flips);
        }
        Input::Credential { echo, payload } => credential(&echo, &payload),
        Input::Headers { authorization, accept, named } => headers(&authorization, &accept, named),
        Input::Original { proxy, method, target, more } => original(proxy, &method, &target, &more),
    }
});
