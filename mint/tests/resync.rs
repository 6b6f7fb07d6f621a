//! A mint that was restored from a backup, and what its publishers bring back.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Http, World, copy};
use farthing_mint::{Mint, MintError, MintOptions};
use farthing_protocol::amount::Amount;
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::payment::Deposit;
use farthing_protocol::settle::{Outcome, Refusal};
use farthing_protocol::token::OwnedTokens;
use farthing_protocol::wire::{DepositResponseFrame, LedgerMark};

/// Runs the operator's binary; whether it succeeded, and what it said.
fn run(arguments: &[&str], data: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_farthing-mint")).args(arguments).arg("--data").arg(data).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned())
}

/// A serving process, killed when dropped.
struct Serving(Child, Http);

impl Serving {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-mint"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, Http::new(line.trim().strip_prefix("serving on http://").unwrap().parse().unwrap()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn credited(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Credited { .. })
}

/// Deposits, as soon as the mint takes deposits.
async fn redeposit(world: &World, deposits: &[&Deposit], seen: LedgerMark) -> (Vec<Outcome>, LedgerMark) {
    loop {
        let answer = world.deposit_frame(deposits, Some(seen)).await;
        if answer.status == http::StatusCode::OK {
            let frame: DepositResponseFrame = answer.frame();
            return (world.outcomes(&frame, deposits), frame.mark);
        }
        assert_eq!(answer.code(), "ledger-behind");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Named attack: restored backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_mint_catches_up_from_its_publishers() {
    let mut world = World::new().await;
    for publisher in ["news.example", "blog.example"] {
        world.mint.add_publisher(publisher).await.unwrap();
    }
    let mut old = world.tokens(&[100, 200, 500]).await;
    let (first, _) = world.pay(vec![old.pop().unwrap()], "news.example", 500);
    world.deposit(&[&first]).await;
    let place = tempfile::tempdir().unwrap();
    let (backup, restored) = (place.path().join("backup"), place.path().join("restored"));
    assert!(run(&["backup", backup.to_str().unwrap()], world.path()).0);

    // What the backup does not know: payments of tokens old and new, and new tokens in a wallet.
    let mut new = world.tokens(&[100, 100, 500, 1_000]).await;
    let (second, _) = world.pay(vec![old.pop().unwrap()], "news.example", 150);
    let (third, _) = world.pay(vec![new.pop().unwrap()], "blog.example", 1_000);
    let stolen = copy(&new[0]);
    let (fourth, _) = world.pay(vec![new.remove(0)], "news.example", 100);
    world.deposit(&[&second, &third]).await;
    let seen = world.deposit_frame(&[&fourth], None).await.frame::<DepositResponseFrame>().mark;
    let earned = [world.earned("news.example").await, world.earned("blog.example").await];
    assert_eq!(earned, [750, 1_000]);

    let (done, said) = run(&["restore", backup.to_str().unwrap()], &restored);
    assert!(done, "{said}");
    let serving = Serving::start(&restored);
    world.http = serving.1.clone();
    world.mint = Mint::open(&restored, MintOptions { keys: None, ..MintOptions::default() }).await.unwrap();
    assert_eq!(world.deposit_frame(&[&second], Some(seen)).await.code(), "ledger-behind");
    // A restart does not forget, and nobody needs to show it again.
    drop(serving);
    let serving = Serving::start(&restored);
    world.http = serving.1.clone();
    assert_eq!(world.deposit_frame(&[&second], None).await.code(), "ledger-behind");
    let (done, said) = run(&["voucher", "create", "--amount", "1.00"], &restored);
    assert!(!done && said.contains("resync status"), "{said}");
    assert!(run(&["resync", "status"], &restored).1.starts_with("behind"));

    assert!(run(&["resync", "begin"], &restored).0);
    let (outcomes, _) = redeposit(&world, &[&first, &second, &fourth], seen).await;
    assert!(matches!(outcomes[0], Outcome::AlreadyCredited { .. }) && credited(&outcomes[1]) && credited(&outcomes[2]));
    assert!(credited(&redeposit(&world, &[&third], seen).await.0[0]));
    assert_eq!([world.earned("news.example").await, world.earned("blog.example").await], earned);
    let (again, _) = world.pay(vec![stolen], "blog.example", 100);
    assert!(matches!(redeposit(&world, &[&again], seen).await.0[0], Outcome::DoubleSpent(_)), "what came back is spent");
    let used = OwnedTokens::new(vec![copy(&new[0])]).unwrap().retire();
    assert_eq!(world.issue(&[100], &FundingKeys::Refresh(&used)).await.err().unwrap(), "resyncing");
    assert!(!run(&["voucher", "create", "--amount", "1.00"], &restored).0);
    assert_eq!(world.http.get("/readyz", &[]).await.status, http::StatusCode::OK, "publishers are sent here");
    let (_, said) = run(&["resync", "status"], &restored);
    assert!(said.starts_with("resyncing") && said.contains("blog.example"), "{said}");

    let (done, said) = run(&["resync", "finish", "--allow", "0.006"], &restored);
    assert!(done && said.contains("in-step") && said.contains("DO NOT PAY OUT"), "{said}");
    assert!(!run(&["resync", "finish", "--allow", "0.006"], &restored).0);
    // Verifiers go on without a change, and the wallet's tokens of after the backup pay.
    let (fifth, _) = world.pay(vec![new.pop().unwrap()], "blog.example", 500);
    let (sixth, _) = world.pay(vec![new.pop().unwrap()], "blog.example", 100);
    let (outcomes, mark) = redeposit(&world, &[&fifth, &sixth], seen).await;
    assert!(outcomes.iter().all(credited));
    assert!(mark.sequence > seen.sequence);
    let status = world.balanced().await;
    assert_eq!((status.recovered.units(), status.sold.units()), (1_600, 800));
    // The allowance is used up: what comes back now and was never issued is stopped.
    let (last, _) = world.pay(vec![old.pop().unwrap()], "blog.example", 100);
    assert!(matches!(redeposit(&world, &[&last], mark).await.0[0], Outcome::Refused(Refusal::Frozen)));
    assert!(run(&["audit"], &restored).1.contains(" 0 differences"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_payments_come_back_only_while_the_ledger_catches_up() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let (backup, restored) = (place.path().join("backup"), place.path().join("restored"));
    world.mint.back_up(&backup, false).await.unwrap();
    let tokens = world.tokens(&[100, 100, 100]).await;
    let mut deposits = Vec::new();
    for token in tokens {
        let until = world.now() + 600;
        let (deposit, _) = world.pay_until(vec![token], "news.example", 100, until);
        assert!(credited(&world.deposit(&[&deposit]).await[0]));
        deposits.push(deposit);
    }
    world.hands.forward(700);
    Mint::restore(&backup, &restored).await.unwrap();
    let mint = Mint::open(&restored, world.options.clone()).await.unwrap();
    let (address, server) = common::serve(&mint).await;
    (world.http, world.mint) = (Http::new(address), mint);
    let late = |outcome: &Outcome| matches!(outcome, Outcome::Refused(Refusal::Late));
    assert!(late(&world.deposit(&[&deposits[0]]).await[0]), "nobody has said that this ledger was restored");
    assert!(matches!(world.mint.begin_resync(false).await, Err(MintError::Resync(_))));
    world.mint.begin_resync(true).await.unwrap();
    assert!(credited(&world.deposit(&[&deposits[0]]).await[0]));
    assert_eq!(world.mint.create_vouchers(Amount::from_units(1), 1).await.err(), Some(MintError::Resyncing));
    assert!(matches!(world.mint.close_books().await, Err(MintError::Resyncing)));
    let view = world.mint.finish_resync(Amount::ZERO, false).await.unwrap();
    assert_eq!((view.standing, view.resynced[0].payments), ("in-step", 1));
    assert!(late(&world.deposit(&[&deposits[1]]).await[0]));
    // Who comes too late needs the operator's word once more.
    world.mint.begin_resync(true).await.unwrap();
    assert!(world.deposit(&[&deposits[1], &deposits[2]]).await.iter().all(credited));
    world.mint.finish_resync(Amount::ZERO, false).await.unwrap();
    assert_eq!(world.earned("news.example").await, 300);
    assert_eq!(world.balanced().await.recovered.units(), 300);
    assert_eq!(world.mint.close_books().await.unwrap().map(|close| close.number), Some(1));
    server.abort();
}
