//! What a verifier must remember, as a contract that any database can fulfil.
//!
//! ```text
//! spent key   -> payment id            one row a token, unique for good
//! challenge   -> used                  one row a challenge, until it has expired
//! payment id  -> record                state, S, L, T, u, resource, amount, change, times
//! outbox      -> deposit               what the mint has not decided yet
//! kept        -> deposit, mark         what the mint has booked, for a mint that is restored from a backup
//! mark, documents, double-spend proofs, amounts at risk
//! ```
//!
//! Three rules carry everything: [`Store::claim`] is one atomic insert; nothing is answered before it is durable; and a store that
//! cannot decide says so with an error, upon which nothing is served. A publisher's own store is tried with
//! [`conformance`](conformance::run).
//!
//! | store | for |
//! |---|---|
//! | [`MemoryStore`] | tests |
//! | [`RedbStore`] | one process: a file |
//! | `PostgresStore` (feature `postgres`) | any number of processes: one spent set |
//!
//! # Security
//! Records say which token paid for which article. They hold nothing that identifies a reader, but a copy of the store together with
//! access logs does link visits: treat it as confidential, and log nothing from it.

mod codec;
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_codec;
#[cfg(feature = "postgres")]
mod postgres_rows;
mod redb;
mod redb_codec;
mod redb_indexes;
mod redb_recent;
mod redb_rows;

use std::future::Future;

use farthing_protocol::amount::Amount;
use farthing_protocol::error::EvidenceError;
use farthing_protocol::evidence::SpendingSide;
use farthing_protocol::proof::{KeysetId, PaymentId, SpentKey};
use farthing_protocol::settle::Refusal;
use farthing_protocol::wire::{DepositBody, DoubleSpendFrame, LedgerMark, SpentKeyBody};
use thiserror::Error;

pub use self::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
pub use self::redb::RedbStore;

/// Why a store did not do what it was asked. It holds no detail: details of a database may hold names of files and hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store does not answer, or failed while writing: it is not known whether the write happened.
    #[error("the store is unavailable")]
    Unavailable,
    /// What was read is not what was written.
    #[error("the store holds something unreadable")]
    Corrupt,
    /// The file was written by another version of this program.
    #[error(
        "another version of the verifier has written the store: let its outbox run empty with that version, then begin with a new file"
    )]
    OtherLayout,
    /// Another process has the store open, and it serves one at a time.
    #[error("another process uses the store: stop it, or give all instances a store that they can share")]
    InUse,
    /// The database may lose what it has confirmed.
    #[error("the database does not wait for its disk: set synchronous_commit and fsync to on")]
    NotDurable,
}

/// A challenge's place in the list of used ones: its expiry first, so that expired ones can be dropped together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsedChallenge {
    /// When the challenge expires, Unix time in seconds.
    pub expires: u64,
    /// The challenge's id: the 32 bytes of its HMAC.
    pub id: [u8; 32],
}

/// Where a payment stands. No arrow leads back.
///
/// ```text
/// Pending  --> Settled | Refused | Refunded        settle-first: not served until settled
/// Accepted --> Settled | Refused | Refunded        deferred: served already
/// Settled  --> Refunded                            given back: not served any more
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// Claimed here; the mint has not decided.
    Pending,
    /// Claimed here and served at the publisher's own risk; the mint has not decided.
    Accepted,
    /// Booked by the mint.
    Settled,
    /// Booked by the mint once, and given back to its reader.
    Refunded,
    /// Refused by the mint, for good.
    Refused(RefusedBecause),
}

impl PaymentState {
    /// Whether a payment in this state is served.
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Settled | Self::Accepted)
    }

    /// Whether the arrow from this state to `next` exists.
    ///
    /// Implements R-VERIF-14.
    pub const fn leads_to(&self, next: &Self) -> bool {
        match self {
            Self::Pending | Self::Accepted => !next.is_open(),
            Self::Settled => matches!(next, Self::Refunded),
            Self::Refunded | Self::Refused(_) => false,
        }
    }

    /// Whether the mint has yet to decide.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Accepted)
    }
}

/// Why the mint refused a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedBecause {
    /// A token was paid elsewhere before; the proof was verified.
    DoubleSpent(Box<DoubleSpendFrame>),
    /// Any other reason.
    Refusal(Refusal),
}

/// A payment to be claimed. Only a checked payment becomes one.
#[derive(Clone)]
#[non_exhaustive]
pub struct Claim {
    /// The payment's id.
    pub payment: PaymentId,
    /// The spent keys, ascending: each may be inserted once, ever.
    pub list: Vec<SpentKey>,
    /// The challenge it answers, which may be used once.
    pub challenge: UsedChallenge,
    /// What the store keeps, and what it hands back when the payment comes again.
    pub record: PaymentRecord,
    /// What goes to the mint.
    pub deposit: DepositBody,
    /// Set if the record is [`PaymentState::Accepted`]: the limits to be held in the same write.
    pub limits: Option<RiskLimits>,
}

/// Bounds on what is accepted and not settled, checked inside the claim.
///
/// Implements R-VERIF-09.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskLimits {
    /// The most that may be open in total.
    pub outstanding: Amount,
    /// The most that may be unsettled of this window.
    pub per_window: Amount,
}

/// What is kept of a payment.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentRecord {
    /// Where it stands.
    pub state: PaymentState,
    /// S, L, T, u: for double-spend proofs, and to recognise the reader who reads again.
    pub side: farthing_protocol::wire::SpendingSideBody,
    /// SHA-256 of the payment frame as it came: the same bytes again need no curve work.
    pub digest: [u8; 32],
    /// SHA-256 of the canonical URL.
    pub resource: [u8; 32],
    /// What was paid.
    pub amount: Amount,
    /// The rest the reader may take from the mint once settled.
    pub change: Amount,
    /// When it was claimed, Unix time in seconds.
    pub claimed_at: u64,
    /// Until when the article may be read again, Unix time in seconds.
    pub access_until: u64,
    /// The first second of the window whose limit it counts against; 0 unless it was accepted.
    pub window: u64,
    /// SHA-256 of the mint's answer that is kept with it, while it is settled: the store's to set.
    pub answer: Option<[u8; 32]>,
}

impl PaymentRecord {
    /// The validated side, for evidence and rereading.
    ///
    /// # Errors
    /// [`EvidenceError`] if the store gave back something else than it was given.
    pub fn side(&self) -> Result<SpendingSide, EvidenceError> {
        SpendingSide::from_body(&self.side)
    }
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// Inserted now.
    Claimed,
    /// This very payment was claimed before.
    Known(PaymentRecord),
    /// Another payment holds one of the tokens.
    Conflict(PaymentRecord),
    /// Another payment, or a reread, has answered this challenge.
    ChallengeUsed,
    /// The limits leave no room to accept it; nothing was inserted.
    LimitReached,
}

/// The mint's decision about one payment.
#[derive(Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which payment.
    pub payment: PaymentId,
    /// [`PaymentState::Settled`], [`PaymentState::Refused`] or [`PaymentState::Refunded`].
    pub state: PaymentState,
}

/// An undecided payment.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The payment's id.
    pub payment: PaymentId,
    /// What goes to the mint.
    pub deposit: DepositBody,
}

/// What the mint has booked, and where its ledger stood when it said so: the booking is in that ledger at or before the mark.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptDeposit {
    /// The payment's id.
    pub payment: PaymentId,
    /// What went to the mint.
    pub deposit: DepositBody,
    /// The mark of the newest answer that named it booked; `None` if it was decided without one.
    pub mark: Option<LedgerMark>,
}

/// What the mint has booked, and the answer in which it said so.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What went to the mint.
    pub deposit: DepositBody,
    /// The answer that was kept when it was settled, as it was handed to the store; `None` if it was settled without one.
    pub answer: Option<Vec<u8>>,
}

/// Whether a ledger that stands at `ledger` may lack what was booked at or before `mark`: it is behind, or another ledger, or nobody knows.
pub(crate) fn may_lack(ledger: Option<&LedgerMark>, mark: Option<&LedgerMark>) -> bool {
    match (ledger, mark) {
        (Some(ledger), Some(mark)) => mark.ledger != ledger.ledger || mark.sequence > ledger.sequence,
        _ => true,
    }
}

/// Which payments may be forgotten, and how far one step goes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prune {
    /// Keysets whose tokens nobody accepts any more, neither a verifier nor the mint.
    pub closed: Vec<KeysetId>,
    /// Only payments whose access ended before this time, Unix time in seconds.
    pub before: u64,
    /// Where the step before ended.
    pub after: Option<SpentKey>,
    /// The most spent keys to look at.
    pub limit: usize,
}

impl Prune {
    /// The first step, of at most `limit` spent keys.
    pub fn new(mut closed: Vec<KeysetId>, before: u64, limit: usize) -> Self {
        closed.sort_unstable_by_key(|keyset| keyset.0);
        closed.dedup();
        Self { closed, before, after: None, limit }
    }

    /// Whether a payment may be forgotten: decided, its access over, all its tokens of closed keysets.
    ///
    /// Implements R-VERIF-20.
    pub fn forgets(&self, record: &PaymentRecord) -> bool {
        let is_closed = |key: &SpentKeyBody| self.closed.iter().any(|keyset| keyset.0 == key.keyset.0);
        !record.state.is_open() && record.access_until < self.before && record.side.list.iter().all(is_closed)
    }
}

/// What a step of pruning did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many payments were forgotten.
    pub payments: u64,
    /// Where the next step begins; `None` at the end.
    pub next: Option<SpentKey>,
}

/// A small document the store keeps whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Document {
    /// The newest keyset list, as a frame.
    Keysets,
    /// Two keyset lists that contradict each other, one frame after the other, each behind its length in 8 little-endian bytes.
    Fork,
    /// The challenge secret that all who share the store use: 32 bytes.
    ChallengeSecret,
    /// Another challenge secret they accept: the one before, or the one to come.
    OtherSecret,
    /// The publisher's key that all who share the store use: 32 bytes.
    PublisherKey,
}

impl Document {
    /// The name it is stored under.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keysets => "keysets",
            Self::Fork => "fork",
            Self::ChallengeSecret => "challenge-secret",
            Self::OtherSecret => "other-secret",
            Self::PublisherKey => "publisher-key",
        }
    }

    /// Every document.
    pub const ALL: &'static [Self] = &[Self::Keysets, Self::Fork, Self::ChallengeSecret, Self::OtherSecret, Self::PublisherKey];
}

/// What is open, and the highest time of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accepted and not decided yet.
    pub outstanding: Amount,
    /// How many payments the mint has not decided, pending or accepted.
    pub undecided: u64,
    /// The latest `claimed_at` ever, or the latest `before` of a prune if that is later: time never goes back behind it.
    pub latest_claim: u64,
}

/// The memory of a verifier. Implementations are shared by all requests; several verifiers may share one if its database allows it.
///
/// Every write is durable before its future is ready; every future may be dropped at any time, after which the write happens wholly or
/// not at all. An error means that nothing is known about the write.
pub trait Store: Send + Sync + 'static {
    /// Whether verifiers in several processes may use the same data at once. Two instances of a publisher on a store that is not
    /// shared would take the same token twice: a verifier told of several refuses to start on it.
    fn is_shared(&self) -> bool;

    /// Inserts spent keys, challenge, record and outbox entry in one atomic write, or nothing.
    ///
    /// The first of these that applies is the outcome: the payment id is known ([`ClaimOutcome::Known`]); a spent key belongs to another
    /// payment ([`ClaimOutcome::Conflict`], with that payment's record); the challenge was used; the limits would be exceeded; claimed.
    fn claim(&self, claim: Claim) -> impl Future<Output = Result<ClaimOutcome, StoreError>> + Send;

    /// The record of a payment.
    fn payment(&self, payment: PaymentId) -> impl Future<Output = Result<Option<PaymentRecord>, StoreError>> + Send;

    /// Marks a challenge as used without a payment; `false` if it was used before.
    fn use_challenge(&self, challenge: UsedChallenge) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Takes the mint's decisions, its ledger mark and its signed answer, in one atomic write. Returns the states afterwards, in order; `None` for a payment
    /// that is not known. Only moves of [`PaymentState::leads_to`] happen; who moves leaves the outbox, and what is settled leaves the amounts at risk.
    ///
    /// The deposit of what is settled is kept with the mark, and goes when the payment is refunded. A settled payment that is settled again
    /// takes the new mark.
    ///
    /// The answer is kept once for all that it settles, and goes with the last of them: when they are refunded or forgotten. What is settled
    /// keeps its first answer.
    ///
    /// A mark of the same ledger only rises; a mark of another ledger replaces it unless that ledger was seen before.
    fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<Vec<Option<PaymentState>>, StoreError>> + Send;

    /// At most `limit` undecided payments with ids after `after`, ascending by id, for the caller to hand in now.
    ///
    /// A shared store leaves out what another instance claimed or took from here a short while ago, so that not all hand in the same.
    fn outbox(&self, after: Option<PaymentId>, limit: usize) -> impl Future<Output = Result<Vec<OutboxEntry>, StoreError>> + Send;

    /// At most `limit` deposits the mint has booked, with ids after `after`, ascending by id; with `since` those are left
    /// out whose mark is of that ledger and no higher.
    fn kept(
        &self,
        after: Option<PaymentId>,
        since: Option<LedgerMark>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KeptDeposit>, StoreError>> + Send;

    /// The deposit and the answer kept with a payment; `None` unless it is settled.
    fn kept_answer(&self, payment: PaymentId) -> impl Future<Output = Result<Option<KeptAnswer>, StoreError>> + Send;

    /// The mark of the newest ledger seen.
    fn mark(&self) -> impl Future<Output = Result<Option<LedgerMark>, StoreError>> + Send;

    /// When the oldest of the payments was claimed that the mint has not decided, Unix time in seconds. It may look at every one of them.
    fn oldest_undecided(&self) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// What is open.
    fn totals(&self) -> impl Future<Output = Result<Totals, StoreError>> + Send;

    /// Reads a document.
    fn load(&self, document: Document) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Writes a document.
    fn save(&self, document: Document, bytes: Vec<u8>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes a document if there is none, in one atomic write. Returns the one that stands then.
    fn save_first(&self, document: Document, bytes: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send;

    /// Keeps a double-spend proof, one a token: the first stays, so that nobody fills the disk with one token.
    fn keep_proof(&self, proof: DoubleSpendFrame) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The proofs kept, ascending by token.
    fn proofs(&self) -> impl Future<Output = Result<Vec<DoubleSpendFrame>, StoreError>> + Send;

    /// Drops challenges that expired before `now`; their expiry alone refuses them.
    fn prune_challenges(&self, now: u64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Looks at the next `limit` spent keys of closed keysets, ascending, and forgets the payments of [`Prune::forgets`] among theirs:
    /// spent keys, record, kept deposit and answer together, in one atomic write, which also raises [`Totals::latest_claim`] to `before`.
    fn prune(&self, prune: Prune) -> impl Future<Output = Result<Pruned, StoreError>> + Send;
}

macro_rules! opaque {
    ($($name:ident),*) => { $(
        impl std::fmt::Debug for $name {
            /// Says what it is, not what is in it: tokens, articles and payments stay out of logs and panic messages.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )* };
}
opaque!(UsedChallenge, Claim, PaymentRecord, Decision, OutboxEntry, KeptDeposit, KeptAnswer, Prune, Pruned);

/// A proof's token as the key it is kept under.
pub(crate) fn proof_key(proof: &DoubleSpendFrame) -> [u8; SpentKey::SIZE] {
    codec::spent_key(&proof.token).to_bytes()
}
