//! Voucher codes: what a reader types to prepay.
//!
//! ```text
//! code  = "fv" + 26 base-32 characters (128 random bits) + 4 characters of checksum, shown in groups of four
//! key   = Hash(the 16 bytes), reduced modulo l; the mint keeps only its public half and a balance
//! check = the low five bits of each of 4 bytes of Hash(the 16 bytes) under another label
//! ```
//!
//! The alphabet has no i, l, o or u; reading is lenient in case, spaces and hyphens, and takes i and l for 1, o for 0. The checksum
//! catches typing errors before anything is sent.

use alloc::string::String;
use core::fmt;

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{UseError, VoucherError};
use crate::labels;
use crate::proof::LoneKey;
use crate::transcript::Transcript;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const PREFIX: &str = "fv";
/// 128 bits in groups of five.
const CODE_DIGITS: usize = 26;
const CHECK_DIGITS: usize = 4;

/// A voucher's 16 secret bytes. Whoever has them has the money. Wiped when dropped; printed only by [`VoucherCode::expose_secret`].
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct VoucherCode([u8; 16]);

impl VoucherCode {
    /// Draws a code.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut code = Self([0; 16]);
        rng.fill_bytes(&mut code.0);
        code
    }

    /// A code of 16 secret bytes that the caller has derived.
    ///
    /// # Security
    /// They must be as good as random: whoever guesses them has the money.
    pub const fn from_secret_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads a code as people type it.
    ///
    /// Implements R-ISSUE-14.
    ///
    /// # Errors
    /// [`VoucherError::Malformed`] if it is no code, [`VoucherError::Checksum`] if it was mistyped.
    ///
    /// # Timing
    /// Variable time in the text: a code is typed in by its owner and read on the owner's machine.
    pub fn parse(text: &str) -> Result<Self, VoucherError> {
        let mut digits = Zeroizing::new([0_u8; CODE_DIGITS + CHECK_DIGITS]);
        let mut count = 0;
        let plain = text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase());
        for (index, c) in plain.enumerate() {
            if index < PREFIX.len() {
                if PREFIX.chars().nth(index) != Some(c) {
                    return Err(VoucherError::Malformed);
                }
                continue;
            }
            let c = match c {
                'i' | 'l' => '1',
                'o' => '0',
                other => other,
            };
            let value = u8::try_from(c).ok().and_then(|byte| ALPHABET.iter().position(|known| *known == byte));
            let slot = digits.get_mut(count).ok_or(VoucherError::Malformed)?;
            *slot = value.and_then(|value| u8::try_from(value).ok()).ok_or(VoucherError::Malformed)?;
            count += 1;
        }
        if count != digits.len() {
            return Err(VoucherError::Malformed);
        }
        let (code, check) = digits.split_at(CODE_DIGITS);
        // The first digit holds 3 bits, the others 5 each: 128 in all.
        if code[0] > 7 {
            return Err(VoucherError::Malformed);
        }
        let number = Zeroizing::new(code.iter().fold(0_u128, |number, digit| (number << 5) | u128::from(*digit)));
        let parsed = Self(number.to_be_bytes());
        if parsed.check_digits() == check { Ok(parsed) } else { Err(VoucherError::Checksum) }
    }

    fn check_digits(&self) -> [u8; CHECK_DIGITS] {
        let mut bytes = [0; CHECK_DIGITS];
        Transcript::new(labels::VOUCHER_CHECK).bytes(labels::SEED, &self.0).fill(labels::OUTPUT, &mut bytes);
        bytes.map(|byte| byte & 31)
    }

    /// The code as text, for the reader who bought it.
    pub fn expose_secret(&self) -> Zeroizing<String> {
        let number = Zeroizing::new(u128::from_be_bytes(self.0));
        let digits = (0..CODE_DIGITS).rev().map(|place| (*number >> (5 * place)) & 31);
        let digits = digits.chain(self.check_digits().into_iter().map(u128::from));
        let mut text = Zeroizing::new(String::from(PREFIX));
        for (index, digit) in digits.enumerate() {
            if (index + PREFIX.len()).is_multiple_of(4) {
                text.push('-');
            }
            // The digit is below 32.
            text.push(char::from(ALPHABET[usize::try_from(digit).unwrap_or(0)]));
        }
        text
    }

    /// The voucher's key.
    ///
    /// Implements R-ISSUE-14.
    ///
    /// # Errors
    /// [`UseError::InvalidKey`] with probability 2^-252.
    pub fn key(&self) -> Result<LoneKey, UseError> {
        LoneKey::from_secret_scalar(Transcript::new(labels::VOUCHER).bytes(labels::SEED, &self.0).scalar(labels::KEY))
    }
}

impl fmt::Debug for VoucherCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoucherCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn codes_read_back_and_mistyped_ones_are_caught() {
        let mut rng = StdRng::seed_from_u64(8);
        for _ in 0..50 {
            let code = VoucherCode::generate(&mut rng);
            let text = code.expose_secret();
            assert_eq!(VoucherCode::parse(&text).unwrap().0, code.0);
            assert_eq!(VoucherCode::parse(&text.to_uppercase().replace('-', " ")).unwrap().0, code.0);
            assert!(VoucherCode::parse(&text[..text.len() - 1]).is_err());
            let last = if text.ends_with('7') { "8" } else { "7" };
            let mistyped = [&text[..text.len() - 1], last].concat();
            assert_eq!(VoucherCode::parse(&mistyped).unwrap_err(), VoucherError::Checksum);
        }
        assert_eq!(VoucherCode::parse("fv").unwrap_err(), VoucherError::Malformed);
        assert_eq!(VoucherCode::parse("").unwrap_err(), VoucherError::Malformed);
    }
}
