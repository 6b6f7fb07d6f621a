//! The statements of the ledger, one function a request, each inside the caller's transaction.

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::{KeysetId, SpentKey};
use sqlx::{AssertSqlSafe, Row as _};

use super::{Connection, MOST_ROWS, Row, givebacks, keysets, places, recovery, resync, spent as order, tuples};
use crate::store::books::{Account, Entries, worth};
use crate::store::resolve::Count;
use crate::store::{Announcement, Debit, FundingState, IssueBooked, IssueBooking, LedgerError, Position, SessionId, SessionRow};

/// The most a mint may ever sell, so that every sum of the ledger fits in a signed 64-bit integer: 2^62 units.
const MOST_SOLD: i64 = 1 << 62;

const BOOKED: i64 = 1;
const CANCELLED: i64 = 2;
pub(super) const BY_PAYMENT: i64 = 1;
pub(super) const BY_SESSION: i64 = 2;
pub(super) const SETTLED: i64 = 1;

pub(super) type Outcome<T> = Result<T, Failure>;

/// Why a statement gave no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Ledger(LedgerError),
    Engine(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl Failure {
    /// What the caller learns; the log learns the engine's code, never a value.
    pub(super) fn into_error(self, what: &'static str) -> LedgerError {
        match self {
            Self::Ledger(error) => error,
            Self::Engine(error) => {
                let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
                let kind = match error {
                    sqlx::Error::Database(_) => "database",
                    sqlx::Error::Io(_) => "io",
                    sqlx::Error::PoolTimedOut => "readers busy",
                    sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => "decode",
                    _ => "other",
                };
                tracing::error!(what, kind, code, "the ledger failed");
                LedgerError::Unavailable
            }
        }
    }
}

/// A number as the engines store it.
pub(super) fn integer(value: u64) -> Outcome<i64> {
    i64::try_from(value).map_err(|_| Failure::Ledger(LedgerError::Corrupt("a number beyond 63 bits")))
}

pub(super) fn unsigned(row: &Row, column: &'static str) -> Outcome<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| Failure::Ledger(LedgerError::Corrupt("a negative number")))
}

/// An amount of a row.
pub(super) fn amount(row: &Row, column: &'static str) -> Outcome<Amount> {
    unsigned(row, column).map(Amount::from_units)
}

pub(super) fn array<const N: usize>(row: &Row, column: &'static str) -> Outcome<[u8; N]> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Failure::Ledger(LedgerError::Corrupt("bytes of a wrong length")))
}

/// Cuts items into powers of two, so that statements are few and the statement cache holds them all.
pub(super) fn pieces<T>(mut items: &[T]) -> Vec<&[T]> {
    let (mut out, mut size) = (Vec::new(), MOST_ROWS);
    while !items.is_empty() {
        while items.len() < size {
            size /= 2;
        }
        let (piece, rest) = items.split_at(size);
        out.push(piece);
        items = rest;
    }
    out
}

/// How many places a list of so many items gets: the last item stands in those that are left.
pub(super) const fn rounded(items: usize) -> usize {
    items.next_power_of_two()
}

// ---- keysets -------------------------------------------------------------------------------------------------------------------

pub(super) async fn keyset_number(connection: &mut Connection, id: &KeysetId) -> Outcome<u32> {
    let row = sqlx::query("SELECT number FROM keyset WHERE id = $1").bind(id.0.as_slice()).fetch_optional(connection).await?;
    let row = row.ok_or(LedgerError::Corrupt("a keyset that was not announced"))?;
    u32::try_from(row.try_get::<i64, _>("number")?).map_err(|_| LedgerError::Corrupt("a keyset number").into())
}

/// The numbers of the keysets that tokens name, each looked up once.
pub(super) async fn numbered(connection: &mut Connection, tokens: impl Iterator<Item = &SpentKey>) -> Outcome<Vec<(SpentKey, [u8; 44])>> {
    let mut known: Vec<(KeysetId, u32)> = Vec::new();
    let mut out = Vec::new();
    for token in tokens {
        let number = if let Some((_, number)) = known.iter().find(|(id, _)| *id == token.keyset) {
            *number
        } else {
            let number = keyset_number(connection, &token.keyset).await?;
            known.push((token.keyset, number));
            number
        };
        out.push((*token, spent_row(number, token)));
    }
    Ok(out)
}

/// A token as the key of `spent`.
pub(super) fn spent_row(keyset: u32, token: &SpentKey) -> [u8; 44] {
    let mut bytes = [0; 44];
    bytes[..4].copy_from_slice(&keyset.to_be_bytes());
    bytes[4..12].copy_from_slice(&token.denomination.units().to_be_bytes());
    bytes[12..].copy_from_slice(&token.key);
    bytes
}

pub(super) async fn announce(connection: &mut Connection, announcement: &Announcement) -> Outcome<bool> {
    let row = sqlx::query("SELECT count(*) AS n FROM keyset").fetch_one(&mut *connection).await?;
    // On a ledger that may lack announcements another one of the same number would be a fork.
    if unsigned(&row, "n")? != u64::from(announcement.number) || !resync::is_whole(connection).await? {
        return Ok(false);
    }
    add_keyset(connection, announcement).await?;
    Ok(true)
}

/// Adds a keyset and puts the list that it stands on in place of the one before.
pub(super) async fn add_keyset(connection: &mut Connection, announcement: &Announcement) -> Outcome<()> {
    sqlx::query("INSERT INTO keyset (number, id, deposit_until) VALUES ($1, $2, $3)")
        .bind(i64::from(announcement.number))
        .bind(announcement.keyset.0.as_slice())
        .bind(integer(announcement.deposit_until)?)
        .execute(&mut *connection)
        .await?;
    for denomination in &announcement.denominations {
        sqlx::query("INSERT INTO counter (keyset, denomination, issued, redeemed, frozen) VALUES ($1, $2, 0, 0, 0)")
            .bind(i64::from(announcement.number))
            .bind(integer(denomination.units())?)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("UPDATE mint SET keysets = $1 WHERE id = 1").bind(announcement.list.as_slice()).execute(connection).await?;
    Ok(())
}

pub(super) async fn count(connection: &mut Connection, keyset: u32, denomination: Amount) -> Outcome<Count> {
    let row = sqlx::query("SELECT issued, redeemed, frozen FROM counter WHERE keyset = $1 AND denomination = $2")
        .bind(i64::from(keyset))
        .bind(integer(denomination.units())?)
        .fetch_optional(connection)
        .await?
        .ok_or(LedgerError::Corrupt("a denomination that was not announced"))?;
    counts(&row)
}

/// The counts of a row.
pub(super) fn counts(row: &Row) -> Outcome<Count> {
    Ok(Count { issued: unsigned(row, "issued")?, redeemed: unsigned(row, "redeemed")?, frozen: row.try_get::<i64, _>("frozen")? != 0 })
}

/// Implements R-MINT-09.
pub(super) async fn freeze(connection: &mut Connection, keyset: u32, denomination: Amount) -> Outcome<()> {
    tracing::error!(keyset, denomination = denomination.units(), "more tokens came back than were issued: the denomination is frozen");
    sqlx::query("UPDATE counter SET frozen = 1 WHERE keyset = $1 AND denomination = $2")
        .bind(i64::from(keyset))
        .bind(integer(denomination.units())?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Counts tokens that came back; `false` if that would be more than were issued, or the kind is frozen.
///
/// Implements R-MINT-09.
pub(super) async fn redeem(connection: &mut Connection, keyset: u32, denomination: Amount, tokens: u64) -> Outcome<bool> {
    let done = sqlx::query(
        "UPDATE counter SET redeemed = redeemed + $3 WHERE keyset = $1 AND denomination = $2 AND frozen = 0 AND redeemed + $3 <= issued",
    )
    .bind(i64::from(keyset))
    .bind(integer(denomination.units())?)
    .bind(integer(tokens)?)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Equal neighbours of an ascending list, counted.
pub(super) fn counted<T: PartialEq + Copy>(items: impl IntoIterator<Item = T>) -> Vec<(T, u64)> {
    let mut out: Vec<(T, u64)> = Vec::new();
    for item in items {
        match out.last_mut() {
            Some((last, count)) if *last == item => *count += 1,
            _ => out.push((item, 1)),
        }
    }
    out
}

// ---- sessions ------------------------------------------------------------------------------------------------------------------

pub(super) async fn session(connection: &mut Connection, id: SessionId) -> Outcome<Option<SessionRow>> {
    let row =
        sqlx::query("SELECT state, digest, response FROM session WHERE id = $1").bind(id.as_slice()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(match row.try_get::<i64, _>("state")? {
        BOOKED => SessionRow::Booked { digest: array(&row, "digest")?, response: row.try_get("response")? },
        CANCELLED => SessionRow::Cancelled,
        _ => return Err(LedgerError::Corrupt("a session's state").into()),
    }))
}

pub(super) async fn cancel_session(connection: &mut Connection, id: SessionId, now: u64) -> Outcome<SessionRow> {
    sqlx::query("INSERT INTO session (id, state, time) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(id.as_slice())
        .bind(CANCELLED)
        .bind(integer(now)?)
        .execute(&mut *connection)
        .await?;
    session(connection, id).await?.ok_or_else(|| LedgerError::Corrupt("an inserted row that is not there").into())
}

/// `overdrawn` is the kind of which a refresh would bring back more than was issued.
pub(super) async fn issue(
    connection: &mut Connection,
    booking: &IssueBooking,
    entries: &mut Entries,
    overdrawn: &mut Option<(u32, Amount)>,
) -> Outcome<IssueBooked> {
    let inserted =
        sqlx::query("INSERT INTO session (id, state, digest, response, time) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
            .bind(booking.session.as_slice())
            .bind(BOOKED)
            .bind(booking.digest.as_slice())
            .bind(booking.response.as_slice())
            .bind(integer(booking.now)?)
            .execute(&mut *connection)
            .await?;
    if inserted.rows_affected() != 1 {
        let row = session(connection, booking.session).await?;
        return row.map(IssueBooked::Earlier).ok_or_else(|| LedgerError::Corrupt("a row in the way that is not there").into());
    }
    for piece in pieces(&booking.commitments) {
        let sql = format!("INSERT INTO commitment (row) VALUES {} ON CONFLICT DO NOTHING", tuples(piece.len(), 1));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in piece {
            query = query.bind(row.as_slice());
        }
        if query.execute(&mut *connection).await?.rows_affected() != piece.len() as u64 {
            return Ok(IssueBooked::CommitmentReused);
        }
    }
    if let Some(refused) = keysets::issue_guard(connection, booking).await? {
        return Ok(refused);
    }
    if let Some(refused) = debit(connection, booking, entries, overdrawn).await? {
        return Ok(refused);
    }
    let keyset = keyset_number(connection, &booking.keyset).await?;
    for (denomination, tokens) in counted(booking.denominations.iter().copied()) {
        let done = sqlx::query("UPDATE counter SET issued = issued + $3 WHERE keyset = $1 AND denomination = $2 AND frozen = 0")
            .bind(i64::from(keyset))
            .bind(integer(denomination.units())?)
            .bind(integer(tokens)?)
            .execute(&mut *connection)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(IssueBooked::Frozen);
        }
        entries.credit(Account::Tokens(keyset), worth(denomination, tokens)?)?;
    }
    let number = givebacks::record(connection, booking, keyset).await?;
    recovery::record(connection, booking, keyset, number).await?;
    Ok(IssueBooked::Booked)
}

/// Takes what the issue costs; `Some` is why it cannot.
///
/// Implements R-MINT-04, R-MINT-05.
async fn debit(
    connection: &mut Connection,
    booking: &IssueBooking,
    entries: &mut Entries,
    overdrawn: &mut Option<(u32, Amount)>,
) -> Outcome<Option<IssueBooked>> {
    let amount = integer(booking.amount.units())?;
    match &booking.debit {
        Debit::Voucher(key) => {
            let done = sqlx::query("UPDATE voucher SET balance = balance - $2 WHERE key = $1 AND balance >= $2")
                .bind(key.as_slice())
                .bind(amount)
                .execute(&mut *connection)
                .await?;
            if done.rows_affected() == 1 {
                entries.debit(Account::Vouchers, booking.amount)?;
                return Ok(None);
            }
            let known = voucher_balance(connection, *key).await?.is_some();
            Ok(Some(if known { IssueBooked::VoucherInsufficient } else { IssueBooked::VoucherUnknown }))
        }
        Debit::Refresh(tokens) => {
            let tokens = numbered(connection, tokens.iter()).await?;
            let rows: Vec<[u8; 44]> = tokens.iter().map(|(_, row)| *row).collect();
            if !insert_spent(connection, &rows.iter().map(|row| (*row, BY_SESSION, booking.session.to_vec())).collect::<Vec<_>>()).await? {
                return Ok(Some(IssueBooked::TokenSpent));
            }
            order::log(connection, &tokens, booking.now).await?;
            for (kind, count) in counted(kinds(&rows)) {
                if !redeem(connection, kind.0, kind.1, count).await? {
                    let covered = resync::cover(connection, kind.0, kind.1, count, entries).await?;
                    if !covered || !redeem(connection, kind.0, kind.1, count).await? {
                        *overdrawn = Some(kind);
                        return Ok(Some(IssueBooked::Frozen));
                    }
                }
                entries.debit(Account::Tokens(kind.0), worth(kind.1, count)?)?;
            }
            Ok(None)
        }
        Debit::Change(payment) => {
            let done =
                // Whether the amount was given back makes no difference to the rest.
                sqlx::query("UPDATE payment SET taken = 1 WHERE id = $1 AND taken = 0 AND change = $2 AND change > 0")
                    .bind(payment.0.as_slice())
                    .bind(amount)
                    .execute(connection)
                    .await?;
            entries.debit(Account::ChangeDue, booking.amount)?;
            Ok((done.rows_affected() != 1).then_some(IssueBooked::ChangeUnavailable))
        }
        Debit::Reclaim(payment) => {
            entries.debit(Account::RefundsDue, booking.amount)?;
            givebacks::reclaim(connection, payment, amount).await
        }
        Debit::Recovery(tokens) => recovery::repay(connection, booking, tokens, entries).await,
    }
}

/// Keyset number and denomination of rows of `spent`.
pub(super) fn kinds(rows: &[[u8; 44]]) -> Vec<(u32, Amount)> {
    let kind = |row: &[u8; 44]| {
        let (mut number, mut denomination) = ([0; 4], [0; 8]);
        number.copy_from_slice(&row[..4]);
        denomination.copy_from_slice(&row[4..12]);
        (u32::from_be_bytes(number), Amount::from_units(u64::from_be_bytes(denomination)))
    };
    let mut kinds: Vec<_> = rows.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds
}

/// After a refused refresh that was undone: freezes the kind of which it would have brought back too many.
///
/// Implements R-RESYNC-07.
pub(super) async fn freeze_overdrawn(connection: &mut Connection, (keyset, denomination): (u32, Amount)) -> Outcome<IssueBooked> {
    if count(connection, keyset, denomination).await?.frozen {
        return Ok(IssueBooked::Frozen);
    }
    if resync::state(connection).await?.may_miss_tokens() {
        return Ok(IssueBooked::NotYet);
    }
    freeze(connection, keyset, denomination).await?;
    Ok(IssueBooked::Frozen)
}

/// Marks tokens as spent; `false` if one was before.
pub(super) async fn insert_spent(connection: &mut Connection, rows: &[([u8; 44], i64, Vec<u8>)]) -> Outcome<bool> {
    for piece in pieces(rows) {
        let sql = format!("INSERT INTO spent (token, kind, spent_by) VALUES {} ON CONFLICT DO NOTHING", tuples(piece.len(), 3));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (token, kind, by) in piece {
            query = query.bind(token.as_slice()).bind(*kind).bind(by.as_slice());
        }
        if query.execute(&mut *connection).await?.rows_affected() != piece.len() as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) async fn funding(connection: &mut Connection, debit: &Debit, worth: Amount) -> Outcome<FundingState> {
    match debit {
        Debit::Voucher(key) => Ok(match voucher_balance(connection, *key).await? {
            None => FundingState::VoucherUnknown,
            Some(balance) if balance < worth => FundingState::VoucherInsufficient,
            Some(_) => FundingState::Ready,
        }),
        Debit::Refresh(tokens) => {
            let rows = numbered(connection, tokens.iter()).await?;
            let found = find(connection, "SELECT token FROM spent WHERE token IN", rows.iter().map(|(_, row)| row.as_slice())).await?;
            Ok(if found.is_empty() { FundingState::Ready } else { FundingState::TokenSpent })
        }
        Debit::Change(payment) => {
            let row = sqlx::query("SELECT change, taken FROM payment WHERE id = $1")
                .bind(payment.0.as_slice())
                .fetch_optional(connection)
                .await?;
            let Some(row) = row else { return Ok(FundingState::ChangeUnavailable) };
            if row.try_get::<i64, _>("taken")? != 0 {
                return Ok(FundingState::ChangeUnavailable);
            }
            Ok(if amount(&row, "change")? == worth { FundingState::Ready } else { FundingState::ChangeDiffers })
        }
        Debit::Reclaim(payment) => givebacks::reclaimable(connection, payment, worth).await,
        Debit::Recovery(tokens) => recovery::claimable(connection, tokens).await,
    }
}

/// Rows whose key is among `keys`; `sql` ends in `IN`.
pub(super) async fn find<'k>(connection: &mut Connection, sql: &'static str, keys: impl Iterator<Item = &'k [u8]>) -> Outcome<Vec<Row>> {
    let keys: Vec<&[u8]> = keys.collect();
    let mut found = Vec::new();
    for piece in keys.chunks(MOST_ROWS) {
        let Some(last) = piece.last() else { continue };
        let size = rounded(piece.len());
        let mut query = sqlx::query(AssertSqlSafe(format!("{sql} ({})", places(1, size))));
        for key in piece.iter().chain(std::iter::repeat(last)).take(size) {
            query = query.bind(*key);
        }
        found.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(found)
}

// ---- vouchers and sums ---------------------------------------------------------------------------------------------------------

pub(super) async fn voucher_balance(connection: &mut Connection, key: [u8; 32]) -> Outcome<Option<Amount>> {
    let row = sqlx::query("SELECT balance FROM voucher WHERE key = $1").bind(key.as_slice()).fetch_optional(connection).await?;
    row.map(|row| amount(&row, "balance")).transpose()
}

pub(super) async fn create_vouchers(connection: &mut Connection, keys: &[[u8; 32]], each: Amount) -> Outcome<bool> {
    let total = each.units().checked_mul(keys.len() as u64).and_then(|total| i64::try_from(total).ok());
    let Some(total) = total.filter(|total| *total <= MOST_SOLD) else { return Ok(false) };
    let done = sqlx::query("UPDATE mint SET sold = sold + $1 WHERE id = 1 AND sold <= $2")
        .bind(total)
        .bind(MOST_SOLD - total)
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    for piece in pieces(keys) {
        let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO voucher (key, balance) VALUES {}", tuples(piece.len(), 2))));
        for key in piece {
            query = query.bind(key.as_slice()).bind(integer(each.units())?);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(true)
}

/// Writes something that means nothing. There and back: SQLite does not write what is as it was.
pub(super) async fn probe(connection: &mut Connection) -> Outcome<()> {
    for step in ["UPDATE mint SET clock = clock + 1 WHERE id = 1", "UPDATE mint SET clock = clock - 1 WHERE id = 1"] {
        sqlx::query(step).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn position(connection: &mut Connection) -> Outcome<Position> {
    let row = sqlx::query("SELECT ledger, sequence, time FROM mint WHERE id = 1").fetch_one(connection).await?;
    Ok(Position { ledger: array(&row, "ledger")?, sequence: unsigned(&row, "sequence")?, time: unsigned(&row, "time")? })
}
