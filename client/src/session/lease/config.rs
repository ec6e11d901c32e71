//! Configuration of a lease session, and the wish to hold something.

use std::time::Duration;

use mailbus_spec::belief::ClockBound;
use mailbus_spec::limits;
use mailbus_spec::{PathSet, Ttl, Wait};

use crate::backoff::Backoff;
use crate::session::connection::SocketConfig;

/// The constants of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bound on the clocks that belief rests on. The object's promise holds inside
    /// [`ClockBound::PROMISED`].
    pub clock_bound: ClockBound,
    /// Time for which copies of a command go on being sent after the sending of the last one that was
    /// answered. Invariant: at most [`limits::RETRY_MS`]; a longer one is cut to it.
    pub retry_horizon: Duration,
    /// Time that one attempt may go unanswered before the next is made.
    pub attempt_timeout: Duration,
    /// The pauses between attempts that failed.
    pub backoff: Backoff,
    /// The WebSocket that is kept open; `None` keeps none. Without one, waiting for a lease takes up to a
    /// poll longer.
    pub socket: Option<SocketConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clock_bound: ClockBound::PROMISED,
            retry_horizon: Duration::from_millis(limits::RETRY_MS),
            attempt_timeout: Duration::from_secs(5),
            backoff: Backoff::DEFAULT,
            socket: Some(SocketConfig::default()),
        }
    }
}

/// Wish of a caller: what to hold, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquisition {
    /// The set, all or none.
    pub paths: PathSet,
    /// Term to hold it for at a time. The session renews by itself at a third of it.
    pub ttl: Ttl,
    /// Time by which the place in the queue outlives its last question. Only for the patient.
    pub wait: Wait,
    /// Time that the caller is willing to wait, by the client's monotonic clock. Zero refuses to
    /// queue: what is held is refused at once.
    pub patience: Duration,
    /// Longest time that it is held, by the client's monotonic clock from its beginning, however well
    /// renewals go. `None` sets no bound.
    pub at_most: Option<Duration>,
}

impl Acquisition {
    /// The TTL of those who name no other: 30 s. What a dead agent held is free after that.
    pub const TTL_MS: u64 = 30_000;

    /// Asks for `paths` for 30 s at a time, without waiting.
    #[must_use]
    pub fn new(paths: PathSet) -> Self {
        let ttl = const {
            match Ttl::from_ms(Self::TTL_MS) {
                Some(ttl) => ttl,
                None => panic!("the default TTL is a TTL"),
            }
        };
        let (wait, patience, at_most) = (Wait::DEFAULT, Duration::ZERO, None);
        Self { paths, ttl, wait, patience, at_most }
    }

    /// The same for `ttl` at a time.
    #[must_use]
    pub fn ttl(self, ttl: Ttl) -> Self {
        Self { ttl, ..self }
    }

    /// The same, waiting in the queue for up to `patience`.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same, held for `span` at most: then the lease is lost and released, whatever its holder
    /// does. What renews a lease knows nothing of the work under it, and one that hangs would hold its
    /// files for ever.
    #[must_use]
    pub fn at_most(self, span: Duration) -> Self {
        Self { at_most: Some(span), ..self }
    }

    /// The same with another life of the place in the queue.
    #[must_use]
    pub fn wait(self, wait: Wait) -> Self {
        Self { wait, ..self }
    }

    /// The wait to ask the object for.
    pub(super) fn queue_wait(&self) -> Option<Wait> {
        (!self.patience.is_zero()).then_some(self.wait)
    }
}
