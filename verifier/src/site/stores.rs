//! The store that the configuration names, as one type.

use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{DoubleSpendFrame, LedgerMark};

use super::settings::{Settings, StorePlace};
#[cfg(feature = "postgres")]
use crate::store::PostgresStore;
use crate::store::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, MemoryStore, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned,
    RedbStore, Store, StoreError, Totals, UsedChallenge,
};

/// The store that the settings name.
pub enum AnyStore {
    /// A file, for one process.
    Redb(RedbStore),
    /// Nowhere: for trying out.
    Memory(Box<MemoryStore>),
    /// A database, for any number of processes.
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

impl AnyStore {
    pub(super) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        match &settings.store {
            StorePlace::Redb => RedbStore::open(settings.data.join("claims.redb")).map(Self::Redb),
            StorePlace::Memory => Ok(Self::Memory(Box::default())),
            #[cfg(feature = "postgres")]
            StorePlace::Postgres(database) => PostgresStore::open(database).await.map(Self::Postgres),
        }
    }
}

macro_rules! of_store {
    ($self:ident, $store:ident => $request:expr) => {
        match $self {
            AnyStore::Redb($store) => $request,
            AnyStore::Memory($store) => $request,
            #[cfg(feature = "postgres")]
            AnyStore::Postgres($store) => $request,
        }
    };
}

impl Store for AnyStore {
    fn is_shared(&self) -> bool {
        of_store!(self, store => store.is_shared())
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        of_store!(self, store => store.claim(claim).await)
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        of_store!(self, store => store.payment(payment).await)
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        of_store!(self, store => store.use_challenge(challenge).await)
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        of_store!(self, store => store.decide(decisions, mark, answer).await)
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        of_store!(self, store => store.outbox(after, limit).await)
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        of_store!(self, store => store.kept(after, since, limit).await)
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        of_store!(self, store => store.kept_answer(payment).await)
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        of_store!(self, store => store.mark().await)
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        of_store!(self, store => store.oldest_undecided().await)
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        of_store!(self, store => store.totals().await)
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        of_store!(self, store => store.load(document).await)
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        of_store!(self, store => store.save(document, bytes).await)
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        of_store!(self, store => store.save_first(document, bytes).await)
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        of_store!(self, store => store.keep_proof(proof).await)
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        of_store!(self, store => store.proofs().await)
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        of_store!(self, store => store.prune_challenges(now).await)
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        of_store!(self, store => store.prune(prune).await)
    }
}
