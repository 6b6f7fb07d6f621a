//! Which keys are trusted: the mint's list under the pinned root key, followed, never replaced.
//!
//! A list is verified, must continue the one known, is stored, and only then used. Two signed lists that contradict each other mean that
//! the mint shows different keys to different people: both are kept as evidence, and the verifier stops accepting for good.

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
use crate::store::{Document, Store};

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
                    let frame = KeysetListFrame::from_bytes(&bytes).map_err(|_| crate::store::StoreError::Corrupt)?;
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

    /// Fetches the list and follows it. A mint that has lost the end of it, as after a restore, is shown the one that is known here.
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
            State::Following(trusted) => Some(trusted),
            State::Unknown => None,
        };
        let mut frame = self.mint.keysets().await.map_err(|error: MintError| {
            if error != MintError::Unavailable {
                tracing::warn!("the mint's keyset list cannot be read");
            }
            VerifierError::MintUnavailable
        })?;
        let mut followed = match &known {
            Some(trusted) => trusted.list.follow(&frame),
            None => KeysetList::verify(&frame, &self.root),
        };
        if let (Err(KeysetError::Shortened), Some(trusted)) = (&followed, &known) {
            tracing::warn!("the mint has lost keysets that it has announced: it is shown them");
            if let Ok(shown) = self.mint.show_keysets(&trusted.list.to_frame()).await {
                followed = trusted.list.follow(&shown);
                frame = shown;
            }
        }
        let list = match (followed, known) {
            (Err(KeysetError::Forked), Some(trusted)) => {
                // Stop first: if the evidence cannot be stored, stopping still counts until the next start, which asks again.
                self.set(State::Forked);
                tracing::error!("the mint has signed two different keyset lists: nothing is accepted any more");
                let mut evidence = Vec::new();
                for bytes in [trusted.list.to_frame().to_bytes(), frame.to_bytes()] {
                    evidence.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                    evidence.extend_from_slice(&bytes);
                }
                self.store.save(Document::Fork, evidence).await?;
                return Err(KeysetError::Forked.into());
            }
            (Ok(list), Some(trusted)) if list.head() == trusted.list.head() => return Ok(()),
            (list, _) => list?,
        };
        self.store.save(Document::Keysets, frame.to_bytes()).await?;
        self.set(State::Following(Trusted::new(list)));
        Ok(())
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
        Err(VerifierError::Store(_)) => tracing::error!("the keyset list cannot be stored"),
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
