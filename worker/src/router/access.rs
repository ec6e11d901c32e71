//! Who may ask.

use mailbus_spec::wire::{Code, Problem};

use crate::object::Response;

use super::refusal;

/// Whom a deployment lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches it, under any name: for one machine, on its loopback address.
    Anonymous,
    /// Nobody.
    Closed,
}

/// What a request says about who sends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The header `Origin`: the web page that a browser sends the request for.
    pub origin: Option<&'a str>,
}

/// Who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who may take any name.
    Anonymous,
}

impl Access {
    /// Decides by the head of a request who sends it.
    ///
    /// # Errors
    /// 401 `unauthorized` without valid credentials; 403 `forbidden` for a web page from elsewhere:
    /// a browser would carry any page's requests to the loopback address, where nobody is asked for
    /// credentials.
    pub fn admit(self, credentials: Credentials<'_>) -> Result<Caller, Response> {
        match self {
            Self::Closed => Err(refusal(&Problem::new(
                Code::Unauthorized,
                "This bus wants a token, and accepts none yet: it was started without anonymous access.",
            ))),
            Self::Anonymous if credentials.origin.is_none_or(is_loopback) => Ok(Caller::Anonymous),
            Self::Anonymous => Err(refusal(&Problem::new(
                Code::Forbidden,
                "A bus without credentials serves no web pages but those of this machine.",
            ))),
        }
    }
}

/// Whether an origin (`scheme://host[:port]`) is this machine.
fn is_loopback(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(access: Access, origin: Option<&str>) -> u16 {
        match access.admit(Credentials { authorization: Some("Bearer x"), origin }) {
            Ok(Caller::Anonymous) => 200,
            Err(refused) => refused.status,
        }
    }

    #[test]
    fn without_anonymous_access_nobody_is_let_in() {
        assert_eq!(status(Access::Closed, None), 401);
    }

    #[test]
    fn an_anonymous_bus_lets_in_programs_and_local_pages_only() {
        for origin in
            [None, Some("http://localhost:8787"), Some("http://127.0.0.1"), Some("http://[::1]:80")]
        {
            assert_eq!(status(Access::Anonymous, origin), 200, "{origin:?}");
        }
        for origin in [
            "null",
            "https://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example:80",
            "http://x@localhost:1",
        ] {
            assert_eq!(status(Access::Anonymous, Some(origin)), 403, "{origin}");
        }
    }
}
