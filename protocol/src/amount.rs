//! Money: checked amounts in the mint's smallest unit, and what that unit is.
//!
//! An [`Amount`] counts smallest units; a [`Unit`] says what one is. The default unit is `eur/100000`: one unit is a thousandth of a
//! cent, 500 units are half a cent, 100,000 units one euro. There is no floating point anywhere and no arithmetic that wraps.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::error::KeysetError;

/// A number of smallest units: 0 to 2^64 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `units` smallest units.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// The number of smallest units.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` if it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` if it would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum of many, or `None` if it does not fit.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A currency and how many decimals its smallest unit has.
///
/// `eur` with 5 decimals is written `eur/100000` (ISO 4217 code, smallest units per main unit).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    currency: String,
    decimals: u8,
}

impl Unit {
    /// A unit of three lower-case letters and at most 9 decimals.
    ///
    /// Implements R-KEYSET-10.
    ///
    /// # Errors
    /// [`KeysetError::InvalidUnit`].
    pub fn new(currency: &str, decimals: u8) -> Result<Self, KeysetError> {
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) || decimals > 9 {
            return Err(KeysetError::InvalidUnit);
        }
        Ok(Self { currency: currency.into(), decimals })
    }

    /// Thousandths of a euro cent, `eur/100000`.
    pub fn default_eur() -> Self {
        Self { currency: "eur".into(), decimals: 5 }
    }

    /// The ISO 4217 code in lower case.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// The decimals of the smallest unit.
    pub const fn decimals(&self) -> u8 {
        self.decimals
    }

    /// Smallest units per main unit: 10^decimals.
    pub fn units_per_main(&self) -> u64 {
        10_u64.pow(u32::from(self.decimals))
    }

    /// The name used in HTTP challenges, such as `eur/100000`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.currency, self.units_per_main())
    }

    /// An amount for people, such as `0.00500 EUR`.
    pub fn display(&self, amount: Amount) -> String {
        let main = amount.units() / self.units_per_main();
        let rest = amount.units() % self.units_per_main();
        let code = self.currency.to_ascii_uppercase();
        if self.decimals == 0 {
            format!("{main} {code}")
        } else {
            format!("{main}.{rest:0width$} {code}", width = usize::from(self.decimals))
        }
    }

    /// Reads an amount for people: digits with at most `decimals` places, such as `0.005`.
    ///
    /// Returns `None` if it is anything else or does not fit.
    pub fn parse(&self, text: &str) -> Option<Amount> {
        let (main, rest) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if main.is_empty() || !digits(main) || !digits(rest) || rest.len() > usize::from(self.decimals) || text.ends_with('.') {
            return None;
        }
        let main = main.parse::<u64>().ok()?.checked_mul(self.units_per_main())?;
        let places = u32::try_from(rest.len()).ok()?;
        let rest = if rest.is_empty() { 0 } else { rest.parse::<u64>().ok()? };
        main.checked_add(rest.checked_mul(10_u64.pow(u32::from(self.decimals) - places))?).map(Amount)
    }
}

/// The default denominations: 1, 2, 5, 10, .. 100,000 units, ascending.
pub fn default_denominations() -> Vec<Amount> {
    let mut all = Vec::new();
    let mut power = 1;
    while power < 100_000 {
        all.extend([power, 2 * power, 5 * power].map(Amount));
        power *= 10;
    }
    all.push(Amount(100_000));
    all
}

/// Splits an amount into as few denominations as possible, ascending; `None` if it cannot be made exactly.
///
/// Fewest first holds for denomination systems in which the greedy choice is optimal, such as 1-2-5.
pub fn split(amount: Amount, denominations: &[Amount]) -> Option<Vec<Amount>> {
    let mut rest = amount.units();
    let mut parts = Vec::new();
    let mut sorted = denominations.to_vec();
    sorted.sort_unstable();
    for denomination in sorted.into_iter().rev().filter(|denomination| !denomination.is_zero()) {
        let count = rest / denomination.units();
        // A caller asking for millions of tokens wants an error, not gigabytes.
        if count > 1 << 16 {
            return None;
        }
        parts.extend((0..count).map(|_| denomination));
        rest %= denomination.units();
    }
    parts.reverse();
    (rest == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_and_read_in_main_units() {
        let unit = Unit::default_eur();
        assert_eq!(unit.name(), "eur/100000");
        assert_eq!(unit.display(Amount(500)), "0.00500 EUR");
        assert_eq!(unit.parse("0.005"), Some(Amount(500)));
        assert_eq!(unit.parse("12"), Some(Amount(1_200_000)));
        for wrong in ["", ".", "1.", ".5", "-1", "+1", "1.+5", "1e3", "0.000001", "184467440737095516160"] {
            assert_eq!(unit.parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn split_takes_fewest_and_conserves_value() {
        let denominations = default_denominations();
        assert_eq!(denominations.len(), 16);
        for amount in [1, 3, 4, 99, 500, 5_000, 99_999, 1_234_567] {
            let parts = split(Amount(amount), &denominations).unwrap();
            assert_eq!(Amount::checked_sum(parts.iter().copied()), Some(Amount(amount)));
        }
        assert_eq!(split(Amount(5_000), &denominations).unwrap().len(), 1);
        assert_eq!(split(Amount(3), &[Amount(2)]), None);
    }
}
