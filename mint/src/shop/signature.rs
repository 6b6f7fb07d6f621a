//! Who says it: `Stripe-Signature`, as the provider documents it.
//!
//! ```text
//! Stripe-Signature: t=<Unix seconds>,v1=<hex>[,v1=<hex>]..[,v0=<hex>]
//! v1 = HMAC-SHA256(the endpoint's secret, with its prefix whsec_; "<t>.<body as it was sent>")
//! ```

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::MintError;

/// How far the signature's time may be from the mint's, in seconds.
const TOLERANCE: u64 = 300;

/// The shortest secret of an endpoint, in characters behind the prefix.
const SHORTEST: usize = 24;

/// The most signatures looked at: the provider sends one for each of its secrets that are alive.
const MOST_SIGNATURES: usize = 16;

/// Why a delivery is not the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forged {
    /// No signature, or none of a known secret.
    Unsigned,
    /// Signed too long ago, or in the future.
    Stale,
}

/// The secrets of the shop's endpoint at the payment provider.
pub struct ShopSecrets(Vec<Zeroizing<String>>);

impl ShopSecrets {
    /// Reads the content of a secrets file: a secret a line, as the provider shows it (`whsec_..`). Several are there for changing them. Blank
    /// lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`MintError::Bearer`] if there is none, or one is too short or no secret.
    pub fn parse(content: &[u8]) -> Result<Self, MintError> {
        let text = std::str::from_utf8(content).map_err(|_| MintError::Bearer("the file of the shop's secrets is no text"))?;
        let mut secrets = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let secret =
                line.strip_prefix("whsec_").filter(|rest| rest.len() >= SHORTEST && rest.bytes().all(|byte| byte.is_ascii_graphic()));
            secret.ok_or(MintError::Bearer("the file of the shop's secrets has a line that is not whsec_ and at least 24 characters"))?;
            secrets.push(Zeroizing::new(line.to_owned()));
        }
        if secrets.is_empty() {
            return Err(MintError::Bearer("the file of the shop's secrets holds none"));
        }
        Ok(Self(secrets))
    }

    /// Whether one of the secrets signed this body, not longer than the tolerance before or after `now`.
    ///
    /// Implements R-ORDER-03.
    ///
    /// # Timing
    /// Constant in the signatures and secrets.
    pub(super) fn check(&self, header: &str, body: &[u8], now: u64) -> Result<(), Forged> {
        let (mut time, mut signatures) = (None, Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=') {
                // Two times are a signature of neither.
                Some(("t", _)) if time.is_some() => return Err(Forged::Unsigned),
                Some(("t", value)) => time = Some(value),
                Some(("v1", value)) if signatures.len() < MOST_SIGNATURES => signatures.extend(base16ct::lower::decode_vec(value).ok()),
                _ => {}
            }
        }
        let time = time.ok_or(Forged::Unsigned)?;
        let mut known = false;
        for secret in &self.0 {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| Forged::Unsigned)?;
            mac.update(time.as_bytes());
            mac.update(b".");
            mac.update(body);
            for signature in &signatures {
                known |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        // The time says something once the provider has said it.
        let signed: u64 = time.parse().ok().filter(|_| known).ok_or(Forged::Unsigned)?;
        if signed.abs_diff(now) <= TOLERANCE { Ok(()) } else { Err(Forged::Stale) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NEW: &str = "whsec_5GnPZ1yW3d0XbA7vQeRt2uI9oLkJhGfD";
    const BODY: &[u8] = br#"{"id":"evt_1","type":"checkout.session.completed"}"#;
    const TIME: u64 = 1_795_000_000;
    // python3: hmac.new(SECRET.encode(), b"1795000000." + BODY, hashlib.sha256).hexdigest()
    const BY_OLD: &str = "fd79d03404c0cd9f0cd51a67132748fa266fd93f7f43fd032fcad852243c6661";
    const BY_NEW: &str = "8532d995df9a5ed37f051a7d9ec6012fb836de56e975844cf7f0e63989fca743";

    fn secrets(text: &str) -> ShopSecrets {
        ShopSecrets::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn signatures_of_any_known_secret_hold_for_five_minutes() {
        let both = secrets(&format!("# changing\n{OLD}\n{NEW}\n"));
        for by in [BY_OLD, BY_NEW] {
            assert_eq!(both.check(&format!("t={TIME},v1={by}"), BODY, TIME), Ok(()));
        }
        let new = secrets(NEW);
        let two = format!("t={TIME},v1={BY_OLD},v0=00,v1={BY_NEW}");
        assert_eq!(new.check(&two, BODY, TIME + 300), Ok(()));
        assert_eq!(new.check(&two, BODY, TIME - 300), Ok(()));
        assert_eq!(new.check(&two, BODY, TIME + 301), Err(Forged::Stale));
        assert_eq!(new.check(&two, BODY, TIME - 301), Err(Forged::Stale));
        assert_eq!(new.check(&format!("t={TIME},v1={BY_OLD}"), BODY, TIME), Err(Forged::Unsigned));
    }

    #[test]
    fn what_is_not_signed_whole_is_not_signed() {
        let secrets = secrets(NEW);
        for header in [
            String::new(),
            "t".into(),
            format!("t={TIME}"),
            format!("v1={BY_NEW}"),
            format!("t={TIME},v0={BY_NEW}"),
            format!("t={},v1={BY_NEW}", TIME + 1),
            format!("t=0{TIME},v1={BY_NEW}"),
            format!("t={TIME},t={TIME},v1={BY_NEW}"),
            format!("t={TIME},v1={}", &BY_NEW[..62]),
            format!("t={TIME},v1="),
            format!("t={TIME},v1=zz"),
        ] {
            assert_eq!(secrets.check(&header, BODY, TIME), Err(Forged::Unsigned), "{header}");
        }
        let mut changed = BODY.to_vec();
        changed[8] ^= 1;
        assert_eq!(secrets.check(&format!("t={TIME},v1={BY_NEW}"), &changed, TIME), Err(Forged::Unsigned));
        assert_eq!(secrets.check(&format!("t={TIME},v1={BY_NEW}"), &[], TIME), Err(Forged::Unsigned));
    }

    #[test]
    fn secrets_that_are_none_are_refused() {
        for wrong in ["", "# nothing", "whsec_", "whsec_short", &NEW[6..], "whsec_with a space in between it"] {
            assert!(matches!(ShopSecrets::parse(wrong.as_bytes()), Err(MintError::Bearer(_))), "{wrong}");
        }
    }
}
