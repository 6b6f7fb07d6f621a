//! Who builds filters: one thread, as long as the mint is open.
//!
//! A filter of a million tokens takes some 30 MiB while it is built, and an allocator leaves with a thread what that thread gave back. On
//! whichever thread is free this adds up over all of them (decision 52).

use std::sync::{Mutex, PoisonError, mpsc};

use farthing_protocol::filter::{SpentMark, SpentSegment};
use farthing_protocol::proof::KeysetId;
use tokio::sync::oneshot;

/// A segment to be built.
struct Order {
    keyset: KeysetId,
    first: u64,
    count: u64,
    /// Its tokens, in pieces.
    marks: mpsc::Receiver<Vec<SpentMark>>,
    done: oneshot::Sender<Option<Vec<u8>>>,
}

/// A segment under way.
pub(super) struct Building {
    /// Takes its tokens, piece by piece.
    pub(super) marks: mpsc::Sender<Vec<SpentMark>>,
    /// Its bytes, once the other end is dropped; `None` if the tokens are fewer or more than was said, or no filter.
    pub(super) bytes: oneshot::Receiver<Option<Vec<u8>>>,
}

/// The thread, once there is something to build.
#[derive(Default)]
pub(super) struct Builder(Mutex<Option<mpsc::Sender<Order>>>);

impl Builder {
    /// Begins a segment. `None` if there can be no thread.
    pub(super) fn begin(&self, keyset: KeysetId, first: u64, count: u64) -> Option<Building> {
        let ((sender, marks), (done, bytes)) = (mpsc::channel(), oneshot::channel());
        let order = Order { keyset, first, count, marks, done };
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match &*thread {
            Some(orders) => orders.send(order),
            None => Err(mpsc::SendError(order)),
        };
        // There is none yet, or it has panicked: a filter less is no reason to publish none any more.
        if let Err(mpsc::SendError(order)) = sent {
            let (orders, receiver) = mpsc::channel();
            orders.send(order).ok()?;
            // It ends when the other end is dropped with the operations.
            std::thread::Builder::new().name("filters".into()).spawn(move || receiver.into_iter().for_each(Order::work)).ok()?;
            *thread = Some(orders);
        }
        Some(Building { marks: sender, bytes })
    }
}

impl Order {
    fn work(self) {
        let Self { keyset, first, count, marks, done } = self;
        let mut all = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        for mut piece in marks {
            all.append(&mut piece);
        }
        let whole = all.len() as u64 == count;
        let segment = whole.then(|| SpentSegment::build(keyset, first, all)).flatten();
        // Nobody may be waiting any more.
        let _ = done.send(segment.map(|segment| segment.to_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYSET: KeysetId = KeysetId([1; 32]);

    async fn build(builder: &Builder, count: u64, marks: u64) -> Option<Vec<u8>> {
        let Building { marks: pieces, bytes } = builder.begin(KEYSET, 0, count).unwrap();
        for mark in 0..marks {
            pieces.send(vec![SpentMark::from_bytes(mark.to_le_bytes())]).unwrap();
        }
        drop(pieces);
        bytes.await.unwrap()
    }

    #[tokio::test]
    async fn only_whole_segments_are_built() {
        let builder = Builder::default();
        let segment = SpentSegment::from_bytes(&build(&builder, 3, 3).await.unwrap()).unwrap();
        assert_eq!((segment.keyset(), segment.range()), (KEYSET, (0, 3)));
        assert_eq!((build(&builder, 3, 2).await, build(&builder, 3, 4).await), (None, None));
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_is_replaced() {
        let builder = Builder::default();
        // The other end of a thread that has ended.
        *builder.0.lock().unwrap() = Some(mpsc::channel().0);
        assert!(build(&builder, 2, 2).await.is_some());
    }
}
