//! The log: standard error, in text or JSON.

use farthing_mint::settings::LogFormat;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Begins to log what a filter such as `info` lets through; `info` if it is none.
///
/// Implements R-PRIV-05: only what this program says itself is written, at any level. Libraries below it name addresses, paths and
/// statements when they are asked to say much.
pub fn begin(filter: &str, format: LogFormat) {
    let filter = filter.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let own = filter_fn(|metadata| metadata.target().starts_with("farthing_"));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(own)).with(filter).init();
}
