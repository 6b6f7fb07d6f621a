//! A ledger that was restored, as far as a ledger goes.

use farthing_mint::store::resync::{JUMP, ResyncBegun, ResyncFinished, ResyncState};

use super::*;

async fn state(ledger: &dyn Ledger) -> ResyncState {
    ledger.lifecycle().await.unwrap().resync
}

async fn deposited(ledger: &dyn Ledger, number: u64, token: SpentKey) -> PaymentBooked {
    let amount = token.denomination.units();
    ledger.deposit(vec![payment(number, "news.example", amount, vec![token])], 1_000).await.unwrap().outcomes.remove(0)
}

pub async fn resynchronising(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let debit = funded(ledger, 1, 120).await;
    assert_eq!(ledger.issue(issue(1, &[10, 10, 100], debit.clone())).await.unwrap(), IssueBooked::Booked);
    assert_eq!(deposited(ledger, 1, token(100, 1)).await, PaymentBooked::Credited);
    assert_eq!(ledger.begin_resync(false, 1_000).await.unwrap(), ResyncBegun::InStep);
    assert_eq!(ledger.finish_resync(units(0), false, 1_000).await.unwrap(), ResyncFinished::NotBegun);

    // What was shown only grows, and is there for whoever opens the ledger.
    for (shown, stands) in [(7, 7), (5, 7), (9, 9)] {
        ledger.note_shown(shown).await.unwrap();
        assert_eq!(state(ledger).await.shown, stands);
    }
    assert_eq!(ledger.begin_resync(false, 1_000).await.unwrap(), ResyncBegun::Begun);
    assert_eq!(ledger.begin_resync(true, 2_000).await.unwrap(), ResyncBegun::Earlier);
    assert_eq!(state(ledger).await.began, Some(1_000));

    // Three tokens of a kind of which the ledger knows two; and none of the hundreds was left.
    let batch = (0..3).map(|number| payment(10 + number, "news.example", 10, vec![token(10, number)])).collect();
    let outcomes = ledger.deposit(batch, 1_000).await.unwrap().outcomes;
    assert!(outcomes.iter().all(|outcome| *outcome == PaymentBooked::Credited), "{outcomes:?}");
    assert_eq!(deposited(ledger, 20, token(100, 2)).await, PaymentBooked::Credited);
    assert_eq!(deposited(ledger, 20, token(100, 2)).await, PaymentBooked::AlreadyCredited);
    assert!(matches!(deposited(ledger, 21, token(100, 2)).await, PaymentBooked::DoubleSpent { .. }));
    assert_eq!((state(ledger).await.recovered, state(ledger).await.allowance), (units(110), units(0)));
    balanced(ledger).await;
    let rows = ledger.resynced(1_000).await.unwrap();
    assert_eq!((rows[0].publisher.as_str(), rows[0].payments), ("news.example", 5));

    assert_eq!(ledger.finish_resync(units(115), false, 3_000).await.unwrap(), ResyncFinished::Finished);
    assert_eq!(ledger.finish_resync(units(500), false, 3_000).await.unwrap(), ResyncFinished::NotBegun);
    let sequence = ledger.position().await.unwrap().sequence;
    assert_eq!(sequence, 9 + JUMP, "above all that was shown");

    // Afterwards up to the allowance: a payment, a refresh, and no more.
    assert_eq!(deposited(ledger, 30, token(100, 3)).await, PaymentBooked::Credited);
    assert_eq!(ledger.issue(issue(3, &[10], Debit::Refresh(vec![token(10, 8)]))).await.unwrap(), IssueBooked::Booked);
    assert_eq!((state(ledger).await.recovered, state(ledger).await.allowance), (units(220), units(5)));
    balanced(ledger).await;
    assert_eq!(ledger.issue(issue(4, &[100], Debit::Refresh(vec![token(100, 9)]))).await.unwrap(), IssueBooked::Frozen);
    // What the refresh above has issued may come back; what nobody issued may not.
    assert_eq!(deposited(ledger, 31, token(10, 20)).await, PaymentBooked::Credited);
    assert_eq!(deposited(ledger, 32, token(10, 21)).await, PaymentBooked::Refused(Refusal::Frozen));
    let sheet = ledger.sheet().await.unwrap();
    assert!(sheet.counters.iter().filter(|one| one.denomination != units(1)).all(|one| one.frozen), "{sheet:?}");
    balanced(ledger).await;
}

/// Before anybody has begun, a restored ledger refuses nothing for good because of what it may have forgotten.
pub async fn forgetting(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let debit = funded(ledger, 1, 300).await;
    assert_eq!(ledger.issue(issue(1, &[10, 10, 100, 100], debit)).await.unwrap(), IssueBooked::Booked);
    ledger.note_restored().await.unwrap();
    let frozen = async || ledger.frozen().await.unwrap();

    // More than were issued: in one batch, alone, and in a refresh.
    let of = |number| payment(number, "news.example", 10, vec![token(10, number)]);
    let outcomes = ledger.deposit(vec![of(1), of(2), of(3)], 1_000).await.unwrap().outcomes;
    assert_eq!(outcomes, [PaymentBooked::Credited, PaymentBooked::Credited, PaymentBooked::NotYet]);
    assert_eq!(deposited(ledger, 3, token(10, 3)).await, PaymentBooked::NotYet);
    let refresh = |number| issue(number, &[10], Debit::Refresh(vec![token(10, number)]));
    assert_eq!(ledger.issue(refresh(4)).await.unwrap(), IssueBooked::NotYet);
    let elsewhere = payment(5, "blog.example", 100, vec![token(100, 5)]);
    let lost = async || ledger.deposit(vec![elsewhere.clone()], 1_000).await.unwrap().outcomes.remove(0);
    assert_eq!(lost().await, PaymentBooked::NotYet, "its publisher may have been added since");
    assert_eq!(frozen().await, []);
    // What somebody has frozen is frozen, and what is spent is spent.
    assert!(ledger.freeze_denomination(0, units(1)).await.unwrap());
    assert_eq!(deposited(ledger, 6, token(1, 6)).await, PaymentBooked::Refused(Refusal::Frozen));
    assert!(matches!(deposited(ledger, 7, token(10, 1)).await, PaymentBooked::DoubleSpent { .. }));
    balanced(ledger).await;

    assert_eq!(ledger.begin_resync(true, 1_000).await.unwrap(), ResyncBegun::Begun);
    assert_eq!(deposited(ledger, 3, token(10, 3)).await, PaymentBooked::Credited);
    assert_eq!(lost().await, PaymentBooked::NotYet);
    ledger.add_publisher("blog.example".into()).await.unwrap();
    assert_eq!(lost().await, PaymentBooked::Credited);
    assert_eq!(ledger.finish_resync(units(10), false, 2_000).await.unwrap(), ResyncFinished::Finished);

    // A refresh that is refused for what it asks for freezes nothing of what it gives, and takes nothing of the allowance.
    let into_frozen = issue(8, &[1; 10], Debit::Refresh(vec![token(10, 8)]));
    assert_eq!(ledger.issue(into_frozen).await.unwrap(), IssueBooked::Frozen);
    assert_eq!((frozen().await, state(ledger).await.allowance), (vec![(0, units(1))], units(10)));
    assert_eq!(ledger.issue(refresh(9)).await.unwrap(), IssueBooked::Booked);
    balanced(ledger).await;
    // From now on a refusal is one.
    let nobody = payment(10, "else.example", 100, vec![token(100, 10)]);
    let outcomes = ledger.deposit(vec![nobody], 1_000).await.unwrap().outcomes;
    assert_eq!(outcomes, [PaymentBooked::Refused(Refusal::UnknownPublisher)]);
    assert_eq!(deposited(ledger, 11, token(10, 11)).await, PaymentBooked::Credited, "what the refresh has issued");
    assert_eq!(ledger.issue(refresh(12)).await.unwrap(), IssueBooked::Frozen);
    assert_eq!(frozen().await, [(0, units(1)), (0, units(10))]);
    balanced(ledger).await;
}
