//! From an HTTP request to the object that answers it: pure, and the same natively and in workerd.
//!
//! | address | what answers |
//! |---|---|
//! | `/v1/{workspace}/mailbox/{action}` | the workspace's mailbox object |
//! | `/v1/{workspace}/lease/{action}` | the workspace's lease object |
//! | `GET /v1/version` | the router |
//!
//! A shell asks in this order, before it reads a body: [`Access::admit`], [`route`], [`Suspended::admit`],
//! [`check_media_type`]. A refusal is a whole [`Response`].
#![doc = include_str!("odd_requests.md")]

mod access;
mod address;
mod suspended;

pub use access::{ALLOW_ANONYMOUS, Access, Caller, Credentials};
pub use address::{Class, Route, not_found, route, target};
pub use suspended::{SUSPENDED, Suspended};

use mailbus_spec::path;
use mailbus_spec::wire::{Code, Excerpt, Problem};

use crate::object::Response;

/// The answer of `GET /v1/version`: also the Unicode tables by which two paths are one.
#[must_use]
pub fn version() -> Response {
    let (version, (major, minor, update)) = (env!("CARGO_PKG_VERSION"), path::UNICODE_VERSION);
    Response::ok(format!(
        r#"{{"name":"mailbus","version":"{version}","unicode":"{major}.{minor}.{update}"}}"#
    ))
}

/// Checks what a body says it is. JSON may also call itself nothing or plain text, as it does where
/// `fetch` is given a string.
///
/// # Errors
/// 415 `unsupported_media_type`.
pub fn check_media_type(content_type: Option<&str>) -> Result<(), Response> {
    let Some(declared) = content_type else { return Ok(()) };
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/').unwrap_or((&essence, ""));
    match (kind, subtype) {
        ("", _) | (_, "json") | ("text", "plain") => Ok(()),
        (_, subtype) if subtype.ends_with("+json") => Ok(()),
        _ => Err(Response::from(&Problem::new(
            Code::UnsupportedMediaType,
            format!("The body is `{}`; send it as `application/json`.", Excerpt(&essence)),
        ))),
    }
}

/// The subprotocol of a WebSocket.
const SUBPROTOCOL: &str = "mailbus.v1";

/// The subprotocol that a WebSocket is answered with, of those that the header `Sec-WebSocket-Protocol`
/// offers. It is `mailbus.v1` or none: a browser offers its token there too, as `bearer.…`, and an answer
/// must not repeat that.
#[must_use]
pub fn subprotocol(offered: &str) -> Option<&'static str> {
    offered.split(',').any(|name| name.trim() == SUBPROTOCOL).then_some(SUBPROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_under_each_of_its_names() {
        for name in [
            "application/json",
            "application/json; charset=utf-8",
            "text/json",
            "Application/Ld+JSON",
            "text/plain;charset=UTF-8",
            "",
        ] {
            assert!(check_media_type(Some(name)).is_ok(), "{name}");
        }
        assert!(check_media_type(None).is_ok());
        for name in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "json",
            "text/html",
        ] {
            assert_eq!(check_media_type(Some(name)).unwrap_err().status, 415, "{name}");
        }
    }

    #[test]
    fn a_media_type_of_any_length_is_refused_in_a_short_answer() {
        let refused = check_media_type(Some(&format!("a/{}", "\u{1}".repeat(100_000))));
        assert!(refused.unwrap_err().body.len() <= mailbus_spec::limits::answers::REST);
    }

    #[test]
    fn a_subprotocol_is_answered_if_it_is_known_and_a_token_never() {
        for offered in ["mailbus.v1", "bearer.secret, mailbus.v1", " chat,mailbus.v1 ,bearer.x"] {
            assert_eq!(subprotocol(offered), Some("mailbus.v1"), "{offered}");
        }
        for offered in
            ["", "bearer.secret", "bearer.mailbus.v1", "chat", "MAILBUS.V1", "mailbus.v2"]
        {
            assert_eq!(subprotocol(offered), None, "{offered}");
        }
    }

    #[test]
    fn the_version_is_json() {
        let version: serde_json::Value = serde_json::from_str(&version().body).unwrap();
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(version["unicode"], "18.0.0");
    }
}
