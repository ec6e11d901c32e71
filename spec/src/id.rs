//! Names of agents, sessions, requests and workspaces, each checked once when it is parsed.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Reason why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidId {
    /// It is empty.
    Empty,
    /// It is longer than [`limits::ID_MAX_BYTES`].
    TooLong,
    /// It has a character that this id may not have: control characters everywhere, and in a
    /// workspace all but `A-Za-z0-9._:-`.
    Character,
    /// It is reserved: the workspaces `version`, `.` and `..`.
    Reserved,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {} bytes", limits::ID_MAX_BYTES),
            Self::Character => f.write_str("has a character that is not allowed"),
            Self::Reserved => f.write_str("is reserved"),
        }
    }
}

impl core::error::Error for InvalidId {}

fn check(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        Err(InvalidId::Empty)
    } else if text.len() > limits::ID_MAX_BYTES {
        Err(InvalidId::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(InvalidId::Character)
    } else {
        Ok(())
    }
}

fn check_workspace(text: &str) -> Result<(), InvalidId> {
    check(text)?;
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b)) {
        Err(InvalidId::Character)
    } else if matches!(text, "version" | "." | "..") {
        Err(InvalidId::Reserved)
    } else {
        Ok(())
    }
}

/// The empty session is valid: it is the original's protocol.
fn check_session(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() { Ok(()) } else { check(text) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Parses the id.
            ///
            /// # Errors
            /// [`InvalidId`] says what is wrong with it.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// An agent: 1..=128 bytes without control characters.
    AgentId,
    check
);
id!(
    /// One run of an agent: at most 128 bytes without control characters. The empty session is the
    /// original's protocol, in which all processes of an agent are one holder.
    SessionId,
    check_session
);
id!(
    /// A client's name for one attempt to hold a set of paths: 1..=128 bytes without control
    /// characters.
    RequestId,
    check
);
id!(
    /// One project or swarm, and so one pair of objects: 1..=128 of `A-Za-z0-9._:-`. Not `version`, which
    /// has its own address, and not `.` or `..`, which clients resolve away.
    Workspace,
    check_workspace
);

impl SessionId {
    /// The session of the original's protocol.
    #[must_use]
    pub fn original() -> Self {
        Self(String::new())
    }

    /// True if this is the session of the original's protocol.
    #[must_use]
    pub fn is_original(&self) -> bool {
        self.0.is_empty()
    }
}

/// Holder of a lease or a ticket: an agent in one of its runs, so that a restarted agent or a
/// second process is not the old one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The agent.
    pub agent: AgentId,
    /// Its run.
    pub session: SessionId,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.session.is_original() {
            write!(f, "{}", self.agent)
        } else {
            write!(f, "{}/{}", self.agent, self.session)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_and_free_of_control_characters() {
        assert_eq!(AgentId::new(""), Err(InvalidId::Empty));
        assert_eq!(AgentId::new("x".repeat(129)), Err(InvalidId::TooLong));
        assert_eq!(AgentId::new("a\nb"), Err(InvalidId::Character));
        assert!(AgentId::new("x".repeat(128)).is_ok());
        assert!(SessionId::new("").unwrap().is_original());
        assert_eq!(SessionId::new("\u{7f}"), Err(InvalidId::Character));
    }

    #[test]
    fn a_workspace_is_a_plain_name() {
        assert!(Workspace::new("lease:src.main_1").is_ok());
        assert!(Workspace::new("lease:src.main-1").is_ok());
        for reserved in ["version", ".", ".."] {
            assert_eq!(Workspace::new(reserved), Err(InvalidId::Reserved));
        }
        assert!(Workspace::new("...").is_ok());
        assert_eq!(Workspace::new("a/b"), Err(InvalidId::Character));
    }
}
