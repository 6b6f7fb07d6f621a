//! The order in which tokens came back.

use farthing_protocol::filter::{SMALLEST, SpentMark};
use farthing_protocol::proof::SpentKey;
use sqlx::Row as _;

use super::Connection;
use super::engine::{Engine, read};
use super::rows::{Outcome, integer, unsigned};
use crate::store::spent::SpentLog;
use crate::store::{Answer, LedgerError};

const MARK: u64 = SpentMark::SIZE as u64;

/// Where a token's row of `spent` has its keyset's number.
fn keyset_of(row: &[u8; 44]) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&row[..4]);
    u32::from_be_bytes(number)
}

/// Notes tokens that were spent in this transaction.
///
/// Implements R-FILTER-03.
pub(super) async fn log(connection: &mut Connection, spent: &[(SpentKey, [u8; 44])], now: u64) -> Outcome<()> {
    let mut keysets: Vec<u32> = spent.iter().map(|(_, row)| keyset_of(row)).collect();
    keysets.sort_unstable();
    keysets.dedup();
    for keyset in keysets {
        let own = spent.iter().filter(|(_, row)| keyset_of(row) == keyset);
        let marks: Vec<u8> = own.flat_map(|(token, _)| SpentMark::of(token).to_bytes()).collect();
        let mut number = next(connection, keyset, i64::MAX).await?;
        let mut marks = marks.as_slice();
        while !marks.is_empty() {
            // A segment of full length is whole rows.
            let room = usize::try_from((SMALLEST - number % SMALLEST) * MARK).unwrap_or(usize::MAX);
            let (row, rest) = marks.split_at(room.min(marks.len()));
            sqlx::query("INSERT INTO spent_log (keyset, number, time, marks) VALUES ($1, $2, $3, $4)")
                .bind(i64::from(keyset))
                .bind(integer(number)?)
                .bind(integer(now)?)
                .bind(row)
                .execute(&mut *connection)
                .await?;
            number += row.len() as u64 / MARK;
            marks = rest;
        }
    }
    Ok(())
}

/// How many tokens there are up to the last row whose time is before `time`.
async fn next(connection: &mut Connection, keyset: u32, time: i64) -> Outcome<u64> {
    let last =
        "SELECT number, CAST(length(marks) AS BIGINT) AS size FROM spent_log WHERE keyset = $1 AND time < $2 ORDER BY number DESC LIMIT 1";
    let row = sqlx::query(last).bind(i64::from(keyset)).bind(time).fetch_optional(connection).await?;
    row.map_or(Ok(0), |row| Ok(unsigned(&row, "number")? + unsigned(&row, "size")? / MARK))
}

async fn marks(connection: &mut Connection, keyset: u32, first: u64, end: u64) -> Outcome<Vec<SpentMark>> {
    let rows = sqlx::query("SELECT marks FROM spent_log WHERE keyset = $1 AND number >= $2 AND number < $3 ORDER BY number")
        .bind(i64::from(keyset))
        .bind(integer(first)?)
        .bind(integer(end)?)
        .fetch_all(connection)
        .await?;
    let mut out = Vec::new();
    for row in rows {
        let bytes: &[u8] = row.try_get("marks")?;
        out.extend(bytes.as_chunks::<{ SpentMark::SIZE }>().0.iter().map(|mark| SpentMark::from_bytes(*mark)));
    }
    if out.len() as u64 != end.saturating_sub(first) {
        return Err(LedgerError::Corrupt("spent tokens that are not numbered").into());
    }
    Ok(out)
}

/// Drops at most `rows` rows of a closed keyset. None holds fewer tokens than one, so it is done before the tokens are.
pub(super) async fn prune(connection: &mut Connection, keyset: u32, rows: u32) -> Outcome<()> {
    let drop =
        "DELETE FROM spent_log WHERE keyset = $1 AND number IN (SELECT number FROM spent_log WHERE keyset = $1 ORDER BY number LIMIT $2)";
    sqlx::query(drop).bind(i64::from(keyset)).bind(i64::from(rows)).execute(connection).await?;
    Ok(())
}

impl SpentLog for Engine {
    fn spent_before(&self, keyset: u32, time: u64) -> Answer<'_, u64> {
        read("spent", async move { next(&mut *self.reader().await?, keyset, integer(time)?).await })
    }

    fn spent_marks(&self, keyset: u32, first: u64, end: u64) -> Answer<'_, Vec<SpentMark>> {
        read("spent", async move { marks(&mut *self.reader().await?, keyset, first, end).await })
    }
}
