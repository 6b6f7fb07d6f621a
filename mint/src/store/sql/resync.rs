//! The statements of resynchronising.

use farthing_protocol::amount::Amount;
use sqlx::Row as _;

use super::Connection;
use super::engine::{Engine, Work, read};
use super::rows::{self, Failure, Outcome, amount, integer, unsigned};
use crate::store::books::{Account, Entries, worth};
use crate::store::resolve::{Known, Plan, resolve};
use crate::store::resync::{JUMP, Resync, ResyncBegun, ResyncFinished, ResyncState, Resynced};
use crate::store::{Announcement, Answer, LedgerError, PaymentBooking};

/// The table.
pub(super) const SCHEMA: &str = include_str!("../resync.sql");

/// The table beside it.
pub(super) const RESTORED: &str = include_str!("../restored.sql");

/// The most that may be recovered, so that every sum fits: 2^62 units.
const MOST_RECOVERED: i64 = 1 << 62;

/// A change to the state.
pub(super) enum Change {
    Shown(u64),
    Begin(bool),
    Finish(Amount, bool),
    Restored,
    Keysets(u64, String),
    Adopt(Vec<Announcement>),
}

pub(super) async fn state(connection: &mut Connection) -> Outcome<ResyncState> {
    let both = "SELECT shown, began, recovered, allowance, pending, finished, keysets FROM resync JOIN restored ON restored.id = resync.id";
    let row = sqlx::query(both).fetch_one(connection).await?;
    let time = |column| match row.try_get::<Option<i64>, _>(column)? {
        Some(_) => Ok::<_, Failure>(Some(unsigned(&row, column)?)),
        None => Ok(None),
    };
    Ok(ResyncState {
        shown: unsigned(&row, "shown")?,
        began: time("began")?,
        recovered: amount(&row, "recovered")?,
        allowance: amount(&row, "allowance")?,
        restored: row.try_get::<i64, _>("pending")? != 0,
        finished: time("finished")?,
        keysets_shown: unsigned(&row, "keysets")?,
    })
}

/// Whether the ledger is known to lack nothing that others hold: neither restored and not resynchronised, nor behind what was shown.
///
/// Implements R-RESYNC-04.
pub(super) async fn is_whole(connection: &mut Connection) -> Outcome<bool> {
    let whole = "SELECT 1 FROM resync JOIN restored ON restored.id = resync.id
                 WHERE began IS NULL AND pending = 0 AND shown <= (SELECT sequence FROM mint WHERE id = 1)
                   AND keysets <= (SELECT count(*) FROM keyset)";
    Ok(sqlx::query(whole).fetch_optional(connection).await?.is_some())
}

/// Adds keysets that were announced before the loss.
///
/// Implements R-RESYNC-06.
async fn adopt(connection: &mut Connection, announcements: &[Announcement]) -> Outcome<bool> {
    let resyncing = sqlx::query("SELECT 1 FROM resync WHERE began IS NOT NULL").fetch_optional(&mut *connection).await?.is_some();
    let row = sqlx::query("SELECT count(*) AS n FROM keyset").fetch_one(&mut *connection).await?;
    let mut next = unsigned(&row, "n")?;
    for announcement in announcements {
        if !resyncing || u64::from(announcement.number) != next {
            return Ok(false);
        }
        next = next.saturating_add(1);
    }
    for announcement in announcements {
        rows::add_keyset(connection, announcement).await?;
    }
    let settled = "UPDATE restored SET keysets = 0, list = NULL WHERE keysets <= $1";
    sqlx::query(settled).bind(integer(next)?).execute(connection).await?;
    Ok(!announcements.is_empty())
}

/// Makes a change inside the caller's transaction; `true` if it is one.
///
/// Implements R-RESYNC-01, R-RESYNC-03, R-RESYNC-05.
pub(super) async fn change(connection: &mut Connection, change: &Change, now: u64) -> Outcome<bool> {
    let done = match change {
        Change::Shown(sequence) => {
            sqlx::query("UPDATE resync SET shown = $1 WHERE id = 1 AND shown < $1").bind(integer(*sequence)?).execute(connection).await?
        }
        Change::Begin(restored) => {
            let begin = "UPDATE resync SET began = $1
                         WHERE id = 1 AND began IS NULL
                           AND ($2 = 1 OR shown > (SELECT sequence FROM mint WHERE id = 1)
                                OR (SELECT keysets FROM restored WHERE id = 1) > (SELECT count(*) FROM keyset))";
            sqlx::query(begin).bind(integer(now)?).bind(i64::from(*restored)).execute(connection).await?
        }
        Change::Restored => sqlx::query("UPDATE restored SET pending = 1 WHERE id = 1").execute(connection).await?,
        Change::Keysets(keysets, list) => {
            let longest = "UPDATE restored SET keysets = $1, list = $2
                           WHERE id = 1 AND keysets < $1 AND $1 > (SELECT count(*) FROM keyset)";
            sqlx::query(longest).bind(integer(*keysets)?).bind(list.as_str()).execute(connection).await?
        }
        Change::Adopt(announcements) => return adopt(connection, announcements).await,
        Change::Finish(allowance, drop_keysets) => {
            let finish = "UPDATE resync SET began = NULL, allowance = $1
                          WHERE id = 1 AND began IS NOT NULL
                            AND ($2 = 1 OR (SELECT keysets FROM restored WHERE id = 1) <= (SELECT count(*) FROM keyset))";
            let finish = sqlx::query(finish).bind(integer(allowance.units())?).bind(i64::from(*drop_keysets));
            let done = finish.execute(&mut *connection).await?;
            if done.rows_affected() == 1 {
                let settled = "UPDATE restored SET pending = 0, finished = $1, keysets = 0, list = NULL WHERE id = 1";
                sqlx::query(settled).bind(integer(now)?).execute(&mut *connection).await?;
                let sequence = rows::position(connection).await?.sequence.max(state(connection).await?.shown);
                let sequence = sequence.checked_add(JUMP).ok_or(LedgerError::Corrupt("a sequence beyond 64 bits"))?;
                sqlx::query("UPDATE mint SET sequence = $1 WHERE id = 1").bind(integer(sequence)?).execute(connection).await?;
            }
            done
        }
    };
    Ok(done.rows_affected() == 1)
}

/// Whether so much more may be recovered; if so, it is.
async fn take(connection: &mut Connection, amount: Amount) -> Outcome<bool> {
    let Ok(units) = i64::try_from(amount.units()) else { return Ok(false) };
    let done = sqlx::query(
        "UPDATE resync SET recovered = recovered + $1, allowance = CASE WHEN began IS NULL THEN allowance - $1 ELSE allowance END
         WHERE id = 1 AND (began IS NOT NULL OR allowance >= $1) AND recovered <= $2",
    )
    .bind(units)
    .bind(MOST_RECOVERED.saturating_sub(units))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts tokens as issued that came back and were not.
async fn raise(connection: &mut Connection, keyset: u32, denomination: Amount, tokens: u64, entries: &mut Entries) -> Outcome<()> {
    sqlx::query("UPDATE counter SET issued = issued + $3 WHERE keyset = $1 AND denomination = $2")
        .bind(i64::from(keyset))
        .bind(integer(denomination.units())?)
        .bind(integer(tokens)?)
        .execute(connection)
        .await?;
    let worth = worth(denomination, tokens)?;
    entries.debit(Account::Recovered, worth)?;
    entries.credit(Account::Tokens(keyset), worth)?;
    tracing::warn!(keyset, denomination = denomination.units(), tokens, "tokens came back that were issued after the backup");
    Ok(())
}

/// Resolves a batch anew, of which some payments would bring back more tokens than were issued: without caps, if what is missing may be
/// recovered, and then it is. A kind that is frozen stays so.
///
/// Implements R-RESYNC-02.
pub(super) async fn plan(
    connection: &mut Connection,
    batch: &[&PaymentBooking],
    mut known: Known,
    entries: &mut Entries,
) -> Outcome<Option<Plan>> {
    let before = known.counts.clone();
    known.counts.values_mut().for_each(|count| count.issued = u64::MAX);
    let plan = resolve(batch, known)?;
    let (mut missing, mut sum) = (Vec::new(), Amount::ZERO);
    for (kind, tokens) in &plan.redeemed {
        let Some(count) = before.get(kind) else { continue };
        let short = count.redeemed.saturating_add(*tokens).saturating_sub(count.issued);
        if short > 0 {
            sum = sum.checked_add(worth(kind.1, short)?).ok_or(LedgerError::Corrupt("amounts beyond 64 bits"))?;
            missing.push((kind, short));
        }
    }
    if !take(connection, sum).await? {
        return Ok(None);
    }
    for ((keyset, denomination), tokens) in missing {
        let keyset = rows::keyset_number(connection, keyset).await?;
        raise(connection, keyset, *denomination, tokens, entries).await?;
    }
    Ok(Some(plan))
}

/// The same for tokens of one kind in a refresh; `false` if they may not be recovered.
///
/// Implements R-RESYNC-02.
pub(super) async fn cover(
    connection: &mut Connection,
    keyset: u32,
    denomination: Amount,
    tokens: u64,
    entries: &mut Entries,
) -> Outcome<bool> {
    let count = rows::count(connection, keyset, denomination).await?;
    let short = count.redeemed.saturating_add(tokens).saturating_sub(count.issued);
    if count.frozen || short == 0 || !take(connection, worth(denomination, short)?).await? {
        return Ok(false);
    }
    raise(connection, keyset, denomination, short, entries).await?;
    Ok(true)
}

impl Engine {
    async fn change_resync(&self, change: Change, now: u64) -> Result<bool, LedgerError> {
        self.made(Work::Resync(change, now)).await
    }
}

impl Resync for Engine {
    fn note_shown(&self, sequence: u64) -> Answer<'_, ()> {
        Box::pin(async move { self.change_resync(Change::Shown(sequence), 0).await.map(drop) })
    }

    fn begin_resync(&self, restored: bool, now: u64) -> Answer<'_, ResyncBegun> {
        Box::pin(async move {
            if self.change_resync(Change::Begin(restored), now).await? {
                return Ok(ResyncBegun::Begun);
            }
            let state = read("resync", async move { state(&mut *self.reader().await?).await }).await?;
            Ok(if state.began.is_some() { ResyncBegun::Earlier } else { ResyncBegun::InStep })
        })
    }

    fn finish_resync(&self, allowance: Amount, drop_keysets: bool, now: u64) -> Answer<'_, ResyncFinished> {
        Box::pin(async move {
            if self.change_resync(Change::Finish(allowance, drop_keysets), now).await? {
                return Ok(ResyncFinished::Finished);
            }
            let state = read("resync", async move { state(&mut *self.reader().await?).await }).await?;
            Ok(if state.began.is_some() { ResyncFinished::KeysetsMissing } else { ResyncFinished::NotBegun })
        })
    }

    fn note_restored(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.change_resync(Change::Restored, 0).await.map(drop) })
    }

    fn note_keysets(&self, keysets: u64, list: String) -> Answer<'_, ()> {
        Box::pin(async move { self.change_resync(Change::Keysets(keysets, list), 0).await.map(drop) })
    }

    fn shown_keysets(&self) -> Answer<'_, Option<String>> {
        read("shown keysets", async move {
            let row = sqlx::query("SELECT list FROM restored WHERE id = 1").fetch_one(&mut *self.reader().await?).await?;
            Ok(row.try_get("list")?)
        })
    }

    fn adopt_keysets(&self, announcements: Vec<Announcement>) -> Answer<'_, bool> {
        Box::pin(self.change_resync(Change::Adopt(announcements), 0))
    }

    fn resynced(&self, since: u64) -> Answer<'_, Vec<Resynced>> {
        read("resynced", async move {
            let sql = "SELECT publisher, count(*) AS payments, CAST(sum(amount) AS BIGINT) AS credited FROM payment WHERE time >= $1
                       GROUP BY publisher ORDER BY publisher";
            let rows = sqlx::query(sql).bind(integer(since)?).fetch_all(&mut *self.reader().await?).await?;
            let one = |row| {
                Ok(Resynced {
                    publisher: sqlx::Row::try_get(row, "publisher")?,
                    payments: unsigned(row, "payments")?,
                    credited: amount(row, "credited")?,
                })
            };
            rows.iter().map(one).collect()
        })
    }
}
