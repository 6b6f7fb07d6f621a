//! What every ledger must do, whichever engine keeps it. Each check gets an empty ledger.

#[path = "conformance/adopting.rs"]
mod adopting;
#[path = "conformance/closes.rs"]
mod closes;
#[path = "conformance/freezing.rs"]
mod freezing;
#[path = "conformance/orders.rs"]
mod orders;
#[path = "conformance/recovery.rs"]
mod recovery;
#[path = "conformance/resync.rs"]
mod resync;
#[path = "common/postgres.rs"]
mod server;
#[path = "conformance/spent.rs"]
mod spent;

use std::sync::Arc;

use adopting::{adopting_keysets, adopting_payouts, probing};
use closes::closing_books;
use farthing_mint::store::books::{BankAccount, PayoutBooked, PayoutOrder, StatementDay};
use farthing_mint::store::keysets::KeysetState;
use farthing_mint::store::postgres::PostgresLedger;
use farthing_mint::store::sqlite::SqliteLedger;
use farthing_mint::store::{
    Announcement, Counter, Debit, FundingState, IssueBooked, IssueBooking, Ledger, LedgerError, PaymentBooked, PaymentBooking, RecordedRow,
    RefundBooked, RefundDone, SessionRow,
};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;
use freezing::freezing;
use orders::{listing, ordering, ordering_together};
use recovery::recovering;
use resync::{forgetting, resynchronising};
use spent::numbering;
use sqlx::{Connection, PgConnection};

const KEYSET: KeysetId = KeysetId([1; 32]);

fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

/// 32 bytes that stand for a number.
fn bytes(number: u64) -> [u8; 32] {
    let mut out = [7; 32];
    out[..8].copy_from_slice(&number.to_le_bytes());
    out
}

fn token(denomination: u64, number: u64) -> SpentKey {
    SpentKey { keyset: KEYSET, denomination: units(denomination), key: bytes(number) }
}

fn session(number: u64) -> [u8; 16] {
    let mut out = [3; 16];
    out[..8].copy_from_slice(&number.to_le_bytes());
    out
}

fn issue(number: u64, denominations: &[u64], debit: Debit) -> IssueBooking {
    IssueBooking {
        session: session(number),
        digest: bytes(number),
        response: number.to_le_bytes().to_vec(),
        recovery: bytes(number),
        recovery_commitment: bytes(number + 1),
        points: vec![[number.to_le_bytes()[0]; 64]; denominations.len()],
        commitments: (0..denominations.len() as u64).map(|index| bytes((number << 16) + index)).collect(),
        keyset: KEYSET,
        denominations: denominations.iter().copied().map(units).collect(),
        amount: units(denominations.iter().sum()),
        debit,
        now: 1_000,
    }
}

fn payment(number: u64, publisher: &str, amount: u64, tokens: Vec<SpentKey>) -> PaymentBooking {
    let value: u64 = tokens.iter().map(|token| token.denomination.units()).sum();
    PaymentBooking {
        id: PaymentId(bytes(number)),
        publisher: publisher.into(),
        amount: units(amount),
        change: units(value - amount),
        tokens,
        side: number.to_le_bytes().to_vec(),
        refusal: None,
    }
}

async fn announced(ledger: &dyn Ledger) {
    let announcement = Announcement {
        list: vec![1, 2, 3],
        number: 0,
        keyset: KEYSET,
        denominations: vec![units(1), units(10), units(100)],
        deposit_until: 500_000,
    };
    assert!(ledger.announce(announcement.clone()).await.unwrap());
    assert!(!ledger.announce(announcement).await.unwrap(), "the list has another length by now");
    assert_eq!(ledger.keysets().await.unwrap(), [1, 2, 3]);
}

/// A voucher with this balance, and what it pays with.
async fn funded(ledger: &dyn Ledger, number: u64, balance: u64) -> Debit {
    assert!(ledger.create_vouchers(vec![bytes(number)], units(balance), 1_000).await.unwrap());
    Debit::Voucher(bytes(number))
}

async fn balanced(ledger: &dyn Ledger) {
    let sheet = ledger.sheet().await.unwrap();
    let worth = |tokens: fn(&Counter) -> u64| sheet.counters.iter().map(|one| one.denomination.units() * tokens(one)).sum::<u64>();
    let (outstanding, counterfeits) = (worth(Counter::outstanding), worth(Counter::counterfeits));
    let parts = sheet.vouchers.units() + outstanding + sheet.change_due.units() + sheet.refunds_due.units() + sheet.credits.units();
    let parts = parts + sheet.fees.units() + sheet.paid_out.units();
    assert_eq!(parts, sheet.sold.units() + sheet.recovered.units() + counterfeits, "{sheet:?}");
    let audit = ledger.audit().await.unwrap();
    assert_eq!(audit.differences, [], "{audit:?}");
}

async fn issuing(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let debit = funded(ledger, 1, 150).await;
    assert_eq!(ledger.funding(debit.clone(), units(150)).await.unwrap(), FundingState::Ready);
    assert_eq!(ledger.funding(debit.clone(), units(151)).await.unwrap(), FundingState::VoucherInsufficient);
    let first = issue(1, &[10, 10, 100], debit.clone());
    assert_eq!(ledger.issue(first.clone()).await.unwrap(), IssueBooked::Booked);
    let row = SessionRow::Booked { digest: first.digest, response: first.response.clone() };
    assert_eq!(ledger.session(first.session).await.unwrap(), Some(row.clone()));
    assert_eq!(ledger.issue(first.clone()).await.unwrap(), IssueBooked::Earlier(row.clone()));
    assert_eq!(ledger.cancel_session(first.session, 1_000).await.unwrap(), row, "booked is booked");

    // Refusals leave no trace: the same session may still be booked with other funding.
    let poor = issue(2, &[100], debit.clone());
    assert_eq!(ledger.issue(poor.clone()).await.unwrap(), IssueBooked::VoucherInsufficient);
    let unknown = IssueBooking { debit: Debit::Voucher(bytes(99)), ..poor.clone() };
    assert_eq!(ledger.issue(unknown).await.unwrap(), IssueBooked::VoucherUnknown);
    assert_eq!(ledger.session(poor.session).await.unwrap(), None);
    let reused = IssueBooking { commitments: first.commitments.clone(), ..issue(3, &[10, 1, 1], debit.clone()) };
    assert_eq!(ledger.issue(reused).await.unwrap(), IssueBooked::CommitmentReused);
    assert_eq!(ledger.issue(issue(2, &[10], debit.clone())).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.voucher_balance(bytes(1)).await.unwrap(), Some(units(20)));

    assert_eq!(ledger.cancel_session(session(4), 1_000).await.unwrap(), SessionRow::Cancelled);
    assert_eq!(ledger.issue(issue(4, &[10], debit)).await.unwrap(), IssueBooked::Earlier(SessionRow::Cancelled));
    balanced(ledger).await;
}

async fn refreshing(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let debit = funded(ledger, 1, 220).await;
    ledger.issue(issue(1, &[10, 10, 100, 100], debit)).await.unwrap();
    let refresh = |number, tokens: &[SpentKey], outputs: &[u64]| issue(number, outputs, Debit::Refresh(tokens.to_vec()));
    let tokens = [token(10, 1), token(100, 2)];
    assert_eq!(ledger.issue(refresh(2, &tokens, &[10, 100])).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.funding(Debit::Refresh(tokens.to_vec()), units(110)).await.unwrap(), FundingState::TokenSpent);
    assert_eq!(ledger.issue(refresh(3, &[token(10, 7), token(100, 2)], &[10, 100])).await.unwrap(), IssueBooked::TokenSpent);
    assert_eq!(ledger.funding(Debit::Refresh(vec![token(10, 7)]), units(10)).await.unwrap(), FundingState::Ready);
    ledger.add_publisher("news.example".into()).await.unwrap();
    let done = ledger.deposit(vec![payment(1, "news.example", 10, vec![token(10, 1)])], 1_000).await.unwrap();
    assert_eq!((done.sequence, &done.outcomes[..]), (0, &[PaymentBooked::Refused(Refusal::Refreshed)][..]));
    // Only 3 tens were ever issued and 1 came back.
    let many = [token(10, 10), token(10, 11), token(10, 12)];
    assert_eq!(ledger.issue(refresh(5, &many, &[10, 10, 10])).await.unwrap(), IssueBooked::Frozen);
    let sheet = ledger.sheet().await.unwrap();
    assert_eq!(sheet.counters.iter().filter(|one| one.frozen).map(|one| one.denomination.units()).collect::<Vec<_>>(), [10]);
    assert_eq!(ledger.session(session(5)).await.unwrap(), None);
    balanced(ledger).await;
}

async fn depositing(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let debit = funded(ledger, 1, 1_000).await;
    ledger.issue(issue(1, &[10, 10, 10, 100, 100], debit.clone())).await.unwrap();
    for name in ["news.example", "blog.example", "news.example"] {
        ledger.add_publisher(name.into()).await.unwrap();
    }
    let first = payment(1, "news.example", 105, vec![token(10, 1), token(100, 2)]);
    let overlapping = payment(2, "blog.example", 10, vec![token(10, 1)]);
    let late = PaymentBooking { refusal: Some(Refusal::Late), ..payment(3, "blog.example", 10, vec![token(10, 3)]) };
    let unknown = payment(4, "nobody.example", 10, vec![token(10, 3)]);
    let good = payment(5, "blog.example", 10, vec![token(10, 3)]);
    let batch = vec![first.clone(), overlapping.clone(), late, unknown, good.clone(), first.clone()];
    let done = ledger.deposit(batch, 1_000).await.unwrap();
    let double = PaymentBooked::DoubleSpent { earlier: first.side.clone() };
    let expected = [
        PaymentBooked::Credited,
        double.clone(),
        PaymentBooked::Refused(Refusal::Late),
        PaymentBooked::Refused(Refusal::UnknownPublisher),
        PaymentBooked::Credited,
        PaymentBooked::AlreadyCredited,
    ];
    assert_eq!((done.sequence, &done.outcomes[..]), (1, &expected[..]));
    let booked_late = PaymentBooking { refusal: Some(Refusal::KeysetClosed), ..good };
    let again = ledger.deposit(vec![overlapping, booked_late], 1_000).await.unwrap();
    assert_eq!((again.sequence, &again.outcomes[..]), (1, &[double, PaymentBooked::AlreadyCredited][..]));
    assert_eq!(ledger.publisher_balance("news.example".into()).await.unwrap(), Some(units(105)));
    assert_eq!(ledger.publisher_balance("blog.example".into()).await.unwrap(), Some(units(10)));
    assert_eq!(ledger.publisher_balance("nobody.example".into()).await.unwrap(), None);
    // The rest of the first payment, once and exactly.
    let change = Debit::Change(first.id);
    assert_eq!(ledger.funding(change.clone(), units(5)).await.unwrap(), FundingState::Ready);
    assert_eq!(ledger.funding(change.clone(), units(4)).await.unwrap(), FundingState::ChangeDiffers);
    assert_eq!(ledger.issue(issue(6, &[1; 4], change.clone())).await.unwrap(), IssueBooked::ChangeUnavailable);
    assert_eq!(ledger.issue(issue(7, &[1; 5], change.clone())).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.issue(issue(8, &[1; 5], change.clone())).await.unwrap(), IssueBooked::ChangeUnavailable);
    assert_eq!(ledger.funding(change, units(5)).await.unwrap(), FundingState::ChangeUnavailable);
    assert_eq!(ledger.funding(Debit::Change(PaymentId(bytes(77))), units(5)).await.unwrap(), FundingState::ChangeUnavailable);
    // One hundred is left of the hundreds; a payment of two freezes, and the frozen key takes not even one.
    let two = payment(9, "news.example", 200, vec![token(100, 20), token(100, 21)]);
    let one = payment(10, "news.example", 100, vec![token(100, 22)]);
    let done = ledger.deposit(vec![two, one], 1_000).await.unwrap();
    assert_eq!(done.outcomes, [PaymentBooked::Refused(Refusal::Frozen), PaymentBooked::Refused(Refusal::Frozen)]);
    assert_eq!(ledger.issue(issue(11, &[100], debit)).await.unwrap(), IssueBooked::Frozen);
    balanced(ledger).await;
}

async fn giving_back(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let debit = funded(ledger, 1, 1_000).await;
    ledger.issue(issue(1, &[10, 10, 10, 100, 100], debit.clone())).await.unwrap();
    for name in ["news.example", "blog.example"] {
        ledger.add_publisher(name.into()).await.unwrap();
        assert_eq!(ledger.publisher_key(name.into()).await.unwrap(), None);
    }
    assert!(!ledger.set_publisher_key("nobody.example".into(), bytes(9)).await.unwrap());
    for key in [8, 9] {
        assert!(ledger.set_publisher_key("news.example".into(), bytes(key)).await.unwrap());
        assert_eq!(ledger.publisher_key("news.example".into()).await.unwrap(), Some(bytes(key)));
    }
    let paid = payment(1, "news.example", 105, vec![token(10, 1), token(100, 2)]);
    let refund = |payment: PaymentId, publisher: &str| ledger.refund(payment, publisher.into(), 1_000);
    assert_eq!(refund(paid.id, "news.example").await.unwrap(), RefundBooked { sequence: 0, done: RefundDone::UnknownPayment });
    ledger.deposit(vec![paid.clone()], 1_000).await.unwrap();
    assert_eq!(refund(paid.id, "blog.example").await.unwrap().done, RefundDone::UnknownPayment);
    let reclaim = Debit::Reclaim(paid.id);
    assert_eq!(ledger.funding(reclaim.clone(), units(105)).await.unwrap(), FundingState::ReclaimUnavailable);
    assert_eq!(ledger.issue(issue(2, &[1, 1, 1, 1, 1, 100], reclaim.clone())).await.unwrap(), IssueBooked::ReclaimUnavailable);

    assert_eq!(refund(paid.id, "news.example").await.unwrap(), RefundBooked { sequence: 2, done: RefundDone::Refunded });
    assert_eq!(refund(paid.id, "news.example").await.unwrap(), RefundBooked { sequence: 2, done: RefundDone::AlreadyRefunded });
    assert_eq!(ledger.publisher_balance("news.example".into()).await.unwrap(), Some(units(0)));
    balanced(ledger).await;
    // Deposited again it is not booked again, and its tokens are no more free than before.
    let rival = payment(2, "blog.example", 10, vec![token(10, 1)]);
    let done = ledger.deposit(vec![paid.clone(), rival], 1_000).await.unwrap();
    assert_eq!(done.outcomes, [PaymentBooked::Refunded, PaymentBooked::DoubleSpent { earlier: paid.side.clone() }]);
    assert_eq!(ledger.issue(issue(3, &[10], Debit::Refresh(vec![token(10, 1)]))).await.unwrap(), IssueBooked::TokenSpent);

    // Amount and change, each once and exactly, in any order.
    assert_eq!(ledger.funding(reclaim.clone(), units(5)).await.unwrap(), FundingState::ReclaimDiffers);
    assert_eq!(ledger.issue(issue(4, &[1; 5], reclaim.clone())).await.unwrap(), IssueBooked::ReclaimUnavailable);
    assert_eq!(ledger.issue(issue(5, &[1, 1, 1, 1, 1, 100], reclaim.clone())).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.issue(issue(6, &[1, 1, 1, 1, 1, 100], reclaim.clone())).await.unwrap(), IssueBooked::ReclaimUnavailable);
    assert_eq!(ledger.funding(reclaim, units(105)).await.unwrap(), FundingState::ReclaimUnavailable);
    assert_eq!(refund(paid.id, "news.example").await.unwrap().done, RefundDone::AlreadyRefunded);
    assert_eq!(ledger.issue(issue(7, &[1; 5], Debit::Change(paid.id))).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.issue(issue(8, &[1; 5], Debit::Change(paid.id))).await.unwrap(), IssueBooked::ChangeUnavailable);
    let done = ledger.deposit(vec![paid], 1_000).await.unwrap();
    assert_eq!(done.outcomes, [PaymentBooked::Refunded]);
    balanced(ledger).await;
}

/// A payout takes whole cents, once an id; what it took cannot be refunded any more.
async fn paying_out(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let debit = funded(ledger, 1, 1_000).await;
    ledger.issue(issue(1, &[1, 10, 100, 100], debit)).await.unwrap();
    let account = |name: &str| BankAccount { iban: "DE89370400440532013000".into(), name: name.into(), address: None };
    let order = |id: &str, minimum| {
        let (cent, minimum) = (units(10), units(minimum));
        PayoutOrder { id: id.into(), debtor: account("mint"), cent, minimum, fee_share: 100, now: 90_000 }
    };
    for name in ["blog.example", "news.example"] {
        ledger.add_publisher(name.into()).await.unwrap();
    }
    let paid = payment(1, "news.example", 205, vec![token(10, 1), token(100, 2), token(100, 3)]);
    ledger.deposit(vec![paid.clone(), payment(2, "blog.example", 1, vec![token(1, 4)])], 1_000).await.unwrap();
    assert_eq!(ledger.pay_out(order("one", 0)).await.unwrap(), PayoutBooked::Nothing, "nobody has an account");
    assert!(!ledger.set_payee("nobody.example".into(), account("nobody")).await.unwrap());
    for name in ["somebody", "news"] {
        assert!(ledger.set_payee("news.example".into(), account(name)).await.unwrap());
    }
    assert_eq!(ledger.without_payee().await.unwrap(), ["blog.example"]);
    assert_eq!(ledger.pay_out(order("one", 206)).await.unwrap(), PayoutBooked::Nothing);
    assert_eq!(ledger.pay_out(order("one", 205)).await.unwrap(), PayoutBooked::Booked);
    balanced(ledger).await;
    let runs = ledger.payout_runs(None).await.unwrap();
    let payout = &runs[0].payouts[0];
    assert_eq!((runs.len(), runs[0].payouts.len(), runs[0].written, payout.payee.name.as_str()), (1, 1, false, "news"));
    assert_eq!((payout.credited, payout.fee, payout.amount), (units(200), units(20), units(180)));
    assert_eq!(ledger.publisher_balance("news.example".into()).await.unwrap(), Some(units(5)));
    assert_eq!(ledger.refund(paid.id, "news.example".into(), 90_000).await.unwrap().done, RefundDone::PaidOut);

    assert_eq!(ledger.pay_out(order("one", 0)).await.unwrap(), PayoutBooked::Earlier);
    assert_eq!(ledger.pay_out(order("two", 0)).await.unwrap(), PayoutBooked::Nothing, "less than a cent");
    ledger.payout_written("one".into()).await.unwrap();
    assert_eq!(ledger.payout_runs(None).await.unwrap(), []);
    assert_eq!(ledger.payout_runs(Some("one".into())).await.unwrap()[0].payouts, runs[0].payouts);
    let days = ledger.statement("news.example".into()).await.unwrap().unwrap();
    let day = |day, credited, paid_out| StatementDay { day, credited: units(credited), refunded: units(0), paid_out: units(paid_out) };
    assert_eq!(days, [day(0, 205, 0), day(1, 0, 200)]);
    let sheet = ledger.sheet().await.unwrap();
    assert_eq!((sheet.fees, sheet.paid_out, sheet.credits), (units(20), units(180), units(6)));
    balanced(ledger).await;
}

async fn recording(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    let debit = funded(ledger, 1, 1_000).await;
    assert_eq!(ledger.recorded(0, 0).await.unwrap(), []);
    ledger.cancel_session(session(500), 1_000).await.unwrap();
    for number in 0..70 {
        assert_eq!(ledger.issue(issue(number, &[1, 1], debit.clone())).await.unwrap(), IssueBooked::Booked);
        // What is refused leaves no gap.
        let refused = issue(1_000 + number, &[1], Debit::Voucher(bytes(99)));
        assert_eq!(ledger.issue(refused).await.unwrap(), IssueBooked::VoucherUnknown);
    }
    for (bucket, numbers) in [(0, 0..64), (1, 64..70), (2, 0..0), (u64::MAX, 0..0)] {
        let expected: Vec<RecordedRow> = numbers
            .map(|number: u64| RecordedRow {
                recovery: bytes(number),
                outputs: vec![(units(1), [number.to_le_bytes()[0]; 64]); 2],
                response: number.to_le_bytes().to_vec(),
            })
            .collect();
        assert_eq!(ledger.recorded(0, bucket).await.unwrap(), expected, "{bucket}");
    }
    assert_eq!(ledger.recorded(1, 0).await.unwrap(), []);
}

async fn selling(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    assert!(!ledger.create_vouchers(vec![bytes(1), bytes(2)], units(1 << 62), 1_000).await.unwrap());
    assert!(!ledger.create_vouchers(vec![bytes(1)], units(u64::MAX), 1_000).await.unwrap());
    assert!(ledger.create_vouchers((1..=300).map(bytes).collect(), units(5), 1_000).await.unwrap());
    // A repeated key fails as a whole: neither sold nor half made.
    assert_eq!(ledger.create_vouchers(vec![bytes(301), bytes(1)], units(5), 1_000).await, Err(LedgerError::Unavailable));
    assert_eq!(ledger.voucher_balance(bytes(301)).await.unwrap(), None);
    assert_eq!(ledger.sheet().await.unwrap().sold.units(), 1_500);
    assert_eq!(ledger.position().await.unwrap().time, 1_000);
    balanced(ledger).await;
}

/// Open, closing, closed: one way, and decided in the transaction that would insert.
async fn closing(ledger: Arc<dyn Ledger>) {
    const UNTIL: u64 = 500_000;
    let ledger = &*ledger;
    announced(ledger).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let debit = funded(ledger, 1, 10_000).await;
    assert_eq!(ledger.issue(issue(1, &[1; 64], debit.clone())).await.unwrap(), IssueBooked::Booked);
    assert_eq!(ledger.issue(issue(2, &[10, 10], debit.clone())).await.unwrap(), IssueBooked::Booked);
    let payments: Vec<_> = (0..60).map(|number| payment(100 + number, "news.example", 1, vec![token(1, number)])).collect();
    assert!(ledger.deposit(payments.clone(), 1_000).await.unwrap().outcomes.iter().all(|one| *one == PaymentBooked::Credited));
    assert_eq!(ledger.advance_keysets(UNTIL - 1).await.unwrap(), 0);
    assert_eq!(ledger.prune_keyset(0, 1_000).await.unwrap(), 0, "an open keyset loses nothing");
    let state = async || ledger.lifecycle().await.unwrap().keysets[0];
    assert_eq!((state().await.state, state().await.deposit_until), (KeysetState::Open, UNTIL));

    // Looked at while the keyset was open, booked when it is not: refused, and nothing is spent.
    let in_flight = payment(300, "news.example", 1, vec![token(1, 61)]);
    let refresh = issue(3, &[1], Debit::Refresh(vec![token(1, 62)]));
    assert_eq!(ledger.advance_keysets(UNTIL).await.unwrap(), 1);
    assert_eq!(state().await.state, KeysetState::Closing);
    let closed = PaymentBooked::Refused(Refusal::KeysetClosed);
    assert_eq!(ledger.deposit(vec![in_flight.clone()], UNTIL - 1).await.unwrap().outcomes, std::slice::from_ref(&closed));
    assert_eq!(ledger.issue(refresh.clone()).await.unwrap(), IssueBooked::KeysetRetired, "it issues no more either");
    assert_eq!(ledger.prune_keyset(0, 1_000).await.unwrap(), 0, "a day is left to look back");
    // The clock goes back; the keyset does not.
    assert_eq!(ledger.advance_keysets(1_000).await.unwrap(), 0);
    ledger.accept_clock(2_000).await.unwrap();
    assert_eq!((state().await.state, ledger.position().await.unwrap().time), (KeysetState::Closing, 2_000));

    assert_eq!(ledger.advance_keysets(UNTIL + 86_399).await.unwrap(), 0);
    assert_eq!(ledger.advance_keysets(UNTIL + 86_400).await.unwrap(), 1);
    assert_eq!((state().await.state, state().await.pruned), (KeysetState::Closed, false));
    assert_eq!(ledger.size().await.unwrap().spent, 60);
    for (batch, left) in [(25, 35), (25, 10), (10, 0)] {
        assert_eq!(ledger.prune_keyset(0, 25).await.unwrap(), batch);
        assert_eq!(ledger.size().await.unwrap().spent, left);
        // A token whose row is gone is not spent a second time.
        let again = payment(400 + left, "news.example", 1, vec![token(1, 0)]);
        assert_eq!(
            ledger.deposit(vec![again, payments[0].clone()], 1_000).await.unwrap().outcomes,
            [closed.clone(), PaymentBooked::AlreadyCredited]
        );
    }
    assert!(state().await.pruned);
    assert_eq!(ledger.deposit(vec![in_flight], UNTIL - 1).await.unwrap().outcomes, [closed]);
    let size = ledger.size().await.unwrap();
    assert_eq!((size.payments, size.sessions), (60, 2), "what was booked stays known");
    assert_eq!(ledger.publisher_balance("news.example".into()).await.unwrap(), Some(units(60)));
    balanced(ledger).await;
}

/// A retired keyset issues nothing, whatever a process still believes; its tokens come back as before.
async fn retiring(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    announced(ledger).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let debit = funded(ledger, 1, 1_000).await;
    assert_eq!(ledger.issue(issue(1, &[10, 10], debit.clone())).await.unwrap(), IssueBooked::Booked);
    assert!(!ledger.retire_keyset(1, 1_500).await.unwrap());
    assert!(ledger.retire_keyset(0, 1_500).await.unwrap());
    assert!(ledger.retire_keyset(0, 1_600).await.unwrap());
    assert_eq!(ledger.lifecycle().await.unwrap().keysets[0].retired, Some(1_500));
    assert_eq!(ledger.issue(issue(2, &[10], debit)).await.unwrap(), IssueBooked::KeysetRetired);
    let one = payment(1, "news.example", 10, vec![token(10, 1)]);
    assert_eq!(ledger.deposit(vec![one], 1_000).await.unwrap().outcomes, [PaymentBooked::Credited]);
    balanced(ledger).await;
}

/// Many at once: requests that fail share transactions with requests that do not, and the first of two rivals wins for everybody.
async fn racing(ledger: Arc<dyn Ledger>) {
    announced(&*ledger).await;
    let debit = funded(&*ledger, 1, 10_000).await;
    ledger.add_publisher("news.example".into()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        if number % 3 == 0 {
            // In the same groups: a request that breaks a unique key.
            let ledger = ledger.clone();
            tasks.spawn(async move {
                assert_eq!(ledger.create_vouchers(vec![bytes(1)], units(1), 1_000).await, Err(LedgerError::Unavailable));
                0
            });
        }
        let (ledger, debit) = (ledger.clone(), debit.clone());
        tasks.spawn(async move {
            let booking = issue(number, &[10, 100], debit);
            let (booked, cancelled) = if number % 2 == 0 {
                tokio::join!(ledger.issue(booking), ledger.cancel_session(session(number), 1_000))
            } else {
                let (cancelled, booked) = tokio::join!(ledger.cancel_session(session(number), 1_000), ledger.issue(booking));
                (booked, cancelled)
            };
            match (booked.unwrap(), cancelled.unwrap()) {
                (IssueBooked::Booked, SessionRow::Booked { .. }) => 1,
                (IssueBooked::Earlier(SessionRow::Cancelled) | IssueBooked::VoucherInsufficient, SessionRow::Cancelled) => 0,
                other => panic!("booked and cancelled disagree: {other:?}"),
            }
        });
    }
    let issued: u64 = tasks.join_all().await.into_iter().sum();
    let sheet = ledger.sheet().await.unwrap();
    assert_eq!(sheet.vouchers.units(), 10_000 - 110 * issued);
    balanced(&*ledger).await;

    // A hundred payments fight over forty tokens, two each.
    let done = ledger.issue(issue(999, &[1; 40], funded(&*ledger, 2, 40).await)).await.unwrap();
    assert_eq!(done, IssueBooked::Booked);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100_u64 {
        let ledger = ledger.clone();
        let mut pair = vec![token(1, 5_000 + number % 40), token(1, 5_000 + (number * 7 + 1) % 40)];
        pair.sort_unstable();
        pair.dedup();
        let one = payment(1_000 + number, "news.example", pair.len() as u64, pair.clone());
        tasks.spawn(async move { (pair, ledger.deposit(vec![one], 1_000).await.unwrap().outcomes.remove(0)) });
    }
    let mut spent = std::collections::HashSet::new();
    for (pair, outcome) in tasks.join_all().await {
        match outcome {
            PaymentBooked::Credited => pair.into_iter().for_each(|token| assert!(spent.insert(token.to_bytes()), "spent twice")),
            PaymentBooked::DoubleSpent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ledger.publisher_balance("news.example".into()).await.unwrap(), Some(units(spent.len() as u64)));
    balanced(&*ledger).await;
}

async fn sqlite() -> (tempfile::TempDir, Arc<dyn Ledger>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.sqlite");
    std::fs::write(&path, []).unwrap();
    SqliteLedger::create(&path, [9; 16], 500).await.unwrap();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    assert_eq!(ledger.position().await.unwrap().ledger, [9; 16]);
    (dir, Arc::new(ledger))
}

/// `None` where PostgreSQL is not installed.
async fn postgres() -> Option<((), Arc<dyn Ledger>)> {
    let url = server::database().await?;
    assert!(PostgresLedger::create(&url, [9; 16], 500).await.unwrap());
    assert!(!PostgresLedger::create(&url, [8; 16], 500).await.unwrap(), "it holds a mint");
    let ledger = PostgresLedger::open(&url).await.unwrap();
    assert_eq!(ledger.position().await.unwrap().ledger, [9; 16]);
    Some(((), Arc::new(ledger)))
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let (_dir, ledger) = super::sqlite().await;
                    super::$name(ledger).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let Some((_, ledger)) = super::postgres().await else { return };
                    super::$name(ledger).await;
                }
            )*
        }
    };
}

on_both! {
    closing_books resynchronising forgetting issuing refreshing depositing giving_back paying_out recording selling ordering listing
    numbering closing retiring freezing recovering racing adopting_payouts adopting_keysets probing
}

/// Two processes on one ledger.
async fn two_writers(first: Arc<dyn Ledger>, second: Arc<dyn Ledger>) {
    announced(&*first).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..60 {
        let ledger = if number % 2 == 0 { first.clone() } else { second.clone() };
        tasks.spawn(async move { ledger.create_vouchers(vec![bytes(number)], units(5), 1_000).await.unwrap() });
    }
    assert!(tasks.join_all().await.into_iter().all(|made| made));
    assert_eq!(first.sheet().await.unwrap().sold.units(), 300);
    balanced(&*second).await;
    ordering_together(&first, &second).await;
    balanced(&*second).await;
    // Rivals at both: the first wins for both.
    second.add_publisher("news.example".into()).await.unwrap();
    assert_eq!(first.issue(issue(1, &[1; 100], funded(&*second, 1_000, 100).await)).await.unwrap(), IssueBooked::Booked);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200_u64 {
        let ledger = if number % 2 == 0 { first.clone() } else { second.clone() };
        let one = payment(1_000 + number, "news.example", 1, vec![token(1, number / 2)]);
        tasks.spawn(async move { ledger.deposit(vec![one], 1_000).await.unwrap().outcomes.remove(0) == PaymentBooked::Credited });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|credited| *credited).count(), 100);
    assert_eq!(second.publisher_balance("news.example".into()).await.unwrap(), Some(units(100)));
    balanced(&*first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file() {
    let (dir, first) = sqlite().await;
    let second = SqliteLedger::open(&dir.path().join("ledger.sqlite")).await.unwrap();
    two_writers(first, Arc::new(second)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_database() {
    let Some(url) = server::database().await else { return };
    assert!(PostgresLedger::create(&url, [9; 16], 500).await.unwrap());
    let open = async || Arc::new(PostgresLedger::open(&url).await.unwrap());
    two_writers(open().await, open().await).await;
}

/// A transaction that the server ends is tried again if nothing can have been stored; a lock that is never released is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fails_is_unavailable_and_comes_back() {
    let Some(url) = server::database().await else { return };
    assert!(PostgresLedger::create(&url, [9; 16], 500).await.unwrap());
    let ledger = PostgresLedger::open(&url).await.unwrap();
    announced(&ledger).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farthing-mint' AND datname = current_database()";
    sqlx::raw_sql(end).execute(&mut other).await.unwrap();
    funded(&ledger, 1, 100).await;
    assert_eq!(ledger.voucher_balance(bytes(1)).await.unwrap(), Some(units(100)));
    let mut holder = other.begin().await.unwrap();
    sqlx::query("SELECT id FROM mint WHERE id = 1 FOR UPDATE").execute(&mut *holder).await.unwrap();
    assert_eq!(ledger.create_vouchers(vec![bytes(2)], units(5), 1_000).await, Err(LedgerError::Unavailable));
    holder.rollback().await.unwrap();
    assert_eq!(ledger.voucher_balance(bytes(2)).await.unwrap(), None);
    funded(&ledger, 2, 100).await;
    balanced(&ledger).await;
}
