//! Closes of the books.

use farthing_mint::store::closes::{Close, CloseMade};

use super::*;

const DAY: u64 = 86_400;

async fn closed(ledger: &dyn Ledger, now: u64, ended: bool) -> Option<Close> {
    match ledger.close_books(now, ended).await.unwrap() {
        CloseMade::Closed(close) => Some(*close),
        CloseMade::Nothing => None,
        CloseMade::Differs(differences) => panic!("{differences:?}"),
    }
}

/// Account, debit, credit, balance.
fn moved(close: &Close) -> Vec<(&str, u64, u64, i64)> {
    close.totals.iter().map(|one| (one.account.as_str(), one.debit.units(), one.credit.units(), one.balance)).collect()
}

pub async fn closing_books(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    assert_eq!(closed(ledger, 1_000, false).await, None, "nothing was booked");
    let debit = funded(ledger, 1, 150).await;
    assert_eq!(closed(ledger, DAY - 1, true).await, None, "the day has not ended");
    let first = closed(ledger, DAY, true).await.unwrap();
    assert_eq!((first.number, first.first_booking, first.last_booking, first.time, first.day), (1, 1, 1, DAY, 0));
    assert_eq!(moved(&first), [("sold", 150, 0, 150), ("vouchers", 0, 150, 150)]);
    assert_eq!(closed(ledger, 9 * DAY, false).await, None, "everything is closed");

    ledger.add_publisher("news.example".into()).await.unwrap();
    assert_eq!(ledger.issue(issue(1, &[10, 100], debit)).await.unwrap(), IssueBooked::Booked);
    ledger.deposit(vec![payment(1, "news.example", 7, vec![token(10, 1)])], 1_000).await.unwrap();
    let second = closed(ledger, DAY + 5, false).await.unwrap();
    assert_eq!((second.number, second.first_booking, second.last_booking, second.day), (2, 2, 3, 0));
    let expected = [("change-due", 0, 3, 3), ("publisher:news.example", 0, 7, 7), ("tokens:0", 10, 110, 100), ("vouchers", 110, 0, 40)];
    assert_eq!(moved(&second), expected);
    funded(ledger, 2, 5).await;
    let third = closed(ledger, 2 * DAY, false).await.unwrap();
    assert_eq!(moved(&third), [("sold", 5, 0, 155), ("vouchers", 0, 5, 45)], "balances go on from close to close");

    let listed = ledger.closes().await.unwrap();
    let bare = |close: &Close| Close { totals: Vec::new(), ..close.clone() };
    assert_eq!(listed, [bare(&first), bare(&second), bare(&third)]);
    assert_eq!(ledger.close(2).await.unwrap(), Some(second));
    assert_eq!(ledger.close(4).await.unwrap(), None);
    let mut digests: Vec<_> = listed.iter().map(|close| close.digest.as_str()).collect();
    digests.dedup();
    assert!(digests.len() == 3 && digests.iter().all(|digest| digest.len() == 64));
    balanced(ledger).await;

    // Rivals: one close, whoever makes it.
    funded(ledger, 3, 5).await;
    let (one, other) = tokio::join!(closed(ledger, 3 * DAY, false), closed(ledger, 3 * DAY, false));
    assert_eq!(u8::from(one.is_some()) + u8::from(other.is_some()), 1);
    assert_eq!(ledger.closes().await.unwrap().len(), 4);
    balanced(ledger).await;
}
