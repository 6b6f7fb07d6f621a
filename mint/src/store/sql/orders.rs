//! Orders and lists.

use farthing_protocol::amount::Amount;
use sqlx::Row as _;

use super::engine::{Done, Engine, Work, read};
use super::rows::{self, Outcome, amount, array, integer, unsigned};
use super::{Connection, Row};
use crate::store::books::{Account, Entries, worth};
use crate::store::orders::{Order, OrderBooked, OrderBooking, Orders, PayoutSummary, PublisherRow};
use crate::store::{Answer, LedgerError};

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
    pub(super) const fn stays(&self) -> bool {
        matches!(self, Self::Sold(OrderBooked::Booked) | Self::Reversed(_))
    }
}

/// Makes a change inside the caller's transaction. No other writes until that ends, so what is looked up here still holds when it is acted
/// upon.
pub(super) async fn change(connection: &mut Connection, change: &Change, entries: &mut Entries) -> Outcome<Changed> {
    match change {
        Change::Sell(order) => Ok(Changed::Sold(sell(connection, order, entries).await?)),
        Change::Reverse(payment, total) => Ok(Changed::Reversed(reverse(connection, payment, *total, entries).await?)),
    }
}

async fn order(connection: &mut Connection, id: &[u8; 32]) -> Outcome<Option<Order>> {
    let sql = "SELECT amount, count, time, taken FROM voucher_order WHERE id = $1";
    let Some(row) = sqlx::query(sql).bind(id.as_slice()).fetch_optional(connection).await? else { return Ok(None) };
    let count = u32::try_from(unsigned(&row, "count")?).map_err(|_| LedgerError::Corrupt("a count of vouchers"))?;
    Ok(Some(Order { amount: amount(&row, "amount")?, count, time: unsigned(&row, "time")?, reversed: amount(&row, "taken")? }))
}

async fn sell(connection: &mut Connection, booking: &OrderBooking, entries: &mut Entries) -> Outcome<OrderBooked> {
    if let Some(earlier) = order(connection, &booking.id).await? {
        return Ok(OrderBooked::Earlier(earlier));
    }
    if let Some(payment) = &booking.payment {
        let used = sqlx::query("SELECT 1 FROM voucher_order WHERE payment = $1").bind(payment.as_slice());
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
    let insert = "INSERT INTO voucher_order (id, amount, count, time, payment, voucher) VALUES ($1, $2, $3, $4, $5, $6)";
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

async fn reverse(connection: &mut Connection, payment: &[u8; 32], total: Amount, entries: &mut Entries) -> Outcome<Amount> {
    let remember = "INSERT INTO voucher_reversal (payment, total) VALUES ($1, $2)
                    ON CONFLICT (payment) DO UPDATE SET total = excluded.total WHERE voucher_reversal.total < excluded.total";
    sqlx::query(remember).bind(payment.as_slice()).bind(integer(total.units())?).execute(&mut *connection).await?;
    take(connection, payment, entries).await
}

/// Takes from a voucher what was reversed of its payment and not taken yet, up to what is left on it.
async fn take(connection: &mut Connection, payment: &[u8; 32], entries: &mut Entries) -> Outcome<Amount> {
    let sql = "SELECT o.voucher AS voucher, o.amount AS amount, o.taken AS taken, r.total AS total, v.balance AS balance
               FROM voucher_order o JOIN voucher_reversal r ON r.payment = o.payment JOIN voucher v ON v.key = o.voucher
               WHERE o.payment = $1";
    let Some(row) = sqlx::query(sql).bind(payment.as_slice()).fetch_optional(&mut *connection).await? else { return Ok(Amount::ZERO) };
    let voucher: [u8; 32] = array(&row, "voucher")?;
    let reversed = unsigned(&row, "total")?.min(unsigned(&row, "amount")?);
    let due = unsigned(&row, "balance")?.min(reversed.saturating_sub(unsigned(&row, "taken")?));
    if due == 0 {
        return Ok(Amount::ZERO);
    }
    let units = integer(due)?;
    for (sql, key) in [
        ("UPDATE voucher SET balance = balance - $1 WHERE key = $2", &voucher),
        ("UPDATE voucher_order SET taken = taken + $1 WHERE payment = $2", payment),
    ] {
        if sqlx::query(sql).bind(units).bind(key.as_slice()).execute(&mut *connection).await?.rows_affected() != 1 {
            return Err(LedgerError::Corrupt("an order without its voucher").into());
        }
    }
    sqlx::query("UPDATE mint SET sold = sold - $1 WHERE id = 1").bind(units).execute(connection).await?;
    let due = Amount::from_units(due);
    entries.debit(Account::Vouchers, due)?;
    entries.credit(Account::Sold, due)?;
    Ok(due)
}

fn publisher(row: &Row) -> Outcome<PublisherRow> {
    let key: Option<Vec<u8>> = row.try_get("key")?;
    let key = key.map(|key| key.try_into().map_err(|_| LedgerError::Corrupt("a publisher's key"))).transpose()?;
    let payee: Option<String> = row.try_get("details")?;
    let payee = payee.map(|text| serde_json::from_str(&text).map_err(|_| LedgerError::Corrupt("a bank account"))).transpose()?;
    Ok(PublisherRow { name: row.try_get("name")?, balance: amount(row, "balance")?, key, payee })
}

fn summary(row: &Row) -> Outcome<PayoutSummary> {
    Ok(PayoutSummary {
        id: row.try_get("id")?,
        time: unsigned(row, "time")?,
        written: unsigned(row, "written")? != 0,
        publishers: unsigned(row, "publishers")?,
        amount: amount(row, "amount")?,
        fee: amount(row, "fee")?,
    })
}

impl Engine {
    async fn change_orders(&self, change: Change, now: u64) -> Result<Changed, LedgerError> {
        match self.ask(Work::Orders(change, now)).await? {
            Done::Orders(changed) => Ok(changed),
            _ => Err(LedgerError::Unavailable),
        }
    }
}

impl Orders for Engine {
    fn sell(&self, order: OrderBooking) -> Answer<'_, OrderBooked> {
        Box::pin(async move {
            let now = order.now;
            match self.change_orders(Change::Sell(Box::new(order)), now).await? {
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
            match self.change_orders(Change::Reverse(payment, total), now).await? {
                Changed::Reversed(taken) => Ok(taken),
                Changed::Sold(_) => Err(LedgerError::Unavailable),
            }
        })
    }

    fn publishers(&self) -> Answer<'_, Vec<PublisherRow>> {
        read("publishers", async move {
            let sql = "SELECT p.name AS name, p.balance AS balance, p.key AS key, a.details AS details
                       FROM publisher p LEFT JOIN payee a ON a.publisher = p.name ORDER BY p.name";
            let rows = sqlx::query(sql).fetch_all(&mut *self.reader().await?).await?;
            rows.iter().map(publisher).collect()
        })
    }

    fn payouts(&self) -> Answer<'_, Vec<PayoutSummary>> {
        read("payouts", async move {
            // The sum of many integers is a decimal number to some engines.
            let sql = "SELECT r.id AS id, r.time AS time, r.written AS written, count(*) AS publishers,
                              CAST(sum(p.amount) AS BIGINT) AS amount, CAST(sum(p.fee) AS BIGINT) AS fee
                       FROM payout_run r JOIN payout p ON p.run = r.id GROUP BY r.id, r.time, r.written, r.booking ORDER BY r.booking";
            let rows = sqlx::query(sql).fetch_all(&mut *self.reader().await?).await?;
            rows.iter().map(summary).collect()
        })
    }
}
