//! Pushes that the lease object sends unasked, and all that a client's socket receives.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::members::{Forced, Granted, Lapsed};
use super::reply::{Received, decode_reply};
use crate::lease::answer::Notice;
use crate::wire::frame::{Control, Part, parts};
use crate::wire::{Problem, Undecodable, text_of};

/// A push as a frame: `$granted`, `$lapsed` or `$forced`.
#[must_use]
pub fn encode_push(notice: &Notice) -> String {
    match notice {
        Notice::Granted { request, token, expires_at, ttl } => text_of(&Control {
            kind: "$granted",
            said: Granted {
                request: Cow::Borrowed(request),
                token: *token,
                expires_at: *expires_at,
                ttl_ms: *ttl,
            },
        }),
        Notice::Lapsed { token } => {
            text_of(&Control { kind: "$lapsed", said: Lapsed { token: *token } })
        }
        Notice::Forced { token, reason, drain } => text_of(&Control {
            kind: "$forced",
            said: Forced { token: *token, reason: Cow::Borrowed(reason), drain: *drain },
        }),
    }
}

/// One thing that a client's socket received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// Replies to commands.
    Replies(Vec<Received>),
    /// A push.
    Notice(Notice),
    /// A frame of the client's could not be taken apart. None of its commands was applied.
    Error(Problem),
    /// Something that this version does not know or cannot read. A reply among it counts as lost.
    Unknown(Undecodable),
}

/// Contents of a text frame from the server: replies and pushes of one event share a frame.
#[must_use]
pub fn decode_server_frame(text: &str) -> Vec<ServerFrame> {
    let mut frames = Vec::new();
    for part in parts(text) {
        match part {
            Part::Replies(entries) => {
                let mut replies = Vec::with_capacity(entries.len());
                let mut unreadable = Vec::new();
                for entry in entries {
                    match decode_reply(200, entry.get().as_bytes()) {
                        Ok(received) => replies.push(received),
                        Err(undecodable) => unreadable.push(ServerFrame::Unknown(undecodable)),
                    }
                }
                frames.push(ServerFrame::Replies(replies));
                frames.append(&mut unreadable);
            }
            Part::Error(problem) => frames.push(ServerFrame::Error(problem)),
            Part::Other(kind, text) => frames.push(match decode_push(kind.as_deref(), text) {
                Ok(notice) => ServerFrame::Notice(notice),
                Err(undecodable) => ServerFrame::Unknown(undecodable),
            }),
            Part::Unreadable(undecodable) => frames.push(ServerFrame::Unknown(undecodable)),
        }
    }
    frames
}

fn decode_push(kind: Option<&str>, text: &str) -> Result<Notice, Undecodable> {
    match kind {
        Some("$granted") => {
            let Granted { request, token, expires_at, ttl_ms } =
                serde_json::from_str(text).map_err(Undecodable::new)?;
            Ok(Notice::Granted { request: request.into_owned(), token, expires_at, ttl: ttl_ms })
        }
        Some("$lapsed") => {
            let Lapsed { token } = serde_json::from_str(text).map_err(Undecodable::new)?;
            Ok(Notice::Lapsed { token })
        }
        Some("$forced") => {
            let Forced { token, reason, drain } =
                serde_json::from_str(text).map_err(Undecodable::new)?;
            Ok(Notice::Forced { token, reason: reason.into_owned(), drain })
        }
        Some(other) => Err(Undecodable::new(format_args!("the type `{}`", other.escape_debug()))),
        None => Err(Undecodable::new("an object without a type")),
    }
}
