//! WebSockets that stay open while their object is not in memory.
//!
//! The platform keeps with each socket its tags, by which it is found, and an attachment. The shell
//! puts the socket's number into both: as a tag of its own, and in front of the object's text.

use std::collections::BTreeMap;

use mailbus_spec::limits;
use mailbus_spec::wire::{Problem, frame};
use worker::worker_sys::WebSocketRequestResponsePair;
use worker::{Error, Result, State, WebSocket, WebSocketIncomingMessage, WebSocketPair};

use crate::object::{Accept, Attachment, SocketId, Target};

/// The close code for a frame that is no text (RFC 6455, 7.4.1).
const NOT_TEXT: u16 = 1003;
/// The close code for a frame that is too large.
const TOO_LARGE: u16 = 1009;
/// The close code for a failure of ours.
const BROKEN: u16 = 1011;

/// An open socket, as an event finds it.
pub(super) struct Socket<'a> {
    /// The platform's side of it.
    pub websocket: &'a WebSocket,
    /// Its number.
    pub id: SocketId,
    /// Attachment that it keeps for the object.
    pub attachment: Attachment,
}

impl<'a> Socket<'a> {
    /// `None` for a socket that this shell did not accept.
    pub(super) fn of(websocket: &'a WebSocket) -> Option<Self> {
        let kept = websocket.deserialize_attachment::<String>().ok()??;
        let (number, attachment) = kept.split_once(' ')?;
        let id = SocketId(number.parse().ok()?);
        Some(Self { websocket, id, attachment: attachment.to_owned() })
    }
}

/// Has frames `ping` answered `pong` without waking anybody.
pub(super) fn answer_pings(state: &State) {
    let answered = WebSocketRequestResponsePair::new(frame::PING, frame::PONG)
        .and_then(|pair| state.as_raw().set_websocket_auto_response(&pair));
    if let Err(exception) = answered {
        worker::console_error!("pings are not answered: {}", Error::from(exception));
    }
}

/// The sockets with what they keep, the event's own first. What they keep says whether they are somebody's:
/// the platform takes a closing one for open after it woke twice.
pub(super) fn kept(state: &State, own: Option<&Socket<'_>>) -> Vec<(SocketId, Attachment)> {
    let mut kept: Vec<_> = own.map(|own| (own.id, own.attachment.clone())).into_iter().collect();
    for websocket in state.as_raw().get_websockets().unwrap_or_default() {
        let websocket = WebSocket::from(websocket);
        if let Some(found) = Socket::of(&websocket)
            && own.is_none_or(|own| own.id != found.id)
        {
            kept.push((found.id, found.attachment));
        }
    }
    kept
}

/// Becomes the server's end of a new socket; this is the client's.
pub(super) fn accept(state: &State, accept: &Accept) -> Result<WebSocket> {
    // Unique among the sockets of one object is enough; 32 768 of them are the platform's limit.
    let id = SocketId((js_sys::Math::random() * (1_u64 << 53) as f64) as u64);
    let pair = WebSocketPair::new()?;
    let tags = accept.tags.iter().cloned().chain([tag_of(id)]).map(Into::into).collect();
    state.as_raw().accept_websocket_with_tags(pair.server.as_ref(), tags).map_err(Error::from)?;
    match keep(&pair.server, id, &accept.attachment) {
        Ok(()) => Ok(pair.client),
        Err(error) => {
            let _ = pair.server.close(Some(BROKEN), Some("the service failed"));
            Err(error)
        }
    }
}

/// The sockets that one event has an effect on: each is looked up once.
pub(super) struct Touched<'a> {
    state: &'a State,
    own: Option<&'a Socket<'a>>,
    by_target: BTreeMap<Target, Vec<WebSocket>>,
}

impl<'a> Touched<'a> {
    /// None yet. `own` is the socket that the event came over.
    pub(super) fn new(state: &'a State, own: Option<&'a Socket<'a>>) -> Self {
        Self { state, own, by_target: BTreeMap::new() }
    }

    /// Replaces what sockets keep for the object.
    pub(super) fn attach(&mut self, target: &Target, attachment: &str) {
        for socket in self.find(target) {
            let Some(found) = Socket::of(socket) else { continue };
            if let Err(error) = keep(socket, found.id, attachment) {
                worker::console_error!("an attachment of {} bytes: {error}", attachment.len());
            }
        }
    }

    /// Sends a frame. A socket that is closing takes none, and its client will ask again.
    pub(super) fn send(&mut self, target: &Target, text: &str) {
        for socket in self.find(target) {
            let _ = socket.send_with_str(text);
        }
    }

    /// Closes sockets; one that is closed already stays so.
    pub(super) fn close(&mut self, target: &Target, code: u16, reason: &str) {
        for socket in self.find(target) {
            let _ = socket.close(Some(code), Some(reason));
        }
    }

    fn find(&mut self, target: &Target) -> &[WebSocket] {
        let (state, own) = (self.state, self.own);
        self.by_target.entry(target.clone()).or_insert_with(|| find(state, own, target))
    }
}

/// Completes the closing handshake that a client began.
pub(super) fn answer_close(socket: &WebSocket, code: usize, reason: &str) {
    // 1005, 1006 and 1015 mean "there was no code" and may not be sent.
    let code = u16::try_from(code).ok().filter(|code| !matches!(code, 1005 | 1006 | 1015));
    let _ = socket.close(Some(code.unwrap_or(1000)), Some(reason));
}

/// The text of a frame, or with which code and reason its socket is to be closed.
pub(super) fn text_of(
    message: &WebSocketIncomingMessage,
) -> std::result::Result<&str, (u16, &'static str)> {
    match message {
        WebSocketIncomingMessage::String(text) if text.len() <= limits::FRAME_MAX_BYTES => Ok(text),
        WebSocketIncomingMessage::String(_) => Err((TOO_LARGE, "a frame is at most 4 MiB")),
        WebSocketIncomingMessage::Binary(_) => Err((NOT_TEXT, "frames are text")),
    }
}

/// Has a socket keep nothing: no shell takes it for one of its own any more.
pub(super) fn disown(socket: &WebSocket) {
    let _ = socket.serialize_attachment("");
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
        (Target::Socket(id), Some(own)) if own.id == *id => return vec![own.websocket.clone()],
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
