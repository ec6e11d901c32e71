//! Maker of byte streams to the service.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "tls")]
use tokio_rustls::rustls::{ClientConfig, pki_types::CertificateDer};

use super::dial;
use super::endpoint::{Authority, Scheme};
use super::proxy::Proxies;
#[cfg(feature = "tls")]
use super::tls::Tls;

/// Makes byte streams to a service.
pub trait Connector {
    /// A stream that carries the plain bytes of HTTP/1.1, TLS being done below.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Opens a stream. It need not give up by itself: the caller does after a while.
    ///
    /// # Errors
    /// Whatever kept it from being opened.
    fn connect(&self, authority: &Authority) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// A stream of any kind.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// tokio's TCP, and TLS by rustls where the address asks for it (the feature `tls`, which is a default).
///
/// The addresses of a name are tried side by side, as RFC 8305 has it. TLS trusts whom the system
/// trusts; on Linux that is what the files say that OpenSSL reads, or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name.
#[derive(Clone)]
pub struct TokioConnector {
    proxies: Proxies,
    #[cfg(feature = "tls")]
    tls: Tls,
    addresses: BTreeMap<String, Vec<SocketAddr>>,
}

impl TokioConnector {
    /// A connector that goes through no proxy.
    #[must_use]
    pub fn new() -> Self {
        Self {
            proxies: Proxies::none(),
            #[cfg(feature = "tls")]
            tls: Tls::default(),
            addresses: BTreeMap::new(),
        }
    }

    /// A connector that goes through the proxies that the process's environment names: in
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY`, for all but what `NO_PROXY` lists, each also in
    /// small letters. What is on this machine is always reached directly.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { proxies: Proxies::from_environment(), ..Self::new() }
    }

    /// The same through this proxy alone, an `http://` or `https://` URL, with a name and a password
    /// if it wants them. It is asked to `CONNECT`, whether the service speaks TLS or not.
    #[must_use]
    pub fn through(self, proxy: &str) -> Self {
        Self { proxies: Proxies::all(proxy), ..self }
    }

    /// The same, trusting certificates of these issuers, too.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn trusting(self, issuers: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        Self { tls: self.tls.trusting(issuers), ..self }
    }

    /// The same with a TLS configuration of one's own, which says whom to trust.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(self, config: ClientConfig) -> Self {
        Self { tls: Tls::configured(config), ..self }
    }

    /// The same with these addresses for a name, their ports included, in place of those that the
    /// system knows.
    #[must_use]
    pub fn resolving(mut self, host: &str, addresses: impl Into<Vec<SocketAddr>>) -> Self {
        self.addresses.insert(host.to_owned(), addresses.into());
        self
    }

    /// A stream to the place itself, with TLS if that speaks it.
    async fn open(&self, authority: &Authority) -> io::Result<Box<dyn ByteStream>> {
        let Authority { host, port, .. } = authority;
        let addresses = match self.addresses.get(host) {
            Some(addresses) => addresses.clone(),
            None => dial::resolve(host, *port).await?,
        };
        let stream = Box::new(dial::connect(addresses).await?);
        self.secured(stream, authority).await
    }

    async fn secured(
        &self,
        stream: Box<dyn ByteStream>,
        Authority { scheme, host, .. }: &Authority,
    ) -> io::Result<Box<dyn ByteStream>> {
        match scheme {
            Scheme::Plain => Ok(stream),
            #[cfg(feature = "tls")]
            Scheme::Tls => Ok(Box::new(self.tls.over(stream, host).await?)),
            #[cfg(not(feature = "tls"))]
            Scheme::Tls => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("no TLS with `{host}`: this program was built without the feature `tls`"),
            )),
        }
    }
}

impl Default for TokioConnector {
    fn default() -> Self {
        Self::new()
    }
}

impl Connector for TokioConnector {
    type Stream = Box<dyn ByteStream>;

    async fn connect(&self, authority: &Authority) -> io::Result<Self::Stream> {
        match self.proxies.on_the_way_to(authority)? {
            None => self.open(authority).await,
            Some(proxy) => {
                let stream = self.open(&proxy.authority).await?;
                self.secured(proxy.tunnel(stream, authority).await?, authority).await
            }
        }
    }
}
