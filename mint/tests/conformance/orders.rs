//! What every ledger must do with orders, and what it lists.

use std::sync::Arc;

use farthing_mint::store::orders::{Order, OrderBooked, OrderBooking, PayoutSummary, PublisherRow};

use super::{
    Amount, BankAccount, Debit, IssueBooked, Ledger, LedgerError, PayoutBooked, PayoutOrder, announced, balanced, bytes, funded, issue,
    payment, token, units,
};

fn order(number: u64, payment: Option<u64>, keys: &[u64], amount: u64) -> OrderBooking {
    let (id, payment) = (bytes(number), payment.map(bytes));
    OrderBooking { id, payment, keys: keys.iter().copied().map(bytes).collect(), amount: units(amount), now: 2_000 }
}

/// Vouchers made once for an order, and taken back once.
pub async fn ordering(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let booked = order(1, None, &[10, 11], 50);
    assert_eq!(ledger.order(bytes(1)).await.unwrap(), None);
    assert_eq!(ledger.sell(booked.clone()).await.unwrap(), OrderBooked::Booked);
    let row = Order { amount: units(50), count: 2, time: 2_000, reversed: Amount::ZERO };
    assert_eq!(ledger.order(bytes(1)).await.unwrap(), Some(row));
    assert_eq!(ledger.sell(booked).await.unwrap(), OrderBooked::Earlier(row));
    assert_eq!(ledger.sell(order(1, None, &[12], 7)).await.unwrap(), OrderBooked::Earlier(row), "whatever else it wants");
    assert_eq!(ledger.voucher_balance(bytes(12)).await.unwrap(), None);
    assert_eq!(ledger.sell(order(2, None, &[13], 1 << 62)).await.unwrap(), OrderBooked::SoldTooMuch);
    assert_eq!(ledger.order(bytes(2)).await.unwrap(), None);
    // A voucher key that is there already fails as a whole.
    assert_eq!(ledger.sell(order(3, None, &[14, 10], 5)).await, Err(LedgerError::Unavailable));
    assert_eq!((ledger.order(bytes(3)).await.unwrap(), ledger.voucher_balance(bytes(14)).await.unwrap()), (None, None));
    assert_eq!(ledger.sheet().await.unwrap().sold.units(), 100);

    assert_eq!(ledger.sell(order(4, Some(40), &[20], 100)).await.unwrap(), OrderBooked::Booked);
    assert_eq!(ledger.sell(order(5, Some(40), &[21], 100)).await.unwrap(), OrderBooked::PaymentUsed);
    assert_eq!(ledger.reverse(bytes(40), units(30), 3_000).await.unwrap(), units(30));
    assert_eq!(ledger.reverse(bytes(40), units(30), 3_000).await.unwrap(), Amount::ZERO, "the total so far, not another 30");
    assert_eq!(ledger.reverse(bytes(40), units(20), 3_000).await.unwrap(), Amount::ZERO, "told out of order");
    assert_eq!(ledger.reverse(bytes(40), units(50), 3_000).await.unwrap(), units(20));
    assert_eq!(ledger.voucher_balance(bytes(20)).await.unwrap(), Some(units(50)));
    // What was spent stays spent.
    assert_eq!(ledger.issue(issue(1, &[10, 10, 10, 10], Debit::Voucher(bytes(20)))).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.reverse(bytes(40), units(1 << 62), 3_000).await.unwrap(), units(10));
    assert_eq!(ledger.voucher_balance(bytes(20)).await.unwrap(), Some(Amount::ZERO));
    assert_eq!(ledger.order(bytes(4)).await.unwrap().unwrap().reversed, units(60));
    assert_eq!(ledger.issue(issue(2, &[10], Debit::Voucher(bytes(20)))).await.unwrap(), IssueBooked::VoucherInsufficient);

    assert_eq!(ledger.reverse(bytes(60), units(70), 3_000).await.unwrap(), Amount::ZERO, "of a payment that is not known yet");
    assert_eq!(ledger.sell(order(6, Some(60), &[30], 100)).await.unwrap(), OrderBooked::Booked);
    assert_eq!(ledger.voucher_balance(bytes(30)).await.unwrap(), Some(units(30)));
    let sheet = ledger.sheet().await.unwrap();
    assert_eq!((sheet.sold.units(), sheet.vouchers.units()), (100 + 40 + 30, 100 + 30));
    assert_eq!(ledger.audit().await.unwrap().differences, []);
    balanced(ledger).await;
}

/// What an operator lists.
pub async fn listing(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    assert_eq!((ledger.publishers().await.unwrap(), ledger.payouts().await.unwrap()), (Vec::new(), Vec::new()));
    for name in ["news.example", "blog.example"] {
        ledger.add_publisher(name.into()).await.unwrap();
    }
    ledger.set_publisher_key("blog.example".into(), bytes(5)).await.unwrap();
    let account = BankAccount { iban: "DE89370400440532013000".into(), name: "News".into(), address: None };
    ledger.set_payee("news.example".into(), account.clone()).await.unwrap();
    let debit = funded(ledger, 1, 100).await;
    assert_eq!(ledger.issue(issue(1, &[100], debit)).await.unwrap(), IssueBooked::Booked);
    ledger.deposit(vec![payment(1, "news.example", 100, vec![token(100, 1)])], 1_000).await.unwrap();
    let publishers = ledger.publishers().await.unwrap();
    let row = |name: &str, balance, key, payee| PublisherRow { name: name.into(), balance: units(balance), key, payee };
    assert_eq!(publishers, [row("blog.example", 0, Some(bytes(5)), None), row("news.example", 100, None, Some(account.clone()))]);
    let run = PayoutOrder { id: "one".into(), debtor: account, cent: units(10), minimum: units(1), fee_share: 100, now: 5_000 };
    assert_eq!(ledger.pay_out(run).await.unwrap(), PayoutBooked::Booked);
    let summary = PayoutSummary { id: "one".into(), time: 5_000, written: false, publishers: 1, amount: units(90), fee: units(10) };
    assert_eq!(ledger.payouts().await.unwrap(), std::slice::from_ref(&summary));
    ledger.payout_written("one".into()).await.unwrap();
    assert_eq!(ledger.payouts().await.unwrap(), [PayoutSummary { written: true, ..summary }]);
}

/// Two processes are asked for the same orders at once, and told at once that their payments were reversed.
pub async fn ordering_together(first: &Arc<dyn Ledger>, second: &Arc<dyn Ledger>) {
    let before = first.sheet().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..80_u64 {
        let ledger = if number % 2 == 0 { first.clone() } else { second.clone() };
        let place = 9_000 + number / 4;
        let one = order(place, Some(place), &[place], 10);
        tasks.spawn(async move {
            if number % 4 < 2 {
                let booked = ledger.sell(one).await.unwrap();
                assert!(matches!(booked, OrderBooked::Booked | OrderBooked::Earlier(_)), "{booked:?}");
                return (u64::from(booked == OrderBooked::Booked), 0);
            }
            (0, ledger.reverse(bytes(place), units(4), 2_000).await.unwrap().units())
        });
    }
    let sums = tasks.join_all().await.into_iter().fold((0, 0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
    assert_eq!(sums.0, 20, "each order was booked once");
    assert!(sums.1 <= 80, "each payment was reversed once, here or when its order came");
    let after = second.sheet().await.unwrap();
    assert_eq!((after.sold.units() - before.sold.units(), after.vouchers.units() - before.vouchers.units()), (120, 120));
}
