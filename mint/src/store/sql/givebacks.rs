//! The statements of refunds and of restoring, one function a request, each inside the caller's transaction.

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::restore::MAX_SESSIONS;
use sqlx::Row as _;

use super::rows::{self, Failure, Outcome};
use super::{Connection, Row};
use crate::store::books::{Account, Entries};
use crate::store::{FundingState, IssueBooked, IssueBooking, LedgerError, RecordedRow, RefundBooked, RefundDone};

const SETTLED: i64 = 1;
const REFUNDED: i64 = 2;
const RECLAIMED: i64 = 3;

/// Denomination, A, B.
const OUTPUT: usize = 8 + 64;

/// settled -> refunded, debiting the publisher; the row's state alone decides.
pub(super) async fn refund(
    connection: &mut Connection,
    payment: &PaymentId,
    publisher: &str,
    entries: &mut Entries,
) -> Outcome<RefundBooked> {
    let done = refund_payment(connection, payment, publisher, entries).await?;
    if done == RefundDone::Refunded {
        // So that a backup from before it is noticed.
        sqlx::query("UPDATE mint SET sequence = sequence + 1 WHERE id = 1").execute(&mut *connection).await?;
    }
    Ok(RefundBooked { sequence: rows::position(connection).await?.sequence, done })
}

/// Implements R-BACK-06, R-BACK-08.
async fn refund_payment(connection: &mut Connection, payment: &PaymentId, publisher: &str, entries: &mut Entries) -> Outcome<RefundDone> {
    let row = sqlx::query("SELECT amount, state FROM payment WHERE id = $1 AND publisher = $2")
        .bind(payment.0.as_slice())
        .bind(publisher)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(RefundDone::UnknownPayment) };
    if row.try_get::<i64, _>("state")? != SETTLED {
        return Ok(RefundDone::AlreadyRefunded);
    }
    let debited = sqlx::query("UPDATE publisher SET balance = balance - $2 WHERE name = $1 AND balance >= $2")
        .bind(publisher)
        .bind(row.try_get::<i64, _>("amount")?)
        .execute(&mut *connection)
        .await?;
    if debited.rows_affected() != 1 {
        return Ok(RefundDone::PaidOut);
    }
    let moved = sqlx::query("UPDATE payment SET state = $2 WHERE id = $1 AND state = $3")
        .bind(payment.0.as_slice())
        .bind(REFUNDED)
        .bind(SETTLED)
        .execute(connection)
        .await?;
    if moved.rows_affected() != 1 {
        return Err(LedgerError::Corrupt("a payment that changed between looking and writing").into());
    }
    entries.debit(Account::Publisher(publisher.to_owned()), rows::amount(&row, "amount")?)?;
    entries.credit(Account::RefundsDue, rows::amount(&row, "amount")?)?;
    Ok(RefundDone::Refunded)
}

/// refunded -> reclaimed; `Some` is why not.
///
/// Implements R-BACK-06.
pub(super) async fn reclaim(connection: &mut Connection, payment: &PaymentId, worth: i64) -> Outcome<Option<IssueBooked>> {
    let moved = sqlx::query("UPDATE payment SET state = $3 WHERE id = $1 AND state = $4 AND amount = $2")
        .bind(payment.0.as_slice())
        .bind(worth)
        .bind(RECLAIMED)
        .bind(REFUNDED)
        .execute(connection)
        .await?;
    Ok((moved.rows_affected() != 1).then_some(IssueBooked::ReclaimUnavailable))
}

pub(super) async fn reclaimable(connection: &mut Connection, payment: &PaymentId, worth: Amount) -> Outcome<FundingState> {
    let row = sqlx::query("SELECT amount FROM payment WHERE id = $1 AND state = $2")
        .bind(payment.0.as_slice())
        .bind(REFUNDED)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(FundingState::ReclaimUnavailable) };
    Ok(if rows::amount(&row, "amount")? == worth { FundingState::Ready } else { FundingState::ReclaimDiffers })
}

/// Numbers a booked session of its keyset.
///
/// Implements R-BACK-09.
pub(super) async fn record(connection: &mut Connection, booking: &IssueBooking, keyset: u32) -> Outcome<u64> {
    if booking.points.len() != booking.denominations.len() {
        return Err(LedgerError::Corrupt("a booking with another number of commitments than outputs").into());
    }
    let mut outputs = Vec::with_capacity(OUTPUT * booking.points.len());
    for (denomination, points) in booking.denominations.iter().zip(&booking.points) {
        outputs.extend_from_slice(&denomination.units().to_be_bytes());
        outputs.extend_from_slice(points);
    }
    let row = sqlx::query(
        "INSERT INTO recorded (keyset, number, session, recovery, outputs)
         VALUES ($1, (SELECT coalesce(max(number) + 1, 0) FROM recorded WHERE keyset = $1), $2, $3, $4) RETURNING number",
    )
    .bind(i64::from(keyset))
    .bind(booking.session.as_slice())
    .bind(booking.recovery.as_slice())
    .bind(outputs)
    .fetch_one(connection)
    .await?;
    rows::unsigned(&row, "number")
}

/// The sessions of one bucket.
///
/// Implements R-BACK-09.
pub(super) async fn recorded(connection: &mut Connection, keyset: u32, bucket: u64) -> Outcome<Vec<RecordedRow>> {
    let size = MAX_SESSIONS as u64;
    // No ledger holds that many sessions.
    let Some(first) = bucket.checked_mul(size).filter(|first| *first < 1 << 62) else { return Ok(Vec::new()) };
    let found = sqlx::query(
        "SELECT recorded.recovery AS recovery, recorded.outputs AS outputs, session.response AS response
         FROM recorded JOIN session ON session.id = recorded.session
         WHERE recorded.keyset = $1 AND recorded.number >= $2 AND recorded.number < $3 ORDER BY recorded.number",
    )
    .bind(i64::from(keyset))
    .bind(rows::integer(first)?)
    .bind(rows::integer(first + size)?)
    .fetch_all(connection)
    .await?;
    found.iter().map(recorded_row).collect()
}

/// A session from its recovery hash, outputs and response.
pub(super) fn recorded_row(row: &Row) -> Outcome<RecordedRow> {
    let outputs: &[u8] = row.try_get("outputs")?;
    let outputs = outputs.chunks(OUTPUT).map(output).collect::<Outcome<_>>()?;
    Ok(RecordedRow { recovery: rows::array(row, "recovery")?, outputs, response: row.try_get("response")? })
}

fn output(bytes: &[u8]) -> Outcome<(Amount, [u8; 64])> {
    let damaged = || Failure::Ledger(LedgerError::Corrupt("a recorded output"));
    let (denomination, points) = bytes.split_at_checked(8).ok_or_else(damaged)?;
    let denomination = u64::from_be_bytes(denomination.try_into().map_err(|_| damaged())?);
    Ok((Amount::from_units(denomination), points.try_into().map_err(|_| damaged())?))
}

pub(super) async fn set_publisher_key(connection: &mut Connection, name: &str, key: &[u8; 32]) -> Outcome<bool> {
    let set = sqlx::query("UPDATE publisher SET key = $2 WHERE name = $1").bind(name).bind(key.as_slice()).execute(connection).await?;
    Ok(set.rows_affected() == 1)
}

pub(super) async fn publisher_key(connection: &mut Connection, name: &str) -> Outcome<Option<[u8; 32]>> {
    let row = sqlx::query("SELECT key FROM publisher WHERE name = $1 AND key IS NOT NULL").bind(name).fetch_optional(connection).await?;
    row.map(|row| rows::array(&row, "key")).transpose()
}
