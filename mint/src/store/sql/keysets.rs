//! The life of keysets: guards inside the transactions they guard, states, pruning in small steps.

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::KeysetId;
use sqlx::{Connection as _, Row as _};

use super::engine::{Done, Engine, Work, read};
use super::rows::{self, Outcome, integer, unsigned};
use super::{Connection, MOMENT, SIZE, give_room_back, resync, spent};
use crate::store::keysets::{CLOSING, KeysetLedger, KeysetRow, KeysetState, LedgerSize, Lifecycle};
use crate::store::{Answer, Debit, IssueBooked, IssueBooking, LedgerError};

pub(super) const OPEN: i64 = 1;
const CLOSING_STATE: i64 = 2;
const CLOSED: i64 = 3;

/// A change to a keyset or the clock.
pub(super) enum Change {
    Retire(u32, u64),
    Freeze(u32, Amount),
    Advance(u64),
    Prune(u32, u32),
    AcceptClock(u64),
}

/// How many rows, steps or keysets it was.
pub(super) type Changed = u64;

/// Whether tokens of a keyset may come back.
///
/// Implements R-LIFE-01.
pub(super) async fn is_open(connection: &mut Connection, id: &KeysetId) -> Outcome<bool> {
    let row = sqlx::query("SELECT state FROM keyset WHERE id = $1").bind(id.0.as_slice()).fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get::<i64, _>("state")).transpose()? == Some(OPEN))
}

/// Why the keysets of an issue forbid it.
///
/// Implements R-LIFE-04.
pub(super) async fn issue_guard(connection: &mut Connection, booking: &IssueBooking) -> Outcome<Option<IssueBooked>> {
    let issues = sqlx::query("SELECT 1 FROM keyset WHERE id = $1 AND state = $2 AND retired IS NULL")
        .bind(booking.keyset.0.as_slice())
        .bind(OPEN)
        .fetch_optional(&mut *connection)
        .await?;
    if issues.is_none() {
        return Ok(Some(IssueBooked::KeysetRetired));
    }
    if let Debit::Refresh(tokens) | Debit::Recovery(tokens) = &booking.debit {
        let mut keysets: Vec<KeysetId> = tokens.iter().map(|token| token.keyset).collect();
        keysets.dedup();
        for keyset in keysets {
            if !is_open(connection, &keyset).await? {
                return Ok(Some(IssueBooked::KeysetClosed));
            }
        }
    }
    Ok(None)
}

/// Makes a change inside the caller's transaction; `time` is what will be recorded.
///
/// Implements R-LIFE-10.
pub(super) async fn change(connection: &mut Connection, change: &Change, time: &mut u64) -> Outcome<Changed> {
    match *change {
        Change::Retire(number, now) => {
            *time = now.max(*time);
            sqlx::query("UPDATE keyset SET retired = $2 WHERE number = $1 AND retired IS NULL")
                .bind(i64::from(number))
                .bind(integer(now)?)
                .execute(&mut *connection)
                .await?;
            let known = sqlx::query("SELECT 1 FROM keyset WHERE number = $1").bind(i64::from(number)).fetch_optional(connection).await?;
            Ok(u64::from(known.is_some()))
        }
        Change::Advance(now) => {
            *time = now.max(*time);
            let step = "UPDATE keyset SET state = $2 WHERE state = $1 AND deposit_until <= $3";
            let closing = sqlx::query(step).bind(OPEN).bind(CLOSING_STATE).bind(integer(now)?).execute(&mut *connection).await?;
            let day_ago = integer(now.saturating_sub(CLOSING))?;
            let closed = sqlx::query(step).bind(CLOSING_STATE).bind(CLOSED).bind(day_ago).execute(connection).await?;
            Ok(closing.rows_affected() + closed.rows_affected())
        }
        Change::Freeze(number, denomination) => {
            tracing::error!(keyset = number, denomination = denomination.units(), "the denomination is frozen on the operator's word");
            let frozen = sqlx::query("UPDATE counter SET frozen = 1 WHERE keyset = $1 AND denomination = $2")
                .bind(i64::from(number))
                .bind(integer(denomination.units())?)
                .execute(connection)
                .await?;
            Ok(frozen.rows_affected())
        }
        Change::Prune(number, rows) => prune(connection, number, rows).await,
        Change::AcceptClock(now) => {
            sqlx::query("UPDATE mint SET time = $1, clock = clock + 1 WHERE id = 1").bind(integer(now)?).execute(connection).await?;
            Ok(1)
        }
    }
}

/// Implements R-LIFE-03.
async fn prune(connection: &mut Connection, number: u32, rows: u32) -> Outcome<Changed> {
    let closed = sqlx::query("SELECT 1 FROM keyset WHERE number = $1 AND state = $2")
        .bind(i64::from(number))
        .bind(CLOSED)
        .fetch_optional(&mut *connection)
        .await?;
    if closed.is_none() {
        return Ok(0);
    }
    // Tokens begin with their keyset's number, so that one keyset is one range of the key.
    let (first, end) = (number.to_be_bytes(), u64::from(number) + 1);
    let end = u32::try_from(end).map_err(|_| LedgerError::Corrupt("a keyset number"))?.to_be_bytes();
    spent::prune(connection, number, rows).await?;
    let dropped =
        sqlx::query("DELETE FROM spent WHERE token IN (SELECT token FROM spent WHERE token >= $1 AND token < $2 ORDER BY token LIMIT $3)")
            .bind(first.as_slice())
            .bind(end.as_slice())
            .bind(i64::from(rows))
            .execute(&mut *connection)
            .await?
            .rows_affected();
    if dropped < u64::from(rows) {
        sqlx::query("UPDATE keyset SET pruned = 1 WHERE number = $1").bind(i64::from(number)).execute(&mut *connection).await?;
    }
    give_room_back(connection).await?;
    Ok(dropped)
}

async fn lifecycle(connection: &mut Connection) -> Outcome<Lifecycle> {
    let position = rows::position(connection).await?;
    let resync = resync::state(connection).await?;
    let mint = sqlx::query("SELECT keysets, clock FROM mint WHERE id = 1").fetch_one(&mut *connection).await?;
    let all = sqlx::query("SELECT number, deposit_until, state, retired, pruned FROM keyset ORDER BY number");
    let mut keysets = Vec::new();
    for row in all.fetch_all(connection).await? {
        keysets.push(KeysetRow {
            number: u32::try_from(row.try_get::<i64, _>("number")?).map_err(|_| LedgerError::Corrupt("a keyset number"))?,
            state: match row.try_get::<i64, _>("state")? {
                OPEN => KeysetState::Open,
                CLOSING_STATE => KeysetState::Closing,
                CLOSED => KeysetState::Closed,
                _ => return Err(LedgerError::Corrupt("a keyset's state").into()),
            },
            retired: match row.try_get::<Option<i64>, _>("retired")? {
                Some(_) => Some(unsigned(&row, "retired")?),
                None => None,
            },
            pruned: row.try_get::<i64, _>("pruned")? != 0,
            deposit_until: unsigned(&row, "deposit_until")?,
        });
    }
    Ok(Lifecycle { list: mint.try_get("keysets")?, keysets, clock: unsigned(&mint, "clock")?, position, resync })
}

async fn size(connection: &mut Connection) -> Outcome<LedgerSize> {
    let row = sqlx::query(SIZE).fetch_one(connection).await?;
    Ok(LedgerSize {
        spent: unsigned(&row, "spent")?,
        payments: unsigned(&row, "payments")?,
        sessions: unsigned(&row, "sessions")?,
        bytes: unsigned(&row, "bytes")?,
    })
}

impl Engine {
    async fn change_keysets(&self, change: Change) -> Result<Changed, LedgerError> {
        match self.ask(Work::Keyset(change)).await? {
            Done::Keyset(changed) => Ok(changed),
            _ => Err(LedgerError::Unavailable),
        }
    }
}

impl KeysetLedger for Engine {
    fn lifecycle(&self) -> Answer<'_, Lifecycle> {
        read("lifecycle", async move {
            let mut connection = self.reader().await?;
            let mut moment = connection.begin_with(MOMENT).await?;
            let lifecycle = lifecycle(&mut moment).await?;
            moment.rollback().await?;
            Ok(lifecycle)
        })
    }

    fn freeze_denomination(&self, number: u32, denomination: Amount) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.change_keysets(Change::Freeze(number, denomination)).await? == 1) })
    }

    fn retire_keyset(&self, number: u32, now: u64) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.change_keysets(Change::Retire(number, now)).await? == 1) })
    }

    fn advance_keysets(&self, now: u64) -> Answer<'_, u64> {
        Box::pin(self.change_keysets(Change::Advance(now)))
    }

    fn prune_keyset(&self, number: u32, rows: u32) -> Answer<'_, u64> {
        Box::pin(self.change_keysets(Change::Prune(number, rows)))
    }

    fn accept_clock(&self, now: u64) -> Answer<'_, ()> {
        Box::pin(async move { self.change_keysets(Change::AcceptClock(now)).await.map(drop) })
    }

    fn size(&self) -> Answer<'_, LedgerSize> {
        read("size", async move { size(&mut *self.reader().await?).await })
    }
}
