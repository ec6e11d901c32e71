//! The production objects behind a real server: the release module in workerd, or `mailbusd`, over
//! HTTP and WebSocket, on this machine's clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use libtest_mimic::Failed;
use mailbus_conformance::{Capabilities, Failure, Needs, SystemUnderTest};
use mailbus_spec::mailbox::{
    Ask, Command, Connection, MailboxMachine, MailboxReply, Notice, Pattern, Patterns, Push,
};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use super::spelling::{self, broken};
use crate::served::{Serve, Server, unknown};
use crate::support::http;
use crate::trials::Start;

/// The class of mailbox objects in workerd.
const CLASS: &str = "MailboxDurableObject";

/// The socket of a session.
pub struct Socket {
    session: Connection,
    negotiated: bool,
    stream: WebSocketStream<TcpStream>,
    /// True if the object has closed it.
    is_closed: bool,
    /// What it received unasked.
    pub pushes: Vec<Push>,
}

/// What became of a command over a socket.
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
        let url = format!("ws://{address}/v1/{workspace}/mailbox/subscribe?{query}");
        let io = TcpStream::connect(address).await.map_err(unknown)?;
        let mut stream = match tokio_tungstenite::client_async(url, io).await {
            Ok((stream, _)) => stream,
            Err(tungstenite::Error::Http(refused)) => {
                let body = refused.body().as_deref().unwrap_or_default();
                let reply = spelling::answered(0, ask, refused.status().as_u16(), body)?;
                return Ok((reply, None));
            }
            Err(error) => return Err(unknown(error)),
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

    async fn close(mut self) -> Result<(), Failure> {
        self.stream.close(None).await.map_err(broken)?;
        while let Some(Ok(_)) = self.stream.next().await {}
        Ok(())
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
    let path = format!("/v1/{workspace}/mailbox/{action}");
    let answer = connection.post(&path, &body).await.map_err(unknown)?;
    spelling::answered(call, ask, answer.status, &answer.body)
}

/// A server and what is open to it during a case.
pub struct Served {
    start: MailboxServe,
    server: Server,
    cases: u64,
    calls: u64,
    workspace: String,
    http: Option<http::Connection>,
    open: BTreeMap<Connection, Socket>,
    /// What was received over sockets that are closed.
    received: Vec<Push>,
}

/// Server that is meant.
#[derive(Clone, Copy)]
pub struct MailboxServe(pub Serve);

impl Start for MailboxServe {
    type Subject = MailboxMachine;
    type System = Served;

    fn name(self) -> &'static str {
        match self.0 {
            Serve::Workerd(_) => "mailbox-workerd",
            Serve::Mailbusd(_) => "mailbox-mailbusd",
        }
    }

    fn capabilities(self) -> Capabilities {
        self.0.capabilities()
    }

    async fn start(self) -> Result<Served, Failed> {
        Ok(Served {
            start: self,
            server: self.0.server()?,
            cases: 0,
            calls: 0,
            workspace: String::new(),
            http: None,
            open: BTreeMap::new(),
            received: Vec::new(),
        })
    }
}

impl Served {
    async fn request(&mut self, ask: &Ask) -> Result<MailboxReply, Failure> {
        let mut connection = match self.http.take() {
            Some(connection) => connection,
            None => http::Connection::open(self.server.address()).await.map_err(broken)?,
        };
        let reply = post(&mut connection, &self.workspace, self.calls, ask).await;
        self.http = Some(connection);
        reply
    }

    async fn begin_session(&mut self, ask: &Ask) -> Result<MailboxReply, Failure> {
        let (reply, socket) = Socket::open(self.server.address(), &self.workspace, ask).await?;
        if let Some(socket) = socket {
            self.open.insert(socket.session.clone(), socket);
        }
        Ok(reply)
    }

    async fn frame(&mut self, over: &Connection, ask: &Ask) -> Result<MailboxReply, Failure> {
        if let Some(socket) = self.open.get_mut(over)
            && let Said::Replied(reply) = socket.call(self.calls, ask).await?
        {
            return Ok(reply);
        }
        let probed = self.request(&spelling::probe().ask).await?;
        Ok(spelling::over_a_closed_socket(ask, probed))
    }

    fn forget_connections(&mut self) {
        self.http = None;
        self.open.clear();
        self.received.clear();
    }
}

impl SystemUnderTest<MailboxMachine> for Served {
    fn name(&self) -> &str {
        self.start.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.start.capabilities()
    }

    async fn begin(&mut self, _needs: &Needs) -> Result<(), Failure> {
        self.cases += 1;
        self.workspace = format!("case-{}", self.cases);
        self.forget_connections();
        Ok(())
    }

    async fn call(&mut self, command: &Command) -> Result<MailboxReply, Failure> {
        self.calls += 1;
        self.open.values_mut().try_for_each(Socket::read_on)?;
        match (&command.over, &command.ask) {
            (None, ask @ Ask::Connect { .. }) => self.begin_session(ask).await,
            (None, ask) => self.request(ask).await,
            (Some(over), ask) => self.frame(over, ask).await,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the server is on the real clock")]
    async fn sleep(&mut self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Once the request is answered the session is over, whenever the close arrives.
    async fn disconnect(&mut self, session: &Connection) -> Result<(), Failure> {
        if let Some(socket) = self.open.remove(session) {
            socket.close().await?;
            self.calls += 1;
            self.request(&Ask::Disconnect { connection: session.clone() }).await?;
        }
        Ok(())
    }

    async fn received(&mut self) -> Result<Vec<Push>, Failure> {
        for socket in self.open.values_mut() {
            self.calls += 1;
            socket.catch_up(self.calls).await?;
            self.received.append(&mut socket.pushes);
        }
        self.open.retain(|_, socket| !socket.is_closed);
        Ok(std::mem::take(&mut self.received))
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        self.server.evict(CLASS, &self.workspace)
    }

    /// The connections are kept until the server is gone: their ends would be events.
    async fn crash(&mut self) -> Result<(), Failure> {
        self.server.kill_and_restart()?;
        self.forget_connections();
        Ok(())
    }
}

/// True if a push says that the session is over.
pub fn ends(push: &Push) -> bool {
    matches!(push.notice, Notice::Closed(_))
}
