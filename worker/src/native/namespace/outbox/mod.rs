//! Outbox of one socket: bounded, and nobody waits for a reader that has stalled.
//!
//! A reader is given up when it has taken nothing for 30 s of what waits for it, not for how much that
//! is: what an inbox holds may wait for one socket, so that a reader as slow as its work gets through
//! all of it over one connection. Only where that is exceeded, or the [`Budget`] of all sockets, does
//! the length count.

mod budget;
mod text;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailbus_spec::limits::{
    FRAME_MAX_BYTES, INBOX_BYTES, INBOX_MESSAGES, PUSH_BUDGET_BYTES, PUSH_BUDGET_MESSAGES,
    WINDOW_MAX_BYTES, WINDOWLESS_REDELIVERIES,
};
use tokio::sync::Notify;

use budget::Behind;

pub use budget::{Budget, OUTBOX_BUDGET};
pub use text::Text;
pub(super) use text::Texts;

/// Time for which a reader may take nothing of what waits for it: 30 s.
pub const STALLED_MAX: Duration = Duration::from_secs(30);
/// Most bytes that may wait for one reader: all that an inbox holds, a push budget and a frame.
pub const BEHIND_MAX_BYTES: usize =
    INBOX_BYTES as usize + PUSH_BUDGET_BYTES as usize + FRAME_MAX_BYTES;
/// Most frames that may wait for one reader: many short ones take memory too.
pub const BEHIND_MAX_FRAMES: usize = 1 << 16;
/// Bytes waiting for a reader up to which it is not given up for others: 64 KiB.
const SPARED_BYTES: usize = 64 << 10;

const _: () = assert!(
    BEHIND_MAX_BYTES as u64 >= WINDOW_MAX_BYTES + PUSH_BUDGET_BYTES + FRAME_MAX_BYTES as u64,
    "what a session may ask for can be under way to it"
);
const _: () = assert!(
    BEHIND_MAX_FRAMES as u64 >= INBOX_MESSAGES + WINDOWLESS_REDELIVERIES + PUSH_BUDGET_MESSAGES,
    "so can each message of an inbox, in a frame of its own"
);

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame.
    Frame(Text),
    /// A ping.
    Ping,
    /// A close with code and reason; nothing is sent after it.
    Close(u16, String),
}

impl Outgoing {
    fn bytes(&self) -> usize {
        match self {
            Self::Frame(text) => text.len(),
            Self::Ping | Self::Close(..) => 0,
        }
    }
}

/// Frames to be sent over one socket, between its object and its connection, which may be on threads
/// of their own. Times are by the [`HostClock::uptime`](crate::native::HostClock::uptime) of the process.
pub struct Outbox {
    budget: Arc<Budget>,
    number: u64,
    window: Option<usize>,
    queue: Mutex<Queue>,
    changed: Notify,
}

/// Invariant: `since` is there exactly while something waits or is being written.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Outgoing>,
    /// Bytes of what waits.
    bytes: usize,
    /// Bytes of the connection's own copies that the socket has not taken yet.
    writing: usize,
    /// Time since which the reader has taken nothing.
    since: Option<Duration>,
    closing: bool,
    abandoned: bool,
}

impl Outbox {
    /// An outbox whose object lets at most `window` bytes of messages be under way; `None` if it sends
    /// everything.
    pub(super) fn new(budget: &Arc<Budget>, window: Option<u64>) -> Arc<Self> {
        let window = window.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        budget.enter(|number| Self {
            budget: Arc::clone(budget),
            number,
            window,
            queue: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Adds something at the end. Never waits: a queue that grows beyond [`BEHIND_MAX_BYTES`] or
    /// [`BEHIND_MAX_FRAMES`] is abandoned instead, and so may others be when all of them grow beyond
    /// their [`Budget`].
    pub fn push(&self, outgoing: Outgoing, now: Duration) {
        let mut queue = self.queue();
        if queue.closing || queue.abandoned {
            return;
        }
        queue.bytes = queue.bytes.saturating_add(outgoing.bytes());
        queue.closing = matches!(outgoing, Outgoing::Close(..));
        queue.waiting.push_back(outgoing);
        queue.since.get_or_insert(now);
        let behind = queue.backlog() > BEHIND_MAX_BYTES || queue.waiting.len() > BEHIND_MAX_FRAMES;
        drop(queue);
        if behind {
            self.abandon();
        } else {
            self.changed.notify_one();
        }
        self.budget.relieve(now);
    }

    /// Gives the socket up: what waits is dropped, and the connection has to drop.
    pub fn abandon(&self) {
        let dropped =
            std::mem::replace(&mut *self.queue(), Queue { abandoned: true, ..Queue::default() });
        self.budget.give_back(dropped.writing);
        self.changed.notify_one();
    }

    /// True if the socket was given up.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.queue().abandoned
    }

    /// The next to send; `None` once the socket was given up.
    pub async fn next(&self) -> Option<Outgoing> {
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

    /// The next to send, if there is one. It counts as being written until [`took`](Self::took) or
    /// [`took_all`](Self::took_all) say that the socket has it.
    pub fn try_next(&self) -> Option<Outgoing> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front()?;
        let bytes = next.bytes();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        queue.writing = queue.writing.saturating_add(bytes);
        self.budget.take(bytes);
        Some(next)
    }

    /// The socket has taken so many bytes: the reader moves.
    pub fn took(&self, bytes: usize, now: Duration) {
        let mut queue = self.queue();
        let taken = bytes.min(queue.writing);
        queue.writing = queue.writing.saturating_sub(taken);
        if queue.since.is_some() {
            queue.since = Some(now);
        }
        drop(queue);
        self.budget.give_back(taken);
    }

    /// The socket has taken everything that was being written.
    pub fn took_all(&self, now: Duration) {
        let mut queue = self.queue();
        let taken = std::mem::take(&mut queue.writing);
        queue.since = (!queue.waiting.is_empty()).then_some(now);
        drop(queue);
        self.budget.give_back(taken);
    }

    /// Time since which the reader has taken nothing of what waits for it; `None` if nothing does.
    #[must_use]
    pub fn stalled_since(&self) -> Option<Duration> {
        self.queue().since
    }

    /// Number of bytes that wait, or are being written.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.queue().backlog()
    }

    /// Ends when the socket is given up.
    pub async fn abandoned(&self) {
        while !self.is_abandoned() {
            self.changed.notified().await;
        }
    }

    /// Lag of the reader; `None` if it may not be given up for others.
    ///
    /// Around the messages of a window stand replies, of a frame at most. Without a window it is a
    /// little that spares: when windows have used up the budget, who reads shall not pay for it.
    fn behind(&self, now: Duration) -> Option<Behind> {
        let queue = self.queue();
        let backlog = queue.backlog();
        let spared = |window: usize| window.saturating_add(FRAME_MAX_BYTES);
        let allowed = self.window.map_or(SPARED_BYTES, spared);
        let stalled = now.saturating_sub(queue.since?);
        (backlog > allowed).then(|| Behind::new(stalled, backlog))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn backlog(&self) -> usize {
        self.bytes.saturating_add(self.writing)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.budget.give_back(self.queue().writing);
        self.budget.leave(self.number);
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.queue();
        write!(f, "Outbox({} waiting, {} bytes)", queue.waiting.len(), queue.backlog())
    }
}
