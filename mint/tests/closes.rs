//! Daily closes of a real mint: by the operator's binary, by the serving mint after midnight, and what a changed ledger shows.

mod common;

use std::process::{Command, Output};
use std::time::Duration;

use common::World;
use farthing_mint::{Close, Difference, MintError};
use farthing_protocol::amount::Amount;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

const DAY: u64 = 86_400;

fn books(world: &World, arguments: &[&str]) -> Output {
    let data = world.path().to_str().unwrap();
    Command::new(env!("CARGO_BIN_EXE_farthing-mint")).arg("books").args(arguments).args(["--data", data]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Behind the mint's back.
async fn tamper(world: &World, sql: &str) {
    let mut ledger = SqliteConnectOptions::new().filename(world.ledger_path()).connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
}

async fn sell(world: &World, units: u64) {
    world.mint.create_vouchers(Amount::from_units(units), 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_closes_and_shows_the_books() {
    let mut world = World::new().await;
    assert!(said(&books(&world, &["close"])).starts_with("nothing to close"));
    world.mint.add_publisher("news.example").await.unwrap();
    let tokens = world.tokens(&[100]).await;
    let (deposit, _) = world.pay(tokens, "news.example", 60);
    world.deposit(&[&deposit]).await;
    let output = books(&world, &["close", "--json"]);
    let close: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((close["number"].as_u64(), close["first_booking"].as_u64(), close["last_booking"].as_u64()), (Some(1), Some(1), Some(3)));
    assert!(said(&books(&world, &["close", "--json"])).contains("\"nothing\":true"));
    let digest = close["digest"].as_str().unwrap();
    assert!(said(&books(&world, &["closes", "--csv"])).contains(digest));
    assert!(said(&books(&world, &["closes"])).contains(digest));
    let shown = said(&books(&world, &["show", "1", "--csv"]));
    let expected = ["change-due,0,40,40", "publisher:news.example,0,60,60", "sold,100,0,100", "tokens:0,100,100,0", "vouchers,100,100,0"];
    assert_eq!(shown.lines().skip(1).collect::<Vec<_>>(), expected);
    let table = said(&books(&world, &["show", "1"]));
    assert_eq!(table.lines().last().unwrap().split_whitespace().collect::<Vec<_>>(), ["300", "300"], "debits and credits balance");
    assert!(!books(&world, &["show", "2"]).status.success());
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serving_mint_closes_after_midnight() {
    let world = World::new().await;
    sell(&world, 100).await;
    assert!(world.mint.book_closes().await.unwrap().is_empty());
    let today = world.now() / DAY;
    world.hands.forward(DAY);
    let close: Close = loop {
        if let Some(close) = world.mint.book_closes().await.unwrap().into_iter().next() {
            break close;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(close.day >= today, "the day that ended, or, if midnight has passed meanwhile, the next");
    assert_eq!((close.number, close.first_booking), (1, 1));
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_changed_after_its_close_shows() {
    let world = World::new().await;
    for units in [100, 200] {
        sell(&world, units).await;
        world.mint.close_books().await.unwrap().unwrap();
    }
    let audit = async || world.mint.audit().await.unwrap().differences;
    assert_eq!(audit().await, []);
    let names = |differences: &[Difference]| differences.iter().map(|one| one.what.clone()).collect::<Vec<_>>();
    // Journal and tables are changed together, so that only the close still knows.
    tamper(
        &world,
        "DROP TRIGGER entry_stays; UPDATE entry SET debit = debit + 7 * (debit > 0), credit = credit + 7 * (credit > 0) WHERE booking = 1;
         UPDATE mint SET sold = sold + 7; UPDATE voucher SET balance = balance + 7 WHERE balance = 100",
    )
    .await;
    let found = names(&audit().await);
    for what in ["close 1: debits of sold", "close 1: credits of vouchers", "close 1: balance of sold", "close 1: digest"] {
        assert!(found.iter().any(|name| name == what), "{what} in {found:?}");
    }
    assert!(found.iter().all(|name| name.starts_with("close ")), "{found:?}");
    assert!(matches!(world.mint.close_books().await, Ok(None)), "there is nothing to close");
    sell(&world, 1).await;
    assert_eq!(world.mint.close_books().await, Err(MintError::BooksDiffer), "no close goes on from there");
    assert_eq!(world.mint.book_closes().await.unwrap().len(), 2);
    // The close is changed too: its digest no longer fits.
    tamper(
        &world,
        "DROP TRIGGER close_total_stays; UPDATE close_total SET balance = balance + 7;
         UPDATE close_total SET debit = debit + 7 * (debit > 0), credit = credit + 7 * (credit > 0) WHERE close = 1",
    )
    .await;
    assert_eq!(names(&audit().await), ["close 1: digest", "close 2: digest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_differs_is_not_closed() {
    let world = World::new().await;
    sell(&world, 100).await;
    tamper(&world, "UPDATE voucher SET balance = balance - 1").await;
    let output = books(&world, &["close"]);
    assert!(!output.status.success() && said(&output).contains("the books differ"), "{}", said(&output));
    assert!(world.mint.book_closes().await.unwrap().is_empty());
    tamper(&world, "UPDATE voucher SET balance = balance + 1").await;
    assert_eq!(world.mint.close_books().await.unwrap().unwrap().number, 1);
    // What is written stays.
    let mut ledger = SqliteConnectOptions::new().filename(world.ledger_path()).connect().await.unwrap();
    for change in ["UPDATE close_run SET day = 0", "DELETE FROM close_run", "UPDATE close_total SET balance = 0", "DELETE FROM close_total"]
    {
        assert!(sqlx::raw_sql(change).execute(&mut ledger).await.is_err(), "{change}");
    }
}
