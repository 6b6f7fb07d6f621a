//! The statements of closes.

use std::collections::BTreeMap;

use farthing_protocol::amount::Amount;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::engine::{Engine, Work, read};
use super::rows::{self, Outcome, amount, integer, pieces, unsigned};
use super::{Connection, MOMENT, Row, journal, recovery, tuples};
use crate::store::books::{Difference, balance};
use crate::store::closes::{Close, CloseMade, CloseTotal, Closes, NONE, Sums, shown};
use crate::store::{Answer, LedgerError};

const DAY: u64 = 86_400;

/// The tables.
pub(super) const SCHEMA: &str = include_str!("../closes.sql");

fn run(row: &Row) -> Outcome<Close> {
    Ok(Close {
        number: unsigned(row, "number")?,
        first_booking: unsigned(row, "first_booking")?,
        last_booking: unsigned(row, "last_booking")?,
        time: unsigned(row, "time")?,
        day: unsigned(row, "day")?,
        digest: row.try_get("digest")?,
        totals: Vec::new(),
    })
}

async fn closes(connection: &mut Connection) -> Outcome<Vec<Close>> {
    let sql = "SELECT number, first_booking, last_booking, time, day, digest FROM close_run ORDER BY number";
    sqlx::query(sql).fetch_all(connection).await?.iter().map(run).collect()
}

async fn last(connection: &mut Connection) -> Outcome<Option<Close>> {
    let sql = "SELECT number, first_booking, last_booking, time, day, digest FROM close_run ORDER BY number DESC LIMIT 1";
    sqlx::query(sql).fetch_optional(connection).await?.as_ref().map(run).transpose()
}

async fn totals(connection: &mut Connection, number: u64) -> Outcome<Vec<CloseTotal>> {
    let sql = "SELECT account, debit, credit, balance FROM close_total WHERE close = $1";
    let mut out = Vec::new();
    for row in sqlx::query(sql).bind(integer(number)?).fetch_all(connection).await? {
        let (debit, credit) = (amount(&row, "debit")?, amount(&row, "credit")?);
        out.push(CloseTotal { account: row.try_get("account")?, debit, credit, balance: row.try_get("balance")? });
    }
    // Engines sort text in ways of their own.
    out.sort_by(|one, other| one.account.cmp(&other.account));
    Ok(out)
}

/// What bookings moved, by account.
async fn sums(connection: &mut Connection, first: u64, last: u64) -> Outcome<Sums> {
    let sql = "SELECT account, CAST(sum(debit) AS BIGINT) AS debits, CAST(sum(credit) AS BIGINT) AS credits FROM entry
               WHERE booking >= $1 AND booking <= $2 GROUP BY account";
    let mut out = Sums::new();
    for row in sqlx::query(sql).bind(integer(first)?).bind(integer(last)?).fetch_all(connection).await? {
        out.insert(row.try_get("account")?, (unsigned(&row, "debits")?, unsigned(&row, "credits")?));
    }
    Ok(out)
}

async fn bookings(connection: &mut Connection, first: u64, last: u64) -> Outcome<u64> {
    let sql = "SELECT count(*) AS n FROM booking WHERE number >= $1 AND number <= $2";
    unsigned(&sqlx::query(sql).bind(integer(first)?).bind(integer(last)?).fetch_one(connection).await?, "n")
}

/// Brings balances up to date, and lists what moved.
fn advance(balances: &mut BTreeMap<String, i64>, sums: &Sums) -> Outcome<Vec<CloseTotal>> {
    let mut out = Vec::new();
    for (account, (debit, credit)) in sums {
        let after = balances.entry(account.clone()).or_default();
        *after = after.checked_add(balance(account, *debit, *credit)?).ok_or(LedgerError::Corrupt("amounts beyond 64 bits"))?;
        let (debit, credit) = (Amount::from_units(*debit), Amount::from_units(*credit));
        out.push(CloseTotal { account: account.clone(), debit, credit, balance: *after });
    }
    Ok(out)
}

/// A close as it would be, or why not. Everything is read at one moment, which holds up no writer.
///
/// Implements R-BOOKS-06.
async fn reckon(connection: &mut Connection, now: u64, ended: bool) -> Outcome<CloseMade> {
    let before = last(connection).await?;
    let (number, first_booking) = before.as_ref().map_or((1, 1), |close| (close.number + 1, close.last_booking + 1));
    let newest = sqlx::query("SELECT coalesce(max(number), 0) AS newest FROM booking").fetch_one(&mut *connection).await?;
    let last_booking = unsigned(&newest, "newest")?;
    let oldest = sqlx::query("SELECT time FROM booking WHERE number >= $1 ORDER BY number LIMIT 1").bind(integer(first_booking)?);
    let Some(oldest) = oldest.fetch_optional(&mut *connection).await? else { return Ok(CloseMade::Nothing) };
    if ended && unsigned(&oldest, "time")? / DAY >= now / DAY {
        return Ok(CloseMade::Nothing);
    }
    let mut differences = Vec::new();
    let mut differ = |what: String, recomputed: i64, stated: i64| {
        if recomputed != stated {
            differences.push(Difference { what, recomputed, stated });
        }
    };
    let covered = last_booking + 1 - first_booking;
    let there = bookings(connection, first_booking, last_booking).await?;
    differ(format!("bookings {first_booking} to {last_booking}"), integer(there)?, integer(covered)?);
    let sums = sums(connection, first_booking, last_booking).await?;
    let side = |side: fn(&(u64, u64)) -> u64| i64::try_from(sums.values().map(|row| u128::from(side(row))).sum::<u128>());
    let overflow = |_| LedgerError::Corrupt("amounts beyond 64 bits");
    differ("debits and credits".into(), side(|row| row.0).map_err(overflow)?, side(|row| row.1).map_err(overflow)?);
    let sql = "SELECT total.account AS account, balance
               FROM (SELECT account, max(close) AS newest FROM close_total GROUP BY account) AS one
               JOIN close_total AS total ON total.account = one.account AND total.close = one.newest";
    let mut balances = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        balances.insert(row.try_get("account")?, row.try_get("balance")?);
    }
    let totals = advance(&mut balances, &sums)?;
    for (account, stated) in journal::stated(connection).await? {
        let account = account.to_string();
        differ(account.clone(), balances.remove(&account).unwrap_or(0), stated);
    }
    for (account, balance) in balances {
        differ(account, balance, 0);
    }
    differences.extend(recovery::audit(connection).await?);
    if !differences.is_empty() {
        return Ok(CloseMade::Differs(differences));
    }
    let day = (now / DAY).saturating_sub(1);
    let mut close = Close { number, first_booking, last_booking, time: now, day, digest: String::new(), totals };
    let ledger = rows::position(connection).await?.ledger;
    close.digest = close.digest(&ledger, before.as_ref().map_or(NONE, |before| &before.digest));
    Ok(CloseMade::Closed(Box::new(close)))
}

/// Stores a close after the one it continues; `false` if another was first.
pub(super) async fn store(connection: &mut Connection, close: &Close) -> Outcome<bool> {
    let expected = last(connection).await?.map_or((1, 1), |before| (before.number + 1, before.last_booking + 1));
    if expected != (close.number, close.first_booking) {
        return Ok(false);
    }
    sqlx::query("INSERT INTO close_run (number, first_booking, last_booking, time, day, digest) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(integer(close.number)?)
        .bind(integer(close.first_booking)?)
        .bind(integer(close.last_booking)?)
        .bind(integer(close.time)?)
        .bind(integer(close.day)?)
        .bind(close.digest.as_str())
        .execute(&mut *connection)
        .await?;
    for piece in pieces(&close.totals) {
        let sql = format!("INSERT INTO close_total (close, account, debit, credit, balance) VALUES {}", tuples(piece.len(), 5));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for total in piece {
            query = query
                .bind(integer(close.number)?)
                .bind(total.account.as_str())
                .bind(integer(total.debit.units())?)
                .bind(integer(total.credit.units())?)
                .bind(total.balance);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(true)
}

/// Recomputes every close from the journal, and the chain.
///
/// Implements R-BOOKS-07.
pub(super) async fn audit(connection: &mut Connection) -> Outcome<Vec<Difference>> {
    let mut differences = Vec::new();
    let ledger = rows::position(connection).await?.ledger;
    let (mut balances, mut previous, mut number, mut next) = (BTreeMap::new(), NONE.to_owned(), 1, 1);
    for stated in closes(connection).await? {
        let mut differ = |what: &str, recomputed: i64, said: i64| {
            if recomputed != said {
                differences.push(Difference { what: format!("close {}: {what}", stated.number), recomputed, stated: said });
            }
        };
        differ("its number", number, integer(stated.number)?);
        differ("first booking", next, integer(stated.first_booking)?);
        let covered = (stated.last_booking + 1).saturating_sub(stated.first_booking);
        differ("bookings", integer(bookings(connection, stated.first_booking, stated.last_booking).await?)?, integer(covered)?);
        let sums = sums(connection, stated.first_booking, stated.last_booking).await?;
        let recomputed = Close { totals: advance(&mut balances, &sums)?, ..stated.clone() };
        let mut said: BTreeMap<String, CloseTotal> =
            totals(connection, stated.number).await?.into_iter().map(|total| (total.account.clone(), total)).collect();
        let nothing = |account: &str| CloseTotal { account: account.into(), debit: Amount::ZERO, credit: Amount::ZERO, balance: 0 };
        for total in &recomputed.totals {
            let account = &total.account;
            let other = said.remove(account).unwrap_or_else(|| nothing(account));
            differ(&format!("debits of {account}"), integer(total.debit.units())?, integer(other.debit.units())?);
            differ(&format!("credits of {account}"), integer(total.credit.units())?, integer(other.credit.units())?);
            differ(&format!("balance of {account}"), total.balance, other.balance);
        }
        for (account, other) in said {
            differ(&format!("debits of {account}"), 0, integer(other.debit.units())?);
            differ(&format!("credits of {account}"), 0, integer(other.credit.units())?);
        }
        let digest = recomputed.digest(&ledger, &previous);
        if digest != stated.digest {
            differ("digest", shown(&digest), shown(&stated.digest));
        }
        (number, next) = (integer(stated.number)? + 1, integer(stated.last_booking)? + 1);
        // The chain goes on from what is written, so that only what was changed is named.
        previous = stated.digest;
    }
    Ok(differences)
}

impl Closes for Engine {
    fn close_books(&self, now: u64, ended: bool) -> Answer<'_, CloseMade> {
        Box::pin(async move {
            let reckoned = read("close", async move {
                let mut connection = self.reader().await?;
                let mut moment = connection.begin_with(MOMENT).await?;
                let reckoned = reckon(&mut moment, now, ended).await?;
                moment.rollback().await?;
                Ok(reckoned)
            });
            match reckoned.await? {
                // If another process was first, its close covers what this one would have.
                CloseMade::Closed(close) if !self.made(Work::Close(close.clone(), now)).await? => Ok(CloseMade::Nothing),
                made => Ok(made),
            }
        })
    }

    fn closes(&self) -> Answer<'_, Vec<Close>> {
        read("closes", async move { closes(&mut *self.reader().await?).await })
    }

    fn close(&self, number: u64) -> Answer<'_, Option<Close>> {
        read("close", async move {
            let mut connection = self.reader().await?;
            let sql = "SELECT number, first_booking, last_booking, time, day, digest FROM close_run WHERE number = $1";
            let row = sqlx::query(sql).bind(integer(number)?).fetch_optional(&mut *connection).await?;
            let Some(row) = row else { return Ok(None) };
            let close = run(&row)?;
            let totals = totals(&mut connection, number).await?;
            Ok(Some(Close { totals, ..close }))
        })
    }
}
