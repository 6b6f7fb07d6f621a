//! The wallet's seed as people write it down.
//!
//! ```text
//! text  = "fs" + 52 base-32 digits (the seed's 256 bits, then four zero bits) + 6 digits of checksum, in groups of four
//! check = the low five bits of each of the first six bytes of SHA-256("farthing-wallet/1 seed check" || seed)
//! ```
//!
//! The alphabet has no i, l, o or u; reading is lenient in case, spaces and hyphens, and takes i and l for 1, o for 0.

use farthing_protocol::seed::WalletSeed;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::WalletError;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const PREFIX: &str = "fs";
const SEED_DIGITS: usize = 52;
const CHECK_DIGITS: usize = 6;

fn check_digits(seed: &[u8; 32]) -> [u8; CHECK_DIGITS] {
    let digest = Sha256::new_with_prefix(b"farthing-wallet/1 seed check").chain_update(seed).finalize();
    let mut digits = [0; CHECK_DIGITS];
    for (digit, byte) in digits.iter_mut().zip(digest) {
        *digit = byte & 31;
    }
    digits
}

/// Five bits of the seed, most significant first; beyond its end zeros.
fn digit(seed: &[u8; 32], place: usize) -> u8 {
    (0..5).fold(0, |digit, offset| {
        let bit = 5 * place + offset;
        let set = seed.get(bit / 8).is_some_and(|byte| byte >> (7 - bit % 8) & 1 == 1);
        digit << 1 | u8::from(set)
    })
}

/// The seed as text: whoever reads it has the money.
pub(crate) fn to_text(seed: &WalletSeed) -> Zeroizing<String> {
    let seed = seed.expose_secret();
    let digits = (0..SEED_DIGITS).map(|place| digit(&seed, place)).chain(check_digits(&seed));
    // With its final size at once: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(80));
    text.push_str(PREFIX);
    for (index, digit) in digits.enumerate() {
        if (index + PREFIX.len()).is_multiple_of(4) {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(digit)]));
    }
    text
}

/// Reads a seed as people type it.
pub(crate) fn from_text(text: &str) -> Result<WalletSeed, WalletError> {
    let malformed = || WalletError::Seed("this is not a wallet's seed");
    let mut digits = Zeroizing::new([0_u8; SEED_DIGITS + CHECK_DIGITS]);
    let mut count = 0;
    let plain = text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase());
    for (index, c) in plain.enumerate() {
        if index < PREFIX.len() {
            if PREFIX.chars().nth(index) != Some(c) {
                return Err(malformed());
            }
            continue;
        }
        let c = match c {
            'i' | 'l' => '1',
            'o' => '0',
            other => other,
        };
        let value = u8::try_from(c).ok().and_then(|byte| ALPHABET.iter().position(|known| *known == byte)).ok_or_else(malformed)?;
        *digits.get_mut(count).ok_or_else(malformed)? = u8::try_from(value).map_err(|_| malformed())?;
        count += 1;
    }
    if count != digits.len() || digits[SEED_DIGITS - 1] & 15 != 0 {
        return Err(malformed());
    }
    let mut seed = Zeroizing::new([0_u8; 32]);
    for bit in 0..256 {
        if digits[bit / 5] >> (4 - bit % 5) & 1 == 1 {
            seed[bit / 8] |= 1 << (7 - bit % 8);
        }
    }
    if check_digits(&seed) == digits[SEED_DIGITS..] {
        Ok(WalletSeed::from_bytes(&seed))
    } else {
        Err(WalletError::Seed("the seed has a typing error"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn seeds_read_back_and_mistyped_ones_are_caught() {
        let mut rng = StdRng::seed_from_u64(5);
        for _ in 0..50 {
            let seed = WalletSeed::generate(&mut rng);
            let text = to_text(&seed);
            assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4; 15]);
            for typed in [text.to_string(), text.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l")] {
                assert_eq!(*from_text(&typed).unwrap().expose_secret(), *seed.expose_secret());
            }
            for place in (2..text.len()).filter(|place| &text[*place..=*place] != "-") {
                let other = if &text[place..=place] == "7" { "8" } else { "7" };
                assert!(from_text(&[&text[..place], other, &text[place + 1..]].concat()).is_err());
            }
        }
        for wrong in ["", "fs", "fv3e-p8p2-qs5q-ncm9-aa60-rmet-70pv-s78x", "fs11-1111"] {
            assert!(matches!(from_text(wrong), Err(WalletError::Seed(_))));
        }
    }
}
