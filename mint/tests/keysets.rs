//! The life of keysets over HTTP, with a clock the test moves: rotation, windows to the second, closing, retiring, wrong clocks.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Http, World, copy, eventually, serve};
use farthing_mint::{Clock, InitOptions, KeyProtection, KeysetSummary, Mint, MintError, MintOptions, Rotation};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::settle::{Outcome, Refusal};
use farthing_protocol::token::OwnedTokens;

const DAY: u64 = 86_400;

async fn world(options: MintOptions) -> World {
    let world = World::with(options).await;
    world.mint.add_publisher("news.example").await.unwrap();
    world
}

/// Another process on the same directory and clock.
async fn other(world: &World) -> Mint {
    Mint::open(world.path(), world.options.clone()).await.unwrap()
}

/// Waits until the serving mint has made it so.
async fn until(mint: &Mint, what: impl Fn(&[KeysetSummary]) -> bool) -> Vec<KeysetSummary> {
    let mut keysets = Vec::new();
    eventually("what the serving mint does by itself", async || {
        keysets = mint.keysets().await.unwrap();
        what(&keysets)
    })
    .await;
    keysets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyset_announced_by_another_process_issues_beside_the_old_one_without_a_restart() {
    let mut world = world(MintOptions::default()).await;
    let old = world.tokens(&[100]).await;
    let announced = other(&world).await.rotate().await.unwrap();
    assert!(announced.issue_from >= world.now() + DAY && announced.issue_from < world.now() + DAY + 3_600);
    assert_eq!((announced.number, announced.gap), (1, 0));
    assert_eq!(other(&world).await.rotate().await.err(), Some(MintError::AlreadyRotated));
    // The history is published, and followed by who knew less.
    eventually("that two keysets are published", async || {
        world.follow().await;
        world.list.keysets().len() == 2
    })
    .await;
    world.number = 1;
    let voucher = world.voucher(300).await;
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "keyset-not-issuing");
    world.hands.forward(DAY + 700);
    let new = world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    world.number = 0;
    let more = world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    // A payment of both keysets.
    let (mixed, _) = world.pay(old.into_iter().chain(new).collect(), "news.example", 200);
    assert!(matches!(world.deposit(&[&mixed]).await[0], Outcome::Credited { .. }));
    // Out of the old into the new.
    world.number = 1;
    let retired = OwnedTokens::new(more).unwrap().retire();
    assert_eq!(world.issue(&[100], &FundingKeys::Refresh(&retired)).await.unwrap().len(), 1);
    world.balanced().await;
    world.reopen().await;
    world.tokens(&[100]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automatic_rotation_never_lets_issuing_stop() {
    let rotation = Some(Rotation { lead: 14 * DAY, overlap: 7 * DAY });
    let mut world = world(MintOptions { rotation, ..MintOptions::default() }).await;
    let mut known = 1;
    for _ in 0..66 {
        world.hands.forward(4 * DAY);
        let now = world.now();
        // What is due within the lead has a successor a second later.
        let keysets = until(&world.mint, |keysets| keysets.last().unwrap().issue_until >= now + 14 * DAY).await;
        if keysets.len() > known {
            let [.., before, newest] = &keysets[..] else { panic!() };
            assert!(newest.issue_from <= before.issue_until && newest.issue_from >= newest.published + DAY);
            known = keysets.len();
        }
        let issuing: Vec<_> = keysets.iter().filter(|one| one.window == "issuing").map(|one| one.number).collect();
        assert!(matches!(issuing.len(), 1 | 2), "{issuing:?}");
        let number = issuing[0];
        // The serving process itself issues, from the list that it publishes.
        world.follow().await;
        world.number = usize::try_from(number).unwrap();
        world.tokens(&[1]).await;
    }
    assert_eq!(known, 4, "264 days of keysets that issue for 90 and overlap by 7");
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_keyset_stops_issuing_everywhere_and_its_tokens_stay_good() {
    let mut world = world(MintOptions::default()).await;
    let tokens = world.tokens(&[100, 200]).await;
    let voucher = world.voucher(100).await;
    let (_, waiting) = world.session(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let operator = other(&world).await;
    assert_eq!(operator.retire_keyset(1).await.err(), Some(MintError::NoSuchKeyset));
    operator.retire_keyset(0).await.unwrap();
    // At once, in a session that was open: the ledger says so.
    assert_eq!(world.http.post("/v1/issue", &waiting).await.code(), "keyset-not-issuing");
    until(&world.mint, |keysets| keysets[0].window == "retired").await;
    let voucher = world.voucher(100).await;
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "keyset-not-issuing");
    let (payment, _) = world.pay(tokens, "news.example", 300);
    assert!(matches!(world.deposit(&[&payment]).await[0], Outcome::Credited { .. }));
    world.balanced().await;
}

/// A clock that stands where it is put.
struct Standing {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl Standing {
    fn at(wall: u64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicU64::new(wall), monotonic: AtomicU64::new(0) })
    }

    /// Time passes.
    fn go(&self, wall: u64) {
        let before = self.wall.swap(wall, Ordering::SeqCst);
        self.monotonic.fetch_add(wall.saturating_sub(before), Ordering::SeqCst);
    }
}

impl Clock for Standing {
    fn wall(&self) -> Duration {
        Duration::from_secs(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.monotonic.load(Ordering::SeqCst))
    }
}

/// The same mint, served with another clock.
async fn with_clock(world: &mut World, clock: Arc<dyn Clock>) -> Mint {
    let mint = Mint::open(world.path(), MintOptions { clock, ..world.options.clone() }).await.unwrap();
    let router = mint.router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.http = Http::new(listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    mint
}

/// Named attack: clock forward and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_second_counts_and_the_next_does_not_whatever_the_clock_does_after() {
    let mut world = world(MintOptions::default()).await;
    let mut tokens = world.tokens(&[100, 100, 100, 100]).await.into_iter();
    let mut payment = |world: &mut World| world.pay_until(vec![tokens.next().unwrap()], "news.example", 100, u64::MAX).0;
    let (first, second, third, forth) = (payment(&mut world), payment(&mut world), payment(&mut world), payment(&mut world));
    let windows = *world.keyset().windows();
    let clock = Standing::at(world.now());
    let mint = with_clock(&mut world, clock.clone()).await;
    clock.go(windows.deposit_until - 1);
    assert!(matches!(world.deposit(&[&first]).await[0], Outcome::Credited { .. }));
    clock.go(windows.deposit_until);
    let closed = Outcome::Refused(Refusal::KeysetClosed);
    assert!(world.deposit(&[&second]).await[0] == closed);
    assert!(matches!(world.deposit(&[&first]).await[0], Outcome::AlreadyCredited { .. }));
    until(&mint, |keysets| serde_json::to_value(keysets[0].state).unwrap() == "closing").await;
    // Within a minute the service's time stands still; further back nothing is done at all.
    clock.wall.store(windows.deposit_until - 30, Ordering::SeqCst);
    assert!(world.deposit(&[&third]).await[0] == closed);
    clock.wall.store(windows.deposit_until - DAY, Ordering::SeqCst);
    assert_eq!(world.deposit_frame(&[&third], None).await.code(), "unavailable");
    // The operator may say that this is the time, and the keyset stays closed.
    assert!(mint.accept_clock().await.unwrap().believed);
    assert!(world.deposit(&[&forth]).await[0] == closed);
    assert!(mint.status().await.unwrap().balanced);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_wrong_is_put_right_by_the_operator_without_a_restart() {
    let mut world = world(MintOptions::default()).await;
    let voucher = world.voucher(1_000).await;
    let right = world.now();
    // A year ahead when the process starts: nothing is booked and nothing closed.
    let ahead = Standing::at(right + 365 * DAY);
    let mint = with_clock(&mut world, ahead.clone()).await;
    assert_eq!(world.session(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "unavailable");
    assert_eq!(world.http.get("/readyz", &[]).await.code(), "unavailable");
    assert_eq!(mint.create_vouchers(farthing_protocol::amount::Amount::from_units(1), 1).await.err(), Some(MintError::ClockJumped));
    assert_eq!(mint.rotate().await.err(), Some(MintError::ClockJumped));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(serde_json::to_value(mint.keysets().await.unwrap()[0].state).unwrap(), "open");
    assert!(!mint.clock().await.unwrap().believed);
    // Three days ahead, which nobody can tell from a rest: believed and recorded, and then in the way of the right time.
    let ahead = Standing::at(right + 3 * DAY);
    let mint = with_clock(&mut world, ahead.clone()).await;
    mint.create_vouchers(farthing_protocol::amount::Amount::from_units(1), 1).await.unwrap();
    ahead.wall.store(right + 60, Ordering::SeqCst);
    assert_eq!(world.http.get("/readyz", &[]).await.code(), "unavailable");
    // Another process hears the operator; the serving one takes it over.
    let operator = Mint::open(world.path(), MintOptions { keys: None, ..world.options.clone() }).await.unwrap();
    assert!(!operator.clock().await.unwrap().believed);
    assert!(operator.accept_clock().await.unwrap().believed);
    eventually("that the serving process takes the time over", async || world.http.get("/readyz", &[]).await.status.is_success()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_forgets_the_tokens_of_a_closed_keyset_and_nothing_else() {
    let mut world = world(MintOptions::default()).await;
    let tokens = world.tokens(&[100; 40]).await;
    let mut deposits = Vec::new();
    let copied = copy(&tokens[0]);
    for token in tokens {
        deposits.push(world.pay_until(vec![token], "news.example", 90, u64::MAX).0);
    }
    world.deposit(&deposits.iter().collect::<Vec<_>>()).await;
    let before = world.mint.ledger_size().await.unwrap();
    assert_eq!((before.spent, before.payments), (40, 40));
    world.hands.forward(270 * DAY);
    until(&world.mint, |keysets| keysets[0].window == "over" && !keysets[0].pruned).await;
    assert_eq!(world.mint.ledger_size().await.unwrap().spent, 40, "for a day they can still be looked up");
    world.hands.forward(DAY + 1);
    until(&world.mint, |keysets| keysets[0].pruned).await;
    let after = world.mint.ledger_size().await.unwrap();
    assert_eq!((after.spent, after.payments, after.sessions), (0, 40, before.sessions));
    // Who asks for what was booked hears it; who tries a token again, under another name, is refused.
    assert!(matches!(world.deposit(&[&deposits[3]]).await[0], Outcome::AlreadyCredited { .. }));
    let (again, _) = world.pay_until(vec![copied], "news.example", 80, u64::MAX);
    assert!(world.deposit(&[&again]).await[0] == Outcome::Refused(Refusal::KeysetClosed));
    assert_eq!(world.earned("news.example").await, 3_600);
    world.balanced().await;
    // The denomination keys are gone from the disk, the receipt key is not.
    eventually("that the keys are gone", async || {
        let keys = farthing_mint::signer::KeyFile::from_json(&std::fs::read(world.path().join("keys.json")).unwrap()).unwrap();
        assert_eq!(keys.keysets.len(), 1);
        keys.keysets[0].keys.is_empty()
    })
    .await;
    world.reopen().await;
    assert!(matches!(world.deposit(&[&deposits[4]]).await[0], Outcome::AlreadyCredited { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_keys_open_with_their_secret_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("mint");
    let secret = KeyProtection::passphrase("correct horse battery").unwrap();
    Mint::init(&data, InitOptions { protection: secret.clone(), ..InitOptions::default() }).await.unwrap();
    let open = |keys| Mint::open(&data, MintOptions { keys, ..MintOptions::default() });
    let wrong = KeyProtection::passphrase("correct horse batterie").unwrap();
    assert_eq!(open(Some(wrong)).await.err(), Some(MintError::WrongSecret));
    assert_eq!(open(Some(KeyProtection::Plain)).await.err(), Some(MintError::KeysSealed));
    let without = open(None).await.unwrap();
    assert!(without.status().await.unwrap().balanced);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(without.serve(listener, std::future::pending()).await.err(), Some(MintError::KeysWithheld));
    assert_eq!(without.rotate().await.err(), Some(MintError::KeysWithheld));

    // Rotation writes the file again; other bytes, same secret.
    let before = std::fs::read(data.join("keys.sealed")).unwrap();
    let mint = open(Some(secret.clone())).await.unwrap();
    mint.rotate().await.unwrap();
    let after = std::fs::read(data.join("keys.sealed")).unwrap();
    assert!(after.len() > before.len() && after[46..70] != before[46..70], "another nonce");
    let other = KeyProtection::key_file(&[9; 40]).unwrap();
    mint.seal_keys(other.clone()).await.unwrap();
    assert_eq!(open(Some(secret)).await.err(), Some(MintError::KeysSealed));
    assert_eq!(mint.seal_keys(KeyProtection::Plain).await.err().map(|_| ()), Some(()), "never unsealed");
    let mint = open(Some(other.clone())).await.unwrap();
    let (_, server) = serve(&mint).await;
    server.abort();
    // A file cut off or changed is never taken for another.
    let mut bytes = std::fs::read(data.join("keys.sealed")).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(data.join("keys.sealed"), bytes).unwrap();
    assert_eq!(open(Some(other)).await.err(), Some(MintError::WrongSecret));

    // Plain keys are sealed later, and the plain file is gone.
    let plain = dir.path().join("plain");
    Mint::init(&plain, InitOptions::default()).await.unwrap();
    let mint = Mint::open(&plain, MintOptions::default()).await.unwrap();
    mint.seal_keys(KeyProtection::key_file(&[5; 32]).unwrap()).await.unwrap();
    assert!(!plain.join("keys.json").exists() && farthing_mint::keys_are_sealed(&plain));
}
