//! Arrivals at an object: borrowed from who has them, or owned while they wait or change threads.

use crate::object::{Body, Request, SocketId};

/// One event as it arrives at the runtime, which adds what a socket keeps.
#[derive(Clone, Debug)]
pub enum Arrival<'a> {
    /// An HTTP exchange.
    Request(Request<'a>),
    /// A text frame over an accepted socket.
    Frame {
        /// The socket.
        socket: SocketId,
        /// The frame.
        text: &'a str,
    },
    /// A socket is closed or broken. Whatever the object makes of it, the socket is gone afterwards.
    Closed {
        /// The socket.
        socket: SocketId,
    },
    /// The alarm rings: on time, early, late, again or without being set.
    Alarm,
}

/// An [`Arrival`] that borrows from nobody.
#[derive(Clone, Debug)]
pub enum OwnedArrival {
    /// An HTTP exchange.
    Request {
        /// As in [`Request`].
        method: String,
        /// As in [`Request`].
        action: String,
        /// As in [`Request`].
        query: String,
        /// As in [`Request`].
        upgrade: bool,
        /// All of the body; `None` if it was longer than allowed.
        body: Option<Vec<u8>>,
    },
    /// A text frame over an accepted socket.
    Frame {
        /// The socket.
        socket: SocketId,
        /// The frame.
        text: String,
    },
    /// A socket is closed or broken.
    Closed {
        /// The socket.
        socket: SocketId,
    },
    /// The alarm rings.
    Alarm,
}

impl Arrival<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_owned(&self) -> OwnedArrival {
        match self {
            Self::Request(request) => OwnedArrival::Request {
                method: request.method.to_owned(),
                action: request.action.to_owned(),
                query: request.query.to_owned(),
                upgrade: request.upgrade,
                body: match request.body {
                    Body::Whole(bytes) => Some(bytes.to_vec()),
                    Body::TooLarge => None,
                },
            },
            Self::Frame { socket, text } => {
                OwnedArrival::Frame { socket: *socket, text: (*text).to_owned() }
            }
            Self::Closed { socket } => OwnedArrival::Closed { socket: *socket },
            Self::Alarm => OwnedArrival::Alarm,
        }
    }

    /// Number of bytes that it carries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Request(Request { method, action, query, body, .. }) => {
                let body = match body {
                    Body::Whole(bytes) => bytes.len(),
                    Body::TooLarge => 0,
                };
                [method.len(), action.len(), query.len()]
                    .iter()
                    .fold(body, |sum, bytes| sum.saturating_add(*bytes))
            }
            Self::Frame { text, .. } => text.len(),
            Self::Closed { .. } | Self::Alarm => 0,
        }
    }
}

impl OwnedArrival {
    /// The same, borrowed.
    #[must_use]
    pub fn borrow(&self) -> Arrival<'_> {
        match self {
            Self::Request { method, action, query, upgrade, body } => Arrival::Request(Request {
                method,
                action,
                query,
                upgrade: *upgrade,
                body: body.as_deref().into(),
            }),
            Self::Frame { socket, text } => Arrival::Frame { socket: *socket, text },
            Self::Closed { socket } => Arrival::Closed { socket: *socket },
            Self::Alarm => Arrival::Alarm,
        }
    }
}
