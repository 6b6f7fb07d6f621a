//! Reading a publisher's 402 and deciding whether it may be paid at all. The one module that speaks the `mpp` crate's types.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::http::{ChargeRequest, Credential, EchoedChallenge, INTENT, METHOD, pass_resource};
use mpp::{PaymentChallenge, PaymentCredential, format_authorization, parse_receipt, parse_www_authenticate_all};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use crate::error::WalletError;
use crate::fetch::Page;

/// The farthest deadline for a deposit that the wallet signs, in seconds from now: until then a token cannot be refreshed in peace.
const FARTHEST_DEPOSIT: u64 = 8 * 86_400;

/// The name a payment to this URL goes to: the host in lower case (international names as punycode), with the port if it is not the
/// scheme's default. `None` for a URL without a host.
pub fn publisher_of(url: &Url) -> Option<String> {
    let host = url.host_str()?.to_ascii_lowercase();
    Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

/// The form of a URL that publishers and wallets hash: scheme, publisher, path and query, without a fragment.
pub fn canonical_url(url: &Url) -> Option<String> {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}://{}{}{query}", url.scheme(), publisher_of(url)?, url.path()))
}

/// What a publisher asks for, checked against the page's own address, the wallet's mint and the clock.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    /// Who is paid.
    pub publisher: String,
    /// What is for sale, in the publisher's words, without control characters.
    pub title: String,
    /// The price; for a tip the suggested one.
    pub price: Amount,
    /// The least and the most a tip may be; absent for a fixed price.
    pub tip: Option<(Amount, Amount)>,
    /// For how many seconds it may be read again.
    pub access: u64,
    /// For a pass, the start of every path it is good for. Whoever sells it sees that the pages read with it belong together.
    pub scope: Option<String>,
    #[serde(skip)]
    pub(crate) url: String,
    #[serde(skip)]
    pub(crate) deposit_by: u64,
    #[serde(skip)]
    pub(crate) keysets: [u8; 32],
    #[serde(skip)]
    challenge: PaymentChallenge,
}

fn amount(text: &str) -> Result<Amount, WalletError> {
    // The canonical decimal form only: "+5" or "05" would be two spellings of one price.
    let units: u64 = text.parse().map_err(|_| WalletError::Offer("an amount is no number"))?;
    if units.to_string() == text { Ok(Amount::from_units(units)) } else { Err(WalletError::Offer("an amount is not canonical")) }
}

impl Offer {
    /// Finds and checks the offer of a 402 page.
    ///
    /// Implements R-WALLET-04.
    ///
    /// # Errors
    /// [`WalletError::Offer`]: why it must not be paid.
    pub(crate) fn of(page: &Page, mint: &str, unit: &Unit, now: u64) -> Result<Self, WalletError> {
        Self::find(page, false, mint, unit, now)
    }

    /// Finds and checks the pass that a 402 page offers beside the page itself; `None` if it offers none that may be paid.
    pub(crate) fn pass_of(page: &Page, mint: &str, unit: &Unit, now: u64) -> Option<Self> {
        Self::find(page, true, mint, unit, now).ok().filter(|pass| pass.tip.is_none())
    }

    fn find(page: &Page, pass: bool, mint: &str, unit: &Unit, now: u64) -> Result<Self, WalletError> {
        let headers = page.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        let ours = |challenge: &PaymentChallenge| challenge.method.as_str() == METHOD && challenge.intent.as_str() == INTENT;
        let mut challenges = parse_www_authenticate_all(headers).into_iter().flatten().filter(ours).peekable();
        challenges.peek().ok_or(WalletError::Offer("the page asks for another kind of payment"))?;
        let decoded =
            challenges.filter_map(|challenge| challenge.request.decode::<ChargeRequest>().ok().map(|request| (challenge, request)));
        let mut decoded = decoded.filter(|(_, request)| request.method_details.scope.is_some() == pass);
        let (challenge, request) = decoded.next().ok_or(WalletError::Offer("the request does not decode"))?;
        let details = request.method_details;
        let publisher = publisher_of(&page.url).ok_or(WalletError::Offer("the address has no host"))?;
        if request.recipient != publisher {
            return Err(WalletError::Offer("it names another publisher than the page's own"));
        }
        let url = canonical_url(&page.url).ok_or(WalletError::Offer("the address has no host"))?;
        let resource = match &details.scope {
            None => url.clone(),
            Some(scope) if scope.starts_with('/') && scope.ends_with('/') && page.url.path().starts_with(scope) => {
                pass_resource(page.url.scheme(), &publisher, scope)
            }
            Some(_) => return Err(WalletError::Offer("the pass is not good for this page")),
        };
        if details.resource != Base64UrlUnpadded::encode_string(&Sha256::digest(resource)) {
            return Err(WalletError::Offer("it is for another page than this one"));
        }
        if details.mint.trim_end_matches('/') != mint {
            return Err(WalletError::Offer("it wants tokens of another mint"));
        }
        if request.currency != unit.name() {
            return Err(WalletError::Offer("it is in another currency"));
        }
        let expires = challenge.expires.as_deref().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let expires = expires.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
        if expires.is_none_or(|expires| expires <= now) {
            return Err(WalletError::Offer("it has expired"));
        }
        if details.deposit_by <= now || details.deposit_by > now.saturating_add(FARTHEST_DEPOSIT) {
            return Err(WalletError::Offer("its deadline for the deposit is not acceptable"));
        }
        let price = amount(&request.amount)?;
        let tip = match (details.minimum, details.maximum) {
            (None, None) => None,
            (Some(least), Some(most)) => Some((amount(&least)?, amount(&most)?)),
            _ => return Err(WalletError::Offer("a tip needs a minimum and a maximum")),
        };
        if price.is_zero() || tip.is_some_and(|(least, most)| least.is_zero() || price < least || price > most) {
            return Err(WalletError::Offer("the price is not payable"));
        }
        let mut keysets = [0; 32];
        if !Base64UrlUnpadded::decode(&details.keysets, &mut keysets).is_ok_and(|decoded| decoded.len() == 32) {
            return Err(WalletError::Offer("the head of the keyset list is malformed"));
        }
        let title = details.title.chars().filter(|c| !c.is_control()).take(300).collect();
        let (access, scope, deposit_by) = (details.access, details.scope, details.deposit_by);
        Ok(Self { publisher, title, price, tip, access, scope, url, deposit_by, keysets, challenge })
    }

    /// D, which binds a payment to this very challenge.
    pub(crate) fn subject(&self, salt: &[u8]) -> [u8; 32] {
        let challenge = &self.challenge;
        EchoedChallenge {
            id: &challenge.id,
            realm: &challenge.realm,
            method: challenge.method.as_str(),
            intent: challenge.intent.as_str(),
            request: challenge.request.raw(),
            expires: challenge.expires.as_deref(),
            digest: challenge.digest.as_deref(),
            opaque: challenge.opaque.as_ref().map(mpp::Base64UrlJson::raw),
            description: challenge.description.as_deref(),
            header: challenge.header.as_deref(),
        }
        .subject(salt)
    }

    /// The header that answers the challenge.
    pub(crate) fn authorization(&self, payload: &Credential) -> Result<String, WalletError> {
        let credential = PaymentCredential::new(self.challenge.to_echo(), payload);
        format_authorization(&credential).map_err(|_| WalletError::Internal("a credential does not encode"))
    }
}

/// What a page's `Payment-Receipt` says; nothing of it is checked.
#[derive(Default)]
pub(crate) struct ReceiptHeader {
    /// Whether the mint has booked the payment already.
    pub(crate) settled: bool,
    pub(crate) paid_at: Option<u64>,
    pub(crate) access_until: Option<u64>,
    pub(crate) key: Option<String>,
    pub(crate) proof: Option<String>,
}

impl ReceiptHeader {
    pub(crate) fn of(page: &Page) -> Self {
        let Some(receipt) = page.header("payment-receipt").and_then(|text| parse_receipt(text).ok()) else { return Self::default() };
        let number = |name: &str| receipt.extensions.get(name).and_then(serde_json::Value::as_u64);
        let text = |name: &str| receipt.extensions.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        Self {
            settled: text("state").as_deref() == Some("settled"),
            paid_at: number("paidAt"),
            access_until: number("accessUntil"),
            key: text("key"),
            proof: text("proof"),
        }
    }
}
