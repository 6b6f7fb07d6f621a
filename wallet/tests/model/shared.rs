//! A verifier's store that the test can look into while the verifier works with it.

use std::sync::Arc;

use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{DoubleSpendFrame, LedgerMark};
use farthing_verifier::store::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, MemoryStore, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned,
    Store, StoreError, Totals, UsedChallenge,
};

#[derive(Clone, Default)]
pub struct Shared(Arc<MemoryStore>);

impl Store for Shared {
    fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        self.0.claim(claim).await
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        self.0.payment(payment).await
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        self.0.use_challenge(challenge).await
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        self.0.decide(decisions, mark, answer).await
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.0.outbox(after, limit).await
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        self.0.kept(after, since, limit).await
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        self.0.kept_answer(payment).await
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        self.0.mark().await
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        self.0.oldest_undecided().await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.0.totals().await
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.load(document).await
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.0.save(document, bytes).await
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.0.save_first(document, bytes).await
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        self.0.keep_proof(proof).await
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        self.0.proofs().await
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        self.0.prune_challenges(now).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.0.prune(prune).await
    }
}
