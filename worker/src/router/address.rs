//! Meaning of a path and a method.

use std::borrow::Cow;

use mailbus_spec::Workspace;
use mailbus_spec::id::InvalidId;
use mailbus_spec::wire::{Code, Problem};
use percent_encoding::percent_decode_str;

use crate::object::Response;

/// The classes of objects that a workspace has one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Leases on files.
    Lease,
    /// Mail between agents.
    Mailbox,
}

impl Class {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Lease, Self::Mailbox];

    /// Its name in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Mailbox => "mailbox",
        }
    }
}

/// Address of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `GET /v1/version`.
    Version,
    /// An object; what it does not know under this action it refuses itself.
    Object {
        /// The class.
        class: Class,
        /// The workspace, and so the object's name.
        workspace: Workspace,
        /// The last segment of the path.
        action: &'a str,
    },
}

/// Route of a request with this method (in capitals) and path (without the query).
///
/// # Errors
/// 404 `not_found`, 400 `id_invalid` for a workspace that is none, 405 `method_not_allowed`.
pub fn route<'a>(method: &str, path: &'a str) -> Result<Route<'a>, Response> {
    let mut segments = path.strip_prefix("/v1/").ok_or_else(not_found)?.split('/');
    let name = segments.next().unwrap_or_default();
    match (segments.next(), segments.next(), segments.next()) {
        (None, ..) if name == "version" => match method {
            "GET" | "HEAD" => Ok(Route::Version),
            _ => Err(Response {
                allow: Some("GET"),
                ..Response::from(&Problem::new(
                    Code::MethodNotAllowed,
                    "Ask for the version with GET.",
                ))
            }),
        },
        (Some(class), Some(action), None) if !action.is_empty() => {
            let class = Class::ALL.into_iter().find(|known| known.as_str() == class);
            let class = class.ok_or_else(not_found)?;
            Ok(Route::Object { class, workspace: workspace(name)?, action })
        }
        _ => Err(not_found()),
    }
}

/// The path and the query of an absolute URL, as they were sent. What parses URLs resolves the segments
/// `.` and `..`, so that one address would be two in two runtimes.
#[must_use]
pub fn target(url: &str) -> (&str, &str) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let begin = after_scheme.find(['/', '?']).unwrap_or(after_scheme.len());
    let target = after_scheme.get(begin..).unwrap_or_default();
    target.split_once('?').unwrap_or((target, ""))
}

fn workspace(segment: &str) -> Result<Workspace, Response> {
    // `:` is often sent encoded.
    let name = percent_decode_str(segment).decode_utf8().map_err(|_| InvalidId::Character);
    name.map(Cow::into_owned).and_then(Workspace::new).map_err(|invalid| {
        Response::from(&Problem::new(
            Code::IdInvalid,
            format!(
                "The workspace {invalid}. It is 1 to 128 of `A-Za-z0-9._:-`, and not `version`, `.` \
                 or `..`."
            ),
        ))
    })
}

/// The answer where nothing is.
#[must_use]
pub fn not_found() -> Response {
    Response::from(&Problem::new(
        Code::NotFound,
        "There is nothing here; try `/v1/{workspace}/mailbox/{action}`, \
         `/v1/{workspace}/lease/{action}` or `/v1/version`.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, path: &str) -> (u16, String) {
        let refused = route(method, path).unwrap_err();
        let problem = Problem::from_json(&refused.body).unwrap();
        assert_eq!(refused.status, problem.code.status());
        (refused.status, problem.code.to_string())
    }

    #[test]
    fn the_object_of_a_workspace_is_found() {
        for (path, class, name, action) in [
            ("/v1/w/lease/acquire", Class::Lease, "w", "acquire"),
            ("/v1/lease%3Asrc.rs/lease/x%20y", Class::Lease, "lease:src.rs", "x%20y"),
            ("/v1/global-mailbox/mailbox/publish", Class::Mailbox, "global-mailbox", "publish"),
        ] {
            let found = route("POST", path).unwrap();
            let workspace = Workspace::new(name).unwrap();
            assert_eq!(found, Route::Object { class, workspace, action });
        }
        assert_eq!(route("GET", "/v1/version").unwrap(), Route::Version);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v2/w/lease/list",
            "/v1/w",
            "/v1/w/",
            "/v1/w/lease",
            "/v1/w/lease/",
            "/v1/w/lease/a/b",
            "/v1/w/mailbox",
            "/v1/w/mailboxes/publish",
            "/v1/version/",
            "/acquire",
        ] {
            assert_eq!(refused("GET", path), (404, "not_found".to_owned()), "{path}");
        }
    }

    #[test]
    fn a_workspace_that_is_none_is_refused() {
        let long = format!("/v1/{}/lease/list", "x".repeat(129));
        for path in [
            "/v1//lease/list",
            "/v1/version/lease/list",
            "/v1/../lease/list",
            "/v1/%2e%2E/lease/list",
            "/v1/./lease/list",
            "/v1/a%2Fb/lease/list",
            "/v1/%ff/lease/list",
            "/v1/a+b/lease/list",
            &long,
        ] {
            assert_eq!(refused("POST", path), (400, "id_invalid".to_owned()), "{path}");
        }
    }

    #[test]
    fn an_address_is_read_as_it_was_sent() {
        for (url, path, query) in [
            ("http://localhost/v1/../lease/list?a=/b?c", "/v1/../lease/list", "a=/b?c"),
            ("https://localhost:8787/v1/%2e%2e", "/v1/%2e%2e", ""),
            ("http://object?agentId=a", "", "agentId=a"),
            ("http://localhost*", "", ""),
        ] {
            assert_eq!(target(url), (path, query), "{url}");
        }
    }

    #[test]
    fn the_version_is_only_read() {
        assert_eq!(route("POST", "/v1/version").unwrap_err().allow, Some("GET"));
    }
}
