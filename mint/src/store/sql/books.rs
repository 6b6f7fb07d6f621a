//! Payees, payouts and statements.

use std::collections::BTreeMap;

use farthing_protocol::amount::Amount;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Connection as _, Row as _};

use super::engine::{Done, Engine, Work, read};
use super::rows::{Outcome, amount, integer, unsigned};
use super::{Connection, MOMENT, Row, journal, resync};
use crate::store::books::{
    Account, Audit, BankAccount, Books, Entries, Payout, PayoutAdopted, PayoutBooked, PayoutOrder, PayoutRun, StatementDay,
};
use crate::store::{Answer, LedgerError};

/// The most one transfer may carry, in cents: a bank takes no more.
const MOST_CENTS: u64 = 99_999_999_999;

const DAY: u64 = 86_400;

/// A change to the books' own tables.
pub(super) enum Change {
    Payee(String, Box<BankAccount>),
    PayOut(Box<PayoutOrder>),
    Adopt(Box<PayoutRun>, Vec<String>),
    Written(String),
}

/// What became of it.
#[derive(PartialEq, Eq)]
pub(super) enum Changed {
    Done,
    NotThere,
    Payout(PayoutBooked),
    Adopted(PayoutAdopted),
}

fn to_json(value: &impl Serialize) -> Outcome<String> {
    serde_json::to_string(value).map_err(|_| LedgerError::Corrupt("a bank account").into())
}

fn from_json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Outcome<T> {
    serde_json::from_str(row.try_get(column)?).map_err(|_| LedgerError::Corrupt("a bank account").into())
}

/// Makes a change inside the caller's transaction.
pub(super) async fn change(connection: &mut Connection, change: &Change, entries: &mut Entries) -> Outcome<Changed> {
    match change {
        Change::Payee(publisher, payee) => {
            let known = sqlx::query("SELECT 1 FROM publisher WHERE name = $1").bind(publisher).fetch_optional(&mut *connection).await?;
            if known.is_none() {
                return Ok(Changed::NotThere);
            }
            sqlx::query("INSERT INTO payee (publisher, details) VALUES ($1, $2) ON CONFLICT (publisher) DO UPDATE SET details = $2")
                .bind(publisher)
                .bind(to_json(payee)?)
                .execute(connection)
                .await?;
            Ok(Changed::Done)
        }
        Change::PayOut(order) => Ok(Changed::Payout(pay_out(connection, order, entries).await?)),
        Change::Adopt(run, held) => Ok(Changed::Adopted(adopt(connection, run, held, entries).await?)),
        Change::Written(id) => {
            mark_written(connection, id).await?;
            Ok(Changed::Done)
        }
    }
}

async fn mark_written(connection: &mut Connection, id: &str) -> Outcome<()> {
    sqlx::query("UPDATE payout_run SET written = 1 WHERE id = $1").bind(id).execute(connection).await?;
    Ok(())
}

/// What is credited and what is kept of a balance, in smallest units; `None` if nothing is to be paid.
fn share(order: &PayoutOrder, balance: Amount) -> Option<(Amount, Amount)> {
    let cent = order.cent.units();
    if balance < order.minimum {
        return None;
    }
    let cents = balance.units().checked_div(cent)?.min(MOST_CENTS);
    let fee = cents * u64::from(order.fee_share.min(1_000)) / 1_000;
    // At most the balance, so that nothing overflows.
    (cents > fee).then(|| (Amount::from_units(cents * cent), Amount::from_units(fee * cent)))
}

/// Implements R-BOOKS-03.
async fn pay_out(connection: &mut Connection, order: &PayoutOrder, entries: &mut Entries) -> Outcome<PayoutBooked> {
    let earlier = sqlx::query("SELECT 1 FROM payout_run WHERE id = $1").bind(&order.id).fetch_optional(&mut *connection).await?;
    if earlier.is_some() {
        return Ok(PayoutBooked::Earlier);
    }
    if !resync::is_whole(connection).await? {
        return Ok(PayoutBooked::Restored);
    }
    let due = "SELECT name, balance, details FROM publisher JOIN payee ON publisher = name WHERE balance > 0 ORDER BY name";
    let mut payouts = Vec::new();
    for row in sqlx::query(due).fetch_all(&mut *connection).await? {
        if let Some((credited, fee)) = share(order, amount(&row, "balance")?) {
            payouts.push((row.try_get::<String, _>("name")?, row.try_get::<String, _>("details")?, credited, fee));
        }
    }
    if payouts.is_empty() {
        return Ok(PayoutBooked::Nothing);
    }
    insert_run(connection, &order.id, order.now, &order.debtor, false).await?;
    for (publisher, payee, credited, fee) in payouts {
        insert_payout(connection, &order.id, publisher, credited, fee, payee, entries).await?;
    }
    Ok(PayoutBooked::Booked)
}

async fn insert_run(connection: &mut Connection, id: &str, time: u64, debtor: &BankAccount, written: bool) -> Outcome<()> {
    sqlx::query("INSERT INTO payout_run (id, booking, time, debtor, written) VALUES ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(journal::next(connection).await?)
        .bind(integer(time)?)
        .bind(to_json(debtor)?)
        .bind(i64::from(written))
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes one publisher's part of a run from its balance.
async fn insert_payout(
    connection: &mut Connection,
    run: &str,
    publisher: String,
    credited: Amount,
    fee: Amount,
    payee: String,
    entries: &mut Entries,
) -> Outcome<()> {
    let paid = credited.checked_sub(fee).ok_or(LedgerError::Corrupt("a fee above the payout"))?;
    let debited = sqlx::query("UPDATE publisher SET balance = balance - $2 WHERE name = $1 AND balance >= $2")
        .bind(&publisher)
        .bind(integer(credited.units())?)
        .execute(&mut *connection)
        .await?;
    if debited.rows_affected() != 1 {
        return Err(LedgerError::Corrupt("a balance that changed between looking and writing").into());
    }
    sqlx::query("INSERT INTO payout (run, publisher, credited, fee, amount, payee) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(run)
        .bind(&publisher)
        .bind(integer(credited.units())?)
        .bind(integer(fee.units())?)
        .bind(integer(paid.units())?)
        .bind(payee)
        .execute(&mut *connection)
        .await?;
    entries.debit(Account::Publisher(publisher), credited)?;
    entries.credit(Account::Fees, fee)?;
    entries.credit(Account::PaidOut, paid)?;
    Ok(())
}

/// Books a run of before the loss again. Everything is looked at before anything is written.
///
/// Implements R-BOOKS-09.
async fn adopt(connection: &mut Connection, run: &PayoutRun, held: &[String], entries: &mut Entries) -> Outcome<PayoutAdopted> {
    if let Some(known) = payout_runs(connection, Some(run.id.clone())).await?.pop() {
        if (PayoutRun { written: run.written, ..known }) != *run {
            return Ok(PayoutAdopted::Differs);
        }
        // The file that was read is the last that a run writes: if the backup is of before, its files are not to be written, and paid, again.
        mark_written(connection, &run.id).await?;
        return Ok(PayoutAdopted::Earlier);
    }
    if !resync::state(connection).await?.was_restored() {
        return Ok(PayoutAdopted::InStep);
    }
    let (mut unknown, mut short) = (Vec::new(), Vec::new());
    for payout in &run.payouts {
        let row = sqlx::query("SELECT balance FROM publisher WHERE name = $1").bind(&payout.publisher);
        match row.fetch_optional(&mut *connection).await? {
            None => unknown.push(payout.publisher.clone()),
            Some(row) if amount(&row, "balance")? < payout.credited => short.push(payout.publisher.clone()),
            Some(_) => {}
        }
    }
    if !unknown.is_empty() {
        return Ok(PayoutAdopted::Unknown(unknown));
    }
    if !short.is_empty() {
        return Ok(PayoutAdopted::Short(short));
    }
    for publisher in held {
        sqlx::query("DELETE FROM payee WHERE publisher = $1").bind(publisher).execute(&mut *connection).await?;
    }
    insert_run(connection, &run.id, run.time, &run.debtor, true).await?;
    for Payout { publisher, credited, fee, payee, .. } in &run.payouts {
        insert_payout(connection, &run.id, publisher.clone(), *credited, *fee, to_json(payee)?, entries).await?;
    }
    Ok(PayoutAdopted::Adopted)
}

async fn payout_runs(connection: &mut Connection, id: Option<String>) -> Outcome<Vec<PayoutRun>> {
    let sql = "SELECT id, time, debtor, written FROM payout_run WHERE id = $1 OR ($1 IS NULL AND written = 0) ORDER BY booking";
    let mut runs = Vec::new();
    for row in sqlx::query(sql).bind(id).fetch_all(&mut *connection).await? {
        let id: String = row.try_get("id")?;
        let sql = "SELECT publisher, credited, fee, amount, payee FROM payout WHERE run = $1 ORDER BY publisher";
        let mut payouts = Vec::new();
        for row in sqlx::query(sql).bind(&id).fetch_all(&mut *connection).await? {
            payouts.push(Payout {
                publisher: row.try_get("publisher")?,
                credited: amount(&row, "credited")?,
                fee: amount(&row, "fee")?,
                amount: amount(&row, "amount")?,
                payee: from_json(&row, "payee")?,
            });
        }
        let written = row.try_get::<i64, _>("written")? != 0;
        runs.push(PayoutRun { id, time: unsigned(&row, "time")?, debtor: from_json(&row, "debtor")?, written, payouts });
    }
    Ok(runs)
}

/// Implements R-BOOKS-05.
async fn statement(connection: &mut Connection, publisher: &str) -> Outcome<Option<Vec<StatementDay>>> {
    let known = sqlx::query("SELECT 1 FROM publisher WHERE name = $1").bind(publisher).fetch_optional(&mut *connection).await?;
    if known.is_none() {
        return Ok(None);
    }
    let mut days: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
    let overflow = || LedgerError::Corrupt("amounts beyond 64 bits");
    let sql = "SELECT time, debit, credit, coalesce((SELECT credited FROM payout JOIN payout_run ON payout_run.id = payout.run
                                                     WHERE payout_run.booking = number AND publisher = $2), 0) AS paid
               FROM entry JOIN booking ON number = booking WHERE account = $1";
    let account = Account::Publisher(publisher.to_owned()).to_string();
    for row in sqlx::query(sql).bind(account).bind(publisher).fetch_all(connection).await? {
        let (debit, credit, paid) = (unsigned(&row, "debit")?, unsigned(&row, "credit")?, unsigned(&row, "paid")?);
        let refunded = debit.checked_sub(paid).ok_or(LedgerError::Corrupt("a payout above its booking"))?;
        let day = days.entry(unsigned(&row, "time")? / DAY).or_default();
        day.0 = day.0.checked_add(credit).ok_or_else(overflow)?;
        day.1 = day.1.checked_add(refunded).ok_or_else(overflow)?;
        day.2 = day.2.checked_add(paid).ok_or_else(overflow)?;
    }
    let day = |(day, (credited, refunded, paid_out)): (u64, (u64, u64, u64))| StatementDay {
        day,
        credited: Amount::from_units(credited),
        refunded: Amount::from_units(refunded),
        paid_out: Amount::from_units(paid_out),
    };
    Ok(Some(days.into_iter().map(day).collect()))
}

impl Engine {
    async fn change_books(&self, change: Change, now: u64) -> Result<Changed, LedgerError> {
        match self.ask(Work::Books(change, now)).await? {
            Done::Books(changed) => Ok(changed),
            _ => Err(LedgerError::Unavailable),
        }
    }
}

impl Books for Engine {
    fn audit(&self) -> Answer<'_, Audit> {
        read("audit", async move {
            let mut connection = self.reader().await?;
            let mut moment = connection.begin_with(MOMENT).await?;
            let audit = journal::audit(&mut moment).await?;
            moment.rollback().await?;
            Ok(audit)
        })
    }

    fn set_payee(&self, publisher: String, payee: BankAccount) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.change_books(Change::Payee(publisher, Box::new(payee)), 0).await? == Changed::Done) })
    }

    fn without_payee(&self) -> Answer<'_, Vec<String>> {
        read("payees", async move {
            let sql = "SELECT name FROM publisher WHERE balance > 0 AND name NOT IN (SELECT publisher FROM payee) ORDER BY name";
            let rows = sqlx::query(sql).fetch_all(&mut *self.reader().await?).await?;
            rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
        })
    }

    fn pay_out(&self, order: PayoutOrder) -> Answer<'_, PayoutBooked> {
        Box::pin(async move {
            let now = order.now;
            match self.change_books(Change::PayOut(Box::new(order)), now).await? {
                Changed::Payout(booked) => Ok(booked),
                _ => Err(LedgerError::Unavailable),
            }
        })
    }

    fn adopt_payout(&self, run: PayoutRun, held: Vec<String>, now: u64) -> Answer<'_, PayoutAdopted> {
        Box::pin(async move {
            match self.change_books(Change::Adopt(Box::new(run), held), now).await? {
                Changed::Adopted(adopted) => Ok(adopted),
                _ => Err(LedgerError::Unavailable),
            }
        })
    }

    fn payout_runs(&self, id: Option<String>) -> Answer<'_, Vec<PayoutRun>> {
        read("payouts", async move {
            let mut connection = self.reader().await?;
            let mut moment = connection.begin_with(MOMENT).await?;
            let runs = payout_runs(&mut moment, id).await?;
            moment.rollback().await?;
            Ok(runs)
        })
    }

    fn payout_written(&self, id: String) -> Answer<'_, ()> {
        Box::pin(async move { self.change_books(Change::Written(id), 0).await.map(drop) })
    }

    fn statement(&self, publisher: String) -> Answer<'_, Option<Vec<StatementDay>>> {
        read("statement", async move { statement(&mut *self.reader().await?, &publisher).await })
    }
}
