//! One WebSocket: frames in become events, the outbox goes out, and neither waits for the other.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::pin;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt, select_biased};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use mailbus_spec::limits::{BODY_DRAIN_BYTES, FRAME_MAX_BYTES};
use mailbus_spec::wire::frame;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::native::arrival::Arrival;
use crate::native::namespace::{Completion, Outbox, Outgoing, STALLED_MAX, Submitted, Text};

use super::Server;
use super::http::Upgrade;
use super::moving::{Life, Moving};

/// Most frames of one socket whose events wait for their flush; then no more are read.
const UNDERWAY_MAX: usize = 64;
/// Most frames that are written before they are flushed to the network.
const BATCH_MAX: usize = 64;

type Io = Moving<TokioIo<Upgraded>>;
type Socket = WebSocketStream<Io>;

/// Reason why nothing more is read.
enum ReadEnd {
    /// The other end is gone, or the object is.
    Gone,
    /// The other end broke the rules; this close says which.
    Refused(u16, &'static str),
}

/// Reason why nothing more is written.
#[derive(PartialEq)]
enum WriteEnd {
    /// The close has been sent.
    Closed,
    /// The connection is broken, the reader too far behind or the object gone.
    GivenUp,
}

/// Serves the socket until it ends, and tells its object.
pub(super) async fn serve(server: &Server, upgrade: Upgrade) {
    let Upgrade { on, objects, workspace, socket, outbox } = upgrade;
    let told = Cell::new(false);
    let over = || {
        if !told.replace(true) {
            drop(objects.submit(&workspace, &Arrival::Closed { socket }));
        }
    };
    let mut ended = None;
    if let Ok(upgraded) = on.await {
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_MAX_BYTES))
            .max_frame_size(Some(FRAME_MAX_BYTES));
        let life = Life::new(&*server.clock);
        let io = Moving::new(TokioIo::new(upgraded), &server.clock, &life, &outbox);
        let websocket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let submit = |text: &str| objects.submit(&workspace, &Arrival::Frame { socket, text });
        let closing = Cell::new(false);
        let (submit, over) = (&submit, &over);
        let conversation = Conversation { server, outbox: &outbox, submit, over, life, closing };
        ended = conversation.run(websocket).await;
    }
    outbox.abandon();
    over();
    // Only now does the other end see the end: what it asks next comes after it.
    drop(ended);
}

/// State that the sides of one socket share.
struct Conversation<'a> {
    server: &'a Server,
    outbox: &'a Outbox,
    submit: &'a dyn Fn(&str) -> Submitted,
    /// Tells the object that the socket is nobody's from here on.
    over: &'a dyn Fn(),
    life: Life,
    /// True if either side has closed: what still comes in is read and dropped.
    closing: Cell<bool>,
}

impl Conversation<'_> {
    /// Runs it to its end; the connection is still open then.
    async fn run(&self, websocket: Socket) -> Option<Socket> {
        let (mut sink, mut stream) = websocket.split();
        let refused = {
            let mut reading = pin!(self.read(&mut stream).fuse());
            let mut writing = pin!(self.write(&mut sink).fuse());
            let mut silent = pin!(self.watch().fuse());
            let mut stopped = pin!(self.server.stopping.asked().fuse());
            let patience = self.server.settings.close;
            loop {
                select_biased! {
                    end = writing => {
                        if end == WriteEnd::Closed {
                            self.closing.set(true);
                            let mut late = self.server.clock.sleep(patience).fuse();
                            select_biased! { _ = reading => {}, () = late => {} }
                        }
                        break false;
                    }
                    end = reading => match end {
                        ReadEnd::Gone => break false,
                        ReadEnd::Refused(code, reason) => {
                            // However long the other end takes to close it too.
                            (self.over)();
                            self.say(Outgoing::Close(code, reason.to_owned()));
                            let mut late = self.server.clock.sleep(patience).fuse();
                            select_biased! { _ = writing => {}, () = late => {} }
                            break true;
                        }
                    },
                    () = silent => break false,
                    _ = stopped => {
                        self.say(Outgoing::Close(1012, "the service restarts".to_owned()));
                    }
                }
            }
        };
        let mut websocket = sink.reunite(stream).ok()?;
        if refused {
            self.drain(websocket.get_mut()).await;
        }
        Some(websocket)
    }

    /// Turns frames into events, in order.
    async fn read(&self, stream: &mut SplitStream<Socket>) -> ReadEnd {
        let mut underway: VecDeque<Submitted> = VecDeque::new();
        while let Some(message) = stream.next().await {
            match message {
                Ok(_) if self.closing.get() => {}
                Ok(Message::Text(text)) if text.as_str() == frame::PING => {
                    self.say(Outgoing::Frame(Text::from(frame::PONG)));
                }
                Ok(Message::Text(text)) => underway.push_back((self.submit)(text.as_str())),
                Ok(Message::Binary(_)) => return ReadEnd::Refused(1003, "frames are text"),
                Ok(Message::Close(_)) => self.closing.set(true),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Capacity(_)) => {
                    return ReadEnd::Refused(1009, "a frame is at most 4 MiB");
                }
                Err(Error::Utf8(_)) => return ReadEnd::Refused(1007, "frames are UTF-8"),
                Err(Error::Protocol(_)) => return ReadEnd::Refused(1002, "not a WebSocket frame"),
                Err(_) => return ReadEnd::Gone,
            }
            loop {
                let full = underway.len() >= UNDERWAY_MAX;
                let Some(first) = underway.front_mut() else { break };
                let done = if full { Some(first.await) } else { first.now_or_never() };
                match done {
                    None => break,
                    Some(Ok(completion)) => {
                        underway.pop_front();
                        if let Completion::Refused(problem) = completion {
                            self.say(Outgoing::Frame(Text::from(frame::error(&problem).as_str())));
                        }
                    }
                    Some(Err(_)) => return ReadEnd::Gone,
                }
            }
        }
        ReadEnd::Gone
    }

    /// Writes what the object sends, as fast as the other end reads it.
    async fn write(&self, sink: &mut SplitSink<Socket, Message>) -> WriteEnd {
        while let Some(first) = self.outbox.next().await {
            let mut batch = pin!(self.write_batch(sink, first).fuse());
            // What goes out at once takes no timer.
            let written = match batch.as_mut().now_or_never() {
                Some(written) => written,
                None => {
                    let mut stalled = pin!(self.stalled().fuse());
                    let mut abandoned = pin!(self.outbox.abandoned().fuse());
                    select_biased! {
                        written = batch => written,
                        () = abandoned => return WriteEnd::GivenUp,
                        () = stalled => return WriteEnd::GivenUp,
                    }
                }
            };
            match written {
                Ok(false) => self.outbox.took_all(self.server.clock.uptime()),
                Ok(true) => return WriteEnd::Closed,
                Err(_) => return WriteEnd::GivenUp,
            }
        }
        WriteEnd::GivenUp
    }

    /// Writes what waits, and says whether a close was among it.
    async fn write_batch(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        first: Outgoing,
    ) -> Result<bool, Error> {
        let mut outgoing = first;
        let mut closed = false;
        for left in (0..BATCH_MAX).rev() {
            closed = matches!(outgoing, Outgoing::Close(..));
            sink.feed(message(outgoing)).await?;
            if closed || left == 0 {
                break;
            }
            match self.outbox.try_next() {
                Some(next) => outgoing = next,
                None => break,
            }
        }
        sink.flush().await?;
        Ok(closed)
    }

    /// Ends when the other end has taken nothing for too long of what is being written.
    async fn stalled(&self) {
        loop {
            let now = self.server.clock.uptime();
            let since = self.outbox.stalled_since().unwrap_or(now);
            let left = STALLED_MAX.saturating_sub(now.saturating_sub(since));
            if left.is_zero() {
                return;
            }
            self.server.clock.sleep(left).await;
        }
    }

    /// Asks for a sign of life in every silence; ends when none came.
    async fn watch(&self) {
        let ping = self.server.settings.ping;
        loop {
            self.server.clock.sleep(ping).await;
            let silence = self.life.silence(&*self.server.clock);
            if silence >= ping.saturating_mul(3) {
                return;
            }
            if silence >= ping {
                self.say(Outgoing::Ping);
            }
        }
    }

    fn say(&self, outgoing: Outgoing) {
        self.outbox.push(outgoing, self.server.clock.uptime());
    }

    /// Reads and drops what the other end is still sending: closing on unread bytes would reset the
    /// connection, and it would not see why.
    async fn drain(&self, io: &mut Io) {
        let mut late = self.server.clock.sleep(self.server.settings.close).fuse();
        let mut buffer = vec![0; 16 << 10];
        let mut drained = 0_usize;
        while drained < BODY_DRAIN_BYTES {
            let mut reading = pin!(io.read(&mut buffer).fuse());
            select_biased! {
                read = reading => match read {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => drained = drained.saturating_add(bytes),
                },
                () = late => return,
            }
        }
    }
}

fn message(outgoing: Outgoing) -> Message {
    match outgoing {
        // The same bytes as in every other socket that is sent them; that they are text costs a look.
        Outgoing::Frame(text) => match Utf8Bytes::try_from(Bytes::from_owner(text)) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::text(""),
        },
        Outgoing::Ping => Message::Ping(Bytes::new()),
        Outgoing::Close(code, reason) => {
            Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
        }
    }
}
