//! Who may ask: bearer tokens out of a file.

use axum::extract::Request;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, header};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::MintError;
use crate::http::Problem;

/// 32 random bytes in base64url; in hex they are longer.
const SHORTEST: usize = 43;

/// The longest token, in characters.
const LONGEST: usize = 256;

/// What a token is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Everything.
    Admin,
    /// Looking up the vouchers of checkouts.
    Orders,
}

/// The tokens that open the admin API. Keeps keyed hashes only, under a key that this process has drawn.
pub struct Tokens {
    key: Hmac<Sha256>,
    known: Vec<(CtOutput<Hmac<Sha256>>, Scope)>,
}

impl Tokens {
    /// Reads the content of a token file: a token a line, of 43 to 256 characters as RFC 6750 allows them, made of at least 32 random bytes.
    /// `orders ` in front of a token restricts it to looking up orders: for the shop. Blank lines and lines that begin with `#` say nothing.
    /// Several tokens are there for changing them.
    ///
    /// # Errors
    /// [`MintError::Bearer`] if there is none or one is too short or no token.
    pub fn parse(content: &[u8]) -> Result<Self, MintError> {
        let mut secret = Zeroizing::new([0; 32]);
        crate::random(&mut *secret);
        let key = Hmac::<Sha256>::new_from_slice(&*secret).map_err(|_| MintError::Bearer("no key for the tokens"))?;
        let text = std::str::from_utf8(content).map_err(|_| MintError::Bearer("the file of admin tokens is no text"))?;
        let mut known = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (scope, token) = line.strip_prefix("orders ").map_or((Scope::Admin, line), |token| (Scope::Orders, token.trim()));
            let character = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            if token.len() > LONGEST || !token.bytes().all(character) {
                return Err(MintError::Bearer("the file of admin tokens has a line that is no token"));
            }
            if token.len() < SHORTEST {
                return Err(MintError::Bearer("an admin token is made of at least 32 random bytes: 43 characters of base64, 64 of hex"));
            }
            known.push((hash(&key, token), scope));
        }
        if known.is_empty() {
            return Err(MintError::Bearer("the file of admin tokens holds none"));
        }
        Ok(Self { key, known })
    }

    /// Whether a request may be answered.
    ///
    /// # Timing
    /// Depends on the number of known tokens and the length of the one given.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(Problem::UNAUTHORIZED) };
        let given = value.to_str().ok().and_then(|text| text.split_once(' '));
        let token = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let given = hash(&self.key, token.ok_or(Problem::UNAUTHORIZED)?);
        let mut found = None;
        for (known, scope) in &self.known {
            // All are compared, whichever fits.
            if *known == given {
                found = Some(*scope);
            }
        }
        let order = request.method() == Method::GET && request.uri().path().starts_with("/admin/v1/orders/");
        match found.ok_or(Problem::UNAUTHORIZED)? {
            Scope::Admin => Ok(()),
            Scope::Orders if order => Ok(()),
            Scope::Orders => Err(Problem::FORBIDDEN),
        }
    }
}

fn hash(key: &Hmac<Sha256>, token: &str) -> CtOutput<Hmac<Sha256>> {
    let mut mac = key.clone();
    mac.update(token.as_bytes());
    mac.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one-4567890123456789012345678901234567890123";
    const SHOP: &str = "shop4567890123456789012345678901234567890123";

    fn ask(tokens: &Tokens, method: Method, path: &str, value: Option<&str>) -> Option<&'static str> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(value) = value {
            request = request.header(header::AUTHORIZATION, value);
        }
        tokens.check(&request.body(axum::body::Body::empty()).unwrap()).err().map(|problem| problem.code())
    }

    #[test]
    fn only_listed_tokens_open_and_a_shops_only_its_orders() {
        let tokens = Tokens::parse(format!("# shared with nobody\n{ONE}\n\norders {SHOP}\n").as_bytes()).unwrap();
        let bearer = |token: &str| format!("Bearer {token}");
        assert_eq!(ask(&tokens, Method::POST, "/admin/v1/vouchers", Some(&bearer(ONE))), None);
        assert_eq!(ask(&tokens, Method::POST, "/admin/v1/vouchers", Some(&format!("bearer {ONE}"))), None);
        assert_eq!(ask(&tokens, Method::GET, "/admin/v1/orders/cs_1", Some(&bearer(SHOP))), None);
        assert_eq!(ask(&tokens, Method::POST, "/admin/v1/vouchers", Some(&bearer(SHOP))), Some("forbidden"));
        assert_eq!(ask(&tokens, Method::POST, "/admin/v1/orders/cs_1", Some(&bearer(SHOP))), Some("forbidden"));
        for wrong in [None, Some(ONE), Some(""), Some("Bearer"), Some("Bearer "), Some(&*bearer(&ONE[1..])), Some(&*format!("Basic {ONE}"))]
        {
            assert_eq!(ask(&tokens, Method::GET, "/admin/v1/status", wrong), Some("unauthorized"), "{wrong:?}");
        }
        let twice = Request::builder().header(header::AUTHORIZATION, bearer(ONE)).header(header::AUTHORIZATION, bearer(ONE));
        assert!(tokens.check(&twice.body(axum::body::Body::empty()).unwrap()).is_err(), "one header, one token");
    }

    #[test]
    fn tokens_that_can_be_guessed_are_refused() {
        for wrong in ["", "# nothing\n", "short", &ONE[..42], "orders ", &format!("{ONE} {SHOP}"), &"a".repeat(257)] {
            assert!(matches!(Tokens::parse(wrong.as_bytes()), Err(MintError::Bearer(_))), "{wrong}");
        }
        assert!(Tokens::parse(&[0xff; 64]).is_err());
    }
}
