//! From an HTTP request to the object that answers it: pure, and the same natively and in workerd.
//!
//! | address | what answers |
//! |---|---|
//! | `/v1/{workspace}/mailbox/{action}` | the workspace's mailbox object |
//! | `/v1/{workspace}/lease/{action}` | the workspace's lease object |
//! | `GET /v1/version` | the router |
//!
//! A shell asks in this order, before it reads a body: [`Access::admit`], [`route`],
//! [`check_media_type`]. A refusal is a whole [`Response`].

mod access;
mod address;

pub use access::{Access, Caller, Credentials};
pub use address::{Class, Route, not_found, route};

use mailbus_spec::wire::{Code, Problem};

use crate::object::Response;

/// The answer of `GET /v1/version`.
#[must_use]
pub fn version() -> Response {
    Response {
        status: 200,
        body: concat!(r#"{"name":"mailbus","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#)
            .to_owned(),
        retry_after: None,
        allow: None,
        charged: None,
    }
}

/// The answer that refuses a request with this problem.
#[must_use]
pub fn refusal(problem: &Problem) -> Response {
    Response {
        status: problem.code.status(),
        body: problem.to_json(),
        retry_after: problem.code.retry_after(),
        allow: None,
        charged: None,
    }
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
        _ => Err(refusal(&Problem::new(
            Code::UnsupportedMediaType,
            format!("The body is `{}`; send it as `application/json`.", essence.escape_debug()),
        ))),
    }
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
    fn the_version_is_json() {
        let version: serde_json::Value = serde_json::from_str(&version().body).unwrap();
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    }
}
