//! What happened, in numbers: `GET /metrics` in Prometheus's text format, on a listener of its own. No number is about anybody.

use std::fmt::Write;

use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderValue, Response, StatusCode, header};

use crate::metrics::Metrics;
use crate::store::Store;
use crate::verifier::Verifier;

pub(super) fn router<S: Store>(verifier: Verifier<S>) -> axum::Router {
    axum::Router::new().route("/metrics", get(metrics::<S>)).with_state(verifier)
}

async fn metrics<S: Store>(State(verifier): State<Verifier<S>>) -> Response<Body> {
    let Ok(metrics) = verifier.metrics().await else {
        let mut response = Response::new(Body::from("the store does not answer\n"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    };
    let mut response = Response::new(Body::from(text(&metrics)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Implements R-VERIF-34.
fn text(metrics: &Metrics) -> String {
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
        // A string takes whatever is written to it.
        let _ = writeln!(out, "# HELP farthing_verifier_{name} {help}\n# TYPE farthing_verifier_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(out, "farthing_verifier_{name}{labels} {value}");
        }
    };
    let one = |value: u64| vec![(String::new(), value.to_string())];
    let labelled = |label: &str, value: &str, count: u64| (format!("{{{label}=\"{value}\"}}"), count.to_string());
    let events: Vec<_> = metrics.statistics.named().map(|(name, count)| labelled("event", name, count)).collect();
    family("events_total", "counter", "How often something happened since the start.", &events);
    let refusals: Vec<_> = metrics.refusals.iter().map(|(code, count)| labelled("code", code, *count)).collect();
    family("refusals_total", "counter", "Requests with a price that were not served, by the code of the answer.", &refusals);
    family(
        "outstanding_units",
        "gauge",
        "What was served and the mint has not decided, in units.",
        &one(metrics.totals.outstanding.units()),
    );
    if let Some(limits) = metrics.limits {
        family("outstanding_limit_units", "gauge", "The most that may be outstanding, in units.", &one(limits.outstanding.units()));
        family("window_limit_units", "gauge", "The most that may be unsettled of one window, in units.", &one(limits.per_window.units()));
    }
    family("undecided_payments", "gauge", "Payments that wait for the mint.", &one(metrics.totals.undecided));
    family(
        "undecided_oldest_seconds",
        "gauge",
        "For how long the mint has owed its answer about the oldest of them, 0 if there is none.",
        &one(metrics.oldest_undecided.unwrap_or(0)),
    );
    if let Some(filters) = metrics.filters {
        family("filter_segments", "gauge", "Segments held of the mint's filters of spent tokens.", &one(filters.segments));
        family("filter_tokens", "gauge", "Spent tokens in them.", &one(filters.tokens));
        family("filter_bytes", "gauge", "Memory they take.", &one(filters.bytes));
        let age = filters.age.map_or_else(|| "+Inf".to_owned(), |age| age.to_string());
        let help = "Seconds since they were all that the mint publishes, +Inf if they never were.";
        family("filter_age_seconds", "gauge", help, &[(String::new(), age)]);
    }
    family("double_spend_proofs", "gauge", "Double-spend proofs kept, one a token.", &one(metrics.proofs));
    family(
        "keysets_trusted",
        "gauge",
        "1 with a keyset list to go by, 0 without one or with two that contradict.",
        &one(u64::from(metrics.keysets_trusted)),
    );
    let seconds = |nanos: u64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    let sums = [
        ("_sum{step=\"decide\"}".to_owned(), seconds(metrics.decided.nanos)),
        ("_count{step=\"decide\"}".to_owned(), metrics.decided.count.to_string()),
        ("_sum{step=\"claim\"}".to_owned(), seconds(metrics.claimed.nanos)),
        ("_count{step=\"claim\"}".to_owned(), metrics.claimed.count.to_string()),
    ];
    family(
        "duration_seconds",
        "summary",
        "Time taken: to decide about a credential, the mint's answer included; to claim in the store.",
        &sums,
    );
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use farthing_protocol::amount::Amount;

    use super::*;
    use crate::config::DeferredLimits;
    use crate::filters::FilterState;
    use crate::metrics::Taken;
    use crate::statistics::Statistics;
    use crate::store::Totals;

    #[test]
    fn the_page_of_metrics_is_what_is_shown() {
        let (amount, window) = (Amount::from_units(7), Duration::from_hours(1));
        let metrics = Metrics {
            statistics: Statistics::default(),
            refusals: BTreeMap::from([("payment-required", 1)]),
            totals: Totals { outstanding: amount, undecided: 3, latest_claim: 1 },
            oldest_undecided: Some(90),
            filters: Some(FilterState::default()),
            proofs: 2,
            limits: Some(DeferredLimits { outstanding: amount, per_window: amount, window }),
            keysets_trusted: true,
            decided: Taken::default(),
            claimed: Taken { count: 2, nanos: 1_500_000_000 },
        };
        let shown = text(&metrics);
        let mut rows = Vec::new();
        for family in shown.split("# HELP ").skip(1) {
            let (name, rest) = family.split_once(' ').unwrap();
            let (help, rest) = rest.split_once('\n').unwrap();
            let (kind, samples) = rest.strip_prefix(&format!("# TYPE {name} ")).unwrap().split_once('\n').unwrap();
            let label = samples.split_once('{').map_or(String::new(), |(_, rest)| format!("`{}`", rest.split_once('=').unwrap().0));
            rows.push(format!("| `{name}` | {kind} | {label} | {help} |"));
        }
        let page = include_str!("../../../docs/metrics.md");
        let written: Vec<&str> = page.lines().filter(|line| line.starts_with("| `farthing_verifier_")).collect();
        assert_eq!(written, rows, "\n{}", rows.join("\n"));
        for (name, _) in metrics.statistics.named() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        for line in ["undecided_oldest_seconds 90", "filter_age_seconds +Inf", "duration_seconds_sum{step=\"claim\"} 1.500000000"] {
            assert!(shown.contains(&format!("\nfarthing_verifier_{line}\n")), "{line} in\n{shown}");
        }
    }
}
