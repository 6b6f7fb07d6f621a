//! Recovery: tokens of a frozen denomination are paid back for the sessions that made them, whatever came back of it before.
//!
//! A key that has leaked makes counterfeits, and those that came back first have used up what may be redeemed. So what is paid back for
//! sessions is counted apart from what was redeemed: each at most what was issued. Together they may be more; the difference is the loss.

use farthing_protocol::amount::Amount;

use super::{Answer, RecordedRow};

/// The ledger's part in recovery, beside booking it ([`super::Debit::Recovery`]).
pub trait Recoveries: Send + Sync + 'static {
    /// The sessions of a keyset, by its number, that were booked under a recovery hash and a commitment to recovery secrets: one, unless a
    /// wallet has used its indices twice.
    fn recoverable(&self, keyset: u32, recovery: [u8; 32], commitment: [u8; 32]) -> Answer<'_, Vec<RecordedRow>>;

    /// Every frozen denomination, with its keyset's number, ascending.
    fn frozen(&self) -> Answer<'_, Vec<(u32, Amount)>>;
}
