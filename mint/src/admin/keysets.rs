//! The life of keysets. Signing with a root key that is elsewhere, and sealing the keys anew, stay with the command line: their secrets do not
//! travel.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use farthing_protocol::amount::Amount;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Json, json};
use crate::http::{Problem, ProblemBody};
use crate::{Announced, KeysetSummary, Mint, MintError, Size};

/// All keysets.
#[derive(Serialize, ToSchema)]
struct KeysetsAnswer {
    /// Oldest first
    keysets: Vec<KeysetSummary>,
    /// How much the ledger holds
    ledger: Size,
}

/// How long signing may take.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PrepareRequest {
    /// Hours that signing and publishing may take, 1 to 8,760
    #[serde(default = "three_days")]
    hours: u64,
}

const fn three_days() -> u64 {
    72
}

/// All keysets: windows, states, counts; times are Unix seconds.
#[utoipa::path(get, path = "/admin/v1/keysets", tag = "keysets", responses((status = 200, description = "Oldest first", body = KeysetsAnswer)))]
pub(super) async fn list(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&KeysetsAnswer { keysets: mint.keysets().await?, ledger: mint.ledger_size().await? })
}

/// Announces a keyset with fresh keys, which issues from tomorrow on. After an answer that got lost, the list shows whether it was.
#[utoipa::path(
    post,
    path = "/admin/v1/keysets",
    tag = "keysets",
    responses(
        (status = 200, description = "Announced", body = Announced),
        (status = 409, description = "`root-key-elsewhere`, `keyset-already-announced`, `keyset-list-changed`, `keys-withheld`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn rotate(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&mint.rotate().await?)
}

/// Makes fresh keys and answers their public half, to be signed with `farthing-mint keyset sign` where the root key is.
#[utoipa::path(
    post,
    path = "/admin/v1/keysets/prepare",
    tag = "keysets",
    request_body = PrepareRequest,
    responses(
        (status = 200, description = "What is to be signed", body = Object),
        (status = 400, description = "`body-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`keyset-already-announced`, `keys-withheld`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn prepare(State(mint): State<Mint>, Json(PrepareRequest { hours }): Json<PrepareRequest>) -> Result<Response, Problem> {
    if !(1..=8_760).contains(&hours) {
        return Err(Problem::BODY_MALFORMED);
    }
    let unsigned = mint.prepare_keyset(hours * 3_600).await?.to_json()?;
    Ok(([(header::CONTENT_TYPE, "application/json")], unsigned).into_response())
}

/// Publishes a keyset list that was signed elsewhere.
#[utoipa::path(
    post,
    path = "/admin/v1/keysets/publish",
    tag = "keysets",
    request_body = Object,
    responses(
        (status = 200, description = "Announced", body = Announced),
        (status = 400, description = "`body-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`keyset-list-changed`, `keys-withheld`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`announcement-refused`, codes of keyset lists", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn publish(State(mint): State<Mint>, Json(list): Json<serde_json::Value>) -> Result<Response, Problem> {
    let signed = serde_json::to_vec(&list).map_err(|_| Problem::BODY_MALFORMED)?;
    json(&mint.publish_keyset(&signed).await?)
}

/// Freezes a denomination whose key has leaked, for good: nothing of it is issued, refreshed or credited any more.
#[utoipa::path(
    post,
    path = "/admin/v1/keysets/{number}/denominations/{denomination}/freeze",
    tag = "keysets",
    params(
        ("number" = u32, Path, description = "The place in the list, from 0"),
        ("denomination" = u64, Path, description = "In smallest units")
    ),
    responses(
        (status = 204, description = "Frozen, now or before"),
        (status = 404, description = "`keyset-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn freeze(State(mint): State<Mint>, Path((number, denomination)): Path<(String, String)>) -> Result<Response, Problem> {
    let unknown = || Problem::from(MintError::NoSuchKeyset);
    let (number, denomination) = (number.parse().map_err(|_| unknown())?, denomination.parse().map_err(|_| unknown())?);
    mint.freeze_denomination(number, Amount::from_units(denomination)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Stops the issuing of a keyset early and for good; what it has issued stays good.
#[utoipa::path(
    post,
    path = "/admin/v1/keysets/{number}/retire",
    tag = "keysets",
    params(("number" = u32, Path, description = "The place in the list, from 0")),
    responses(
        (status = 204, description = "Retired, now or before"),
        (status = 404, description = "`keyset-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn retire(State(mint): State<Mint>, Path(number): Path<String>) -> Result<Response, Problem> {
    let number = number.parse().map_err(|_| Problem::from(MintError::NoSuchKeyset))?;
    mint.retire_keyset(number).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
