//! The reader's request, as the proxy describes it.
//!
//! | proxy | method | URL | checked beside |
//! |---|---|---|---|
//! | nginx | `X-Original-Method` | `X-Original-URI` | |
//! | caddy, traefik | `X-Forwarded-Method` | `X-Forwarded-Uri` | `X-Forwarded-Host`, `X-Forwarded-Proto` |
//! | envoy | the request's own | the request's own below `/v1/envoy` | |
//!
//! One family of headers is read, the configured one: a reader can send the other to any proxy that does not overwrite it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use http::HeaderMap;
use http::request::Parts;
use serde::Deserialize;
use tokio::net::{TcpListener, UnixListener};

use crate::site::{Original, Undescribed};

/// What Envoy's `path_prefix` must be.
const ENVOY_PREFIX: &str = "/v1/envoy";

/// Which proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proxy {
    /// nginx with `auth_request`.
    Nginx,
    /// Caddy with `forward_auth`.
    Caddy,
    /// Traefik with `ForwardAuth`.
    Traefik,
    /// Envoy with the HTTP service of `ext_authz`.
    Envoy,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Whoever may open the socket's file.
    Unix,
    Tcp(IpAddr),
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let address: &SocketAddr = stream.remote_addr();
        Self::Tcp(address.ip().to_canonical())
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(_: IncomingStream<'_, UnixListener>) -> Self {
        Self::Unix
    }
}

/// Addresses or networks such as `10.1.0.0/16`.
#[derive(Clone, Debug, Default)]
pub struct TrustedPeers(Vec<(IpAddr, u8)>);

impl TrustedPeers {
    /// Reads a list; `None` if one of them is no address or network.
    pub fn parse(texts: &[String]) -> Option<Self> {
        let one = |text: &String| {
            let (address, length) = text.split_once('/').map_or((text.as_str(), None), |(address, length)| (address, Some(length)));
            let address: IpAddr = address.parse::<IpAddr>().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let length = length.map_or(Some(most), |length| length.parse().ok())?;
            (length <= most).then_some((address, length))
        };
        texts.iter().map(one).collect::<Option<_>>().map(Self)
    }

    /// Implements R-VERIF-11.
    pub(super) fn trust(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => true,
            Peer::Tcp(address) => self.0.iter().any(|(network, length)| match (network, address) {
                (IpAddr::V4(network), IpAddr::V4(address)) => {
                    (network.to_bits() ^ address.to_bits()).checked_shr(32 - u32::from(*length)).unwrap_or(0) == 0
                }
                (IpAddr::V6(network), IpAddr::V6(address)) => {
                    (network.to_bits() ^ address.to_bits()).checked_shr(128 - u32::from(*length)).unwrap_or(0) == 0
                }
                _ => false,
            }),
        }
    }
}

/// Reads what a trusted proxy says about the request.
///
/// Implements R-VERIF-11.
pub(super) fn original(request: Parts, proxy: Proxy, scheme: &str, publisher: &str) -> Result<Original, Undescribed> {
    let headers = &request.headers;
    let (method, target) = match proxy {
        Proxy::Nginx => (one(headers, "x-original-method")?, one(headers, "x-original-uri")?),
        Proxy::Caddy | Proxy::Traefik => {
            if one(headers, "x-forwarded-host")? != publisher || one(headers, "x-forwarded-proto")? != scheme {
                return Err(Undescribed::OtherSite);
            }
            (one(headers, "x-forwarded-method")?, one(headers, "x-forwarded-uri")?)
        }
        Proxy::Envoy => {
            let whole = request.uri.path_and_query().map_or("", |path| path.as_str());
            (request.method.as_str(), whole.strip_prefix(ENVOY_PREFIX).ok_or(Undescribed::Incomplete)?)
        }
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    Original::new(&method, &target, request.headers)
}

/// The value of a header that must be there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Undescribed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| Undescribed::Incomplete),
        _ => Err(Undescribed::Incomplete),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Named attack: spoofed trust header.
    #[test]
    fn only_configured_peers_are_trusted() {
        let peers = TrustedPeers::parse(&["127.0.0.1".into(), "10.1.0.0/16".into(), "fd00::/8".into()]).unwrap();
        let tcp = |text: &str| Peer::Tcp(text.parse::<IpAddr>().unwrap().to_canonical());
        for trusted in ["127.0.0.1", "10.1.255.1", "fd12::1", "::ffff:10.1.2.3"] {
            assert!(peers.trust(tcp(trusted)), "{trusted}");
        }
        for other in ["127.0.0.2", "10.2.0.1", "fe80::1", "::1"] {
            assert!(!peers.trust(tcp(other)), "{other}");
        }
        assert!(peers.trust(Peer::Unix) && !TrustedPeers::default().trust(tcp("127.0.0.1")));
        assert!(TrustedPeers::parse(&["0.0.0.0/0".into()]).unwrap().trust(tcp("192.0.2.1")));
        for wrong in ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/"] {
            assert!(TrustedPeers::parse(&[wrong.into()]).is_none(), "{wrong}");
        }
    }

    fn of(proxy: Proxy, headers: &[(&'static str, &'static str)]) -> Result<(String, String), Undescribed> {
        let mut request = http::Request::get("/v1/envoy/enclosed?x=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let found = original(parts, proxy, "https", "news.example");
        found.map(|original| (original.head.method.to_string(), original.head.uri.to_string()))
    }

    #[test]
    fn one_family_of_headers_is_read_and_each_header_once() {
        let nginx = [("x-original-method", "GET"), ("x-original-uri", "/a?b=c")];
        let forwarded = [
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/b"),
            ("x-forwarded-host", "news.example"),
            ("x-forwarded-proto", "https"),
        ];
        let both: Vec<_> = nginx.into_iter().chain(forwarded).collect();
        assert_eq!(of(Proxy::Nginx, &both), Ok(("GET".into(), "/a?b=c".into())));
        assert_eq!(of(Proxy::Caddy, &both), Ok(("POST".into(), "/b".into())));
        assert_eq!(of(Proxy::Traefik, &both), Ok(("POST".into(), "/b".into())));
        assert_eq!(of(Proxy::Envoy, &both), Ok(("GET".into(), "/enclosed?x=1".into())));
        assert_eq!(of(Proxy::Nginx, &forwarded), Err(Undescribed::Incomplete));
        assert_eq!(of(Proxy::Caddy, &nginx), Err(Undescribed::Incomplete));
        let twice: Vec<_> = nginx.into_iter().chain([("x-original-uri", "/free")]).collect();
        assert_eq!(of(Proxy::Nginx, &twice), Err(Undescribed::Incomplete));
        let mut other = forwarded;
        other[2].1 = "evil.example";
        assert_eq!(of(Proxy::Caddy, &other), Err(Undescribed::OtherSite));
        let mut plain = forwarded;
        plain[3].1 = "http";
        assert_eq!(of(Proxy::Caddy, &plain), Err(Undescribed::OtherSite));
        for target in ["/free/../b", "/a#b", "//other.example/b", "http://other.example/b", "", "/a b"] {
            assert_eq!(of(Proxy::Nginx, &[("x-original-method", "GET"), ("x-original-uri", target)]), Err(Undescribed::Ambiguous));
        }
    }
}
