//! The run loop.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, select_biased};
use mailbus_spec::wire::lease::{Received, decode_reply, encode_call};

use super::carrier::{Carrier, NoAnswer, Object};
use super::link::Link;
use crate::backoff::Backoff;
use crate::clocks::Clocks;
use crate::clocks::within;
use crate::handle::{Handle, Shared};
use crate::lease::LeaseClient;
use crate::lease::state::State;
use crate::session::CallNumber;
use crate::session::lease::{LeaseSession, Transmit};

/// Behaviour of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// True if a WebSocket is kept open. Without one, waiting for a lease takes up to a poll longer.
    pub socket: bool,
    /// Time that opening a socket may take, its handshakes included.
    pub connect_timeout: Duration,
    /// The pauses between attempts to open the socket.
    pub reconnect: Backoff,
    /// After how long a silence the socket is pinged. Invariant: at most 25 s, or idle sockets die on
    /// the way; a longer one is cut to it.
    pub ping_after: Duration,
    /// Time that a frame may take to leave, and a ping to be answered by anything.
    pub socket_timeout: Duration,
    /// Most HTTP exchanges at a time; 0 counts as 1.
    pub exchanges: usize,
}

impl Options {
    /// Longest silence of a socket.
    pub const PING_MOST: Duration = Duration::from_secs(25);

    /// Most commands that wait for the socket to take them. Those on top go over HTTP.
    pub const OUTBOX_MOST: usize = 1_024;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            socket: true,
            connect_timeout: Duration::from_secs(10),
            reconnect: Backoff { first: Duration::from_millis(250), most: Duration::from_secs(15) },
            ping_after: Duration::from_secs(20),
            socket_timeout: Duration::from_secs(5),
            exchanges: 16,
        }
    }
}

/// Joins a session to a carrier: a handle for callers, and the loop that somebody has to run.
#[must_use = "nothing is sent until the driver runs"]
pub fn drive<W: Carrier, K: Clocks>(
    mut session: LeaseSession,
    carrier: W,
    clocks: K,
    options: Options,
) -> (LeaseClient<K>, Driver<W, K>) {
    let seed = session.draw();
    let shared = Arc::new(Shared::new(State::new(session), clocks));
    let client = LeaseClient::new(Handle::new(Arc::clone(&shared)));
    (client, Driver { shared, carrier, options, seed, link: Link::default() })
}

/// The loop around a session.
///
/// Dropped, it fails whoever still waits; belief then runs out with its terms.
pub struct Driver<W: Carrier, K: Clocks> {
    pub(super) shared: Arc<Shared<K, State>>,
    pub(super) carrier: W,
    pub(super) options: Options,
    pub(super) seed: u64,
    pub(super) link: Link,
}

/// What one turn of the loop has to do.
struct Turn {
    exchanges: Vec<Transmit>,
    sleep: Duration,
    idle: bool,
}

/// Time for which the loop sleeps when nothing is due: any length is right.
const IDLE: Duration = Duration::from_secs(3_600);
/// How short it sleeps at least, so that clocks of a coarser grain get on.
const GRAIN: Duration = Duration::from_millis(1);

impl<W: Carrier, K: Clocks> Driver<W, K> {
    /// Runs until every handle and every lease is dropped and what they left behind is released.
    ///
    /// It spawns nothing, so it may run on any executor; its future is `Send` if the carrier's
    /// and the clocks' futures are.
    pub async fn run(self) {
        let mut socket = pin!(self.keep_socket().fuse());
        let mut exchanges = FuturesUnordered::new();
        loop {
            let turn = self.shared.with(|state, at| self.turn(state, at));
            if turn.idle && self.shared.is_abandoned() {
                return;
            }
            for transmit in turn.exchanges {
                exchanges.push(self.exchange(transmit));
            }
            let mut sleep = pin!(self.shared.clocks().sleep(turn.sleep).fuse());
            let mut rung = pin!(self.shared.bell.notified().fuse());
            select_biased! {
                (call, received) = exchanges.select_next_some() => {
                    self.shared.with(|state, at| match received {
                        Some(received) => state.session.handle_received(at, received),
                        None => state.session.handle_failure(at, call),
                    });
                }
                () = socket => {}
                () = rung => {}
                () = sleep => {}
            }
        }
    }

    /// Lets time pass in the session, and takes from it what is to be sent.
    fn turn(&self, state: &mut State, at: mailbus_spec::belief::Reading) -> Turn {
        let session = &mut state.session;
        if session.poll_timeout().is_some_and(|due| due <= at.monotonic) {
            session.handle_timeout(at);
        }
        let mut exchanges = Vec::new();
        while let Some(transmit) = session.poll_transmit(at) {
            exchanges.extend(self.link.take(transmit));
        }
        let sleep = session
            .poll_timeout()
            .map_or(IDLE, |due| due.saturating_sub(at.monotonic).clamp(GRAIN, IDLE));
        Turn { exchanges, sleep, idle: session.is_idle() }
    }
}

impl<W: Carrier, K: Clocks> Driver<W, K> {
    /// Sends an attempt and waits for its reply, for as long as the session does.
    async fn exchange(&self, transmit: Transmit) -> (CallNumber, Option<Received>) {
        let Transmit { call, command, timeout, leave_by, .. } = transmit;
        let (action, body) = encode_call(call.0, &command);
        let clocks = self.shared.clocks();
        // The process may be put aside between the attempt's making and its leaving.
        let may_leave = || clocks.reading().monotonic <= leave_by;
        let exchange = self.carrier.exchange(Object::Lease, action, body, may_leave);
        let answered = within(clocks, timeout, exchange).await.unwrap_or(Err(NoAnswer));
        let received =
            answered.ok().and_then(|answered| decode_reply(answered.status, &answered.body).ok());
        // A reply to something else is none to this.
        let received = received
            .map(|received| Received { call: received.call.or(Some(call.0)), ..received })
            .filter(|received| received.call == Some(call.0));
        if received.is_none() {
            self.carrier.distrust_connections();
        }
        (call, received)
    }
}

impl<W: Carrier, K: Clocks> Drop for Driver<W, K> {
    fn drop(&mut self) {
        self.shared.close();
    }
}
