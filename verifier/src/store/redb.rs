//! The embedded store: one redb file, one writing thread that commits many requests at once.
//!
//! ```text
//! requests --channel--> writer: take what waits (at most 256), apply, one durable commit, answer all
//! readers  --> snapshots, in tokio's blocking pool
//! ```
//!
//! A commit is synced to the disk before any of its answers leaves. If it fails, all its requests fail, and nobody knows whether it
//! happened: the verifier then serves nothing, and the reader's retry finds out.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{Bytes, DoubleSpendFrame, Frame, LedgerMark};
use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use tokio::sync::{mpsc, oneshot};

use super::codec::{claimed_at, decode_deposit, decode_record};
use super::redb_rows::{ANSWERS, DOCUMENTS, KEPT, LATEST_CLAIM, LEDGERS, NUMBERS, OUTBOX, OUTSTANDING, PAYMENTS, PROOFS, Tables, set_up};
use super::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned, Store,
    StoreError, Totals, UsedChallenge, may_lack, proof_key,
};

/// The most requests one commit may hold.
const GROUP: usize = 256;

/// Requests that may wait for the writer; more wait outside.
const QUEUE: usize = 4_096;

macro_rules! from_redb {
    ($($error:ty),*) => { $(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::from_redb(&error.into())
            }
        }
    )* };
}
from_redb!(redb::DatabaseError, redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

impl StoreError {
    fn from_redb(error: &redb::Error) -> Self {
        // The error's text may hold a file name; its kind may be told.
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::TableTypeMismatch { .. } => Self::Corrupt,
            _ => Self::Unavailable,
        }
    }
}

/// A durable store in one file, for one process.
///
/// # Security
/// The file is made readable by its owner only. Restoring an old copy forgets claims: in settle-first the mint still refuses what was
/// spent, in deferred mode the difference may be served twice.
pub struct RedbStore {
    database: Arc<Database>,
    writer: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

type Apply = Box<dyn for<'t> FnOnce(&mut Tables<'t>) -> Result<Answer, StoreError> + Send>;

/// What to write, and a way to tell how it went once it is durable.
struct Request {
    apply: Apply,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

enum Answer {
    Claim(Box<ClaimOutcome>),
    Fresh(bool),
    States(Vec<Option<PaymentState>>),
    Document(Vec<u8>),
    Pruned(Pruned),
    Done,
}

impl RedbStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has the file open; others if it cannot be opened or is of another layout.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|_| StoreError::Unavailable)?;
        Self::start(Database::builder().create_with_backend(FileBackend::new(file)?)?)
    }

    fn start(database: Database) -> Result<Self, StoreError> {
        let setup = database.begin_write()?;
        set_up(&setup)?;
        setup.commit()?;
        let database = Arc::new(database);
        let (writer, requests) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("farthing-store".into())
            .spawn({
                let database = Arc::clone(&database);
                move || write_all(&database, requests)
            })
            .map_err(|_| StoreError::Unavailable)?;
        Ok(Self { database, writer: Some(writer), thread: Some(thread) })
    }

    async fn write(&self, apply: Apply) -> Result<Answer, StoreError> {
        let (answer, result) = oneshot::channel();
        let writer = self.writer.as_ref().ok_or(StoreError::Unavailable)?;
        writer.send(Request { apply, answer }).await.map_err(|_| StoreError::Unavailable)?;
        result.await.map_err(|_| StoreError::Unavailable)?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || read(&database.begin_read()?)).await.map_err(|_| StoreError::Unavailable)?
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        // Closing the channel ends the writer after what it has begun; then the file may be opened again.
        drop(self.writer.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has answered nobody; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn write_all(database: &Database, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = requests.try_recv()
        {
            group.push(next);
        }
        let (applies, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|request| (request.apply, request.answer)).unzip();
        match commit(database, applies) {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    // Whoever asked may be gone: the write stands, and asking again finds it.
                    let _ = answer.send(Ok(result));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error));
                }
            }
        }
    }
}

/// Applies a group in one transaction: one failure fails all, because a transaction that met an error is not to be trusted.
fn commit(database: &Database, applies: Vec<Apply>) -> Result<Vec<Answer>, StoreError> {
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction)?;
    let results = applies.into_iter().map(|apply| apply(&mut tables)).collect::<Result<Vec<_>, _>>()?;
    tables.finish()?;
    transaction.commit()?;
    Ok(results)
}

impl Store for RedbStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        match self.write(Box::new(move |tables| Ok(Answer::Claim(Box::new(tables.claim(claim)?))))).await? {
            Answer::Claim(outcome) => Ok(*outcome),
            _ => Err(StoreError::Unavailable),
        }
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        // Asked about every payment, and one leaf deep in the cache: handing it to another thread costs more than looking.
        let payments = self.database.begin_read()?.open_table(PAYMENTS)?;
        payments.get(payment.0)?.map(|bytes| decode_record(bytes.value())).transpose()
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        let apply: Apply =
            Box::new(move |tables| Ok(Answer::Fresh(tables.challenges.insert((challenge.expires, challenge.id), ())?.is_none())));
        match self.write(apply).await? {
            Answer::Fresh(fresh) => Ok(fresh),
            _ => Err(StoreError::Unavailable),
        }
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        match self.write(Box::new(move |tables| tables.decide(decisions, mark, answer.as_deref()).map(Answer::States))).await? {
            Answer::States(states) => Ok(states),
            _ => Err(StoreError::Unavailable),
        }
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.read(move |transaction| {
            let outbox = transaction.open_table(OUTBOX)?;
            let range = outbox.range::<[u8; 32]>((after.map_or(Unbounded, |id| Excluded(id.0)), Unbounded))?;
            let mut entries = Vec::new();
            for row in range.take(limit) {
                let (id, bytes) = row?;
                entries.push(OutboxEntry { payment: PaymentId(id.value()), deposit: decode_deposit(bytes.value())? });
            }
            Ok(entries)
        })
        .await
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.read(move |transaction| {
            let kept = transaction.open_table(KEPT)?;
            let mut deposits = Vec::new();
            for row in kept.range::<[u8; 32]>((after.map_or(Unbounded, |id| Excluded(id.0)), Unbounded))? {
                if deposits.len() == limit {
                    break;
                }
                let (id, row) = row?;
                let (ledger, sequence, bytes) = row.value();
                let mark = (sequence > 0).then_some(LedgerMark { ledger: Bytes(ledger), sequence });
                if may_lack(since.as_ref(), mark.as_ref()) {
                    deposits.push(KeptDeposit { payment: PaymentId(id.value()), deposit: decode_deposit(bytes)?, mark });
                }
            }
            Ok(deposits)
        })
        .await
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        self.read(move |transaction| {
            let deposit = transaction.open_table(KEPT)?.get(payment.0)?.map(|row| decode_deposit(row.value().2)).transpose()?;
            let record = transaction.open_table(PAYMENTS)?.get(payment.0)?.map(|bytes| decode_record(bytes.value())).transpose()?;
            let (Some(deposit), Some(record)) = (deposit, record) else { return Ok(None) };
            let answer = match record.answer {
                Some(name) => Some(transaction.open_table(ANSWERS)?.get(name)?.ok_or(StoreError::Corrupt)?.value().1.to_vec()),
                None => None,
            };
            Ok(Some(KeptAnswer { deposit, answer }))
        })
        .await
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        self.read(|transaction| {
            let ledgers = transaction.open_table(LEDGERS)?;
            let mut newest: Option<(u64, LedgerMark)> = None;
            for row in ledgers.iter()? {
                let (ledger, value) = row?;
                let (order, sequence) = value.value();
                if newest.is_none_or(|(known, _)| order >= known) {
                    newest = Some((order, LedgerMark { ledger: Bytes(ledger.value()), sequence }));
                }
            }
            Ok(newest.map(|(_, mark)| mark))
        })
        .await
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        self.read(|transaction| {
            let (outbox, payments) = (transaction.open_table(OUTBOX)?, transaction.open_table(PAYMENTS)?);
            let mut oldest = None;
            for row in outbox.iter()? {
                let record = payments.get(row?.0.value())?.ok_or(StoreError::Corrupt)?;
                let claimed_at = claimed_at(record.value())?;
                oldest = Some(oldest.map_or(claimed_at, |oldest: u64| oldest.min(claimed_at)));
            }
            Ok(oldest)
        })
        .await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.read(|transaction| {
            let numbers = transaction.open_table(NUMBERS)?;
            let number = |name| Ok::<_, StoreError>(numbers.get(name)?.map_or(0, |value| value.value()));
            Ok(Totals {
                outstanding: Amount::from_units(number(OUTSTANDING)?),
                undecided: transaction.open_table(OUTBOX)?.len()?,
                latest_claim: number(LATEST_CLAIM)?,
            })
        })
        .await
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |transaction| Ok(transaction.open_table(DOCUMENTS)?.get(document.name())?.map(|bytes| bytes.value().to_vec()))).await
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        let apply: Apply = Box::new(move |tables| {
            tables.transaction().open_table(DOCUMENTS)?.insert(document.name(), bytes.as_slice())?;
            Ok(Answer::Done)
        });
        self.write(apply).await.map(|_| ())
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let apply: Apply = Box::new(move |tables| {
            let mut documents = tables.transaction().open_table(DOCUMENTS)?;
            let known = documents.get(document.name())?.map(|bytes| bytes.value().to_vec());
            if let Some(known) = known {
                return Ok(Answer::Document(known));
            }
            documents.insert(document.name(), bytes.as_slice())?;
            Ok(Answer::Document(bytes))
        });
        match self.write(apply).await? {
            Answer::Document(bytes) => Ok(bytes),
            _ => Err(StoreError::Unavailable),
        }
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        let apply: Apply = Box::new(move |tables| {
            let mut proofs = tables.transaction().open_table(PROOFS)?;
            let key = proof_key(&proof);
            if proofs.get(key)?.is_none() {
                proofs.insert(key, proof.to_bytes().as_slice())?;
            }
            Ok(Answer::Done)
        });
        self.write(apply).await.map(|_| ())
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        self.read(|transaction| {
            let proofs = transaction.open_table(PROOFS)?;
            let mut all = Vec::new();
            for row in proofs.iter()? {
                all.push(DoubleSpendFrame::from_bytes(row?.1.value()).map_err(|_| StoreError::Corrupt)?);
            }
            Ok(all)
        })
        .await
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        let apply: Apply = Box::new(move |tables| {
            tables.challenges.retain_in(..(now, [0; 32]), |_, ()| false)?;
            Ok(Answer::Done)
        });
        self.write(apply).await.map(|_| ())
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        match self.write(Box::new(move |tables| tables.prune(&prune).map(Answer::Pruned))).await? {
            Answer::Pruned(pruned) => Ok(pruned),
            _ => Err(StoreError::Unavailable),
        }
    }
}
