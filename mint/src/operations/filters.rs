//! Filters of spent tokens, for verifiers that serve before they deposit: made from the ledger's own order, the same at every process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use farthing_protocol::filter::plan;
use farthing_protocol::keyset::Keyset;
use farthing_protocol::proof::KeysetId;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::builder::{Builder, Building};
use super::{OperationError, Operations};
use crate::config::base64url;
use crate::scratch::{Scratch, ScratchFile};
use crate::store::LedgerError;

/// New segments are published this often, in seconds: what comes back in between is in the next ones.
pub const SLOT: u64 = 30;

/// So much later than a slot's end, in seconds, everything booked in it stands in the ledger, nearly always: all processes then publish the same.
const SETTLED: u64 = 5;

/// Segments of so many tokens and more are kept in files: what is in memory is the same for ten million tokens as for one (decision 52).
const LONG: u64 = 1 << 16;

/// Tokens that are read from the ledger at a time.
const PIECE: u64 = 1 << 15;

/// A segment as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedSegment {
    /// The number of its first token.
    pub first: u64,
    /// How many tokens it holds.
    pub count: u64,
    /// SHA-256 of its bytes, base64url: the name it is fetched by.
    pub digest: String,
}

/// The segments of a keyset's spent tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpentIndex {
    /// How many tokens they hold together.
    pub count: u64,
    /// Every segment, in order.
    pub segments: Vec<ListedSegment>,
}

/// What a keyset's filters are at the moment.
#[derive(Clone, Default)]
struct Published {
    index: SpentIndex,
    /// The bytes of the segments listed, and of those listed before, which somebody may be fetching.
    bytes: HashMap<String, SegmentBytes>,
}

/// Where a segment's bytes are.
#[derive(Clone)]
pub enum SegmentBytes {
    /// In memory.
    Short(Bytes),
    /// In a file of the process's own.
    Long(ScratchFile),
}

/// The filters of every keyset whose tokens still come back. Some 2.4 bytes a spent token, nearly all of them on the disk.
pub(super) struct Filters {
    published: RwLock<HashMap<u64, Arc<Published>>>,
    /// The slot that was published last. Held while publishing.
    slot: tokio::sync::Mutex<Option<u64>>,
    builder: Builder,
    scratch: Arc<Scratch>,
}

impl Filters {
    pub(super) fn new(scratch: Scratch) -> Self {
        Self { published: RwLock::default(), slot: tokio::sync::Mutex::default(), builder: Builder::default(), scratch: Arc::new(scratch) }
    }

    fn of(&self, keyset: u64) -> Option<Arc<Published>> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).get(&keyset).cloned()
    }
}

impl Operations {
    /// Publishes what came back since, once a slot.
    ///
    /// Implements R-FILTER-04.
    ///
    /// # Errors
    /// [`OperationError`]; what was published before stays.
    pub(crate) async fn publish_filters(&self) -> Result<(), OperationError> {
        let slot = self.clock.roughly().saturating_sub(SETTLED) / SLOT;
        let mut last = self.filters.slot.lock().await;
        if *last == Some(slot) {
            return Ok(());
        }
        let list = self.list();
        let alive = |keyset: &&Keyset| keyset.depositable_at(self.clock.roughly());
        let mut kept = Vec::new();
        for keyset in list.keysets().iter().filter(alive) {
            self.publish_keyset(keyset, slot * SLOT).await?;
            kept.push(keyset.number());
        }
        self.filters.published.write().unwrap_or_else(PoisonError::into_inner).retain(|number, _| kept.contains(number));
        *last = Some(slot);
        Ok(())
    }

    async fn publish_keyset(&self, keyset: &Keyset, until: u64) -> Result<(), OperationError> {
        let row = u32::try_from(keyset.number()).map_err(|_| LedgerError::Corrupt("a keyset number"))?;
        let before = self.filters.of(keyset.number()).unwrap_or_default();
        let count = self.ledger.spent_before(row, until).await?;
        if count == before.index.count {
            return Ok(());
        }
        let mut next = Published { index: SpentIndex { count, segments: Vec::new() }, bytes: HashMap::new() };
        for (first, count) in plan(count) {
            let same = before.index.segments.iter().find(|segment| (segment.first, segment.count) == (first, count));
            let (segment, bytes) = if let Some(segment) = same
                && let Some(bytes) = before.bytes.get(&segment.digest)
            {
                (segment.clone(), bytes.clone())
            } else {
                let built = self.build_segment(keyset.id(), row, first, count).await?;
                (ListedSegment { first, count, digest: base64url(&Sha256::digest(&built)) }, self.put_away(count, built).await?)
            };
            next.bytes.insert(segment.digest.clone(), bytes);
            next.index.segments.push(segment);
        }
        for segment in &before.index.segments {
            if let Some(bytes) = before.bytes.get(&segment.digest) {
                next.bytes.entry(segment.digest.clone()).or_insert_with(|| bytes.clone());
            }
        }
        self.filters.published.write().unwrap_or_else(PoisonError::into_inner).insert(keyset.number(), Arc::new(next));
        Ok(())
    }

    /// Reads a segment's tokens and builds it, beside the workers: at a start there are many, and nobody waits for them.
    async fn build_segment(&self, keyset: KeysetId, row: u32, first: u64, count: u64) -> Result<Vec<u8>, OperationError> {
        let Building { marks: pieces, bytes } = self.filters.builder.begin(keyset, first, count).ok_or(OperationError::Unavailable)?;
        let end = first + count;
        let mut from = first;
        while from < end {
            // Always a row of its own: rows end at every multiple of 1,024.
            let until = (from + PIECE).min(end);
            let marks = self.ledger.spent_marks(row, from, until).await?;
            pieces.send(marks).map_err(|_| OperationError::Unavailable)?;
            from = until;
        }
        drop(pieces);
        bytes.await.ok().flatten().ok_or(OperationError::Unavailable)
    }

    async fn put_away(&self, count: u64, bytes: Vec<u8>) -> Result<SegmentBytes, OperationError> {
        if count < LONG {
            return Ok(SegmentBytes::Short(bytes.into()));
        }
        let scratch = Arc::clone(&self.filters.scratch);
        let kept = tokio::task::spawn_blocking(move || scratch.keep(&bytes)).await;
        kept.ok().and_then(Result::ok).map(SegmentBytes::Long).ok_or(OperationError::Unavailable)
    }

    /// The segments of the keyset with this number. `None` if there is no such keyset; one of which nothing came back, or nothing does any
    /// more, has none.
    pub fn spent_index(&self, keyset: u64) -> Option<SpentIndex> {
        let known = self.list().keysets().iter().any(|known| known.number() == keyset);
        known.then(|| self.filters.of(keyset).map(|published| published.index.clone()).unwrap_or_default())
    }

    /// A segment's bytes by its digest, if it is listed or was a moment ago.
    pub fn spent_segment(&self, keyset: u64, digest: &str) -> Option<SegmentBytes> {
        self.filters.of(keyset)?.bytes.get(digest).cloned()
    }
}
