//! What publishers cannot bring back to a restored mint: payouts of after the backup, and keysets announced since.

mod common;

use std::path::Path;
use std::process::Command;

use common::{BINARY, Http, JSON, World, copy, eventually};
use farthing_mint::{AdoptionError, BankAccount, Mint, MintError, MintOptions, PayoutOptions};
use farthing_protocol::amount::Amount;
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::settle::Outcome;
use farthing_protocol::wire::{DepositResponseFrame, Frame, KeysetListFrame};

const DAY: u64 = 86_400;

/// Runs the operator's binary; whether it succeeded, and what it said.
fn run(arguments: &[&str], data: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_farthing-mint")).args(arguments).arg("--data").arg(data).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned())
}

/// The world's mint begins again from a backup, in another directory and on another port.
async fn restore(world: &mut World, backup: &Path, to: &Path) -> tokio::task::JoinHandle<()> {
    Mint::restore(backup, to).await.unwrap();
    world.mint = Mint::open(to, world.options.clone()).await.unwrap();
    let (address, server) = common::serve(&world.mint).await;
    world.http = Http::new(address);
    server
}

fn credited(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Credited { .. })
}

fn account(name: &str) -> BankAccount {
    BankAccount { iban: "DE89370400440532013000".into(), name: name.into(), address: None }
}

/// Two publishers with accounts.
async fn add_publishers(world: &World) {
    for name in ["news.example", "blog.example"] {
        world.mint.add_publisher(name).await.unwrap();
        world.mint.set_payee(name, &account(name)).await.unwrap();
    }
}

/// Named attack: restored backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payouts_of_after_the_backup_are_booked_again_and_nobody_is_paid_twice() {
    let mut world = World::new().await;
    let place = tempfile::tempdir().unwrap();
    let [backup, restored, out, again] = ["backup", "restored", "out", "again"].map(|name| place.path().join(name));
    add_publishers(&world).await;
    let mut tokens = world.tokens(&[1_000, 2_000, 5_000, 10_000]).await;
    world.mint.back_up(&backup, false).await.unwrap();
    let (first, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 10_000);
    let (second, _) = world.pay(vec![tokens.pop().unwrap()], "blog.example", 5_000);
    let (third, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 2_000);
    assert!(world.deposit(&[&first, &second]).await.iter().all(credited));
    let order = |id: &str| PayoutOptions { id: Some(id.into()), debtor: account("The Mint"), minimum: Amount::ZERO, fee_share: 100 };
    let booked = world.mint.pay_out(order("2026-11"), &out).await.unwrap();
    assert_eq!(booked.written[0].payouts.len(), 2);
    assert!(world.deposit(&[&third]).await.iter().all(credited));
    let file = |name: &str| out.join(format!("payout-2026-11.{name}"));
    let saved = file("json");

    let server = restore(&mut world, &backup, &restored).await;
    let path = saved.to_str().unwrap();
    // Nothing is paid before the operator has said that everything came back.
    assert_eq!(world.mint.pay_out(order("2026-12"), &again).await.err(), Some(MintError::Restored));
    let (done, said) = run(&["payout", "adopt", path], &restored);
    assert!(!done && said.contains("payout-balance-short: ") && said.contains("blog.example, news.example"), "{said}");
    world.mint.begin_resync(true).await.unwrap();
    assert_eq!(world.mint.pay_out(order("2026-12"), &again).await.err(), Some(MintError::Resyncing));
    assert!(world.deposit(&[&second, &third]).await.iter().all(credited));
    let (done, said) = run(&["payout", "adopt", path], &restored);
    assert!(!done && said.contains("payout-balance-short: ") && !said.contains("blog.example"), "{said}");
    for without in [&["else.example"][..], &["news.example", "blog.example"]] {
        let arguments: Vec<&str> =
            ["payout", "adopt", path].into_iter().chain(without.iter().flat_map(|name| ["--without", name])).collect();
        let (done, said) = run(&arguments, &restored);
        assert!(!done && said.contains("payout-without-invalid: ") && said.contains(without[0]), "{said}");
    }
    assert!(world.deposit(&[&first]).await.iter().all(credited));

    // Neither an altered file nor another mint's.
    let bytes = std::fs::read(&saved).unwrap();
    let altered = String::from_utf8(bytes.clone()).unwrap().replace("9000", "8000");
    assert_eq!(world.mint.adopt_payout(altered.as_bytes(), &[]).await.err(), Some(MintError::Adoption(AdoptionError::Altered)));
    let other = World::new().await;
    assert_eq!(other.mint.adopt_payout(&bytes, &[]).await.err(), Some(MintError::Adoption(AdoptionError::OtherLedger)));
    let csv = std::fs::read(file("csv")).unwrap();
    assert_eq!(world.mint.adopt_payout(&csv, &[]).await.err(), Some(MintError::Adoption(AdoptionError::NotARun)));
    assert_eq!(world.mint.status().await.unwrap().paid_out, Amount::ZERO);

    let (done, said) = run(&["payout", "adopt", path], &restored);
    assert!(done && said.contains("booked again"), "{said}");
    let (done, said) = run(&["payout", "adopt", path, path], &restored);
    assert!(done && said.matches("booked already").count() == 2, "{said}");
    let status = world.balanced().await;
    assert_eq!((status.paid_out.units(), status.fees.units(), status.credits.units()), (14_000, 1_000, 2_000));
    world.mint.finish_resync(Amount::ZERO, false).await.unwrap();
    assert!(run(&["audit"], &restored).1.contains(" 0 differences"));

    // The same id writes the same files; another pays what was earned since, and no more.
    let report = world.mint.pay_out(order("2026-11"), &again).await.unwrap();
    assert!(!report.booked && report.written == booked.written);
    for kind in ["csv", "xml", "json"] {
        let name = format!("payout-2026-11.{kind}");
        assert_eq!(std::fs::read(again.join(&name)).unwrap(), std::fs::read(out.join(&name)).unwrap(), "{kind}");
    }
    let report = world.mint.pay_out(order("2026-12"), &again).await.unwrap();
    let paid: Vec<_> = report.written[0].payouts.iter().map(|one| (one.publisher.as_str(), one.credited.units())).collect();
    assert_eq!(paid, [("news.example", 2_000)]);
    world.balanced().await;
    server.abort();
}

/// A mint with a second keyset that issues, announced after the backup, and tokens of it.
struct Lost {
    world: World,
    place: tempfile::TempDir,
    tokens: Vec<farthing_protocol::token::OwnedToken>,
    /// As anybody may have saved it.
    list: KeysetListFrame,
}

impl Lost {
    async fn new() -> Self {
        let mut world = World::new().await;
        let place = tempfile::tempdir().unwrap();
        world.mint.add_publisher("news.example").await.unwrap();
        world.mint.back_up(&place.path().join("backup"), true).await.unwrap();
        world.mint.rotate().await.unwrap();
        world.hands.forward(DAY + 700);
        eventually("that the second keyset is published", async || {
            world.follow().await;
            world.list.keysets().len() == 2
        })
        .await;
        world.number = 1;
        let tokens = world.tokens(&[100, 200, 500]).await;
        let list = world.list.to_frame();
        Self { world, place, tokens, list }
    }

    async fn restore(&mut self) -> tokio::task::JoinHandle<()> {
        let (backup, to) = (self.place.path().join("backup"), self.place.path().join("restored"));
        restore(&mut self.world, &backup, &to).await
    }
}

/// Named attack: restored backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_announcement_comes_back_from_whoever_has_it_and_the_list_goes_on() {
    let mut lost = Lost::new().await;
    let server = lost.restore().await;
    let Lost { mut world, place, mut tokens, list } = lost;
    let restored = place.path().join("restored");
    let published: KeysetListFrame = world.http.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
    assert_eq!(published.keysets.len(), 1);
    // The mint knows that it may lack announcements before anybody asks, and makes none.
    assert_eq!(world.mint.rotate().await.err(), Some(MintError::Restored));
    assert_eq!(world.mint.prepare_keyset(DAY).await.err(), Some(MintError::Restored));
    assert_eq!(world.mint.publish_keyset(&serde_json::to_vec(&list).unwrap()).await.err(), Some(MintError::Restored));

    // What others sign, or contradicts the mint's own, is no evidence.
    let other = World::new().await;
    other.mint.rotate().await.unwrap();
    let foreign: KeysetListFrame = other.http.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
    let mut longer = foreign.clone();
    longer.keysets.extend(list.keysets.clone());
    assert_eq!(world.http.post("/v1/keysets", &longer).await.code(), "keyset-wrong-root");
    let mut twice = list.clone();
    twice.keysets.push(list.keysets[1].clone());
    assert_eq!(world.http.post("/v1/keysets", &twice).await.code(), "keyset-repeated-key");
    let shorter: KeysetListFrame = world.http.post("/v1/keysets", &published).await.frame();
    assert_eq!(shorter, published, "no news");
    assert_eq!(world.http.get("/readyz", &[]).await.status, http::StatusCode::OK);

    // A verifier's list is evidence of the loss, remembered across a restart.
    assert_eq!(world.http.post("/v1/keysets", &list).await.code(), "ledger-behind");
    assert_eq!(world.http.get("/readyz", &[]).await.code(), "ledger-behind");
    server.abort();
    drop(server.await);
    world.mint = Mint::open(&restored, world.options.clone()).await.unwrap();
    let (address, server) = common::serve(&world.mint).await;
    world.http = Http::new(address);
    let (fresh, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 500);
    assert_eq!(world.deposit_frame(&[&fresh], None).await.code(), "ledger-behind");
    assert!(run(&["resync", "status"], &restored).1.contains("a signed list of 2 keysets was shown"));

    // It was shown, so nobody has to say so; and what was shown is taken without being shown again.
    world.mint.begin_resync(false).await.unwrap();
    eventually("that the list is adopted", async || {
        let now: KeysetListFrame = world.http.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
        now == list
    })
    .await;
    assert!(world.deposit(&[&fresh]).await.iter().all(credited));
    // Its keys are lost with the ledger: it takes tokens back and issues none.
    eventually("that it issues no more", async || world.mint.keysets().await.unwrap()[1].window == "retired").await;
    world.mint.finish_resync(Amount::from_units(300), false).await.unwrap();
    let voucher = world.voucher(1_000).await;
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.err().unwrap(), "keyset-not-issuing");
    world.number = 0;
    assert_eq!(world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap().len(), 1);
    let (late, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 200);
    assert!(world.deposit(&[&late]).await.iter().all(credited), "up to the allowance");

    // The next number is the next one: whoever knew the longer list goes on.
    let announced = world.mint.rotate().await.unwrap();
    assert_eq!(announced.number, 2);
    let known = KeysetList::verify(&list, &world.root).unwrap();
    eventually("that the third keyset is published", async || {
        let now: KeysetListFrame = world.http.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
        now.keysets.len() == 3 && known.follow(&now).is_ok()
    })
    .await;
    world.balanced().await;
    assert!(run(&["audit"], &restored).1.contains(" 0 differences"));
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_of_a_forgotten_keyset_waits_and_a_saved_list_brings_it_back() {
    let mut lost = Lost::new().await;
    let (payment, _) = lost.world.pay(vec![copy(&lost.tokens[0])], "news.example", 100);
    let server = lost.restore().await;
    let Lost { mut world, place, list, .. } = lost;
    let restored = place.path().join("restored");
    let saved = place.path().join("keysets.json");
    std::fs::write(&saved, serde_json::to_vec(&list).unwrap()).unwrap();
    let (done, said) = run(&["keyset", "adopt", saved.to_str().unwrap()], &restored);
    assert!(!done && said.contains("begin first"), "{said}");
    // What is refused stays refused at its verifier: nothing is decided before the lost keysets are back.
    assert_eq!(world.deposit_frame(&[&payment], None).await.code(), "ledger-behind");
    world.mint.begin_resync(true).await.unwrap();
    assert_eq!(world.deposit_frame(&[&payment], None).await.code(), "resyncing");

    let (done, said) = run(&["keyset", "adopt", saved.to_str().unwrap()], &restored);
    assert!(done && said.contains("2 keysets"), "{said}");
    assert!(!run(&["keyset", "adopt", saved.to_str().unwrap()], &restored).0, "it has them all");
    eventually("that the payment is taken", async || {
        let answer = world.deposit_frame(&[&payment], None).await;
        answer.status == http::StatusCode::OK && world.outcomes(&answer.frame::<DepositResponseFrame>(), &[&payment]).iter().all(credited)
    })
    .await;
    // While resynchronising a list is taken at once, and the answer has it. JSON does as well.
    let answer = world.http.post_bytes("/v1/keysets", JSON, serde_json::to_vec(&list).unwrap()).await;
    assert_eq!(serde_json::from_slice::<KeysetListFrame>(&answer.body).unwrap().to_bytes(), list.to_bytes());
    assert_eq!(world.mint.finish_resync(Amount::ZERO, false).await.unwrap().standing, "in-step");
    world.balanced().await;
    world.number = 0;
    world.tokens(&[100]).await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_that_rotates_by_itself_announces_nothing_before_the_end_of_the_resynchronisation() {
    let mut world = World::with(MintOptions { rotation: Some(farthing_mint::Rotation::default()), ..MintOptions::default() }).await;
    let place = tempfile::tempdir().unwrap();
    let (backup, restored) = (place.path().join("backup"), place.path().join("restored"));
    world.mint.back_up(&backup, true).await.unwrap();
    world.hands.forward(80 * DAY);
    let server = restore(&mut world, &backup, &restored).await;
    world.mint.accept_clock().await.unwrap();
    let view = world.mint.resync_view().await.unwrap();
    assert_eq!((view.standing, view.state.restored), ("restored", true));
    // Two looks and more.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(world.mint.keysets().await.unwrap().len(), 1, "what it lacks may be what it would announce");
    world.mint.begin_resync(true).await.unwrap();
    world.mint.finish_resync(Amount::ZERO, false).await.unwrap();
    // A failure is not repeated every second.
    world.hands.forward(3_700);
    eventually("that a keyset is announced", async || world.mint.keysets().await.unwrap().len() == 2).await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restored_ledger_may_have_forgotten_is_refused_for_good_by_nobody() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let [backup, restored] = ["backup", "restored"].map(|name| place.path().join(name));
    world.mint.back_up(&backup, false).await.unwrap();
    world.mint.add_publisher("blog.example").await.unwrap();
    let mut tokens = world.tokens(&[100, 100, 200]).await;
    let (first, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 200);
    let (second, _) = world.pay(vec![tokens.pop().unwrap()], "blog.example", 100);
    let server = restore(&mut world, &backup, &restored).await;

    // All of these tokens were issued after the backup, and a refresh or a payment comes before anybody shows a mark.
    for payment in [&first, &second] {
        assert_eq!(world.deposit_frame(&[payment], None).await.code(), "ledger-behind");
    }
    let used = farthing_protocol::token::OwnedTokens::new(vec![copy(&tokens[0])]).unwrap().retire();
    assert_eq!(world.issue(&[100], &FundingKeys::Refresh(&used)).await.err().unwrap(), "ledger-behind");
    assert!(!run(&["status"], &restored).1.contains("FROZEN"));

    world.mint.begin_resync(true).await.unwrap();
    assert!(world.deposit(&[&first]).await.iter().all(credited));
    assert_eq!(world.deposit_frame(&[&second], None).await.code(), "resyncing", "nobody here is called that yet");
    world.mint.add_publisher("blog.example").await.unwrap();
    assert!(world.deposit(&[&second]).await.iter().all(credited));
    world.mint.finish_resync(Amount::from_units(100), false).await.unwrap();
    // The wallet's token was never in danger.
    assert_eq!(world.issue(&[100], &FundingKeys::Refresh(&used)).await.unwrap().len(), 1);
    world.balanced().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_whose_deposits_do_not_come_back_is_left_out_of_a_run_and_waits() {
    let mut world = World::new().await;
    let place = tempfile::tempdir().unwrap();
    let [backup, restored, out, again] = ["backup", "restored", "out", "again"].map(|name| place.path().join(name));
    add_publishers(&world).await;
    let mut tokens = world.tokens(&[1_000, 5_000, 10_000]).await;
    world.mint.back_up(&backup, false).await.unwrap();
    let (first, _) = world.pay(vec![tokens.pop().unwrap()], "news.example", 10_000);
    let (second, _) = world.pay(vec![tokens.pop().unwrap()], "blog.example", 5_000);
    let (third, _) = world.pay(vec![tokens.pop().unwrap()], "blog.example", 1_000);
    assert!(world.deposit(&[&first, &second]).await.iter().all(credited));
    let order = |id: &str| PayoutOptions { id: Some(id.into()), debtor: account("The Mint"), minimum: Amount::ZERO, fee_share: 0 };
    world.mint.pay_out(order("2026-11"), &out).await.unwrap();
    let saved = out.join("payout-2026-11.json");
    let path = saved.to_str().unwrap();

    // The second publisher was paid, and has kept nothing.
    let server = restore(&mut world, &backup, &restored).await;
    world.mint.begin_resync(true).await.unwrap();
    assert!(world.deposit(&[&first, &third]).await.iter().all(credited));
    let (done, said) = run(&["payout", "adopt", path], &restored);
    assert!(!done && said.contains("payout-balance-short: ") && said.contains("--without") && said.ends_with("blog.example\n"), "{said}");
    for how in ["booked again", "booked already"] {
        let (done, said) = run(&["payout", "adopt", path, "--without", "blog.example"], &restored);
        assert!(done && said.contains("1 publishers") && said.contains(how), "{said}");
    }
    let (done, said) = run(&["payout", "adopt", path], &restored);
    assert!(!done && said.contains("payout-differs: "), "{said}");
    world.mint.finish_resync(Amount::ZERO, false).await.unwrap();

    // Nobody is paid twice: one has nothing left, the other no account until the operator has settled with it.
    let report = world.mint.pay_out(order("2026-12"), &again).await.unwrap();
    assert!(!report.booked && report.without_account == ["blog.example"]);
    world.mint.set_payee("blog.example", &account("blog.example")).await.unwrap();
    let report = world.mint.pay_out(order("2026-12"), &again).await.unwrap();
    assert_eq!(report.written[0].payouts.iter().map(|one| one.credited.units()).collect::<Vec<_>>(), [1_000]);
    world.balanced().await;
    server.abort();
}
