//! The server loop: bounded connections, bounded patience, and an end that finishes what it began.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use super::clients::{Clients, Connected, Peer};
use super::patience::{Arriving, Line, Lines, Phase};
use crate::config::Limits;

/// How long requests being answered may take once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

/// Pause after a failed accept, such as for want of file descriptors, and between two looks for a place.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is done, and until what was begun is answered.
///
/// Implements R-SERV-03, R-SERV-04.
///
/// # Errors
/// When the listener has no address, so that nothing could ever be accepted.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.local_addr()?;
    let most = u32::try_from(limits.connections).unwrap_or(u32::MAX >> 3);
    let places = Arc::new(Semaphore::new(most as usize));
    let (lines, clients) = (Arc::new(Lines::default()), Clients::new(&limits.client));
    let (stop, stopping) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Some(connected) = clients.connect(peer.ip()) else { continue };
        // Whoever comes after this one waits in the system's queue, which is bounded.
        let place = tokio::select! {
            place = place(&places, &lines) => place,
            () = &mut shutdown => break,
        };
        let Some(place) = place else { break };
        // Small answers must not wait for more to come.
        drop(stream.set_nodelay(true));
        let connection = Connection {
            line: lines.add(),
            peer: Peer(peer.ip()),
            router: router.clone(),
            header_time: limits.header_time,
            answer_time: limits.answer_time,
            stopping: stopping.clone(),
            held: (place, connected),
        };
        tokio::spawn(connection.run(stream));
    }
    drop(listener);
    drop(stop);
    if tokio::time::timeout(LAST_ANSWERS, places.acquire_many(most)).await.is_err() {
        tracing::warn!("some connections were cut");
    }
    Ok(())
}

/// A place, at the cost of whoever has waited longest for its client.
async fn place(places: &Arc<Semaphore>, lines: &Lines) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        lines.close_one();
        if let Ok(place) = tokio::time::timeout(PAUSE, places.clone().acquire_owned()).await {
            return place.ok();
        }
    }
}

struct Connection {
    line: super::patience::Registered,
    peer: Peer,
    router: Router,
    header_time: Duration,
    answer_time: Duration,
    stopping: watch::Receiver<()>,
    held: (OwnedSemaphorePermit, Connected),
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let Self { line: registered, peer, router, header_time, answer_time, mut stopping, held } = self;
        let line = &registered.line;
        let service = hyper::service::service_fn(|request: Request<Incoming>| answer(router.clone(), line.clone(), peer, request));
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(header_time).max_buf_size(64 << 10);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut looks = tokio::time::interval(answer_time.min(Duration::from_secs(1)));
        let mut ending = false;
        loop {
            tokio::select! {
                // How a connection ends is the client's affair, and its address is nobody's.
                _ = connection.as_mut() => break,
                () = line.close.notified() => break,
                _ = stopping.changed(), if !ending => {
                    ending = true;
                    // Nothing was begun on it.
                    if line.phase().0 == Phase::Head {
                        break;
                    }
                    connection.as_mut().graceful_shutdown();
                }
                _ = looks.tick() => {
                    let (phase, since) = line.phase();
                    if phase == Phase::Answer && since.elapsed() > answer_time {
                        break;
                    }
                }
            }
        }
        drop(held);
    }
}

async fn answer(router: Router, line: Arc<Line>, peer: Peer, request: Request<Incoming>) -> Result<Response, Infallible> {
    let mut request = request.map(|body| Arriving::body(body, &line));
    request.extensions_mut().insert(peer);
    let answered = router.oneshot(request).await;
    line.enter(Phase::Answer);
    answered
}
