//! The publishers' store and the mint's ledger, which fail as the desk says, and with the process that has them open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{DoubleSpendFrame, LedgerMark};
use farthing_verifier::store::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned, RedbStore,
    Store, StoreError, Totals, UsedChallenge,
};
use tokio::sync::watch;

use super::desk::{Cut, Desk, Party, Place};
use super::faulty_ledger::{Fate, Strike};

/// The store of one publisher's process.
pub struct Claims {
    pub store: Arc<RedbStore>,
    pub desk: Arc<Desk>,
    /// Whether the process is dead.
    pub dead: watch::Receiver<bool>,
}

impl Claims {
    async fn alive<T>(&self, work: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        if *self.dead.borrow() { Err(StoreError::Unavailable) } else { work.await }
    }

    async fn write<T>(&self, work: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        if *self.dead.borrow() {
            return Err(StoreError::Unavailable);
        }
        let cut = self.desk.at(Place::PublisherStore);
        let result = if matches!(cut, Some(Cut::NotStored | Cut::DiesNotStored)) { Err(StoreError::Unavailable) } else { work.await };
        if matches!(cut, Some(Cut::DiesNotStored | Cut::DiesStored)) {
            self.desk.kill(Party::Publishers);
        }
        if cut.is_some() { Err(StoreError::Unavailable) } else { result }
    }
}

impl Store for Claims {
    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        self.write(self.store.claim(claim)).await
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        self.alive(self.store.payment(payment)).await
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        self.write(self.store.use_challenge(challenge)).await
    }

    async fn kept_answer(&self, id: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        self.alive(self.store.kept_answer(id)).await
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        self.alive(self.store.oldest_undecided()).await
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        self.write(self.store.decide(decisions, mark, answer)).await
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.alive(self.store.outbox(after, limit)).await
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        self.alive(self.store.kept(after, since, limit)).await
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        self.alive(self.store.mark()).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.alive(self.store.totals()).await
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        self.alive(self.store.load(document)).await
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.write(self.store.save(document, bytes)).await
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.write(self.store.save_first(document, bytes)).await
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        self.write(self.store.keep_proof(proof)).await
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        self.alive(self.store.proofs()).await
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        self.alive(self.store.prune_challenges(now)).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.alive(self.store.prune(prune)).await
    }
}

/// What a serving mint does by itself, whenever it is time: boundaries of no flow.
const UPKEEP: [&str; 3] = ["advance_keysets", "close_books", "prune_keyset"];

/// What becomes of the changes of one mint's process.
pub struct MintFate {
    pub desk: Arc<Desk>,
    /// Whether the process is dead.
    pub dead: watch::Receiver<bool>,
    /// Whether it dies when the change is stored.
    pub dying: AtomicBool,
}

impl Fate for MintFate {
    fn strike(&self, change: &'static str) -> Strike {
        if *self.dead.borrow() {
            return Strike::NotStored;
        }
        if UPKEEP.contains(&change) {
            return Strike::Sound;
        }
        match self.desk.at(Place::Ledger) {
            None => Strike::Sound,
            Some(Cut::ButStored) => Strike::ButStored,
            Some(Cut::DiesStored) => {
                self.dying.store(true, Ordering::SeqCst);
                Strike::ButStored
            }
            Some(Cut::DiesNotStored) => {
                self.desk.kill(Party::Mint);
                Strike::NotStored
            }
            Some(_) => Strike::NotStored,
        }
    }

    fn stored(&self) {
        if self.dying.load(Ordering::SeqCst) {
            self.desk.kill(Party::Mint);
        }
    }
}
