//! The voucher shop's hook over real HTTP: who is believed, what is paid once, what is taken back, and that no code gets out.

mod common;

use std::sync::Arc;

use common::{Answer, Http, JSON, World};
use farthing_mint::admin::Tokens;
use farthing_mint::shop::{Shop, ShopSecrets};
use farthing_mint::{admin, shop};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::voucher::VoucherCode;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_5GnPZ1yW3d0XbA7vQeRt2uI9oLkJhGfD";
const TOKEN: &str = "the-shops-token-456789012345678901234567890123";

/// What the provider and the shop reach.
struct Counter {
    provider: Http,
    shop: Http,
    servers: Vec<tokio::task::JoinHandle<()>>,
}

impl Counter {
    async fn of(world: &World, test_events: bool) -> Self {
        let secrets = ShopSecrets::parse(format!("{OLD}\n{NEW}\n").as_bytes()).unwrap();
        let tokens = Tokens::parse(format!("orders {TOKEN}").as_bytes()).unwrap();
        let routers = [shop::router(Shop { mint: world.mint.clone(), secrets, test_events }), admin::router(world.mint.clone(), tokens)];
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for router in routers {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            clients.push(Http::new(listener.local_addr().unwrap()));
            let mint = world.mint.clone();
            servers.push(tokio::spawn(async move { mint.serve_beside(listener, router, std::future::pending()).await.unwrap() }));
        }
        Self { shop: clients.remove(1), provider: clients.remove(0), servers }
    }

    async fn deliver(&self, signature: &str, body: Vec<u8>) -> Answer {
        let headers = [("stripe-signature", signature), ("content-type", JSON)];
        self.provider.try_send(Method::POST, "/shop/v1/stripe", &headers, body).await.unwrap()
    }

    /// Delivers an event as the provider would now.
    async fn tell(&self, world: &World, event: &Value) -> String {
        let body = event.to_string().into_bytes();
        let answer = self.deliver(&signed(NEW, world.now(), &body), body).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.headers["cache-control"], "no-store");
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let reason = answer["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
        answer["outcome"].as_str().unwrap().to_owned() + &reason
    }

    async fn order(&self, checkout: &str) -> Answer {
        self.shop.get(&format!("/admin/v1/orders/{checkout}"), &[("authorization", &format!("Bearer {TOKEN}"))]).await
    }

    async fn paid(&self, checkout: &str) -> Value {
        let answer = self.order(checkout).await;
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.servers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn signature(secret: &str, time: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    base16ct::lower::encode_string(&mac.finalize().into_bytes())
}

fn signed(secret: &str, time: u64, body: &[u8]) -> String {
    format!("t={time},v1={}", signature(secret, time, body))
}

fn checkout(kind: &str, number: u32, cents: u64) -> Value {
    let object = json!({
        "id": format!("cs_live_{number}"), "object": "checkout.session", "mode": "payment", "payment_status": "paid",
        "amount_total": cents, "currency": "eur", "payment_intent": format!("pi_{number}"), "customer_details": { "email": "a@b.example" },
    });
    let id = format!("evt_{kind}_{number}");
    json!({ "id": id, "object": "event", "type": format!("checkout.session.{kind}"), "livemode": true, "data": { "object": object } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_checkout_becomes_one_voucher_that_pays() {
    let mut world = World::new().await;
    let counter = Arc::new(Counter::of(&world, false).await);
    assert_eq!(counter.order("cs_live_1").await.code(), "order-unknown");
    let event = checkout("completed", 1, 500);
    // The same event to many at once, and the session's other event.
    let mut tasks = tokio::task::JoinSet::new();
    for kind in ["completed", "async_payment_succeeded"].into_iter().cycle().take(8) {
        let (counter, body) = (counter.clone(), checkout(kind, 1, 500).to_string().into_bytes());
        let signature = signed(NEW, world.now(), &body);
        tasks.spawn(async move { counter.deliver(&signature, body).await.body });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| ***answer == *br#"{"outcome":"sold"}"#).count(), 1);
    assert_eq!(answers.iter().filter(|answer| ***answer == *br#"{"outcome":"sold-earlier"}"#).count(), 7);
    assert_eq!(counter.tell(&world, &event).await, "sold-earlier");
    assert_eq!(world.balanced().await.sold.units(), 500_000);
    let paid = counter.paid("cs_live_1").await;
    assert_eq!((&paid["amount"], &paid["currency"], &paid["reversed"]), (&json!(500_000), &json!("eur/100000"), &json!(0)));
    assert_eq!(counter.paid("cs_live_1").await, paid);
    let code = VoucherCode::parse(paid["code"].as_str().unwrap()).unwrap();
    world.issue(&[100_000; 5], &FundingKeys::Voucher(&code.key().unwrap())).await.unwrap();
    assert_eq!(counter.tell(&world, &event).await, "sold-earlier", "a spent voucher is no reason for another");
    assert_eq!(counter.tell(&world, &checkout("completed", 1, 600)).await, "refused order-differs");
    let mut other = checkout("completed", 2, 500);
    other["data"]["object"]["payment_intent"] = json!("pi_1");
    assert_eq!(counter.tell(&world, &other).await, "refused order-differs", "one payment, one voucher");
    // What names the checkout, the payment or the buyer is not in the ledger, and neither is the code.
    let ledger = std::fs::read(world.ledger_path()).unwrap();
    for secret in ["cs_live_1", "pi_1", "a@b.example", paid["code"].as_str().unwrap()] {
        assert!(!ledger.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    assert_eq!(world.balanced().await.sold.units(), 500_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_provider_is_believed_and_only_now() {
    let world = World::new().await;
    let counter = Counter::of(&world, false).await;
    let body = checkout("completed", 1, 500).to_string().into_bytes();
    let now = world.now();
    let mut changed = body.clone();
    changed[30] ^= 1;
    for (header, body, code) in [
        (signed("whsec_somebody_elses_secret_000000", now, &body), &body, "signature-invalid"),
        (signed(NEW, now, &body), &changed, "signature-invalid"),
        (format!("t={},v1={}", now + 1, signature(NEW, now, &body)), &body, "signature-invalid"),
        (format!("t={now},v0={}", signature(NEW, now, &body)), &body, "signature-invalid"),
        (String::new(), &body, "signature-invalid"),
        (signed(NEW, now - 400, &body), &body, "signature-stale"),
        (signed(NEW, now + 400, &body), &body, "signature-stale"),
    ] {
        let answer = counter.deliver(&header, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, code), "{header}");
    }
    let unsigned = counter.provider.try_send(Method::POST, "/shop/v1/stripe", &[], body.clone()).await.unwrap();
    assert_eq!(unsigned.code(), "signature-invalid");
    for malformed in ["", "[]", "{\"type\":\"checkout.session.completed\"}", "not json"] {
        let answer = counter.deliver(&signed(NEW, now, malformed.as_bytes()), malformed.into()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "event-malformed"), "{malformed}");
    }
    let mut bad = checkout("completed", 1, 500);
    bad["data"]["object"]["id"] = json!("has a space");
    let bad = bad.to_string().into_bytes();
    assert_eq!(counter.deliver(&signed(NEW, now, &bad), bad).await.code(), "event-malformed");
    assert_eq!(world.balanced().await.sold.units(), 0);
    assert_eq!(counter.provider.get("/shop/v1/stripe", &[]).await.code(), "method-not-allowed");
    for elsewhere in ["/admin/v1/status", "/v1/keysets", "/"] {
        assert_eq!(counter.provider.get(elsewhere, &[]).await.code(), "not-found");
    }
    // Both secrets are alive, and the provider signs with each of its own.
    let two = format!("t={now},v1={},v1={}", "0".repeat(64), signature(OLD, now, &body));
    assert_eq!(counter.deliver(&two, body.clone()).await.status, 200);
    world.hands.forward(301);
    assert_eq!(counter.deliver(&two, body).await.code(), "signature-stale", "a replay");
    world.hands.wall.store(30 * 86_400, std::sync::atomic::Ordering::SeqCst);
    let body = checkout("completed", 2, 500).to_string().into_bytes();
    let jumped = counter.deliver(&signed(NEW, world.now(), &body), body).await;
    assert_eq!((jumped.status.as_u16(), jumped.code().as_str()), (503, "clock-jumped"), "the provider tries again");
    assert_eq!(world.balanced().await.sold.units(), 500_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_this_mints_money_is_heard_and_makes_nothing() {
    let world = World::new().await;
    let counter = Counter::of(&world, false).await;
    let with = |path: &str, value: Value| {
        let mut event = checkout("completed", 1, 500);
        *event.pointer_mut(path).unwrap() = value;
        event
    };
    for (event, outcome) in [
        (with("/data/object/currency", json!("usd")), "refused other-currency"),
        (with("/data/object/amount_total", json!(0)), "refused zero-amount"),
        (with("/livemode", json!(false)), "refused test-event"),
        (with("/data/object/payment_status", json!("unpaid")), "ignored"),
        (with("/data/object/mode", json!("subscription")), "ignored"),
        (with("/type", json!("checkout.session.expired")), "ignored"),
        (with("/type", json!("invoice.paid")), "ignored"),
    ] {
        assert_eq!(counter.tell(&world, &event).await, outcome);
    }
    assert_eq!(counter.order("cs_live_1").await.code(), "order-unknown");
    assert_eq!(world.balanced().await.sold.units(), 0);
    let trial = Counter::of(&world, true).await;
    assert_eq!(trial.tell(&world, &with("/livemode", json!(false))).await, "sold");
    assert_eq!(world.balanced().await.sold.units(), 500_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_and_disputes_take_back_what_is_left() {
    let mut world = World::new().await;
    let counter = Counter::of(&world, false).await;
    let event = |kind: &str, object: Value| json!({ "id": "evt_r", "type": kind, "livemode": true, "data": { "object": object } });
    let refund = |cents: u64| event("charge.refunded", json!({ "currency": "eur", "amount_refunded": cents, "payment_intent": "pi_1" }));
    assert_eq!(counter.tell(&world, &checkout("completed", 1, 500)).await, "sold");
    for _ in 0..2 {
        assert_eq!(counter.tell(&world, &refund(200)).await, "reversed");
    }
    assert_eq!(counter.paid("cs_live_1").await["reversed"], 200_000);
    let code = VoucherCode::parse(counter.paid("cs_live_1").await["code"].as_str().unwrap()).unwrap();
    world.issue(&[50_000, 100_000], &FundingKeys::Voucher(&code.key().unwrap())).await.unwrap();
    let status = world.balanced().await;
    assert_eq!((status.sold.units(), status.vouchers.units(), status.outstanding.units()), (300_000, 150_000, 150_000));
    let dispute = event("charge.dispute.created", json!({ "id": "dp_1", "payment_intent": "pi_1" }));
    for _ in 0..2 {
        assert_eq!(counter.tell(&world, &dispute).await, "reversed");
    }
    let status = world.balanced().await;
    assert_eq!((status.sold.units(), status.vouchers.units(), status.outstanding.units()), (150_000, 0, 150_000));
    let spent = world.issue(&[1_000], &FundingKeys::Voucher(&code.key().unwrap())).await;
    assert_eq!(spent.err(), Some("voucher-insufficient".into()));
    // Told in the wrong order: nothing is left to be had in between.
    let early = event("charge.refunded", json!({ "currency": "eur", "amount_refunded": 500, "payment_intent": "pi_2" }));
    assert_eq!(counter.tell(&world, &early).await, "reversed");
    assert_eq!(counter.tell(&world, &checkout("completed", 2, 500)).await, "sold");
    assert_eq!(counter.paid("cs_live_2").await["reversed"], 500_000);
    assert_eq!(world.balanced().await.sold.units(), 150_000);
}
