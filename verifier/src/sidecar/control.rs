//! What the operator asks of a running sidecar, through a socket in its data directory that only its owner may open.
//!
//! ```text
//! POST /v1/refunds/<payment id>     200 {"payment":"..","amount":"500","state":"refunded"}, or a problem with its code
//! ```
//!
//! One process uses the store at a time, so the command asks the one that has it, and opens the store itself if there is none.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::routing::post;
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::proof::PaymentId;
use http::{Response, StatusCode};
use tokio::net::{UnixListener, UnixStream};

use super::{SidecarError, answers, bind};
use crate::error::VerifierError;
use crate::refund::NotRefunded;
use crate::site::payment_id;
use crate::store::Store;
use crate::verifier::Verifier;

fn socket(data: &Path) -> PathBuf {
    data.join("control").join("socket")
}

/// Listens in a directory of its owner only: whoever reaches the socket gives the publisher's earnings back.
pub(super) async fn listen(data: &Path) -> std::io::Result<UnixListener> {
    let path = socket(data);
    let directory = path.parent().ok_or(ErrorKind::NotFound)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => std::fs::set_permissions(directory, Permissions::from_mode(0o700))?,
        made => made?,
    }
    bind(&path).await
}

pub(super) fn router<S: Store>(verifier: Verifier<S>) -> axum::Router {
    axum::Router::new().route("/v1/refunds/{payment}", post(refund::<S>)).with_state(verifier)
}

async fn refund<S: Store>(State(verifier): State<Verifier<S>>, UrlPath(text): UrlPath<String>) -> Response<Body> {
    let Some(payment) = payment_id(&text) else { return answers::failed(StatusCode::BAD_REQUEST, "not a payment id", "bad-request") };
    match verifier.refund(payment).await {
        Ok(amount) => answers::refunded(&text, amount),
        Err(error) => answers::failed(status(&error), &error.to_string(), error.code()),
    }
}

/// The status of every reason.
pub(super) const fn status(error: &VerifierError) -> StatusCode {
    match error {
        VerifierError::NotRefunded(NotRefunded::UnknownPayment) => StatusCode::NOT_FOUND,
        VerifierError::NotRefunded(_) => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Asks the sidecar that runs on this data; `None` if there is none. Returns the amount in units.
pub(super) async fn ask(data: &Path, payment: PaymentId) -> Result<Option<u64>, SidecarError> {
    let path = socket(data);
    match UnixStream::connect(&path).await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(SidecarError::File(error.kind())),
    }
    let silent = |_| SidecarError::Refund("the sidecar that runs does not answer: ask again".into());
    // Nothing of this leaves the machine, so no certificate is looked at; but the client wants to know who would.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().unix_socket(path).no_proxy().timeout(Duration::from_mins(1));
    let client = client.tls_certs_only(std::iter::empty()).build().map_err(silent)?;
    let url = format!("http://localhost/v1/refunds/{}", Base64UrlUnpadded::encode_string(&payment.0));
    let response = client.post(url).send().await.map_err(silent)?;
    let done = response.status() == StatusCode::OK;
    let body: serde_json::Value = response.json().await.map_err(silent)?;
    if done {
        let amount = body["amount"].as_str().and_then(|text| text.parse().ok());
        return amount.map(Some).ok_or(SidecarError::Refund("the sidecar that runs is of another version".into()));
    }
    Err(SidecarError::Refund(body["title"].as_str().unwrap_or("the sidecar that runs refuses").to_owned()))
}
