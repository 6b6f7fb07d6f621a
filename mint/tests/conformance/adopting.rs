//! What a restored ledger takes back beside deposits: payout runs and keysets of before the loss.

use farthing_mint::store::books::{Payout, PayoutAdopted, PayoutRun};
use farthing_mint::store::keysets::KeysetLedger;
use farthing_mint::store::resync::{Resync, ResyncBegun, ResyncFinished};

use super::*;

fn account(name: &str) -> BankAccount {
    BankAccount { iban: "DE89370400440532013000".into(), name: name.into(), address: None }
}

/// Takes `credited` from each publisher, a tenth of it for the mint.
fn run(id: &str, credited: &[(&str, u64)]) -> PayoutRun {
    let payout = |(name, credited): &(&str, u64)| Payout {
        publisher: (*name).into(),
        credited: units(*credited),
        fee: units(credited / 10),
        amount: units(credited - credited / 10),
        payee: account(name),
    };
    PayoutRun { id: id.into(), time: 800, debtor: account("mint"), written: true, payouts: credited.iter().map(payout).collect() }
}

fn keyset(number: u32) -> Announcement {
    Announcement {
        list: vec![number.to_le_bytes()[0]; 5],
        number,
        keyset: KeysetId([number.to_le_bytes()[0] + 1; 32]),
        denominations: vec![units(2)],
        deposit_until: 500_000,
    }
}

pub async fn adopting_payouts(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let debit = funded(ledger, 1, 500).await;
    ledger.issue(issue(1, &[100; 5], debit)).await.unwrap();
    for (number, name) in [(1, "blog.example"), (2, "news.example")] {
        ledger.add_publisher(name.into()).await.unwrap();
        let paid = payment(number, name, 100, vec![token(100, number)]);
        assert_eq!(ledger.deposit(vec![paid], 1_000).await.unwrap().outcomes, [PaymentBooked::Credited]);
    }
    ledger.set_payee("news.example".into(), account("another by now")).await.unwrap();
    let both = run("one", &[("blog.example", 100), ("news.example", 60)]);
    assert_eq!(ledger.adopt_payout(both.clone(), vec![], 2_000).await.unwrap(), PayoutAdopted::InStep, "it lacks nothing");

    ledger.note_restored().await.unwrap();
    let order = PayoutOrder { id: "new".into(), debtor: account("mint"), cent: units(10), minimum: units(0), fee_share: 0, now: 2_000 };
    assert_eq!(ledger.pay_out(order.clone()).await.unwrap(), PayoutBooked::Restored);
    let short = run("one", &[("blog.example", 110), ("news.example", 60)]);
    assert_eq!(ledger.adopt_payout(short, vec![], 2_000).await.unwrap(), PayoutAdopted::Short(vec!["blog.example".into()]));
    let unknown = run("one", &[("blog.example", 110), ("else.example", 60)]);
    assert_eq!(ledger.adopt_payout(unknown, vec![], 2_000).await.unwrap(), PayoutAdopted::Unknown(vec!["else.example".into()]));
    let sheet = ledger.sheet().await.unwrap();
    assert_eq!((sheet.credits, sheet.paid_out, sheet.fees), (units(200), units(0), units(0)), "what is refused changes nothing");
    balanced(ledger).await;

    for expected in [PayoutAdopted::Adopted, PayoutAdopted::Earlier] {
        assert_eq!(ledger.adopt_payout(both.clone(), vec![], 2_000).await.unwrap(), expected);
        assert_eq!(ledger.payout_runs(Some("one".into())).await.unwrap(), std::slice::from_ref(&both));
        let sheet = ledger.sheet().await.unwrap();
        assert_eq!((sheet.credits, sheet.paid_out, sheet.fees), (units(40), units(144), units(16)));
        balanced(ledger).await;
    }
    assert_eq!(ledger.payout_runs(None).await.unwrap(), [], "its files were complete");
    for differs in [
        PayoutRun { time: 801, ..both.clone() },
        PayoutRun { debtor: account("else"), ..both.clone() },
        run("one", &[("blog.example", 100)]),
        run("one", &[("blog.example", 100), ("news.example", 50)]),
    ] {
        assert_eq!(ledger.adopt_payout(differs, vec![], 2_000).await.unwrap(), PayoutAdopted::Differs);
    }
    // The statement has it under the day on which it was booked again.
    let days = ledger.statement("blog.example".into()).await.unwrap().unwrap();
    assert_eq!(days, [StatementDay { day: 0, credited: units(100), refunded: units(0), paid_out: units(100) }]);

    // While resynchronising and afterwards, and then runs are booked again too.
    assert_eq!(ledger.begin_resync(true, 2_000).await.unwrap(), ResyncBegun::Begun);
    assert_eq!(ledger.pay_out(order.clone()).await.unwrap(), PayoutBooked::Restored);
    assert_eq!(ledger.adopt_payout(run("two", &[("news.example", 20)]), vec![], 2_000).await.unwrap(), PayoutAdopted::Adopted);
    assert_eq!(ledger.finish_resync(units(0), false, 3_000).await.unwrap(), ResyncFinished::Finished);
    assert_eq!(ledger.adopt_payout(run("three", &[("news.example", 10)]), vec![], 3_000).await.unwrap(), PayoutAdopted::Adopted);
    assert_eq!(ledger.pay_out(order.clone()).await.unwrap(), PayoutBooked::Booked);
    assert_eq!(ledger.pay_out(order).await.unwrap(), PayoutBooked::Earlier);
    // Whoever has the file of a booked run had all of its files: they are not written, and paid, again.
    let run = ledger.payout_runs(None).await.unwrap().remove(0);
    assert_eq!(ledger.adopt_payout(PayoutRun { written: true, ..run }, vec![], 3_000).await.unwrap(), PayoutAdopted::Earlier);
    assert_eq!(ledger.payout_runs(None).await.unwrap(), []);
    assert_eq!(ledger.publisher_balance("news.example".into()).await.unwrap(), Some(units(0)));
    balanced(ledger).await;
}

pub async fn adopting_keysets(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let state = async || ledger.lifecycle().await.unwrap().resync;
    announced(ledger).await;
    assert!(ledger.announce(keyset(1)).await.unwrap());
    // A list no longer than the ledger's is no news; of longer ones the longest stays.
    for (keysets, stands) in [(2, 0), (4, 4), (3, 4)] {
        ledger.note_keysets(keysets, format!("list of {keysets}")).await.unwrap();
        assert_eq!(state().await.keysets_shown, stands);
    }
    assert_eq!(ledger.shown_keysets().await.unwrap().as_deref(), Some("list of 4"));
    assert!(!ledger.announce(keyset(2)).await.unwrap(), "it may have been announced before");
    assert!(!ledger.adopt_keysets(vec![keyset(2), keyset(3)]).await.unwrap(), "nobody has begun");
    assert_eq!(ledger.begin_resync(false, 1_000).await.unwrap(), ResyncBegun::Begun, "what was shown is reason enough");
    assert!(!ledger.announce(keyset(2)).await.unwrap());
    assert_eq!(ledger.finish_resync(units(0), false, 1_000).await.unwrap(), ResyncFinished::KeysetsMissing);
    // All or none.
    for wrong in [vec![keyset(3)], vec![keyset(2), keyset(4)], vec![keyset(1), keyset(2)], vec![]] {
        assert!(!ledger.adopt_keysets(wrong).await.unwrap());
        assert_eq!(ledger.lifecycle().await.unwrap().keysets.len(), 2);
    }
    assert!(ledger.adopt_keysets(vec![keyset(2), keyset(3)]).await.unwrap());
    let lifecycle = ledger.lifecycle().await.unwrap();
    assert_eq!((lifecycle.keysets.len(), lifecycle.list, lifecycle.resync.keysets_shown), (4, vec![3; 5], 0));
    assert_eq!(ledger.shown_keysets().await.unwrap(), None);

    // Their tokens come back; what was never counted as issued is recovered.
    ledger.add_publisher("news.example".into()).await.unwrap();
    let token = SpentKey { keyset: keyset(3).keyset, denomination: units(2), key: bytes(1) };
    let outcomes = ledger.deposit(vec![payment(1, "news.example", 2, vec![token])], 1_000).await.unwrap().outcomes;
    assert_eq!(outcomes, [PaymentBooked::Credited]);
    assert_eq!(state().await.recovered, units(2));
    balanced(ledger).await;
    assert_eq!(ledger.finish_resync(units(0), false, 1_500).await.unwrap(), ResyncFinished::Finished);
    assert_eq!(state().await.finished, Some(1_500));
    assert!(ledger.announce(keyset(4)).await.unwrap());

    // The operator may leave out what cannot be adopted.
    ledger.note_restored().await.unwrap();
    assert!(state().await.restored && !ledger.announce(keyset(5)).await.unwrap());
    ledger.begin_resync(true, 2_000).await.unwrap();
    ledger.note_keysets(9, "list of 9".into()).await.unwrap();
    assert_eq!(ledger.finish_resync(units(0), false, 2_000).await.unwrap(), ResyncFinished::KeysetsMissing);
    assert_eq!(ledger.finish_resync(units(0), true, 2_000).await.unwrap(), ResyncFinished::Finished);
    let after = state().await;
    assert!(!after.restored && after.keysets_shown == 0);
    assert!(ledger.announce(keyset(5)).await.unwrap());
}

/// Whether it can be written is told by writing.
pub async fn probing(ledger: Arc<dyn Ledger>) {
    announced(&*ledger).await;
    let before = ledger.lifecycle().await.unwrap();
    ledger.probe().await.unwrap();
    assert_eq!(ledger.lifecycle().await.unwrap(), before);
}

/// A ledger of before this table gets it when it is opened, by two processes at once as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_an_earlier_version_gets_what_it_lacks() {
    let Some(url) = server::database().await else { return };
    assert!(PostgresLedger::create(&url, [9; 16], 500).await.unwrap());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("DROP TABLE restored").execute(&mut connection).await.unwrap();
    let (one, other) = tokio::join!(PostgresLedger::open(&url), PostgresLedger::open(&url));
    announced(&one.unwrap()).await;
    let other = other.unwrap();
    other.note_restored().await.unwrap();
    assert!(!other.announce(keyset(1)).await.unwrap() && other.lifecycle().await.unwrap().resync.restored);
}
