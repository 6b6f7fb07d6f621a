//! The signer: the only holder of denomination keys, receipt keys and nonces.
//!
//! Nonces are drawn from the operating system, stamped with process and birth, moved from the pool into a session and from the session
//! into one response. They cannot be copied, stored or printed, and they are refused when they are old, when the clocks disagree about
//! how old they are, or when the process is not the one that drew them.

pub mod keys;
mod pool;
mod sealed;
mod vault;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::error::UseError;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{Keyset, KeysetList};
use farthing_protocol::proof::{KeysetId, LoneKey, PaymentId};
use farthing_protocol::settle::{Outcome, sign_answer};
use farthing_protocol::snowblind::{Challenge, Commitment, Nonces, Response, SigningKey};
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{DepositResponseFrame, LedgerMark};
use merlin::Transcript;
use rand::Rng;
use zeroize::Zeroizing;

use crate::clock::Clock;
pub use keys::{KeyFile, KeysetSecrets};
use pool::Pool;
pub(crate) use sealed::NAME as SEALED_KEYS;
pub use sealed::{KeyProtection, Secret};
pub(crate) use vault::{KeyVault, PLAIN as PLAIN_KEYS};

/// Nonces die this long after they were drawn.
///
/// Implements R-MINT-03.
pub const NONCES_LIVE: Duration = Duration::from_mins(2);

/// Wall and monotonic clock may disagree by this much about the age of nonces.
const CLOCKS_AGREE: Duration = Duration::from_secs(5);

/// Why the signer does not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignerError {
    /// The nonces are too old, or it cannot be said how old they are, or another process drew them.
    NoncesDead,
    /// There is no key for this keyset and denomination.
    NoKey,
    /// There is not one challenge for each nonce.
    Count,
    /// The system's generator or a draw failed.
    Random,
}

/// What an order's reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// An operator's idempotency key.
    Key = 1,
    /// A payment provider's checkout session.
    Checkout = 2,
    /// A payment provider's payment.
    Payment = 3,
}

/// Draws from the operating system's generator; a failure to draw ends the process, because there is nothing safe to go on with.
pub(crate) fn system_rng() -> rand::rand_core::UnwrapErr<rand::rngs::SysRng> {
    rand::rand_core::UnwrapErr(rand::rngs::SysRng)
}

/// Who drew nonces, and when.
#[derive(Clone, Copy)]
struct Stamp {
    process: u32,
    wall: Duration,
    monotonic: Duration,
}

impl Stamp {
    fn now(clock: &dyn Clock) -> Self {
        Self { process: std::process::id(), wall: clock.wall(), monotonic: clock.monotonic() }
    }

    /// The age, if both clocks agree on it and the process is the same.
    fn age(&self, clock: &dyn Clock) -> Option<Duration> {
        let now = Self::now(clock);
        let monotonic = now.monotonic.checked_sub(self.monotonic)?;
        let wall = (now.wall + CLOCKS_AGREE).checked_sub(self.wall)?;
        let agree = wall.abs_diff(monotonic + CLOCKS_AGREE) <= CLOCKS_AGREE;
        (agree && now.process == self.process).then_some(monotonic)
    }

    fn alive(&self, clock: &dyn Clock, longest: Duration) -> bool {
        self.age(clock).is_some_and(|age| age < longest)
    }
}

/// Nonces with their stamp.
struct Stamped {
    nonces: Nonces,
    stamp: Stamp,
}

/// The nonces of one session, one an output. Answers once, by value.
pub struct SessionNonces {
    nonces: Vec<Stamped>,
    expires: u64,
}

impl SessionNonces {
    /// The commitments, in order.
    pub fn commitments(&self) -> Vec<Commitment> {
        self.nonces.iter().map(|one| *one.nonces.commitment()).collect()
    }

    /// The second at which the first of them dies, Unix time.
    pub const fn expires(&self) -> u64 {
        self.expires
    }
}

struct KeysetKeys {
    id: KeysetId,
    issue_from: u64,
    receipt: LoneKey,
    keys: Vec<(Amount, SigningKey)>,
}

/// Holds the keys; see the module.
pub struct Signer {
    root: Point,
    keysets: RwLock<Arc<[KeysetKeys]>>,
    seal_key: Zeroizing<[u8; 32]>,
    clock: Arc<dyn Clock>,
    pool: Pool,
}

impl Signer {
    /// A signer that has no keyset yet.
    pub(crate) fn new(root: Point, seal_key: Zeroizing<[u8; 32]>, clock: Arc<dyn Clock>, pool: usize) -> Self {
        Self { root, keysets: RwLock::new(Arc::new([])), seal_key, pool: Pool::new(clock.clone(), pool), clock }
    }

    /// Takes the keys of a list's keysets in place of those it had. Keysets that `issues` denies get no denomination keys: what is not
    /// there cannot sign. Returns the numbers of keysets that should issue but whose keys are not in the file.
    ///
    /// Implements R-LIFE-04.
    pub(crate) fn load(&self, list: &KeysetList, file: KeyFile, issues: impl Fn(&Keyset) -> bool) -> Vec<u64> {
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(list.keysets().len());
        let mut secrets = file.keysets;
        for keyset in list.keysets() {
            let own = secrets.iter().position(|secrets| secrets.belong_to(keyset)).map(|index| secrets.swap_remove(index));
            if issues(keyset) && own.as_ref().is_none_or(|own| own.keys.is_empty()) {
                missing.push(keyset.number());
            }
            let Some(KeysetSecrets { receipt, mut keys }) = own else { continue };
            if !issues(keyset) {
                keys.clear();
            }
            found.push(KeysetKeys { id: keyset.id(), issue_from: keyset.windows().issue_from, receipt, keys });
        }
        *self.keysets.write().unwrap_or_else(PoisonError::into_inner) = found.into();
        missing
    }

    fn keysets(&self) -> Arc<[KeysetKeys]> {
        self.keysets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts to fill the pool in idle time. Without it, commitments are made when they are asked for.
    pub(crate) fn fill_pool(&self) {
        self.pool.start();
    }

    /// Commitments made ahead.
    pub(crate) fn pooled(&self) -> usize {
        self.pool.len()
    }

    /// Whether there is a key for every denomination of a keyset.
    pub fn signs(&self, keyset: &KeysetId, denominations: &[Amount]) -> bool {
        self.keysets()
            .iter()
            .any(|known| known.id == *keyset && denominations.iter().all(|wanted| known.keys.iter().any(|(have, _)| have == wanted)))
    }

    /// Draws or takes nonces for a session of `count` outputs. Costs about 46 us each when the pool is empty.
    ///
    /// # Errors
    /// [`SignerError::Random`].
    pub fn open(&self, count: usize) -> Result<SessionNonces, SignerError> {
        let mut nonces = self.pool.take(count);
        if nonces.len() < count {
            nonces.extend(self.pool.draw(count - nonces.len()).ok_or(SignerError::Random)?);
        }
        let first = nonces.iter().map(|one| one.stamp.wall).min().unwrap_or_default();
        Ok(SessionNonces { nonces, expires: (first + NONCES_LIVE).as_secs() })
    }

    /// Answers the challenges of a session. The nonces are gone afterwards, whatever comes of it.
    ///
    /// # Errors
    /// [`SignerError`]; nothing was computed then.
    ///
    /// # Security
    /// The responses must not leave before the ledger has booked what they cost.
    pub fn respond(
        &self,
        session: SessionNonces,
        keyset: &KeysetId,
        denominations: &[Amount],
        challenges: &[Challenge],
    ) -> Result<Vec<Response>, SignerError> {
        if session.nonces.len() != challenges.len() || denominations.len() != challenges.len() {
            return Err(SignerError::Count);
        }
        let keysets = self.keysets();
        let keys = &keysets.iter().find(|known| known.id == *keyset).ok_or(SignerError::NoKey)?.keys;
        let mut chosen = Vec::with_capacity(denominations.len());
        for wanted in denominations {
            chosen.push(&keys.iter().find(|(have, _)| have == wanted).ok_or(SignerError::NoKey)?.1);
        }
        if !session.nonces.iter().all(|one| one.stamp.alive(&*self.clock, NONCES_LIVE)) {
            return Err(SignerError::NoncesDead);
        }
        let both = session.nonces.into_iter().zip(chosen).zip(challenges);
        Ok(both.map(|((one, key), challenge)| one.nonces.respond(key, challenge)).collect())
    }

    /// Signs a deposit answer with the receipt key of the newest keyset that has begun to issue: it has been published for a day, so that
    /// every verifier can know it.
    ///
    /// # Errors
    /// [`UseError`]: without a keyset, or with probability 2^-252.
    pub fn answer(&self, mark: LedgerMark, payments: &[Option<PaymentId>], outcomes: &[Outcome]) -> Result<DepositResponseFrame, UseError> {
        self.with_receipt_key(|key| sign_answer(&self.root, mark, payments, outcomes, key, &mut system_rng()))
    }

    fn with_receipt_key<T>(&self, sign: impl FnOnce(&LoneKey) -> Result<T, UseError>) -> Result<T, UseError> {
        let (keysets, now) = (self.keysets(), self.clock.wall().as_secs());
        let newest = keysets.iter().rev().find(|keyset| keyset.issue_from <= now).or(keysets.first()).ok_or(UseError::NoKeys)?;
        sign(&newest.receipt)
    }

    /// Signs a refund answer with the same receipt key as a deposit answer.
    ///
    /// # Errors
    /// [`UseError`]: without a keyset, or with probability 2^-252.
    pub fn answer_refund(
        &self,
        mark: LedgerMark,
        payment: PaymentId,
        outcome: farthing_protocol::refund::RefundOutcome,
    ) -> Result<farthing_protocol::wire::RefundResponseFrame, UseError> {
        self.with_receipt_key(|key| farthing_protocol::refund::sign_answer(&self.root, mark, payment, outcome, key, &mut system_rng()))
    }

    /// Makes a session's id: 4 bytes of the process that has it open, 7 random bytes, 5 bytes of a keyed hash over them.
    ///
    /// An id that this mint never made can therefore be told from one it has forgotten, and strangers cannot fill the ledger with
    /// cancellations of sessions that never were.
    pub fn session_id(&self, instance: [u8; 4]) -> [u8; 16] {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&instance);
        system_rng().fill_bytes(&mut id[4..11]);
        self.seal_session(&mut id);
        id
    }

    /// The process that opened a session; `None` if this mint never made the id.
    ///
    /// Implements R-SHARE-03.
    pub fn session_instance(&self, id: &[u8; 16]) -> Option<[u8; 4]> {
        let mut again = *id;
        self.seal_session(&mut again);
        let [a, b, c, d, ..] = *id;
        (again == *id).then_some([a, b, c, d])
    }

    /// The ledger's name of what an order is about, such as a shop's reference or a provider's payment: nobody without the seal key can tell
    /// which it is, or whether there is one.
    pub fn order_id(&self, kind: OrderKind, reference: &str) -> [u8; 32] {
        let mut id = [0; 32];
        let mut transcript = Transcript::new(b"farthing-mint/1 order id");
        transcript.append_message(b"key", &*self.seal_key);
        transcript.append_u64(b"kind", kind as u64);
        transcript.append_message(b"reference", reference.as_bytes());
        transcript.challenge_bytes(b"id", &mut id);
        id
    }

    /// The code of an order's voucher, the same whenever it is asked for.
    ///
    /// Implements R-ORDER-02.
    pub fn order_code(&self, order: &[u8; 32], amount: Amount, count: u32, index: u32) -> VoucherCode {
        let mut code = Zeroizing::new([0; 16]);
        let mut transcript = Transcript::new(b"farthing-mint/1 order voucher");
        transcript.append_message(b"key", &*self.seal_key);
        transcript.append_message(b"order", order);
        transcript.append_u64(b"amount", amount.units());
        transcript.append_u64(b"count", count.into());
        transcript.append_u64(b"index", index.into());
        transcript.challenge_bytes(b"code", &mut *code);
        VoucherCode::from_secret_bytes(*code)
    }

    fn seal_session(&self, id: &mut [u8; 16]) {
        let (named, seal) = id.split_at_mut(11);
        let mut transcript = Transcript::new(b"farthing-mint/2 session id");
        transcript.append_message(b"key", &*self.seal_key);
        transcript.append_message(b"named", named);
        transcript.challenge_bytes(b"seal", seal);
    }

    /// What only a process of this mint can say of a request to another.
    pub fn forward_seal(&self, instance: [u8; 4], body: &[u8]) -> [u8; 32] {
        let mut transcript = Transcript::new(b"farthing-mint/1 forward");
        transcript.append_message(b"key", &*self.seal_key);
        transcript.append_message(b"instance", &instance);
        transcript.append_message(b"body", body);
        let mut seal = [0; 32];
        transcript.challenge_bytes(b"seal", &mut seal);
        seal
    }

    /// The mark of a ledger's position.
    ///
    /// ```text
    /// mark.sequence = sequence * 2^24 + the first 24 bits of a keyed hash over (ledger, sequence)
    /// ```
    ///
    /// It grows with the sequence, and nobody else can name one that lies ahead: a mark above the ledger's own is evidence of a restored
    /// backup, and a stranger must not be able to stop the mint with an invented one. 40 bits are left for the sequence: 348 years at a
    /// hundred commits a second.
    pub fn mark(&self, ledger: [u8; 16], sequence: u64) -> LedgerMark {
        LedgerMark { ledger: ledger.into(), sequence: (sequence << LedgerMark::SEAL_BITS) | self.seal(&ledger, sequence) }
    }

    /// The ledger's sequence in a mark, if this mint made the mark.
    ///
    /// Implements R-MINT-10.
    pub fn sequence_of(&self, mark: &LedgerMark) -> Option<u64> {
        let sequence = mark.sequence >> LedgerMark::SEAL_BITS;
        (self.mark(mark.ledger.0, sequence) == *mark).then_some(sequence)
    }

    fn seal(&self, ledger: &[u8; 16], sequence: u64) -> u64 {
        let mut transcript = Transcript::new(b"farthing-mint/1 ledger mark");
        transcript.append_message(b"key", &*self.seal_key);
        transcript.append_message(b"ledger", ledger);
        transcript.append_u64(b"sequence", sequence);
        let mut seal = [0; 8];
        transcript.challenge_bytes(b"seal", &mut seal[..3]);
        u64::from_le_bytes(seal)
    }
}
