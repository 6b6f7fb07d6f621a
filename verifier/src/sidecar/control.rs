//! What the operator asks of a running sidecar, through a socket in its data directory that only its owner may open.
//!
//! ```text
//! POST /v1/refunds/<payment id>     200 {"payment":"..","amount":"500","state":"refunded"}, or a problem with its code
//! POST /v1/receipts/<payment id>    200 the deposit receipt, or a problem with its code
//! POST /v1/resync[?after=<sequence>] 200 {"credited":2,"already_credited":40,"refunded":0,"refused":0}, or a problem with its code
//! ```
//!
//! One process uses the store at a time, so the command asks the one that has it, and opens the store itself if there is none.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::routing::post;
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::proof::PaymentId;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};

use super::{SidecarError, answers, bind};
use crate::deposit_receipt::{DepositReceipt, NoReceipt};
use crate::error::VerifierError;
use crate::redeposit::Redeposited;
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
    axum::Router::new()
        .route("/v1/refunds/{payment}", post(refund::<S>))
        .route("/v1/receipts/{payment}", post(receipt::<S>))
        .route("/v1/resync", post(resync::<S>))
        .with_state(verifier)
}

async fn refund<S: Store>(State(verifier): State<Verifier<S>>, UrlPath(text): UrlPath<String>) -> Response<Body> {
    let Some(payment) = payment_id(&text) else { return answers::failed(StatusCode::BAD_REQUEST, "not a payment id", "bad-request") };
    match verifier.refund(payment).await {
        Ok(amount) => answers::refunded(&text, amount),
        Err(error) => answers::failed(status(&error), &error.to_string(), error.code()),
    }
}

async fn receipt<S: Store>(State(verifier): State<Verifier<S>>, UrlPath(text): UrlPath<String>) -> Response<Body> {
    let Some(payment) = payment_id(&text) else { return answers::failed(StatusCode::BAD_REQUEST, "not a payment id", "bad-request") };
    match verifier.deposit_receipt(payment).await {
        Ok(receipt) => answers::json(&serde_json::json!(receipt)),
        Err(error) => answers::failed(status(&error), &error.to_string(), error.code()),
    }
}

/// The status of every reason.
pub(super) const fn status(error: &VerifierError) -> StatusCode {
    match error {
        VerifierError::NotRefunded(NotRefunded::UnknownPayment) | VerifierError::NoReceipt(NoReceipt::UnknownPayment) => {
            StatusCode::NOT_FOUND
        }
        VerifierError::NotRefunded(_) | VerifierError::NoReceipt(_) => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    after: Option<u64>,
}

async fn resync<S: Store>(State(verifier): State<Verifier<S>>, Query(After { after }): Query<After>) -> Response<Body> {
    match verifier.redeposit(after).await {
        Ok(done) => answers::json(&serde_json::json!(done)),
        Err(error) => answers::failed(status(&error), &error.to_string(), error.code()),
    }
}

/// Why the sidecar that runs did not do what it was asked, in its own words.
fn refused(answer: &Value) -> String {
    answer["title"].as_str().unwrap_or("the sidecar that runs refuses").to_owned()
}

/// Asks the sidecar that runs on this data to give a payment back; `None` if there is none. Returns the amount in units.
pub(super) async fn ask_refund(data: &Path, payment: PaymentId) -> Result<Option<u64>, SidecarError> {
    let path = format!("v1/refunds/{}", Base64UrlUnpadded::encode_string(&payment.0));
    let Some((done, answer)) = ask(data, &path, Duration::from_mins(1)).await? else { return Ok(None) };
    if !done {
        return Err(SidecarError::Refund(refused(&answer)));
    }
    let amount = answer["amount"].as_str().and_then(|text| text.parse().ok());
    amount.map(Some).ok_or(SidecarError::OtherVersion)
}

/// Asks the sidecar that runs on this data for a deposit receipt; `None` if there is none.
pub(super) async fn ask_receipt(data: &Path, payment: PaymentId) -> Result<Option<DepositReceipt>, SidecarError> {
    let path = format!("v1/receipts/{}", Base64UrlUnpadded::encode_string(&payment.0));
    let Some((done, answer)) = ask(data, &path, Duration::from_mins(1)).await? else { return Ok(None) };
    if !done {
        return Err(SidecarError::NoReceipt(refused(&answer)));
    }
    serde_json::from_value(answer).map(Some).map_err(|_| SidecarError::OtherVersion)
}

/// Asks the sidecar that runs on this data to hand in again what the mint had booked; `None` if there is none.
pub(super) async fn ask_resync(data: &Path, after: Option<u64>) -> Result<Option<Redeposited>, SidecarError> {
    let path = after.map_or_else(|| "v1/resync".into(), |after| format!("v1/resync?after={after}"));
    // Every payment ever booked may be among them.
    let Some((done, answer)) = ask(data, &path, Duration::from_hours(12)).await? else { return Ok(None) };
    if !done {
        return Err(SidecarError::Resync(refused(&answer)));
    }
    serde_json::from_value(answer).map(Some).map_err(|_| SidecarError::OtherVersion)
}

/// Posts to the sidecar that runs on this data; `None` if there is none. Returns whether it did what it was asked, and what it says.
async fn ask(data: &Path, path: &str, patience: Duration) -> Result<Option<(bool, Value)>, SidecarError> {
    let socket = socket(data);
    match UnixStream::connect(&socket).await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(SidecarError::File(error.kind())),
    }
    let silent = |_| SidecarError::Silent;
    // Nothing of this leaves the machine, so no certificate is looked at; but the client wants to know who would.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().unix_socket(socket).no_proxy().timeout(patience);
    let client = client.tls_certs_only(std::iter::empty()).build().map_err(silent)?;
    let response = client.post(format!("http://localhost/{path}")).send().await.map_err(silent)?;
    let done = response.status() == StatusCode::OK;
    Ok(Some((done, response.json().await.map_err(silent)?)))
}
