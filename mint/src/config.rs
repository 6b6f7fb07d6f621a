//! Options and limits.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::{Amount, Unit, default_denominations};
use farthing_protocol::group::Point;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use zeroize::Zeroizing;

use crate::clock::{Clock, SystemClock};
use crate::signer::KeyProtection;

const DAY: u64 = 86_400;

/// Where a mint's ledger is.
#[derive(Clone, Default)]
pub enum LedgerPlace {
    /// In a SQLite file of the data directory.
    #[default]
    Embedded,
    /// In a PostgreSQL database.
    Postgres(PostgresUrl),
}

/// A connection string. It may hold a password, so that it is neither printed nor stored.
#[derive(Clone)]
pub struct PostgresUrl(Zeroizing<String>);

impl PostgresUrl {
    pub(crate) fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for LedgerPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "Embedded",
            Self::Postgres(_) => "Postgres(..)",
        })
    }
}

impl LedgerPlace {
    /// A PostgreSQL database by its connection string, `postgres://user@host/database`; `None` if it is none.
    pub fn postgres(url: &str) -> Option<Self> {
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        known.then(|| Self::Postgres(PostgresUrl(Zeroizing::new(url.to_owned()))))
    }
}

/// Where a process that serves on a shared ledger is reached by the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Where it listens for them. Never for the world: a network of the mint's own.
    pub listen: SocketAddr,
    /// Host and port at which they reach it, if not the address it listens on.
    pub address: Option<String>,
}

impl Default for Forwarding {
    /// A free port of this machine, enough if all processes run on it.
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), address: None }
    }
}

/// How a mint begins.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// What the mint counts in; for good.
    pub unit: Unit,
    /// The first keyset's denominations, ascending.
    pub denominations: Vec<Amount>,
    /// How long the first keyset issues, in seconds; at least 7 days.
    pub issue: u64,
    /// How long after that verifiers accept its tokens, in seconds.
    pub spend: u64,
    /// How long after that the mint refreshes them, in seconds.
    pub refresh: u64,
    /// How long after that the mint takes deposits, in seconds.
    pub deposit: u64,
    /// The time of the announcement, Unix seconds; `None` for now.
    pub now: Option<u64>,
    /// What stands between a reader of the directory and the keys.
    pub protection: KeyProtection,
    /// Where the ledger is made; for good.
    pub ledger: LedgerPlace,
}

impl Default for InitOptions {
    /// Thousandths of a cent, 1-2-5 up to one euro; 90 days of issuing, 90 more of spending, 90 more for refreshes and deposits. Plain
    /// keys, as tests and trials want them: a mint for others' money sets [`InitOptions::protection`].
    fn default() -> Self {
        Self {
            unit: Unit::default_eur(),
            denominations: default_denominations(),
            issue: 90 * DAY,
            spend: 90 * DAY,
            refresh: 90 * DAY,
            deposit: 0,
            now: None,
            protection: KeyProtection::Plain,
            ledger: LedgerPlace::Embedded,
        }
    }
}

/// How a mint runs.
#[derive(Clone)]
pub struct MintOptions {
    /// What it takes at most.
    pub limits: Limits,
    /// Where its time comes from.
    pub clock: Arc<dyn Clock>,
    /// What opens the keys; `None` to go without them: enough for everything but signing.
    pub keys: Option<KeyProtection>,
    /// When new keysets are announced while the mint serves; `None` for never.
    pub rotation: Option<Rotation>,
    /// Where the ledger is.
    pub ledger: LedgerPlace,
    /// Where other processes reach this one, on a shared ledger.
    pub forwarding: Forwarding,
}

/// When new keysets are announced. What they are otherwise (unit, denominations, lengths of the windows) is taken from the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A keyset is announced when no other issues for this long any more, in seconds.
    pub lead: u64,
    /// It begins to issue this long before the newest ends, in seconds, and never earlier than a day after it is announced.
    pub overlap: u64,
}

impl Default for Rotation {
    /// 14 days ahead, 7 days of overlap.
    fn default() -> Self {
        Self { lead: 14 * DAY, overlap: 7 * DAY }
    }
}

impl Default for MintOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            clock: Arc::new(SystemClock::new()),
            keys: Some(KeyProtection::Plain),
            rotation: None,
            ledger: LedgerPlace::Embedded,
            forwarding: Forwarding::default(),
        }
    }
}

/// What a mint takes at most. Beyond, it answers that it is too much, and never grows.
///
/// Deposits and refunds have places, threads and room for bodies of their own, as much again as is said here for all other requests, so
/// that readers, who are nobody, cannot keep publishers out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open issuing sessions.
    pub sessions: usize,
    /// Outputs of all open sessions together, about 500 bytes each.
    pub session_outputs: usize,
    /// Requests being worked on.
    pub requests: usize,
    /// Threads of curve work at a time.
    pub workers: usize,
    /// Bytes of request bodies held at a time.
    pub body_bytes: usize,
    /// Connections. When all are taken, the one that has waited longest for its client is closed in favour of the next.
    pub connections: usize,
    /// Commitments made ahead.
    pub pool: usize,
    /// Bytes that must be free on the file system of an embedded ledger, or the mint says that it is not ready; 0 for any number.
    pub disk_reserve: u64,
    /// How long a request may take, its body included.
    pub request_time: Duration,
    /// How long a client may take to send a request's head, or keep an idle connection.
    pub header_time: Duration,
    /// How long a client may take to read an answer.
    pub answer_time: Duration,
    /// What one client may take of all this.
    pub client: ClientLimits,
}

/// What one client may take. A client is a network address, in IPv6 a network of 64 bits; it is held in memory only, as a hash under a key
/// that no other process knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections at a time; 0 for as many as there are.
    pub connections: usize,
    /// Requests a second, in the long run; 0 for any number. Deposits and refunds are not counted here.
    pub rate: u32,
    /// Requests at once.
    pub burst: u32,
    /// Deposits and refunds a second, in the long run; 0 for any number.
    pub deposit_rate: u32,
    /// Deposits and refunds at once.
    pub deposit_burst: u32,
    /// Proxies that are believed when they say in `X-Forwarded-For` who asks.
    pub trusted_proxies: Vec<IpNet>,
    /// Clients without limits of their own: this machine, and publishers whose addresses are known.
    pub unlimited: Vec<IpNet>,
}

impl Default for ClientLimits {
    /// 64 connections; 50 requests a second and 200 at once; 500 deposits a second and 1,000 at once; no proxy; no limits for this machine.
    fn default() -> Self {
        Self {
            connections: 64,
            rate: 50,
            burst: 200,
            deposit_rate: 500,
            deposit_burst: 1_000,
            trusted_proxies: Vec::new(),
            unlimited: vec![
                Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
                Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
            ],
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 4_096,
            session_outputs: 65_536,
            requests: 512,
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            body_bytes: 128 << 20,
            connections: 1_024,
            pool: 512,
            disk_reserve: 64 << 20,
            request_time: Duration::from_secs(20),
            header_time: Duration::from_secs(30),
            answer_time: Duration::from_mins(1),
            client: ClientLimits::default(),
        }
    }
}

/// 32 bytes and other short values for people and URLs: base64url without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Digests and other values that people compare: two digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The bytes of such a text, if it is the one encoding of exactly so many.
pub(crate) fn from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let decoded = Base64UrlUnpadded::decode(text, &mut bytes).ok()?;
    (decoded.len() == N).then_some(bytes)
}

/// A public key as wallets and verifiers pin it: base64url without padding, 43 characters.
pub fn key_text(key: &Point) -> String {
    base64url(key.as_bytes())
}

/// Reads a public key as [`key_text`] writes it; `None` if it is none.
pub fn parse_key(text: &str) -> Option<Point> {
    Point::from_bytes(from_base64url(text)?).ok()
}

/// A publisher's name in its one form: lower-case host, port if it is not 443.
///
/// Returns `None` for what no URL's host can be; names beyond ASCII are given in punycode.
pub fn publisher_name(text: &str) -> Option<String> {
    let name = text.trim().to_ascii_lowercase();
    let (host, port) = match name.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (format!("[{address}]"), port)
        }
        None => match name.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (name.clone(), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !host.starts_with('[') && (host.len() > 253 || !host.split('.').all(label)) {
        return None;
    }
    match port {
        None => Some(host),
        Some(port) => {
            let number: u16 = port.parse().ok()?;
            if number == 0 || number.to_string() != port {
                return None;
            }
            Some(if number == 443 { host } else { format!("{host}:{number}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publisher_names_have_one_form() {
        for (given, form) in [
            ("News.Example", "news.example"),
            ("news.example:443", "news.example"),
            ("127.0.0.1:8081", "127.0.0.1:8081"),
            ("[::1]:8080", "[::1]:8080"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(publisher_name(given).as_deref(), Some(form));
        }
        for wrong in
            ["", ".", "a..b", "-a", "a-", "a b", "https://a", "a/b", "a:0", "a:080", "a:65536", "a:", "b\u{fc}cher.example", "[::1", "[x]"]
        {
            assert_eq!(publisher_name(wrong), None, "{wrong}");
        }
    }
}
