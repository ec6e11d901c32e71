//! WebSockets that stay open while their object is not in memory.
//!
//! The platform keeps with each socket its tags, by which it is found, and an attachment. The shell
//! puts the socket's number into both: as a tag of its own, and in front of the object's text.

use mailbus_spec::limits;
use mailbus_spec::wire::{Problem, frame};
use worker::{Error, Response, Result, State, WebSocket, WebSocketIncomingMessage, WebSocketPair};

use crate::object::{Accept, Attachment, SocketId, Target};

/// The close code for a frame that is no text (RFC 6455, 7.4.1).
const NOT_TEXT: u16 = 1003;
/// The close code for a frame that is too large.
const TOO_LARGE: u16 = 1009;

/// An open socket, as an event finds it.
pub(super) struct Socket<'a> {
    /// The platform's side of it.
    pub host: &'a WebSocket,
    /// Its number.
    pub id: SocketId,
    /// What it keeps for the object.
    pub attachment: Attachment,
}

impl<'a> Socket<'a> {
    /// `None` for a socket that this shell did not accept.
    pub(super) fn of(host: &'a WebSocket) -> Option<Self> {
        let kept = host.deserialize_attachment::<String>().ok()??;
        let (number, attachment) = kept.split_once(' ')?;
        let id = SocketId(number.parse().ok()?);
        Some(Self { host, id, attachment: attachment.to_owned() })
    }
}

/// Becomes the server's end of a new socket.
pub(super) fn accept(state: &State, accept: &Accept) -> Result<Response> {
    // Unique among the sockets of one object is enough; 32 768 of them are the platform's limit.
    let id = SocketId((js_sys::Math::random() * (1_u64 << 53) as f64) as u64);
    let pair = WebSocketPair::new()?;
    let tags = accept.tags.iter().cloned().chain([tag_of(id)]).map(Into::into).collect();
    state.as_raw().accept_websocket_with_tags(pair.server.as_ref(), tags).map_err(Error::from)?;
    keep(&pair.server, id, &accept.attachment)?;
    Response::from_websocket(pair.client)
}

/// Replaces what a socket keeps for the object.
pub(super) fn attach(state: &State, own: Option<&Socket<'_>>, id: SocketId, attachment: &str) {
    for socket in find(state, own, &Target::Socket(id)) {
        if let Err(error) = keep(&socket, id, attachment) {
            worker::console_error!("an attachment of {} bytes: {error}", attachment.len());
        }
    }
}

/// Sends a frame. A socket that is closing takes none, and its client will ask again.
pub(super) fn send(state: &State, own: Option<&Socket<'_>>, target: &Target, text: &str) {
    for socket in find(state, own, target) {
        let _ = socket.send_with_str(text);
    }
}

/// Closes sockets; one that is closed already stays so.
pub(super) fn close(
    state: &State,
    own: Option<&Socket<'_>>,
    target: &Target,
    code: u16,
    reason: &str,
) {
    for socket in find(state, own, target) {
        let _ = socket.close(Some(code), Some(reason));
    }
}

/// Completes the closing handshake that a client began.
pub(super) fn answer_close(socket: &WebSocket, code: usize, reason: &str) {
    // 1005, 1006 and 1015 mean "there was no code" and may not be sent.
    let code = u16::try_from(code).ok().filter(|code| !matches!(code, 1005 | 1006 | 1015));
    let _ = socket.close(Some(code.unwrap_or(1000)), Some(reason));
}

/// The text of a frame, or the socket is closed with the reason why there is none.
pub(super) fn text_of<'a>(
    socket: &WebSocket,
    message: &'a WebSocketIncomingMessage,
) -> Option<&'a str> {
    let (code, reason) = match message {
        WebSocketIncomingMessage::String(text) if text.len() <= limits::FRAME_MAX_BYTES => {
            return Some(text);
        }
        WebSocketIncomingMessage::String(_) => (TOO_LARGE, "a frame is at most 4 MiB"),
        WebSocketIncomingMessage::Binary(_) => (NOT_TEXT, "frames are text"),
    };
    let _ = socket.close(Some(code), Some(reason));
    None
}

/// Tells a client that what its frame asked for may not have been done.
pub(super) fn fail(socket: &WebSocket) {
    let _ = socket.send_with_str(frame::error(&Problem::internal()));
}

fn keep(socket: &WebSocket, id: SocketId, attachment: &str) -> Result<()> {
    socket.serialize_attachment(format!("{} {attachment}", id.0))
}

/// The sockets meant. The event's own is at hand; asking the platform for one wakes others.
fn find(state: &State, own: Option<&Socket<'_>>, target: &Target) -> Vec<WebSocket> {
    let tag = match (target, own) {
        (Target::Socket(id), Some(own)) if own.id == *id => return vec![own.host.clone()],
        (Target::Socket(id), _) => tag_of(*id),
        (Target::Tag(tag) | Target::Others { tag, .. }, _) => tag.clone(),
    };
    let found = state.as_raw().get_websockets_with_tag(&tag).unwrap_or_default();
    let meant = |socket: &WebSocket| match target {
        Target::Others { than, .. } => Socket::of(socket).is_none_or(|found| found.id != *than),
        Target::Socket(_) | Target::Tag(_) => true,
    };
    found.into_iter().map(WebSocket::from).filter(meant).collect()
}

fn tag_of(id: SocketId) -> String {
    format!("#{}", id.0)
}
