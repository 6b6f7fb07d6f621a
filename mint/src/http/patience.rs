//! For whom a connection waits: for its client, or the client for the mint.
//!
//! ```text
//! Head ----request begins---> Body ----whole body is here---> Working ----answer is made---> Answer ----next request---> Body ..
//! ```
//!
//! A connection whose client is awaited costs a place and earns nothing. When places run out, the one that has waited longest is closed,
//! whatever it was sending so slowly; one that the mint works on never is.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

/// A client that was awaited for less than this is not closed in favour of another.
const GRACE: Duration = Duration::from_millis(500);

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first request's head.
    Head,
    /// The rest of a request's body.
    Body,
    /// The mint.
    Working,
    /// That the answer is read, or the next request.
    Answer,
}

/// One connection.
pub(super) struct Line {
    state: Mutex<(Phase, Instant)>,
    pub(super) close: Notify,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, phase: Phase) {
        *self.state() = (phase, Instant::now());
    }

    /// The phase and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        *self.state()
    }
}

/// All connections of a listener.
///
/// Implements R-SERV-03.
#[derive(Default)]
pub(super) struct Lines {
    open: Mutex<(u64, HashMap<u64, Arc<Line>>)>,
}

impl Lines {
    fn open(&self) -> MutexGuard<'_, (u64, HashMap<u64, Arc<Line>>)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    pub(super) fn add(self: &Arc<Self>) -> Registered {
        let line = Arc::new(Line { state: Mutex::new((Phase::Head, Instant::now())), close: Notify::new() });
        let mut open = self.open();
        open.0 += 1;
        let id = open.0;
        open.1.insert(id, line.clone());
        Registered { line, id, lines: self.clone() }
    }

    /// Closes the connection that has waited longest for its client; does nothing if none has waited long enough.
    pub(super) fn close_one(&self) {
        let mut open = self.open();
        let waiting = open.1.iter().filter_map(|(id, line)| {
            let (phase, since) = line.phase();
            (phase != Phase::Working && since.elapsed() >= GRACE).then_some((since, *id))
        });
        let Some((_, id)) = waiting.min() else { return };
        // Once closed it is closed no more.
        if let Some(line) = open.1.remove(&id) {
            line.close.notify_one();
        }
    }
}

/// A connection among the others, until it is dropped.
pub(super) struct Registered {
    pub(super) line: Arc<Line>,
    id: u64,
    lines: Arc<Lines>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.lines.open().1.remove(&self.id);
    }
}

/// A request's body, which tells when it has arrived.
pub(super) struct Arriving<B> {
    inner: B,
    line: Arc<Line>,
}

impl<B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static> Arriving<B> {
    pub(super) fn body(inner: B, line: &Arc<Line>) -> Body {
        line.enter(if inner.is_end_stream() { Phase::Working } else { Phase::Body });
        Body::new(Self { inner, line: line.clone() })
    }
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Arriving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let whole = matches!(polled, Poll::Ready(None)) || matches!(polled, Poll::Ready(Some(Ok(_)))) && self.inner.is_end_stream();
        if whole {
            self.line.enter(Phase::Working);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
