//! The embedded store: one redb file, one writing thread that commits many requests at once.
//!
//! ```text
//! requests --channel--> writer: take what waits (at most 256), apply, one durable commit, answer all
//! readers  --> snapshots, in tokio's blocking pool
//! ```
//!
//! A claim is one row at the end of the file; what finds it again by its tokens is in memory first and reaches the file in slices
//! (`redb_recent`). A commit is synced to the disk before any of its answers leaves. If it fails, all its requests fail, and nobody knows whether it
//! happened: the verifier then serves nothing, and the reader's retry finds out.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{Bytes, DoubleSpendFrame, Frame, LedgerMark};
use redb::backends::FileBackend;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::redb_codec::{Ruling, encode_claim};
use super::redb_recent::{Changes, Index, Place};
use super::redb_rows::{
    ANSWERS, COUNTS, DOCUMENTS, EncodedClaim, Hash, LATEST_CLAIM, LEDGERS, OUTBOX, OUTSTANDING, PAYMENTS, PLACES, PROOFS, RULINGS, Tables,
    Tail, hash, row_at, ruling_at, set_up, unhash,
};
use super::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned, Store,
    StoreError, Totals, UsedChallenge, may_lack, proof_key,
};

/// The most that is claimed and not yet on its way into the indexes: tokens, payments and challenges together, about 100 bytes of memory
/// each. The more there are, the more of them share a page there.
const FRESH: usize = 65_536;

/// Rows read at a time where a read may go on for long.
const STRIDE: usize = 256;

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
    index: Arc<RwLock<Index>>,
    writer: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

type Apply = Box<dyn FnOnce(&mut Tables<'_>) -> Result<Answer, StoreError> + Send>;

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
        Self::open_with(path, FRESH)
    }

    pub(super) fn open_with(path: impl AsRef<Path>, fresh: usize) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|_| StoreError::Unavailable)?;
        Self::start(Database::builder().create_with_backend(FileBackend::new(file)?)?, fresh)
    }

    fn start(database: Database, fresh: usize) -> Result<Self, StoreError> {
        let setup = database.begin_write()?;
        let (tail, index) = set_up(&setup)?;
        setup.commit()?;
        let (database, index) = (Arc::new(database), Arc::new(RwLock::new(index)));
        let (writer, requests) = mpsc::channel(QUEUE);
        let mut writing = Writing { database: Arc::clone(&database), index: Arc::clone(&index), tail, fresh };
        let thread = std::thread::Builder::new()
            .name("farthing-store".into())
            .spawn(move || writing.write_all(requests))
            .map_err(|_| StoreError::Unavailable)?;
        Ok(Self { database, index, writer: Some(writer), thread: Some(thread) })
    }

    async fn write(&self, apply: Apply) -> Result<Answer, StoreError> {
        let (answer, result) = oneshot::channel();
        let writer = self.writer.as_ref().ok_or(StoreError::Unavailable)?;
        writer.send(Request { apply, answer }).await.map_err(|_| StoreError::Unavailable)?;
        result.await.map_err(|_| StoreError::Unavailable)?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reading) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reading = Reading { database: Arc::clone(&self.database), index: Arc::clone(&self.index) };
        tokio::task::spawn_blocking(move || read(&reading)).await.map_err(|_| StoreError::Unavailable)?
    }
}

fn shared(index: &RwLock<Index>) -> RwLockReadGuard<'_, Index> {
    // Whoever panicked while holding it has changed nothing, or is the writer, which then answers nobody any more.
    index.read().unwrap_or_else(PoisonError::into_inner)
}

/// What reads need.
struct Reading {
    database: Arc<Database>,
    index: Arc<RwLock<Index>>,
}

impl Reading {
    fn begin(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.database.begin_read()?)
    }

    /// Looks something up in memory and then in the file, which has by then whatever memory has let go.
    fn both<T>(&self, look: impl FnOnce(&Index) -> T) -> Result<(T, ReadTransaction), StoreError> {
        let found = look(&shared(&self.index));
        Ok((found, self.begin()?))
    }

    /// At most so many payments and their places after `after`, ascending: those that memory has, and those of a table.
    fn after(
        &self,
        after: Option<PaymentId>,
        limit: usize,
        look: impl FnOnce(&Index) -> BTreeMap<PaymentId, Place>,
        table: redb::TableDefinition<'_, Hash, Place>,
    ) -> Result<(Vec<(PaymentId, Place)>, Files), StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let (mut found, transaction) = self.both(look)?;
        let range = (after.map_or(Unbounded, |id| Excluded(hash(id.0))), Unbounded);
        for row in transaction.open_table(table)?.range::<Hash>(range)?.take(limit) {
            let (id, place) = row?;
            found.insert(PaymentId(unhash(id.value())), place.value());
        }
        Ok((found.into_iter().take(limit).collect(), Files::open(&transaction)?))
    }

    fn find(&self, payment: PaymentId) -> Result<Option<(Place, ReadTransaction)>, StoreError> {
        let (place, transaction) = self.both(|index| index.payment(payment))?;
        let place = match place {
            Some(place) => Some(place),
            None => transaction.open_table(PLACES)?.get(hash(payment.0))?.map(|place| place.value()),
        };
        Ok(place.map(|place| (place, transaction)))
    }
}

/// Payments and what was decided about them, at one moment.
struct Files {
    payments: ReadOnlyTable<u64, &'static [u8]>,
    rulings: ReadOnlyTable<Place, &'static [u8]>,
}

impl Files {
    fn open(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self { payments: transaction.open_table(PAYMENTS)?, rulings: transaction.open_table(RULINGS)? })
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

/// What the writer holds.
struct Writing {
    database: Arc<Database>,
    index: Arc<RwLock<Index>>,
    tail: Tail,
    fresh: usize,
}

impl Writing {
    fn write_all(&mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = requests.try_recv()
            {
                group.push(next);
            }
            let (applies, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|request| (request.apply, request.answer)).unzip();
            match self.commit(applies) {
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
    ///
    /// What the group has changed in memory is seen by others only once it is durable.
    fn commit(&mut self, applies: Vec<Apply>) -> Result<Vec<Answer>, StoreError> {
        let transaction = self.database.begin_write()?;
        let (results, tail, changes) = self.apply(&transaction, applies)?;
        transaction.commit()?;
        self.tail = tail;
        self.index.write().unwrap_or_else(PoisonError::into_inner).publish(changes, self.fresh);
        Ok(results)
    }

    fn apply(&self, transaction: &WriteTransaction, applies: Vec<Apply>) -> Result<(Vec<Answer>, Tail, Changes), StoreError> {
        let index = shared(&self.index);
        let mut tables = Tables::open(transaction, &index, self.tail.clone())?;
        let results = applies.into_iter().map(|apply| apply(&mut tables)).collect::<Result<Vec<_>, _>>()?;
        let (tail, changes) = tables.finish()?;
        Ok((results, tail, changes))
    }
}

/// The newest mark of every ledger, by the order in which they were seen.
fn ledgers(transaction: &ReadTransaction) -> Result<BTreeMap<u64, LedgerMark>, StoreError> {
    let mut marks = BTreeMap::new();
    for row in transaction.open_table(LEDGERS)?.iter()? {
        let (ledger, value) = row?;
        let (order, sequence) = value.value();
        marks.insert(order, LedgerMark { ledger: Bytes(ledger.value()), sequence });
    }
    Ok(marks)
}

impl Store for RedbStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        let (payment, challenge, limits, list) = (claim.payment, claim.challenge, claim.limits, claim.list.clone());
        let record = &claim.record;
        let (accepted, amount, window, claimed_at) =
            (record.state == PaymentState::Accepted, record.amount, record.window, record.claimed_at);
        let row = encode_claim(claim);
        let claim = EncodedClaim { payment, list, challenge, accepted, amount, window, claimed_at, limits, row };
        match self.write(Box::new(move |tables| Ok(Answer::Claim(Box::new(tables.claim(claim)?))))).await? {
            Answer::Claim(outcome) => Ok(*outcome),
            _ => Err(StoreError::Unavailable),
        }
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        // Asked about every payment, and one leaf deep in the cache: handing it to another thread costs more than looking.
        let reading = Reading { database: Arc::clone(&self.database), index: Arc::clone(&self.index) };
        let Some((place, transaction)) = reading.find(payment)? else { return Ok(None) };
        let Files { payments, rulings } = Files::open(&transaction)?;
        let ruling = ruling_at(&rulings, place)?;
        let answer = match &ruling {
            Some(Ruling { answer: number @ 1.., .. }) => {
                Some(transaction.open_table(ANSWERS)?.get(number)?.ok_or(StoreError::Corrupt)?.value().1)
            }
            _ => None,
        };
        row_at(&payments, place, |row| {
            let state = ruling.map_or_else(|| row.claimed_as(), |ruling| ruling.state);
            row.record(state, answer)
        })
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        match self.write(Box::new(move |tables| tables.use_challenge(challenge).map(Answer::Fresh))).await? {
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
        self.read(move |reading| {
            let (page, files) = reading.after(after, limit, |index| index.open_after(after, limit), OUTBOX)?;
            let entry = |(payment, place)| {
                let deposit = row_at(&files.payments, place, |row| row.deposit())?.ok_or(StoreError::Corrupt)?;
                Ok(OutboxEntry { payment, deposit })
            };
            page.into_iter().map(entry).collect()
        })
        .await
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        self.read(move |reading| {
            let (mut deposits, mut after) = (Vec::new(), after);
            let ledgers = ledgers(&reading.begin()?)?;
            while deposits.len() < limit {
                let (stride, files) = reading.after(after, STRIDE, |index| index.payments_after(after, STRIDE), PLACES)?;
                let Some((last, _)) = stride.last() else { break };
                after = Some(*last);
                for (payment, place) in stride {
                    let Some(Ruling { state: PaymentState::Settled, mark: (order, sequence), .. }) = ruling_at(&files.rulings, place)?
                    else {
                        continue;
                    };
                    let ledger = ledgers.get(&order).map(|mark| mark.ledger);
                    let mark = ledger.filter(|_| sequence > 0).map(|ledger| LedgerMark { ledger, sequence });
                    if deposits.len() < limit
                        && may_lack(since.as_ref(), mark.as_ref())
                        && let Some(deposit) = row_at(&files.payments, place, |row| row.deposit())?
                    {
                        deposits.push(KeptDeposit { payment, deposit, mark });
                    }
                }
            }
            Ok(deposits)
        })
        .await
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        self.read(move |reading| {
            let Some((place, transaction)) = reading.find(payment)? else { return Ok(None) };
            let files = Files::open(&transaction)?;
            let Some(Ruling { state: PaymentState::Settled, answer, .. }) = ruling_at(&files.rulings, place)? else { return Ok(None) };
            let Some(deposit) = row_at(&files.payments, place, |row| row.deposit())? else { return Ok(None) };
            let answer = match answer {
                0 => None,
                number => Some(transaction.open_table(ANSWERS)?.get(number)?.ok_or(StoreError::Corrupt)?.value().2.to_vec()),
            };
            Ok(Some(KeptAnswer { deposit, answer }))
        })
        .await
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        self.read(|reading| Ok(ledgers(&reading.begin()?)?.pop_last().map(|(_, mark)| mark))).await
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        self.read(|reading| {
            let (mut after, mut oldest) = (None, None);
            loop {
                let (stride, files) = reading.after(after, STRIDE, |index| index.open_after(after, STRIDE), OUTBOX)?;
                let Some((last, _)) = stride.last() else { return Ok(oldest) };
                after = Some(*last);
                for (_, place) in stride {
                    let Some(claimed_at) = row_at(&files.payments, place, |row| Ok(row.claimed_at))? else { continue };
                    oldest = Some(oldest.map_or(claimed_at, |oldest: u64| oldest.min(claimed_at)));
                }
            }
        })
        .await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.read(|reading| {
            let (open, transaction) = reading.both(|index| index.parts().map(|recent| recent.open.len() as u64).sum::<u64>())?;
            let counts = transaction.open_table(COUNTS)?;
            let count = |key| Ok::<_, StoreError>(counts.get(key)?.map_or(0, |value| value.value()));
            Ok(Totals {
                outstanding: Amount::from_units(count(OUTSTANDING)?),
                undecided: open + transaction.open_table(OUTBOX)?.len()?,
                latest_claim: count(LATEST_CLAIM)?,
            })
        })
        .await
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |reading| Ok(reading.begin()?.open_table(DOCUMENTS)?.get(document.name())?.map(|bytes| bytes.value().to_vec())))
            .await
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
        self.read(|reading| {
            let proofs = reading.begin()?.open_table(PROOFS)?;
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
            tables.prune_challenges(now)?;
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

#[cfg(test)]
mod tests {
    use farthing_protocol::proof::{KeysetId, SpentKey};

    use super::super::{RiskLimits, conformance};
    use super::*;

    /// However soon claims leave memory for the file's indexes, a group at a time or a slice of them.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_in_the_indexes_counts_like_what_is_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        for fresh in [0, 3, 40] {
            let mut count = 0;
            conformance::run(async || {
                count += 1;
                RedbStore::open_with(directory.path().join(format!("{fresh}-{count}.redb")), fresh).unwrap()
            })
            .await;
            let file = directory.path().join(format!("{fresh}-durable.redb"));
            conformance::run_durable(async || RedbStore::open_with(&file, fresh).unwrap()).await;
        }
    }

    #[tokio::test]
    async fn what_is_undecided_is_listed_once_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.redb");
        let limits = RiskLimits { outstanding: Amount::from_units(u64::MAX), per_window: Amount::from_units(u64::MAX) };
        let made = |number: u8| {
            let token = SpentKey { keyset: KeysetId([7; 32]), denomination: Amount::from_units(1), key: [number; 32] };
            conformance::accepted_payment(number.into(), token, Amount::from_units(1), 1_000, 0, limits)
        };
        for (which, fresh) in [20, 0, 1_000, 40].into_iter().enumerate() {
            let store = RedbStore::open_with(&file, fresh).unwrap();
            let first = u8::try_from(which).unwrap() * 50;
            for number in first..first + 50 {
                assert_eq!(store.claim(made(number)).await, Ok(ClaimOutcome::Claimed));
            }
            // Every tenth is decided, some of them while they are on their way into the indexes.
            for number in (0..first + 50).filter(|number| number % 10 == 3) {
                let decision = Decision { payment: made(number).payment, state: PaymentState::Settled };
                store.decide(vec![decision], None, None).await.unwrap();
            }
            let listed = store.outbox(None, 1_000).await.unwrap();
            assert!(listed.is_sorted_by(|one, next| one.payment < next.payment), "each once, ascending");
            assert_eq!(listed.len(), usize::from(first + 50) / 10 * 9);
            let totals = store.totals().await.unwrap();
            assert_eq!((totals.undecided, totals.outstanding.units()), (listed.len() as u64, listed.len() as u64));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn however_much_is_claimed_little_stays_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        for (number, tokens, most) in [(0, 1, 0), (1, 3, 10), (2, 20, 60)] {
            let store = Arc::new(RedbStore::open_with(directory.path().join(format!("{number}.redb")), most).unwrap());
            conformance::fill(&store, 0..200, tokens, 1).await;
            // What a slice leaves goes with the writes that follow.
            for _ in 0..200 {
                store.prune_challenges(0).await.unwrap();
            }
            let held: usize = shared(&store.index).parts().map(super::super::redb_recent::Recent::len).sum();
            assert!(held <= most, "{held} of at most {most}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_forgotten_between_memory_and_indexes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.redb");
        let mut made = 0;
        for fresh in [30, 300, 0, 100_000, 150] {
            let store = Arc::new(RedbStore::open_with(&file, fresh).unwrap());
            conformance::fill(&store, made..made + 70, 3, 2).await;
            made += 70;
            assert_eq!(store.kept(None, None, 10_000).await.unwrap().len() as u64, made, "all payments are found by their ids");
        }
        let store = RedbStore::open_with(&file, 40).unwrap();
        conformance::filled(&store, 0..made, 3).await;
    }
}
