//! The sockets of a run loop: opened, served and closed as its session orders.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};

use super::carrier::{Broken, Carrier, Incoming, Socket, Unopened};
use super::codec::Codec;
use super::driver::Driver;
use crate::clocks::{Clocks, until, within};
use crate::handle::Callers;
use crate::session::{SocketNumber, SocketOrder};

/// Time that a frame may take to leave.
const FRAME_TIME: Duration = Duration::from_secs(5);
/// Time that the ceremony of closing a socket may take.
const CLOSE_TIME: Duration = Duration::from_secs(1);

impl<S: Codec + Callers, W: Carrier, K: Clocks> Driver<S, W, K> {
    /// Sees to the session's orders for as long as it is polled.
    pub(super) async fn keep_sockets(&self) {
        loop {
            let order = {
                let mut waiting = self.outbox.lock();
                let order = waiting.orders.pop_front();
                waiting.busy = matches!(order, Some(SocketOrder::Open { .. }));
                order
            };
            match order {
                Some(SocketOrder::Open { socket, connect }) => {
                    self.open_socket(socket, connect).await;
                }
                Some(_) => {}
                None => {
                    self.outbox.done.notify_one();
                    self.outbox.bell.notified().await;
                }
            }
        }
    }

    /// Opens a socket and serves it to its end.
    async fn open_socket(&self, number: SocketNumber, connect: S::Connect) {
        let Some(query) = S::encode_connect(connect) else { return };
        let opened = {
            let mut opening = pin!(self.carrier.open(S::OBJECT, &query).fuse());
            let mut given_up = pin!(self.given_up(number).fuse());
            select_biased! {
                opened = opening => opened,
                () = given_up => return,
            }
        };
        let mut socket = match opened {
            Ok(socket) => socket,
            Err(Unopened { why }) => {
                self.shared.request(|state, at| state.session.handle_unopened(at, number, why));
                return;
            }
        };
        self.shared.request(|state, at| state.session.handle_opened(at, number));
        let served = self.serve(number, &mut socket).await;
        if served.is_err() && S::CEREMONY {
            within(self.shared.clocks(), CLOSE_TIME, socket.close()).await;
        }
        let code = served.unwrap_or_default();
        self.shared.request(|state, at| state.session.handle_closed(at, number, code));
    }

    /// Waits until the session gives a socket up that is being opened.
    async fn given_up(&self, number: SocketNumber) {
        loop {
            let order = self.outbox.lock().orders.pop_front();
            match order {
                Some(SocketOrder::Close { socket }) if socket == number => return,
                Some(_) => {}
                None => self.outbox.bell.notified().await,
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
                let mut rung = pin!(self.outbox.bell.notified().fuse());
                let mut incoming = pin!(socket.next().fuse());
                select_biased! {
                    incoming = incoming => incoming,
                    () = rung => continue,
                }
            };
            let frames = match incoming {
                Incoming::Text(text) => S::decode_frames(&text),
                Incoming::Sign => Vec::new(),
                Incoming::Closed(code) => return Ok(code),
            };
            self.shared.request(|state, at| {
                state.session.handle_heard(at, number);
                for frame in frames {
                    state.session.handle_frame(at, number, frame);
                }
            });
        }
    }

    /// Sees to all orders and sends all that waits.
    async fn send_all(&self, number: SocketNumber, socket: &mut W::Socket) -> Result<(), Broken> {
        let clocks = self.shared.clocks();
        loop {
            let order = self.outbox.lock().orders.pop_front();
            match order {
                Some(SocketOrder::Close { socket }) if socket == number => return Err(Broken),
                Some(SocketOrder::Ping { socket: over }) if over == number => {
                    let pinged = async {
                        match S::PING {
                            Some(text) => socket.send(text.to_owned()).await,
                            None => socket.ping().await,
                        }
                    };
                    within(clocks, FRAME_TIME, pinged).await.unwrap_or(Err(Broken))?;
                }
                Some(order @ SocketOrder::Open { .. }) => {
                    // The session has given this one up.
                    self.outbox.lock().orders.push_front(order);
                    return Err(Broken);
                }
                Some(_) => continue,
                None => {}
            }
            let now = clocks.reading().monotonic;
            let Some(frame) = self.outbox.lock().next_frame(number, now) else { return Ok(()) };
            let calls: Vec<(u64, &S::Command)> =
                frame.calls.iter().map(|(call, command)| (*call, command)).collect();
            let text = S::encode_frame(&calls);
            // A frame that is half written when it may not leave any more takes the socket with it.
            let sent = within(clocks, FRAME_TIME, socket.send(text));
            match until(clocks, frame.leave_by, sent).await {
                Some(Some(sent)) => sent?,
                _ => return Err(Broken),
            }
        }
    }

    /// Lets the socket see to its last orders, for as long as ceremony may take.
    pub(super) async fn close_sockets(&self, sockets: impl Future<Output = ()>) {
        let mut sockets = pin!(sockets.fuse());
        let last = async {
            while self.is_busy_with_sockets() {
                let mut done = pin!(self.outbox.done.notified().fuse());
                select_biased! {
                    () = sockets => return,
                    () = done => {}
                }
            }
        };
        within(self.shared.clocks(), CLOSE_TIME, last).await;
    }

    fn is_busy_with_sockets(&self) -> bool {
        let waiting = self.outbox.lock();
        waiting.busy || !waiting.orders.is_empty()
    }
}
