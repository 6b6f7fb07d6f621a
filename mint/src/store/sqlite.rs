//! The embedded ledger: SQLite in WAL mode, `synchronous = FULL`, one writer that commits many requests at once.
//!
//! All changes go through one task that owns the only writing connection of the process. It takes what is waiting, opens one
//! transaction, runs each request inside a savepoint of its own (deposits together, resolved payment by payment), commits, and only then
//! answers. Other processes on the same file, such as the command line while the mint serves, wait their turn on SQLite's lock.

use std::path::Path;
use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::books::{Account, Entries};
use super::sqlite_books as books;
use super::sqlite_givebacks as givebacks;
use super::sqlite_journal as journal;
use super::sqlite_keysets as keysets;
use super::sqlite_orders as orders;
use super::sqlite_rows::{self as rows, Failure};
use super::{
    Announcement, Answer, Debit, DepositBooked, FundingState, IssueBooked, IssueBooking, Ledger, LedgerError, PaymentBooking, Position,
    RecordedRow, RefundBooked, RefundDone, SessionId, SessionRow, Sheet,
};

/// How many requests may wait for the writer before callers wait themselves.
const QUEUE: usize = 1_024;

/// How many requests one transaction takes.
const GROUP: usize = 256;

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// Connections for reading.
const READERS: u32 = 4;

pub(super) type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    Issue(Box<IssueBooking>, Reply<IssueBooked>),
    Cancel(SessionId, u64, Reply<SessionRow>),
    Deposit(Vec<PaymentBooking>, u64, Reply<DepositBooked>),
    Vouchers(Vec<[u8; 32]>, Amount, u64, Reply<bool>),
    Publisher(String, Reply<()>),
    PublisherKey(String, [u8; 32], Reply<bool>),
    Refund(PaymentId, String, u64, Reply<RefundBooked>),
    Announce(Box<Announcement>, Reply<bool>),
    Keyset(keysets::Change, Reply<keysets::Changed>),
    Books(books::Change, u64, Reply<books::Changed>),
    Orders(orders::Change, u64, Reply<orders::Changed>),
}

/// An answer that waits for the commit.
type Finish = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;

/// A ledger in one SQLite file. Dropping it closes the file once waiting requests are done.
pub struct SqliteLedger {
    commands: mpsc::Sender<Command>,
    readers: SqlitePool,
    writer: tokio::task::JoinHandle<()>,
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        // Pages of dropped rows go back to the system in small steps.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

impl SqliteLedger {
    /// Creates the tables in an empty file that exists already, with the permissions the caller gave it.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if the file cannot be written or is not empty.
    pub async fn create(path: &Path, ledger: [u8; 16], now: u64) -> Result<(), LedgerError> {
        let work = async {
            let mut connection = SqliteConnection::connect_with(&options(path)).await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO mint (id, ledger, sequence, time, sold, keysets) VALUES (1, ?1, 0, ?2, 0, x'')")
                .bind(ledger.as_slice())
                .bind(rows::integer(now)?)
                .execute(&mut *transaction)
                .await?;
            journal::ensure(&mut transaction).await?;
            orders::ensure(&mut transaction).await?;
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
            let mut writer = SqliteConnection::connect_with(&options(path)).await?;
            if !journal::there(&mut writer).await? || !orders::there(&mut writer).await? {
                let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
                journal::ensure(&mut transaction).await?;
                orders::ensure(&mut transaction).await?;
                transaction.commit().await?;
            }
            let readers = SqlitePoolOptions::new()
                .max_connections(READERS)
                .acquire_timeout(BUSY)
                .connect_with(options(path).pragma("query_only", "on"))
                .await?;
            let (commands, queue) = mpsc::channel(QUEUE);
            let writer = tokio::spawn(Writer { path: path.to_path_buf(), connection: Some(writer), queue }.run());
            Ok::<Self, Failure>(Self { commands, readers, writer })
        };
        let ledger = work.await.map_err(|failure: Failure| failure.into_error("open"))?;
        ledger.position().await?;
        Ok(ledger)
    }

    /// Waits until the file is closed.
    pub async fn close(self) {
        let Self { commands, readers, writer } = self;
        drop(commands);
        readers.close().await;
        // A writer that panicked has nothing open any more.
        drop(writer.await);
    }

    pub(super) async fn ask<T: Send>(&self, command: impl FnOnce(Reply<T>) -> Command + Send) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| LedgerError::Unavailable)?;
        // A writer that died after the commit leaves the caller without knowledge, which is what Unavailable says.
        answer.await.unwrap_or(Err(LedgerError::Unavailable))
    }

    pub(super) async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>, Failure> {
        Ok(self.readers.acquire().await?)
    }
}

pub(super) fn read<'a, T, F>(what: &'static str, work: F) -> Answer<'a, T>
where
    F: Future<Output = Result<T, Failure>> + Send + 'a,
    T: 'a,
{
    Box::pin(async move { work.await.map_err(|failure| failure.into_error(what)) })
}

impl Ledger for SqliteLedger {
    fn issue(&self, booking: IssueBooking) -> Answer<'_, IssueBooked> {
        Box::pin(self.ask(|reply| Command::Issue(Box::new(booking), reply)))
    }

    fn cancel_session(&self, session: SessionId, now: u64) -> Answer<'_, SessionRow> {
        Box::pin(self.ask(move |reply| Command::Cancel(session, now, reply)))
    }

    fn session(&self, session: SessionId) -> Answer<'_, Option<SessionRow>> {
        read("session", async move { rows::session(&mut *self.reader().await?, session).await })
    }

    fn funding(&self, debit: Debit, amount: Amount) -> Answer<'_, FundingState> {
        read("funding", async move { rows::funding(&mut *self.reader().await?, &debit, amount).await })
    }

    fn deposit(&self, payments: Vec<PaymentBooking>, now: u64) -> Answer<'_, DepositBooked> {
        Box::pin(self.ask(move |reply| Command::Deposit(payments, now, reply)))
    }

    fn refund(&self, payment: PaymentId, publisher: String, now: u64) -> Answer<'_, RefundBooked> {
        Box::pin(self.ask(move |reply| Command::Refund(payment, publisher, now, reply)))
    }

    fn recorded(&self, keyset: u32, bucket: u64) -> Answer<'_, Vec<RecordedRow>> {
        read("recorded", async move { givebacks::recorded(&mut *self.reader().await?, keyset, bucket).await })
    }

    fn create_vouchers(&self, keys: Vec<[u8; 32]>, amount: Amount, now: u64) -> Answer<'_, bool> {
        Box::pin(self.ask(move |reply| Command::Vouchers(keys, amount, now, reply)))
    }

    fn voucher_balance(&self, key: [u8; 32]) -> Answer<'_, Option<Amount>> {
        read("voucher", async move { rows::voucher_balance(&mut *self.reader().await?, key).await })
    }

    fn add_publisher(&self, name: String) -> Answer<'_, ()> {
        Box::pin(self.ask(move |reply| Command::Publisher(name, reply)))
    }

    fn set_publisher_key(&self, name: String, key: [u8; 32]) -> Answer<'_, bool> {
        Box::pin(self.ask(move |reply| Command::PublisherKey(name, key, reply)))
    }

    fn publisher_key(&self, name: String) -> Answer<'_, Option<[u8; 32]>> {
        read("publisher key", async move { givebacks::publisher_key(&mut *self.reader().await?, &name).await })
    }

    fn publisher_balance(&self, name: String) -> Answer<'_, Option<Amount>> {
        read("publisher", async move {
            let row =
                sqlx::query("SELECT balance FROM publisher WHERE name = ?1").bind(name).fetch_optional(&mut *self.reader().await?).await?;
            row.map(|row| rows::amount(&row, "balance")).transpose()
        })
    }

    fn announce(&self, announcement: Announcement) -> Answer<'_, bool> {
        Box::pin(self.ask(move |reply| Command::Announce(Box::new(announcement), reply)))
    }

    fn keysets(&self) -> Answer<'_, Vec<u8>> {
        read("keysets", async move {
            let row = sqlx::query("SELECT keysets FROM mint WHERE id = 1").fetch_one(&mut *self.reader().await?).await?;
            Ok(row.try_get("keysets")?)
        })
    }

    fn sheet(&self) -> Answer<'_, Sheet> {
        read("sheet", async move {
            let mut connection = self.reader().await?;
            // One read transaction is one moment.
            let mut moment = connection.begin().await?;
            let sheet = journal::sheet(&mut moment).await?;
            moment.rollback().await?;
            Ok(sheet)
        })
    }

    fn position(&self) -> Answer<'_, Position> {
        read("position", async move { rows::position(&mut *self.reader().await?).await })
    }
}

/// The only task of the process that writes.
struct Writer {
    path: std::path::PathBuf,
    connection: Option<SqliteConnection>,
    queue: mpsc::Receiver<Command>,
}

impl Writer {
    async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.queue.recv_many(&mut group, GROUP).await > 0 {
            let mut finishes = Vec::with_capacity(group.len());
            let outcome = self.book(group.drain(..), &mut finishes).await;
            let verdict = outcome.map_err(|failure| failure.into_error("write"));
            if verdict.is_err()
                && let Some(connection) = self.connection.take()
            {
                // Whatever state it is in, a fresh connection has rolled back.
                drop(connection.close_hard().await);
            }
            for finish in finishes {
                finish(verdict);
            }
        }
        if let Some(connection) = self.connection.take() {
            drop(connection.close().await);
        }
    }

    /// Runs a group in one transaction.
    ///
    /// A command whose answer does not get into `finishes` loses its reply, which its caller reads as [`LedgerError::Unavailable`].
    async fn book(&mut self, group: impl Iterator<Item = Command>, finishes: &mut Vec<Finish>) -> Result<(), Failure> {
        let connection = self.begin().await?;
        let mut deposits = Vec::new();
        let mut time = 0;
        let mut entries = Entries::default();
        for command in group {
            match command {
                Command::Deposit(payments, now, reply) => {
                    time = now.max(time);
                    deposits.push((payments, reply));
                }
                other => run(connection, other, &mut time, &mut entries, finishes).await?,
            }
        }
        if !deposits.is_empty() {
            deposit(connection, deposits, time, &mut entries, finishes).await?;
        }
        sqlx::query("UPDATE mint SET time = ?1 WHERE id = 1 AND time < ?1").bind(rows::integer(time)?).execute(&mut *connection).await?;
        journal::write(connection, &entries).await?;
        sqlx::query("COMMIT").execute(connection).await?;
        Ok(())
    }

    async fn begin(&mut self) -> Result<&mut SqliteConnection, Failure> {
        if self.connection.is_none() {
            self.connection = Some(SqliteConnection::connect_with(&options(&self.path)).await?);
        }
        let connection = self.connection.as_mut().ok_or(Failure::Ledger(LedgerError::Unavailable))?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        Ok(connection)
    }
}

fn finish<T: Send + 'static>(reply: Reply<T>, answer: Result<T, LedgerError>) -> Finish {
    Box::new(move |committed| {
        // A caller that went away is no failure: it will ask again.
        drop(reply.send(committed.and(answer)));
    })
}

/// Runs one command in a savepoint.
///
/// An error means that the whole transaction is lost: some failures make SQLite roll back everything by itself, and what ran before in
/// this group must then not be answered as if it stood.
async fn run(
    connection: &mut SqliteConnection,
    command: Command,
    time: &mut u64,
    entries: &mut Entries,
    finishes: &mut Vec<Finish>,
) -> Result<(), Failure> {
    // What this request moves; it counts once the request is kept.
    let mut own = Entries::default();
    sqlx::query("SAVEPOINT request").execute(&mut *connection).await?;
    let done = match command {
        Command::Issue(booking, reply) => {
            *time = booking.now.max(*time);
            let done = rows::issue(connection, &booking, &mut own).await.and_then(|done| balanced(done, &own));
            let keep = matches!(done, Ok(IssueBooked::Booked));
            if keep {
                entries.absorb(own)?;
            }
            let overdrawn = matches!(done, Ok(IssueBooked::Frozen));
            let answer = settle(connection, done, keep).await?;
            if overdrawn {
                // The one thing that a refused issue leaves behind.
                rows::freeze_overdrawn(connection, &booking).await?;
            }
            finish(reply, answer)
        }
        Command::Cancel(session, now, reply) => {
            *time = now.max(*time);
            let done = rows::cancel_session(connection, session, now).await;
            finish(reply, settle(connection, done, true).await?)
        }
        Command::Vouchers(keys, amount, now, reply) => {
            *time = now.max(*time);
            let done = rows::create_vouchers(connection, &keys, amount).await;
            let keep = matches!(done, Ok(true));
            if keep {
                let total = super::books::worth(amount, keys.len() as u64)?;
                own.debit(Account::Sold, total)?;
                own.credit(Account::Vouchers, total)?;
                entries.absorb(own)?;
            }
            finish(reply, settle(connection, done, keep).await?)
        }
        Command::Publisher(name, reply) => {
            let insert = sqlx::query("INSERT INTO publisher (name, balance) VALUES (?1, 0) ON CONFLICT DO NOTHING").bind(name);
            let done = insert.execute(&mut *connection).await.map(drop).map_err(Failure::from);
            finish(reply, settle(connection, done, true).await?)
        }
        Command::PublisherKey(name, key, reply) => {
            let done = givebacks::set_publisher_key(connection, &name, &key).await;
            finish(reply, settle(connection, done, true).await?)
        }
        Command::Refund(payment, publisher, now, reply) => {
            *time = now.max(*time);
            let done = givebacks::refund(connection, &payment, &publisher, &mut own).await;
            let keep = matches!(done, Ok(RefundBooked { done: RefundDone::Refunded, .. }));
            if keep {
                entries.absorb(own)?;
            }
            finish(reply, settle(connection, done, keep).await?)
        }
        Command::Announce(announcement, reply) => {
            let done = rows::announce(connection, &announcement).await;
            let keep = matches!(done, Ok(true));
            finish(reply, settle(connection, done, keep).await?)
        }
        Command::Keyset(change, reply) => {
            let done = keysets::change(connection, &change, time).await;
            finish(reply, settle(connection, done, true).await?)
        }
        Command::Books(change, now, reply) => {
            *time = now.max(*time);
            let done = books::change(connection, &change, &mut own).await;
            if done.is_ok() {
                entries.absorb(own)?;
            }
            finish(reply, settle(connection, done, true).await?)
        }
        Command::Orders(change, now, reply) => {
            *time = now.max(*time);
            let done = orders::change(connection, &change, &mut own).await;
            let keep = matches!(&done, Ok(changed) if changed.stays());
            if keep {
                entries.absorb(own)?;
            }
            finish(reply, settle(connection, done, keep).await?)
        }
        // Deposits are booked together, by `deposit`.
        Command::Deposit(_, _, reply) => finish(reply, settle(connection, Err(LedgerError::Unavailable.into()), false).await?),
    };
    finishes.push(done);
    Ok(())
}

/// An issue that was booked costs what it made, or is none.
fn balanced(done: IssueBooked, own: &Entries) -> Result<IssueBooked, Failure> {
    if done == IssueBooked::Booked {
        own.check()?;
    }
    Ok(done)
}

/// Ends the savepoint: kept, or as if the request had never been. Inside: the request's own answer.
async fn settle<T>(connection: &mut SqliteConnection, done: Result<T, Failure>, keep: bool) -> Result<Result<T, LedgerError>, Failure> {
    if !keep || done.is_err() {
        sqlx::query("ROLLBACK TO request").execute(&mut *connection).await?;
    }
    sqlx::query("RELEASE request").execute(connection).await?;
    Ok(done.map_err(|failure| failure.into_error("request")))
}

/// Books all deposits of a group as one batch and deals the outcomes out again.
async fn deposit(
    connection: &mut SqliteConnection,
    deposits: Vec<(Vec<PaymentBooking>, Reply<DepositBooked>)>,
    now: u64,
    entries: &mut Entries,
    finishes: &mut Vec<Finish>,
) -> Result<(), Failure> {
    let mut batch = Vec::new();
    let mut shares = Vec::with_capacity(deposits.len());
    for (payments, reply) in deposits {
        shares.push((payments.len(), reply));
        batch.extend(payments);
    }
    let (sequence, outcomes) = rows::deposit(connection, &batch, now, entries).await?;
    let mut outcomes = outcomes.into_iter();
    for (count, reply) in shares {
        let own = outcomes.by_ref().take(count).collect();
        finishes.push(finish(reply, Ok(DepositBooked { sequence, outcomes: own })));
    }
    Ok(())
}
