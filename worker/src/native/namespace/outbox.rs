//! What is to be sent over one socket: bounded, and nobody waits for a reader that has stalled.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::native::host::Host;

/// How far a reader may fall behind in bytes: 8 MiB.
pub const BEHIND_MAX_BYTES: usize = 8 << 20;
/// How far a reader may fall behind in frames: many short ones take memory too.
pub const BEHIND_MAX_FRAMES: usize = 1 << 16;
/// How far a reader may fall behind in time: 30 s.
pub const BEHIND_MAX: Duration = Duration::from_secs(30);

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame.
    Frame(String),
    /// A ping.
    Ping,
    /// A close with code and reason; nothing is sent after it.
    Close(u16, String),
}

/// What is to be sent over one socket, between its object and its connection.
pub struct Outbox {
    host: Rc<dyn Host>,
    queue: RefCell<Queue>,
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Duration, Outgoing)>,
    bytes: usize,
    closing: bool,
    abandoned: bool,
}

impl Outbox {
    pub(super) fn new(host: Rc<dyn Host>) -> Self {
        Self { host, queue: RefCell::default(), changed: Notify::new() }
    }

    /// Adds something at the end. Never waits: a queue that grows beyond [`BEHIND_MAX_BYTES`]
    /// or [`BEHIND_MAX_FRAMES`] is abandoned instead.
    pub fn push(&self, outgoing: Outgoing) {
        let mut queue = self.queue.borrow_mut();
        if queue.closing || queue.abandoned {
            return;
        }
        if let Outgoing::Frame(text) = &outgoing {
            queue.bytes = queue.bytes.saturating_add(text.len());
        }
        queue.closing = matches!(outgoing, Outgoing::Close(..));
        queue.waiting.push_back((self.host.uptime(), outgoing));
        let behind = queue.bytes > BEHIND_MAX_BYTES || queue.waiting.len() > BEHIND_MAX_FRAMES;
        drop(queue);
        if behind {
            self.abandon();
        } else {
            self.changed.notify_one();
        }
    }

    /// Gives the socket up: what waits is dropped, and the connection has to drop.
    pub fn abandon(&self) {
        let mut queue = self.queue.borrow_mut();
        *queue = Queue { abandoned: true, ..Queue::default() };
        drop(queue);
        self.changed.notify_one();
    }

    /// Whether the socket was given up.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.queue.borrow().abandoned
    }

    /// The next to send, and since when it waits (by [`Host::uptime`]); `None` once the socket was
    /// given up.
    pub async fn next(&self) -> Option<(Duration, Outgoing)> {
        loop {
            if self.is_abandoned() {
                return None;
            }
            if let Some(next) = self.try_next() {
                return Some(next);
            }
            self.changed.notified().await;
        }
    }

    /// The next to send, if there is one.
    pub fn try_next(&self) -> Option<(Duration, Outgoing)> {
        let mut queue = self.queue.borrow_mut();
        let next = queue.waiting.pop_front()?;
        if let Outgoing::Frame(text) = &next.1 {
            queue.bytes = queue.bytes.saturating_sub(text.len());
        }
        Some(next)
    }

    /// Ends when the socket is given up.
    pub async fn abandoned(&self) {
        while !self.is_abandoned() {
            self.changed.notified().await;
        }
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.queue.borrow();
        write!(f, "Outbox({} waiting, {} bytes)", queue.waiting.len(), queue.bytes)
    }
}
