//! Orders and lists in SQLite.

use farthing_protocol::amount::Amount;
use sqlx::{Row, SqliteConnection};

use super::books::{Account, Entries, worth};
use super::orders::{Order, OrderBooked, OrderBooking, Orders, PayoutSummary, PublisherRow};
use super::sqlite::{Command, SqliteLedger, read};
use super::sqlite_rows::{self as rows, Outcome, amount, array, integer, unsigned};
use super::{Answer, LedgerError};

/// A change to the orders.
pub(super) enum Change {
    Sell(Box<OrderBooking>),
    Reverse([u8; 32], Amount),
}

/// What became of it.
pub(super) enum Changed {
    Sold(OrderBooked),
    Reversed(Amount),
}

impl Changed {
    /// Whether anything of it is to be kept.
    pub(super) fn stays(&self) -> bool {
        matches!(self, Self::Sold(OrderBooked::Booked) | Self::Reversed(_))
    }
}

/// Whether a ledger has orders.
pub(super) async fn there(connection: &mut SqliteConnection) -> Outcome<bool> {
    let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'voucher_order'";
    Ok(sqlx::query(found).fetch_optional(connection).await?.is_some())
}

/// Adds the orders to a ledger that has none.
pub(super) async fn ensure(connection: &mut SqliteConnection) -> Outcome<()> {
    if !there(connection).await? {
        sqlx::raw_sql(include_str!("schema_orders.sql")).execute(connection).await?;
    }
    Ok(())
}

/// Makes a change inside the caller's transaction.
pub(super) async fn change(connection: &mut SqliteConnection, change: &Change, entries: &mut Entries) -> Outcome<Changed> {
    match change {
        Change::Sell(order) => Ok(Changed::Sold(sell(connection, order, entries).await?)),
        Change::Reverse(payment, total) => Ok(Changed::Reversed(reverse(connection, payment, *total, entries).await?)),
    }
}

async fn order(connection: &mut SqliteConnection, id: &[u8; 32]) -> Outcome<Option<Order>> {
    let sql = "SELECT amount, count, time, taken FROM voucher_order WHERE id = ?1";
    let Some(row) = sqlx::query(sql).bind(id.as_slice()).fetch_optional(connection).await? else { return Ok(None) };
    let count = u32::try_from(unsigned(&row, "count")?).map_err(|_| LedgerError::Corrupt("a count of vouchers"))?;
    Ok(Some(Order { amount: amount(&row, "amount")?, count, time: unsigned(&row, "time")?, reversed: amount(&row, "taken")? }))
}

async fn sell(connection: &mut SqliteConnection, booking: &OrderBooking, entries: &mut Entries) -> Outcome<OrderBooked> {
    if let Some(earlier) = order(connection, &booking.id).await? {
        return Ok(OrderBooked::Earlier(earlier));
    }
    if let Some(payment) = &booking.payment {
        let used = sqlx::query("SELECT 1 FROM voucher_order WHERE payment = ?1").bind(payment.as_slice());
        if used.fetch_optional(&mut *connection).await?.is_some() {
            return Ok(OrderBooked::PaymentUsed);
        }
    }
    if !rows::create_vouchers(connection, &booking.keys, booking.amount).await? {
        return Ok(OrderBooked::SoldTooMuch);
    }
    let total = worth(booking.amount, booking.keys.len() as u64)?;
    entries.debit(Account::Sold, total)?;
    entries.credit(Account::Vouchers, total)?;
    let insert = "INSERT INTO voucher_order (id, amount, count, time, payment, voucher) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let voucher = booking.payment.and(booking.keys.first());
    sqlx::query(insert)
        .bind(booking.id.as_slice())
        .bind(integer(booking.amount.units())?)
        .bind(integer(booking.keys.len() as u64)?)
        .bind(integer(booking.now)?)
        .bind(booking.payment.as_ref().map(<[u8; 32]>::as_slice))
        .bind(voucher.map(<[u8; 32]>::as_slice))
        .execute(&mut *connection)
        .await?;
    if let Some(payment) = &booking.payment {
        // The provider's word may have come before the order's.
        take(connection, payment, entries).await?;
    }
    Ok(OrderBooked::Booked)
}

async fn reverse(connection: &mut SqliteConnection, payment: &[u8; 32], total: Amount, entries: &mut Entries) -> Outcome<Amount> {
    sqlx::query("INSERT INTO voucher_reversal (payment, total) VALUES (?1, ?2) ON CONFLICT (payment) DO UPDATE SET total = max(total, ?2)")
        .bind(payment.as_slice())
        .bind(integer(total.units())?)
        .execute(&mut *connection)
        .await?;
    take(connection, payment, entries).await
}

/// Takes from a voucher what was reversed of its payment and not taken yet, up to what is left on it.
async fn take(connection: &mut SqliteConnection, payment: &[u8; 32], entries: &mut Entries) -> Outcome<Amount> {
    let sql = "SELECT voucher, min(balance, max(min(total, amount) - taken, 0)) AS due FROM voucher_order
               JOIN voucher_reversal USING (payment) JOIN voucher ON key = voucher WHERE payment = ?1";
    let Some(row) = sqlx::query(sql).bind(payment.as_slice()).fetch_optional(&mut *connection).await? else { return Ok(Amount::ZERO) };
    let (voucher, due): ([u8; 32], Amount) = (array(&row, "voucher")?, amount(&row, "due")?);
    if due.is_zero() {
        return Ok(due);
    }
    let units = integer(due.units())?;
    for (sql, key) in [
        ("UPDATE voucher SET balance = balance - ?2 WHERE key = ?1", voucher.as_slice()),
        ("UPDATE voucher_order SET taken = taken + ?2 WHERE payment = ?1", payment.as_slice()),
        ("UPDATE mint SET sold = sold - ?2 WHERE id = 1 AND ?1 IS NOT NULL", payment.as_slice()),
    ] {
        if sqlx::query(sql).bind(key).bind(units).execute(&mut *connection).await?.rows_affected() != 1 {
            return Err(LedgerError::Corrupt("an order without its voucher").into());
        }
    }
    entries.debit(Account::Vouchers, due)?;
    entries.credit(Account::Sold, due)?;
    Ok(due)
}

impl Orders for SqliteLedger {
    fn sell(&self, order: OrderBooking) -> Answer<'_, OrderBooked> {
        Box::pin(async move {
            let now = order.now;
            match self.ask(|reply| Command::Orders(Change::Sell(Box::new(order)), now, reply)).await? {
                Changed::Sold(booked) => Ok(booked),
                Changed::Reversed(_) => Err(LedgerError::Unavailable),
            }
        })
    }

    fn order(&self, id: [u8; 32]) -> Answer<'_, Option<Order>> {
        read("order", async move { order(&mut *self.reader().await?, &id).await })
    }

    fn reverse(&self, payment: [u8; 32], total: Amount, now: u64) -> Answer<'_, Amount> {
        Box::pin(async move {
            match self.ask(|reply| Command::Orders(Change::Reverse(payment, total), now, reply)).await? {
                Changed::Reversed(taken) => Ok(taken),
                Changed::Sold(_) => Err(LedgerError::Unavailable),
            }
        })
    }

    fn publishers(&self) -> Answer<'_, Vec<PublisherRow>> {
        read("publishers", async move {
            let sql =
                "SELECT name, balance, publisher.key AS key, details FROM publisher LEFT JOIN payee ON publisher = name ORDER BY name";
            let mut publishers = Vec::new();
            for row in sqlx::query(sql).fetch_all(&mut *self.reader().await?).await? {
                let key: Option<Vec<u8>> = row.try_get("key")?;
                let key = key.map(|key| key.try_into().map_err(|_| LedgerError::Corrupt("a publisher's key"))).transpose()?;
                let payee: Option<String> = row.try_get("details")?;
                let payee =
                    payee.map(|text| serde_json::from_str(&text).map_err(|_| LedgerError::Corrupt("a bank account"))).transpose()?;
                publishers.push(PublisherRow { name: row.try_get("name")?, balance: amount(&row, "balance")?, key, payee });
            }
            Ok(publishers)
        })
    }

    fn payouts(&self) -> Answer<'_, Vec<PayoutSummary>> {
        read("payouts", async move {
            let sql = "SELECT id, time, written, count(*) AS publishers, sum(amount) AS amount, sum(fee) AS fee
                       FROM payout_run JOIN payout ON run = id GROUP BY id, time, written, booking ORDER BY booking";
            let rows = sqlx::query(sql).fetch_all(&mut *self.reader().await?).await?;
            let summary = |row| {
                Ok(PayoutSummary {
                    id: Row::try_get(row, "id")?,
                    time: unsigned(row, "time")?,
                    written: unsigned(row, "written")? != 0,
                    publishers: unsigned(row, "publishers")?,
                    amount: amount(row, "amount")?,
                    fee: amount(row, "fee")?,
                })
            };
            rows.iter().map(summary).collect()
        })
    }
}
