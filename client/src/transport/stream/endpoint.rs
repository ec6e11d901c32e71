//! Address of the service, and the agent that asks.

use std::fmt;

use http::header::HeaderValue;
use http::uri::Uri;
use mailbus_spec::Workspace;

use crate::transport::carrier::Object;

/// True if bytes travel in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `http`, `ws`.
    Plain,
    /// `https`, `wss`.
    Tls,
}

/// Target that a byte stream is opened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// True if it speaks TLS.
    pub scheme: Scheme,
    /// The host's name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Authority {
    /// Address of a URL.
    ///
    /// # Errors
    /// [`InvalidEndpoint`] says what is wrong with the URL.
    pub(super) fn of(url: &Uri) -> Result<Self, InvalidEndpoint> {
        let (scheme, default_port) = match url.scheme_str() {
            Some("http" | "ws") => (Scheme::Plain, 80),
            Some("https" | "wss") => (Scheme::Tls, 443),
            _ => return Err(InvalidEndpoint::Scheme),
        };
        let authority = url.authority().ok_or(InvalidEndpoint::Host)?;
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(InvalidEndpoint::Host);
        }
        let port = authority.port_u16().unwrap_or(default_port);
        Ok(Self { scheme, host: bare.to_owned(), port })
    }

    /// Both, as they stand in a URL.
    pub(super) fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// One workspace of one service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    authority: Authority,
    /// The host as it stands in a URL and in the `Host` header.
    host: String,
    /// Beginning of the routes; empty, or without a slash at its end.
    prefix: String,
    workspace: Workspace,
    token: Option<BearerToken>,
}

/// Reason why a text is not the URL of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is not a URL.
    #[error("the service's address is not a URL")]
    Unreadable,
    /// Its scheme is none of `http`, `https`, `ws`, `wss`.
    #[error("the service's address has to begin with http:// or https://")]
    Scheme,
    /// It names no host.
    #[error("the service's address names no host")]
    Host,
}

impl Endpoint {
    /// The workspace at the service with this URL, `http://127.0.0.1:8787` for one.
    ///
    /// # Errors
    /// [`InvalidEndpoint`] says what is wrong with the URL.
    pub fn new(url: &str, workspace: Workspace) -> Result<Self, InvalidEndpoint> {
        let url: Uri = url.parse().map_err(|_| InvalidEndpoint::Unreadable)?;
        let authority = Authority::of(&url)?;
        // A port that is not named is not named to the service either.
        let host = url.authority().map_or_else(String::new, |said| match said.port_u16() {
            Some(port) => format!("{}:{port}", said.host()),
            None => said.host().to_owned(),
        });
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { authority, host, prefix, workspace, token: None })
    }

    /// The same, asked with this token.
    #[must_use]
    pub fn with_token(self, token: BearerToken) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Target that a byte stream is opened to.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The workspace.
    #[must_use]
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.token.as_ref().map(|token| token.0.clone())
    }

    /// The path of an action of one of the workspace's objects.
    pub(super) fn path(&self, object: Object, action: &str) -> String {
        let object = match object {
            Object::Lease => "lease",
            Object::Mailbox => "mailbox",
        };
        format!("{}/v1/{}/{object}/{action}", self.prefix, self.workspace)
    }
}

/// Proof of who asks. It is shown to nobody but the service.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(HeaderValue);

/// A text that cannot stand in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token has a character that cannot stand in a header")]
pub struct InvalidToken;

impl BearerToken {
    /// The token with this text.
    ///
    /// # Errors
    /// [`InvalidToken`] if it cannot stand in a header.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, InvalidEndpoint> {
        Endpoint::new(url, Workspace::new("team").unwrap())
    }

    #[test]
    fn a_url_gives_host_port_and_routes() {
        let plain = endpoint("http://127.0.0.1:8787").unwrap();
        assert_eq!(
            *plain.authority(),
            Authority { scheme: Scheme::Plain, host: "127.0.0.1".to_owned(), port: 8787 }
        );
        assert_eq!(plain.host(), "127.0.0.1:8787");
        assert_eq!(plain.path(Object::Lease, "acquire"), "/v1/team/lease/acquire");
        let behind = endpoint("https://bus.example/swarm/").unwrap();
        assert_eq!((behind.authority().port, behind.host()), (443, "bus.example"));
        assert_eq!(behind.path(Object::Mailbox, "subscribe"), "/swarm/v1/team/mailbox/subscribe");
        let six = endpoint("http://[::1]:9").unwrap();
        assert_eq!((six.authority().host.as_str(), six.host()), ("::1", "[::1]:9"));
    }

    #[test]
    fn what_is_no_address_of_a_service_is_refused() {
        assert_eq!(endpoint("ftp://a").unwrap_err(), InvalidEndpoint::Scheme);
        assert_eq!(endpoint("bus.example").unwrap_err(), InvalidEndpoint::Scheme);
        assert_eq!(endpoint("http://a b").unwrap_err(), InvalidEndpoint::Unreadable);
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = BearerToken::new("secret").unwrap();
        assert!(!format!("{token:?}").contains("secret"));
        assert_eq!(BearerToken::new("a\nb"), Err(InvalidToken));
    }
}
