//! Contents of a WebSocket text frame.
//!
//! A frame is one JSON object or, where the socket speaks protocol 1, an array of them. An object
//! that is not a message has a `type` that begins with `$`; the original's client ignores those.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, Problem, Undecodable};
use crate::limits;

/// A frame that asks for a sign of life. The runtime answers it with [`PONG`], without waking the
/// object.
pub const PING: &str = "ping";
/// The answer to a [`PING`].
pub const PONG: &str = "pong";

/// The replies to the commands of one frame: `{"type":"$replies","replies":[…]}`, each the body that
/// the command would have been answered with over HTTP.
#[must_use]
pub fn replies<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> String {
    let mut frame = String::from(r#"{"type":"$replies","replies":["#);
    push_joined(&mut frame, answers.into_iter().map(|answer| answer.body.as_str()));
    frame.push_str("]}");
    frame
}

/// The reply to a frame that could not be taken apart into commands:
/// `{"type":"$error","problem":{…}}`.
#[must_use]
pub fn error(problem: &Problem) -> String {
    // A problem has a `type` of its own, so it stands inside.
    let mut frame = String::from(r#"{"type":"$error","problem":"#);
    frame.push_str(&problem.to_json());
    frame.push('}');
    frame
}

/// One frame with these objects: an object alone, or an array of them.
#[must_use]
pub fn share(parts: &[impl AsRef<str>]) -> String {
    if let [only] = parts {
        return String::from(only.as_ref());
    }
    let mut frame = String::from("[");
    push_joined(&mut frame, parts.iter().map(AsRef::as_ref));
    frame.push(']');
    frame
}

/// These objects by the frames that carry them, in their order and as few as hold them: [shared](share),
/// each is at most [`FRAME_MAX_BYTES`](limits::FRAME_MAX_BYTES) long, as no object alone is longer.
#[must_use]
pub fn pack<T: AsRef<str>>(objects: Vec<T>) -> Vec<Vec<T>> {
    const BRACKETS: usize = 2;
    const COMMA: usize = 1;
    let mut frames = Vec::new();
    let mut shared = Vec::new();
    let mut bytes = BRACKETS;
    for object in objects {
        let more = object.as_ref().len().saturating_add(COMMA);
        if !shared.is_empty() && bytes.saturating_add(more) > limits::FRAME_MAX_BYTES {
            frames.push(core::mem::take(&mut shared));
            bytes = BRACKETS;
        }
        shared.push(object);
        bytes = bytes.saturating_add(more);
    }
    if !shared.is_empty() {
        frames.push(shared);
    }
    frames
}

fn push_joined<'a>(frame: &mut String, parts: impl Iterator<Item = &'a str>) {
    for (index, part) in parts.enumerate() {
        if index > 0 {
            frame.push(',');
        }
        frame.push_str(part);
    }
}

/// A control object: its members after its `type`.
#[derive(Serialize)]
pub(super) struct Control<'a, S> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    #[serde(flatten)]
    pub(super) said: S,
}

/// One object of a frame, as a client reads it.
pub(super) enum Part<'a> {
    /// Replies to commands.
    Replies(Vec<&'a RawValue>),
    /// Some frame of the client's could not be read.
    Error(Problem),
    /// Anything else: its `type`, if it has one, and its text.
    Other(Option<Cow<'a, str>>, &'a str),
    /// Not an object, or not what its `type` promises.
    Unreadable(Undecodable),
}

/// The objects of a frame from the server.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let text = text.trim_ascii();
    if !text.starts_with('[') {
        return alloc::vec![part(text)];
    }
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(objects) => objects.into_iter().map(|object| part(object.get())).collect(),
        Err(error) => alloc::vec![Part::Unreadable(Undecodable::new(error))],
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
}

/// Content of a control object of this module.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    replies: Option<&'a RawValue>,
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

fn part(text: &str) -> Part<'_> {
    match try_part(text) {
        Ok(part) => part,
        Err(undecodable) => Part::Unreadable(undecodable),
    }
}

fn try_part(text: &str) -> Result<Part<'_>, Undecodable> {
    if !text.starts_with('{') {
        return Err(Undecodable::new("a frame holds objects"));
    }
    let head: Head<'_> = serde_json::from_str(text).map_err(Undecodable::new)?;
    // A message may have members of these names, as it likes.
    let said = match head.kind.as_deref() {
        Some("$replies" | "$error") => serde_json::from_str(text).map_err(Undecodable::new)?,
        _ => Said { replies: None, problem: None },
    };
    match (head.kind.as_deref(), said.replies, said.problem) {
        (Some("$replies"), Some(replies), _) => {
            serde_json::from_str(replies.get()).map(Part::Replies).map_err(Undecodable::new)
        }
        (Some("$error"), _, Some(problem)) => Problem::from_json(problem.get()).map(Part::Error),
        _ => Ok(Part::Other(head.kind, text)),
    }
}
