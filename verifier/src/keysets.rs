//! Which keys are trusted: the mint's list under the pinned root key, followed, never replaced.
//!
//! A list is verified, must continue the one known and the one that is stored, is stored, and only then used. Two signed lists that
//! contradict each other mean that the mint shows different keys to different people: both are kept as evidence, and the verifier stops
//! accepting for good.
//!
//! Instances on one store are such different people. Each compares what it follows with what is stored, whenever it asks the mint: a
//! longer list is taken, a shorter one is replaced, and evidence that any of them has kept stops all.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use farthing_protocol::error::KeysetError;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::spending::KeyTable;
use farthing_protocol::wire::{Frame, KeysetListFrame};
use tokio::time::Instant;

use crate::error::{Refused, VerifierError};
use crate::mint_client::{MintClient, MintError};
use crate::store::{Document, Store, StoreError};

/// A verified list with its keys prepared.
pub(crate) struct Trusted {
    pub(crate) list: KeysetList,
    pub(crate) table: KeyTable,
}

impl Trusted {
    fn new(list: KeysetList) -> Arc<Self> {
        let table = list.key_table();
        Arc::new(Self { list, table })
    }
}

#[derive(Clone)]
enum State {
    /// No list yet: the mint was never reached.
    Unknown,
    Following(Arc<Trusted>),
    Forked,
}

pub(crate) struct Keysets<S> {
    root: Point,
    mint: Arc<MintClient>,
    store: Arc<S>,
    state: RwLock<State>,
    /// When the list was asked for last, whatever came of it. Held while asking, so that one fetch serves all who wait.
    asked: tokio::sync::Mutex<Option<Instant>>,
    /// The least time between two fetches that payments can cause.
    pause: Duration,
}

impl<S: Store> Keysets<S> {
    /// Takes up where the store left off.
    pub(crate) async fn open(root: Point, mint: Arc<MintClient>, store: Arc<S>, pause: Duration) -> Result<Self, VerifierError> {
        let state = if store.load(Document::Fork).await?.is_some() {
            State::Forked
        } else {
            match store.load(Document::Keysets).await? {
                Some(bytes) => {
                    let frame = KeysetListFrame::from_bytes(&bytes).map_err(|_| StoreError::Corrupt)?;
                    State::Following(Trusted::new(KeysetList::verify(&frame, &root)?))
                }
                None => State::Unknown,
            }
        };
        Ok(Self { root, mint, store, state: RwLock::new(state), asked: tokio::sync::Mutex::new(None), pause })
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The list to decide by.
    ///
    /// # Errors
    /// `mint-unavailable` if there is none, or two.
    pub(crate) fn trusted(&self) -> Result<Arc<Trusted>, Refused> {
        match self.state() {
            State::Following(trusted) => Ok(trusted),
            State::Unknown | State::Forked => Err(Refused::mint_unavailable()),
        }
    }

    pub(crate) fn is_forked(&self) -> bool {
        matches!(self.state(), State::Forked)
    }

    /// Fetches the list and follows it, and the one that other instances have stored. A mint that has lost the end of it, as after a
    /// restore, is shown the one that is known here.
    ///
    /// Implements R-VERIF-42.
    ///
    /// # Errors
    /// [`VerifierError::MintUnavailable`], [`VerifierError::Keysets`], [`VerifierError::Store`]; what was trusted before stays so, except
    /// after [`KeysetError::Forked`].
    pub(crate) async fn refresh(&self) -> Result<(), VerifierError> {
        let mut asked = self.asked.lock().await;
        *asked = Some(Instant::now());
        self.fetch().await
    }

    /// Fetches the list because a payment names a keyset that is not on it, if that was not tried a moment ago.
    pub(crate) async fn refresh_for_unknown(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < self.pause) {
            return;
        }
        *asked = Some(Instant::now());
        report(&self.fetch().await);
    }

    async fn fetch(&self) -> Result<(), VerifierError> {
        let known = match self.state() {
            State::Forked => return Err(KeysetError::Forked.into()),
            State::Following(trusted) => Some(trusted.list.clone()),
            State::Unknown => None,
        };
        // First, so that it happens while the mint is away as well.
        let known = self.agree(known).await?;
        let mut frame = self.mint.keysets().await.map_err(|error: MintError| {
            if error != MintError::Unavailable {
                tracing::warn!("the mint's keyset list cannot be read");
            }
            VerifierError::MintUnavailable
        })?;
        let mut followed = match &known {
            Some(known) => known.follow(&frame),
            None => KeysetList::verify(&frame, &self.root),
        };
        if let (Err(KeysetError::Shortened), Some(known)) = (&followed, &known) {
            tracing::warn!("the mint has lost keysets that it has announced: it is shown them");
            if let Ok(shown) = self.mint.show_keysets(&known.to_frame()).await {
                followed = known.follow(&shown);
                frame = shown;
            }
        }
        match (followed, &known) {
            (Err(KeysetError::Forked), Some(known)) => Err(self.fork(known, &frame).await),
            (Ok(list), Some(known)) if list.head() == known.head() => Ok(()),
            // Another instance may have been shown another list meanwhile.
            (list, _) => self.agree(Some(list?)).await.map(drop),
        }
    }

    /// Compares a list with what is stored, stores it if it is the longer one, and follows the one that stands then.
    ///
    /// The first list is stored in one atomic write. A later one is read, compared and written, and another instance may write in
    /// between. The list written over is then lost from the store, not from the instance that follows it: that one finds the contradiction
    /// when it next asks the mint, if it still runs by then.
    ///
    /// Implements R-VERIF-43.
    ///
    /// # Errors
    /// [`VerifierError::Store`]; [`KeysetError::Forked`] if the two contradict each other, or if evidence is stored that the mint has
    /// contradicted itself: then nothing is accepted any more.
    async fn agree(&self, list: Option<KeysetList>) -> Result<Option<KeysetList>, VerifierError> {
        if self.store.load(Document::Fork).await?.is_some() {
            self.set(State::Forked);
            tracing::error!("another instance has kept two different keyset lists of the mint: nothing is accepted any more");
            return Err(KeysetError::Forked.into());
        }
        let stored = match (self.store.load(Document::Keysets).await?, &list) {
            (Some(stored), _) => stored,
            (None, Some(list)) => self.store.save_first(Document::Keysets, list.to_frame().to_bytes()).await?,
            (None, None) => return Ok(None),
        };
        let stored = KeysetListFrame::from_bytes(&stored).map_err(|_| StoreError::Corrupt)?;
        let stands = match &list {
            Some(list) => list.follow(&stored),
            None => KeysetList::verify(&stored, &self.root),
        };
        let stands = match (stands, list) {
            (Err(KeysetError::Forked), Some(list)) => return Err(self.fork(&list, &stored).await),
            (Err(KeysetError::Shortened), Some(list)) => {
                self.store.save(Document::Keysets, list.to_frame().to_bytes()).await?;
                list
            }
            (stands, _) => stands?,
        };
        if !matches!(self.state(), State::Following(trusted) if trusted.list.head() == stands.head()) {
            self.set(State::Following(Trusted::new(stands.clone())));
        }
        Ok(Some(stands))
    }

    /// Stops for good, and keeps the evidence; whoever finds some first keeps it for all.
    async fn fork(&self, known: &KeysetList, other: &KeysetListFrame) -> VerifierError {
        // Stop first: if the evidence cannot be stored, stopping still counts until the next start, which asks again.
        self.set(State::Forked);
        tracing::error!("the mint has signed two different keyset lists: nothing is accepted any more");
        let mut evidence = Vec::new();
        for bytes in [known.to_frame().to_bytes(), other.to_bytes()] {
            evidence.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            evidence.extend_from_slice(&bytes);
        }
        match self.store.save_first(Document::Fork, evidence).await {
            Ok(_) => KeysetError::Forked.into(),
            Err(error) => error.into(),
        }
    }

    /// Asks again and again.
    pub(crate) async fn follow(&self, interval: Duration, first: Duration) {
        let mut pause = if matches!(self.state(), State::Unknown) { first } else { interval };
        loop {
            tokio::time::sleep(pause).await;
            let refreshed = self.refresh().await;
            // Without a list nothing can be sold: ask more often.
            pause = if matches!(self.state(), State::Unknown) { (pause * 2).min(interval) } else { interval };
            report(&refreshed);
        }
    }
}

fn report(refreshed: &Result<(), VerifierError>) {
    match refreshed {
        Ok(()) => {}
        Err(VerifierError::Keysets(error)) => tracing::error!(code = error.code(), "the mint's keyset list is refused"),
        Err(VerifierError::Store(_)) => tracing::error!("the stored keyset list cannot be read, or not be replaced"),
        Err(_) => tracing::warn!("the mint's keyset list cannot be fetched"),
    }
}

/// Splits the evidence of a fork into its two frames.
///
/// Implements R-KEYSET-09.
pub(crate) fn fork_frames(evidence: &[u8]) -> Option<[KeysetListFrame; 2]> {
    let (length, rest) = evidence.split_first_chunk::<8>()?;
    let (first, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (length, second) = rest.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*length) != second.len() as u64 {
        return None;
    }
    Some([KeysetListFrame::from_bytes(first).ok()?, KeysetListFrame::from_bytes(second).ok()?])
}
