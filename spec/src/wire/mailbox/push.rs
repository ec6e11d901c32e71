//! Pushes that the mailbox object sends unasked, and all that a client's socket receives.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::delivered::{Delivered, delivered};
use super::members::Session;
use super::reply::{Received, decode_reply};
use crate::machine::{Commit, Reply};
use crate::mailbox::{CloseReason, Gap, MailboxReply, Notice, Outcome};
use crate::wire::frame::{Control, Part, parts};
use crate::wire::{Problem, Undecodable, text_of};

/// The close code that says that another session took over: the client does not come back.
pub const CLOSE_REPLACED: u16 = 4001;

/// The first frame of every socket: `$connected`. `None` if the reply is not that a session began: then
/// it answers the request for the upgrade.
#[must_use]
pub fn encode_connected(reply: &MailboxReply) -> Option<String> {
    let Ok(Outcome::Connected { epoch, resumed, gap, refused }) = reply.answer else {
        return None;
    };
    let session = Session { epoch, resumed, gap, refused };
    let said = Begun { session, commit: reply.commit };
    Some(text_of(&Control { kind: "$connected", said }))
}

/// A push as a frame: the message itself, or `$gap`. `None` for the end of a session, which is a close
/// ([`close`]).
#[must_use]
pub fn encode_push(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::Message { seq, attempt, redriven, message } => {
            delivered(message, *seq, Some(*attempt), *redriven)
        }
        Notice::Ephemeral { message } => message.body.clone(),
        Notice::Gap(gap) => text_of(&Control { kind: "$gap", said: gap }),
        Notice::Closed(_) => return None,
    })
}

/// The code and the reason of the close of a socket whose session is over.
#[must_use]
pub const fn close(reason: CloseReason) -> (u16, &'static str) {
    match reason {
        CloseReason::Replaced => (CLOSE_REPLACED, "replaced"),
        CloseReason::TakenOver => (1000, "taken over"),
        CloseReason::Reopen => (1012, "reopen"),
        CloseReason::Crowded => (1012, "crowded"),
        CloseReason::Disconnected => (1000, "disconnected"),
        CloseReason::Forgotten => (1012, "forgotten"),
    }
}

#[derive(Serialize, Deserialize)]
struct Begun {
    #[serde(flatten)]
    session: Session,
    commit: Commit,
}

/// One thing that a client's socket received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// Replies to commands.
    Replies(Vec<Received>),
    /// The session began: [`Outcome::Connected`], always.
    Connected(MailboxReply),
    /// A push. Never [`Notice::Closed`]: that is a close.
    Notice(Notice),
    /// A frame of the client's could not be taken apart. None of its commands was applied.
    Error(Problem),
    /// Something that this version does not know or cannot read. A reply or a message among it counts
    /// as lost.
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
            Part::Other(kind, text) => {
                frames
                    .push(decode_other(kind.as_deref(), text).unwrap_or_else(ServerFrame::Unknown));
            }
            Part::Unreadable(undecodable) => frames.push(ServerFrame::Unknown(undecodable)),
        }
    }
    frames
}

fn decode_other(kind: Option<&str>, text: &str) -> Result<ServerFrame, Undecodable> {
    match kind {
        Some("$connected") => {
            let Begun { session, commit } = serde_json::from_str(text).map_err(Undecodable::new)?;
            Ok(ServerFrame::Connected(Reply { answer: Ok(session.into()), commit }))
        }
        Some("$gap") => {
            let gap: Gap = serde_json::from_str(text).map_err(Undecodable::new)?;
            Ok(ServerFrame::Notice(Notice::Gap(gap)))
        }
        Some(other) if other.starts_with('$') => {
            Err(Undecodable::new(format_args!("the type `{}`", other.escape_debug())))
        }
        Some(_) => decode_delivery(text).map(ServerFrame::Notice),
        None => Err(Undecodable::new("an object without a type")),
    }
}

/// A message is a delivery if it has a `seq`: the bus takes away what a sender says there.
fn decode_delivery(text: &str) -> Result<Notice, Undecodable> {
    let Delivered { seq, attempt, redriven, message } = Delivered::read(text)?;
    match (seq, attempt) {
        (Some(seq), Some(attempt)) => Ok(Notice::Message { seq, attempt, redriven, message }),
        (None, None) => Ok(Notice::Ephemeral { message }),
        _ => Err(Undecodable::new("a message with one of `seq` and `attempt` only")),
    }
}
