//! The WebSocket: opened, kept alive, opened again.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use mailbus_spec::lease::Command;
use mailbus_spec::wire::lease::{ServerFrame, decode_server_frame, encode_frame, encode_subscribe};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::carrier::{Broken, Carrier, Incoming, Object, Socket};
use super::driver::{Driver, Options};
use crate::clocks::Clocks;
use crate::clocks::{until, within};
use crate::session::CallNumber;

impl<W: Carrier, K: Clocks> Driver<W, K> {
    /// Keeps a socket open for as long as it is polled.
    pub(super) async fn keep_socket(&self) {
        if !self.options.socket {
            return;
        }
        let clocks = self.shared.clocks();
        let mut jitter = ChaCha8Rng::seed_from_u64(self.seed);
        let mut failures: u32 = 0;
        loop {
            let opened = within(clocks, self.options.connect_timeout, self.open_socket()).await;
            if let Some(Ok(mut socket)) = opened {
                self.link.open();
                let heard = self.serve_socket(&mut socket).await;
                self.give_up_on(self.link.close());
                // One that lived was no failure; one that was closed at once is.
                if heard {
                    failures = 0;
                }
            }
            failures = failures.saturating_add(1);
            clocks.sleep(self.options.reconnect.pause(failures, &mut jitter)).await;
        }
    }

    async fn open_socket(&self) -> Result<W::Socket, Broken> {
        let holder = self.shared.inspect(|state, _| state.session.holder().clone());
        let opened = self.carrier.open(Object::Lease, &encode_subscribe(&holder)).await;
        opened.map_err(|_| Broken)
    }

    /// Sends and receives until the socket breaks; says whether anything was ever received.
    async fn serve_socket(&self, socket: &mut W::Socket) -> bool {
        let clocks = self.shared.clocks();
        let ping_after = self.options.ping_after.min(Options::PING_MOST);
        let mut heard = false;
        let mut pinged = false;
        let mut due = clocks.reading().monotonic.saturating_add(ping_after);
        loop {
            if self.send_commands(socket).await.is_err() {
                return heard;
            }
            let span = due.saturating_sub(clocks.reading().monotonic);
            let message = {
                let mut silence = pin!(clocks.sleep(span.max(Duration::from_millis(1))).fuse());
                let mut rung = pin!(self.link.bell.notified().fuse());
                let mut incoming = pin!(socket.next().fuse());
                select_biased! {
                    message = incoming => Some(message),
                    () = rung => continue,
                    () = silence => None,
                }
            };
            let now = clocks.reading().monotonic;
            match message {
                Some(Incoming::Closed(_)) => return heard,
                Some(message) => {
                    (heard, pinged) = (true, false);
                    due = now.saturating_add(ping_after);
                    if let Incoming::Text(text) = message {
                        self.on_text(&text);
                    }
                }
                None if now < due => {}
                None if pinged => return heard,
                None => {
                    let sent = within(clocks, self.options.socket_timeout, socket.ping()).await;
                    if sent != Some(Ok(())) {
                        return heard;
                    }
                    pinged = true;
                    due = now.saturating_add(self.options.socket_timeout);
                }
            }
        }
    }

    async fn send_commands(&self, socket: &mut W::Socket) -> Result<(), Broken> {
        let clocks = self.shared.clocks();
        while let Some(frame) = self.link.next_frame(clocks.reading().monotonic) {
            let calls: Vec<(u64, &Command)> =
                frame.calls.iter().map(|(call, command)| (*call, command)).collect();
            let text = encode_frame(&calls);
            // A frame that is half written when it may not leave any more takes the socket with it.
            let sent = within(clocks, self.options.socket_timeout, socket.send(text));
            match until(clocks, frame.leave_by, sent).await {
                Some(Some(sent)) => sent?,
                _ => return Err(Broken),
            }
        }
        Ok(())
    }

    fn on_text(&self, text: &str) {
        for frame in decode_server_frame(text) {
            self.on_frame(frame);
        }
        // The loop has to see what has become due.
        self.shared.bell.notify_one();
    }

    fn on_frame(&self, frame: ServerFrame) {
        match frame {
            ServerFrame::Replies(replies) => {
                for received in replies {
                    if let Some(call) = received.call {
                        self.link.note_answered(CallNumber(call));
                    }
                    self.shared.with(|state, at| state.session.handle_received(at, received));
                }
            }
            ServerFrame::Notice(notice) => {
                self.shared.with(|state, at| state.session.handle_notice(at, notice));
            }
            // It does not say which frame, so all that is awaited is asked again.
            ServerFrame::Error(_) => self.give_up_on(self.link.forget_awaited()),
            ServerFrame::Unknown(_) => {}
        }
    }

    fn give_up_on(&self, calls: impl IntoIterator<Item = CallNumber>) {
        self.shared.request(|state, at| {
            for call in calls {
                state.session.handle_failure(at, call);
            }
        });
    }
}
