//! What holders of a frozen denomination get back for their sessions.

use std::sync::Arc;

use farthing_mint::store::{Debit, FundingState, IssueBooked, Ledger, PaymentBooked};

use super::{announced, balanced, bytes, funded, issue, payment, token, units};

/// Sessions are found by hash and commitment; their tokens are paid back once, beside what counterfeits have used up.
pub async fn recovering(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let debit = funded(ledger, 1, 1_000).await;
    assert_eq!(ledger.issue(issue(1, &[10, 10, 100], debit.clone())).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.issue(issue(2, &[1], debit.clone())).await.unwrap(), IssueBooked::Booked);

    let found = ledger.recoverable(0, bytes(1), bytes(2)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].recovery, found[0].outputs.len()), (bytes(1), 3));
    for (keyset, recovery, commitment) in [(0, 1, 3), (0, 2, 2), (1, 1, 2), (0, 9, 10)] {
        assert_eq!(ledger.recoverable(keyset, bytes(recovery), bytes(commitment)).await.unwrap(), []);
    }
    // A copied hash hides nothing, and two sessions of one hash and commitment are both found.
    let mut copied = issue(3, &[1], debit.clone());
    (copied.recovery, copied.recovery_commitment) = (bytes(1), bytes(77));
    assert_eq!(ledger.issue(copied).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.recoverable(0, bytes(1), bytes(2)).await.unwrap(), found);
    let mut again = issue(4, &[1], debit.clone());
    (again.recovery, again.recovery_commitment) = (bytes(1), bytes(2));
    assert_eq!(ledger.issue(again).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.recoverable(0, bytes(1), bytes(2)).await.unwrap().len(), 2);

    let claim = |numbers: &[u64]| Debit::Recovery(numbers.iter().map(|number| token(10, *number)).collect());
    assert_eq!(ledger.frozen().await.unwrap(), []);
    assert_eq!(ledger.funding(claim(&[1]), units(10)).await.unwrap(), FundingState::NotFrozen);
    assert_eq!(ledger.issue(issue(10, &[1; 10], claim(&[1]))).await.unwrap(), IssueBooked::NotFrozen);
    // Counterfeits use up what may be redeemed; the third freezes the denomination.
    let of = |number| payment(number, "news.example", 10, vec![token(10, number)]);
    let outcomes = ledger.deposit(vec![of(101), of(102), of(103)], 1_000).await.unwrap().outcomes;
    assert_eq!(outcomes[..2], [PaymentBooked::Credited, PaymentBooked::Credited]);
    assert_eq!(ledger.frozen().await.unwrap(), [(0, units(10))]);
    balanced(ledger).await;

    assert_eq!(ledger.funding(claim(&[1]), units(10)).await.unwrap(), FundingState::Ready);
    assert_eq!(ledger.funding(claim(&[1, 101]), units(20)).await.unwrap(), FundingState::TokenSpent);
    assert_eq!(ledger.issue(issue(11, &[1; 20], claim(&[1, 101]))).await.unwrap(), IssueBooked::TokenSpent);
    // Not into a frozen denomination, and what is refused leaves nothing behind.
    assert_eq!(ledger.issue(issue(12, &[10], claim(&[1]))).await.unwrap(), IssueBooked::Frozen);
    assert_eq!(ledger.issue(issue(13, &[1; 10], claim(&[1]))).await.unwrap(), IssueBooked::Booked);
    assert!(matches!(ledger.issue(issue(13, &[1; 10], claim(&[1]))).await.unwrap(), IssueBooked::Earlier(_)));
    assert_eq!(ledger.funding(claim(&[1]), units(10)).await.unwrap(), FundingState::TokenSpent);
    assert_eq!(ledger.issue(issue(14, &[1; 10], claim(&[1]))).await.unwrap(), IssueBooked::TokenSpent);
    // Among others that are not frozen nothing is taken.
    let mixed = Debit::Recovery(vec![token(10, 2), token(100, 3)]);
    assert_eq!(ledger.issue(issue(15, &[1; 110], mixed)).await.unwrap(), IssueBooked::NotFrozen);
    assert_eq!(ledger.issue(issue(16, &[1; 10], claim(&[2]))).await.unwrap(), IssueBooked::Booked);
    // More than was issued is more sessions than there are: the ledger would contradict itself.
    assert!(ledger.issue(issue(17, &[1; 10], claim(&[3]))).await.is_err());

    let sheet = ledger.sheet().await.unwrap();
    let counter = sheet.counters.iter().find(|counter| counter.denomination == units(10)).unwrap();
    assert_eq!((counter.issued, counter.redeemed, counter.repaid), (2, 2, 2));
    assert_eq!((counter.outstanding(), counter.counterfeits()), (0, 2));
    balanced(ledger).await;
    // A payment of a token that was paid back comes too late.
    assert!(matches!(ledger.deposit(vec![of(1)], 1_000).await.unwrap().outcomes[0], PaymentBooked::Refused(_)));
    // The books close, with the loss in them.
    assert!(matches!(ledger.close_books(200_000, false).await.unwrap(), farthing_mint::store::closes::CloseMade::Closed(_)));
    balanced(ledger).await;
}
