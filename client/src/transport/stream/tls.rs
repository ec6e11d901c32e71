//! TLS by rustls.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error};

/// Whom TLS trusts, and the configuration that is made of it when it is first needed: reading what
/// the system trusts takes milliseconds, and may fail.
#[derive(Clone, Default)]
pub(super) struct Tls {
    roots: Vec<CertificateDer<'static>>,
    made: Arc<OnceLock<TlsConnector>>,
}

impl Tls {
    /// TLS as configured by somebody else.
    pub(super) fn configured(config: ClientConfig) -> Self {
        let made = Arc::new(OnceLock::from(TlsConnector::from(Arc::new(config))));
        Self { roots: Vec::new(), made }
    }

    /// TLS that trusts these issuers, too.
    pub(super) fn trusting(
        &self,
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Self {
        let roots = self.roots.iter().cloned().chain(roots).collect();
        Self { roots, made: Arc::default() }
    }

    /// Speaks TLS over a stream with whoever proves to be `host`.
    pub(super) async fn over<S>(&self, stream: S, host: &str) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid))?;
        let connector = self.connector().map_err(io::Error::other)?;
        connector.connect(name, stream).await.map_err(|error| {
            let advice = advice(&error);
            io::Error::new(error.kind(), format!("no TLS with `{host}`: {error}{advice}"))
        })
    }

    fn connector(&self) -> Result<&TlsConnector, Error> {
        match self.made.get() {
            Some(made) => Ok(made),
            None => {
                let config = Arc::new(self.config()?);
                Ok(self.made.get_or_init(|| TlsConnector::from(config)))
            }
        }
    }

    /// The cryptography is named here: what the process has as its default is the application's, and
    /// there may be none.
    fn config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = self.roots.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(config)
    }
}

/// Advice about a failure that does not pass by itself.
fn advice(error: &io::Error) -> &'static str {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    match error {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; have the system trust its issuer, or add it with `TokioConnector::trusting`"
        }
        _ => "",
    }
}
