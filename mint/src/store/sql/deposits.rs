//! Deposits: many payments in few statements, because each statement is handed to the engine and back.
//!
//! ```text
//! look     keysets with counters, payments, publishers, tokens     one statement each up to MOST_ROWS rows
//! resolve  without a database (store/resolve.rs)
//! write    tokens, payments; one update a counter and a publisher; the sequence
//! ```

use std::collections::{BTreeSet, HashMap, HashSet};

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;
use sqlx::{AssertSqlSafe, Row as _};

use super::rows::{
    BY_PAYMENT, BY_SESSION, Outcome, SETTLED, amount, array, counts, find, freeze, insert_spent, integer, pieces, position, redeem,
    rounded, spent_row, unsigned,
};
use super::{Connection, MOST_ROWS, keysets, places, resync, spent as order, tuples};
use crate::store::books::{Account, Entries, worth};
use crate::store::resolve::{Count, Known, Plan, SpentBy, resolve};
use crate::store::{LedgerError, PaymentBooked, PaymentBooking};

/// What the ledger holds about the kinds of a batch's tokens.
#[derive(Default)]
struct Kinds {
    /// The keysets' numbers, and whether their tokens may come back.
    keysets: HashMap<KeysetId, (u32, bool)>,
    counts: HashMap<(KeysetId, Amount), Count>,
}

impl Kinds {
    fn number(&self, keyset: &KeysetId) -> Outcome<u32> {
        let (number, _) = self.keysets.get(keyset).ok_or(LedgerError::Corrupt("a keyset that was not announced"))?;
        Ok(*number)
    }

    /// Looks everything up at once.
    ///
    /// Implements R-LIFE-01.
    async fn of(connection: &mut Connection, batch: &[&PaymentBooking]) -> Outcome<Self> {
        let tokens = || batch.iter().flat_map(|payment| &payment.tokens);
        let ids: HashSet<KeysetId> = tokens().map(|token| token.keyset).collect();
        let denominations: HashSet<Amount> = tokens().map(|token| token.denomination).collect();
        let ids: Vec<KeysetId> = ids.into_iter().collect();
        let denominations = denominations.into_iter().map(|one| integer(one.units())).collect::<Outcome<Vec<i64>>>()?;
        let mut found = Self::default();
        let (Some(last_id), Some(last_denomination)) = (ids.last(), denominations.last()) else { return Ok(found) };
        let (rows, columns) = (rounded(ids.len()), rounded(denominations.len()));
        let sql = format!(
            "SELECT keyset.id AS id, number, state, denomination, issued, redeemed, frozen
             FROM keyset JOIN counter ON counter.keyset = keyset.number WHERE keyset.id IN ({}) AND denomination IN ({})",
            places(1, rows),
            places(rows + 1, columns)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in ids.iter().chain(std::iter::repeat(last_id)).take(rows) {
            query = query.bind(id.0.as_slice());
        }
        for denomination in denominations.iter().chain(std::iter::repeat(last_denomination)).take(columns) {
            query = query.bind(*denomination);
        }
        for row in query.fetch_all(connection).await? {
            let id = KeysetId(array(&row, "id")?);
            let number = u32::try_from(unsigned(&row, "number")?).map_err(|_| LedgerError::Corrupt("a keyset number"))?;
            found.keysets.insert(id, (number, row.try_get::<i64, _>("state")? == keysets::OPEN));
            found.counts.insert((id, amount(&row, "denomination")?), counts(&row)?);
        }
        for token in tokens() {
            found.number(&token.keyset)?;
            let kind = (token.keyset, token.denomination);
            found.counts.get(&kind).ok_or(LedgerError::Corrupt("a denomination that was not announced"))?;
        }
        Ok(found)
    }
}

pub(super) async fn deposit(
    connection: &mut Connection,
    batch: &[&PaymentBooking],
    now: u64,
    entries: &mut Entries,
) -> Outcome<(u64, Vec<PaymentBooked>)> {
    let kinds = Kinds::of(connection, batch).await?;
    let mut tokens = Vec::new();
    for token in batch.iter().flat_map(|payment| &payment.tokens) {
        tokens.push((*token, spent_row(kinds.number(&token.keyset)?, token)));
    }
    let mut plan = resolve(batch, known(connection, batch, &tokens, &kinds).await?)?;
    if !plan.freeze.is_empty() {
        let again = known(connection, batch, &tokens, &kinds).await?;
        if let Some(covered) = resync::plan(connection, batch, again, entries).await? {
            plan = covered;
        }
    }
    put_off(connection, batch, &mut plan).await?;

    let mut rows = tokens.iter().copied();
    let (mut spent, mut logged) = (Vec::with_capacity(tokens.len()), Vec::with_capacity(tokens.len()));
    let mut inserted = plan.insert.iter().copied().peekable();
    for (index, payment) in batch.iter().enumerate() {
        let own = rows.by_ref().take(payment.tokens.len());
        if inserted.next_if_eq(&index).is_some() {
            for (token, row) in own {
                spent.push((row, BY_PAYMENT, payment.id.0.to_vec()));
                logged.push((token, row));
            }
        } else {
            own.for_each(drop);
        }
    }
    if !insert_spent(connection, &spent).await? {
        return Err(LedgerError::Corrupt("a token spent between looking and writing").into());
    }
    order::log(connection, &logged, now).await?;
    for piece in pieces(&plan.insert) {
        let sql =
            format!("INSERT INTO payment (id, publisher, amount, change, taken, state, side, time) VALUES {}", tuples(piece.len(), 8));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for payment in piece.iter().filter_map(|index| batch.get(*index)) {
            query = query
                .bind(payment.id.0.as_slice())
                .bind(payment.publisher.as_str())
                .bind(integer(payment.amount.units())?)
                .bind(integer(payment.change.units())?)
                .bind(0_i64)
                .bind(SETTLED)
                .bind(payment.side.as_slice())
                .bind(integer(now)?);
        }
        query.execute(&mut *connection).await?;
    }
    for ((keyset, denomination), tokens) in &plan.redeemed {
        let keyset = kinds.number(keyset)?;
        if !redeem(connection, keyset, *denomination, *tokens).await? {
            return Err(LedgerError::Corrupt("a cap broken between looking and writing").into());
        }
        entries.debit(Account::Tokens(keyset), worth(*denomination, *tokens)?)?;
    }
    for (keyset, denomination) in &plan.freeze {
        let keyset = kinds.number(keyset)?;
        freeze(connection, keyset, *denomination).await?;
    }
    for (publisher, credit) in &plan.credits {
        let done = sqlx::query("UPDATE publisher SET balance = balance + $2 WHERE name = $1")
            .bind(publisher.as_str())
            .bind(integer(credit.units())?)
            .execute(&mut *connection)
            .await?;
        if done.rows_affected() != 1 {
            return Err(LedgerError::Corrupt("a publisher gone between looking and writing").into());
        }
        entries.credit(Account::Publisher(publisher.clone()), *credit)?;
    }
    for payment in plan.insert.iter().filter_map(|index| batch.get(*index)) {
        entries.credit(Account::ChangeDue, payment.change)?;
    }
    let sequence = if plan.insert.is_empty() {
        position(connection).await?.sequence
    } else {
        let counted = sqlx::query("UPDATE mint SET sequence = sequence + 1 WHERE id = 1 RETURNING sequence");
        unsigned(&counted.fetch_one(connection).await?, "sequence")?
    };
    Ok((sequence, plan.outcomes))
}

/// Refuses nothing for good, and freezes nothing, because of what a restored ledger may have forgotten.
///
/// Implements R-RESYNC-07.
async fn put_off(connection: &mut Connection, batch: &[&PaymentBooking], plan: &mut Plan) -> Outcome<()> {
    let nobody = PaymentBooked::Refused(Refusal::UnknownPublisher);
    if plan.freeze.is_empty() && !plan.outcomes.contains(&nobody) {
        return Ok(());
    }
    let state = resync::state(connection).await?;
    let freeze = if state.may_miss_tokens() { std::mem::take(&mut plan.freeze) } else { BTreeSet::new() };
    let overdrawn = |payment: &PaymentBooking| payment.tokens.iter().any(|token| freeze.contains(&(token.keyset, token.denomination)));
    for (outcome, payment) in plan.outcomes.iter_mut().zip(batch) {
        let frozen = *outcome == PaymentBooked::Refused(Refusal::Frozen) && overdrawn(payment);
        if frozen || (*outcome == nobody && state.may_miss_publishers()) {
            *outcome = PaymentBooked::NotYet;
        }
    }
    Ok(())
}

async fn known(connection: &mut Connection, batch: &[&PaymentBooking], tokens: &[(SpentKey, [u8; 44])], kinds: &Kinds) -> Outcome<Known> {
    let closed = kinds.keysets.iter().filter(|(_, (_, open))| !open).map(|(keyset, _)| *keyset).collect();
    let mut known = Known { counts: kinds.counts.clone(), closed, ..Known::default() };
    let ids = batch.iter().map(|payment| payment.id.0.as_slice());
    for row in find(connection, "SELECT id, state FROM payment WHERE id IN", ids).await? {
        let settled = row.try_get::<i64, _>("state")? == SETTLED;
        if settled { &mut known.payments } else { &mut known.refunded }.insert(PaymentId(array(&row, "id")?));
    }
    let publishers: HashSet<&str> = batch.iter().map(|payment| payment.publisher.as_str()).collect();
    let publishers: Vec<&str> = publishers.into_iter().collect();
    for piece in publishers.chunks(MOST_ROWS) {
        let Some(last) = piece.last() else { continue };
        let size = rounded(piece.len());
        let mut query = sqlx::query(AssertSqlSafe(format!("SELECT name FROM publisher WHERE name IN ({})", places(1, size))));
        for name in piece.iter().chain(std::iter::repeat(last)).take(size) {
            query = query.bind(*name);
        }
        for row in query.fetch_all(&mut *connection).await? {
            known.publishers.insert(row.try_get("name")?);
        }
    }
    let by_row: HashMap<[u8; 44], SpentKey> = tokens.iter().map(|(token, row)| (*row, *token)).collect();
    let sql = "SELECT token, kind, spent_by FROM spent WHERE token IN";
    let mut earlier = HashSet::new();
    for row in find(connection, sql, tokens.iter().map(|(_, row)| row.as_slice())).await? {
        let token = by_row.get(&array(&row, "token")?).ok_or(LedgerError::Corrupt("a row that was not asked for"))?;
        let by = match row.try_get::<i64, _>("kind")? {
            BY_PAYMENT => {
                let id = array(&row, "spent_by")?;
                earlier.insert(id);
                SpentBy::Payment(PaymentId(id))
            }
            BY_SESSION => SpentBy::Session(array(&row, "spent_by")?),
            _ => return Err(LedgerError::Corrupt("what a token was spent by").into()),
        };
        known.spent.insert(*token, by);
    }
    for row in find(connection, "SELECT id, side FROM payment WHERE id IN", earlier.iter().map(<[u8; 32]>::as_slice)).await? {
        known.sides.insert(PaymentId(array(&row, "id")?), row.try_get("side")?);
    }
    Ok(known)
}
