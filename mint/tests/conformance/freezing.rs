//! What an operator stops because its key has leaked.

use std::sync::Arc;

use farthing_mint::store::{Debit, IssueBooked, Ledger, PaymentBooked};
use farthing_protocol::settle::Refusal;

use super::{announced, balanced, funded, issue, payment, token, units};

/// A frozen denomination neither issues nor comes back; the others do.
pub async fn freezing(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let debit = funded(ledger, 1, 1_000).await;
    assert_eq!(ledger.issue(issue(1, &[10, 10, 100], debit.clone())).await.unwrap(), IssueBooked::Booked);
    assert!(!ledger.freeze_denomination(1, units(10)).await.unwrap());
    assert!(!ledger.freeze_denomination(0, units(11)).await.unwrap());
    assert!(ledger.freeze_denomination(0, units(10)).await.unwrap());
    assert!(ledger.freeze_denomination(0, units(10)).await.unwrap());
    assert_eq!(ledger.issue(issue(2, &[10], debit.clone())).await.unwrap(), IssueBooked::Frozen);
    assert_eq!(ledger.issue(issue(3, &[10], Debit::Refresh(vec![token(10, 1)]))).await.unwrap(), IssueBooked::Frozen);
    let of = |number, value| payment(number, "news.example", value, vec![token(value, number)]);
    let outcomes = ledger.deposit(vec![of(1, 10), of(2, 100)], 1_000).await.unwrap().outcomes;
    assert_eq!(outcomes, [PaymentBooked::Refused(Refusal::Frozen), PaymentBooked::Credited]);
    balanced(ledger).await;
}
