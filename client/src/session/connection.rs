//! Connection of a session to its object: a socket that is wanted, opened, kept alive, opened again, over.
//!
//! It decides and does nothing: what is to be done about sockets leaves as [`SocketOrder`]s, and what
//! became of them comes back with their numbers. What is said about an earlier socket means nothing.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;

use crate::backoff::Backoff;

/// The number of one socket of a session, fresh for each attempt to open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketNumber(pub u64);

/// Way that an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// In a frame of this socket. Its session fences it.
    Socket(SocketNumber),
    /// In an HTTP exchange of its own.
    Http,
}

/// Order of a session about a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketOrder<C> {
    /// Open one. The session gives it up by itself if it takes too long.
    Open {
        /// Its number.
        socket: SocketNumber,
        /// Introduction of the socket's owner to the object.
        connect: C,
    },
    /// Ask for a sign of life, which is given without waking the object.
    Ping {
        /// Socket to ask over.
        socket: SocketNumber,
    },
    /// Close it, or stop opening it. Nothing of it is of interest any more.
    Close {
        /// The socket.
        socket: SocketNumber,
    },
}

/// The constants of a session's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// Time that opening a socket may take, its handshakes and the object's greeting included.
    pub connect_timeout: Duration,
    /// The pauses between attempts to open the socket.
    pub reconnect: Backoff,
    /// Time after which the socket is pinged. Invariant: at most [`SocketConfig::PING_MOST`], or idle
    /// sockets die on the way; a longer one is cut to it.
    pub ping_after: Duration,
    /// Time that a socket may stay silent after a ping before it is given up.
    pub silence: Duration,
}

impl SocketConfig {
    /// Longest time between two pings.
    pub const PING_MOST: Duration = Duration::from_secs(25);
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            reconnect: Backoff { first: Duration::from_millis(250), most: Duration::from_secs(15) },
            ping_after: Duration::from_secs(20),
            silence: Duration::from_secs(5),
        }
    }
}

/// Manner of keeping a socket: when it is pinged, and when the pauses between attempts to open one begin
/// anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It is pinged once it has been silent for the time. One that has brought anything did open.
    OnSilence,
    /// It is pinged every time, whatever comes in: much of that is not asked for, and says nothing of the
    /// way there. An opening begins a session at the object, so one that did not last was none.
    Regularly,
}

/// Time that a socket kept [`Regularly`](Manner::Regularly) has to last for the pauses to begin anew.
const LASTING: Duration = Duration::from_secs(15);

/// Connection of a session to its object. Instants are of the monotonic clock.
#[derive(Debug)]
pub(super) struct Connection<C> {
    config: SocketConfig,
    manner: Manner,
    phase: Phase,
    /// Openings in a row that came to nothing.
    failures: u32,
    orders: VecDeque<SocketOrder<C>>,
}

/// Phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not begun.
    Idle,
    /// Without a socket; the next is opened at `due`.
    Closed { due: Duration },
    /// A socket is being opened, or is open and of no use yet.
    Opening { socket: SocketNumber, until: Duration },
    /// A socket is open and of use, as far as is known.
    Live(Live),
    /// Over, for good.
    Over,
}

/// A socket that is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Live {
    socket: SocketNumber,
    since: Duration,
    ping_at: Duration,
    /// Time at which the socket is given up, unless something is heard before. There only after a ping.
    silent_until: Option<Duration>,
}

impl<C> Connection<C> {
    /// A connection that has not begun.
    pub fn new(config: SocketConfig, manner: Manner) -> Self {
        Self { config, manner, phase: Phase::Idle, failures: 0, orders: VecDeque::new() }
    }

    /// Begins: a socket is due now. Does nothing the second time.
    pub fn begin(&mut self, now: Duration) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Closed { due: now };
        }
    }

    /// Ends for good. A socket has to be [lost](Self::lose) before.
    pub fn end(&mut self) {
        self.phase = Phase::Over;
    }

    /// True once it has begun.
    pub fn is_begun(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// True once it is over, for good.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// The socket that is open or being opened.
    pub fn socket(&self) -> Option<SocketNumber> {
        match self.phase {
            Phase::Opening { socket, .. } => Some(socket),
            _ => self.live(),
        }
    }

    /// The socket that is of use, if one is.
    pub fn live(&self) -> Option<SocketNumber> {
        match self.phase {
            Phase::Live(live) => Some(live.socket),
            _ => None,
        }
    }

    /// Way that an attempt goes after `unanswered` ones. What went unanswered takes the other way
    /// the next time.
    pub fn route(&self, unanswered: u32) -> Route {
        match self.live() {
            Some(socket) if unanswered.is_multiple_of(2) => Route::Socket(socket),
            _ => Route::Http,
        }
    }

    /// True if a socket is to be opened at `now`.
    pub fn is_due(&self, now: Duration) -> bool {
        matches!(self.phase, Phase::Closed { due } if due <= now)
    }

    /// Opens a socket, which is then being opened.
    pub fn open(&mut self, socket: SocketNumber, connect: C, now: Duration) {
        let until = now.saturating_add(self.config.connect_timeout);
        self.phase = Phase::Opening { socket, until };
        self.orders.push_back(SocketOrder::Open { socket, connect });
    }

    /// True if this socket is being opened.
    pub fn is_opening(&self, socket: SocketNumber) -> bool {
        matches!(self.phase, Phase::Opening { socket: opening, .. } if opening == socket)
    }

    /// The socket that is being opened is of use from now on.
    pub fn note_live(&mut self, socket: SocketNumber, now: Duration) {
        if self.is_opening(socket) {
            let ping_at = self.next_ping(now);
            self.phase = Phase::Live(Live { socket, since: now, ping_at, silent_until: None });
        }
    }

    /// Something came in over a socket, if only the answer to a ping.
    pub fn note_heard(&mut self, socket: SocketNumber, now: Duration) {
        let next_ping = self.next_ping(now);
        let Phase::Live(live) = &mut self.phase else { return };
        if live.socket == socket {
            live.silent_until = None;
            if self.manner == Manner::OnSilence {
                live.ping_at = next_ping;
                self.failures = 0;
            }
        }
    }

    fn next_ping(&self, now: Duration) -> Duration {
        now.saturating_add(self.config.ping_after.min(SocketConfig::PING_MOST))
    }

    /// Lets time pass: pings the socket. True if it has taken too long, and is to be given up.
    #[must_use]
    pub fn pass(&mut self, now: Duration) -> bool {
        let next_ping = self.next_ping(now);
        match &mut self.phase {
            Phase::Opening { until, .. } => *until <= now,
            Phase::Live(live) if live.silent_until.is_some_and(|end| end <= now) => true,
            Phase::Live(live) if live.ping_at <= now => {
                live.silent_until.get_or_insert(now.saturating_add(self.config.silence));
                live.ping_at = next_ping;
                self.orders.push_back(SocketOrder::Ping { socket: live.socket });
                false
            }
            _ => false,
        }
    }

    /// Has the socket closed that is there, if one is. It is to be [lost](Self::lose) then.
    pub fn close(&mut self) {
        self.orders.extend(self.socket().map(|socket| SocketOrder::Close { socket }));
    }

    /// The socket that is there, if one is, is gone. The next is due after a pause of at least `least`.
    pub fn lose(
        &mut self,
        now: Duration,
        least: Duration,
        jitter: &mut impl Rng,
    ) -> Option<SocketNumber> {
        let lost = self.socket()?;
        if let Phase::Live(live) = self.phase
            && self.manner == Manner::Regularly
            && now.saturating_sub(live.since) >= LASTING
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = self.config.reconnect.pause(self.failures, jitter).max(least);
        self.phase = Phase::Closed { due: now.saturating_add(pause) };
        Some(lost)
    }

    /// The next order about a socket.
    pub fn next_order(&mut self) -> Option<SocketOrder<C>> {
        self.orders.pop_front()
    }

    /// Time at which something is to be done about it next.
    pub fn timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle | Phase::Over => None,
            Phase::Closed { due } => Some(due),
            Phase::Opening { until, .. } => Some(until),
            Phase::Live(live) => {
                Some(live.silent_until.map_or(live.ping_at, |end| end.min(live.ping_at)))
            }
        }
    }
}
