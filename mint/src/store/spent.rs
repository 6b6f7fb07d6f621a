//! The ledger's part in the filters of spent tokens: which came back, in order, as the marks that filters are made of.

use farthing_protocol::filter::SpentMark;

use super::Answer;

/// The order in which tokens came back. It is written in the transactions that spend them, so that it lacks none and all processes read the same.
pub trait SpentLog: Send + Sync + 'static {
    /// How many tokens of a keyset, by its number, had come back when the last transaction was booked whose time is before `time`, Unix
    /// seconds.
    fn spent_before(&self, keyset: u32, time: u64) -> Answer<'_, u64>;

    /// The marks of tokens `first` to `end`, without `end`. Both are bounds of a filter's segment, or what [`SpentLog::spent_before`] said.
    fn spent_marks(&self, keyset: u32, first: u64, end: u64) -> Answer<'_, Vec<SpentMark>>;
}
