//! The statements of recovery.

use std::collections::BTreeMap;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::SpentKey;
use sqlx::Row as _;

use super::engine::{Engine, read};
use super::rows::{self, Outcome, amount, integer, unsigned};
use super::{Connection, Row, givebacks, spent as order};
use crate::store::books::{Account, Difference, Entries, worth};
use crate::store::recovery::Recoveries;
use crate::store::{Answer, FundingState, IssueBooked, IssueBooking, LedgerError, RecordedRow};

/// Sessions of one recovery hash and commitment that are looked at.
const MOST_SESSIONS: i64 = 16;

/// Notes by what the session of this number is found.
pub(super) async fn record(connection: &mut Connection, booking: &IssueBooking, keyset: u32, number: u64) -> Outcome<()> {
    sqlx::query("INSERT INTO recoverable (recovery, keyset, number, committed) VALUES ($1, $2, $3, $4)")
        .bind(booking.recovery.as_slice())
        .bind(i64::from(keyset))
        .bind(integer(number)?)
        .bind(booking.recovery_commitment.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

async fn recoverable(connection: &mut Connection, keyset: u32, recovery: [u8; 32], commitment: [u8; 32]) -> Outcome<Vec<RecordedRow>> {
    let sql = "SELECT recorded.recovery AS recovery, recorded.outputs AS outputs, session.response AS response
               FROM recoverable JOIN recorded ON recorded.keyset = recoverable.keyset AND recorded.number = recoverable.number
                                JOIN session ON session.id = recorded.session
               WHERE recoverable.recovery = $1 AND recoverable.keyset = $2 AND committed = $3 ORDER BY recorded.number LIMIT $4";
    let found = sqlx::query(sql)
        .bind(recovery.as_slice())
        .bind(i64::from(keyset))
        .bind(commitment.as_slice())
        .bind(MOST_SESSIONS)
        .fetch_all(connection)
        .await?;
    found.iter().map(givebacks::recorded_row).collect()
}

/// Takes tokens of frozen denominations; `Some` is why it cannot.
///
/// Implements R-RECOVER-04, R-RECOVER-05.
pub(super) async fn repay(
    connection: &mut Connection,
    booking: &IssueBooking,
    tokens: &[SpentKey],
    entries: &mut Entries,
) -> Outcome<Option<IssueBooked>> {
    let tokens = rows::numbered(connection, tokens.iter()).await?;
    let spent: Vec<_> = tokens.iter().map(|(_, row)| (*row, rows::BY_SESSION, booking.session.to_vec())).collect();
    if !rows::insert_spent(connection, &spent).await? {
        return Ok(Some(IssueBooked::TokenSpent));
    }
    order::log(connection, &tokens, booking.now).await?;
    let keys: Vec<[u8; 44]> = tokens.iter().map(|(_, row)| *row).collect();
    for ((keyset, denomination), tokens) in rows::counted(rows::kinds(&keys)) {
        let count = rows::count(connection, keyset, denomination).await?;
        if !count.frozen {
            return Ok(Some(IssueBooked::NotFrozen));
        }
        let add = "INSERT INTO repaid (keyset, denomination, tokens) VALUES ($1, $2, $3)
                   ON CONFLICT (keyset, denomination) DO UPDATE SET tokens = repaid.tokens + excluded.tokens RETURNING tokens";
        let row = sqlx::query(add)
            .bind(i64::from(keyset))
            .bind(integer(denomination.units())?)
            .bind(integer(tokens)?)
            .fetch_one(&mut *connection)
            .await?;
        if unsigned(&row, "tokens")? > count.issued {
            return Err(LedgerError::Corrupt("more sessions to be paid back than were booked").into());
        }
        entries.debit(Account::Tokens(keyset), worth(denomination, tokens)?)?;
    }
    Ok(None)
}

/// What is known of tokens to be claimed.
pub(super) async fn claimable(connection: &mut Connection, tokens: &[SpentKey]) -> Outcome<FundingState> {
    let rows = rows::numbered(connection, tokens.iter()).await?;
    let found = rows::find(connection, "SELECT token FROM spent WHERE token IN", rows.iter().map(|(_, row)| row.as_slice())).await?;
    if !found.is_empty() {
        return Ok(FundingState::TokenSpent);
    }
    let keys: Vec<[u8; 44]> = rows.iter().map(|(_, row)| *row).collect();
    for ((keyset, denomination), _) in rows::counted(rows::kinds(&keys)) {
        if !rows::count(connection, keyset, denomination).await?.frozen {
            return Ok(FundingState::NotFrozen);
        }
    }
    Ok(FundingState::Ready)
}

/// Tokens paid back, by keyset and denomination.
pub(super) async fn repaid(connection: &mut Connection) -> Outcome<BTreeMap<(u32, Amount), u64>> {
    let rows = sqlx::query("SELECT keyset, denomination, tokens FROM repaid").fetch_all(connection).await?;
    rows.iter().map(|row| Ok((kind(row)?, unsigned(row, "tokens")?))).collect()
}

fn kind(row: &Row) -> Outcome<(u32, Amount)> {
    let keyset = u32::try_from(unsigned(row, "keyset")?).map_err(|_| LedgerError::Corrupt("a keyset number"))?;
    Ok((keyset, amount(row, "denomination")?))
}

/// Kinds that are not frozen and of which more came back than was issued, or something was paid back for sessions.
///
/// Implements R-RECOVER-06.
pub(super) async fn audit(connection: &mut Connection) -> Outcome<Vec<Difference>> {
    let sql = "SELECT counter.keyset AS keyset, counter.denomination AS denomination, redeemed + tokens AS back, issued
               FROM counter JOIN repaid ON repaid.keyset = counter.keyset AND repaid.denomination = counter.denomination
               WHERE frozen = 0 OR tokens > issued ORDER BY counter.keyset, counter.denomination";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let difference = |row: &Row| {
        let (keyset, denomination) = kind(row)?;
        let what = format!("tokens of keyset {keyset}, {denomination}, paid back without being frozen or issued");
        Ok(Difference { what, recomputed: row.try_get("issued")?, stated: row.try_get("back")? })
    };
    rows.iter().map(difference).collect()
}

impl Recoveries for Engine {
    fn recoverable(&self, keyset: u32, recovery: [u8; 32], commitment: [u8; 32]) -> Answer<'_, Vec<RecordedRow>> {
        read("recoverable", async move { recoverable(&mut *self.reader().await?, keyset, recovery, commitment).await })
    }

    fn frozen(&self) -> Answer<'_, Vec<(u32, Amount)>> {
        read("frozen", async move {
            let sql = "SELECT keyset, denomination FROM counter WHERE frozen = 1 ORDER BY keyset, denomination";
            sqlx::query(sql).fetch_all(&mut *self.reader().await?).await?.iter().map(kind).collect()
        })
    }
}
