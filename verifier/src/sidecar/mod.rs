//! The verifier beside a reverse proxy, for publishers whose backend is not written in Rust.
//!
//! ```text
//! reader --> proxy -- may this request pass? --> farthing-verifier serve
//!              |      200 with trust headers and receipt: it goes on to the backend
//!              |      402 with the price, as it is, to the reader
//!              |      anything else: nothing is decided, nothing is served
//!              v
//!            backend
//! ```
//!
//! | path | answers |
//! |---|---|
//! | `/v1/auth` | 200, the canonical 402, 503 when it cannot decide, 400 or 403 when the question is none |
//! | `/v1/envoy/..` | the same, for Envoy, which puts the prefix before the reader's path |
//! | `/v1/paywall` | the same, but never 200: for nginx, which cannot pass a subrequest's 402 on |
//! | `/v1/verify`, `/v1/settle`, `/v1/release` | a backend that asks by itself, in JSON |
//! | `/v1/preflight` | 204: a browser asks whether a page of another origin may pay |
//! | `/livez`, `/readyz` | 200 or 503 |
//!
//! # Security
//! Whoever is trusted as a peer decides what a request is. A request goes around the sidecar if the proxy lets it: the backend must be
//! reachable through the proxy only, and the proxy must overwrite the headers it passes on.

mod answers;
mod api;
mod command;
mod control;
mod evidence;
mod metrics;
mod original;
mod release;
mod settings;

use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::routing::{any, get, post};
use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use http::request::Parts;
use http::{Response, StatusCode};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener, UnixStream};

pub use command::run;
pub use original::{Proxy, TrustedPeers};
pub use settings::{Listen, Settings};

use crate::decision::Decision;
use crate::deposit_receipt::{DepositReceipt, ReceiptError};
use crate::error::{Refused, VerifierError};
use crate::redeposit::Redeposited;
use crate::site::{self, Original, SettingsError, Site, Undescribed};
use original::{Peer, original};

/// Method, URL and readable path of a request as a proxy describes it: the module's inside, for fuzzing alone.
#[cfg(fuzzing)]
pub fn described(request: Parts, proxy: Proxy, scheme: &str, publisher: &str) -> Result<(http::Method, http::Uri, String), Undescribed> {
    original(request, proxy, scheme, publisher).map(|Original { head, path }| (head.method, head.uri, path))
}

/// Why a command failed, in words for the operator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// The configuration does not fit, or its data cannot be opened.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The verifier does not start.
    #[error("{0}")]
    Verifier(#[from] VerifierError),
    /// A file or directory cannot be used.
    #[error("a file cannot be used: {0}")]
    File(ErrorKind),
    /// The address or socket cannot be listened on.
    #[error("cannot listen there: {0}")]
    Listen(ErrorKind),
    /// What is needed to check a proof is not there.
    #[error("{0}")]
    Evidence(&'static str),
    /// The proof does not hold.
    #[error("the double-spend is not proven: {0}")]
    Unproven(&'static str),
    /// A payment was not given back.
    #[error("{0}")]
    Refund(String),
    /// There is no deposit receipt.
    #[error("{0}")]
    NoReceipt(String),
    /// A deposit receipt proves nothing.
    #[error("the receipt does not hold: {0}")]
    Receipt(#[from] ReceiptError),
    /// Payments were not handed in again.
    #[error("{0}")]
    Resync(String),
    /// The sidecar that runs does not answer.
    #[error("the sidecar that runs does not answer: ask again")]
    Silent,
    /// The sidecar that runs answers something else.
    #[error("the sidecar that runs is of another version")]
    OtherVersion,
    /// Standard output is closed.
    #[error("the output could not be written")]
    Output,
}

struct Sidecar {
    site: Site,
    proxy: Proxy,
    trusted_peers: TrustedPeers,
    peers_may_refund: bool,
}

/// Serves until `stop`, then finishes what has begun.
///
/// # Errors
/// [`SidecarError`] if it does not start. A mint that cannot be reached is no error: it answers 503 until the mint is back.
pub async fn serve(settings: Settings, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), SidecarError> {
    let Settings { listen, proxy, trusted_peers, metrics, peers_may_refund, site, .. } = settings;
    let data = site.data.clone();
    let site = Site::open(site).await?;
    let verifier = site.verifier().clone();
    let control = control::listen(&data).await.map_err(|error| SidecarError::Listen(error.kind()))?;
    let operator = control::router(verifier.clone());
    let control = tokio::spawn(async move { axum::serve(control, operator).await });
    let metrics = match &metrics {
        None => None,
        Some(address) => {
            let listener = TcpListener::bind(address).await.map_err(|error| SidecarError::Listen(error.kind()))?;
            let router = metrics::router(verifier.clone());
            Some(tokio::spawn(async move { axum::serve(listener, router).await }))
        }
    };
    let sidecar = Arc::new(Sidecar { site, proxy, trusted_peers, peers_may_refund });
    let router = Router::new()
        .route("/livez", get(async || answers::health(true)))
        .route("/readyz", get(ready))
        .route("/v1/auth", any(auth))
        .route("/v1/paywall", any(paywall))
        .route("/v1/verify", post(api::verify))
        .route("/v1/settle", post(api::settle))
        .route("/v1/release", post(release::release))
        .route("/v1/preflight", any(preflight))
        .route("/v1/envoy/{*path}", any(auth))
        .route("/v1/envoy/", any(auth))
        .with_state(sidecar);
    let served = match &listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address).await.map_err(|error| SidecarError::Listen(error.kind()))?;
            let app = router.into_make_service_with_connect_info::<Peer>();
            axum::serve(listener, app).with_graceful_shutdown(stop).await
        }
        Listen::Unix(path) => {
            let listener = bind(path).await.map_err(|error| SidecarError::Listen(error.kind()))?;
            let app = router.into_make_service_with_connect_info::<Peer>();
            let served = axum::serve(listener, app).with_graceful_shutdown(stop).await;
            // A stale file would be taken away at the next start as well.
            let _ = std::fs::remove_file(path);
            served
        }
    };
    control.abort();
    metrics.inspect(tokio::task::JoinHandle::abort);
    verifier.shutdown().await;
    served.map_err(|error| SidecarError::Listen(error.kind()))
}

/// Hands in again what the mint had booked, through the sidecar that runs on this data or, if there is none, with the data itself.
async fn resync(settings: site::Settings, after: Option<u64>) -> Result<Redeposited, SidecarError> {
    if let Some(done) = control::ask_resync(&settings.data, after).await? {
        return Ok(done);
    }
    let site = Site::open(settings).await?;
    let done = site.verifier().redeposit(after).await;
    site.verifier().shutdown().await;
    Ok(done?)
}

/// Gives a payment back, through the sidecar that runs on this data or, if there is none, with the data itself.
async fn refund(settings: site::Settings, payment: PaymentId) -> Result<Amount, SidecarError> {
    if let Some(units) = control::ask_refund(&settings.data, payment).await? {
        return Ok(Amount::from_units(units));
    }
    let site = Site::open(settings).await?;
    let refunded = site.verifier().refund(payment).await;
    site.verifier().shutdown().await;
    Ok(refunded?)
}

/// The mint's signed answer about a payment, from the sidecar that runs on this data or, if there is none, from the data itself.
async fn deposit_receipt(settings: site::Settings, payment: PaymentId) -> Result<DepositReceipt, SidecarError> {
    if let Some(receipt) = control::ask_receipt(&settings.data, payment).await? {
        return Ok(receipt);
    }
    let site = Site::open(settings).await?;
    let receipt = site.verifier().deposit_receipt(payment).await;
    site.verifier().shutdown().await;
    Ok(receipt?)
}

/// Binds a socket's file; one that nobody listens on any more is replaced.
async fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            let refused = UnixStream::connect(path).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
            if !is_socket || !refused {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

async fn ready(State(sidecar): State<Arc<Sidecar>>) -> Response<Body> {
    answers::health(sidecar.site.verifier().ready().await.is_ok())
}

async fn auth(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    sidecar.answer(peer, request.into_parts().0).await
}

/// For a proxy that passes browsers' preflights here: what it asks about first can only be passed on or refused.
async fn preflight(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    if !sidecar.trusted_peers.trust(peer) {
        return Undescribed::Untrusted.answer().map(Body::from);
    }
    let (parts, origins) = (request.into_parts().0, sidecar.site.allowed_origins());
    // Says nothing about what is for sale: the request that follows is decided by itself.
    origins.allow(&parts.headers, &origins.preflight(&parts).unwrap_or(http::Method::GET)).map(Body::from)
}

/// For a proxy that has been told 402 and must now show it. A 200 here would be an empty page instead of the article: if the decision
/// has changed since, the reader is asked to send the same request again.
async fn paywall(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    let answer = sidecar.answer(peer, request.into_parts().0).await;
    if answer.status() == StatusCode::OK { answers::undecided(&Refused::pending()) } else { answer }
}

impl Sidecar {
    async fn answer(&self, peer: Peer, request: Parts) -> Response<Body> {
        let original = match self.original(peer, request) {
            Ok(original) => original,
            Err(why) => {
                tracing::warn!(code = why.code(), "a question that is not answered");
                return why.answer().map(Body::from);
            }
        };
        let mut response = match self.site.decide(&original).await {
            None => return answers::pass(None),
            Some(Decision::Serve(paid)) => answers::pass(Some(&paid)),
            Some(Decision::Answer(response)) => response.map(Body::from),
        };
        self.site.allow_origin(&original, response.headers_mut());
        response
    }

    fn original(&self, peer: Peer, request: Parts) -> Result<Original, Undescribed> {
        if !self.trusted_peers.trust(peer) {
            return Err(Undescribed::Untrusted);
        }
        let config = &self.site.verifier().inner().config;
        original(request, self.proxy, config.scheme, &config.publisher)
    }
}
