//! The codes of refusals: what a program looks at.

use core::fmt;
use core::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident: $status:literal $text:literal $title:literal;)*) => {
        /// Reason why a request was refused: stable, and what a client decides by. The prose beside it may
        /// change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// All of them, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The HTTP status it travels with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status),* }
            }

            /// Its text on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text),* }
            }

            /// Meaning of the code, in a few words that never change.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title),* }
            }
        }
    };
}

codes! {
    /// The request is not what the action expects.
    Malformed: 400 "malformed" "The request cannot be read";
    /// A time to live, a wait or a delay is outside its range.
    TtlOutOfRange: 400 "ttl_out_of_range" "A duration is out of range";
    /// A path names no file of the workspace, or is spelled as no file is meant.
    PathInvalid: 400 "path_invalid" "A path is not valid";
    /// A claim names more paths than it may.
    TooManyPaths: 400 "too_many_paths" "A claim has too many paths";
    /// The name of an agent, session, request, message or workspace is not one.
    IdInvalid: 400 "id_invalid" "A name is not valid";
    /// Nobody says who asks.
    Unauthorized: 401 "unauthorized" "Credentials are missing or not valid";
    /// The asker may not ask this.
    Forbidden: 403 "forbidden" "The credentials do not allow this";
    /// There is no such action, route or workspace.
    NotFound: 404 "not_found" "There is nothing at this address";
    /// Nobody is known by the name that a message was sent to.
    UnknownAgent: 404 "unknown_agent" "The agent is not known";
    /// The action exists under another method.
    MethodNotAllowed: 405 "method_not_allowed" "The action has another method";
    /// Something overlapping is in the way.
    Held: 409 "held" "The paths are claimed";
    /// The asker has no such lease, or no longer.
    Lost: 409 "lost" "The lease is not held";
    /// Waiting would never end.
    Deadlock: 409 "deadlock" "Waiting would never end";
    /// The request has ended. An outcome of the specification; on the wire it is a refusal, so that
    /// nobody takes it for a grant.
    Over: 409 "over" "The request is over";
    /// The id of the request or the message is known with other content.
    Conflict: 409 "conflict" "The id is taken";
    /// A newer session of the agent has taken over.
    Replaced: 409 "replaced" "A newer session has taken over";
    /// The client knows of a later state than the mailbox is in.
    Ahead: 409 "ahead" "The client is ahead of the mailbox";
    /// The body or a message is larger than allowed.
    MessageTooLarge: 413 "message_too_large" "The message is too large";
    /// The body is not JSON by its own declaration.
    UnsupportedMediaType: 415 "unsupported_media_type" "The body must be JSON";
    /// The address only serves WebSockets.
    UpgradeRequired: 426 "upgrade_required" "The address serves WebSockets only";
    /// A bound of the workspace, the agent or the holder is reached.
    Limit: 429 "limit" "A limit is reached";
    /// Something failed that is not the client's doing. What became of the request is unknown.
    Internal: 500 "internal" "The service failed";
    /// There is more to do than can be done.
    Overloaded: 503 "overloaded" "The service is overloaded";
    /// The host's clock is not plausible.
    Clock: 503 "clock" "The host's clock is not plausible";
    /// The workspace is closed while it is restored.
    Restoring: 503 "restoring" "The workspace is being restored";
}

impl Code {
    /// Seconds after which a retry may help: for 429 and 503, the header `Retry-After`.
    #[must_use]
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::Overloaded => Some(1),
            // Claims lapse and memories end within seconds where a limit bites.
            Self::Limit => Some(5),
            Self::Clock => Some(10),
            Self::Restoring => Some(30),
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no [`Code`] of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode;

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a code of this version")
    }
}

impl core::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownCode)
    }
}
