//! The embedded ledger: SQLite in WAL mode, `synchronous = FULL`. What is SQLite's own stands here, the rest in `sql/`.
//!
//! Processes on one file, such as the command line while the mint serves, wait their turn on SQLite's lock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use farthing_protocol::amount::Amount;
use sqlx::sqlite::{
    Sqlite, SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::books::{Account, Entries};
use super::{Instances, Ledger, LedgerError};
pub use engine::Engine as SqliteLedger;
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

type Connection = SqliteConnection;
type Database = Sqlite;
type Row = SqliteRow;

/// The most rows of one statement.
const MOST_ROWS: usize = 256;

/// A read transaction is one moment.
const MOMENT: &str = "BEGIN";

/// A file answers or fails; nobody hangs.
const PATIENCE: Option<Duration> = None;

const SIZE: &str = "SELECT (SELECT count(*) FROM spent) AS spent, (SELECT count(*) FROM payment) AS payments,
                           (SELECT count(*) FROM session) AS sessions,
                           (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size()) AS bytes";

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// What the writer keeps of the file in memory, in KiB: 64 MiB. Tokens are spread over the whole table, so that without it nearly every
/// row written costs a read (decision 43).
const CACHE: &str = "-65536";

/// Pages in the log before the writer copies what is left of them into the file and starts the log anew: 128 MiB.
const CHECKPOINT: &str = "32000";

/// How often the log is copied into the file beside the writer.
const COPYING: Duration = Duration::from_millis(250);

/// Connections for reading.
const READERS: u32 = 4;

/// The most pages given back to the system at once: a page holds some forty spent tokens.
const PAGES: u32 = 256;

/// Tables that ledgers of earlier versions lack.
const BOOKS: &str = "booking";
const CLOSES: &str = "close_run";
const RESYNC: &str = "resync";
const ORDERS: &str = "voucher_order";
const SPENT_LOG: &str = "spent_log";
const RECOVERY: &str = "recoverable";
const RESTORED: &str = "restored";

/// Where the ledger is, and who copies its log.
struct Place {
    path: PathBuf,
    end: oneshot::Sender<()>,
    copier: JoinHandle<()>,
}

impl Place {
    async fn open(path: &Path) -> Outcome<Self> {
        let copier = Connection::connect_with(&options(path)).await?;
        let (end, ended) = oneshot::channel();
        Ok(Self { path: path.to_path_buf(), end, copier: tokio::spawn(copy_log(copier, ended)) })
    }

    async fn connect(&self) -> Outcome<Connection> {
        Ok(Connection::connect_with(&writing(&self.path)).await?)
    }

    async fn close(self) {
        let Self { end, copier, .. } = self;
        drop(end);
        // Nothing depends on the log's having been copied.
        drop(copier.await);
    }
}

/// Copies the log into the file while the writer goes on, so that nobody's commit waits for it (decision 43). Ends when the place closes.
async fn copy_log(mut connection: Connection, mut ended: oneshot::Receiver<()>) {
    while tokio::time::timeout(COPYING, &mut ended).await.is_err() {
        // What fails here is left to the writer.
        drop(sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_all(&mut connection).await);
    }
    drop(connection.close().await);
}

/// `?,?`: bound in order. Numbers are left to PostgreSQL: here they would be looked up one by one.
fn places(_first: usize, count: usize) -> String {
    vec!["?"; count].join(",")
}

/// `(?,?),(?,?)`: `rows` times a tuple of `columns`.
fn tuples(rows: usize, columns: usize) -> String {
    vec![format!("({})", places(1, columns)); rows].join(",")
}

/// Opens a transaction that may write, once no other may.
async fn begin(connection: &mut Connection) -> Outcome<()> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}

/// Closes a connection in whatever state it is.
async fn discard(connection: Connection) {
    drop(connection.close_hard().await);
}

/// Whether a group that failed is to be tried again: one writer at a time is never undone for another's sake.
const fn again(_failure: &Failure, _committing: bool) -> bool {
    false
}

/// Whether a request's failure is one of the whole transaction. A savepoint that cannot be rolled back will say so.
const fn lost(_failure: &Failure) -> bool {
    false
}

/// Gives pages of dropped rows back to the system, in small steps.
async fn give_room_back(connection: &mut Connection) -> Outcome<()> {
    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA incremental_vacuum({PAGES})"))).fetch_all(connection).await?;
    Ok(())
}

/// A file has one serving process.
const fn instances(_ledger: &SqliteLedger) -> Option<&dyn Instances> {
    None
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

/// The options of the connection that writes.
fn writing(path: &Path) -> SqliteConnectOptions {
    options(path).pragma("cache_size", CACHE).pragma("wal_autocheckpoint", CHECKPOINT)
}

/// Copies a ledger, as it is at one moment, into an empty file that exists already, and waits until the copy is durable. Other processes
/// may write meanwhile.
///
/// # Errors
/// [`LedgerError::Unavailable`] if one cannot be read or the other not written.
pub async fn snapshot(from: &Path, to: &Path) -> Result<(), LedgerError> {
    let work = async {
        let mut connection = SqliteConnection::connect_with(&options(from)).await?;
        let name = to.to_str().ok_or(LedgerError::Unavailable)?;
        sqlx::query("VACUUM INTO ?1").bind(name).execute(&mut connection).await?;
        connection.close().await?;
        let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
        synced.map_err(|_| LedgerError::Unavailable)?;
        Ok::<(), Failure>(())
    };
    work.await.map_err(|failure: Failure| failure.into_error("snapshot"))
}

impl SqliteLedger {
    /// Creates the tables in an empty file that exists already, with the permissions the caller gave it.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if the file cannot be written or is not empty.
    pub async fn create(path: &Path, ledger: [u8; 16], now: u64) -> Result<(), LedgerError> {
        let work = async {
            // Pages of dropped rows go back to the system in small steps. Said once: every connection that says it writes, even one for
            // reading, and on a full disk could then not be opened.
            let options = options(path).auto_vacuum(SqliteAutoVacuum::Incremental);
            let mut connection = Connection::connect_with(&options).await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::raw_sql(include_str!("sqlite.sql")).execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO mint (id, ledger, sequence, time, sold, keysets) VALUES (1, $1, 0, $2, 0, x'')")
                .bind(ledger.as_slice())
                .bind(rows::integer(now)?)
                .execute(&mut *transaction)
                .await?;
            ensure(&mut transaction).await?;
            transaction.commit().await?;
            connection.close().await?;
            Ok::<(), Failure>(())
        };
        work.await.map_err(|failure: Failure| failure.into_error("create"))
    }

    /// Opens a ledger and starts its writer on the current runtime.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if the file cannot be opened, [`LedgerError::Corrupt`] if it is no ledger.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        let work = async {
            let mut writer = Connection::connect_with(&writing(path)).await?;
            if !is_complete(&mut writer).await? {
                let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
                ensure(&mut transaction).await?;
                transaction.commit().await?;
            }
            let readers = SqlitePoolOptions::new()
                .max_connections(READERS)
                .acquire_timeout(BUSY)
                .connect_with(options(path).pragma("query_only", "on"))
                .await?;
            Ok::<Self, Failure>(Self::start(Place::open(path).await?, writer, readers))
        };
        let ledger = work.await.map_err(|failure: Failure| failure.into_error("open"))?;
        ledger.position().await?;
        Ok(ledger)
    }
}

/// Whether a ledger has a table.
async fn has(connection: &mut Connection, table: &'static str) -> Outcome<bool> {
    let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1";
    Ok(sqlx::query(found).bind(table).fetch_optional(connection).await?.is_some())
}

/// Whether a ledger has every table of this version.
async fn is_complete(connection: &mut Connection) -> Outcome<bool> {
    for table in [RESYNC, RESTORED, BOOKS, CLOSES, ORDERS, SPENT_LOG, RECOVERY] {
        if !has(connection, table).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds what a ledger of an earlier version lacks. Filters of spent tokens hold what comes back from then on; sessions can be recovered that
/// are booked from then on.
async fn ensure(connection: &mut Connection) -> Outcome<()> {
    if !has(connection, RESYNC).await? {
        sqlx::raw_sql(resync::SCHEMA).execute(&mut *connection).await?;
    }
    if !has(connection, RESTORED).await? {
        sqlx::raw_sql(resync::RESTORED).execute(&mut *connection).await?;
    }
    if !has(connection, ORDERS).await? {
        sqlx::raw_sql(include_str!("sqlite_orders.sql")).execute(&mut *connection).await?;
    }
    if !has(connection, SPENT_LOG).await? {
        sqlx::raw_sql(include_str!("sqlite_spent_log.sql")).execute(&mut *connection).await?;
    }
    if !has(connection, RECOVERY).await? {
        sqlx::raw_sql(include_str!("sqlite_recovery.sql")).execute(&mut *connection).await?;
    }
    if !has(connection, BOOKS).await? {
        add_books(connection).await?;
    }
    if !has(connection, CLOSES).await? {
        sqlx::raw_sql(closes::SCHEMA).execute(&mut *connection).await?;
        sqlx::raw_sql(include_str!("sqlite_closes.sql")).execute(connection).await?;
    }
    Ok(())
}

/// Adds the books, with the ledger's balances as the first booking.
async fn add_books(connection: &mut Connection) -> Outcome<()> {
    sqlx::raw_sql(include_str!("sqlite_books.sql")).execute(&mut *connection).await?;
    let mut opening = Entries::default();
    for (account, balance) in journal::stated(connection).await? {
        // Nothing was paid out yet, and no table holds less than nothing.
        let amount = Amount::from_units(u64::try_from(balance).unwrap_or(0));
        match account {
            Account::Sold | Account::Recovered => opening.debit(account, amount)?,
            _ => opening.credit(account, amount)?,
        }
    }
    journal::write(connection, &opening).await
}
