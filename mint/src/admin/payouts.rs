//! Payout runs: the files come in the answer.

use axum::extract::{Path, State};
use axum::response::Response;
use farthing_protocol::amount::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Json, json};
use crate::http::{Problem, ProblemBody};
use crate::{BankAccount, Mint, PayoutFile, PayoutOptions, PayoutReport, PayoutRun, PayoutSummary};

/// A run to be booked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PayoutRequest {
    /// The run's id, at most 16 letters, digits and hyphens. An id is booked once, and asked for again its files are answered again
    id: String,
    /// The account that pays
    debtor: BankAccount,
    /// Publishers with less than this wait, in smallest units
    #[schema(value_type = u64)]
    minimum: Amount,
    /// What the mint keeps, in thousandths, rounded down to whole cents
    #[serde(default)]
    #[schema(maximum = 999)]
    fee_share: u16,
}

/// What a run has done.
#[derive(Serialize, ToSchema)]
struct PayoutAnswer {
    /// Whose files these are, and who has no bank account
    report: PayoutReport,
    /// SEPA transfers (pain.001.001.09) and CSV of every run in the report
    files: Vec<PayoutFile>,
}

/// A booked run.
#[derive(Serialize, ToSchema)]
struct PayoutShown {
    /// Who is paid
    run: PayoutRun,
    /// SEPA transfers (pain.001.001.09) and CSV
    files: Vec<PayoutFile>,
}

/// All runs.
#[derive(Serialize, ToSchema)]
struct PayoutList {
    /// Oldest first
    payouts: Vec<PayoutSummary>,
    /// What the mint counts in
    currency: String,
}

/// All booked runs.
#[utoipa::path(get, path = "/admin/v1/payouts", tag = "payouts", responses((status = 200, description = "Oldest first", body = PayoutList)))]
pub(super) async fn list(State(mint): State<Mint>) -> Result<Response, Problem> {
    json(&PayoutList { payouts: mint.payouts().await?, currency: mint.unit().name() })
}

/// Books a payout for every publisher with enough, and answers the files. The same id again books nothing and answers the same files, and those
/// of runs whose files were never handed out: they come with every call until their own id is asked for.
#[utoipa::path(
    post,
    path = "/admin/v1/payouts",
    tag = "payouts",
    request_body = PayoutRequest,
    responses(
        (status = 200, description = "Booked now, booked before, or nobody is to be paid", body = PayoutAnswer),
        (status = 400, description = "`body-malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`payout-invalid`, `bank-account-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn run(State(mint): State<Mint>, Json(request): Json<PayoutRequest>) -> Result<Response, Problem> {
    let PayoutRequest { id, debtor, minimum, fee_share } = request;
    let (report, files) = mint.pay_out_here(PayoutOptions { id: Some(id), debtor, minimum, fee_share }).await?;
    json(&PayoutAnswer { report, files })
}

/// A booked run and its files, as often as they are asked for.
#[utoipa::path(
    get,
    path = "/admin/v1/payouts/{id}",
    tag = "payouts",
    params(("id" = String, Path, description = "The run's id")),
    responses(
        (status = 200, description = "The run", body = PayoutShown),
        (status = 404, description = "`payout-unknown`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`payout-invalid`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(State(mint): State<Mint>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (run, files) = mint.payout(&id).await?.ok_or(Problem::PAYOUT_UNKNOWN)?;
    json(&PayoutShown { run, files })
}
