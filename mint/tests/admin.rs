//! The admin API over real HTTP: every route, who may ask, what happens twice, what is said of it.

mod common;

use common::{Answer, Http, JSON, World};
use farthing_mint::{BankAccount, admin, key_text};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::proof::LoneKey;
use farthing_protocol::voucher::VoucherCode;
use http::{Method, StatusCode};
use serde_json::{Value, json};

const TOKEN: &str = "the-only-token-4567890123456789012345678901234";
const SHOP: &str = "the-shops-token-456789012345678901234567890123";

/// The admin API of a mint.
struct Desk {
    http: Http,
    server: tokio::task::JoinHandle<()>,
}

impl Desk {
    async fn of(world: &World) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = Http::new(listener.local_addr().unwrap());
        let tokens = admin::Tokens::parse(format!("{TOKEN}\norders {SHOP}\n").as_bytes()).unwrap();
        let (mint, router) = (world.mint.clone(), admin::router(world.mint.clone(), tokens));
        let server = tokio::spawn(async move { mint.serve_beside(listener, router, std::future::pending()).await.unwrap() });
        Self { http, server }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        if body.is_some() {
            all.push(("content-type", JSON));
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.http.try_send(method, path, &all, body).await.unwrap();
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
        answer
    }

    async fn get(&self, path: &str) -> Value {
        parsed(&self.send(Method::GET, path, &[], None).await)
    }

    async fn post(&self, path: &str, body: Option<Value>) -> Answer {
        self.send(Method::POST, path, &[], body).await
    }

    async fn order(&self, key: &str, amount: u64, count: u32) -> Answer {
        self.send(Method::POST, "/admin/v1/vouchers", &[("idempotency-key", key)], Some(json!({ "amount": amount, "count": count }))).await
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn parsed(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

/// Every operation of a document, with its path's parameters filled in.
fn operations(document: &Value) -> Vec<(Method, String, String)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let real =
            path.replace("{checkout}", "cs_none").replace("{name}", "none.example").replace("{number}", "99").replace("{id}", "none");
        for method in item.as_object().unwrap().keys().filter(|key| ["get", "put", "post", "delete", "patch"].contains(&key.as_str())) {
            found.push((Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path.clone(), real.clone()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_nothing_is_told() {
    let world = World::new().await;
    let desk = Desk::of(&world).await;
    let operations = operations(&desk.get("/admin/v1/openapi.json").await);
    assert!(operations.len() > 15);
    let paths = operations.into_iter().map(|(method, _, path)| (method, path));
    let unknown = [(Method::GET, "/".to_owned()), (Method::GET, "/admin/v1/none".into()), (Method::GET, "/v1/keysets".into())];
    for (method, path) in paths.chain(unknown) {
        for value in [None, Some("Bearer wrong-4567890123456789012345678901234567890123"), Some(TOKEN)] {
            let headers: Vec<(&str, &str)> = value.map(|value| ("authorization", value)).into_iter().collect();
            let answer = desk.http.try_send(method.clone(), &path, &headers, Vec::new()).await.unwrap();
            assert_eq!(refused(&answer), (401, "unauthorized".into()), "{method} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
        let shop = format!("Bearer {SHOP}");
        let answer = desk.http.try_send(method.clone(), &path, &[("authorization", &shop)], Vec::new()).await.unwrap();
        let expected = if path.starts_with("/admin/v1/orders/") { (404, "order-unknown") } else { (403, "forbidden") };
        assert_eq!(refused(&answer), (expected.0, expected.1.into()), "{method} {path}");
    }
    // The public interface has none of it.
    assert_eq!(world.http.get("/admin/v1/status", &[]).await.code(), "not-found");
    assert_eq!(world.http.get("/shop/v1/stripe", &[]).await.code(), "not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_makes_its_vouchers_once() {
    let mut world = World::new().await;
    let desk = Desk::of(&world).await;
    let first = parsed(&desk.order("order-1", 500, 3).await);
    assert_eq!((&first["amount"], &first["currency"]), (&json!(500), &json!("eur/100000")));
    let codes: Vec<VoucherCode> =
        first["codes"].as_array().unwrap().iter().map(|code| VoucherCode::parse(code.as_str().unwrap()).unwrap()).collect();
    assert_eq!(codes.len(), 3);
    for _ in 0..3 {
        assert_eq!(parsed(&desk.order("order-1", 500, 3).await), first);
    }
    let mut tasks = tokio::task::JoinSet::new();
    let desk = std::sync::Arc::new(desk);
    for _ in 0..8 {
        let desk = desk.clone();
        tasks.spawn(async move { parsed(&desk.order("order-2", 100, 1).await) });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]) && answers[0]["codes"] != first["codes"]);
    assert_eq!(world.balanced().await.sold.units(), 1_600);
    // Another process, another opening of the same directory.
    world.reopen().await;
    let again = Desk::of(&world).await;
    assert_eq!(parsed(&again.order("order-1", 500, 3).await), first);
    assert_eq!(world.balanced().await.sold.units(), 1_600);
    // The codes are money.
    let key = codes[2].key().unwrap();
    world.issue(&[500], &FundingKeys::Voucher(&key)).await.unwrap();
    // The ledger alone is not.
    let ledger = std::fs::read(world.ledger_path()).unwrap();
    let text = first["codes"][0].as_str().unwrap().as_bytes();
    assert!(!ledger.windows(text.len()).any(|window| window == text) && !ledger.windows(7).any(|window| window == b"order-1"));
    for (amount, count) in [(500, 2), (499, 3)] {
        assert_eq!(refused(&again.order("order-1", amount, count).await), (422, "idempotency-key-reused".into()));
    }
    assert_eq!(world.balanced().await.sold.units(), 1_600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_each_have_their_code_and_change_nothing() {
    let world = World::new().await;
    let desk = Desk::of(&world).await;
    let good = json!({ "amount": 5, "count": 1 });
    let key = [("idempotency-key", "k")];
    let vouchers = "/admin/v1/vouchers";
    let long = "k".repeat(256);
    assert_eq!(refused(&desk.post(vouchers, Some(good.clone())).await), (400, "idempotency-key-missing".into()));
    let twice = [("idempotency-key", "k"), ("idempotency-key", "l")];
    assert_eq!(refused(&desk.send(Method::POST, vouchers, &twice, Some(good.clone())).await), (400, "idempotency-key-missing".into()));
    for bad in ["", "a b", "k\u{e9}", &long] {
        assert_eq!(refused(&desk.order(bad, 5, 1).await), (422, "idempotency-key-invalid".into()), "{bad}");
    }
    for (amount, count) in [(0, 1), (5, 0), (5, 10_001)] {
        assert_eq!(refused(&desk.order("k", amount, count).await), (422, "voucher-count".into()));
    }
    assert_eq!(refused(&desk.order("k", u64::MAX, 1).await), (409, "sold-too-much".into()));
    for body in [json!([]), json!({}), json!({ "amount": -1 }), json!({ "amount": 5.5 }), json!({ "amount": 5, "more": 1 })] {
        assert_eq!(refused(&desk.send(Method::POST, vouchers, &key, Some(body)).await), (400, "body-malformed".into()));
    }
    assert_eq!(refused(&desk.send(Method::POST, vouchers, &key, None).await), (415, "unsupported-media-type".into()));
    let large = json!({ "amount": 5, "more": "x".repeat(2 << 20) });
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", JSON), ("idempotency-key", "k")];
    // A body that is refused unread may cost its answer.
    if let Some(answer) = desk.http.try_send(Method::POST, vouchers, &headers, large.to_string().into_bytes()).await {
        assert_eq!(refused(&answer), (413, "body-too-large".into()));
    }
    let account = json!({ "iban": "DE89370400440532013000", "name": "News", "address": null });
    let misspelt = json!({ "iban": "DE89370400440532013000", "name": "News", "adress": { "town": "Bonn", "country": "DE" } });
    let cases = [
        (Method::POST, "/admin/v1/publishers", Some(json!({ "name": "https://x" })), 422, "publisher-name-invalid"),
        (Method::POST, "/admin/v1/publishers", Some(json!({ "name": "a.example", "key": "x" })), 422, "key-invalid"),
        (Method::GET, "/admin/v1/publishers/none.example", None, 404, "publisher-unknown"),
        (Method::GET, "/admin/v1/publishers/a%20b", None, 422, "publisher-name-invalid"),
        (Method::PUT, "/admin/v1/publishers/none.example/payee", Some(account.clone()), 404, "publisher-unknown"),
        (Method::PUT, "/admin/v1/publishers/none.example/payee", Some(json!({ "iban": "x", "name": "y" })), 422, "bank-account-invalid"),
        (Method::GET, "/admin/v1/publishers/none.example/statement", None, 404, "publisher-unknown"),
        (Method::GET, "/admin/v1/publishers/none.example/statement?from=x", None, 400, "query-malformed"),
        (Method::GET, "/admin/v1/publishers/none.example/statement?format=xml", None, 400, "query-malformed"),
        (Method::GET, "/admin/v1/publishers/none.example/statement?since=2026-01-01", None, 400, "query-malformed"),
        (Method::GET, "/admin/v1/payouts/none", None, 404, "payout-unknown"),
        (
            Method::POST,
            "/admin/v1/payouts",
            Some(json!({ "id": "r", "debtor": account, "minimum": 0, "fee_share": 1000 })),
            422,
            "payout-invalid",
        ),
        // Asked for again after midnight it would be another run.
        (Method::POST, "/admin/v1/payouts", Some(json!({ "debtor": account, "minimum": 0 })), 400, "body-malformed"),
        (Method::PUT, "/admin/v1/publishers/none.example/payee", Some(misspelt), 400, "body-malformed"),
        (Method::POST, "/admin/v1/keysets/7/retire", None, 404, "keyset-not-found"),
        (Method::POST, "/admin/v1/keysets/x/retire", None, 404, "keyset-not-found"),
        (Method::POST, "/admin/v1/keysets/0/denominations/3/freeze", None, 404, "keyset-not-found"),
        (Method::POST, "/admin/v1/keysets/prepare", Some(json!({ "hours": 0 })), 400, "body-malformed"),
        (Method::POST, "/admin/v1/keysets/publish", Some(json!({ "not": "a list" })), 422, "announcement-refused"),
        (Method::GET, "/admin/v1/none", None, 404, "not-found"),
        (Method::DELETE, "/admin/v1/status", None, 405, "method-not-allowed"),
    ];
    for (method, path, body, status, code) in cases {
        assert_eq!(refused(&desk.send(method.clone(), path, &[], body).await), (status, code.into()), "{method} {path}");
    }
    assert_eq!(world.balanced().await.sold.units(), 0);
    assert_eq!(desk.get("/admin/v1/publishers").await["publishers"], json!([]));
    world.hands.wall.store(30 * 86_400, std::sync::atomic::Ordering::SeqCst);
    let jumped = desk.order("k", 5, 1).await;
    assert_eq!(refused(&jumped), (503, "clock-jumped".into()));
    assert!(jumped.headers.contains_key("retry-after"));
    assert_eq!(desk.get("/admin/v1/clock").await["believed"], json!(false));
    assert_eq!(parsed(&desk.post("/admin/v1/clock/accept", None).await)["believed"], json!(true));
    assert_eq!(desk.order("k", 5, 1).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_are_added_paid_and_listed() {
    let mut world = World::new().await;
    let desk = Desk::of(&world).await;
    let added = parsed(&desk.post("/admin/v1/publishers", Some(json!({ "name": "News.Example" }))).await);
    assert_eq!(added, json!({ "name": "news.example", "balance": 0, "key": null, "payee": null }));
    let key = key_text(LoneKey::generate(&mut world.rng).public());
    let set = desk.send(Method::PUT, "/admin/v1/publishers/news.example/key", &[], Some(json!({ "key": key }))).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT);
    let account = json!({ "iban": "DE89 3704 0044 0532 0130 00", "name": "News", "address": { "town": "Bonn", "country": "de" } });
    let set = desk.send(Method::PUT, "/admin/v1/publishers/news.example/payee", &[], Some(account)).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT);
    let tokens = world.tokens(&[100_000, 100_000]).await;
    let (deposit, _) = world.pay(tokens, "news.example", 200_000);
    world.deposit(&[&deposit]).await;
    let shown = desk.get("/admin/v1/publishers/news.example").await;
    assert_eq!((&shown["balance"], &shown["key"]), (&json!(200_000), &json!(key)));
    assert_eq!(shown["payee"]["iban"], "DE89370400440532013000");
    assert_eq!(desk.get("/admin/v1/publishers").await["publishers"], json!([shown]));

    let statement = desk.get("/admin/v1/publishers/news.example/statement?from=2026-01-01").await;
    assert_eq!((&statement["closing"], &statement["lines"][0]["credited"]), (&json!(200_000), &json!(200_000)));
    let csv = desk.send(Method::GET, "/admin/v1/publishers/news.example/statement?format=csv", &[], None).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    let csv = String::from_utf8(csv.body.to_vec()).unwrap();
    assert!(csv.starts_with("day,credited,refunded,paid_out,balance\n") && csv.ends_with(",200000,0,0,200000\n"), "{csv}");

    let debtor = BankAccount { iban: "DE89370400440532013000".into(), name: "Mint".into(), address: None };
    let run = json!({ "id": "run-1", "debtor": debtor, "minimum": 100_000, "fee_share": 100 });
    let booked = parsed(&desk.post("/admin/v1/payouts", Some(run.clone())).await);
    assert_eq!((&booked["report"]["booked"], booked["files"].as_array().unwrap().len()), (&json!(true), 3));
    assert!(booked["files"][1]["content"].as_str().unwrap().contains("pain.001.001.09"));
    let again = parsed(&desk.post("/admin/v1/payouts", Some(run)).await);
    assert_eq!((&again["report"]["booked"], &again["files"]), (&json!(false), &booked["files"]));
    assert_eq!(desk.get("/admin/v1/payouts/run-1").await["files"], booked["files"]);
    let list = desk.get("/admin/v1/payouts").await;
    assert_eq!((&list["payouts"][0]["amount"], &list["payouts"][0]["fee"]), (&json!(180_000), &json!(20_000)));
    // The command line's call of the same library writes the same files.
    let out = world.path().join("out");
    let options = farthing_mint::PayoutOptions {
        id: Some("run-1".into()),
        debtor: debtor.clone(),
        minimum: farthing_protocol::amount::Amount::ZERO,
        fee_share: 0,
    };
    assert!(!world.mint.pay_out(options.clone(), &out).await.unwrap().booked);
    assert_eq!(std::fs::read_to_string(out.join("payout-run-1.xml")).unwrap(), booked["files"][1]["content"].as_str().unwrap());
    let status = desk.get("/admin/v1/status").await;
    assert_eq!((&status["paid_out"], &status["balanced"]), (&json!(180_000), &json!(true)));

    // A run whose files could not be written comes with the answers about others until somebody asks for its own id: an answer may be lost.
    let tokens = world.tokens(&[100_000]).await;
    let (deposit, _) = world.pay(tokens, "news.example", 100_000);
    world.deposit(&[&deposit]).await;
    let options = farthing_mint::PayoutOptions { id: Some("run-2".into()), ..options };
    assert!(world.mint.pay_out(options, &out.join("payout-run-1.xml")).await.is_err(), "that is no directory");
    let run = |id: &str| json!({ "id": id, "debtor": debtor, "minimum": 100_000 });
    let written = async |desk: &Desk| desk.get("/admin/v1/payouts").await["payouts"][1]["written"].clone();
    for _ in 0..2 {
        let lost = parsed(&desk.post("/admin/v1/payouts", Some(run("run-3"))).await);
        assert_eq!((&lost["files"][0]["run"], written(&desk).await), (&json!("run-2"), json!(false)));
    }
    assert_eq!(parsed(&desk.post("/admin/v1/payouts", Some(run("run-2"))).await)["files"][0]["run"], "run-2");
    assert_eq!(written(&desk).await, json!(true));
    assert_eq!(desk.get("/admin/v1/audit").await["differences"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keysets_are_announced_here_or_elsewhere_and_retired() {
    let world = World::new().await;
    let desk = Desk::of(&world).await;
    let list = desk.get("/admin/v1/keysets").await;
    assert_eq!((&list["keysets"][0]["window"], &list["ledger"]["spent"]), (&json!("issuing"), &json!(0)));
    let prepared = desk.post("/admin/v1/keysets/prepare", Some(json!({}))).await;
    let unsigned = farthing_mint::UnsignedKeyset::from_json(&prepared.body).unwrap();
    let signed = unsigned.sign(&std::fs::read(world.path().join("root.key")).unwrap()).unwrap();
    let signed: Value = serde_json::from_str(&signed.json).unwrap();
    let published = parsed(&desk.post("/admin/v1/keysets/publish", Some(signed.clone())).await);
    assert_eq!(published["number"], 1);
    assert_eq!(refused(&desk.post("/admin/v1/keysets/publish", Some(signed)).await), (422, "announcement-refused".into()));
    assert_eq!(refused(&desk.post("/admin/v1/keysets", None).await), (409, "keyset-already-announced".into()));
    for _ in 0..2 {
        assert_eq!(desk.post("/admin/v1/keysets/1/retire", None).await.status, StatusCode::NO_CONTENT);
    }
    assert!(desk.get("/admin/v1/keysets").await["keysets"][1]["retired"].is_u64());
    std::fs::rename(world.path().join("root.key"), world.path().join("elsewhere")).unwrap();
    world.hands.forward(5 * 86_400);
    assert_eq!(refused(&desk.post("/admin/v1/keysets", None).await), (409, "root-key-elsewhere".into()));
    std::fs::rename(world.path().join("elsewhere"), world.path().join("root.key")).unwrap();
    assert_eq!(parsed(&desk.post("/admin/v1/keysets", None).await)["number"], 2);
}
