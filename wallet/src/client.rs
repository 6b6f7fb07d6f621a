//! The wallet's side of the mint's HTTP API, over binary frames.
//!
//! Every request goes over a connection of its own, without cookies: requests of one wallet shall not be joined by their transport.

use std::collections::BTreeSet;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::proof::KeysetId;
use farthing_protocol::wire::{
    Bytes, Frame, IssueRequestFrame, IssueResponseFrame, KeysetListFrame, OpenRequestFrame, OpenResponseFrame, RestoreBucketFrame,
};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use url::{Host, Url};

use crate::error::WalletError;

const FRAME_TYPE: &str = "application/vnd.farthing";

/// The longest problem or voucher answer read, in bytes.
const SMALL_BODY: usize = 64 << 10;

/// How the wallet reaches the network.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// A proxy for all requests, such as `socks5h://127.0.0.1:9050`.
    pub proxy: Option<Url>,
    /// How long one request may take.
    pub timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { proxy: None, timeout: Duration::from_secs(30) }
    }
}

/// A client for one request to this server: it keeps no connection, follows no redirect and stores no cookie.
pub(crate) fn http_client(options: &ClientOptions, server: &Url) -> Result<Client, WalletError> {
    // Fails only if a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder =
        Client::builder().redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).timeout(options.timeout).no_proxy();
    if server.scheme() == "http" && options.proxy.as_ref().is_none_or(|proxy| proxy.scheme() != "https") {
        // No certificate is ever looked at: reading the machine's would take longer than the request.
        builder = builder.tls_certs_only(std::iter::empty());
    }
    if let Some(proxy) = &options.proxy {
        // A scheme that the client does not know would silently mean no proxy at all.
        if !["http", "https", "socks4", "socks4a", "socks5", "socks5h"].contains(&proxy.scheme()) {
            return Err(WalletError::BadProxy);
        }
        // In clear text to this very machine; another one would read it, and take itself for the one that is meant.
        if server.scheme() == "http" && !is_local(proxy) {
            return Err(WalletError::InsecureAddress);
        }
        let proxy = reqwest::Proxy::all(proxy.as_str()).map_err(|_| WalletError::BadProxy)?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|_| WalletError::Internal("the HTTP client cannot be built"))
}

/// Whether an address is this very machine.
pub(crate) fn is_local(url: &Url) -> bool {
    match url.host() {
        // The address of a scheme that is not the web's, such as socks5h, is a name to the parser.
        Some(Host::Domain(name)) => {
            let address = || name.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback());
            name == "localhost" || name.ends_with(".localhost") || address()
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// https, or http to this very machine.
pub(crate) fn require_secure(url: &Url) -> Result<(), WalletError> {
    if url.scheme() == "https" || (url.scheme() == "http" && is_local(url)) { Ok(()) } else { Err(WalletError::InsecureAddress) }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(mut response: Response, limit: usize, who: &'static str) -> Result<Vec<u8>, WalletError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| WalletError::Unreachable(who))? {
        if body.len() + chunk.len() > limit {
            return Err(WalletError::ContentTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The parts of a problem answer the wallet looks at.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) proof: Option<String>,
}

impl Problem {
    /// Reads a problem; a body that is none has an empty code. Only code-like text is kept, so that a peer cannot write to a terminal.
    pub(crate) fn read(body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.code.retain(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        problem.code.truncate(64);
        if problem.code.is_empty() {
            problem.code = "unknown".into();
        }
        problem
    }
}

#[derive(Deserialize)]
struct VoucherAnswer {
    balance: String,
    currency: String,
}

#[derive(Deserialize)]
struct FrozenAnswer {
    keyset: Bytes<32>,
    denomination: u64,
}

/// The mint, as the wallet talks to it.
pub(crate) struct MintClient {
    base: Url,
    options: ClientOptions,
}

impl MintClient {
    pub(crate) fn new(base: Url, options: &ClientOptions) -> Result<Self, WalletError> {
        require_secure(&base)?;
        Ok(Self { base, options: options.clone() })
    }

    /// The mint's base URL without a trailing slash, as offers name it.
    pub(crate) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) async fn keysets(&self) -> Result<KeysetListFrame, WalletError> {
        let request = http_client(&self.options, &self.base)?.get(self.url("v1/keysets")).header(ACCEPT, FRAME_TYPE);
        Self::answer(request.send().await).await
    }

    pub(crate) async fn open_session(&self, frame: &OpenRequestFrame) -> Result<OpenResponseFrame, WalletError> {
        self.post("v1/commitments", frame).await
    }

    pub(crate) async fn issue(&self, frame: &IssueRequestFrame) -> Result<IssueResponseFrame, WalletError> {
        self.post("v1/issue", frame).await
    }

    /// A bucket of recorded sessions.
    pub(crate) async fn bucket(&self, keyset: u64, bucket: u64) -> Result<RestoreBucketFrame, WalletError> {
        let request =
            http_client(&self.options, &self.base)?.get(self.url(&format!("v1/restore/{keyset}/{bucket}"))).header(ACCEPT, FRAME_TYPE);
        Self::answer(request.send().await).await
    }

    /// The denominations that are frozen, says the mint.
    pub(crate) async fn frozen(&self) -> Result<BTreeSet<(KeysetId, Amount)>, WalletError> {
        let body = Self::body(http_client(&self.options, &self.base)?.get(self.url("v1/frozen")).send().await, SMALL_BODY).await?;
        let answer: Vec<FrozenAnswer> = serde_json::from_slice(&body).map_err(|_| WalletError::MintBroken("its answer is no JSON"))?;
        Ok(answer.into_iter().map(|one| (KeysetId(one.keyset.0), Amount::from_units(one.denomination))).collect())
    }

    /// What a voucher still holds, and in which unit.
    pub(crate) async fn voucher_balance(&self, key: &Point) -> Result<(Amount, String), WalletError> {
        let path = format!("v1/vouchers/{}", Base64UrlUnpadded::encode_string(key.as_bytes()));
        let sent = http_client(&self.options, &self.base)?.get(self.url(&path)).send().await;
        let body = Self::body(sent, SMALL_BODY).await?;
        let answer: VoucherAnswer = serde_json::from_slice(&body).map_err(|_| WalletError::MintBroken("its answer is no JSON"))?;
        let units = answer.balance.parse().map_err(|_| WalletError::MintBroken("a balance is no number"))?;
        Ok((Amount::from_units(units), answer.currency))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base())
    }

    async fn post<F: Frame, G: Frame>(&self, path: &str, frame: &F) -> Result<G, WalletError> {
        let request = http_client(&self.options, &self.base)?
            .post(self.url(path))
            .header(CONTENT_TYPE, FRAME_TYPE)
            .header(ACCEPT, FRAME_TYPE)
            .body(frame.to_bytes());
        Self::answer(request.send().await).await
    }

    async fn answer<G: Frame>(sent: reqwest::Result<Response>) -> Result<G, WalletError> {
        Ok(G::from_bytes(&Self::body(sent, G::LIMIT).await?)?)
    }

    async fn body(sent: reqwest::Result<Response>, limit: usize) -> Result<Vec<u8>, WalletError> {
        let response = sent.map_err(|_| WalletError::Unreachable("the mint"))?;
        let status = response.status();
        if status.is_success() {
            return read_body(response, limit, "the mint").await;
        }
        let Problem { code, .. } = Problem::read(&read_body(response, SMALL_BODY, "the mint").await?);
        let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status) || status.is_server_error();
        Err(if again || code == "session-busy" { WalletError::MintBusy { code } } else { WalletError::MintRefuses { code } })
    }
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn every_spelling_of_this_machine_is_local() {
        for local in ["http://localhost", "http://LOCALHOST", "http://a.localhost", "http://127.1", "http://2130706433", "http://[::1]"] {
            assert!(is_local(&local.parse().unwrap()), "{local}");
        }
        for other in ["http://localhost.example", "http://127.0.0.1.example", "http://user:localhost@news.example", "http://[::2]"] {
            assert!(!is_local(&other.parse().unwrap()), "{other}");
        }
    }
}
