//! The server loop: bounded connections, bounded patience, and an end that finishes what it began.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::Limits;

/// How long requests being answered may take once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

/// Pause after a failed accept, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is done.
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
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Whoever finds no place waits in the system's queue, which is bounded.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.map_err(|_| io::ErrorKind::Other)?,
            () = &mut shutdown => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Small answers must not wait for more to come.
        drop(stream.set_nodelay(true));
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limits.header_time).max_buf_size(64 << 10);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let watched = open.watch(connection);
        tokio::spawn(async move {
            // How a connection ends is the client's affair, and its address is nobody's.
            drop(watched.await);
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(LAST_ANSWERS, open.shutdown()).await.is_err() {
        tracing::warn!("some connections were cut");
    }
    Ok(())
}
