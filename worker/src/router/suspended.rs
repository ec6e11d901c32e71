//! Suspension: workspaces that an operator puts back to an earlier point.
//!
//! It is held outside of what a restore puts back, or it would be undone by what it is for
//! ([rule](mailbus_spec::rules)).

use std::collections::BTreeSet;
use std::str::FromStr;

use mailbus_spec::Workspace;
use mailbus_spec::id::InvalidId;
use mailbus_spec::wire::{Code, Problem};

use super::Route;
use crate::object::Response;

/// The variable of the environment that names the suspended workspaces, with commas between them.
pub const SUSPENDED: &str = "MAILBUS_SUSPENDED";

/// Workspaces of which nothing is answered but `recover`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspended(BTreeSet<Workspace>);

impl FromStr for Suspended {
    type Err = InvalidId;

    /// Meaning of the value of [`SUSPENDED`].
    fn from_str(names: &str) -> Result<Self, InvalidId> {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| Workspace::new(name.to_owned())).collect::<Result<_, _>>().map(Self)
    }
}

impl Suspended {
    /// Lets a request through, unless its workspace is suspended.
    ///
    /// # Errors
    /// 503 `restoring`.
    pub fn admit<'a>(&self, route: Route<'a>) -> Result<Route<'a>, Response> {
        match &route {
            Route::Object { workspace, action, .. }
                if *action != "recover" && self.0.contains(workspace) =>
            {
                let detail = "The workspace is suspended while its operator restores it.";
                Err(Response::from(&Problem::new(Code::Restoring, detail)))
            }
            _ => Ok(route),
        }
    }

    /// Names of the workspaces, for whoever reads the log; empty if there are none.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(Workspace::as_str).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::route;

    fn status(suspended: &str, method: &str, path: &str) -> u16 {
        let suspended: Suspended = suspended.parse().unwrap();
        suspended.admit(route(method, path).unwrap()).map_or_else(|refused| refused.status, |_| 200)
    }

    #[test]
    fn of_a_suspended_workspace_only_the_recovery_is_admitted() {
        for class in ["lease", "mailbox"] {
            for (workspace, action, expected) in [
                ("team", "acquire", 503),
                ("team", "subscribe", 503),
                ("team", "inbox", 503),
                ("team", "recover", 200),
                ("other", "acquire", 503),
                ("Team", "acquire", 200),
                ("teams", "acquire", 200),
            ] {
                let path = format!("/v1/{workspace}/{class}/{action}");
                assert_eq!(status(" team, other,", "POST", &path), expected, "{path}");
                assert_eq!(status("", "POST", &path), 200, "{path}");
            }
        }
        assert_eq!(status("team", "GET", "/v1/version"), 200);
    }

    #[test]
    fn who_is_refused_is_told_when_to_ask_again() {
        let suspended: Suspended = "team".parse().unwrap();
        let refused = suspended.admit(route("GET", "/v1/team/lease/subscribe").unwrap());
        let refused = refused.unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (503, Some(30)));
        assert_eq!(Problem::from_json(&refused.body).unwrap().code, Code::Restoring);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for names in ["a b", "team,a/b", "version", ".."] {
            assert!(names.parse::<Suspended>().is_err(), "{names}");
        }
    }
}
