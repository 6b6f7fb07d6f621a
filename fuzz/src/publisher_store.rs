//! The stores a verifier has here: its own, that fail when they are told to, and can be looked into from outside.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use arbitrary::Arbitrary;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{DoubleSpendFrame, LedgerMark};
use farthing_verifier::store::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, MemoryStore, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned,
    RedbStore, Store, StoreError, Totals, UsedChallenge,
};

/// What the disk does during a step.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// All is well.
    Well,
    /// Claims are not written.
    NoClaims,
    /// Claims are written, and said to have failed.
    ClaimsUnsaid,
    /// The mint's decisions are not written.
    NoDecisions,
    /// The mint's decisions are written, and said to have failed.
    DecisionsUnsaid,
    /// Nothing is read.
    NoReads,
}

/// As a number beside those of [`Disk`]: whoever still runs belongs to a process that has died.
const DEAD: u8 = u8::MAX;

/// One of the verifier's own stores.
#[derive(Clone)]
enum Inner {
    Memory(Arc<MemoryStore>),
    Redb(Arc<RedbStore>),
}

/// A store and its switch. Clones share both.
#[derive(Clone)]
pub struct Kept {
    inner: Inner,
    disk: Arc<AtomicU8>,
    /// Calls of the verifier that have not returned.
    busy: Arc<AtomicUsize>,
}

/// Counts a call while it lasts.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Calls the store that is inside.
macro_rules! inner {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &$self.inner {
            Inner::Memory(store) => store.$method($($argument),*).await,
            Inner::Redb(store) => store.$method($($argument),*).await,
        }
    };
}

impl Kept {
    /// A store in memory, or the embedded one in this file; nothing while another has the file open.
    pub fn open(file: Option<&Path>) -> Option<Self> {
        let inner = match file {
            None => Inner::Memory(Arc::default()),
            Some(file) => Inner::Redb(Arc::new(RedbStore::open(file).ok()?)),
        };
        Some(Self { inner, disk: Arc::default(), busy: Arc::default() })
    }

    /// From now on the disk does this.
    pub fn set(&self, disk: Disk) {
        self.disk.store(disk as u8, Ordering::SeqCst);
    }

    /// Whether the verifier waits for the store.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 0
    }

    /// The same without a switch, for whoever looks in.
    pub fn well(&self) -> Self {
        Self { inner: self.inner.clone(), disk: Arc::default(), busy: Arc::default() }
    }

    /// The process has died: nothing more is read or written.
    pub fn kill(&self) {
        self.disk.store(DEAD, Ordering::SeqCst);
    }

    fn fails(&self, disk: Disk) -> bool {
        let now = self.disk.load(Ordering::SeqCst);
        now == disk as u8 || now == DEAD
    }

    /// A write that fails before it, or after it.
    async fn write<T>(
        &self,
        before: Disk,
        after: Disk,
        write: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let _busy = Busy::new(&self.busy);
        if self.fails(before) {
            return Err(StoreError::Unavailable);
        }
        let written = write.await;
        if self.fails(after) { Err(StoreError::Unavailable) } else { written }
    }

    async fn read<T>(&self, read: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        let _busy = Busy::new(&self.busy);
        if self.fails(Disk::NoReads) { Err(StoreError::Unavailable) } else { read.await }
    }
}

impl Store for Kept {
    fn is_shared(&self) -> bool {
        false
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        self.write(Disk::NoClaims, Disk::ClaimsUnsaid, async { inner!(self.claim(claim)) }).await
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        self.read(async { inner!(self.payment(payment)) }).await
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        self.write(Disk::NoClaims, Disk::ClaimsUnsaid, async { inner!(self.use_challenge(challenge)) }).await
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        self.write(Disk::NoDecisions, Disk::DecisionsUnsaid, async { inner!(self.decide(decisions, mark, answer)) }).await
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.read(async { inner!(self.outbox(after, limit)) }).await
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        self.read(async { inner!(self.kept(after, since, limit)) }).await
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        self.read(async { inner!(self.kept_answer(payment)) }).await
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        self.read(async { inner!(self.mark()) }).await
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        self.read(async { inner!(self.oldest_undecided()) }).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.read(async { inner!(self.totals()) }).await
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(async { inner!(self.load(document)) }).await
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.write(Disk::NoDecisions, Disk::DecisionsUnsaid, async { inner!(self.save(document, bytes)) }).await
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.write(Disk::NoDecisions, Disk::DecisionsUnsaid, async { inner!(self.save_first(document, bytes)) }).await
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        self.write(Disk::NoDecisions, Disk::DecisionsUnsaid, async { inner!(self.keep_proof(proof)) }).await
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        self.read(async { inner!(self.proofs()) }).await
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        self.write(Disk::NoDecisions, Disk::DecisionsUnsaid, async { inner!(self.prune_challenges(now)) }).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.write(Disk::NoDecisions, Disk::DecisionsUnsaid, async { inner!(self.prune(prune)) }).await
    }
}
