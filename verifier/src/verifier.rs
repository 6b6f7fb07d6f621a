//! The verifier itself: challenges, decisions, background work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::DoubleSpend;
use farthing_protocol::http::{ChargeRequest, MethodDetails};
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{DoubleSpendFrame, KeysetListFrame};
use http::{Method, Uri};
use tokio::task::JoinHandle;

use crate::check::{Addressed, Answer, CheckedPayment, FreshReread, Stated};
use crate::checker::Checker;
use crate::clock::{Clock, SteadyClock};
use crate::config::{Mode, VerifierConfig, WhenLimited};
use crate::decision::{Found, Paid};
use crate::error::{Refused, VerifierError};
use crate::filters::Filters;
use crate::keysets::{Keysets, fork_frames};
use crate::metrics::Observed;
use crate::mint_client::MintClient;
use crate::offer::{Offer, Pass, Price, Resource};
use crate::outbox::{Outbox, Undecided};
use crate::overdue::Overdue;
use crate::payment_scheme::{Challenge, Received};
use crate::prune;
use crate::statistics::{Counters, Statistics};
use crate::store::{ClaimOutcome, Document, PaymentRecord, PaymentState, RefusedBecause, RiskLimits, Store, StoreError, Totals};

pub(crate) struct Inner<S> {
    pub(crate) config: VerifierConfig,
    pub(crate) clock: SteadyClock,
    pub(crate) store: Arc<S>,
    pub(crate) mint: Arc<MintClient>,
    pub(crate) keysets: Arc<Keysets<S>>,
    pub(crate) outbox: Arc<Outbox<S>>,
    checker: Arc<Checker>,
    pub(crate) filters: Arc<Filters>,
    overdue: Overdue,
    pub(crate) counters: Arc<Counters>,
    pub(crate) observed: Observed,
}

/// Stops the background work when the last verifier is dropped.
struct Tasks(Mutex<Vec<JoinHandle<()>>>);

impl Tasks {
    fn take(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.take() {
            task.abort();
        }
    }
}

/// What a publisher embeds: it hands out challenges, checks and claims payments, and deposits them.
///
/// Clones share everything. Background work (deposits, keysets) runs until [`Verifier::shutdown`] or until the last clone is dropped.
pub struct Verifier<S> {
    inner: Arc<Inner<S>>,
    tasks: Arc<Tasks>,
}

impl<S> Clone for Verifier<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), tasks: Arc::clone(&self.tasks) }
    }
}

struct SharedClock(Arc<dyn Clock>);

impl Clock for SharedClock {
    fn now(&self) -> u64 {
        self.0.now()
    }
}

impl<S: Store> Verifier<S> {
    /// Opens a verifier on its store and starts its background work: it fetches the keyset list and hands in what the store's outbox
    /// holds. A mint that cannot be reached is no error: with a stored list the verifier works on, without one it answers 503 until the
    /// mint is back.
    ///
    /// # Errors
    /// [`VerifierError`]: a configuration that cannot work, a store that fails or that several instances cannot share, a mint whose list
    /// is not signed by the pinned root key.
    pub async fn open(config: VerifierConfig, store: S) -> Result<Self, VerifierError> {
        config.validate()?;
        // Implements R-VERIF-18.
        if config.instances > 1 && !store.is_shared() {
            return Err(VerifierError::PrivateStore);
        }
        let store = Arc::new(store);
        let mint = Arc::new(MintClient::new(&config.mint, config.mint_timeout)?);
        let keysets = Arc::new(Keysets::open(config.root, Arc::clone(&mint), Arc::clone(&store), config.keyset_pause).await?);
        match keysets.refresh().await {
            Ok(()) => {}
            // A stored list is trusted on, and a fork stops the verifier without stopping the site.
            Err(VerifierError::Keysets(_)) if keysets.trusted().is_ok() || keysets.is_forked() => {}
            Err(VerifierError::MintUnavailable) => tracing::warn!("the mint cannot be reached"),
            Err(error) => return Err(error),
        }
        let totals = store.totals().await?;
        let counters = Arc::new(Counters::default());
        let (outbox, dispatcher) = Outbox::new(Arc::clone(&store), Arc::clone(&mint), Arc::clone(&keysets), Arc::clone(&counters));
        let clock = SteadyClock::new(Box::new(SharedClock(Arc::clone(&config.clock))), totals.latest_claim);
        let (first, last, interval) = (config.first_retry, config.last_retry, config.keyset_interval);
        let checker = Checker::new();
        let shared = (Arc::clone(&keysets), Arc::clone(&outbox));
        let inner = Arc::new(Inner {
            config,
            clock,
            store,
            mint: Arc::clone(&mint),
            keysets: shared.0,
            outbox: shared.1,
            checker,
            filters: Arc::new(Filters::new(mint)),
            overdue: Overdue::default(),
            counters,
            observed: Observed::default(),
        });
        let mut tasks = vec![
            tokio::spawn(dispatcher.run()),
            tokio::spawn(outbox.work(first, last)),
            tokio::spawn(async move { keysets.follow(interval, first).await }),
            tokio::spawn(prune::work(Arc::clone(&inner))),
        ];
        if matches!(inner.config.mode, Mode::Deferred(_)) {
            let filters = Arc::clone(&inner.filters);
            tasks.push(tokio::spawn(filters.follow(inner.config.clone(), Arc::clone(&inner.keysets))));
        }
        Ok(Self { inner, tasks: Arc::new(Tasks(Mutex::new(tasks))) })
    }

    pub(crate) fn inner(&self) -> &Inner<S> {
        &self.inner
    }

    pub(crate) fn share(&self) -> Arc<Inner<S>> {
        Arc::clone(&self.inner)
    }

    /// The time decisions are made by: the clock's, but never before the last claim.
    pub fn now(&self) -> u64 {
        self.inner.clock.now()
    }

    /// What a request asks for. The publisher's name is the configured one, whatever the request's `Host` says.
    pub fn resource(&self, method: &Method, uri: &Uri) -> Resource {
        let config = &self.inner.config;
        Resource::new(config.scheme, &config.publisher, method, uri, config.pass.as_ref())
    }

    /// Writes a challenge for a 402. Nothing is stored for it.
    ///
    /// # Errors
    /// [`VerifierError::MintUnavailable`] without a trusted keyset list, [`VerifierError::Offer`] for an offer that no challenge can carry.
    pub fn challenge(&self, offer: &Offer, resource: &Resource, now: u64) -> Result<Challenge, VerifierError> {
        self.challenge_for(offer, resource, None, now)
    }

    /// Writes a challenge for the pass that is good for this request, if there is one; it goes beside the one for the page alone.
    ///
    /// Implements R-VERIF-32.
    ///
    /// # Errors
    /// As [`challenge`](Self::challenge).
    pub fn pass_challenge(&self, offer: &Offer, resource: &Resource, now: u64) -> Result<Option<Challenge>, VerifierError> {
        let (Price::Fixed(_), Some(pass), Some(hash)) = (&offer.price, &self.inner.config.pass, resource.pass) else { return Ok(None) };
        self.challenge_for(&pass.offer(), resource, Some((pass, hash)), now).map(Some)
    }

    fn challenge_for(
        &self,
        offer: &Offer,
        resource: &Resource,
        pass: Option<(&Pass, [u8; 32])>,
        now: u64,
    ) -> Result<Challenge, VerifierError> {
        offer.validate()?;
        let config = &self.inner.config;
        let trusted = self.inner.keysets.trusted().map_err(|_| VerifierError::MintUnavailable)?;
        let expires = now.saturating_add(config.challenge_lifetime.as_secs());
        let (minimum, maximum) = offer.bounds();
        let request = ChargeRequest {
            amount: offer.price.amount().to_string(),
            currency: config.unit.name(),
            recipient: config.publisher.clone(),
            external_id: offer.external_id.clone(),
            method_details: MethodDetails {
                mint: config.mint.as_str().into(),
                keysets: Base64UrlUnpadded::encode_string(&trusted.list.head()),
                title: offer.title.clone(),
                // Only a page is read again.
                access: if pass.is_some() || resource.method == Method::GET { offer.access.as_secs() } else { 0 },
                resource: pass.map_or_else(|| resource.encoded(), |(_, hash)| Base64UrlUnpadded::encode_string(&hash)),
                deposit_by: deposit_by(expires, &config.mode),
                minimum,
                maximum,
                scope: pass.map(|(pass, _)| pass.scope.clone()),
            },
        };
        let challenge = Challenge::issue(
            &config.secret,
            &config.publisher,
            &request,
            expires,
            resource.method.as_str(),
            pass.map(|_| resource.encoded()),
            rand::random(),
        )?;
        self.inner.counters.challenge();
        Ok(challenge)
    }

    /// Decides about a request with a `Payment` credential (the whole `Authorization` value).
    ///
    /// May be dropped at any time: what was begun goes on, and the same credential finds what became of it.
    ///
    /// # Errors
    /// [`Refused`]: answer it with its status and, for a 402, a fresh challenge.
    pub async fn authorize(&self, authorization: &str, resource: &Resource, offer: &Offer) -> Result<Paid, Refused> {
        let addressed = Addressed::address(Received::parse(authorization)?, &self.inner.config, resource)?;
        let start = Instant::now();
        let decided = match addressed.state()? {
            Answer::Payment(stated) => self.pay(*stated, offer).await,
            Answer::Reread(reread) => self.inner.reread(&reread.fresh(&self.inner.config, self.now())?).await,
        };
        self.inner.observed.decided.since(start);
        decided
    }

    async fn pay(&self, stated: Stated, offer: &Offer) -> Result<Paid, Refused> {
        let inner = &self.inner;
        if let Some(record) = inner.stored(inner.store.payment(stated.id()).await)?
            && stated.is_same(&record)
        {
            inner.counters.replay();
            return inner.resume(stated.id(), record, stated.deposit()).await;
        }
        let checked = self.checked(stated, offer).await?;
        // From the claim on, a reader who hangs up must not leave the payment half done.
        let inner = Arc::clone(inner);
        tokio::spawn(async move { inner.claim(checked).await }).await.unwrap_or_else(|_| Err(Refused::pending()))
    }

    /// Every check of a payment that was not claimed before.
    async fn checked(&self, stated: Stated, offer: &Offer) -> Result<CheckedPayment, Refused> {
        let (inner, now) = (&self.inner, self.now());
        let first = stated.first(&inner.config, offer, now)?;
        let mut trusted = inner.keysets.trusted()?;
        if !first.keysets_known(&trusted) {
            inner.keysets.refresh_for_unknown().await;
            trusted = inner.keysets.trusted()?;
        }
        inner.checker.check(first.prepare(&inner.config, &trusted, now)?, trusted).await
    }

    /// Checks a credential and changes nothing: no token is claimed, no challenge used up, no payment handed in.
    ///
    /// Implements R-VERIF-17.
    pub(crate) async fn look(&self, authorization: &str, resource: &Resource, offer: &Offer) -> Result<Found, Refused> {
        let inner = &self.inner;
        let found =
            |payment, record: &PaymentRecord, state, reread| Found { payment, amount: record.amount, change: record.change, state, reread };
        match Addressed::address(Received::parse(authorization)?, &inner.config, resource)?.state()? {
            Answer::Payment(stated) => {
                let id = stated.id();
                if let Some(record) = inner.stored(inner.store.payment(id).await)?
                    && stated.is_same(&record)
                {
                    return Ok(found(id, &record, served_state(&record.state)?, false));
                }
                let checked = self.checked(*stated, offer).await?;
                Ok(found(id, &checked.claim(None).record, "unclaimed", false))
            }
            Answer::Reread(reread) => {
                let reread = reread.fresh(&inner.config, self.now())?;
                let record = inner.stored(inner.store.payment(reread.payment()).await)?.ok_or(Refused::verification("reread-unknown"))?;
                reread.verify(&record, self.now())?;
                Ok(found(reread.payment(), &record, served_state(&record.state)?, true))
            }
        }
    }

    /// Hands in everything the outbox holds. Returns how many payments were decided.
    ///
    /// # Errors
    /// [`VerifierError::MintUnavailable`] or [`VerifierError::Store`] if something is left; nothing is lost, the background work goes on.
    pub async fn flush_outbox(&self) -> Result<usize, VerifierError> {
        self.inner.outbox.drain().await.map_err(|undecided| match undecided {
            Undecided::Mint => VerifierError::MintUnavailable,
            Undecided::Store => VerifierError::Store(StoreError::Unavailable),
        })
    }

    /// Fetches the keyset list now.
    ///
    /// # Errors
    /// [`VerifierError`]; what was trusted before stays so, unless the mint has contradicted itself.
    pub async fn refresh_keysets(&self) -> Result<(), VerifierError> {
        self.inner.keysets.refresh().await
    }

    /// Fetches the mint's filters of spent tokens now, as the deferred mode does by itself. What cannot be fetched changes nothing.
    ///
    /// # Errors
    /// [`VerifierError::MintUnavailable`] without a keyset list to go by.
    pub async fn refresh_filters(&self) -> Result<(), VerifierError> {
        let trusted = self.inner.keysets.trusted().map_err(|_| VerifierError::MintUnavailable)?;
        self.inner.filters.refresh(&self.inner.config, &trusted).await;
        Ok(())
    }

    /// The double-spend proofs kept, one a token.
    ///
    /// # Errors
    /// [`VerifierError::Store`].
    pub async fn double_spend_proofs(&self) -> Result<Vec<DoubleSpendFrame>, VerifierError> {
        Ok(self.inner.store.proofs().await?)
    }

    /// Two keyset lists the mint has signed that contradict each other, if it did: then nothing is accepted any more, also after a
    /// restart, until a person has decided what to make of that mint.
    ///
    /// # Errors
    /// [`VerifierError::Store`].
    pub async fn forked_keysets(&self) -> Result<Option<[KeysetListFrame; 2]>, VerifierError> {
        let evidence = self.inner.store.load(Document::Fork).await?;
        evidence.map(|bytes| fork_frames(&bytes).ok_or(StoreError::Corrupt.into())).transpose()
    }

    /// What was served and is not settled, and how many payments wait for the mint.
    ///
    /// # Errors
    /// [`VerifierError::Store`].
    pub async fn totals(&self) -> Result<Totals, VerifierError> {
        Ok(self.inner.store.totals().await?)
    }

    /// Whether payments can be decided now: the store answers, and there are keysets to go by. The mint may be away.
    ///
    /// # Errors
    /// [`VerifierError::Store`], or [`VerifierError::MintUnavailable`] without a keyset list to trust.
    pub async fn ready(&self) -> Result<(), VerifierError> {
        self.inner.store.totals().await?;
        self.inner.keysets.trusted().map(|_| ()).map_err(|_| VerifierError::MintUnavailable)
    }

    /// How often something happened since the start.
    pub fn statistics(&self) -> Statistics {
        self.inner.counters.read()
    }

    /// Stops the background work and waits for what is on its way. What is undecided waits in the store for the next start, and whoever
    /// waits for it here is told so, as [`Verifier::refund`] and [`Verifier::flush_outbox`] are from then on.
    pub async fn shutdown(&self) {
        for task in self.tasks.take() {
            task.abort();
            // Cancelled, or ended before: either way it has let go of the store.
            let _ = task.await;
        }
        self.inner.outbox.idle().await;
    }
}

impl<S: Store> Inner<S> {
    /// Counts a store's failure on its way to a 503.
    ///
    /// Implements R-VERIF-08.
    fn stored<T>(&self, result: Result<T, StoreError>) -> Result<T, Refused> {
        result.map_err(|error| {
            self.counters.store_failure();
            tracing::error!(%error, "nothing is decided");
            Refused::store_unavailable()
        })
    }

    /// Implements R-VERIF-06.
    async fn claim(&self, checked: CheckedPayment) -> Result<Paid, Refused> {
        let now = checked.checked_at();
        let accept = self.on_trust(&checked, now).await?;
        let mut claim = checked.claim(accept);
        let mut record = claim.record.clone();
        let start = Instant::now();
        let mut outcome = self.stored(self.store.claim(claim).await)?;
        self.observed.claimed.since(start);
        if outcome == ClaimOutcome::LimitReached {
            self.counters.limit_reached();
            if self.config.when_limited == WhenLimited::Refuse {
                return Err(Refused::limit_reached());
            }
            claim = checked.claim(None);
            record = claim.record.clone();
            outcome = self.stored(self.store.claim(claim).await)?;
        }
        match outcome {
            ClaimOutcome::Claimed => {
                self.counters.claim();
                self.clock.claimed_at(now);
                if record.state == PaymentState::Accepted {
                    self.overdue.accepted(checked.id(), now);
                    // Nobody waits for it: the answer goes to the store.
                    drop(self.outbox.submit(checked.id(), checked.deposit()));
                }
                self.resume(checked.id(), record, checked.deposit()).await
            }
            ClaimOutcome::Known(record) => {
                self.counters.replay();
                self.resume(checked.id(), record, checked.deposit()).await
            }
            ClaimOutcome::Conflict(earlier) => {
                self.counters.conflict();
                let side = earlier.side().map_err(|_| Refused::store_unavailable())?;
                let proof = DoubleSpend::new(side, checked.spending()).map_err(|_| Refused::store_unavailable())?.to_frame();
                // The refusal stands, whether or not the proof could be kept.
                let _ = self.stored(self.store.keep_proof(proof.clone()).await);
                Err(Refused::double_spend(proof))
            }
            ClaimOutcome::ChallengeUsed => Err(Refused::invalid_challenge("challenge-unknown")),
            ClaimOutcome::LimitReached => Err(Refused::store_unavailable()),
        }
    }

    /// Within which limits a payment may be accepted before the mint is asked; `None` if the mint is to be asked first.
    ///
    /// Implements R-VERIF-40.
    async fn on_trust(&self, checked: &CheckedPayment, now: u64) -> Result<Option<(RiskLimits, u64)>, Refused> {
        let Mode::Deferred(limits) = &self.config.mode else { return Ok(None) };
        if !checked.depositable() {
            return Ok(None);
        }
        if self.filters.hit(checked.spending().list()) {
            self.counters.filter_hit();
            return Ok(None);
        }
        let window = now - now % limits.window.as_secs().max(1);
        if self.stored(self.overdue.is_overdue(&*self.store, self.config.overdue.as_secs(), now).await)? {
            self.counters.mint_overdue();
            // No room for anything: whatever the store knows of the payment still comes first.
            return Ok(Some((RiskLimits { outstanding: Amount::ZERO, per_window: Amount::ZERO }, window)));
        }
        Ok(Some((RiskLimits { outstanding: limits.outstanding, per_window: limits.per_window }, window)))
    }

    /// Answers by a payment's state; a pending one asks the mint, together with whoever asks already.
    ///
    /// Implements R-VERIF-05.
    async fn resume(&self, payment: PaymentId, mut record: PaymentRecord, deposit: &Deposit) -> Result<Paid, Refused> {
        if record.state == PaymentState::Pending {
            // A queue in front of the mint must not keep a reader for ever.
            let patience = self.config.mint_timeout + Duration::from_secs(2);
            record.state = match tokio::time::timeout(patience, self.outbox.settle(payment, deposit)).await {
                Ok(Ok(state)) => state,
                Ok(Err(Undecided::Mint)) => return Err(Refused::mint_unavailable()),
                Ok(Err(Undecided::Store)) => return Err(Refused::store_unavailable()),
                Err(_) => return Err(Refused::pending()),
            };
        }
        served_state(&record.state)?;
        if record.state.serves() { Ok(Paid::new(payment, &record, false, self.clock.now(), &self.config)) } else { Err(Refused::pending()) }
    }

    async fn reread(&self, reread: &FreshReread) -> Result<Paid, Refused> {
        let record = self.stored(self.store.payment(reread.payment()).await)?.ok_or(Refused::verification("reread-unknown"))?;
        reread.verify(&record, self.clock.now())?;
        // After the proof, so that only who could read again can write here.
        if !self.stored(self.store.use_challenge(reread.challenge()).await)? {
            return Err(Refused::invalid_challenge("challenge-unknown"));
        }
        self.counters.reread();
        Ok(Paid::new(reread.payment(), &record, true, self.clock.now(), &self.config))
    }
}

/// The name of a state that serves or may come to serve.
fn served_state(state: &PaymentState) -> Result<&'static str, Refused> {
    match state {
        PaymentState::Settled => Ok("settled"),
        PaymentState::Accepted => Ok("accepted"),
        PaymentState::Pending => Ok("pending"),
        PaymentState::Refused(RefusedBecause::DoubleSpent(proof)) => Err(Refused::double_spend((**proof).clone())),
        PaymentState::Refunded => Err(Refused::refunded()),
        PaymentState::Refused(RefusedBecause::Refusal(refusal)) => Err(Refused::refusal(*refusal)),
    }
}

/// Rounded up to the full hour: a finer time would tell the mint when the article was read.
fn deposit_by(expires: u64, mode: &Mode) -> u64 {
    expires.saturating_add(mode.deposit_margin()).div_ceil(3_600).saturating_mul(3_600)
}
