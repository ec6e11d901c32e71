//! Policy of mailboxes at their endpoint: which session a socket is, and what one event tells whom.

mod outgoing;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use std::collections::BTreeMap;

use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Connection, MailboxMachine, MailboxReply, Notice, Outcome, Push,
};
use mailbus_spec::wire::mailbox::{
    Call, Subscribe, close, decode_frame, decode_original_frame, decode_request, decode_subscribe,
    encode_connected, encode_reply,
};
use mailbus_spec::wire::{Answer, Attempt, Dialect, Problem, Protocol};

use super::attachment::{self, Session};
use crate::endpoint::{Calls, Policy, Socket, restart};
use crate::object::{Accept, Attachment, Effects, SocketId, Target};

use outgoing::Outgoing;

/// Policy of mailboxes: a socket is a session.
#[derive(Debug)]
pub struct MailboxPolicy {
    /// Protocols that the open sockets speak.
    speaks: BTreeMap<Connection, Protocol>,
    /// Sockets that another version accepted; the next event closes them.
    foreign: Vec<SocketId>,
}

/// Messages of one event to sockets, and what it lets them keep.
#[derive(Default)]
pub struct Told {
    outgoing: Outgoing,
    /// The sessions that began or changed.
    sessions: BTreeMap<Connection, Session>,
    /// The sessions that are over.
    over: Vec<(Connection, CloseReason)>,
    /// Session whose socket is gone: nothing can be sent to it, and it keeps nothing any more.
    gone: Option<Connection>,
}

impl Policy for MailboxPolicy {
    type Service = MailboxMachine;
    type Kept = Session;
    type Call = Call;
    type Subscribe = Subscribe;
    type Speaker = Connection;
    type Told = Told;

    const NEEDS_SOCKETS: bool = true;
    const NO_UPGRADE: &'static str = "A session is a WebSocket. Send the headers of an upgrade.";
    const PUT_OFF: &'static str = "What the frame's commands before this one cause is all that one \
        event can send. This one was not executed; send it in another.";

    fn wake(sockets: Vec<(SocketId, Attachment)>) -> (Self, Vec<Session>) {
        let (mut speaks, mut foreign, mut sessions) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (id, attachment) in &sockets {
            match (attachment::socket(attachment), attachment::session(attachment)) {
                (Socket::Open(connection, protocol), Some(session)) => {
                    speaks.insert(connection, protocol);
                    sessions.push(session);
                }
                (Socket::Over, _) => {}
                (Socket::Open(..) | Socket::Foreign, _) => foreign.push(*id),
            }
        }
        (Self { speaks, foreign }, sessions)
    }

    fn begin(&mut self, effects: &mut Effects) {
        effects.closes.extend(std::mem::take(&mut self.foreign).into_iter().map(restart));
    }

    fn decode_request(action: &str, body: &[u8]) -> Result<Call, Problem> {
        decode_request(action, body)
    }

    fn decode_frame(
        text: &str,
        connection: &Connection,
        protocol: Protocol,
    ) -> Result<Calls<Self>, Problem> {
        match protocol {
            Protocol::One => decode_frame(text, connection),
            Protocol::Original => {
                decode_original_frame(text, connection).map(|call| vec![Ok(call)])
            }
        }
    }

    fn decode_subscribe(query: &str) -> Result<Subscribe, Problem> {
        decode_subscribe(query)
    }

    fn parts(call: Call) -> (Attempt, Dialect, Command) {
        (call.attempt, Dialect::Mailbus, call.command)
    }

    fn encode_reply(number: Option<u64>, _: Dialect, reply: &MailboxReply) -> Answer {
        encode_reply(number, reply)
    }

    fn connect(subscribe: &Subscribe) -> Option<Command> {
        Some(Command::alone(subscribe.clone().into_ask()))
    }

    /// Becomes the session's socket, if the machine has taken it.
    fn open(
        &mut self,
        told: &mut Told,
        subscribe: Subscribe,
        reply: Option<MailboxReply>,
    ) -> Result<Accept, Answer> {
        let Some(reply) = reply else { return Err(Problem::internal().to_answer()) };
        let Ok(Outcome::Connected { epoch, .. }) = &reply.answer else {
            return Err(encode_reply(None, &reply));
        };
        let (epoch, protocol) = (*epoch, subscribe.protocol());
        let connection = Connection { agent: subscribe.agent, epoch };
        self.speaks.insert(connection.clone(), protocol);
        if let Some(text) = encode_connected(&reply) {
            told.outgoing.say_first(&connection, text);
        }
        // A session that the machine says nothing of would be lost at the next wake.
        let session = told.sessions.remove(&connection);
        let session = session.ok_or_else(|| Problem::internal().to_answer())?;
        Ok(Accept {
            attachment: attachment::keep(&session),
            tags: vec![attachment::tag(&connection)],
            window: session.window.map(|(_, bytes)| bytes),
        })
    }

    fn socket(attachment: &str) -> Socket<Connection> {
        attachment::socket(attachment)
    }

    /// A session ends with its socket.
    fn closed(&mut self, told: &mut Told, connection: Connection) -> Option<Command> {
        self.speaks.remove(&connection);
        told.gone = Some(connection.clone());
        Some(Command::alone(Ask::Disconnect { connection }))
    }

    fn take(&mut self, told: &mut Told, kept: Vec<Session>, pushes: Vec<Push>) {
        for session in kept {
            told.sessions.insert(session.connection(), session);
        }
        for Push { to, notice } in pushes {
            if let Notice::Closed(reason) = notice {
                self.speaks.remove(&to);
                told.sessions.remove(&to);
                told.over.push((to, reason));
            } else if told.gone.as_ref() != Some(&to) {
                told.outgoing.push(&to, &notice);
            }
        }
    }

    fn is_full(told: &Told, connection: &Connection, reply_bytes: usize) -> bool {
        told.outgoing.is_full(connection, reply_bytes)
    }

    fn reply(told: &mut Told, connection: &Connection, text: String) {
        told.outgoing.say_first(connection, text);
    }

    fn send(&self, told: Told, asking: Option<(SocketId, Connection)>, effects: &mut Effects) {
        let Told { outgoing, sessions, over, gone } = told;
        let target = |of: &Connection| match &asking {
            Some((id, own)) if own == of => Target::Socket(*id),
            _ => Target::Tag(attachment::tag(of)),
        };
        let there = |of: &Connection| gone.as_ref() != Some(of);
        for (of, session) in sessions.iter().filter(|(of, _)| there(of)) {
            effects.attachments.push((target(of), attachment::keep(session)));
        }
        let speaks = |of: &Connection| self.speaks.get(of).copied().unwrap_or(Protocol::Original);
        for (of, frames) in outgoing.into_frames(speaks) {
            effects.frames.extend(frames.into_iter().map(|frame| (target(&of), frame)));
        }
        for (of, reason) in over.iter().filter(|(of, _)| there(of)) {
            let (code, said) = close(*reason);
            effects.attachments.push((target(of), attachment::keep_nothing()));
            effects.closes.push((target(of), code, said.to_owned()));
        }
    }
}
