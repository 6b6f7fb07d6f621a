//! Money out: runs that are booked once, files made from the ledger alone, statements, and an audit that names what differs.

mod common;

use std::path::Path;
use std::process::Command;

use common::World;
use farthing_mint::{Address, BankAccount, MintError, PayoutOptions};
use farthing_protocol::amount::Amount;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

const IBAN: &str = "DE89370400440532013000";

fn account(name: &str) -> BankAccount {
    BankAccount { iban: IBAN.into(), name: name.into(), address: None }
}

fn order(id: &str) -> PayoutOptions {
    PayoutOptions { id: Some(id.into()), debtor: account("The Mint"), minimum: Amount::from_units(1_000), fee_share: 25 }
}

/// Two publishers have earned 1.23456 and 0.00999 EUR; only the first has an account.
async fn earned() -> World {
    let mut world = World::new().await;
    for (name, units, change) in [("news.example", 123_456, 44), ("blog.example", 999, 1)] {
        world.mint.add_publisher(name).await.unwrap();
        let parts = if units > 1_000 { vec![500, 1_000, 2_000, 20_000, 100_000] } else { vec![1_000] };
        let tokens = world.tokens(&parts).await;
        let (deposit, _) = world.pay(tokens, name, units);
        assert_eq!(deposit.payment().change().units(), change);
        world.deposit(&[&deposit]).await;
    }
    let address = Address { street: None, postcode: Some("10115".into()), town: "Berlin".into(), country: "de".into() };
    let payee = BankAccount { address: Some(address), ..account("News & Sons") };
    assert!(matches!(world.mint.set_payee("news.example", &payee).await, Err(MintError::BankAccount(_))), "no bank takes an ampersand");
    let payee = BankAccount { name: "News, Daughters and Sons".into(), iban: "de89 3704 0044 0532 0130 00".into(), ..payee };
    world.mint.set_payee("news.example", &payee).await.unwrap();
    assert_eq!(world.mint.set_payee("nobody.example", &payee).await, Err(MintError::PublisherName));
    world
}

fn files(dir: &Path, id: &str) -> (String, String) {
    let read = |kind: &str| std::fs::read_to_string(dir.join(format!("payout-{id}.{kind}"))).unwrap();
    (read("xml"), read("csv"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_booked_once_and_its_files_are_the_same_for_ever() {
    let world = earned().await;
    let out = world.path().join("out");
    let report = world.mint.pay_out(order("2026-11"), &out).await.unwrap();
    assert!(report.booked);
    assert_eq!(report.without_account, ["blog.example"]);
    let payout = &report.written[0].payouts[0];
    // 123 cents less 3 of 3.075; 0.456 cents stay.
    assert_eq!((payout.credited.units(), payout.fee.units(), payout.amount.units()), (123_000, 3_000, 120_000));
    assert_eq!(world.earned("news.example").await, 456);
    world.balanced().await;

    let (xml, csv) = files(&out, "2026-11");
    for part in [
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">",
        "<NbOfTxs>1</NbOfTxs>\n<CtrlSum>1.20</CtrlSum>",
        "<InstdAmt Ccy=\"EUR\">1.20</InstdAmt>",
        "<Nm>News, Daughters and Sons</Nm>\n<PstlAdr>\n<PstCd>10115</PstCd>\n<TwnNm>Berlin</TwnNm>\n<Ctry>DE</Ctry>\n</PstlAdr>",
        "<IBAN>DE89370400440532013000</IBAN>",
        "<Nm>The Mint</Nm>",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    assert_eq!(xml.matches("<CdtTrfTxInf>").count(), 1);
    let end_to_end = xml.split("<EndToEndId>").nth(1).unwrap().split('<').next().unwrap();
    assert!(end_to_end.len() <= 35 && csv.contains(&format!("\"{end_to_end}\"")));
    assert!(csv.ends_with("\"DE89370400440532013000\",EUR,1.23,0.03,1.20\n"), "{csv}");

    // Again, elsewhere, with other terms, after a restart: the ledger's run stands.
    let mut world = world;
    world.reopen().await;
    world.mint.set_payee("news.example", &account("Somebody else")).await.unwrap();
    let other = world.path().join("other");
    let again = world.mint.pay_out(PayoutOptions { fee_share: 999, debtor: account("Another"), ..order("2026-11") }, &other).await.unwrap();
    assert!(!again.booked && again.written == report.written);
    assert_eq!(files(&other, "2026-11"), (xml.clone(), csv));
    assert!(!world.mint.pay_out(order("2026-11"), &out).await.unwrap().booked, "beside its own files");
    // What is not this run's file is not overwritten.
    std::fs::write(out.join("payout-2026-11.xml"), "another").unwrap();
    assert!(matches!(world.mint.pay_out(order("2026-11"), &out).await, Err(MintError::File(_, std::io::ErrorKind::AlreadyExists))));
    // The rest waits for more.
    let next = world.mint.pay_out(order("2026-12"), &out).await.unwrap();
    assert!(!next.booked && next.written.is_empty());
    world.balanced().await;
    for wrong in ["", "../x", "12345678901234567"] {
        assert!(matches!(world.mint.pay_out(order(wrong), &out).await, Err(MintError::Payout(_))), "{wrong}");
    }

    let statement = world.mint.statement("news.example", None, None).await.unwrap().unwrap();
    let line = &statement.lines[0];
    assert_eq!(statement.lines.len(), 1);
    assert_eq!((line.credited.units(), line.refunded.units(), line.paid_out.units()), (123_456, 0, 123_000));
    assert_eq!((statement.opening.units(), statement.closing.units()), (0, 456));
    let after = world.mint.statement("news.example", Some("9999-01-01"), None).await.unwrap().unwrap();
    assert_eq!((after.opening.units(), after.lines.len(), after.closing.units()), (456, 0, 456));
    assert_eq!(world.mint.statement("news.example", Some("2026-02-30"), None).await, Err(MintError::Day));
    assert_eq!(world.mint.statement("nobody.example", None, None).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_cut_off_before_its_files_is_finished_by_the_next() {
    let world = earned().await;
    let blocked = world.path().join("blocked");
    std::fs::write(&blocked, "a file where the directory should be").unwrap();
    assert!(matches!(world.mint.pay_out(order("one"), &blocked).await, Err(MintError::File(..))));
    assert_eq!(world.earned("news.example").await, 456, "booked all the same");
    world.balanced().await;
    // Even under another id, as when the date has changed meanwhile.
    let out = world.path().join("out");
    let report = world.mint.pay_out(order("two"), &out).await.unwrap();
    assert!(!report.booked);
    assert_eq!(report.written.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["one"]);
    let first = files(&out, "one");
    std::fs::remove_dir_all(&out).unwrap();
    world.mint.pay_out(order("one"), &out).await.unwrap();
    assert_eq!(files(&out, "one"), first);
}

fn audit(data: &Path) -> (bool, serde_json::Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_farthing-mint")).args(["audit", "--json", "--data"]).arg(data).output().unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_names_what_differs_and_the_journal_stays() {
    let world = earned().await;
    let (good, report) = audit(world.path());
    assert!(good, "{report}");
    let mut file = SqliteConnectOptions::new().filename(world.ledger_path()).foreign_keys(false).connect().await.unwrap();
    for (damage, repair, what) in [
        ("UPDATE mint SET sold = sold + 1", "UPDATE mint SET sold = sold - 1", "sold"),
        (
            "UPDATE publisher SET balance = balance + 1 WHERE name = 'blog.example'",
            "UPDATE publisher SET balance = balance - 1 WHERE name = 'blog.example'",
            "publisher:blog.example",
        ),
        (
            "UPDATE counter SET issued = issued + 1 WHERE denomination = 500",
            "UPDATE counter SET issued = issued - 1 WHERE denomination = 500",
            "tokens:0",
        ),
        ("UPDATE payment SET taken = 1 WHERE change = 44", "UPDATE payment SET taken = 0 WHERE change = 44", "change-due"),
    ] {
        sqlx::query(damage).execute(&mut file).await.unwrap();
        let (good, report) = audit(world.path());
        let named = report["differences"].as_array().unwrap().iter().any(|one| one["what"] == what);
        assert!(!good && named, "{what}: {report}");
        sqlx::query(repair).execute(&mut file).await.unwrap();
    }
    for change in [
        "UPDATE entry SET debit = debit + 1",
        "DELETE FROM entry",
        "DELETE FROM booking",
        "UPDATE booking SET time = 0",
        "INSERT INTO entry VALUES (1, 'fees', 1, 1)",
        "INSERT INTO booking VALUES (1000, 0)",
    ] {
        assert!(sqlx::query(change).execute(&mut file).await.is_err(), "{change}");
    }
    assert!(audit(world.path()).0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_from_before_the_books_gets_them() {
    let mut world = earned().await;
    let mut file = SqliteConnectOptions::new().filename(world.ledger_path()).foreign_keys(false).connect().await.unwrap();
    for table in ["payout", "payout_run", "payee", "entry", "booking"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TABLE {table}"))).execute(&mut file).await.unwrap();
    }
    file.close().await.unwrap();
    world.reopen().await;
    world.balanced().await;
    assert_eq!(world.mint.audit().await.unwrap().bookings, 1);
    world.tokens(&[100]).await;
    world.balanced().await;
}
