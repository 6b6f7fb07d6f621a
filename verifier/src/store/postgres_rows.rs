//! The statements of the shared store, one function a request, each inside the caller's transaction.
//!
//! Correct at any isolation level from READ COMMITTED up: what may happen once is a primary key, what may not be exceeded is the
//! condition of an update. All transactions touch tables in the same order, so that they wait for one another and rarely deadlock.

use std::collections::{BTreeMap, HashMap};

use farthing_protocol::proof::{PaymentId, SpentKey};
use farthing_protocol::wire::LedgerMark;
use sqlx::{PgConnection, Row};

use super::codec::{answer_name, decode_deposit, encode_deposit, key_from_bytes, spent_key};
use super::postgres_codec::{decode_record, encode_record};
use super::{Claim, Decision, KeptAnswer, PaymentRecord, PaymentState, Prune, Pruned, StoreError};

/// Why a transaction was not carried out.
pub(super) enum Failure {
    /// It was undone because of another; the same again may succeed.
    Retry,
    /// Anything else.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Failure {
    /// The error's text may hold names of hosts and values: only its code is looked at.
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // Serialization failure, deadlock, and two who wanted to be first at the same row or table. All are undone for certain.
            Some("40001" | "40P01" | "23505" | "42P07") => Self::Retry,
            _ => Self::Store(StoreError::Unavailable),
        }
    }
}

pub(super) type Outcome<T> = Result<T, Failure>;

/// A number as the database counts: signed. What does not fit is no number this crate writes.
pub(super) fn integer(number: u64) -> Outcome<i64> {
    i64::try_from(number).map_err(|_| Failure::Store(StoreError::Unavailable))
}

pub(super) fn unsigned(number: i64) -> Outcome<u64> {
    u64::try_from(number).map_err(|_| Failure::Store(StoreError::Corrupt))
}

pub(super) fn bytes<const N: usize>(row: &sqlx::postgres::PgRow, column: usize) -> Outcome<[u8; N]> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Failure::Store(StoreError::Corrupt))
}

pub(super) async fn record(connection: &mut PgConnection, payment: &[u8]) -> Outcome<Option<PaymentRecord>> {
    let row = sqlx::query("SELECT record FROM payments WHERE payment = $1").bind(payment).fetch_optional(connection).await?;
    row.map(|row| Ok(decode_record(row.try_get(0)?)?)).transpose()
}

/// What a claim came to inside its transaction. Only [`Tried::Claimed`] is to be committed.
pub(super) enum Tried {
    Claimed,
    Known,
    Conflict,
    ChallengeUsed,
    LimitReached,
}

/// Implements R-VERIF-22.
pub(super) async fn claim(connection: &mut PgConnection, claim: &Claim, holder: &[u8; 16], lease: f64) -> Outcome<Tried> {
    let payment = claim.payment.0.as_slice();
    let inserted = sqlx::query("INSERT INTO payments (payment, record) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(payment)
        .bind(encode_record(&claim.record))
        .execute(&mut *connection)
        .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Tried::Known);
    }
    let tokens = token_keys(&claim.list);
    let inserted =
        sqlx::query("INSERT INTO spent (token, payment) SELECT token, $2 FROM unnest($1::BYTEA[]) AS token ON CONFLICT DO NOTHING")
            .bind(&tokens)
            .bind(payment)
            .execute(&mut *connection)
            .await?;
    if inserted.rows_affected() != tokens.len() as u64 {
        return Ok(Tried::Conflict);
    }
    if !use_challenge(&mut *connection, claim.challenge.expires, &claim.challenge.id).await? {
        return Ok(Tried::ChallengeUsed);
    }
    sqlx::query(
        "INSERT INTO outbox (payment, deposit, holder, held_until) \
         VALUES ($1, $2, $3, CURRENT_TIMESTAMP + $4 * INTERVAL '1 second')",
    )
    .bind(payment)
    .bind(encode_deposit(claim.deposit.clone()))
    .bind(holder.as_slice())
    .bind(lease)
    .execute(&mut *connection)
    .await?;
    // The rows that many claims want come last, so that they are held for the shortest time.
    if claim.record.state == PaymentState::Accepted && !within_limits(connection, claim).await? {
        return Ok(Tried::LimitReached);
    }
    Ok(Tried::Claimed)
}

/// Implements R-VERIF-09.
async fn within_limits(connection: &mut PgConnection, claim: &Claim) -> Outcome<bool> {
    let (Some(limits), Ok(amount)) = (claim.limits, i64::try_from(claim.record.amount.units())) else { return Ok(false) };
    // A limit above what the database counts is none: the sum stays below it all the same.
    let room = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX).checked_sub(amount).filter(|room| *room >= 0);
    let (Some(total), Some(in_window)) = (room(limits.outstanding.units()), room(limits.per_window.units())) else { return Ok(false) };
    let taken = sqlx::query("UPDATE numbers SET value = value + $1 WHERE name = 'outstanding' AND value <= $2")
        .bind(amount)
        .bind(total)
        .execute(&mut *connection)
        .await?;
    if taken.rows_affected() == 0 {
        return Ok(false);
    }
    let taken = sqlx::query(
        "INSERT INTO at_risk (window_start, amount) VALUES ($1, $2) \
         ON CONFLICT (window_start) DO UPDATE SET amount = at_risk.amount + $2 WHERE at_risk.amount <= $3",
    )
    .bind(integer(claim.record.window)?)
    .bind(amount)
    .bind(in_window)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

fn token_keys(list: &[SpentKey]) -> Vec<Vec<u8>> {
    list.iter().map(|key| key.to_bytes().to_vec()).collect()
}

/// The record of the payment that holds one of the tokens.
pub(super) async fn holder_of(connection: &mut PgConnection, list: &[SpentKey]) -> Outcome<Option<PaymentRecord>> {
    let row = sqlx::query(
        "SELECT record FROM payments JOIN spent ON spent.payment = payments.payment WHERE token = ANY($1) ORDER BY token LIMIT 1",
    )
    .bind(token_keys(list))
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok(decode_record(row.try_get(0)?)?)).transpose()
}

pub(super) async fn use_challenge(connection: &mut PgConnection, expires: u64, id: &[u8; 32]) -> Outcome<bool> {
    let insert = sqlx::query("INSERT INTO challenges (expires, id) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    let inserted = insert.bind(integer(expires)?).bind(id.as_slice()).execute(connection).await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn raise_latest_claim(connection: &mut PgConnection, time: u64) -> Outcome<()> {
    let update = sqlx::query("UPDATE numbers SET value = $1 WHERE name = 'latest-claim' AND value < $1");
    update.bind(integer(time)?).execute(connection).await?;
    Ok(())
}

/// What decisions change beside the records.
#[derive(Default)]
struct Moves {
    changed: Vec<PaymentId>,
    settled: Vec<Vec<u8>>,
    again: Vec<Vec<u8>>,
    given_back: Vec<Vec<u8>>,
    closed: Vec<Vec<u8>>,
    outstanding: i64,
    at_risk: BTreeMap<u64, i64>,
    /// How many keep the answer from now on.
    keep: i64,
    /// How many keep which answer no more.
    released: BTreeMap<[u8; 32], i64>,
}

pub(super) async fn decide(
    connection: &mut PgConnection,
    decisions: &[Decision],
    mark: Option<LedgerMark>,
    answer: Option<&[u8]>,
) -> Outcome<Vec<Option<PaymentState>>> {
    let name = answer.map(answer_name);
    let mut records = locked(&mut *connection, decisions.iter().map(|decision| decision.payment.0.to_vec()).collect()).await?;
    let (mut states, mut moves) = (Vec::with_capacity(decisions.len()), Moves::default());
    for decision in decisions {
        let Some(record) = records.get_mut(&decision.payment) else {
            states.push(None);
            continue;
        };
        let id = || decision.payment.0.to_vec();
        if record.state.leads_to(&decision.state) {
            if record.state == PaymentState::Accepted {
                moves.outstanding += integer(record.amount.units())?;
                if decision.state == PaymentState::Settled {
                    *moves.at_risk.entry(record.window).or_default() += integer(record.amount.units())?;
                }
            }
            match (&record.state, &decision.state) {
                (PaymentState::Settled, _) => moves.given_back.push(id()),
                (_, PaymentState::Settled) => moves.settled.push(id()),
                _ => {}
            }
            if record.state.is_open() {
                moves.closed.push(id());
            }
            record.state = decision.state.clone();
            if let Some(left) = record.answer.take() {
                *moves.released.entry(left).or_default() += 1;
            }
            moves.changed.push(decision.payment);
        } else if record.state == PaymentState::Settled && record.state == decision.state {
            moves.again.push(id());
        }
        if decision.state == PaymentState::Settled && record.state == decision.state && record.answer.is_none() && name.is_some() {
            record.answer = name;
            moves.keep += 1;
            if !moves.changed.contains(&decision.payment) {
                moves.changed.push(decision.payment);
            }
        }
        states.push(Some(record.state.clone()));
    }
    apply(&mut *connection, &moves, &records, mark).await?;
    if let (Some(name), Some(answer)) = (name, answer)
        && moves.keep > 0
    {
        let insert = "INSERT INTO answers (answer, bytes, payments) VALUES ($1, $2, $3) \
                      ON CONFLICT (answer) DO UPDATE SET payments = answers.payments + $3";
        sqlx::query(insert).bind(name.as_slice()).bind(answer).bind(moves.keep).execute(&mut *connection).await?;
    }
    release(&mut *connection, &moves.released).await?;
    if let Some(mark) = mark {
        raise(connection, mark).await?;
    }
    Ok(states)
}

/// The records of these payments, held against others who decide.
async fn locked(connection: &mut PgConnection, ids: Vec<Vec<u8>>) -> Outcome<HashMap<PaymentId, PaymentRecord>> {
    let rows = sqlx::query("SELECT payment, record FROM payments WHERE payment = ANY($1) ORDER BY payment FOR UPDATE")
        .bind(ids)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((PaymentId(bytes(row, 0)?), decode_record(row.try_get(1)?)?))).collect()
}

async fn apply(
    connection: &mut PgConnection,
    moves: &Moves,
    records: &HashMap<PaymentId, PaymentRecord>,
    mark: Option<LedgerMark>,
) -> Outcome<()> {
    let ledger = mark.map(|mark| mark.ledger.0.to_vec());
    let sequence = mark.map(|mark| integer(mark.sequence)).transpose()?;
    if !moves.changed.is_empty() {
        let changed = || moves.changed.iter().filter_map(|id| records.get_key_value(id));
        sqlx::query(
            "UPDATE payments SET record = changed.record \
             FROM unnest($1::BYTEA[], $2::BYTEA[]) AS changed (payment, record) WHERE payments.payment = changed.payment",
        )
        .bind(changed().map(|(id, _)| id.0.to_vec()).collect::<Vec<_>>())
        .bind(changed().map(|(_, record)| encode_record(record)).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    }
    if !moves.settled.is_empty() {
        sqlx::query(
            "INSERT INTO kept (payment, deposit, ledger, sequence) \
             SELECT payment, deposit, $2, $3 FROM outbox WHERE payment = ANY($1) ON CONFLICT DO NOTHING",
        )
        .bind(&moves.settled)
        .bind(&ledger)
        .bind(sequence)
        .execute(&mut *connection)
        .await?;
    }
    if !moves.closed.is_empty() {
        sqlx::query("DELETE FROM outbox WHERE payment = ANY($1)").bind(&moves.closed).execute(&mut *connection).await?;
    }
    if !moves.given_back.is_empty() {
        sqlx::query("DELETE FROM kept WHERE payment = ANY($1)").bind(&moves.given_back).execute(&mut *connection).await?;
    }
    if !moves.again.is_empty() && mark.is_some() {
        let update = sqlx::query("UPDATE kept SET ledger = $2, sequence = $3 WHERE payment = ANY($1)");
        update.bind(&moves.again).bind(&ledger).bind(sequence).execute(&mut *connection).await?;
    }
    if moves.outstanding > 0 {
        let update = sqlx::query("UPDATE numbers SET value = CASE WHEN value > $1 THEN value - $1 ELSE 0 END WHERE name = 'outstanding'");
        update.bind(moves.outstanding).execute(&mut *connection).await?;
    }
    for (window, amount) in &moves.at_risk {
        let update = sqlx::query("UPDATE at_risk SET amount = CASE WHEN amount > $2 THEN amount - $2 ELSE 0 END WHERE window_start = $1");
        update.bind(integer(*window)?).bind(amount).execute(&mut *connection).await?;
    }
    Ok(())
}

/// So many payments less keep these answers.
async fn release(connection: &mut PgConnection, released: &BTreeMap<[u8; 32], i64>) -> Outcome<()> {
    for (name, payments) in released {
        let update = sqlx::query("UPDATE answers SET payments = payments - $2 WHERE answer = $1");
        update.bind(name.as_slice()).bind(payments).execute(&mut *connection).await?;
        let delete = sqlx::query("DELETE FROM answers WHERE answer = $1 AND payments <= 0");
        delete.bind(name.as_slice()).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn kept_answer(connection: &mut PgConnection, payment: &[u8]) -> Outcome<Option<KeptAnswer>> {
    let joined = "SELECT kept.deposit, payments.record FROM kept JOIN payments ON payments.payment = kept.payment WHERE kept.payment = $1";
    let Some(row) = sqlx::query(joined).bind(payment).fetch_optional(&mut *connection).await? else { return Ok(None) };
    let (deposit, record) = (decode_deposit(row.try_get(0)?)?, decode_record(row.try_get(1)?)?);
    let Some(name) = record.answer else { return Ok(Some(KeptAnswer { deposit, answer: None })) };
    let found = sqlx::query("SELECT bytes FROM answers WHERE answer = $1").bind(name.as_slice()).fetch_optional(connection).await?;
    // Given back or forgotten since: the next try finds out.
    let answer = found.ok_or(Failure::Retry)?.try_get(0)?;
    Ok(Some(KeptAnswer { deposit, answer: Some(answer) }))
}

async fn raise(connection: &mut PgConnection, mark: LedgerMark) -> Outcome<()> {
    let (ledger, sequence) = (mark.ledger.0.as_slice(), integer(mark.sequence)?);
    let known = sqlx::query("SELECT sequence FROM ledgers WHERE ledger = $1").bind(ledger).fetch_optional(&mut *connection).await?;
    if known.is_none() {
        // Two who see a new ledger at once want the same place: one is told to try again.
        let insert = "INSERT INTO ledgers (ledger, place, sequence) SELECT $1, COALESCE(MAX(place), 0) + 1, $2 FROM ledgers";
        sqlx::query(insert).bind(ledger).bind(sequence).execute(connection).await?;
    } else {
        let update = sqlx::query("UPDATE ledgers SET sequence = $2 WHERE ledger = $1 AND sequence < $2");
        update.bind(ledger).bind(sequence).execute(connection).await?;
    }
    Ok(())
}

pub(super) async fn prune(connection: &mut PgConnection, prune: &Prune) -> Outcome<Pruned> {
    let limit = i64::try_from(prune.limit).unwrap_or(i64::MAX);
    let mut step: Vec<([u8; SpentKey::SIZE], PaymentId)> = Vec::new();
    for keyset in &prune.closed {
        let (mut after, mut last) = (keyset.0.to_vec(), vec![u8::MAX; SpentKey::SIZE]);
        last[..32].copy_from_slice(&keyset.0);
        if let Some(key) = prune.after {
            // No key is as short as a keyset's id alone: it stands before all of its keyset.
            after = after.max(key.to_bytes().to_vec());
        }
        let rows = sqlx::query("SELECT token, payment FROM spent WHERE token > $1 AND token <= $2 ORDER BY token LIMIT $3")
            .bind(after)
            .bind(last)
            .bind(limit - i64::try_from(step.len()).unwrap_or(limit))
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            step.push((bytes(row, 0)?, PaymentId(bytes(row, 1)?)));
        }
    }
    let next = if step.len() < prune.limit { None } else { step.last().map(|(key, _)| key_from_bytes(key)).transpose()? };
    let records = locked(&mut *connection, step.iter().map(|(_, payment)| payment.0.to_vec()).collect()).await?;
    let forgotten: Vec<_> = records.iter().filter(|(_, record)| prune.forgets(record)).collect();
    if !forgotten.is_empty() {
        let payments: Vec<Vec<u8>> = forgotten.iter().map(|(id, _)| id.0.to_vec()).collect();
        let tokens = forgotten.iter().flat_map(|(_, record)| &record.side.list).map(|key| spent_key(key).to_bytes().to_vec());
        sqlx::query("DELETE FROM payments WHERE payment = ANY($1)").bind(&payments).execute(&mut *connection).await?;
        let tokens: Vec<Vec<u8>> = tokens.collect();
        sqlx::query("DELETE FROM spent WHERE token = ANY($1)").bind(tokens).execute(&mut *connection).await?;
        sqlx::query("DELETE FROM kept WHERE payment = ANY($1)").bind(&payments).execute(&mut *connection).await?;
        let mut released = BTreeMap::new();
        for answer in forgotten.iter().filter_map(|(_, record)| record.answer) {
            *released.entry(answer).or_default() += 1;
        }
        release(&mut *connection, &released).await?;
        raise_latest_claim(connection, prune.before).await?;
    }
    Ok(Pruned { payments: forgotten.len() as u64, next })
}
