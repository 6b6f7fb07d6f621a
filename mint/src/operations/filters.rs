//! Filters of spent tokens, for verifiers that serve before they deposit: made from the ledger's own order, the same at every process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use farthing_protocol::filter::{SpentSegment, plan};
use farthing_protocol::keyset::Keyset;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{OperationError, Operations};
use crate::config::base64url;
use crate::store::LedgerError;

/// New segments are published this often, in seconds: what comes back in between is in the next ones.
pub const SLOT: u64 = 30;

/// So much later than a slot's end, in seconds, everything booked in it stands in the ledger, nearly always: all processes then publish the same.
const SETTLED: u64 = 5;

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
    bytes: HashMap<String, Bytes>,
}

/// The filters of every keyset whose tokens still come back. Some 2.4 bytes a spent token.
#[derive(Default)]
pub(super) struct Filters {
    published: RwLock<HashMap<u64, Arc<Published>>>,
    /// The slot that was published last. Held while publishing.
    slot: tokio::sync::Mutex<Option<u64>>,
}

impl Filters {
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
                let marks = self.ledger.spent_marks(row, first, first + count).await?;
                let id = keyset.id();
                // One at a time, beside the workers: at a start there are many, and nobody waits for them.
                let built = tokio::task::spawn_blocking(move || SpentSegment::build(id, first, marks).map(|segment| segment.to_bytes()));
                let bytes = built.await.ok().flatten().ok_or(OperationError::Unavailable)?;
                (ListedSegment { first, count, digest: base64url(&Sha256::digest(&bytes)) }, bytes.into())
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

    /// The segments of the keyset with this number. `None` if there is no such keyset; one of which nothing came back, or nothing does any
    /// more, has none.
    pub fn spent_index(&self, keyset: u64) -> Option<SpentIndex> {
        let known = self.list().keysets().iter().any(|known| known.number() == keyset);
        known.then(|| self.filters.of(keyset).map(|published| published.index.clone()).unwrap_or_default())
    }

    /// A segment's bytes by its digest, if it is listed or was a moment ago.
    pub fn spent_segment(&self, keyset: u64, digest: &str) -> Option<Bytes> {
        self.filters.of(keyset)?.bytes.get(digest).cloned()
    }
}
