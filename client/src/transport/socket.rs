//! The WebSocket: opened, kept alive, opened again.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt, select_biased};
use http::header::AUTHORIZATION;
use mailbus_spec::lease::Command;
use mailbus_spec::limits;
use mailbus_spec::wire::lease::{ServerFrame, decode_server_frame, encode_frame, encode_subscribe};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::connector::Connector;
use super::driver::{Driver, Options};
use crate::clocks::Clocks;
use crate::deadline::{until, within};
use crate::machine::CallNumber;

/// The socket is of no use any more.
struct Broken;

impl<C: Connector, K: Clocks> Driver<C, K> {
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

    async fn open_socket(&self) -> Result<WebSocketStream<C::Stream>, Broken> {
        let holder = self.shared.inspect(|session, _| session.holder().clone());
        let url = self.endpoint.socket_url(&encode_subscribe(&holder));
        let mut request = url.into_client_request().map_err(|_| Broken)?;
        if let Some(authorization) = self.endpoint.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        let stream = self.connector.connect(self.endpoint.authority()).await;
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits::FRAME_MAX_BYTES))
            .max_frame_size(Some(limits::FRAME_MAX_BYTES));
        let opened =
            client_async_with_config(request, stream.map_err(|_| Broken)?, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(|_| Broken)
    }

    /// Sends and receives until the socket breaks; says whether anything was ever received.
    async fn serve_socket(&self, socket: &mut WebSocketStream<C::Stream>) -> bool {
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
                select_biased! {
                    message = socket.next() => Some(message),
                    () = rung => continue,
                    () = silence => None,
                }
            };
            let now = clocks.reading().monotonic;
            match message {
                Some(Some(Ok(message))) => {
                    (heard, pinged) = (true, false);
                    due = now.saturating_add(ping_after);
                    if self.on_message(message).is_err() {
                        return heard;
                    }
                }
                Some(_) => return heard,
                None if now < due => {}
                None if pinged => return heard,
                None => {
                    let ping = Message::Ping(Bytes::new());
                    if self.send(socket, ping).await.is_err() {
                        return heard;
                    }
                    pinged = true;
                    due = now.saturating_add(self.options.socket_timeout);
                }
            }
        }
    }

    async fn send_commands(&self, socket: &mut WebSocketStream<C::Stream>) -> Result<(), Broken> {
        let clocks = self.shared.clocks();
        while let Some(frame) = self.link.next_frame(clocks.reading().monotonic) {
            let calls: Vec<(u64, &Command)> =
                frame.calls.iter().map(|(call, command)| (*call, command)).collect();
            let message = Message::text(encode_frame(&calls));
            // A frame that is half written when it may not leave any more takes the socket with it.
            let sent = self.send(socket, message);
            match until(clocks, frame.leave_by, sent).await {
                Some(sent) => sent?,
                None => return Err(Broken),
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        socket: &mut WebSocketStream<C::Stream>,
        message: Message,
    ) -> Result<(), Broken> {
        let sent =
            within(self.shared.clocks(), self.options.socket_timeout, socket.send(message)).await;
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(Broken),
        }
    }

    fn on_message(&self, message: Message) -> Result<(), Broken> {
        match message {
            Message::Text(text) => {
                for frame in decode_server_frame(text.as_str()) {
                    self.on_frame(frame);
                }
                // The loop has to see what has become due.
                self.shared.bell.notify_one();
                Ok(())
            }
            Message::Close(_) => Err(Broken),
            _ => Ok(()),
        }
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
