//! The OpenAPI documents against what is served: every documented operation is there, every route is documented, and frames look as described.

mod common;

use std::collections::BTreeSet;

use common::{Http, World};
use farthing_mint::shop::{Shop, ShopSecrets};
use farthing_mint::{admin, http as public, shop};
use farthing_protocol::issue::FundingKeys;
use http::{Method, StatusCode};
use serde_json::Value;

const TOKEN: &str = "the-only-token-4567890123456789012345678901234";

fn documents() -> [(&'static str, Value); 3] {
    [("public", public::document()), ("admin", admin::document()), ("shop", shop::document())]
        .map(|(name, document)| (name, serde_json::to_value(document).unwrap()))
}

fn operations(document: &Value) -> Vec<(String, Method, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((path.clone(), method.to_uppercase().parse().unwrap(), operation.clone()));
        }
    }
    found
}

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_documents_are_whole() {
    for (name, document) in documents() {
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{name}");
        // What it says is what utoipa's own model of OpenAPI 3.1 reads back.
        let read: utoipa::openapi::OpenApi = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), document, "{name}");
        let mut wanted = Vec::new();
        references(&document, &mut wanted);
        assert!(wanted.iter().any(|reference| reference == "#/components/schemas/Problem"), "{name}");
        for reference in wanted {
            assert!(document.pointer(&reference[1..]).is_some(), "{name}: {reference}");
        }
        for (path, method, operation) in operations(&document) {
            assert!(operation["summary"].is_string() && operation["responses"]["503"].is_object(), "{name}: {method} {path}");
            let limited = name == "public" && path.starts_with("/v1/");
            assert_eq!(operation["responses"]["429"].is_object(), limited, "{name}: {method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let problem = status.starts_with(['4', '5']);
                assert_eq!(response["content"]["application/problem+json"].is_object(), problem, "{name}: {method} {path} {status}");
            }
            let named: BTreeSet<&str> = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let described = parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap());
            assert_eq!(described.collect::<BTreeSet<_>>(), named, "{name}: {method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_documented_is_served_and_nothing_else() {
    let world = World::new().await;
    let tokens = admin::Tokens::parse(TOKEN.as_bytes()).unwrap();
    let secrets = ShopSecrets::parse(b"whsec_5GnPZ1yW3d0XbA7vQeRt2uI9oLkJhGfD").unwrap();
    let shop = shop::router(Shop { mint: world.mint.clone(), secrets, test_events: false });
    let mut doors = vec![world.http.clone()];
    for router in [admin::router(world.mint.clone(), tokens), shop] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        doors.push(Http::new(listener.local_addr().unwrap()));
        let mint = world.mint.clone();
        tokio::spawn(async move { mint.serve_beside(listener, router, std::future::pending()).await.unwrap() });
    }
    let bearer = format!("Bearer {TOKEN}");
    for ((name, document), door) in documents().into_iter().zip(&doors) {
        let served = ["/v1/openapi.json", "/admin/v1/openapi.json", "/shop/v1/openapi.json"];
        let mut here = Vec::new();
        for path in served {
            let answer = door.get(path, &[("authorization", &bearer)]).await;
            if answer.status == StatusCode::OK {
                here.push(serde_json::from_slice::<Value>(&answer.body).unwrap());
            }
        }
        assert_eq!(here, std::slice::from_ref(&document), "{name}: each door has its own document");
        for (path, method, operation) in operations(&document) {
            let real = path.replace("{keyset}", "0").replace("{bucket}", "0").replace("{number}", "99");
            let real = real.replace(['{', '}'], "");
            let answer = door.try_send(method.clone(), &real, &[("authorization", &bearer)], Vec::new()).await.unwrap();
            let status = answer.status.as_u16().to_string();
            assert!(operation["responses"][&status].is_object(), "{name}: {method} {path} answered {status}");
            if !answer.status.is_success() {
                let code = answer.code();
                // A publisher without a key is answered as nothing is.
                let keyless = path == "/v1/publishers/{name}" && code == "not-found";
                assert!(keyless || !["not-found", "method-not-allowed"].contains(&code.as_str()), "{name}: {method} {path}");
                let described = operation["responses"][&status]["description"].as_str().unwrap();
                assert!(described.contains(&code) || described.contains("codes of"), "{name}: {method} {path}: {code}");
            }
            // The methods that are not documented are not there.
            for other in [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
                if document["paths"][&path][other.as_str().to_lowercase()].is_null() {
                    let answer = door.try_send(other.clone(), &real, &[("authorization", &bearer)], Vec::new()).await.unwrap();
                    assert_eq!(answer.code(), "method-not-allowed", "{name}: {other} {path}");
                }
            }
        }
    }
}

/// Routers do not say what they route; their sources do.
#[test]
fn every_route_is_documented() {
    let source = include_str!("../src/http/mod.rs");
    let routed: BTreeSet<&str> = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let document = serde_json::to_value(public::document()).unwrap();
    let mut described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    described.insert("/v1/openapi.json");
    assert_eq!(routed, described);
    // The others are made of their annotations; only the document itself is routed by hand.
    for source in [include_str!("../src/admin/mod.rs"), include_str!("../src/shop/mod.rs")] {
        let routed: Vec<&str> = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(routed.len() == 1 && routed[0].ends_with("/openapi.json"), "{routed:?}");
    }
}

/// Whether a value is what a schema describes.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(document, document.pointer(&reference[1..]).unwrap(), value);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| fits(document, choice, value).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{fitting} of {schema} fit {value}")) };
    }
    let is = |name: &str| schema["type"] == name || schema["type"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let sound = match value {
        Value::Null => is("null"),
        Value::Number(_) => is("integer"),
        Value::String(text) => is("string") && schema["enum"].as_array().is_none_or(|all| all.contains(&Value::String(text.clone()))),
        Value::Array(list) => {
            if let Some(places) = schema["prefixItems"].as_array() {
                assert_eq!(places.len(), list.len(), "{schema}");
                places.iter().zip(list).try_for_each(|(place, value)| fits(document, place, value))?;
            } else {
                list.iter().try_for_each(|value| fits(document, &schema["items"], value))?;
            }
            is("array")
        }
        Value::Object(map) => {
            let described = schema["properties"].as_object().ok_or_else(|| format!("{schema} has no fields"))?;
            // Whether maps keep their order depends on what else is built with this.
            if map.len() != described.len() || !map.keys().all(|name| described.contains_key(name)) {
                return Err(format!("{:?} is not {:?}", map.keys(), described.keys()));
            }
            map.iter().try_for_each(|(name, value)| fits(document, &described[name], value))?;
            is("object")
        }
        Value::Bool(_) => is("boolean"),
    };
    if sound { Ok(()) } else { Err(format!("{value} is no {schema}")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_look_as_they_are_described() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let document = serde_json::to_value(public::document()).unwrap();
    let fits = |name: &str, value: Value| {
        let schema = &document["components"]["schemas"][name];
        fits(&document, schema, &value).unwrap_or_else(|why| panic!("{name}: {why}"));
    };
    fits("KeysetListFrame", serde_json::from_slice(&world.http.get("/v1/keysets", &[]).await.body).unwrap());
    let voucher = world.voucher(100).await;
    let plan = world.plan(&[100]);
    let open = plan.open(&world.root, &FundingKeys::Voucher(&voucher), &mut world.rng).unwrap();
    fits("OpenRequestFrame", serde_json::to_value(&open).unwrap());
    let body = serde_json::to_vec(&open).unwrap();
    fits("OpenResponseFrame", serde_json::from_slice(&world.http.post_bytes("/v1/commitments", common::JSON, body).await.body).unwrap());
    let voucher = world.voucher(100).await;
    let (_, issue) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    fits("IssueRequestFrame", serde_json::to_value(&issue).unwrap());
    let body = serde_json::to_vec(&issue).unwrap();
    fits("IssueResponseFrame", serde_json::from_slice(&world.http.post_bytes("/v1/issue", common::JSON, body).await.body).unwrap());
    fits("RestoreBucketFrame", serde_json::from_slice(&world.http.get("/v1/restore/0/0", &[]).await.body).unwrap());
    // Credited, and double-spent with its proof.
    let token = world.tokens(&[100]).await.remove(0);
    let first = world.pay(vec![common::copy(&token)], "news.example", 60).0;
    let second = world.pay(vec![token], "news.example", 70).0;
    let mut seen = None;
    for deposit in [&first, &second] {
        let frame = farthing_protocol::wire::DepositRequestFrame { seen, payments: vec![deposit.to_body()] };
        fits("DepositRequestFrame", serde_json::to_value(&frame).unwrap());
        let body = serde_json::to_vec(&frame).unwrap();
        let answer = world.http.post_bytes("/v1/deposits", common::JSON, body).await;
        fits("DepositResponseFrame", serde_json::from_slice(&answer.body).unwrap());
        seen = Some(serde_json::from_slice::<farthing_protocol::wire::DepositResponseFrame>(&answer.body).unwrap().mark);
    }
    let key = farthing_protocol::proof::LoneKey::generate(&mut world.rng);
    world.mint.set_publisher_key("news.example", key.public()).await.unwrap();
    let payment = first.spending().payment_id();
    let frame = farthing_protocol::refund::request(&world.root, payment, "news.example", &key, &mut world.rng).unwrap();
    fits("RefundRequestFrame", serde_json::to_value(&frame).unwrap());
    let answer = world.http.post_bytes("/v1/refunds", common::JSON, serde_json::to_vec(&frame).unwrap()).await;
    fits("RefundResponseFrame", serde_json::from_slice(&answer.body).unwrap());
    let balance = world.http.get(&format!("/v1/vouchers/{}", farthing_mint::key_text(voucher.public())), &[]).await;
    fits("VoucherBalance", serde_json::from_slice(&balance.body).unwrap());
}
