//! How a byte stream to the service is made.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::endpoint::{Authority, Scheme};

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

/// A stream of either kind.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// tokio's TCP, with TLS by rustls and Mozilla's roots where the address asks for it.
#[derive(Clone)]
pub struct TokioConnector {
    tls: TlsConnector,
}

impl TokioConnector {
    /// A connector that trusts Mozilla's roots.
    #[must_use]
    pub fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self::with_tls(config)
    }

    /// A connector with a TLS configuration of one's own.
    #[must_use]
    pub fn with_tls(config: ClientConfig) -> Self {
        Self { tls: TlsConnector::from(Arc::new(config)) }
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
        let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
        // Commands are small and their senders wait.
        stream.set_nodelay(true)?;
        match authority.scheme {
            Scheme::Plain => Ok(Box::new(stream)),
            Scheme::Tls => {
                let name = ServerName::try_from(authority.host.clone())
                    .map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid))?;
                Ok(Box::new(self.tls.connect(name, stream).await?))
            }
        }
    }
}
