//! Closes: what every account moved since the close before, chained, so that a booking that is changed later shows.
//!
//! A close covers the bookings after those of the close before, up to the last one durable when it is made: by their numbers, not by a
//! clock. Its digest is SHA-256 over these lines, each ended by a line feed, in hexadecimal:
//!
//! ```text
//! farthing close 1
//! <ledger id, hexadecimal>
//! <digest of the close before; 64 zeros before the first>
//! <number> <first booking> <last booking> <time> <day>
//! <account> <debit> <credit> <balance>          every account that moved, ascending by its bytes
//! ```
//!
//! Whoever can write to the ledger can make a whole chain anew: what proves anything is a digest that was kept elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use farthing_protocol::amount::Amount;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Answer;
use super::books::Difference;
use crate::config::hexadecimal;

/// What one account moved in one close.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloseTotal {
    /// The account.
    pub account: String,
    /// The sum of its debits, in smallest units.
    pub debit: Amount,
    /// The sum of its credits, in smallest units.
    pub credit: Amount,
    /// Its balance afterwards, as in [`super::books::Balance`].
    pub balance: i64,
}

/// A close.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Close {
    /// Its number, from 1.
    pub number: u64,
    /// The first booking it covers.
    pub first_booking: u64,
    /// The last one.
    pub last_booking: u64,
    /// When it was made, Unix seconds.
    pub time: u64,
    /// The last day, UTC, that had ended when it was made; days since 1970.
    pub day: u64,
    /// The digest, in hexadecimal.
    pub digest: String,
    /// The accounts that moved, ascending.
    pub totals: Vec<CloseTotal>,
}

/// What stands before the first close.
pub(super) const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Close {
    /// The last day, UTC, that had ended when it was made, such as `2026-01-31`.
    pub fn day(&self) -> String {
        crate::sepa::date(self.day)
    }

    /// The digest that belongs to it, after the one of the close before.
    ///
    /// Implements R-BOOKS-06.
    pub(super) fn digest(&self, ledger: &[u8; 16], previous: &str) -> String {
        let Self { number, first_booking, last_booking, time, day, .. } = self;
        let mut text = String::from("farthing close 1\n");
        text.push_str(&hexadecimal(ledger));
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n{previous}\n{number} {first_booking} {last_booking} {time} {day}");
        for CloseTotal { account, debit, credit, balance } in &self.totals {
            let _ = writeln!(text, "{account} {debit} {credit} {balance}");
        }
        hexadecimal(&Sha256::digest(text))
    }
}

/// The first 63 bits of a digest, to be shown beside another.
pub(super) fn shown(digest: &str) -> i64 {
    let first = digest.get(..16).and_then(|first| u64::from_str_radix(first, 16).ok());
    first.map_or(-1, |first| (first >> 1).cast_signed())
}

/// What was summed up: account, debit, credit.
pub(super) type Sums = BTreeMap<String, (u64, u64)>;

/// What became of a close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseMade {
    /// Durable.
    Closed(Box<Close>),
    /// Every booking, or every one of a day that has ended, belongs to a close already.
    Nothing,
    /// Journal and tables do not agree: nothing was stored.
    Differs(Vec<Difference>),
}

/// The ledger's part in closes.
pub trait Closes: Send + Sync + 'static {
    /// Makes a close, if there is a booking that belongs to none; with `ended`, only if one of them is of a day that ended before `now`.
    fn close_books(&self, now: u64, ended: bool) -> Answer<'_, CloseMade>;

    /// All closes, ascending, without their totals.
    fn closes(&self) -> Answer<'_, Vec<Close>>;

    /// A close with its totals.
    fn close(&self, number: u64) -> Answer<'_, Option<Close>>;
}
