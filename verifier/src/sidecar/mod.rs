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
//! | `/v1/verify`, `/v1/settle` | a backend that asks by itself, in JSON |
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
mod original;
mod rules;
mod settings;
mod stores;

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

use command::SecretStep;
pub use command::run;
pub use original::{Proxy, TrustedPeers};
pub use rules::{RuleSettings, Rules, readable};
pub use settings::{Listen, Settings};

use crate::config::ChallengeSecret;
use crate::error::{Refused, VerifierError};
use crate::layer::decide;
use crate::redeposit::Redeposited;
use crate::refund::PublisherKey;
use crate::store::Store;
use crate::verifier::Verifier;
use original::{Original, Peer, Undescribed};
use stores::AnyStore;

/// Why a command failed, in words for the operator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// The configuration is not TOML of the right form.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
    /// A setting does not fit.
    #[error("{0}: {1}")]
    Setting(&'static str, &'static str),
    /// A rule, counted from one, does not fit.
    #[error("rule {0}: {1}")]
    Rule(usize, &'static str),
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
    verifier: Verifier<AnyStore>,
    settings: Settings,
}

/// Serves until `stop`, then finishes what has begun.
///
/// # Errors
/// [`SidecarError`] if it does not start. A mint that cannot be reached is no error: it answers 503 until the mint is back.
pub async fn serve(settings: Settings, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), SidecarError> {
    let verifier = open(&settings).await?;
    let control = control::listen(&settings.data).await.map_err(|error| SidecarError::Listen(error.kind()))?;
    let operator = control::router(verifier.clone());
    let control = tokio::spawn(async move { axum::serve(control, operator).await });
    let listen = settings.listen.clone();
    let sidecar = Arc::new(Sidecar { verifier: verifier.clone(), settings });
    let router = Router::new()
        .route("/livez", get(async || answers::health(true)))
        .route("/readyz", get(ready))
        .route("/v1/auth", any(auth))
        .route("/v1/paywall", any(paywall))
        .route("/v1/verify", post(api::verify))
        .route("/v1/settle", post(api::settle))
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
    verifier.shutdown().await;
    served.map_err(|error| SidecarError::Listen(error.kind()))
}

/// The publisher's key, drawn at its first use: in the store if instances share it, else in the data directory.
async fn publisher_key(settings: &Settings, store: Option<&AnyStore>) -> Result<PublisherKey, SidecarError> {
    std::fs::create_dir_all(&settings.data).map_err(|error| SidecarError::File(error.kind()))?;
    let path = settings.data.join("publisher-key");
    let in_file = || PublisherKey::load_or_create(&path).map_err(|error| SidecarError::File(error.kind()));
    match store.filter(|store| store.is_shared()) {
        // One that was used here before the store was shared is the one that the mint knows.
        Some(store) => {
            let own = if path.exists() { in_file()? } else { PublisherKey::generate() };
            Ok(PublisherKey::shared(store, own).await.map_err(VerifierError::from)?)
        }
        None => in_file(),
    }
}

/// The challenge secret and the other one that is accepted: from the store if instances share it, else from the data directory.
async fn secrets(settings: &Settings, store: &AnyStore) -> Result<(ChallengeSecret, Option<ChallengeSecret>), SidecarError> {
    let path = settings.data.join("challenge-secret");
    let in_file = |path: &Path| ChallengeSecret::load_or_create(path).map_err(|error| SidecarError::File(error.kind()));
    if store.is_shared() {
        let own = if path.exists() { in_file(&path)? } else { ChallengeSecret::generate() };
        let secret = ChallengeSecret::shared(store, own).await.map_err(VerifierError::from)?;
        return Ok((secret, ChallengeSecret::shared_other(store).await.map_err(VerifierError::from)?));
    }
    // Written by the operator who replaces a secret: its challenges live on for a while.
    let previous = settings.data.join("challenge-secret.previous");
    Ok((in_file(&path)?, if previous.exists() { Some(in_file(&previous)?) } else { None }))
}

async fn open(settings: &Settings) -> Result<Verifier<AnyStore>, SidecarError> {
    std::fs::create_dir_all(&settings.data).map_err(|error| SidecarError::File(error.kind()))?;
    let store = AnyStore::open(settings).await.map_err(VerifierError::from)?;
    let key = publisher_key(settings, Some(&store)).await?;
    let (secret, other) = secrets(settings, &store).await?;
    let mut config = settings.verifier_config(secret).publisher_key(key);
    if let Some(other) = other {
        config = config.previous_secret(other);
    }
    Ok(Verifier::open(config, store).await?)
}

/// Prints and changes what instances share, without starting a verifier.
async fn key(settings: &Settings) -> Result<PublisherKey, SidecarError> {
    // A store of one process may be in use, and holds no key.
    if !settings.is_shared() {
        return publisher_key(settings, None).await;
    }
    let store = AnyStore::open(settings).await.map_err(VerifierError::from)?;
    publisher_key(settings, Some(&store)).await
}

/// Draws the challenge secret to come, or takes it up.
async fn replace_secret(settings: &Settings, step: SecretStep) -> Result<(), SidecarError> {
    if !settings.is_shared() {
        return Err(SidecarError::Setting("store", "not shared: rename challenge-secret to challenge-secret.previous and start again"));
    }
    let store = AnyStore::open(settings).await.map_err(VerifierError::from)?;
    let done = match step {
        SecretStep::Prepare => ChallengeSecret::prepare_shared(&store).await,
        SecretStep::Switch => ChallengeSecret::switch_shared(&store).await,
    };
    Ok(done.map_err(VerifierError::from)?)
}

/// Hands in again what the mint had booked, through the sidecar that runs on this data or, if there is none, with the data itself.
async fn resync(settings: &Settings, after: Option<u64>) -> Result<Redeposited, SidecarError> {
    if let Some(done) = control::ask_resync(&settings.data, after).await? {
        return Ok(done);
    }
    let verifier = open(settings).await?;
    let done = verifier.redeposit(after).await;
    verifier.shutdown().await;
    Ok(done?)
}

/// Gives a payment back, through the sidecar that runs on this data or, if there is none, with the data itself.
async fn refund(settings: &Settings, payment: PaymentId) -> Result<Amount, SidecarError> {
    if let Some(units) = control::ask_refund(&settings.data, payment).await? {
        return Ok(Amount::from_units(units));
    }
    let verifier = open(settings).await?;
    let refunded = verifier.refund(payment).await;
    verifier.shutdown().await;
    Ok(refunded?)
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
    answers::health(sidecar.verifier.ready().await.is_ok())
}

async fn auth(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    sidecar.answer(peer, &request.into_parts().0).await
}

/// For a proxy that passes browsers' preflights here: what it asks about first can only be passed on or refused.
async fn preflight(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    if !sidecar.settings.trusted_peers.trust(peer) {
        return answers::undescribed(Undescribed::Untrusted);
    }
    let (parts, origins) = (request.into_parts().0, &sidecar.settings.allowed_origins);
    // Says nothing about what is for sale: the request that follows is decided by itself.
    origins.allow(&parts.headers, &origins.preflight(&parts).unwrap_or(http::Method::GET)).map(Body::from)
}

/// For a proxy that has been told 402 and must now show it. A 200 here would be an empty page instead of the article: if the decision
/// has changed since, the reader is asked to send the same request again.
async fn paywall(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    let answer = sidecar.answer(peer, &request.into_parts().0).await;
    if answer.status() == StatusCode::OK { answers::undecided(&Refused::pending()) } else { answer }
}

impl Sidecar {
    async fn answer(&self, peer: Peer, request: &Parts) -> Response<Body> {
        let original = match self.original(peer, request) {
            Ok(original) => original,
            Err(why) => {
                tracing::warn!(code = why.code(), "a question that is not answered");
                return answers::undescribed(why);
            }
        };
        let Some(offer) = self.settings.rules.offer(&original.path) else {
            return answers::pass(None, self.verifier.now());
        };
        let mut response = match decide(&self.verifier, &original.method, &original.uri, &request.headers, &offer).await {
            Ok(paid) => answers::pass(Some(&paid), self.verifier.now()),
            Err(response) => response.map(Body::from),
        };
        let origins = &self.settings.allowed_origins;
        origins.mark(response.headers_mut(), origins.of(&request.headers));
        response
    }

    fn original(&self, peer: Peer, request: &Parts) -> Result<Original, Undescribed> {
        if !self.settings.trusted_peers.trust(peer) {
            return Err(Undescribed::Untrusted);
        }
        let config = &self.verifier.inner().config;
        Original::of(request, self.settings.proxy, config.scheme, &config.publisher)
    }
}
