//! Refunds, reclaims and restoring, over HTTP.

mod common;

use base64ct::{Base64UrlUnpadded, Encoding};
use common::{BINARY, World, copy, statement};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::{LoneKey, PaymentId};
use farthing_protocol::refund::{RefundOutcome, RefundRefusal, request, verify_answer};
use farthing_protocol::restore::{Bucket, MAX_SESSIONS, RestoredToken, find};
use farthing_protocol::settle::{Outcome, Refusal};
use farthing_protocol::token::OwnedTokens;
use farthing_protocol::wire::{RefundResponseFrame, RestoreBucketFrame};
use http::StatusCode;

/// A publisher with a registered key.
async fn publisher(world: &mut World, name: &str) -> LoneKey {
    let key = LoneKey::generate(&mut world.rng);
    world.mint.add_publisher(name).await.unwrap();
    world.mint.set_publisher_key(name, key.public()).await.unwrap();
    key
}

async fn refund(world: &mut World, payment: PaymentId, name: &str, key: &LoneKey) -> Result<RefundOutcome, String> {
    let frame = request(&world.root, payment, name, key, &mut world.rng).unwrap();
    let answer = world.http.post("/v1/refunds", &frame).await;
    if answer.status != StatusCode::OK {
        return Err(answer.code());
    }
    Ok(verify_answer(&answer.frame::<RefundResponseFrame>(), payment, &world.list).unwrap())
}

fn id(deposit: &Deposit) -> PaymentId {
    deposit.spending().payment_id()
}

#[tokio::test]
async fn a_refund_is_taken_back_once_by_whoever_paid() {
    let mut world = World::new().await;
    let key = publisher(&mut world, "news.example").await;
    let tokens = world.tokens(&[100, 500]).await;
    let stolen = copy(&tokens[1]);
    let deposit_by = world.now() + 3_600;
    let (deposit, used) = world.pay_until(tokens, "news.example", 550, deposit_by);
    let said = statement("news.example", 550, deposit_by);
    let reclaim = FundingKeys::Reclaim(&used, said);
    assert_eq!(refund(&mut world, id(&deposit), "news.example", &key).await, Ok(RefundOutcome::Refused(RefundRefusal::UnknownPayment)));
    world.deposit(&[&deposit]).await;
    assert_eq!(world.issue(&[50, 500], &reclaim).await.err().unwrap(), "reclaim-unavailable");

    assert_eq!(refund(&mut world, id(&deposit), "news.example", &key).await, Ok(RefundOutcome::Refunded));
    assert_eq!(refund(&mut world, id(&deposit), "news.example", &key).await, Ok(RefundOutcome::AlreadyRefunded));
    assert_eq!(world.earned("news.example").await, 0);
    assert_eq!(world.balanced().await.refunds_due.units(), 550);
    // Refund, then deposit again: nothing is booked, and the tokens are as spent as before.
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::Refunded));
    let retired = OwnedTokens::new(vec![stolen]).unwrap().retire();
    assert_eq!(world.issue(&[500], &FundingKeys::Refresh(&retired)).await.err().unwrap(), "token-spent");

    assert_eq!(world.issue(&[50], &reclaim).await.err().unwrap(), "issue-amount-mismatch");
    assert_eq!(world.issue(&[50, 500], &reclaim).await.unwrap().len(), 2);
    assert_eq!(world.issue(&[50, 500], &reclaim).await.err().unwrap(), "reclaim-unavailable");
    assert_eq!(refund(&mut world, id(&deposit), "news.example", &key).await, Ok(RefundOutcome::AlreadyRefunded));
    // The change is another matter.
    assert_eq!(world.issue(&[50], &FundingKeys::Change(&used, said)).await.unwrap().len(), 1);
    assert_eq!(world.issue(&[50], &FundingKeys::Change(&used, said)).await.err().unwrap(), "change-unavailable");
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::Refunded));
    let status = world.balanced().await;
    assert_eq!((status.outstanding.units(), status.refunds_due.units(), status.change_due.units()), (600, 0, 0));
}

/// Named attack: refund then re-deposit.
#[tokio::test]
async fn change_may_be_taken_before_the_refund_and_a_refunded_payment_still_proves_a_double_spend() {
    let mut world = World::new().await;
    let key = publisher(&mut world, "news.example").await;
    world.mint.add_publisher("blog.example").await.unwrap();
    let tokens = world.tokens(&[100]).await;
    let again = copy(&tokens[0]);
    let deposit_by = world.now() + 3_600;
    let (deposit, used) = world.pay_until(tokens, "news.example", 90, deposit_by);
    let said = statement("news.example", 90, deposit_by);
    world.deposit(&[&deposit]).await;
    world.issue(&[10], &FundingKeys::Change(&used, said)).await.unwrap();
    assert_eq!(refund(&mut world, id(&deposit), "news.example", &key).await, Ok(RefundOutcome::Refunded));
    let (second, _) = world.pay(vec![again], "blog.example", 100);
    assert!(matches!(world.deposit(&[&second]).await[0], Outcome::DoubleSpent(_)));
    world.issue(&[20, 20, 50], &FundingKeys::Reclaim(&used, said)).await.unwrap();
    assert_eq!(world.balanced().await.outstanding.units(), 100);
}

#[tokio::test]
async fn nobody_refunds_what_is_not_theirs() {
    let mut world = World::new().await;
    let key = publisher(&mut world, "news.example").await;
    let other = publisher(&mut world, "blog.example").await;
    world.mint.add_publisher("keyless.example").await.unwrap();
    let tokens = world.tokens(&[100]).await;
    let (deposit, _) = world.pay(tokens, "news.example", 100);
    world.deposit(&[&deposit]).await;
    let payment = id(&deposit);
    let invalid = Err("refund-invalid-proof".to_owned());
    assert_eq!(refund(&mut world, payment, "news.example", &other).await, invalid);
    assert_eq!(refund(&mut world, payment, "keyless.example", &key).await, invalid);
    assert_eq!(refund(&mut world, payment, "nobody.example", &key).await, invalid);
    assert_eq!(refund(&mut world, payment, &"n".repeat(261), &key).await, Err("refund-publisher-too-long".into()));
    let unknown = Ok(RefundOutcome::Refused(RefundRefusal::UnknownPayment));
    assert_eq!(refund(&mut world, payment, "blog.example", &other).await, unknown);
    assert_eq!(refund(&mut world, PaymentId([9; 32]), "news.example", &key).await, unknown);
    // A changed key takes over at once.
    world.mint.set_publisher_key("news.example", other.public()).await.unwrap();
    assert_eq!(refund(&mut world, payment, "news.example", &key).await, invalid);
    assert!(world.mint.set_publisher_key("nobody.example", other.public()).await.is_err());
    assert_eq!(world.earned("news.example").await, 100);
    assert_eq!(refund(&mut world, payment, "news.example", &other).await, Ok(RefundOutcome::Refunded));
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_refunds_and_one_of_many_reclaims_counts() {
    let mut world = World::new().await;
    let key = publisher(&mut world, "news.example").await;
    let tokens = world.tokens(&[100]).await;
    let deposit_by = world.now() + 3_600;
    let (deposit, used) = world.pay_until(tokens, "news.example", 100, deposit_by);
    let other = world.tokens(&[100]).await;
    let (kept, _) = world.pay(other, "news.example", 100);
    world.deposit(&[&deposit, &kept]).await;
    let frame = request(&world.root, id(&deposit), "news.example", &key, &mut world.rng).unwrap();
    let (first, second, third) = tokio::join!(
        world.http.post("/v1/refunds", &frame),
        world.http.post("/v1/refunds", &frame),
        world.http.post("/v1/refunds", &frame)
    );
    let outcomes: Vec<RefundOutcome> = [first, second, third]
        .into_iter()
        .map(|answer| verify_answer(&answer.frame::<RefundResponseFrame>(), id(&deposit), &world.list).unwrap())
        .collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == RefundOutcome::Refunded).count(), 1);
    assert_eq!(world.earned("news.example").await, 100, "debited once");
    // The same issue request again gets the same tokens, from another process too.
    let (pending, asked) = world.session(&[100], &FundingKeys::Reclaim(&used, statement("news.example", 100, deposit_by))).await.unwrap();
    let first = world.http.post("/v1/issue", &asked).await;
    world.reopen().await;
    let second = world.http.post("/v1/issue", &asked).await;
    assert_eq!(first.body, second.body);
    assert_eq!(pending.unblind(&second.frame()).unwrap().len(), 1);
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::Refunded));
    world.balanced().await;
}

#[tokio::test]
async fn tokens_come_back_from_seed_and_buckets() {
    let mut world = World::new().await;
    let voucher = world.voucher(10_000).await;
    let mut owned = Vec::new();
    for number in 0..70_u64 {
        let outputs: &[u64] = if number % 2 == 0 { &[1, 2, 5] } else { &[10] };
        owned.extend(world.issue(outputs, &FundingKeys::Voucher(&voucher)).await.unwrap());
        // Opened and forgotten: indices are used up, nothing is recorded.
        if number % 10 == 0 {
            let cancelled = world.session(&[1, 1], &FundingKeys::Voucher(&voucher)).await;
            let (_, request) = cancelled.unwrap();
            world.reopen().await;
            assert_eq!(world.http.post("/v1/issue", &request).await.code(), "session-gone");
        }
    }
    let keyset = world.keyset().clone();
    let mut restored: Vec<RestoredToken> = Vec::new();
    for bucket in 0..3_u64 {
        let answer = world.http.get(&format!("/v1/restore/0/{bucket}"), &[("accept", BINARY)]).await;
        let caching = answer.headers.get("cache-control").unwrap().to_str().unwrap().to_owned();
        let read = Bucket::from_frame(&answer.frame::<RestoreBucketFrame>(), keyset.id(), bucket).unwrap();
        assert_eq!(read.sessions().len(), [MAX_SESSIONS, 6, 0][usize::try_from(bucket).unwrap()]);
        assert_eq!((read.is_closed(), caching.contains("immutable")), (bucket == 0, bucket == 0));
        let hashes = read.sessions().iter().map(|session| *session.recovery()).collect();
        for (index, hash) in find(&world.seed, &world.root, 0, &hashes) {
            let session = read.sessions().iter().find(|session| *session.recovery() == hash).unwrap();
            restored.extend(session.restore(&world.seed, &world.root, &keyset, index).unwrap());
        }
    }
    let keys = |tokens: &mut dyn Iterator<Item = [u8; 32]>| tokens.collect::<std::collections::BTreeSet<_>>();
    let before = keys(&mut owned.iter().map(|token| token.token().spent_key().key));
    assert_eq!(keys(&mut restored.iter().map(|token| token.token().spent_key().key)), before);
    let some: Vec<RestoredToken> = restored.into_iter().filter(|token| token.token().denomination().units() == 5).take(20).collect();
    let retired = RestoredToken::retire(some).unwrap();
    assert_eq!(world.issue(&[100], &FundingKeys::Refresh(&retired)).await.unwrap().len(), 1);
    for path in ["/v1/restore/1/0", "/v1/restore/0/-1", "/v1/restore/0/01", "/v1/restore/x/0", "/v1/restore/99999999999/0"] {
        assert_eq!(world.http.get(path, &[]).await.code(), "not-found", "{path}");
    }
    let far = world.http.get(&format!("/v1/restore/0/{}", u64::MAX), &[("accept", BINARY)]).await;
    assert!(far.frame::<RestoreBucketFrame>().sessions.is_empty());
    assert!(world.http.get("/v1/restore/0/0", &[]).await.headers["content-type"] == "application/json");
    // Restored, then paid: only a wallet that breaks the rule can do it, and the mint sees what it would see of any second spending.
    let spent = owned.into_iter().find(|token| token.token().denomination().units() == 5).unwrap();
    world.mint.add_publisher("news.example").await.unwrap();
    let (deposit, _) = world.pay(vec![spent], "news.example", 5);
    let outcome = &world.deposit(&[&deposit]).await[0];
    assert!(matches!(outcome, Outcome::Refused(Refusal::Refreshed) | Outcome::Credited { .. }));
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publishers_key_is_told_to_whoever_checks_a_receipt() {
    let mut world = World::new().await;
    let key = publisher(&mut world, "news.example").await;
    world.mint.add_publisher("keyless.example").await.unwrap();
    let told = world.http.get("/v1/publishers/news.example", &[]).await;
    let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    let text = Base64UrlUnpadded::encode_string(key.public().as_bytes());
    assert_eq!(body, serde_json::json!({ "publisher": "news.example", "key": text }));
    assert_eq!(told.headers["cache-control"], "no-store");
    for name in ["keyless.example", "nobody.example", &"n".repeat(5_000)] {
        assert_eq!(world.http.get(&format!("/v1/publishers/{name}"), &[]).await.code(), "not-found");
    }
}
