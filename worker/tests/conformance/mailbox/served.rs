//! Mailboxes over the network. Commands over a session are frames, all others requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::{FutureExt, SinkExt, StreamExt};
use mailbus_conformance::Failure;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, MailboxReply, Notice, Pattern, Patterns, Push,
};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{Mailboxes, spelling};
use crate::served::{self, Remote, close, websocket};
use crate::spelling::{broken, unknown};
use crate::support::http;

type Served = served::Served<Mailboxes>;

/// The socket of a session.
pub struct Socket {
    session: Connection,
    negotiated: bool,
    stream: WebSocketStream<TcpStream>,
    /// True if the object has closed it.
    is_closed: bool,
    /// Pushes that it received unasked.
    pub pushes: Vec<Push>,
}

/// Result of a command over a socket.
pub enum Said {
    /// It was answered.
    Replied(MailboxReply),
    /// The object has closed the socket, before or meanwhile.
    Closed,
}

impl Socket {
    /// Asks for a session. The reply alone if it is refused.
    pub async fn open(
        address: SocketAddr,
        workspace: &str,
        ask: &Ask,
    ) -> Result<(MailboxReply, Option<Self>), Failure> {
        let query = spelling::query(ask).ok_or_else(|| broken("not a connect"))?;
        let mut stream = match websocket::<Mailboxes>(address, workspace, &query).await? {
            Ok(stream) => stream,
            Err((status, body)) => return Ok((spelling::answered(0, ask, status, &body)?, None)),
        };
        let first = loop {
            let message = stream.next().await.ok_or_else(|| unknown("closed at once"))?;
            if let Message::Text(text) = message.map_err(unknown)? {
                break spelling::heard(None, text.as_str())?;
            }
        };
        let reply = first.connected.ok_or_else(|| broken("a socket without `$connected`"))?;
        let session = spelling::begun(ask, &reply).ok_or_else(|| broken("no session began"))?;
        let pushes = spelling::pushes(&session, first.notices).collect();
        let negotiated = matches!(ask, Ask::Connect { window: Some(_), .. });
        Ok((reply, Some(Self { session, negotiated, stream, is_closed: false, pushes })))
    }

    /// One command, and what became of it.
    pub async fn call(&mut self, call: u64, ask: &Ask) -> Result<Said, Failure> {
        if self.is_closed {
            return Ok(Said::Closed);
        }
        let text = spelling::frame(call, ask, self.negotiated)?;
        match self.stream.send(Message::text(text)).await {
            // The close may be there already; it is read below.
            Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed)
            | Ok(()) => {}
            Err(error) => return Err(unknown(error)),
        }
        loop {
            match self.next(Some(call)).await? {
                Some(Said::Closed) => return Ok(Said::Closed),
                Some(replied) => return Ok(replied),
                None => {}
            }
        }
    }

    /// Waits for the next thing that arrives: a reply, the close, or something else.
    pub async fn next(&mut self, call: Option<u64>) -> Result<Option<Said>, Failure> {
        let message = self.stream.next().await;
        match message.ok_or_else(|| unknown("the socket was closed"))?.map_err(unknown)? {
            Message::Text(text) => {
                let heard = spelling::heard(call, text.as_str())?;
                self.pushes.extend(spelling::pushes(&self.session, heard.notices));
                Ok(heard.reply.map(Said::Replied))
            }
            Message::Close(Some(close)) => {
                let notice = spelling::closed(close.code.into(), close.reason.as_str())?;
                self.pushes.extend(spelling::pushes(&self.session, vec![notice]));
                self.is_closed = true;
                // The close is answered by reading on.
                while let Some(Ok(_)) = self.stream.next().await {}
                Ok(Some(Said::Closed))
            }
            Message::Close(None) => Err(broken("a socket was closed without a reason")),
            _ => Ok(None),
        }
    }

    /// Takes what has arrived: a reader that is far behind would be given up.
    fn read_on(&mut self) -> Result<(), Failure> {
        while !self.is_closed
            && let Some(next) = self.next(None).now_or_never()
        {
            next?;
        }
        Ok(())
    }

    /// Waits for all that was sent to it before: a reply comes after it. What is asked changes nothing
    /// and can be asked by everybody.
    pub async fn catch_up(&mut self, call: u64) -> Result<(), Failure> {
        let types = Patterns::from([Pattern::new("nobody.wants.this").map_err(broken)?]);
        let ask = Ask::Unsubscribe { agent: self.session.agent.clone(), types };
        self.call(call, &ask).await.map(drop)
    }
}

/// One HTTP request with a command, and its reply.
pub async fn post(
    connection: &mut http::Connection,
    workspace: &str,
    call: u64,
    ask: &Ask,
) -> Result<MailboxReply, Failure> {
    let (action, body) = spelling::request(call, ask)?;
    let answer = served::post::<Mailboxes>(connection, workspace, action, &body).await?;
    spelling::answered(call, ask, answer.status, &answer.body)
}

/// Sockets of a case.
#[derive(Default)]
pub struct Lines {
    open: BTreeMap<Connection, Socket>,
    /// Pushes received over sockets that are closed.
    received: Vec<Push>,
}

impl Served {
    async fn request(&mut self, ask: &Ask) -> Result<MailboxReply, Failure> {
        let (action, body) = spelling::request(self.calls, ask)?;
        let answer = self.post(action, &body).await?;
        spelling::answered(self.calls, ask, answer.status, &answer.body)
    }

    async fn begin_session(&mut self, ask: &Ask) -> Result<MailboxReply, Failure> {
        let (reply, socket) = Socket::open(self.server.address(), &self.workspace, ask).await?;
        if let Some(socket) = socket {
            self.lines.open.insert(socket.session.clone(), socket);
        }
        Ok(reply)
    }

    async fn frame(&mut self, over: &Connection, ask: &Ask) -> Result<MailboxReply, Failure> {
        if let Some(socket) = self.lines.open.get_mut(over)
            && let Said::Replied(reply) = socket.call(self.calls, ask).await?
        {
            return Ok(reply);
        }
        let probed = self.request(&spelling::probe().ask).await?;
        Ok(spelling::over_a_closed_socket(ask, probed))
    }
}

impl Remote for Mailboxes {
    type Lines = Lines;

    const CLASS: &'static str = "MailboxDurableObject";

    async fn call(self, case: &mut Served, command: &Command) -> Result<MailboxReply, Failure> {
        case.lines.open.values_mut().try_for_each(Socket::read_on)?;
        match (&command.over, &command.ask) {
            (None, ask @ Ask::Connect { .. }) => case.begin_session(ask).await,
            (None, ask) => case.request(ask).await,
            (Some(over), ask) => case.frame(over, ask).await,
        }
    }

    /// Once the request is answered the session is over, whenever the close arrives.
    async fn disconnect(case: &mut Served, session: &Connection) -> Result<(), Failure> {
        if let Some(socket) = case.lines.open.remove(session) {
            close(socket.stream).await?;
            case.calls += 1;
            case.request(&Ask::Disconnect { connection: session.clone() }).await?;
        }
        Ok(())
    }

    async fn received(case: &mut Served) -> Result<Vec<Push>, Failure> {
        let Lines { open, received } = &mut case.lines;
        for socket in open.values_mut() {
            case.calls += 1;
            socket.catch_up(case.calls).await?;
            received.append(&mut socket.pushes);
        }
        open.retain(|_, socket| !socket.is_closed);
        Ok(std::mem::take(received))
    }
}

/// True if a push says that the session is over.
pub fn ends(push: &Push) -> bool {
    matches!(push.notice, Notice::Closed(_))
}
