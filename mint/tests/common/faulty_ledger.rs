//! A ledger that fails on command, with and without having stored, around a sound one.
//!
//! Shared by tests in which the store's types have different paths: whoever declares this module has `store` in scope.

use std::sync::Arc;

use farthing_protocol::amount::Amount;
use farthing_protocol::filter::SpentMark;
use farthing_protocol::proof::PaymentId;

use super::store::books::{Audit, BankAccount, Books, PayoutAdopted, PayoutBooked, PayoutOrder, PayoutRun, StatementDay};
use super::store::closes::{Close, CloseMade, Closes};
use super::store::keysets::{KeysetLedger, LedgerSize, Lifecycle};
use super::store::orders::{Order, OrderBooked, OrderBooking, Orders, PayoutSummary, PublisherRow};
use super::store::recovery::Recoveries;
use super::store::resync::{Resync, ResyncBegun, ResyncFinished, Resynced};
use super::store::spent::SpentLog;
use super::store::{
    Announcement, Answer, Debit, DepositBooked, FundingState, IssueBooked, IssueBooking, Ledger, LedgerError, PaymentBooking, Position,
    RecordedRow, RefundBooked, SessionId, SessionRow, Sheet,
};

/// What happens to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// All is well.
    Sound,
    /// Nothing is stored, and an error is returned.
    NotStored,
    /// It is stored, and an error is returned.
    ButStored,
}

/// Who decides what fails.
pub trait Fate: Send + Sync {
    /// Asked before every change, by the name of its method.
    fn strike(&self, change: &'static str) -> Strike;

    /// Told when a change was stored that will be said to have failed.
    fn stored(&self) {}
}

/// Passes everything on, and fails changes as it is told.
pub struct Faulty<F> {
    pub sound: Arc<dyn Ledger>,
    pub fate: F,
}

impl<F: Fate> Faulty<F> {
    fn change<'a, T: Send + 'a>(&'a self, name: &'static str, change: impl FnOnce() -> Answer<'a, T> + Send + 'a) -> Answer<'a, T> {
        Box::pin(async move {
            match self.fate.strike(name) {
                Strike::NotStored => Err(LedgerError::Unavailable),
                Strike::ButStored => {
                    change().await?;
                    self.fate.stored();
                    Err(LedgerError::Unavailable)
                }
                Strike::Sound => change().await,
            }
        })
    }
}

impl<F: Fate + 'static> Ledger for Faulty<F> {
    fn issue(&self, booking: IssueBooking) -> Answer<'_, IssueBooked> {
        self.change("issue", move || self.sound.issue(booking))
    }
    fn cancel_session(&self, session: SessionId, now: u64) -> Answer<'_, SessionRow> {
        self.change("cancel_session", move || self.sound.cancel_session(session, now))
    }
    fn session(&self, session: SessionId) -> Answer<'_, Option<SessionRow>> {
        self.sound.session(session)
    }
    fn funding(&self, debit: Debit, amount: Amount) -> Answer<'_, FundingState> {
        self.sound.funding(debit, amount)
    }
    fn deposit(&self, payments: Vec<PaymentBooking>, now: u64) -> Answer<'_, DepositBooked> {
        self.change("deposit", move || self.sound.deposit(payments, now))
    }
    fn refund(&self, payment: PaymentId, publisher: String, now: u64) -> Answer<'_, RefundBooked> {
        self.change("refund", move || self.sound.refund(payment, publisher, now))
    }
    fn recorded(&self, keyset: u32, bucket: u64) -> Answer<'_, Vec<RecordedRow>> {
        self.sound.recorded(keyset, bucket)
    }
    fn create_vouchers(&self, keys: Vec<[u8; 32]>, amount: Amount, now: u64) -> Answer<'_, bool> {
        self.change("create_vouchers", move || self.sound.create_vouchers(keys, amount, now))
    }
    fn voucher_balance(&self, key: [u8; 32]) -> Answer<'_, Option<Amount>> {
        self.sound.voucher_balance(key)
    }
    fn add_publisher(&self, name: String) -> Answer<'_, ()> {
        self.change("add_publisher", move || self.sound.add_publisher(name))
    }
    fn set_publisher_key(&self, name: String, key: [u8; 32]) -> Answer<'_, bool> {
        self.change("set_publisher_key", move || self.sound.set_publisher_key(name, key))
    }
    fn publisher_key(&self, name: String) -> Answer<'_, Option<[u8; 32]>> {
        self.sound.publisher_key(name)
    }
    fn publisher_balance(&self, name: String) -> Answer<'_, Option<Amount>> {
        self.sound.publisher_balance(name)
    }
    fn announce(&self, announcement: Announcement) -> Answer<'_, bool> {
        self.change("announce", move || self.sound.announce(announcement))
    }
    fn keysets(&self) -> Answer<'_, Vec<u8>> {
        self.sound.keysets()
    }
    fn sheet(&self) -> Answer<'_, Sheet> {
        self.sound.sheet()
    }
    fn probe(&self) -> Answer<'_, ()> {
        self.change("probe", move || self.sound.probe())
    }
    fn position(&self) -> Answer<'_, Position> {
        self.sound.position()
    }
}

impl<F: Fate + 'static> Recoveries for Faulty<F> {
    fn recoverable(&self, keyset: u32, recovery: [u8; 32], commitment: [u8; 32]) -> Answer<'_, Vec<RecordedRow>> {
        self.sound.recoverable(keyset, recovery, commitment)
    }
    fn frozen(&self) -> Answer<'_, Vec<(u32, Amount)>> {
        self.sound.frozen()
    }
}

impl<F: Fate + 'static> SpentLog for Faulty<F> {
    fn spent_before(&self, keyset: u32, time: u64) -> Answer<'_, u64> {
        self.sound.spent_before(keyset, time)
    }
    fn spent_marks(&self, keyset: u32, first: u64, end: u64) -> Answer<'_, Vec<SpentMark>> {
        self.sound.spent_marks(keyset, first, end)
    }
}

impl<F: Fate + 'static> Books for Faulty<F> {
    fn audit(&self) -> Answer<'_, Audit> {
        self.sound.audit()
    }
    fn set_payee(&self, publisher: String, payee: BankAccount) -> Answer<'_, bool> {
        self.change("set_payee", move || self.sound.set_payee(publisher, payee))
    }
    fn without_payee(&self) -> Answer<'_, Vec<String>> {
        self.sound.without_payee()
    }
    fn pay_out(&self, order: PayoutOrder) -> Answer<'_, PayoutBooked> {
        self.change("pay_out", move || self.sound.pay_out(order))
    }
    fn adopt_payout(&self, run: PayoutRun, held: Vec<String>, now: u64) -> Answer<'_, PayoutAdopted> {
        self.change("adopt_payout", move || self.sound.adopt_payout(run, held, now))
    }
    fn payout_runs(&self, id: Option<String>) -> Answer<'_, Vec<PayoutRun>> {
        self.sound.payout_runs(id)
    }
    fn payout_written(&self, id: String) -> Answer<'_, ()> {
        self.change("payout_written", move || self.sound.payout_written(id))
    }
    fn statement(&self, publisher: String) -> Answer<'_, Option<Vec<StatementDay>>> {
        self.sound.statement(publisher)
    }
}

impl<F: Fate + 'static> Orders for Faulty<F> {
    fn sell(&self, order: OrderBooking) -> Answer<'_, OrderBooked> {
        self.change("sell", move || self.sound.sell(order))
    }
    fn order(&self, id: [u8; 32]) -> Answer<'_, Option<Order>> {
        self.sound.order(id)
    }
    fn reverse(&self, payment: [u8; 32], total: Amount, now: u64) -> Answer<'_, Amount> {
        self.change("reverse", move || self.sound.reverse(payment, total, now))
    }
    fn publishers(&self) -> Answer<'_, Vec<PublisherRow>> {
        self.sound.publishers()
    }
    fn payouts(&self) -> Answer<'_, Vec<PayoutSummary>> {
        self.sound.payouts()
    }
}

impl<F: Fate + 'static> Closes for Faulty<F> {
    fn close_books(&self, now: u64, ended: bool) -> Answer<'_, CloseMade> {
        self.change("close_books", move || self.sound.close_books(now, ended))
    }
    fn closes(&self) -> Answer<'_, Vec<Close>> {
        self.sound.closes()
    }
    fn close(&self, number: u64) -> Answer<'_, Option<Close>> {
        self.sound.close(number)
    }
}

impl<F: Fate + 'static> Resync for Faulty<F> {
    fn note_shown(&self, sequence: u64) -> Answer<'_, ()> {
        self.change("note_shown", move || self.sound.note_shown(sequence))
    }
    fn begin_resync(&self, restored: bool, now: u64) -> Answer<'_, ResyncBegun> {
        self.change("begin_resync", move || self.sound.begin_resync(restored, now))
    }
    fn finish_resync(&self, allowance: Amount, drop_keysets: bool, now: u64) -> Answer<'_, ResyncFinished> {
        self.change("finish_resync", move || self.sound.finish_resync(allowance, drop_keysets, now))
    }
    fn note_restored(&self) -> Answer<'_, ()> {
        self.change("note_restored", move || self.sound.note_restored())
    }
    fn note_keysets(&self, keysets: u64, list: String) -> Answer<'_, ()> {
        self.change("note_keysets", move || self.sound.note_keysets(keysets, list))
    }
    fn shown_keysets(&self) -> Answer<'_, Option<String>> {
        self.sound.shown_keysets()
    }
    fn adopt_keysets(&self, announcements: Vec<Announcement>) -> Answer<'_, bool> {
        self.change("adopt_keysets", move || self.sound.adopt_keysets(announcements))
    }
    fn resynced(&self, since: u64) -> Answer<'_, Vec<Resynced>> {
        self.sound.resynced(since)
    }
}

impl<F: Fate + 'static> KeysetLedger for Faulty<F> {
    fn lifecycle(&self) -> Answer<'_, Lifecycle> {
        self.sound.lifecycle()
    }
    fn freeze_denomination(&self, number: u32, denomination: Amount) -> Answer<'_, bool> {
        self.change("freeze_denomination", move || self.sound.freeze_denomination(number, denomination))
    }
    fn retire_keyset(&self, number: u32, now: u64) -> Answer<'_, bool> {
        self.change("retire_keyset", move || self.sound.retire_keyset(number, now))
    }
    fn advance_keysets(&self, now: u64) -> Answer<'_, u64> {
        self.change("advance_keysets", move || self.sound.advance_keysets(now))
    }
    fn prune_keyset(&self, number: u32, rows: u32) -> Answer<'_, u64> {
        self.change("prune_keyset", move || self.sound.prune_keyset(number, rows))
    }
    fn accept_clock(&self, now: u64) -> Answer<'_, ()> {
        self.change("accept_clock", move || self.sound.accept_clock(now))
    }
    fn size(&self) -> Answer<'_, LedgerSize> {
        self.sound.size()
    }
}
