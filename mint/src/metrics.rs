//! What a mint counts: every metric, in one table, which `docs/metrics.md` repeats.
//!
//! Labels hold route templates, codes and names that stand in the sources, and nothing of a request. Counters begin at zero with the
//! process; sums of money are in smallest units.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::error::MintError;

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only up, while the process lives.
    Counter,
    /// Up and down.
    Gauge,
    /// Values, by size.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name; the unit stands in it.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Its labels, separated by commas.
    pub labels: &'static str,
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$labels:literal] $help:literal;)*) => {
        $(pub(crate) const $constant: &str = $name;)*

        /// All metrics.
        pub const ALL: &[Metric] = &[$(Metric { name: $name, kind: Kind::$kind, labels: $labels, help: $help }),*];
    };
}

metrics! {
    REQUESTS Counter "farthing_mint_requests_total" ["route,outcome"] "Requests by route and by `ok` or the code of the problem; `overloaded`, `too-many-sessions` and `too-many-requests` are refusals for want of room";
    REQUEST_SECONDS Histogram "farthing_mint_request_seconds" ["route"] "Time from a request's head to its answer, its body included";
    LEDGER_SECONDS Histogram "farthing_mint_ledger_seconds" ["booking"] "Time the ledger took to book: `issue`, `deposit` or `refund`; waiting for its turn included";
    DEPOSIT_PAYMENTS Histogram "farthing_mint_deposit_payments" [""] "Payments in a deposit";
    ISSUED_TOKENS Counter "farthing_mint_issued_tokens_total" ["funding"] "Tokens issued, by what paid: `voucher`, `refresh`, `change`, `reclaim` or `recovery`";
    ISSUED_UNITS Counter "farthing_mint_issued_units_total" ["funding"] "Their value in smallest units";
    PAYMENTS Counter "farthing_mint_payments_total" ["outcome"] "Payments deposited: `credited`, `already-credited`, `refunded`, `double-spent` or `refused`";
    DEPOSITED_TOKENS Counter "farthing_mint_deposited_tokens_total" [""] "Tokens of payments that were credited";
    CREDITED_UNITS Counter "farthing_mint_credited_units_total" [""] "Credited to publishers, in smallest units";
    REFUNDS Counter "farthing_mint_refunds_total" [""] "Payments given back";
    SESSIONS Gauge "farthing_mint_sessions" [""] "Open issuing sessions";
    SESSION_OUTPUTS Gauge "farthing_mint_session_outputs" [""] "Outputs of open sessions";
    POOLED Gauge "farthing_mint_commitments_pooled" [""] "Commitments made ahead";
    PLACES Gauge "farthing_mint_places_taken" ["asking"] "Requests being worked on: of `readers` and of `publishers`";
    SEQUENCE Gauge "farthing_mint_ledger_sequence" [""] "The ledger's sequence";
    BEHIND Gauge "farthing_mint_ledger_behind" [""] "1 if the ledger was restored from a backup and nothing is booked";
    RESYNCING Gauge "farthing_mint_resyncing" [""] "1 while a restored ledger catches up and only deposits are booked";
    CLOCK Gauge "farthing_mint_clock_believed" [""] "0 if the clock is not to be believed and nothing irreversible is done";
    WRITABLE Gauge "farthing_mint_ledger_writable" [""] "0 if the ledger cannot be written: its disk is full, has less free than the reserve, or fails";
    READY Gauge "farthing_mint_ready" [""] "1 if the mint would take work";
    ISSUING_SECONDS Gauge "farthing_mint_keyset_issuing_seconds" [""] "Seconds until no announced keyset issues any more";
    FROZEN Gauge "farthing_mint_frozen_denominations" [""] "Denominations that are frozen: more came back than was issued, or their key has leaked";
    BALANCE Gauge "farthing_mint_balance_units" ["account"] "The balance sheet, in smallest units, at most a minute old; `credits` is what publishers are due";
    BALANCED Gauge "farthing_mint_balanced" [""] "1 if the balance sheet balances";
    PAYOUTS_DUE Gauge "farthing_mint_payout_runs_unwritten" [""] "Payout runs that are booked and whose files were never complete";
}

/// Bounds of the histograms of time, in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0];

/// Bounds of the histogram of payments.
const PAYMENTS_HELD: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How often what was measured is put into its buckets, whether anybody looks or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count, once for a process; before, nothing is kept. Call it on a Tokio runtime.
    ///
    /// # Errors
    /// [`MintError::Metrics`] if something else in this process collects metrics.
    pub fn install() -> Result<Self, MintError> {
        let matching = |name: &str| metrics_exporter_prometheus::Matcher::Full(name.into());
        let handle = PrometheusBuilder::new()
            .set_buckets(&SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(matching(DEPOSIT_PAYMENTS), &PAYMENTS_HELD))
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|_| MintError::Metrics)?;
        for metric in ALL {
            let unit = if metric.name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
            match metric.kind {
                Kind::Counter => describe_counter!(metric.name, unit, metric.help),
                Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
                Kind::Histogram => describe_histogram!(metric.name, unit, metric.help),
            }
        }
        let upkeep = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(handle))
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }
}

/// Amounts and counts as gauges have them; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float by its format")]
pub(crate) const fn value(number: u64) -> f64 {
    number as f64
}
