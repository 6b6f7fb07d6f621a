//! The ledger on PostgreSQL 15 or later, for several mint processes. What is PostgreSQL's own stands here, the rest in `sql/`.
//!
//! Every transaction that writes begins by locking the one row of `mint`: writers of all processes run one after another, and each
//! statement sees what those before have committed. So the rules that hold for one writer hold for all. Nothing else is used that the
//! PostgreSQL family does not share: no stored procedures, triggers, advisory locks or sequences (decision 15).

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgRow, Postgres};
use sqlx::{ConnectOptions, Connection as _, Row as _};

use super::{Answer, Instance, InstanceId, Instances, Ledger, LedgerError};
pub use engine::Engine as PostgresLedger;
use engine::read;
use rows::{Failure, Outcome};

#[path = "sql/books.rs"]
mod books;
#[path = "sql/closes.rs"]
mod closes;
#[path = "sql/deposits.rs"]
mod deposits;
#[path = "sql/engine.rs"]
mod engine;
#[path = "sql/givebacks.rs"]
mod givebacks;
#[path = "sql/journal.rs"]
mod journal;
#[path = "sql/keysets.rs"]
mod keysets;
#[path = "sql/orders.rs"]
mod orders;
#[path = "sql/recovery.rs"]
mod recovery;
#[path = "sql/resync.rs"]
mod resync;
#[path = "sql/rows.rs"]
mod rows;
#[path = "sql/spent.rs"]
mod spent;

type Connection = PgConnection;
type Database = Postgres;
type Row = PgRow;

/// The most rows of one statement. A message has room for 65,535 values, eight a row at most.
const MOST_ROWS: usize = 1_024;

/// One snapshot for all statements of a read.
const MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// How long a transaction or a read may take before its connection is given up: longer than the server's own limits below, and less than
/// a client of the mint waits.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(15));

const SIZE: &str = "SELECT (SELECT count(*) FROM spent) AS spent, (SELECT count(*) FROM payment) AS payments,
                           (SELECT count(*) FROM session) AS sessions, pg_database_size(current_database()) AS bytes";

/// What every connection asks of the server. A lock held by a process that stopped is released after ten seconds; nothing waits longer.
const SETTINGS: [&str; 5] = [
    "SET synchronous_commit = on",
    "SET statement_timeout = '10s'",
    "SET lock_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '10s'",
    "SET default_transaction_isolation = 'read committed'",
];

/// Connections for reading.
const READERS: u32 = 8;

/// How long a request waits for one of them.
const BUSY: Duration = Duration::from_secs(10);

/// Instances that have not been seen for this long are forgotten, in seconds: no session lives longer than two minutes.
const FORGOTTEN: u64 = 86_400;

/// Where the ledger is.
struct Place(PgConnectOptions);

impl Place {
    fn new(url: &str) -> Outcome<Self> {
        let options = PgConnectOptions::from_str(url)?.application_name("farthing-mint");
        Ok(Self(options.statement_cache_capacity(256).disable_statement_logging()))
    }

    async fn connect(&self) -> Outcome<Connection> {
        let mut connection = Connection::connect_with(&self.0).await?;
        configure(&mut connection).await?;
        Ok(connection)
    }

    /// Nothing runs beside the writer.
    fn close(self) -> std::future::Ready<()> {
        drop(self);
        std::future::ready(())
    }
}

async fn configure(connection: &mut Connection) -> sqlx::Result<()> {
    for setting in SETTINGS {
        sqlx::query(setting).execute(&mut *connection).await?;
    }
    Ok(())
}

/// `$1,$2`: numbered from `first`.
fn places(first: usize, count: usize) -> String {
    let numbers: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    numbers.join(",")
}

/// `($1,$2),($3,$4)`: `rows` times a tuple of `columns`.
fn tuples(rows: usize, columns: usize) -> String {
    let tuples: Vec<String> = (0..rows).map(|row| format!("({})", places(row * columns + 1, columns))).collect();
    tuples.join(",")
}

/// Opens a transaction that may write, once no other may: the row is one place to wait for all writers of all processes.
///
/// Implements R-SHARE-01.
async fn begin(connection: &mut Connection) -> Outcome<()> {
    sqlx::query("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").execute(&mut *connection).await?;
    sqlx::query("SELECT id FROM mint WHERE id = 1 FOR UPDATE").fetch_one(connection).await?;
    Ok(())
}

/// Closes a connection in whatever state it is, without waiting for the server.
async fn discard(connection: Connection) {
    drop(connection);
}

/// The engine's code of a failure.
fn code(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Engine(sqlx::Error::Database(error)) => error.code().map(std::borrow::Cow::into_owned),
        _ => None,
    }
}

/// Whether a group that failed is to be tried again. It must be certain that nothing was stored: the server says so with its codes for
/// a conflict and a deadlock, and before the commit was sent nothing can have been.
///
/// Implements R-SHARE-02.
fn again(failure: &Failure, committing: bool) -> bool {
    match code(failure).as_deref() {
        Some("40001" | "40P01") => true,
        // The server is stopping, or has closed this connection: another may be had.
        Some("57P01" | "57P02" | "25P03") => !committing,
        Some(_) => false,
        None => !committing && matches!(failure, Failure::Engine(sqlx::Error::Io(_))),
    }
}

/// Whether a request's failure is one of the whole transaction: lost connections, conflicts, waits given up, a server that stops.
fn lost(failure: &Failure) -> bool {
    match code(failure) {
        Some(code) => ["40", "53", "55", "57", "58", "25", "XX"].iter().any(|class| code.starts_with(class)),
        None => matches!(failure, Failure::Engine(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_))),
    }
}

/// The server's own vacuum does it.
async fn give_room_back(_connection: &mut Connection) -> Outcome<()> {
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "the other engine has none")]
const fn instances(ledger: &PostgresLedger) -> Option<&dyn Instances> {
    Some(ledger)
}

/// Creating and opening are given up after the same time as everything else.
async fn patiently<T>(what: &'static str, work: impl Future<Output = Outcome<T>>) -> Result<T, LedgerError> {
    let limit = PATIENCE.unwrap_or(BUSY);
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(|failure| failure.into_error(what)),
        Err(_) => Err(Failure::Engine(sqlx::Error::PoolTimedOut).into_error(what)),
    }
}

/// Whether a database has a table.
async fn has(connection: &mut Connection, table: &'static str) -> Outcome<bool> {
    let found = "SELECT 1 FROM information_schema.tables WHERE table_name = $1 AND table_schema = current_schema()";
    Ok(sqlx::query(found).bind(table).fetch_optional(connection).await?.is_some())
}

/// Adds what a ledger of an earlier version lacks.
async fn ensure(connection: &mut Connection) -> Outcome<()> {
    const RESTORED: &str = "restored";
    if has(connection, RESTORED).await? {
        return Ok(());
    }
    begin(connection).await?;
    // Another process may have been first, while this one waited.
    if !has(connection, RESTORED).await? {
        sqlx::raw_sql(resync::RESTORED).execute(&mut *connection).await?;
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}

impl PostgresLedger {
    /// Creates the tables in a database that holds no mint; `false`, and nothing changed, if it holds one.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if the database cannot be reached or written.
    pub async fn create(url: &str, ledger: [u8; 16], now: u64) -> Result<bool, LedgerError> {
        patiently("create", async {
            let mut connection = Place::new(url)?.connect().await?;
            if has(&mut connection, "mint").await? {
                return Ok(false);
            }
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(include_str!("postgres.sql")).execute(&mut *transaction).await?;
            sqlx::raw_sql(resync::SCHEMA).execute(&mut *transaction).await?;
            sqlx::raw_sql(resync::RESTORED).execute(&mut *transaction).await?;
            sqlx::raw_sql(closes::SCHEMA).execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO mint (id, ledger, sequence, time, sold, keysets) VALUES (1, $1, 0, $2, 0, $3)")
                .bind(ledger.as_slice())
                .bind(rows::integer(now)?)
                .bind([0_u8; 0].as_slice())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            connection.close().await?;
            Ok(true)
        })
        .await
    }

    /// Opens a ledger and starts its writer on the current runtime.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if the database cannot be reached, or holds no mint.
    pub async fn open(url: &str) -> Result<Self, LedgerError> {
        let ledger = patiently("open", async {
            let place = Place::new(url)?;
            let mut writer = place.connect().await?;
            ensure(&mut writer).await?;
            let readers = PgPoolOptions::new()
                .max_connections(READERS)
                .acquire_timeout(BUSY)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        configure(connection).await?;
                        sqlx::query("SET default_transaction_read_only = on").execute(connection).await.map(drop)
                    })
                })
                .connect_with(place.0.clone())
                .await?;
            Ok(Self::start(place, writer, readers))
        })
        .await?;
        ledger.position().await?;
        Ok(ledger)
    }
}

impl Instances for PostgresLedger {
    fn register(&self, instance: Instance, now: u64) -> Answer<'_, bool> {
        read("instance", async move {
            let mut connection = self.reader().await?;
            let mut transaction = connection.begin_with("BEGIN READ WRITE").await?;
            sqlx::query("DELETE FROM instance WHERE seen < $1")
                .bind(rows::integer(now.saturating_sub(FORGOTTEN))?)
                .execute(&mut *transaction)
                .await?;
            let inserted = sqlx::query("INSERT INTO instance (id, address, seen) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(instance.id.as_slice())
                .bind(instance.address)
                .bind(rows::integer(now)?)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(inserted.rows_affected() == 1)
        })
    }

    fn seen(&self, instance: InstanceId, now: u64) -> Answer<'_, bool> {
        read("instance", async move {
            let mut connection = self.reader().await?;
            let mut transaction = connection.begin_with("BEGIN READ WRITE").await?;
            let updated = sqlx::query("UPDATE instance SET seen = $2 WHERE id = $1")
                .bind(instance.as_slice())
                .bind(rows::integer(now)?)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(updated.rows_affected() == 1)
        })
    }

    fn leave(&self, instance: InstanceId) -> Answer<'_, ()> {
        read("instance", async move {
            let mut connection = self.reader().await?;
            let mut transaction = connection.begin_with("BEGIN READ WRITE").await?;
            sqlx::query("DELETE FROM instance WHERE id = $1").bind(instance.as_slice()).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(())
        })
    }

    fn address(&self, instance: InstanceId) -> Answer<'_, Option<String>> {
        read("instance", async move {
            let found = sqlx::query("SELECT address FROM instance WHERE id = $1").bind(instance.as_slice());
            let row = found.fetch_optional(&mut *self.reader().await?).await?;
            row.map(|row| Ok(row.try_get("address")?)).transpose()
        })
    }
}
