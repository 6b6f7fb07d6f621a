//! The journal: written once a transaction, and compared with everything else.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::rows::{self, Outcome, amount, integer, pieces, unsigned};
use super::{Connection, Row, closes, recovery, tuples};
use crate::store::books::{Account, Audit, Balance, Difference, Entries, balance};
use crate::store::{Counter, LedgerError, Sheet};

/// Books what a transaction moved. The time is the highest recorded.
///
/// Implements R-BOOKS-01.
pub(super) async fn write(connection: &mut Connection, entries: &Entries) -> Outcome<()> {
    let rows: Vec<(String, i64, i64)> = entries
        .rows()
        .map(|(account, debit, credit)| Ok((account.to_string(), integer(debit)?, integer(credit)?)))
        .collect::<Outcome<_>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    entries.check()?;
    let number = next(connection).await?;
    for piece in pieces(&rows) {
        let sql = format!("INSERT INTO entry (booking, account, debit, credit) VALUES {}", tuples(piece.len(), 4));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (account, debit, credit) in piece {
            query = query.bind(number).bind(account.as_str()).bind(*debit).bind(*credit);
        }
        query.execute(&mut *connection).await?;
    }
    sqlx::query("INSERT INTO booking (number, time) SELECT $1, time FROM mint WHERE id = 1").bind(number).execute(connection).await?;
    Ok(())
}

/// The number of the booking that this transaction will write.
pub(super) async fn next(connection: &mut Connection) -> Outcome<i64> {
    let row = sqlx::query("SELECT coalesce(max(number), 0) + 1 AS next FROM booking").fetch_one(connection).await?;
    Ok(row.try_get("next")?)
}

fn keyset(row: &Row) -> Outcome<u32> {
    u32::try_from(unsigned(row, "keyset")?).map_err(|_| LedgerError::Corrupt("a keyset number").into())
}

/// What the tables say is sold, held and owed, in one row.
async fn sums(connection: &mut Connection) -> Outcome<Row> {
    let query = sqlx::query(
        "SELECT (SELECT sold FROM mint WHERE id = 1) AS sold,
                (SELECT recovered FROM resync WHERE id = 1) AS recovered,
                (SELECT CAST(coalesce(sum(balance), 0) AS BIGINT) FROM voucher) AS vouchers,
                (SELECT CAST(coalesce(sum(balance), 0) AS BIGINT) FROM publisher) AS credits,
                (SELECT CAST(coalesce(sum(change), 0) AS BIGINT) FROM payment WHERE change > 0 AND taken = 0) AS change_due,
                (SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM payment WHERE state = 2) AS refunds_due,
                (SELECT CAST(coalesce(sum(fee), 0) AS BIGINT) FROM payout) AS fees,
                (SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM payout) AS paid_out",
    );
    Ok(query.fetch_one(connection).await?)
}

/// Balances as the tables have them.
pub(super) async fn stated(connection: &mut Connection) -> Outcome<Vec<(Account, i64)>> {
    let mut out = Vec::new();
    let sums = sums(connection).await?;
    for (account, column) in [
        (Account::Sold, "sold"),
        (Account::Recovered, "recovered"),
        (Account::Vouchers, "vouchers"),
        (Account::ChangeDue, "change_due"),
        (Account::RefundsDue, "refunds_due"),
        (Account::Fees, "fees"),
        (Account::PaidOut, "paid_out"),
    ] {
        out.push((account, sums.try_get(column)?));
    }
    // Below zero only by counterfeits of frozen denominations.
    let tokens = "SELECT counter.keyset AS keyset,
                         CAST(sum(counter.denomination * (issued - redeemed - coalesce(tokens, 0))) AS BIGINT) AS worth
                  FROM counter LEFT JOIN repaid ON repaid.keyset = counter.keyset AND repaid.denomination = counter.denomination
                  GROUP BY counter.keyset ORDER BY counter.keyset";
    for row in sqlx::query(tokens).fetch_all(&mut *connection).await? {
        out.push((Account::Tokens(keyset(&row)?), row.try_get("worth")?));
    }
    for row in sqlx::query("SELECT name, balance FROM publisher ORDER BY name").fetch_all(connection).await? {
        out.push((Account::Publisher(row.try_get("name")?), row.try_get("balance")?));
    }
    Ok(out)
}

/// Compares journal, balances and rows.
///
/// Implements R-BOOKS-02.
pub(super) async fn audit(connection: &mut Connection) -> Outcome<Audit> {
    let mut differences = Vec::new();
    let mut differ = |what: String, recomputed: i64, stated: i64| {
        if recomputed != stated {
            differences.push(Difference { what, recomputed, stated });
        }
    };
    let mut journal: BTreeMap<String, i64> = BTreeMap::new();
    let sums = "SELECT account, CAST(sum(debit) AS BIGINT) AS debits, CAST(sum(credit) AS BIGINT) AS credits FROM entry GROUP BY account";
    for row in sqlx::query(sums).fetch_all(&mut *connection).await? {
        let account: String = row.try_get("account")?;
        let balance = balance(&account, unsigned(&row, "debits")?, unsigned(&row, "credits")?)?;
        journal.insert(account, balance);
    }
    let balances = journal.iter().filter(|(_, balance)| **balance != 0);
    let balances = balances.map(|(account, balance)| Balance { account: account.clone(), balance: *balance }).collect();
    for (account, balance) in stated(connection).await? {
        let account = account.to_string();
        differ(account.clone(), journal.remove(&account).unwrap_or(0), balance);
    }
    for (account, balance) in journal {
        differ(account, balance, 0);
    }
    let unbalanced =
        "SELECT entry.booking AS number, CAST(sum(debit) AS BIGINT) AS debits, CAST(sum(credit) AS BIGINT) AS credits FROM entry
                      GROUP BY entry.booking HAVING sum(debit) <> sum(credit) ORDER BY entry.booking LIMIT 100";
    for row in sqlx::query(unbalanced).fetch_all(&mut *connection).await? {
        differ(format!("booking {}", row.try_get::<i64, _>("number")?), row.try_get("debits")?, row.try_get("credits")?);
    }
    let orphans = sqlx::query(
        "SELECT (SELECT count(*) FROM entry WHERE booking NOT IN (SELECT number FROM booking))
              + (SELECT count(*) FROM booking WHERE number NOT IN (SELECT booking FROM entry)) AS orphans,
                (SELECT count(*) FROM booking) AS bookings",
    )
    .fetch_one(&mut *connection)
    .await?;
    differ("entries without a booking, bookings without entries".into(), orphans.try_get("orphans")?, 0);
    let bookings = unsigned(&orphans, "bookings")?;
    // What was credited and not given back, less what was paid out, is the balance.
    let earned = "SELECT name, balance, CAST((SELECT coalesce(sum(amount), 0) FROM payment WHERE publisher = name AND state = 1)
                              - (SELECT coalesce(sum(credited), 0) FROM payout WHERE publisher = name) AS BIGINT) AS earned
                  FROM publisher ORDER BY name";
    for row in sqlx::query(earned).fetch_all(&mut *connection).await? {
        differ(format!("payments of {}", row.try_get::<String, _>("name")?), row.try_get("earned")?, row.try_get("balance")?);
    }
    // Tokens begin with their keyset's number, big-endian; a keyset that is dropping its rows cannot be counted any more.
    let redeemed = "SELECT counter.keyset AS keyset, CAST(sum(redeemed + coalesce(tokens, 0)) AS BIGINT) AS redeemed
                    FROM counter JOIN keyset ON number = counter.keyset
                                 LEFT JOIN repaid ON repaid.keyset = counter.keyset AND repaid.denomination = counter.denomination
                    WHERE state < 3 GROUP BY counter.keyset ORDER BY counter.keyset";
    for row in sqlx::query(redeemed).fetch_all(&mut *connection).await? {
        let number = keyset(&row)?;
        let end = number.checked_add(1).ok_or(LedgerError::Corrupt("a keyset number"))?;
        let spent = sqlx::query("SELECT count(*) AS spent FROM spent WHERE token >= $1 AND token < $2")
            .bind(number.to_be_bytes().as_slice())
            .bind(end.to_be_bytes().as_slice())
            .fetch_one(&mut *connection)
            .await?;
        differ(format!("spent tokens of keyset {number}"), spent.try_get("spent")?, row.try_get("redeemed")?);
    }
    differences.extend(recovery::audit(connection).await?);
    differences.extend(closes::audit(connection).await?);
    Ok(Audit { bookings, balances, differences })
}

/// Every sum at one moment.
pub(super) async fn sheet(connection: &mut Connection) -> Outcome<Sheet> {
    let position = rows::position(connection).await?;
    let sums = sums(connection).await?;
    let mut counters = Vec::new();
    let repaid = recovery::repaid(connection).await?;
    let all = sqlx::query("SELECT keyset, denomination, issued, redeemed, frozen FROM counter ORDER BY keyset, denomination");
    for row in all.fetch_all(connection).await? {
        let (keyset, denomination) = (keyset(&row)?, amount(&row, "denomination")?);
        counters.push(Counter {
            keyset,
            denomination,
            repaid: repaid.get(&(keyset, denomination)).copied().unwrap_or(0),
            issued: unsigned(&row, "issued")?,
            redeemed: unsigned(&row, "redeemed")?,
            frozen: row.try_get::<i64, _>("frozen")? != 0,
        });
    }
    Ok(Sheet {
        sold: amount(&sums, "sold")?,
        recovered: amount(&sums, "recovered")?,
        vouchers: amount(&sums, "vouchers")?,
        change_due: amount(&sums, "change_due")?,
        refunds_due: amount(&sums, "refunds_due")?,
        credits: amount(&sums, "credits")?,
        fees: amount(&sums, "fees")?,
        paid_out: amount(&sums, "paid_out")?,
        counters,
        position,
    })
}
