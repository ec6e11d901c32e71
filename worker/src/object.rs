//! Contract between a production object and its shell: one event in, effects out, synchronously.
//!
//! A shell reads the host's clock once, opens a transaction, calls [`Object::handle`], ends the
//! transaction, and *only then* applies the [`Effects`]: pushes and attachments do not roll back.
//! If `handle` failed, the shell rolls back, drops the object (its memory may be ahead of its
//! storage) and answers the exchange with [`Response::failed`].

use std::rc::Rc;
use std::sync::Arc;

use mailbus_spec::HostTime;
use mailbus_spec::wire::{Answer, Problem};

use crate::storage::{Storage, StorageError};

/// A socket, by a number that its shell gives it and that means nothing elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// The bytes a socket keeps for its object while the object is not in memory; at most 16 KiB, JSON.
pub type Attachment = String;

/// One event for an object.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// An HTTP exchange.
    Request(Request<'a>),
    /// A text frame came in over an accepted socket.
    Frame {
        /// The socket.
        socket: SocketId,
        /// Attachment that it keeps for the object.
        attachment: &'a str,
        /// The frame.
        text: &'a str,
    },
    /// A socket is closed or broken.
    Closed {
        /// The socket.
        socket: SocketId,
        /// Attachment that it kept for the object.
        attachment: &'a str,
    },
    /// The alarm rang: on time, early, late or repeated. An object that wakes for something else is
    /// told of its alarm in [`Woken`].
    Alarm,
}

/// An HTTP exchange as an object sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST` or anything else, in capitals.
    pub method: &'a str,
    /// The last segment of the URL's path: an object answers the original's bare URLs too.
    pub action: &'a str,
    /// The query without its question mark, still encoded.
    pub query: &'a str,
    /// True if it asks to become a WebSocket.
    pub upgrade: bool,
    /// The body, at most [`BODY_MAX_BYTES`](mailbus_spec::limits::BODY_MAX_BYTES) of it.
    pub body: Body<'a>,
}

/// A request's body after the shell has read it.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It was longer than allowed and has been read and dropped.
    TooLarge,
}

impl<'a> From<Option<&'a [u8]>> for Body<'a> {
    /// The body that was read; nothing if it was longer than allowed.
    fn from(read: Option<&'a [u8]>) -> Self {
        read.map_or(Self::TooLarge, Self::Whole)
    }
}

/// Answer to a request: JSON, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The JSON text. From 400 on it is an RFC 9457 problem.
    pub body: String,
    /// Seconds after which a retry may help.
    pub retry_after: Option<u32>,
    /// For 405: the methods that are allowed.
    pub allow: Option<&'static str>,
    /// Charge of the platform for the event that this answers: rows written and alarms set. The
    /// shell fills it in and tells it in the header [`CHARGED_HEADER`]; `None` where no object was
    /// asked.
    pub charged: Option<u64>,
}

/// The response header that tells what an event cost, in rows as the platform charges them.
pub const CHARGED_HEADER: &str = "mailbus-rows";

/// Target of a frame, a close or what is to be kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// One socket.
    Socket(SocketId),
    /// Every socket that was accepted with this tag.
    Tag(String),
    /// Every socket that was accepted with this tag, one apart: that one is told in a frame of its own.
    Others {
        /// The tag.
        tag: String,
        /// The socket that is not meant.
        than: SocketId,
    },
}

/// The acceptance of a request that asked to become a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Attachment that the socket keeps for the object.
    pub attachment: Attachment,
    /// Names under which the socket is found again; at most nine of at most 256 characters: the
    /// platform takes ten, and its shell needs one.
    pub tags: Vec<String>,
    /// Number of bytes of messages that the object lets be under way to it before it hears from it; `None`
    /// for one that is sent everything.
    pub window: Option<u64>,
}

/// Effects of an event on the world, in this order: the new socket, attachments, frames, closes,
/// alarm, answer. So the event that accepts a socket can send to it, by its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The answer to a [`Event::Request`]: exactly one of this and `accept` is there then.
    pub response: Option<Response>,
    /// The acceptance of a WebSocket.
    pub accept: Option<Accept>,
    /// Text frames, in order. What many sockets are told is one text.
    pub frames: Vec<(Target, Arc<str>)>,
    /// Attachments that sockets keep from now on.
    pub attachments: Vec<(Target, Attachment)>,
    /// Sockets to close, with code and reason.
    pub closes: Vec<(Target, u16, String)>,
    /// The alarm to set, as host time. `None` leaves the pending one alone.
    pub alarm: Option<HostTime>,
    /// Rows written: 0 means that nothing became durable and nothing has to be flushed.
    pub rows: u64,
}

/// Charge of the platform for an event: rows written, and one for an alarm set.
#[must_use]
pub fn charged(rows: u64, alarm: Option<HostTime>) -> u64 {
    rows.saturating_add(u64::from(alarm.is_some()))
}

/// State that an object finds when it wakes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// The alarm the platform says is set.
    pub pending_alarm: Option<HostTime>,
    /// The open sockets with what they keep, for an object that [needs](Object::NEEDS_SOCKETS) them. One
    /// that the object has closed is not among them; one whose [`Event::Closed`] wakes it is.
    pub sockets: Vec<(SocketId, Attachment)>,
}

/// Progress of an object that wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Waking {
    /// It has its memory: the next event reads no more than it needs.
    Ready,
    /// There is more to read before an event can be handled.
    More,
}

/// Factory of objects: an object that has just woken. It reads nothing yet: the first event will.
pub type Wake<O> = Rc<dyn Fn(Woken) -> O>;

/// A production object.
///
/// Invariant: an event that fails leaves the storage to the shell's rollback and asks for no effects.
pub trait Object: Sized {
    /// True if it has to be told of its sockets when it wakes. Listing them wakes each of them.
    const NEEDS_SOCKETS: bool = false;

    /// Reads one piece of what the object has to know before its first event: so much that it takes some
    /// milliseconds, whatever the storage holds. It writes nothing, and reads nothing once it is
    /// [`Waking::Ready`].
    ///
    /// A shell that has others to serve calls it until then and serves them in between; one that has not
    /// leaves it all to [`handle`](Self::handle), which does what is left. Between two pieces
    /// * the object is given no event, and nobody else changes its storage: what has been read stays
    ///   true. Each piece may have a read transaction of its own;
    /// * a socket that breaks or an alarm that rings waits like any other event: what the object was told
    ///   in [`Woken`] stays as it was.
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed. The object must not be used again: it has read a part.
    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        let _ = storage;
        Ok(Waking::Ready)
    }

    /// About how many bytes of memory the object holds: a small one is worth keeping while its database
    /// is closed. Asking costs next to nothing.
    fn footprint(&self) -> u64 {
        0
    }

    /// True if the object, which is [`Waking::Ready`], is at this host time as good as one that never was:
    /// nobody would miss its storage, and one that begins anew uses no ordinal twice.
    fn is_blank(&self, now: HostTime) -> bool {
        let _ = now;
        false
    }

    /// Handles one event at the host time read for it.
    ///
    /// Before [`Event::Alarm`] of a ringing alarm the platform's alarm is no longer pending; the
    /// object knows.
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed. The object must not be used again.
    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        event: Event<'_>,
    ) -> Result<Effects, StorageError>;
}

impl Response {
    /// The answer of success that says this.
    #[must_use]
    pub fn ok(body: String) -> Self {
        Answer::ok(body).into()
    }

    /// The answer when the storage failed. Whether the event became durable is unknown to the asker: a
    /// flush that failed may have reached the disk. A retry finds out.
    #[must_use]
    pub fn failed() -> Self {
        (&Problem::internal()).into()
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let Answer { status, body, retry_after } = answer;
        Self { status, body, retry_after, allow: None, charged: None }
    }
}

impl From<&Problem> for Response {
    fn from(problem: &Problem) -> Self {
        problem.to_answer().into()
    }
}
