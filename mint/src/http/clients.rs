//! What one client may take.
//!
//! A client is known by a hash of its address under a key of this process, in memory only, and the tables of clients have a fixed number
//! of rows: two clients may share one by chance, nobody can aim at another's, and no number of addresses makes them grow.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use ipnet::IpNet;

use super::Problem;
use crate::config::ClientLimits;

/// Rows of a table of clients, about 100 bytes each.
const ROWS: u64 = 1 << 16;

/// The other end of a connection.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// What is counted by client.
///
/// Implements R-SERV-02.
pub(super) struct Clients {
    limits: ClientLimits,
    hashes: RandomState,
    connections: Mutex<HashMap<u64, usize>>,
    requests: Option<DefaultKeyedRateLimiter<u64>>,
    deposits: Option<DefaultKeyedRateLimiter<u64>>,
}

fn limiter(rate: u32, burst: u32) -> Option<DefaultKeyedRateLimiter<u64>> {
    Some(RateLimiter::keyed(Quota::per_second(NonZeroU32::new(rate)?).allow_burst(NonZeroU32::new(burst)?)))
}

fn within(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

impl Clients {
    pub(super) fn new(limits: &ClientLimits) -> Arc<Self> {
        Arc::new(Self {
            limits: limits.clone(),
            hashes: RandomState::new(),
            connections: Mutex::default(),
            requests: limiter(limits.rate, limits.burst),
            deposits: limiter(limits.deposit_rate, limits.deposit_burst),
        })
    }

    /// The row of a client; `None` for one without limits.
    fn row(&self, address: IpAddr) -> Option<u64> {
        let address = address.to_canonical();
        if within(&self.limits.unlimited, address) {
            return None;
        }
        // Whoever has one address of such a network has all of them.
        let address = match address {
            IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
            four @ IpAddr::V4(_) => four,
        };
        Some(self.hashes.hash_one(address) % ROWS)
    }

    /// Who asks: the peer, or whom a trusted proxy names.
    fn asking(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: IpAddr| within(&self.limits.trusted_proxies, address.to_canonical());
        let mut client = peer;
        if !trusted(peer) {
            return client;
        }
        // The last name was written by the nearest proxy. What stands before the first untrusted one is the client's own invention.
        let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or_default()).collect();
        for name in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Ok(address) = name.trim().parse::<IpAddr>() else { break };
            client = address;
            if !trusted(address) {
                break;
            }
        }
        client
    }

    /// Counts a connection; `None` if the client has as many as it may.
    pub(super) fn connect(self: &Arc<Self>, peer: IpAddr) -> Option<Connected> {
        let most = self.limits.connections;
        // A trusted proxy's connections are those of everybody.
        let exempt = most == 0 || within(&self.limits.trusted_proxies, peer.to_canonical());
        let Some(row) = self.row(peer).filter(|_| !exempt) else { return Some(Connected(None)) };
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.entry(row).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Connected(Some((self.clone(), row))))
    }

    /// Counts a request.
    fn request(&self, peer: IpAddr, request: &Request) -> Result<(), Problem> {
        let limiter = match request.uri().path() {
            "/livez" | "/readyz" => return Ok(()),
            "/v1/deposits" | "/v1/refunds" => &self.deposits,
            _ => &self.requests,
        };
        let (Some(limiter), Some(row)) = (limiter, self.row(self.asking(peer, request.headers()))) else { return Ok(()) };
        let too_many = |until: governor::NotUntil<_>| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Problem::too_many_requests(wait.as_secs() + 1)
        };
        limiter.check_key(&row).map_err(too_many)
    }
}

/// A connection that is counted, until it is dropped.
pub(super) struct Connected(Option<(Arc<Clients>, u64)>);

impl Drop for Connected {
    fn drop(&mut self) {
        let Some((clients, row)) = &self.0 else { return };
        let mut connections = clients.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = connections.get_mut(row) {
            *count -= 1;
            if *count == 0 {
                connections.remove(row);
            }
        }
    }
}

/// Refuses a request whose client has asked too often. Inside a server that does not say who asks nobody is refused.
pub(super) async fn limit(clients: Arc<Clients>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    match peer.map_or(Ok(()), |peer| clients.request(peer.0, &request)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn clients(proxies: &[&str]) -> Arc<Clients> {
        let trusted_proxies = proxies.iter().map(|net| net.parse().unwrap()).collect();
        Clients::new(&ClientLimits { trusted_proxies, connections: 2, ..ClientLimits::default() })
    }

    #[test]
    fn only_trusted_proxies_say_who_asks() {
        let clients = clients(&["10.0.0.0/8"]);
        let ask = |peer: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
            }
            clients.asking(peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(ask("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "a client's own word");
        assert_eq!(ask("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(ask("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(ask("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7", "invented names stand in front");
        assert_eq!(ask("10.0.0.1", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(ask("10.0.0.1", &["203.0.113.9, rubbish"]), "10.0.0.1");
        assert_eq!(ask("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_64_bits_and_this_machine_is_none() {
        let clients = clients(&[]);
        let row = |address: &str| clients.row(address.parse().unwrap());
        assert_eq!((row("127.0.0.1"), row("::1"), row("::ffff:127.0.0.9")), (None, None, None));
        assert_eq!(row("2001:db8::1"), row("2001:db8::ffff:1"));
        assert_eq!(row("192.0.2.1"), row("::ffff:192.0.2.1"));
        let rows: std::collections::HashSet<_> = (0..=255).map(|last| row(&format!("192.0.2.{last}")).unwrap()).collect();
        assert!(rows.len() > 240 && rows.iter().all(|row| *row < ROWS));
    }

    #[test]
    fn connections_are_counted_while_they_last() {
        let clients = clients(&["10.0.0.0/8"]);
        let connect = |peer: &str| clients.connect(peer.parse().unwrap());
        let (first, second) = (connect("192.0.2.1"), connect("192.0.2.1"));
        assert!(first.is_some() && second.is_some() && connect("192.0.2.1").is_none());
        let proxied: Vec<_> = (0..9).map(|_| connect("10.0.0.1")).collect();
        assert!(proxied.iter().all(Option::is_some));
        drop(first);
        assert!(connect("192.0.2.1").is_some());
        drop(second);
        assert!(clients.connections.lock().unwrap().is_empty(), "nothing stays of who has left");
    }
}
