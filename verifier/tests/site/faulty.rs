//! A store that fails on command: before the write, or after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{DoubleSpendFrame, LedgerMark};
use farthing_verifier::store::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned, Store,
    StoreError, Totals, UsedChallenge,
};

/// When a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Failing {
    Not,
    /// Nothing is written, and an error is returned.
    NotStored,
    /// All is written, and an error is returned.
    ButStored,
    /// All is written, and whoever asked panics.
    Panics,
}

/// The switch of a [`Faulty`] store: for claims, decisions, and reads.
#[derive(Clone, Default)]
pub struct Switch(Arc<[AtomicU8; 3]>);

impl Switch {
    pub fn claims(&self, failing: Failing) {
        self.0[0].store(failing as u8, Ordering::SeqCst);
    }

    pub fn decisions(&self, failing: Failing) {
        self.0[1].store(failing as u8, Ordering::SeqCst);
    }

    pub fn reads(&self, failing: Failing) {
        self.0[2].store(failing as u8, Ordering::SeqCst);
    }

    fn fails(&self, which: usize, how: Failing) -> bool {
        self.0[which].load(Ordering::SeqCst) == how as u8
    }
}

pub struct Faulty<S> {
    pub store: S,
    pub switch: Switch,
}

impl<S: Store> Faulty<S> {
    async fn write<T>(&self, which: usize, write: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        if self.switch.fails(which, Failing::NotStored) {
            return Err(StoreError::Unavailable);
        }
        let result = write.await;
        assert!(!self.switch.fails(which, Failing::Panics), "the store panics, as the test wants it to");
        if self.switch.fails(which, Failing::ButStored) { Err(StoreError::Unavailable) } else { result }
    }
}

impl<S: Store> Store for Faulty<S> {
    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        self.write(0, self.store.claim(claim)).await
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        self.write(2, self.store.payment(payment)).await
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        self.write(0, self.store.use_challenge(challenge)).await
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        self.write(1, self.store.decide(decisions, mark, answer)).await
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.write(2, self.store.outbox(after, limit)).await
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        self.write(2, self.store.kept(after, since, limit)).await
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        self.write(2, self.store.kept_answer(payment)).await
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        self.store.mark().await
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        self.store.oldest_undecided().await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.store.totals().await
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.load(document).await
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.store.save(document, bytes).await
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.store.save_first(document, bytes).await
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        self.store.keep_proof(proof).await
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        self.store.proofs().await
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        self.store.prune_challenges(now).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.store.prune(prune).await
    }
}
