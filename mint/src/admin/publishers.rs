//! Those who are paid.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Json, json, query};
use crate::http::{Problem, ProblemBody};
use crate::{BankAccount, Mint, PublisherStatement, PublisherView, parse_key, publisher_name};

/// A publisher to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PublisherRequest {
    /// The domain, with the port if it is not 443
    name: String,
    /// The public key with which it asks for refunds, base64url; replaces an earlier one
    #[serde(default)]
    key: Option<String>,
}

/// A publisher's key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRequest {
    /// The public key with which it asks for refunds, base64url
    key: String,
}

/// All publishers.
#[derive(Serialize, ToSchema)]
struct PublisherList {
    /// By name
    publishers: Vec<PublisherView>,
    /// What the mint counts in
    currency: String,
}

/// How a statement is written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
}

/// Which statement.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatementQuery {
    /// The first day, such as 2026-01-01, UTC
    from: Option<String>,
    /// The last day
    to: Option<String>,
    /// `json` or `csv`
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A name in its one form.
fn known_form(name: &str) -> Result<String, Problem> {
    publisher_name(name).ok_or_else(|| Problem::from(crate::MintError::PublisherName))
}

async fn find(mint: &Mint, name: &str) -> Result<PublisherView, Problem> {
    let name = known_form(name)?;
    mint.publishers().await?.into_iter().find(|publisher| publisher.name == name).ok_or(Problem::PUBLISHER_UNKNOWN)
}

/// An answer of the mint about a publisher whose name has the right form: it may still be unknown.
fn unknown(error: crate::MintError) -> Problem {
    if error == crate::MintError::PublisherName { Problem::PUBLISHER_UNKNOWN } else { error.into() }
}

/// All publishers: balances, keys, bank accounts.
#[utoipa::path(get, path = "/admin/v1/publishers", tag = "publishers", responses((status = 200, description = "By name", body = PublisherList)))]
pub(super) async fn list(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&PublisherList { publishers: mint.publishers().await?, currency: mint.unit().name() })
}

/// Adds a publisher. One that is there already stays as it is, but for the key.
#[utoipa::path(
    post,
    path = "/admin/v1/publishers",
    tag = "publishers",
    request_body = PublisherRequest,
    responses(
        (status = 200, description = "It is there", body = PublisherView),
        (status = 400, description = "`body-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`publisher-name-invalid`, `key-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn add(State(mint): State<Mint>, Json(request): Json<PublisherRequest>) -> Result<Response, Problem> {
    let name = known_form(&request.name)?;
    let key = request.key.map(|key| parse_key(&key).ok_or(Problem::KEY_INVALID)).transpose()?;
    mint.add_publisher(&name).await?;
    if let Some(key) = key {
        mint.set_publisher_key(&name, &key).await.map_err(unknown)?;
    }
    json(&find(&mint, &name).await?)
}

/// One publisher: balance, key, bank account.
#[utoipa::path(
    get,
    path = "/admin/v1/publishers/{name}",
    tag = "publishers",
    params(("name" = String, Path, description = "The domain, with the port if it is not 443")),
    responses(
        (status = 200, description = "What is known", body = PublisherView),
        (status = 404, description = "`publisher-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`publisher-name-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(State(mint): State<Mint>, Path(name): Path<String>) -> Result<Response, Problem> {
    json(&find(&mint, &name).await?)
}

/// Sets or changes the key with which a publisher asks for refunds.
#[utoipa::path(
    put,
    path = "/admin/v1/publishers/{name}/key",
    tag = "publishers",
    request_body = KeyRequest,
    params(("name" = String, Path, description = "The domain")),
    responses(
        (status = 204, description = "Set"),
        (status = 400, description = "`body-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`publisher-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`publisher-name-invalid`, `key-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_key(
    State(mint): State<Mint>,
    Path(name): Path<String>,
    Json(request): Json<KeyRequest>,
) -> Result<Response, Problem> {
    let key = parse_key(&request.key).ok_or(Problem::KEY_INVALID)?;
    mint.set_publisher_key(&known_form(&name)?, &key).await.map_err(unknown)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sets or changes where a publisher is paid.
#[utoipa::path(
    put,
    path = "/admin/v1/publishers/{name}/payee",
    tag = "publishers",
    request_body = BankAccount,
    params(("name" = String, Path, description = "The domain")),
    responses(
        (status = 204, description = "Set"),
        (status = 400, description = "`body-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`publisher-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`publisher-name-invalid`, `bank-account-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_payee(
    State(mint): State<Mint>,
    Path(name): Path<String>,
    Json(payee): Json<BankAccount>,
) -> Result<Response, Problem> {
    mint.set_payee(&known_form(&name)?, &payee).await.map_err(unknown)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A publisher's account, day by day, amounts in smallest units.
#[utoipa::path(
    get,
    path = "/admin/v1/publishers/{name}/statement",
    tag = "publishers",
    params(("name" = String, Path, description = "The domain"), StatementQuery),
    responses(
        (status = 200, description = "The days on which anything moved", content((PublisherStatement = "application/json"), (String = "text/csv"))),
        (status = 400, description = "`query-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`publisher-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`publisher-name-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn statement(
    State(mint): State<Mint>,
    Path(name): Path<String>,
    wanted: Result<Query<StatementQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let StatementQuery { from, to, format } = query(wanted)?;
    let statement = mint.statement(&name, from.as_deref(), to.as_deref()).await?.ok_or(Problem::PUBLISHER_UNKNOWN)?;
    match format {
        Format::Json => json(&statement),
        Format::Csv => Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], statement.csv() + "\n").into_response()),
    }
}
