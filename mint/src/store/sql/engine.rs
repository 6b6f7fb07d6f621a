//! The ledger over an engine: one writer a process that commits many requests at once, and connections for reading.
//!
//! All changes go through one task that owns the only writing connection of the process. It takes what is waiting, opens one
//! transaction, runs each request inside a savepoint of its own (deposits together, resolved payment by payment), commits, and only then
//! answers. Other processes on the same ledger wait their turn: the transaction begins with the engine's one lock for writers.

use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot};

use super::rows::{self, Failure};
use super::{
    Connection, Database, MOMENT, PATIENCE, Place, again, begin, books, closes, deposits, discard, givebacks, journal, keysets, lost,
    orders, resync,
};
use crate::store::books::{Account, Entries};
use crate::store::closes::Close;
use crate::store::{
    Announcement, Answer, Debit, DepositBooked, FundingState, Instances, IssueBooked, IssueBooking, Ledger, LedgerError, PaymentBooking,
    Position, RecordedRow, RefundBooked, RefundDone, SessionId, SessionRow, Sheet,
};

/// How many requests may wait for the writer before callers wait themselves.
const QUEUE: usize = 1_024;

/// How many requests one transaction takes.
const GROUP: usize = 256;

/// How often a transaction is tried that the engine has undone by itself.
const TRIES: u32 = 5;

/// Between two tries, times the number of the try.
const PAUSE: Duration = Duration::from_millis(20);

/// What the writer is asked to do.
pub(super) enum Work {
    Issue(Box<IssueBooking>),
    Cancel(SessionId, u64),
    Deposit(Vec<PaymentBooking>, u64),
    Vouchers(Vec<[u8; 32]>, Amount, u64),
    Publisher(String),
    PublisherKey(String, [u8; 32]),
    Refund(PaymentId, String, u64),
    Announce(Box<Announcement>),
    Keyset(keysets::Change),
    Books(books::Change, u64),
    Orders(orders::Change, u64),
    Close(Box<Close>, u64),
    Resync(resync::Change, u64),
    Probe,
}

/// What became of it.
pub(super) enum Done {
    Issue(IssueBooked),
    Cancel(SessionRow),
    Deposit(DepositBooked),
    Made(bool),
    Refund(RefundBooked),
    Keyset(keysets::Changed),
    Books(books::Changed),
    Orders(orders::Changed),
}

type Verdict = Result<Done, LedgerError>;

/// A request and who waits for it.
struct Job {
    work: Work,
    reply: oneshot::Sender<Verdict>,
}

/// A ledger. Dropping it closes its connections once waiting requests are done.
pub struct Engine {
    jobs: mpsc::Sender<Job>,
    readers: sqlx::Pool<Database>,
    writer: tokio::task::JoinHandle<()>,
}

impl Engine {
    /// Starts the writer on the current runtime.
    pub(super) fn start(place: Place, connection: Connection, readers: sqlx::Pool<Database>) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(Writer { place, connection: Some(connection), queue, committing: false }.run());
        Self { jobs, readers, writer }
    }

    /// Waits until everything is closed.
    pub async fn close(self) {
        let Self { jobs, readers, writer } = self;
        drop(jobs);
        readers.close().await;
        // A writer that panicked has nothing open any more.
        drop(writer.await);
    }

    pub(super) async fn ask(&self, work: Work) -> Verdict {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { work, reply }).await.map_err(|_| LedgerError::Unavailable)?;
        // A writer that died after the commit leaves the caller without knowledge, which is what Unavailable says.
        answer.await.unwrap_or(Err(LedgerError::Unavailable))
    }

    pub(super) async fn made(&self, work: Work) -> Result<bool, LedgerError> {
        match self.ask(work).await? {
            Done::Made(made) => Ok(made),
            _ => Err(LedgerError::Unavailable),
        }
    }

    pub(super) async fn reader(&self) -> Result<PoolConnection<Database>, Failure> {
        Ok(self.readers.acquire().await?)
    }
}

/// Work that the engine may not draw out for ever.
async fn patiently<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match PATIENCE {
        Some(patience) => tokio::time::timeout(patience, work).await.unwrap_or(Err(Failure::Engine(sqlx::Error::PoolTimedOut))),
        None => work.await,
    }
}

pub(super) fn read<'a, T, F>(what: &'static str, work: F) -> Answer<'a, T>
where
    F: Future<Output = Result<T, Failure>> + Send + 'a,
    T: Send + 'a,
{
    Box::pin(async move { patiently(work).await.map_err(|failure| failure.into_error(what)) })
}

impl Ledger for Engine {
    fn issue(&self, booking: IssueBooking) -> Answer<'_, IssueBooked> {
        Box::pin(async move {
            match self.ask(Work::Issue(Box::new(booking))).await? {
                Done::Issue(booked) => Ok(booked),
                _ => Err(LedgerError::Unavailable),
            }
        })
    }

    fn cancel_session(&self, session: SessionId, now: u64) -> Answer<'_, SessionRow> {
        Box::pin(async move {
            match self.ask(Work::Cancel(session, now)).await? {
                Done::Cancel(row) => Ok(row),
                _ => Err(LedgerError::Unavailable),
            }
        })
    }

    fn session(&self, session: SessionId) -> Answer<'_, Option<SessionRow>> {
        read("session", async move { rows::session(&mut *self.reader().await?, session).await })
    }

    fn funding(&self, debit: Debit, amount: Amount) -> Answer<'_, FundingState> {
        read("funding", async move { rows::funding(&mut *self.reader().await?, &debit, amount).await })
    }

    fn deposit(&self, payments: Vec<PaymentBooking>, now: u64) -> Answer<'_, DepositBooked> {
        Box::pin(async move {
            match self.ask(Work::Deposit(payments, now)).await? {
                Done::Deposit(booked) => Ok(booked),
                _ => Err(LedgerError::Unavailable),
            }
        })
    }

    fn refund(&self, payment: PaymentId, publisher: String, now: u64) -> Answer<'_, RefundBooked> {
        Box::pin(async move {
            match self.ask(Work::Refund(payment, publisher, now)).await? {
                Done::Refund(booked) => Ok(booked),
                _ => Err(LedgerError::Unavailable),
            }
        })
    }

    fn recorded(&self, keyset: u32, bucket: u64) -> Answer<'_, Vec<RecordedRow>> {
        read("recorded", async move { givebacks::recorded(&mut *self.reader().await?, keyset, bucket).await })
    }

    fn create_vouchers(&self, keys: Vec<[u8; 32]>, amount: Amount, now: u64) -> Answer<'_, bool> {
        Box::pin(self.made(Work::Vouchers(keys, amount, now)))
    }

    fn voucher_balance(&self, key: [u8; 32]) -> Answer<'_, Option<Amount>> {
        read("voucher", async move { rows::voucher_balance(&mut *self.reader().await?, key).await })
    }

    fn add_publisher(&self, name: String) -> Answer<'_, ()> {
        Box::pin(async move { self.made(Work::Publisher(name)).await.map(drop) })
    }

    fn set_publisher_key(&self, name: String, key: [u8; 32]) -> Answer<'_, bool> {
        Box::pin(self.made(Work::PublisherKey(name, key)))
    }

    fn publisher_key(&self, name: String) -> Answer<'_, Option<[u8; 32]>> {
        read("publisher key", async move { givebacks::publisher_key(&mut *self.reader().await?, &name).await })
    }

    fn publisher_balance(&self, name: String) -> Answer<'_, Option<Amount>> {
        read("publisher", async move {
            let row =
                sqlx::query("SELECT balance FROM publisher WHERE name = $1").bind(name).fetch_optional(&mut *self.reader().await?).await?;
            row.map(|row| rows::amount(&row, "balance")).transpose()
        })
    }

    fn announce(&self, announcement: Announcement) -> Answer<'_, bool> {
        Box::pin(self.made(Work::Announce(Box::new(announcement))))
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
            let mut moment = connection.begin_with(MOMENT).await?;
            let sheet = journal::sheet(&mut moment).await?;
            moment.rollback().await?;
            Ok(sheet)
        })
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.made(Work::Probe).await.map(drop) })
    }

    fn position(&self) -> Answer<'_, Position> {
        read("position", async move { rows::position(&mut *self.reader().await?).await })
    }

    fn instances(&self) -> Option<&dyn Instances> {
        super::instances(self)
    }
}

/// The only task of the process that writes.
struct Writer {
    place: Place,
    connection: Option<Connection>,
    queue: mpsc::Receiver<Job>,
    /// Whether the end of the transaction is up to the engine.
    committing: bool,
}

impl Writer {
    async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.queue.recv_many(&mut group, GROUP).await > 0 {
            match self.book(&group).await {
                Ok(verdicts) => {
                    for (job, verdict) in group.drain(..).zip(verdicts) {
                        // A caller that went away is no failure: it will ask again.
                        drop(job.reply.send(verdict));
                    }
                }
                Err(error) => group.drain(..).for_each(|job| drop(job.reply.send(Err(error)))),
            }
        }
        if let Some(connection) = self.connection.take() {
            drop(connection.close().await);
        }
        self.place.close().await;
    }

    /// Runs a group in one transaction, again if the engine has certainly undone it and may well not the next time.
    async fn book(&mut self, group: &[Job]) -> Result<Vec<Verdict>, LedgerError> {
        let mut tries = 1;
        loop {
            let failure = match patiently(self.try_to_book(group)).await {
                Ok(verdicts) => return Ok(verdicts),
                Err(failure) => failure,
            };
            if let Some(connection) = self.connection.take() {
                // Whatever state it is in, a fresh connection has rolled back.
                discard(connection).await;
            }
            if tries == TRIES || !again(&failure, self.committing) {
                return Err(failure.into_error("write"));
            }
            tokio::time::sleep(PAUSE * tries).await;
            tries += 1;
        }
    }

    async fn try_to_book(&mut self, group: &[Job]) -> Result<Vec<Verdict>, Failure> {
        self.committing = false;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.place.connect().await?),
        };
        begin(connection).await?;
        let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(group.len());
        let mut deposits = Vec::new();
        let mut time = 0;
        let mut entries = Entries::default();
        for job in group {
            verdicts.push(match &job.work {
                Work::Deposit(payments, now) => {
                    time = time.max(*now);
                    deposits.push((verdicts.len(), payments));
                    None
                }
                other => Some(run(connection, other, &mut time, &mut entries).await?),
            });
        }
        if !deposits.is_empty() {
            // All deposits of a group are one batch, whose outcomes are dealt out again.
            let batch: Vec<&PaymentBooking> = deposits.iter().flat_map(|(_, payments)| *payments).collect();
            let (sequence, outcomes) = deposits::deposit(connection, &batch, time, &mut entries).await?;
            let mut outcomes = outcomes.into_iter();
            for (place, payments) in deposits {
                let own = outcomes.by_ref().take(payments.len()).collect();
                if let Some(verdict) = verdicts.get_mut(place) {
                    *verdict = Some(Ok(Done::Deposit(DepositBooked { sequence, outcomes: own })));
                }
            }
        }
        sqlx::query("UPDATE mint SET time = $1 WHERE id = 1 AND time < $1").bind(rows::integer(time)?).execute(&mut *connection).await?;
        journal::write(connection, &entries).await?;
        self.committing = true;
        sqlx::query("COMMIT").execute(connection).await?;
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or(Err(LedgerError::Unavailable))).collect())
    }
}

/// Runs one request in a savepoint.
///
/// An error means that the whole transaction is lost: some failures make the engine roll back everything by itself, and what ran before
/// in this group must then not be answered as if it stood.
async fn run(connection: &mut Connection, work: &Work, time: &mut u64, entries: &mut Entries) -> Result<Verdict, Failure> {
    // What this request moves; it counts once the request is kept.
    let mut own = Entries::default();
    sqlx::query("SAVEPOINT request").execute(&mut *connection).await?;
    match work {
        Work::Issue(booking) => {
            *time = booking.now.max(*time);
            let mut overdrawn = None;
            let done = rows::issue(connection, booking, &mut own, &mut overdrawn).await.and_then(|done| balanced(done, &own));
            let keep = matches!(done, Ok(IssueBooked::Booked));
            if keep {
                entries.absorb(own)?;
            }
            let verdict = settle(connection, done.map(Done::Issue), keep).await?;
            match overdrawn.filter(|_| verdict.is_ok()) {
                // The one thing that a refused issue may leave behind.
                Some(kind) => Ok(Ok(Done::Issue(rows::freeze_overdrawn(connection, kind).await?))),
                None => Ok(verdict),
            }
        }
        Work::Cancel(session, now) => {
            *time = (*now).max(*time);
            let done = rows::cancel_session(connection, *session, *now).await;
            settle(connection, done.map(Done::Cancel), true).await
        }
        Work::Vouchers(keys, amount, now) => {
            *time = (*now).max(*time);
            let done = rows::create_vouchers(connection, keys, *amount).await;
            let keep = matches!(done, Ok(true));
            if keep {
                let total = crate::store::books::worth(*amount, keys.len() as u64)?;
                own.debit(Account::Sold, total)?;
                own.credit(Account::Vouchers, total)?;
                entries.absorb(own)?;
            }
            settle(connection, done.map(Done::Made), keep).await
        }
        Work::Publisher(name) => {
            let insert = sqlx::query("INSERT INTO publisher (name, balance) VALUES ($1, 0) ON CONFLICT DO NOTHING").bind(name);
            let done = insert.execute(&mut *connection).await.map(|_| Done::Made(true)).map_err(Failure::from);
            settle(connection, done, true).await
        }
        Work::PublisherKey(name, key) => {
            let done = givebacks::set_publisher_key(connection, name, key).await;
            settle(connection, done.map(Done::Made), true).await
        }
        Work::Refund(payment, publisher, now) => {
            *time = (*now).max(*time);
            let done = givebacks::refund(connection, payment, publisher, &mut own).await;
            let keep = matches!(done, Ok(RefundBooked { done: RefundDone::Refunded, .. }));
            if keep {
                entries.absorb(own)?;
            }
            settle(connection, done.map(Done::Refund), keep).await
        }
        Work::Announce(announcement) => {
            let done = rows::announce(connection, announcement).await;
            let keep = matches!(done, Ok(true));
            settle(connection, done.map(Done::Made), keep).await
        }
        Work::Keyset(change) => {
            let done = keysets::change(connection, change, time).await;
            settle(connection, done.map(Done::Keyset), true).await
        }
        Work::Books(change, now) => {
            *time = (*now).max(*time);
            let done = books::change(connection, change, &mut own).await;
            if done.is_ok() {
                entries.absorb(own)?;
            }
            settle(connection, done.map(Done::Books), true).await
        }
        Work::Orders(change, now) => {
            *time = (*now).max(*time);
            let done = orders::change(connection, change, &mut own).await;
            let keep = matches!(&done, Ok(changed) if changed.stays());
            if keep {
                entries.absorb(own)?;
            }
            settle(connection, done.map(Done::Orders), keep).await
        }
        Work::Close(close, now) => {
            *time = (*now).max(*time);
            let done = closes::store(connection, close).await;
            let keep = matches!(done, Ok(true));
            settle(connection, done.map(Done::Made), keep).await
        }
        Work::Resync(change, now) => {
            *time = (*now).max(*time);
            let done = resync::change(connection, change, *now).await;
            settle(connection, done.map(Done::Made), true).await
        }
        Work::Probe => {
            let written = rows::probe(connection).await;
            settle(connection, written.map(|()| Done::Made(true)), true).await
        }
        // Deposits are booked together.
        Work::Deposit(..) => settle(connection, Err(LedgerError::Unavailable.into()), false).await,
    }
}

/// An issue that was booked costs what it made, or is none.
fn balanced(done: IssueBooked, own: &Entries) -> Result<IssueBooked, Failure> {
    if done == IssueBooked::Booked {
        own.check()?;
    }
    Ok(done)
}

/// Ends the savepoint: kept, or as if the request had never been. Inside: the request's own answer.
async fn settle(connection: &mut Connection, done: Result<Done, Failure>, keep: bool) -> Result<Verdict, Failure> {
    let done = match done {
        Err(failure) if lost(&failure) => return Err(failure),
        other => other,
    };
    if !keep || done.is_err() {
        sqlx::query("ROLLBACK TO SAVEPOINT request").execute(&mut *connection).await?;
    }
    sqlx::query("RELEASE SAVEPOINT request").execute(connection).await?;
    Ok(done.map_err(|failure| failure.into_error("request")))
}
