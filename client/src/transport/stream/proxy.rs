//! Ways out of networks that let only a proxy out.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncRead, AsyncWrite};

use super::endpoint::{Authority, Scheme};
use super::upgrade::{Upgraded, upgrade};

/// Proxies, and the addresses reached through them. Loopback addresses are reached through none.
#[derive(Clone)]
pub(super) struct Proxies(Arc<Matcher>);

/// A proxy that connects to others when asked.
pub(super) struct Proxy {
    /// Address of it.
    pub(super) authority: Authority,
    intercept: Intercept,
}

impl Proxies {
    /// No proxy for any address.
    pub(super) fn none() -> Self {
        Self(Arc::new(Matcher::builder().build()))
    }

    /// Those that the process's environment names.
    pub(super) fn from_environment() -> Self {
        Self(Arc::new(Matcher::from_env()))
    }

    /// The one with this URL.
    pub(super) fn all(url: &str) -> Self {
        Self(Arc::new(Matcher::builder().all(url).build()))
    }

    /// The proxy through which `target` is reached, if it is through one.
    pub(super) fn on_the_way_to(&self, target: &Authority) -> io::Result<Option<Proxy>> {
        if is_loopback(&target.host) {
            return Ok(None);
        }
        let scheme = match target.scheme {
            Scheme::Plain => "http",
            Scheme::Tls => "https",
        };
        let uri: Uri = format!("{scheme}://{}/", target.host_and_port())
            .parse()
            .map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid))?;
        let Some(intercept) = self.0.intercept(&uri) else { return Ok(None) };
        let authority = Authority::of(intercept.uri()).map_err(|_| {
            let text = format!("the proxy `{}` is none of http:// or https://", intercept.uri());
            io::Error::new(io::ErrorKind::Unsupported, text)
        })?;
        Ok(Some(Proxy { authority, intercept }))
    }
}

fn is_loopback(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.parse();
    let named =
        host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    named || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl Proxy {
    /// Turns a stream to the proxy into one to `target`, for plain bytes or for TLS.
    pub(super) async fn tunnel<S>(&self, stream: S, target: &Authority) -> io::Result<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let refused = |why: String| {
            let (proxy, target) = (self.authority.host_and_port(), target.host_and_port());
            io::Error::other(format!("the proxy {proxy} does not connect to {target}: {why}"))
        };
        let there = target.host_and_port();
        let mut request = Request::connect(&there).header(HOST, &there);
        if let Some(credentials) = self.intercept.basic_auth() {
            request = request.header(PROXY_AUTHORIZATION, credentials);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        match upgrade(stream, request).await.map_err(|error| refused(error.to_string()))? {
            Upgraded::Done { stream, early, .. } if early.is_empty() => Ok(stream),
            Upgraded::Done { .. } => Err(refused("it speaks before it is spoken to".to_owned())),
            Upgraded::Refused { status, .. } => Err(refused(format!("it answers {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(url: &str) -> Authority {
        Authority::of(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_on_this_machine_is_reached_without_a_proxy() {
        let proxies = Proxies::all("http://proxy.test:3128");
        for url in ["http://localhost:1", "https://a.LOCALHOST", "http://127.9.9.9", "http://[::1]"]
        {
            assert!(proxies.on_the_way_to(&authority(url)).unwrap().is_none(), "{url}");
        }
        for url in ["http://bus.test", "https://10.0.0.1", "http://[2001:db8::1]:99"] {
            let proxy = proxies.on_the_way_to(&authority(url)).unwrap().unwrap();
            assert_eq!(proxy.authority, authority("http://proxy.test:3128"), "{url}");
        }
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused_by_name() {
        let proxies = Proxies::all("socks5://proxy.test:1080");
        let refused = proxies.on_the_way_to(&authority("http://bus.test")).err().unwrap();
        assert!(refused.to_string().contains("socks5://proxy.test:1080"), "{refused}");
    }
}
