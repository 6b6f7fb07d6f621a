//! Which tokens were probably spent elsewhere: the mint's filters, followed in the background of the deferred mode.
//!
//! A hit sends one payment to the mint first. Nothing else depends on a filter: without one, or with an old or a made-up one, payments are
//! accepted within the limits or settled first, never refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::filter::{SpentMark, SpentSegment};
use farthing_protocol::keyset::Keyset;
use farthing_protocol::proof::{KeysetId, SpentKey};
use sha2::{Digest, Sha256};

use crate::config::VerifierConfig;
use crate::keysets::{Keysets, Trusted};
use crate::mint_client::{ListedSegment, MintClient, MintError};
use crate::store::Store;

/// The most that all segments may take in memory, in bytes: some 110 million tokens. What the mint lists beyond is not held.
const MOST_BYTES: usize = 256 << 20;

/// The most segments of a keyset: with fifty million tokens it has 58. A look-up asks every one.
const MOST_SEGMENTS: usize = 512;

/// What is held of one keyset.
#[derive(Clone, Default)]
struct Followed {
    /// Whether it is all that the mint lists.
    whole: bool,
    tag: Option<String>,
    segments: HashMap<[u8; 32], Arc<SpentSegment>>,
}

impl Followed {
    fn size(&self) -> usize {
        self.segments.values().map(|segment| segment.size()).sum()
    }
}

/// What is held of the mint's filters of spent tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterState {
    /// Segments, of all keysets.
    pub segments: u64,
    /// Spent tokens in them, as the mint counts.
    pub tokens: u64,
    /// Memory they take, in bytes, nearly.
    pub bytes: u64,
    /// Seconds since all of it was as the mint publishes it; `None` if it never was.
    pub age: Option<u64>,
}

pub(crate) struct Filters {
    mint: Arc<MintClient>,
    held: RwLock<HashMap<KeysetId, Followed>>,
    /// When all that the mint lists was held, Unix time in seconds; 0 for never.
    whole_at: AtomicU64,
    /// Held while asking, so that an older answer never replaces a newer one.
    asking: tokio::sync::Mutex<()>,
}

impl Filters {
    pub(crate) fn new(mint: Arc<MintClient>) -> Self {
        Self { mint, held: RwLock::default(), whole_at: AtomicU64::new(0), asking: tokio::sync::Mutex::default() }
    }

    /// Whether one of the tokens was probably spent before, somewhere.
    ///
    /// Implements R-FILTER-05.
    pub(crate) fn hit(&self, tokens: &[SpentKey]) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().any(|token| {
            let Some(followed) = held.get(&token.keyset).filter(|followed| !followed.segments.is_empty()) else { return false };
            let mark = SpentMark::of(token);
            followed.segments.values().any(|segment| segment.may_hold(mark))
        })
    }

    /// What is held now.
    pub(crate) fn state(&self, now: u64) -> FilterState {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let whole_at = self.whole_at.load(Ordering::Relaxed);
        let mut state = FilterState { age: (whole_at > 0).then(|| now.saturating_sub(whole_at)), ..FilterState::default() };
        for segment in held.values().flat_map(|followed| followed.segments.values()) {
            state.segments += 1;
            state.tokens = state.tokens.saturating_add(segment.range().1);
            state.bytes += segment.size() as u64;
        }
        state
    }

    /// Asks for every keyset whose tokens are accepted now, again and again.
    pub(crate) async fn follow<S: Store>(self: Arc<Self>, config: VerifierConfig, keysets: Arc<Keysets<S>>) {
        loop {
            if let Ok(trusted) = keysets.trusted() {
                self.refresh(&config, &trusted).await;
            }
            tokio::time::sleep(pause(config.filter_interval)).await;
        }
    }

    /// Asks once. What cannot be fetched or read is left for the next time, and what was held stays.
    pub(crate) async fn refresh(&self, config: &VerifierConfig, trusted: &Trusted) {
        let _asking = self.asking.lock().await;
        let now = config.clock.now();
        let spendable = |keyset: &&Keyset| *keyset.unit() == config.unit && keyset.spendable_at(now);
        let alive: Vec<&Keyset> = trusted.list.keysets().iter().filter(spendable).collect();
        self.held.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| alive.iter().any(|keyset| keyset.id() == *id));
        let mut whole = true;
        for keyset in &alive {
            let (before, others) = {
                let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
                let others = held.iter().filter(|(id, _)| **id != keyset.id()).map(|(_, followed)| followed.size()).sum::<usize>();
                (held.get(&keyset.id()).cloned().unwrap_or_default(), others)
            };
            match self.refreshed(keyset, before, MOST_BYTES.saturating_sub(others)).await {
                Ok(Some(followed)) => {
                    whole &= followed.whole;
                    self.held.write().unwrap_or_else(PoisonError::into_inner).insert(keyset.id(), followed);
                }
                Ok(None) => {}
                Err(_) => {
                    whole = false;
                    tracing::warn!("the mint's filter of spent tokens cannot be fetched");
                }
            }
        }
        if whole {
            self.whole_at.store(now, Ordering::Relaxed);
        }
    }

    /// What is to be held of a keyset now; `None` if nothing has changed.
    ///
    /// Implements R-FILTER-06.
    async fn refreshed(&self, keyset: &Keyset, before: Followed, room: usize) -> Result<Option<Followed>, MintError> {
        let Some((tag, listed)) = self.mint.spent_index(keyset.number(), before.tag.as_deref()).await? else { return Ok(None) };
        let (mut next, mut whole, mut size) = (Followed::default(), listed.len() <= MOST_SEGMENTS, 0);
        for listed in listed.iter().take(MOST_SEGMENTS) {
            let Some(digest) = digest_of(listed) else {
                whole = false;
                continue;
            };
            let segment = match before.segments.get(&digest) {
                Some(segment) => Some(Arc::clone(segment)),
                None => self.fetched(keyset, listed, digest).await,
            };
            let Some(segment) = segment.filter(|segment| size + segment.size() <= room) else {
                whole = false;
                continue;
            };
            size += segment.size();
            next.segments.insert(digest, segment);
        }
        next.whole = whole;
        if whole {
            next.tag = tag;
        } else {
            tracing::warn!("the mint's filter of spent tokens is not whole");
            // What is missing may be what the older segments hold.
            for (digest, segment) in before.segments {
                if size + segment.size() <= room && next.segments.len() < 2 * MOST_SEGMENTS && !next.segments.contains_key(&digest) {
                    size += segment.size();
                    next.segments.insert(digest, segment);
                }
            }
        }
        Ok(Some(next))
    }

    /// A segment that is what its name says and what the index says of it.
    async fn fetched(&self, keyset: &Keyset, listed: &ListedSegment, digest: [u8; 32]) -> Option<Arc<SpentSegment>> {
        let bytes = self.mint.spent_segment(keyset.number(), &listed.digest).await.ok()?;
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != digest {
            return None;
        }
        let segment = SpentSegment::from_bytes(&bytes)?;
        let fits = segment.keyset() == keyset.id() && segment.range() == (listed.first, listed.count);
        fits.then(|| Arc::new(segment))
    }
}

/// Not all verifiers of a mint at the same moment.
fn pause(interval: Duration) -> Duration {
    use rand::RngExt;
    interval.mul_f64(rand::rng().random_range(0.75..1.25))
}

/// The digest that names a segment, in its one spelling: it becomes part of a URL.
fn digest_of(listed: &ListedSegment) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let decoded = Base64UrlUnpadded::decode(&listed.digest, &mut digest).is_ok_and(|decoded| decoded.len() == 32);
    decoded.then_some(digest)
}
