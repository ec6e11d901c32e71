//! The run loop of a mail session.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, select_biased};
use mailbus_spec::limits;
use mailbus_spec::mailbox::Ask;
use mailbus_spec::wire::frame::PING;
use mailbus_spec::wire::mailbox::{
    Received, Subscribe, decode_reply, decode_server_frame, encode_call, encode_frame,
    encode_subscribe,
};
use tokio::sync::Notify;

use super::carrier::{Broken, Carrier, Incoming, NoAnswer, Object, Socket, Unopened};
use crate::clocks::Clocks;
use crate::clocks::{until, within};
use crate::handle::{Handle, Shared};
use crate::mailbox::MailboxClient;
use crate::mailbox::state::State;
use crate::session::CallNumber;
use crate::session::mailbox::{MailboxSession, Route, SocketNumber, SocketOrder, Transmit};

/// Time for which the loop sleeps when nothing is due: any length is right.
const IDLE: Duration = Duration::from_secs(3_600);
/// How short it sleeps at least, so that clocks of a coarser grain get on.
const GRAIN: Duration = Duration::from_millis(1);
/// Time that a frame may take to leave.
const FRAME_TIME: Duration = Duration::from_secs(5);
/// Time that the ceremony of closing a socket may take.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Most commands of one frame.
const FRAME_COMMANDS: usize = 256;
/// Bytes of messages after which a frame takes no further command.
///
/// Invariant: with one message and the commands around them it stays below [`limits::FRAME_MAX_BYTES`].
/// Invariant: what a slow link has cut as part of a frame gets through alone, over HTTP.
const FRAME_BYTES: usize = 1 << 20;
/// Most bytes of a command but its message: an ack of as many messages as it may name.
const COMMAND_BYTES: usize = 20 * limits::ACK_SEQS;

const _: () = assert!(
    FRAME_BYTES + limits::MESSAGE_MAX_BYTES + COMMAND_BYTES + FRAME_COMMANDS * 1_024
        <= limits::FRAME_MAX_BYTES
);
const _: () = assert!(limits::MESSAGE_MAX_BYTES + COMMAND_BYTES <= limits::BODY_MAX_BYTES);

/// Joins a mail session to a carrier: a handle for callers, and the loop that somebody has to run.
#[must_use = "nothing is sent until the driver runs"]
pub fn drive_mailbox<W: Carrier, K: Clocks>(
    session: MailboxSession,
    carrier: W,
    clocks: K,
) -> (MailboxClient<K>, MailboxDriver<W, K>) {
    let shared = Arc::new(Shared::new(State::new(session), clocks));
    let client = MailboxClient::new(Handle::new(Arc::clone(&shared)));
    let desk = Desk { waiting: Mutex::default(), bell: Notify::new(), done: Notify::new() };
    (client, MailboxDriver { shared, carrier, desk })
}

/// The loop around a mail session.
///
/// Dropped, it fails whoever still waits; what was delivered and not settled comes again.
pub struct MailboxDriver<W: Carrier, K: Clocks> {
    shared: Arc<Shared<K, State>>,
    carrier: W,
    desk: Desk,
}

/// What waits for the socket to see to it.
struct Desk {
    waiting: Mutex<Waiting>,
    bell: Notify,
    /// Rung when a socket is done with.
    done: Notify,
}

#[derive(Default)]
struct Waiting {
    orders: VecDeque<SocketOrder>,
    /// True if a socket is open, being opened or being closed.
    busy: bool,
    outbox: VecDeque<(SocketNumber, Transmit)>,
}

/// The commands of one frame.
struct Frame {
    calls: Vec<(u64, Ask)>,
    leave_by: Duration,
}

/// What one turn of the loop has to do.
struct Turn {
    exchanges: Vec<Transmit>,
    sleep: Duration,
    over: bool,
}

impl Desk {
    fn with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        work(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Waiting {
    fn next_order(&mut self) -> Option<SocketOrder> {
        self.orders.pop_front()
    }

    /// What the next frame over `socket` carries at `now`. What may not leave any more is dropped, and
    /// so is what was for an earlier socket: the session knows.
    fn next_frame(&mut self, socket: SocketNumber, now: Duration) -> Option<Frame> {
        let mut frame: Option<Frame> = None;
        let mut bytes = 0_usize;
        while frame.as_ref().is_none_or(|frame| frame.calls.len() < FRAME_COMMANDS)
            && bytes < FRAME_BYTES
            && let Some((over, Transmit { call, ask, leave_by, .. })) = self.outbox.pop_front()
        {
            if over != socket || leave_by < now {
                continue;
            }
            bytes = bytes.saturating_add(match &ask {
                Ask::Publish { message } | Ask::Send { message, .. } => message.body.len(),
                _ => 0,
            });
            let frame = frame.get_or_insert(Frame { calls: Vec::new(), leave_by });
            frame.calls.push((call.0, ask));
            frame.leave_by = frame.leave_by.min(leave_by);
        }
        frame
    }
}

impl<W: Carrier, K: Clocks> MailboxDriver<W, K> {
    /// Runs until every handle is dropped or the session is over, and what is under way is finished.
    ///
    /// It spawns nothing, so it may run on any executor; its future is `Send` if the carrier's and
    /// the clocks' futures are.
    pub async fn run(self) {
        let mut socket = pin!(self.keep_socket().fuse());
        let mut exchanges = FuturesUnordered::new();
        loop {
            if self.shared.is_abandoned() {
                self.shared.with(|state, at| state.session.shut_down(at));
            }
            let turn = self.shared.with(|state, at| self.turn(state, at));
            if turn.over && exchanges.is_empty() && turn.exchanges.is_empty() {
                // The socket's close is the last that is left to do.
                let close = pin!(self.close_socket(socket.as_mut()));
                within(self.shared.clocks(), CLOSE_TIME, close).await;
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

    /// What its handles share with it.
    pub(crate) fn shared(&self) -> &Arc<Shared<K, State>> {
        &self.shared
    }

    /// Lets time pass in the session, and takes from it what is to be done.
    fn turn(&self, state: &mut State, at: mailbus_spec::belief::Reading) -> Turn {
        state.note_progress(at);
        let session = &mut state.session;
        if session.poll_timeout().is_some_and(|due| due <= at.monotonic) {
            session.handle_timeout(at);
        }
        let mut exchanges = Vec::new();
        self.desk.with(|desk| {
            desk.orders.extend(std::iter::from_fn(|| session.poll_socket(at)));
            while let Some(transmit) = session.poll_transmit(at) {
                match transmit.route {
                    Route::Http => exchanges.push(transmit),
                    Route::Socket(socket) => desk.outbox.push_back((socket, transmit)),
                }
            }
            if !desk.orders.is_empty() || !desk.outbox.is_empty() {
                self.desk.bell.notify_one();
            }
        });
        let sleep = session
            .poll_timeout()
            .map_or(IDLE, |due| due.saturating_sub(at.monotonic).clamp(GRAIN, IDLE));
        Turn { exchanges, sleep, over: session.is_over() && session.is_idle() }
    }

    /// Sends an attempt over HTTP and waits for its reply, for as long as the session does.
    async fn exchange(&self, transmit: Transmit) -> (CallNumber, Option<Received>) {
        let Transmit { call, ask, timeout, leave_by, .. } = transmit;
        let Some((action, body)) = encode_call(call.0, &ask) else { return (call, None) };
        let clocks = self.shared.clocks();
        // The process may be put aside between the attempt's making and its leaving.
        let may_leave = || clocks.reading().monotonic <= leave_by;
        let exchange = self.carrier.exchange(Object::Mailbox, action, body, may_leave);
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

    /// Opens, serves and closes sockets as the session orders.
    async fn keep_socket(&self) {
        loop {
            let order = self.desk.with(|desk| {
                let order = desk.next_order();
                desk.busy = matches!(order, Some(SocketOrder::Open { .. }));
                order
            });
            match order {
                Some(SocketOrder::Open { socket, connect }) => self.open(socket, connect).await,
                Some(_) => {}
                None => {
                    self.desk.done.notify_one();
                    self.desk.bell.notified().await;
                }
            }
        }
    }

    async fn open(&self, number: SocketNumber, connect: Ask) {
        let Ask::Connect { agent, session, window, types, last_seen } = connect else { return };
        let subscribe = Subscribe { agent, session, window, types, last_seen };
        let query = encode_subscribe(&subscribe);
        let opened = {
            let mut opening = pin!(self.carrier.open(Object::Mailbox, &query).fuse());
            let mut given_up = pin!(self.given_up(number).fuse());
            select_biased! {
                opened = opening => opened,
                () = given_up => return,
            }
        };
        match opened {
            Ok(mut socket) => {
                let code = self.serve(number, &mut socket).await;
                let close = socket.close();
                match code {
                    Ok(code) => {
                        self.shared
                            .request(|state, at| state.session.handle_closed(at, number, code));
                    }
                    Err(Broken) => {
                        within(self.shared.clocks(), CLOSE_TIME, close).await;
                        self.shared
                            .request(|state, at| state.session.handle_closed(at, number, None));
                    }
                }
            }
            Err(Unopened { why }) => {
                self.shared.request(|state, at| state.session.handle_unopened(at, number, why));
            }
        }
    }

    /// Waits until the session gives a socket up that is being opened.
    async fn given_up(&self, number: SocketNumber) {
        loop {
            let order = self.desk.with(Waiting::next_order);
            match order {
                Some(SocketOrder::Close { socket }) if socket == number => return,
                Some(_) => {}
                None => self.desk.bell.notified().await,
            }
        }
    }

    /// Sends and receives until the other end closes the socket, with its code, or it is given up.
    async fn serve(
        &self,
        number: SocketNumber,
        socket: &mut W::Socket,
    ) -> Result<Option<u16>, Broken> {
        loop {
            self.send_all(number, socket).await?;
            let incoming = {
                let mut rung = pin!(self.desk.bell.notified().fuse());
                let mut incoming = pin!(socket.next().fuse());
                select_biased! {
                    incoming = incoming => incoming,
                    () = rung => continue,
                }
            };
            match incoming {
                Incoming::Text(text) => {
                    for frame in decode_server_frame(&text) {
                        self.shared.with(|state, at| {
                            state.session.handle_frame(at, number, frame);
                        });
                    }
                    // The loop has to see what has become due.
                    self.shared.bell.notify_one();
                }
                Incoming::Sign => self.shared.with(|state, _| state.session.handle_heard(number)),
                Incoming::Closed(code) => return Ok(code),
            }
        }
    }

    /// Sees to all orders and sends all that waits.
    async fn send_all(&self, number: SocketNumber, socket: &mut W::Socket) -> Result<(), Broken> {
        let clocks = self.shared.clocks();
        loop {
            match self.desk.with(Waiting::next_order) {
                Some(SocketOrder::Close { socket }) if socket == number => return Err(Broken),
                Some(SocketOrder::Ping { socket: over }) if over == number => {
                    let sent = within(clocks, FRAME_TIME, socket.send(PING.to_owned())).await;
                    sent.unwrap_or(Err(Broken))?;
                }
                Some(order @ SocketOrder::Open { .. }) => {
                    // The session has given this one up.
                    self.desk.with(|desk| desk.orders.push_front(order));
                    return Err(Broken);
                }
                Some(_) => continue,
                None => {}
            }
            let now = clocks.reading().monotonic;
            let Some(frame) = self.desk.with(|desk| desk.next_frame(number, now)) else {
                return Ok(());
            };
            let calls: Vec<(u64, &Ask)> =
                frame.calls.iter().map(|(call, ask)| (*call, ask)).collect();
            let text = encode_frame(&calls);
            // A frame that is half written when it may not leave any more takes the socket with it.
            let sent = within(clocks, FRAME_TIME, socket.send(text));
            match until(clocks, frame.leave_by, sent).await {
                Some(Some(sent)) => sent?,
                _ => return Err(Broken),
            }
        }
    }

    /// Lets the socket see to its last orders.
    async fn close_socket(&self, socket: impl Future<Output = ()>) {
        let mut socket = pin!(socket.fuse());
        while self.desk.with(|desk| desk.busy || !desk.orders.is_empty()) {
            let mut done = pin!(self.desk.done.notified().fuse());
            select_biased! {
                () = socket => return,
                () = done => {}
            }
        }
    }
}

impl<W: Carrier, K: Clocks> Drop for MailboxDriver<W, K> {
    fn drop(&mut self) {
        self.shared.close();
    }
}
