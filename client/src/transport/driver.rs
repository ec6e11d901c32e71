//! The run loop.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, select_biased};
use mailbus_spec::belief::Reading;
use mailbus_spec::wire::Received;

use super::carrier::{Carrier, NoAnswer};
use super::codec::Codec;
use super::outbox::Outbox;
use crate::clocks::{Clocks, within};
use crate::handle::{Callers, Handle, Shared, State};
use crate::lease::LeaseClient;
use crate::mailbox::MailboxClient;
use crate::session::lease::LeaseSession;
use crate::session::mailbox::MailboxSession;
use crate::session::{CallNumber, ReceivedOf, Transmit};

/// Joins a lease session to a carrier and begins it: a handle for callers, and the loop that somebody has
/// to run.
#[must_use = "nothing is sent until the driver runs"]
pub fn drive<W: Carrier, K: Clocks>(
    session: LeaseSession,
    carrier: W,
    clocks: K,
) -> (LeaseClient<K>, LeaseDriver<W, K>) {
    let driver = Driver::new(session, carrier, clocks);
    let handle = Handle::new(Arc::clone(&driver.shared));
    handle.with(|state, at| state.session.start(at));
    (LeaseClient::new(handle), driver)
}

/// Joins a mailbox session to a carrier: a handle for callers, and the loop that somebody has to run.
#[must_use = "nothing is sent until the driver runs"]
pub fn drive_mailbox<W: Carrier, K: Clocks>(
    session: MailboxSession,
    carrier: W,
    clocks: K,
) -> (MailboxClient<K>, MailboxDriver<W, K>) {
    let driver = Driver::new(session, carrier, clocks);
    (MailboxClient::new(Handle::new(Arc::clone(&driver.shared))), driver)
}

/// The loop around a lease session. Dropped, it fails whoever still waits; belief then runs out with its
/// terms.
pub type LeaseDriver<W, K> = Driver<LeaseSession, W, K>;

/// The loop around a mailbox session. Dropped, it fails whoever still waits; what was delivered and not
/// settled comes again.
pub type MailboxDriver<W, K> = Driver<MailboxSession, W, K>;

/// The loop around a session.
///
/// Dropped, it fails whoever still waits.
pub struct Driver<S: Codec + Callers, W: Carrier, K: Clocks> {
    pub(super) shared: Arc<Shared<K, S>>,
    pub(super) carrier: W,
    pub(super) outbox: Outbox<S>,
}

/// Work of one turn of the loop.
struct Turn<C> {
    exchanges: Vec<Transmit<C>>,
    sleep: Duration,
    done: bool,
}

/// End of an attempt over HTTP.
enum End<R> {
    /// A reply to it.
    Reply(R),
    /// No reply: what became of it is unknown.
    Unknown,
    /// No reply, and nothing of it left this machine.
    Unsent,
}

/// Time for which the loop sleeps when nothing is due: any length is right.
const IDLE: Duration = Duration::from_secs(3_600);
/// Shortest sleep, so that clocks of a coarser grain get on.
const GRAIN: Duration = Duration::from_millis(1);

impl<S: Codec + Callers, W: Carrier, K: Clocks> Driver<S, W, K> {
    fn new(session: S, carrier: W, clocks: K) -> Self {
        let shared = Arc::new(Shared::new(session, clocks));
        Self { shared, carrier, outbox: Outbox::new() }
    }

    /// State that its handles share with it.
    pub(crate) fn shared(&self) -> &Arc<Shared<K, S>> {
        &self.shared
    }

    /// Runs until every handle is dropped, or the session is over, and what is under way is finished:
    /// leases are released, messages accepted, deliveries settled.
    ///
    /// It spawns nothing, so it may run on any executor; its future is `Send` if the carrier's
    /// and the clocks' futures are.
    pub async fn run(self) {
        let mut sockets = pin!(self.keep_sockets().fuse());
        let mut exchanges = FuturesUnordered::new();
        loop {
            let abandoned = self.shared.is_abandoned();
            let turn = self.shared.with(|state, at| self.turn(state, at, abandoned));
            if turn.done && !S::CEREMONY {
                return;
            }
            if turn.done && exchanges.is_empty() && turn.exchanges.is_empty() {
                // The socket's close is the last that is left to do.
                return self.close_sockets(sockets.as_mut()).await;
            }
            for transmit in turn.exchanges {
                exchanges.push(self.exchange(transmit));
            }
            let mut sleep = pin!(self.shared.clocks().sleep(turn.sleep).fuse());
            let mut rung = pin!(self.shared.bell.notified().fuse());
            // Sockets come first: whoever slept past a socket's silence hears what has come over it meanwhile.
            select_biased! {
                () = sockets => {}
                (call, end) = exchanges.select_next_some() => {
                    self.shared.with(|state, at| match end {
                        End::Reply(received) => state.session.handle_received(at, received),
                        End::Unknown => state.session.handle_failure(at, call),
                        End::Unsent => state.session.handle_unsent(at, call),
                    });
                }
                () = rung => {}
                () = sleep => {}
            }
        }
    }

    /// Lets time pass in the session, and takes from it what is to be done.
    fn turn(&self, state: &mut State<S>, at: Reading, abandoned: bool) -> Turn<S::Command> {
        S::begin_turn(state, at);
        let session = &mut state.session;
        if abandoned {
            session.handle_abandoned(at);
        }
        if session.poll_timeout().is_some_and(|due| due <= at.monotonic) {
            session.handle_timeout(at);
        }
        let mut exchanges = Vec::new();
        let mut waiting = self.outbox.lock();
        waiting.orders.extend(std::iter::from_fn(|| session.poll_socket(at)));
        while let Some(transmit) = session.poll_transmit(at) {
            if let Some(transmit) = waiting.take(transmit) {
                session.handle_diverted(transmit.call);
                exchanges.push(transmit);
            }
        }
        drop(waiting);
        self.outbox.ring();
        let sleep = session
            .poll_timeout()
            .map_or(IDLE, |due| due.saturating_sub(at.monotonic).clamp(GRAIN, IDLE));
        Turn { exchanges, sleep, done: session.is_done() }
    }

    /// Sends an attempt over HTTP and waits for its reply, for as long as the session does.
    async fn exchange(
        &self,
        transmit: Transmit<S::Command>,
    ) -> (CallNumber, End<ReceivedOf<S::Service>>) {
        let Transmit { call, command, timeout, leave_by, .. } = transmit;
        let Some((action, body)) = S::encode_call(call.0, &command) else {
            return (call, End::Unknown);
        };
        let clocks = self.shared.clocks();
        let has_left = AtomicBool::new(false);
        // The process may be put aside between the attempt's making and its leaving.
        let may_leave = || {
            let in_time = clocks.reading().monotonic <= leave_by;
            has_left.fetch_or(in_time, Ordering::Relaxed);
            in_time
        };
        let exchange = self.carrier.exchange(S::OBJECT, action, body, may_leave);
        let answered = within(clocks, timeout, exchange).await.unwrap_or(Err(NoAnswer));
        let received = answered
            .ok()
            .and_then(|answered| S::decode_reply(answered.status, &answered.body).ok());
        // A reply to something else is none to this.
        let received = received
            .map(|received| Received { call: received.call.or(Some(call.0)), ..received })
            .filter(|received| received.call == Some(call.0));
        if let Some(received) = received {
            return (call, End::Reply(received));
        }
        self.carrier.distrust_connections();
        let end = if has_left.into_inner() { End::Unknown } else { End::Unsent };
        (call, end)
    }
}

impl<S: Codec + Callers, W: Carrier, K: Clocks> Drop for Driver<S, W, K> {
    fn drop(&mut self) {
        self.shared.close();
    }
}
