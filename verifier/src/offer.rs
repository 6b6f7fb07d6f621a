//! What is for sale, for how much, and under which URL.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::http::{ChargeRequest, pass_resource};
use http::{Method, Uri};
use sha2::{Digest, Sha256};

use crate::error::VerifierError;

/// The longest title, in bytes.
pub const MAX_TITLE: usize = 400;

/// The longest external id, in bytes.
pub const MAX_EXTERNAL_ID: usize = 200;

/// A price in smallest units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// Exactly this much.
    Fixed(Amount),
    /// As much as the reader likes, within bounds.
    Tip {
        /// The least.
        minimum: Amount,
        /// What a wallet proposes.
        suggested: Amount,
        /// The most.
        maximum: Amount,
    },
}

impl Price {
    /// The price, for a tip the suggested one.
    pub const fn amount(&self) -> Amount {
        match self {
            Self::Fixed(amount) => *amount,
            Self::Tip { suggested, .. } => *suggested,
        }
    }

    const fn bounds(&self) -> (Option<Amount>, Option<Amount>) {
        match self {
            Self::Fixed(_) => (None, None),
            Self::Tip { minimum, maximum, .. } => (Some(*minimum), Some(*maximum)),
        }
    }
}

/// One thing for sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it costs.
    pub price: Price,
    /// What it is, for people; at most [`MAX_TITLE`] bytes.
    pub title: String,
    /// The publisher's own name for it; at most [`MAX_EXTERNAL_ID`] bytes.
    pub external_id: String,
    /// For how long it may be read again after it was bought.
    pub access: Duration,
}

impl Offer {
    /// # Errors
    /// [`VerifierError::Offer`]: the publisher's mistake.
    pub(crate) fn validate(&self) -> Result<(), VerifierError> {
        let ordered = match self.price {
            Price::Fixed(amount) => !amount.is_zero(),
            Price::Tip { minimum, suggested, maximum } => !minimum.is_zero() && minimum <= suggested && suggested <= maximum,
        };
        if !ordered {
            return Err(VerifierError::Offer("the price is zero, or a tip's bounds are not in order"));
        }
        if self.title.len() > MAX_TITLE || self.external_id.len() > MAX_EXTERNAL_ID {
            return Err(VerifierError::Offer("the title or the external id is too long"));
        }
        if self.title.chars().chain(self.external_id.chars()).any(char::is_control) {
            return Err(VerifierError::Offer("the title or the external id holds control characters"));
        }
        Ok(())
    }

    /// Whether a challenge asked for what is asked now.
    pub(crate) fn matches(&self, request: &ChargeRequest) -> bool {
        let (minimum, maximum) = self.price.bounds();
        let same = |amount: Option<Amount>, text: Option<&str>| amount.map(|amount| amount.to_string()).as_deref() == text;
        request.amount == self.price.amount().to_string()
            && same(minimum, request.method_details.minimum.as_deref())
            && same(maximum, request.method_details.maximum.as_deref())
    }

    /// `minimum` and `maximum` of a challenge.
    pub(crate) fn bounds(&self) -> (Option<String>, Option<String>) {
        let (minimum, maximum) = self.price.bounds();
        (minimum.map(|amount| amount.to_string()), maximum.map(|amount| amount.to_string()))
    }
}

/// One payment for everything of a fixed price below a path, for a time.
///
/// # Security
/// Whoever reads with a pass shows that the same payment is behind every visit: publishers learn what is read together, though not by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What it costs.
    pub price: Amount,
    /// What it is, for people; at most [`MAX_TITLE`] bytes.
    pub title: String,
    /// The start of every path it is good for: `/` for the whole site, or a path that begins and ends with a slash.
    pub scope: String,
    /// For how long it is good.
    pub access: Duration,
}

impl Pass {
    /// # Errors
    /// [`VerifierError::Config`]: the publisher's mistake.
    pub(crate) fn validate(&self) -> Result<(), VerifierError> {
        let whole = self.scope.starts_with('/') && self.scope.ends_with('/') && is_plain(&self.scope);
        if !whole || self.scope.contains(['?', '#', '%', ' ']) || self.scope.len() > MAX_EXTERNAL_ID {
            return Err(VerifierError::Config("the scope of the pass is no path between two slashes, such as / or /articles/"));
        }
        self.offer().validate().map_err(|_| VerifierError::Config("the pass costs nothing, or its title is too long"))
    }

    /// The pass as something for sale.
    pub(crate) fn offer(&self) -> Offer {
        Offer { price: Price::Fixed(self.price), title: self.title.clone(), external_id: self.scope.clone(), access: self.access }
    }

    /// Whether it is good for a path, however a server reads it.
    fn covers(&self, path: &str) -> bool {
        path.starts_with(&self.scope) && is_plain(path)
    }

    fn hash(&self, scheme: &str, publisher: &str) -> [u8; 32] {
        Sha256::digest(pass_resource(scheme, publisher, &self.scope)).into()
    }
}

/// Whether nothing in a path can be read as leading elsewhere.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let leads = ["//", "\\", "%2e", "%2f", "%5c", "%25"].iter().any(|text| lower.contains(text));
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    !leads && !lower.split('/').any(dots)
}

/// What a request asks for: a method and a canonical URL, as its hash.
///
/// The URL is the configured scheme and publisher with the request's path and query, byte for byte: two spellings are two resources, so
/// that no spelling of a dear article can be bought at the price of a cheap one. `HEAD` counts as `GET`.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    pub(crate) method: Method,
    pub(crate) hash: [u8; 32],
    /// The resource of the pass that is good for it.
    pub(crate) pass: Option<[u8; 32]>,
}

impl Resource {
    pub(crate) fn new(scheme: &str, publisher: &str, method: &Method, uri: &Uri, pass: Option<&Pass>) -> Self {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut hash = Sha256::new();
        for part in [scheme, "://", publisher, if path.is_empty() { "/" } else { path }] {
            hash.update(part.as_bytes());
        }
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        let pass = pass.filter(|pass| pass.covers(uri.path())).map(|pass| pass.hash(scheme, publisher));
        Self { method, hash: hash.finalize().into(), pass }
    }

    /// The hash as challenges carry it.
    pub(crate) fn encoded(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.hash)
    }

    /// What is paid for: the page, or the pass that is good for it.
    pub(crate) fn paid(&self, as_pass: bool) -> Option<[u8; 32]> {
        if as_pass { self.pass } else { Some(self.hash) }
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Which article is asked for stays out of logs.
        write!(f, "Resource({}, ..)", self.method)
    }
}
