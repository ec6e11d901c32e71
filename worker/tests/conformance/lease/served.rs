//! Leases over the network: each command as a request, or as a frame over a socket of its holder.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use mailbus_conformance::Failure;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseReply, Push};
use mailbus_spec::wire::lease::{encode_frame, encode_subscribe};
use mailbus_spec::{Holder, LeasePath};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Leases, Way, speaker, spelling};
use crate::served::{self, Remote, close, websocket};
use crate::spelling::{broken, unknown};
use crate::support::http::Connection;

type Served = served::Served<Leases>;

/// A `protocol=1` socket of one holder.
pub struct Socket {
    holder: Holder,
    stream: WebSocketStream<TcpStream>,
    /// Pushes that it received unasked.
    pub pushes: Vec<Push>,
}

impl Socket {
    /// Opens one.
    pub async fn open(
        address: SocketAddr,
        workspace: &str,
        holder: &Holder,
    ) -> Result<Self, Failure> {
        let opened = websocket::<Leases>(address, workspace, &encode_subscribe(holder)).await?;
        let stream = opened.map_err(|(status, _)| unknown(format!("no socket: {status}")))?;
        Ok(Self { holder: holder.clone(), stream, pushes: Vec::new() })
    }

    /// One command, and its reply.
    pub async fn call(&mut self, call: u64, command: &Command) -> Result<LeaseReply, Failure> {
        let frame = Message::text(encode_frame(&[(call, command)]));
        self.stream.send(frame).await.map_err(unknown)?;
        loop {
            let message = self.stream.next().await;
            let message = message.ok_or_else(|| unknown("the socket was closed"))?;
            let Message::Text(text) = message.map_err(unknown)? else { continue };
            let mut notices: Vec<Notice> = Vec::new();
            let reply = spelling::received(Some(call), text.as_str(), &mut notices)?;
            let to = |notice| Push { to: self.holder.clone(), notice };
            self.pushes.extend(notices.into_iter().map(to));
            if let Some(reply) = reply {
                return Ok(reply);
            }
        }
    }

    /// Waits for all that was sent to it before: a reply comes after it.
    async fn catch_up(&mut self, call: u64) -> Result<(), Failure> {
        let path = LeasePath::new("nobody/asks/for/this").map_err(broken)?;
        self.call(call, &Command::Status { path }).await.map(drop)
    }
}

/// One HTTP request with a command, and its reply.
pub async fn post(
    connection: &mut Connection,
    workspace: &str,
    call: u64,
    command: &Command,
) -> Result<LeaseReply, Failure> {
    let (action, body) = spelling::request(call, command);
    let answer = served::post::<Leases>(connection, workspace, action, &body).await?;
    spelling::answered(call, answer.status, &answer.body)
}

/// Sockets of a case.
#[derive(Default)]
pub struct Lines {
    listening: BTreeMap<Holder, Socket>,
    calling: BTreeMap<Holder, Socket>,
}

impl Remote for Leases {
    type Lines = Lines;

    const CLASS: &'static str = "LeaseDurableObject";

    async fn call(self, case: &mut Served, command: &Command) -> Result<LeaseReply, Failure> {
        if self.0 == Way::Requests {
            let (action, body) = spelling::request(case.calls, command);
            let answer = case.post(action, &body).await?;
            return spelling::answered(case.calls, answer.status, &answer.body);
        }
        let holder = speaker(command);
        if !case.lines.calling.contains_key(&holder) {
            let socket = Socket::open(case.server.address(), &case.workspace, &holder).await?;
            case.lines.calling.insert(holder.clone(), socket);
        }
        let socket = case.lines.calling.get_mut(&holder).ok_or_else(|| broken("no socket"))?;
        socket.call(case.calls, command).await
    }

    async fn connect(case: &mut Served, holder: &Holder) -> Result<(), Failure> {
        if !case.lines.listening.contains_key(holder) {
            let socket = Socket::open(case.server.address(), &case.workspace, holder).await?;
            case.lines.listening.insert(holder.clone(), socket);
        }
        Ok(())
    }

    async fn disconnect(case: &mut Served, holder: &Holder) -> Result<(), Failure> {
        match case.lines.listening.remove(holder) {
            Some(socket) => close(socket.stream).await,
            None => Ok(()),
        }
    }

    async fn received(case: &mut Served) -> Result<Vec<Push>, Failure> {
        let mut pushes = Vec::new();
        for socket in case.lines.listening.values_mut() {
            case.calls += 1;
            socket.catch_up(case.calls).await?;
            pushes.append(&mut socket.pushes);
        }
        Ok(pushes)
    }
}
