//! For a backend that has settled a payment and cannot deliver what it was paid for.
//!
//! ```text
//! POST /v1/release    {"reference":"..","refund":false}     what became of the payment: nothing changes
//!                     {"reference":"..","refund":true}      it is given back, if the configuration lets trusted peers do that
//! ```
//!
//! Without a refund nothing has to be done: the payment stays claimed, and the same credential finishes its delivery however late. So it
//! is released to its reader, never to be claimed by another: its tokens were handed in.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::control::status;
use super::original::Peer;
use super::{Sidecar, answers};
use crate::error::VerifierError;
use crate::refund::NotRefunded;
use crate::site::{Undescribed, payment_id};
use crate::store::{PaymentState, Store};

/// The longest question.
const MAX_BODY: usize = 1 << 10;

/// What could not be delivered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    reference: String,
    #[serde(default)]
    refund: bool,
}

/// Tells what became of a payment, or gives it back.
///
/// Implements R-VERIF-33.
pub(super) async fn release(State(sidecar): State<Arc<Sidecar>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    if !sidecar.trusted_peers.trust(peer) {
        return Undescribed::Untrusted.answer().map(Body::from);
    }
    let bytes = to_bytes(request.into_body(), MAX_BODY).await.ok();
    let Some(question) = bytes.and_then(|bytes| serde_json::from_slice::<Question>(&bytes).ok()) else {
        return Undescribed::Incomplete.answer().map(Body::from);
    };
    let Some(payment) = payment_id(&question.reference) else {
        return answers::failed(StatusCode::BAD_REQUEST, "not a payment id", "bad-request");
    };
    if question.refund {
        if !sidecar.peers_may_refund {
            return answers::failed(StatusCode::FORBIDDEN, "the configuration lets no peer give payments back", "refund-not-allowed");
        }
        return match sidecar.site.verifier().refund(payment).await {
            Ok(amount) => answers::refunded(&question.reference, amount),
            Err(error) => answers::failed(status(&error), &error.to_string(), error.code()),
        };
    }
    let state = match sidecar.site.verifier().inner().store.payment(payment).await {
        Ok(Some(record)) => (record.amount, record.state),
        Ok(None) => return unknown(),
        Err(error) => {
            let error = VerifierError::from(error);
            return answers::failed(status(&error), &error.to_string(), error.code());
        }
    };
    let name = match state.1 {
        PaymentState::Pending => "pending",
        PaymentState::Accepted => "accepted",
        PaymentState::Settled => "settled",
        PaymentState::Refunded => "refunded",
        PaymentState::Refused(_) => "refused",
    };
    answers::json(&json!({ "payment": question.reference, "amount": state.0.to_string(), "state": name }))
}

fn unknown() -> Response<Body> {
    let error = VerifierError::from(NotRefunded::UnknownPayment);
    answers::failed(status(&error), &error.to_string(), error.code())
}
