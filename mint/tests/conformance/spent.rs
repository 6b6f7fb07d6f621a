//! What every ledger must do with the order in which tokens came back.

use std::sync::Arc;

use farthing_protocol::filter::SpentMark;

use super::{Debit, IssueBooked, Ledger, PaymentBooked, announced, funded, issue, payment, session, token, units};

/// Every spent token is numbered once, in the order of the transactions; what was not spent has no number.
pub async fn numbering(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let debit = funded(ledger, 1, 2_000).await;
    for (number, many) in [(1, 256), (2, 256), (3, 256), (4, 256), (5, 256), (6, 20)] {
        assert_eq!(ledger.issue(issue(number, &vec![1; many], debit.clone())).await.unwrap(), IssueBooked::Booked);
    }
    assert_eq!(ledger.spent_before(0, 9_999).await.unwrap(), 0);
    assert_eq!(ledger.spent_before(9, 9_999).await.unwrap(), 0, "no such keyset");

    let tokens = |from: u64, to: u64| (from..to).map(|number| token(1, number)).collect::<Vec<_>>();
    let mark = |number: u64| SpentMark::of(&token(1, number));
    // A refresh, then payments, of which one is refused: its other token stays unspent.
    let refresh = super::IssueBooking { now: 1_000, ..issue(7, &[1, 1], Debit::Refresh(tokens(0, 2))) };
    assert_eq!(ledger.issue(refresh).await.unwrap(), IssueBooked::Booked);
    let booked = vec![payment(1, "news.example", 3, tokens(2, 5)), payment(2, "news.example", 2, tokens(4, 6))];
    let outcomes = ledger.deposit(booked.clone(), 2_000).await.unwrap().outcomes;
    assert!(outcomes[0] == PaymentBooked::Credited && matches!(outcomes[1], PaymentBooked::DoubleSpent { .. }));
    ledger.deposit(booked, 2_500).await.unwrap();
    let taken = super::IssueBooking { session: session(8), ..issue(8, &[1], Debit::Refresh(tokens(2, 3))) };
    assert_eq!(ledger.issue(taken).await.unwrap(), IssueBooked::TokenSpent);
    assert_eq!(ledger.spent_marks(0, 0, 5).await.unwrap(), (0..5).map(mark).collect::<Vec<_>>());
    for (time, count) in [(1_000, 0), (1_001, 2), (2_000, 2), (2_001, 5), (9_999, 5)] {
        assert_eq!(ledger.spent_before(0, time).await.unwrap(), count, "{time}");
    }

    // Whatever a transaction brings, rows end where segments do.
    for (number, from, to) in [(10, 100, 700), (11, 700, 1_000), (12, 1_000, 1_300)] {
        let many = tokens(from, to);
        let amount = many.len() as u64;
        assert_eq!(
            ledger.deposit(vec![payment(number, "news.example", amount, many)], 3_000).await.unwrap().outcomes,
            [PaymentBooked::Credited]
        );
    }
    assert_eq!(ledger.spent_before(0, 4_000).await.unwrap(), 1_205);
    let first = ledger.spent_marks(0, 0, 1_024).await.unwrap();
    let last = ledger.spent_marks(0, 1_024, 1_205).await.unwrap();
    let expected: Vec<_> = (0..5).chain(100..1_300).map(mark).collect();
    assert_eq!([first, last].concat(), expected);

    // It is dropped with the tokens.
    ledger.advance_keysets(500_000).await.unwrap();
    ledger.advance_keysets(600_000).await.unwrap();
    while ledger.prune_keyset(0, 500).await.unwrap() == 500 {}
    assert_eq!(ledger.spent_before(0, 700_000).await.unwrap(), 0);
    assert_eq!(ledger.sheet().await.unwrap().sold, units(2_000));
}
