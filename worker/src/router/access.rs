//! Access: who may ask.

use std::net::{Ipv4Addr, Ipv6Addr};

use mailbus_spec::wire::{Code, Problem};

use crate::object::Response;

/// The variable of the environment that says whether everybody is let in.
pub const ALLOW_ANONYMOUS: &str = "MAILBUS_ALLOW_ANONYMOUS";

/// Agents that a deployment lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches it, under any name: for one machine, on its loopback address.
    Anonymous,
    /// Nobody.
    Closed,
}

/// Credentials of a request: who sends it, and to whom. A header that came more than once is all its
/// values with a comma between them; one that is not text is as good as a wrong one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The header `Host`: what the sender believes that it speaks to.
    pub host: Option<&'a str>,
    /// The header `Origin`: the web page that a browser sends the request for.
    pub origin: Option<&'a str>,
}

/// Agent that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who may take any name.
    Anonymous,
}

impl Access {
    /// Meaning of the value of [`ALLOW_ANONYMOUS`]: `true` and nothing else lets everybody in.
    #[must_use]
    pub fn of_variable(value: &str) -> Self {
        if value == "true" { Self::Anonymous } else { Self::Closed }
    }

    /// Decides by the head of a request who sends it.
    ///
    /// # Errors
    /// 401 `unauthorized` without valid credentials. Where nobody is asked for credentials, 403
    /// `forbidden` for what a browser would carry to the loopback address from any page of the web: a
    /// request for a page from elsewhere, or to a name that its owner has pointed at this machine; and
    /// 400 `malformed` if the request does not say to which name it is.
    pub fn admit(self, credentials: Credentials<'_>) -> Result<Caller, Response> {
        let Credentials { authorization: _, host, origin } = credentials;
        let refused = |code, detail| Err(Response::from(&Problem::new(code, detail)));
        match (self, host) {
            (Self::Closed, _) => refused(
                Code::Unauthorized,
                "This bus wants a token, and accepts none yet: it was started without anonymous access.",
            ),
            (Self::Anonymous, Some(host)) if is_loopback(host) => {
                if origin.is_none_or(is_of_loopback) {
                    return Ok(Caller::Anonymous);
                }
                refused(
                    Code::Forbidden,
                    "A bus without credentials serves no web pages but those of this machine.",
                )
            }
            (Self::Anonymous, Some(host)) if !host.contains(',') => refused(
                Code::Forbidden,
                "A bus without credentials is for its own machine. Call it `localhost`, `127.0.0.1` or \
                 `[::1]`.",
            ),
            (Self::Anonymous, _) => refused(
                Code::Malformed,
                "A request has one header `Host`, which says whom it is for.",
            ),
        }
    }
}

/// True if the page of an origin (`scheme://host[:port]`) is of this machine.
fn is_of_loopback(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| is_loopback(authority))
}

/// True if `host[:port]` is this machine, whatever a name server says.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || six
            .and_then(|six| six.parse().ok())
            .is_some_and(|address: Ipv6Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(access: Access, host: Option<&str>, origin: Option<&str>) -> u16 {
        match access.admit(Credentials { authorization: Some("Bearer x"), host, origin }) {
            Ok(Caller::Anonymous) => 200,
            Err(refused) => refused.status,
        }
    }

    #[test]
    fn without_anonymous_access_nobody_is_let_in() {
        for host in [None, Some("localhost"), Some("bus.example")] {
            assert_eq!(status(Access::Closed, host, None), 401);
        }
    }

    #[test]
    fn one_word_alone_lets_everybody_in() {
        assert_eq!(Access::of_variable("true"), Access::Anonymous);
        for value in ["", "false", "TRUE", "True", " true", "1", "yes", "truely"] {
            assert_eq!(Access::of_variable(value), Access::Closed, "{value}");
        }
    }

    #[test]
    fn an_anonymous_bus_lets_in_programs_and_local_pages_only() {
        for origin in
            [None, Some("http://localhost:8787"), Some("http://127.0.0.1"), Some("http://[::1]:80")]
        {
            assert_eq!(status(Access::Anonymous, Some("localhost"), origin), 200, "{origin:?}");
        }
        for origin in [
            "null",
            "https://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example:80",
            "http://x@localhost:1",
            "http://localhost, http://localhost",
        ] {
            let status = status(Access::Anonymous, Some("localhost"), Some(origin));
            assert_eq!(status, 403, "{origin}");
        }
    }

    #[test]
    fn an_anonymous_bus_answers_to_the_names_of_its_machine_only() {
        for host in
            ["localhost", "LocalHost:8787", "127.0.0.1", "127.0.0.2:80", "[::1]", "[::1]:8787"]
        {
            assert_eq!(status(Access::Anonymous, Some(host), None), 200, "{host}");
        }
        for host in [
            "rebound.example:8787",
            "localhost.example",
            "localhost.",
            "127.0.0.1.example",
            "10.0.0.1",
            "0.0.0.0",
            "::1",
            "[::]:1",
            "[::1",
            "",
            "\u{fffd}",
        ] {
            assert_eq!(status(Access::Anonymous, Some(host), None), 403, "{host}");
        }
        for host in [None, Some("localhost, localhost"), Some("localhost, rebound.example")] {
            assert_eq!(status(Access::Anonymous, host, None), 400, "{host:?}");
        }
    }
}
