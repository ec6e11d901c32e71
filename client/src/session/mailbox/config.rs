//! Configuration of a mailbox session.

use std::time::Duration;

use mailbus_spec::limits;
use mailbus_spec::mailbox::Window;

use crate::backoff::Backoff;
use crate::session::connection::SocketConfig;

/// The constants of one mail session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Window of what may be in flight to the session. `None` speaks the original's protocol:
    /// pushes alone come over the socket, one to a frame, all commands go over HTTP, and nothing
    /// can be announced.
    pub window: Option<Window>,
    /// Time for which copies of a command go on being sent after its first sending; of a message, after the
    /// first copy that may have left this machine. Past it the outcome is *unknown*. Invariant: at most [`limits::RETRY_MS`]; a longer one is cut to it,
    /// since the object remembers what it accepted for twice as long.
    pub retry_horizon: Duration,
    /// Time that one attempt may go unanswered before the next is made.
    pub attempt_timeout: Duration,
    /// The pauses between attempts that failed.
    pub backoff: Backoff,
    /// The constants of its socket.
    pub socket: SocketConfig,
    /// Time that a delivery waits for a handler of its type before it is given back.
    pub hold: Duration,
    /// Time that a handler may take, from its beginning or its last sign of
    /// [`progress`](super::MailboxSession::progress), before its delivery is given back. `None` sets no
    /// limit: the delivery is the handler's until it is finished or the session ends.
    pub handler_timeout: Option<Duration>,
    /// Time that a delivery that failed stays away, by how often it was delivered; the service keeps it
    /// away for longer the more often it has failed. And time that nothing is handed out after failures
    /// of several messages in a row, by how often that was.
    pub redelivery: Backoff,
    /// Most handlers at a time; 0 counts as 1. With 1, deliveries are handled one after the other, in
    /// their order.
    pub concurrency: usize,
    /// Time that an ack waits for others to share its frame and its row.
    pub ack_linger: Duration,
    /// Time that a shutdown waits for handlers, acks and publications under way.
    pub shutdown_timeout: Duration,
}

impl Config {
    /// Most publications under way, those among them that wait for the service to be reached, and most
    /// questions; more are refused at once.
    pub const UNDER_WAY: usize = 4_096;

    pub(super) fn horizon(&self) -> Duration {
        self.retry_horizon.min(Duration::from_millis(limits::RETRY_MS))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: Some(Window::DEFAULT),
            retry_horizon: Duration::from_millis(limits::RETRY_MS),
            attempt_timeout: Duration::from_secs(5),
            backoff: Backoff::DEFAULT,
            socket: SocketConfig::default(),
            hold: Duration::from_secs(5),
            handler_timeout: None,
            redelivery: Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) },
            concurrency: 1,
            ack_linger: Duration::from_millis(5),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}
