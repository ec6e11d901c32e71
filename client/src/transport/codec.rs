//! Wire of a session's service, as the run loop needs it.

use mailbus_spec::Holder;
use mailbus_spec::lease::Command;
use mailbus_spec::limits;
use mailbus_spec::mailbox::Ask;
use mailbus_spec::wire::{Undecodable, frame, lease, mailbox};

use super::carrier::Object;
use crate::session::lease::LeaseSession;
use crate::session::mailbox::MailboxSession;
use crate::session::{ReceivedOf, Session};

/// A session whose object is spoken to over a [`Carrier`](super::Carrier).
pub trait Codec: Session {
    /// The object.
    const OBJECT: Object;

    /// Most commands of one frame.
    ///
    /// Invariant: a frame stays below [`limits::FRAME_MAX_BYTES`], and each of its commands alone below
    /// [`limits::BODY_MAX_BYTES`]: what a slow link has cut as part of a frame gets through over HTTP.
    const FRAME_COMMANDS: usize;

    /// Most commands that wait for the socket to take them. Those on top go over HTTP.
    const OUTBOX_MOST: usize;

    /// Text that asks for a sign of life; without one, the WebSocket's own ping does.
    const PING: Option<&'static str>;

    /// True if a socket that is given up is closed with ceremony, and the loop ends after it and after the
    /// exchanges under way. If not, they are dropped.
    const CEREMONY: bool;

    /// Bytes of the message in a command.
    fn message_bytes(command: &Self::Command) -> usize;

    /// The action of a command and the body to send to it over HTTP, as attempt number `call`; `None`
    /// for what is no command there.
    fn encode_call(call: u64, command: &Self::Command) -> Option<(&'static str, String)>;

    /// The frame of these attempts.
    fn encode_frame(calls: &[(u64, &Self::Command)]) -> String;

    /// The query that opens a socket; `None` for what opens none.
    fn encode_connect(connect: Self::Connect) -> Option<String>;

    /// The reply in a body with this status.
    ///
    /// # Errors
    /// [`Undecodable`] if it is none.
    fn decode_reply(status: u16, body: &[u8]) -> Result<ReceivedOf<Self::Service>, Undecodable>;

    /// Objects that a text frame carries.
    fn decode_frames(text: &str) -> Vec<Self::Frame>;
}

/// Bytes of messages after which a frame takes no further command: one message on top still fits.
pub(super) const FRAME_BYTES: usize = 1 << 20;

/// Most bytes of a command about leases: as many of the longest paths as it may name, of characters that
/// JSON escapes, and what stands around them.
const LEASE_BYTES: usize = limits::CLAIM_MAX_PATHS * (2 * limits::PATH_MAX_BYTES + 3) + 2_048;
/// Most bytes of a command about mail but its message: an ack of as many messages as it may name.
const MAILBOX_BYTES: usize = 20 * limits::ACK_SEQS;

const _: () = assert!(LeaseSession::FRAME_COMMANDS * LEASE_BYTES <= limits::FRAME_MAX_BYTES);
const _: () = assert!(LEASE_BYTES <= limits::BODY_MAX_BYTES);
const _: () = assert!(
    FRAME_BYTES
        + limits::MESSAGE_MAX_BYTES
        + MAILBOX_BYTES
        + MailboxSession::FRAME_COMMANDS * 1_024
        <= limits::FRAME_MAX_BYTES
);
const _: () = assert!(limits::MESSAGE_MAX_BYTES + MAILBOX_BYTES <= limits::BODY_MAX_BYTES);

impl Codec for LeaseSession {
    const OBJECT: Object = Object::Lease;
    const FRAME_COMMANDS: usize = 30;
    const OUTBOX_MOST: usize = 1_024;
    const PING: Option<&'static str> = None;
    const CEREMONY: bool = false;

    fn message_bytes(_command: &Command) -> usize {
        0
    }

    fn encode_call(call: u64, command: &Command) -> Option<(&'static str, String)> {
        Some(lease::encode_call(call, command))
    }

    fn encode_frame(calls: &[(u64, &Command)]) -> String {
        lease::encode_frame(calls)
    }

    fn encode_connect(holder: Holder) -> Option<String> {
        Some(lease::encode_subscribe(&holder))
    }

    fn decode_reply(status: u16, body: &[u8]) -> Result<lease::Received, Undecodable> {
        lease::decode_reply(status, body)
    }

    fn decode_frames(text: &str) -> Vec<lease::ServerFrame> {
        lease::decode_server_frame(text)
    }
}

impl Codec for MailboxSession {
    const OBJECT: Object = Object::Mailbox;
    const FRAME_COMMANDS: usize = 256;
    /// Bounds are the session's, and a socket fences what goes over it: HTTP would not.
    const OUTBOX_MOST: usize = usize::MAX;
    const PING: Option<&'static str> = Some(frame::PING);
    const CEREMONY: bool = true;

    fn message_bytes(ask: &Ask) -> usize {
        match ask {
            Ask::Publish { message } | Ask::Send { message, .. } => message.body.len(),
            _ => 0,
        }
    }

    fn encode_call(call: u64, ask: &Ask) -> Option<(&'static str, String)> {
        mailbox::encode_call(call, ask)
    }

    fn encode_frame(calls: &[(u64, &Ask)]) -> String {
        mailbox::encode_frame(calls)
    }

    fn encode_connect(connect: Ask) -> Option<String> {
        let Ask::Connect { agent, session, window, types, last_seen } = connect else {
            return None;
        };
        let subscribe = mailbox::Subscribe { agent, session, window, types, last_seen };
        Some(mailbox::encode_subscribe(&subscribe))
    }

    fn decode_reply(status: u16, body: &[u8]) -> Result<mailbox::Received, Undecodable> {
        mailbox::decode_reply(status, body)
    }

    fn decode_frames(text: &str) -> Vec<mailbox::ServerFrame> {
        mailbox::decode_server_frame(text)
    }
}
