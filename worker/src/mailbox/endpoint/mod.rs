//! Requests and frames in, answers and pushes out. Nothing here decides anything about mail.

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
use mailbus_spec::wire::{Answer, Code, Problem, Protocol, frame};
use mailbus_spec::{HostTime, machine};

use crate::machine::Machine;
use crate::mailbox::attachment::{self, Kept, Speaker};
use crate::mailbox::{Handled, Session};
use crate::object::{
    Accept, Body, Effects, Event, Object, Request, Response, SocketId, Target, Waking, Woken,
};
use crate::router;
use crate::storage::{Storage, StorageError};

use outgoing::Outgoing;

/// The close of a socket that this version cannot serve: its client comes back on a new one.
const RESTART: (u16, &str) = (1012, "restart");

/// The mailbox object of one workspace over the machine `M`.
#[derive(Debug)]
pub struct MailboxObject<M> {
    mailboxes: M,
    /// What the open sockets speak.
    speaks: BTreeMap<Connection, Protocol>,
    /// Sockets that another version accepted; the next event closes them.
    foreign: Vec<SocketId>,
}

impl<M> MailboxObject<M> {
    /// The machine behind the endpoint.
    pub fn mailboxes(&self) -> &M {
        &self.mailboxes
    }
}

impl<M> Object for MailboxObject<M>
where
    M: Machine<Service = MailboxMachine, Kept = Session>,
{
    const NEEDS_SOCKETS: bool = true;

    fn wake(woken: Woken) -> Self {
        let (mut speaks, mut foreign, mut sessions) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (id, attachment) in &woken.sockets {
            match attachment::kept(attachment) {
                Kept::Session(speaker, rest) => match attachment::session(rest) {
                    Some(session) => {
                        speaks.insert(speaker.connection, speaker.protocol);
                        sessions.push(session);
                    }
                    None => foreign.push(*id),
                },
                Kept::Over => {}
                Kept::Foreign => foreign.push(*id),
            }
        }
        Self { mailboxes: M::wake(woken.pending_alarm, sessions), speaks, foreign }
    }

    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        self.mailboxes.prepare(storage)
    }

    fn footprint(&self) -> u64 {
        self.mailboxes.footprint()
    }

    fn is_blank(&self, now: HostTime) -> bool {
        self.mailboxes.is_blank(now)
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        event: Event<'_>,
    ) -> Result<Effects, StorageError> {
        let mut handler = Handler::new(self, storage, now);
        match event {
            Event::Request(request) => handler.request(&request)?,
            Event::Frame { socket, attachment, text } => {
                handler.frame(socket, attachment, text)?;
            }
            Event::Closed { attachment, .. } => handler.closed(attachment)?,
            Event::Alarm => {
                handler.machine_event(&machine::Event::Alarm)?;
            }
        }
        Ok(handler.into_effects())
    }
}

/// Handler of one event on the object, with the effects it has come to so far.
struct Handler<'e, M, S> {
    object: &'e mut MailboxObject<M>,
    storage: &'e mut S,
    now: HostTime,
    effects: Effects,
    outgoing: Outgoing,
    /// The sessions that began or changed.
    sessions: BTreeMap<Connection, Session>,
    /// The sessions that are over.
    over: Vec<(Connection, CloseReason)>,
    /// Session whose socket the event came over.
    asking: Option<(SocketId, Connection)>,
    /// Whose socket is gone: nothing can be sent to it, and it keeps nothing any more.
    gone: Option<Connection>,
}

impl<'e, M, S: Storage> Handler<'e, M, S>
where
    M: Machine<Service = MailboxMachine, Kept = Session>,
{
    fn new(object: &'e mut MailboxObject<M>, storage: &'e mut S, now: HostTime) -> Self {
        let mut effects = Effects::default();
        effects.closes.extend(std::mem::take(&mut object.foreign).into_iter().map(restart));
        Self {
            object,
            storage,
            now,
            effects,
            outgoing: Outgoing::default(),
            sessions: BTreeMap::new(),
            over: Vec::new(),
            asking: None,
            gone: None,
        }
    }

    fn request(&mut self, request: &Request<'_>) -> Result<(), StorageError> {
        if request.action == "subscribe" {
            return self.subscribe(request);
        }
        match call_of(request) {
            Ok(call) => {
                let answer = self.answer(call)?;
                self.effects.response = Some(response(answer));
            }
            Err(refusal) => self.effects.response = Some(refusal),
        }
        Ok(())
    }

    /// Begins a session, and becomes its socket if the machine has taken it.
    fn subscribe(&mut self, request: &Request<'_>) -> Result<(), StorageError> {
        let subscribe = match subscribe_of(request) {
            Ok(subscribe) => subscribe,
            Err(refusal) => {
                self.effects.response = Some(refusal);
                return Ok(());
            }
        };
        let (agent, protocol) = (subscribe.agent.clone(), subscribe.protocol());
        let command = machine::Event::Command(Command::alone(subscribe.into_ask()));
        let handled = self.object.mailboxes.handle(self.storage, self.now, &command)?;
        let reply = handled.step.reply.clone();
        let begun = reply.as_ref().and_then(|reply| match &reply.answer {
            Ok(Outcome::Connected { epoch, .. }) => Some(Connection { agent, epoch: *epoch }),
            _ => None,
        });
        if let (Some(connection), Some(reply)) = (&begun, &reply) {
            self.object.speaks.insert(connection.clone(), protocol);
            if let Some(text) = encode_connected(reply) {
                self.outgoing.say_first(connection, text);
            }
        }
        self.take(handled);
        match begun.map(|connection| (self.sessions.remove(&connection), connection)) {
            Some((Some(session), connection)) => {
                let tags = vec![attachment::tag(&connection)];
                let attachment = attachment::keep(&session);
                let window = session.window.map(|(_, bytes)| bytes);
                self.effects.accept = Some(Accept { attachment, tags, window });
            }
            // A session that the machine says nothing of would be lost at the next wake.
            Some((None, _)) => {
                let answer = Problem::internal().to_answer();
                self.effects.response = Some(response(answer));
            }
            None => self.effects.response = Some(response(reply_to(None, reply))),
        }
        Ok(())
    }

    fn frame(&mut self, id: SocketId, attachment: &str, text: &str) -> Result<(), StorageError> {
        let Speaker { connection, protocol } = match attachment::kept(attachment) {
            Kept::Session(speaker, _) => speaker,
            Kept::Over => return Ok(()),
            Kept::Foreign => {
                let close = restart(id);
                if !self.effects.closes.contains(&close) {
                    self.effects.closes.push(close);
                }
                return Ok(());
            }
        };
        self.asking = Some((id, connection.clone()));
        let calls = match protocol {
            Protocol::One => decode_frame(text, &connection),
            Protocol::Original => {
                decode_original_frame(text, &connection).map(|call| vec![Ok(call)])
            }
        };
        let replies = match calls {
            Ok(calls) => self.replies(&connection, calls)?,
            Err(problem) => frame::error(&problem),
        };
        self.outgoing.say_first(&connection, replies);
        Ok(())
    }

    /// The object that answers a frame of commands. Once enough has been said, what is left of them is
    /// put off.
    fn replies(
        &mut self,
        connection: &Connection,
        calls: Vec<Result<Call, Problem>>,
    ) -> Result<String, StorageError> {
        let mut answers = Vec::with_capacity(calls.len());
        let mut bytes = 0_usize;
        for call in calls {
            let full = self.outgoing.is_full(connection, bytes);
            let answer = match call {
                Ok(call) if full => put_off(&call),
                Ok(call) => self.answer(call)?,
                Err(problem) => problem.to_answer(),
            };
            bytes = bytes.saturating_add(answer.body.len());
            answers.push(answer);
        }
        Ok(frame::replies(&answers))
    }

    /// A socket is closed: its session ends with it, unless it was over before.
    fn closed(&mut self, attachment: &str) -> Result<(), StorageError> {
        let Kept::Session(Speaker { connection, .. }, _) = attachment::kept(attachment) else {
            return Ok(());
        };
        self.object.speaks.remove(&connection);
        self.gone = Some(connection.clone());
        let command = Command::alone(Ask::Disconnect { connection });
        self.machine_event(&machine::Event::Command(command))?;
        Ok(())
    }

    fn answer(&mut self, call: Call) -> Result<Answer, StorageError> {
        let Call { number, command } = call;
        Ok(reply_to(number, self.machine_event(&machine::Event::Command(command))?))
    }

    fn machine_event(
        &mut self,
        event: &machine::Event<Command>,
    ) -> Result<Option<MailboxReply>, StorageError> {
        let mut handled = self.object.mailboxes.handle(self.storage, self.now, event)?;
        let reply = handled.step.reply.take();
        self.take(handled);
        Ok(reply)
    }

    /// Collects what a machine event did, its reply apart.
    fn take(&mut self, handled: Handled) {
        self.effects.rows = self.effects.rows.saturating_add(handled.rows);
        self.effects.alarm = handled.alarm.or(self.effects.alarm);
        for session in handled.kept {
            self.sessions.insert(session.connection(), session);
        }
        for Push { to, notice } in handled.step.pushes {
            if let Notice::Closed(reason) = notice {
                self.object.speaks.remove(&to);
                self.sessions.remove(&to);
                self.over.push((to, reason));
            } else if self.gone.as_ref() != Some(&to) {
                self.outgoing.push(&to, &notice);
            }
        }
    }

    fn into_effects(self) -> Effects {
        let Self { object, mut effects, outgoing, sessions, over, asking, gone, .. } = self;
        let target = |of: &Connection| match &asking {
            Some((id, own)) if own == of => Target::Socket(*id),
            _ => Target::Tag(attachment::tag(of)),
        };
        let there = |of: &Connection| gone.as_ref() != Some(of);
        for (of, session) in sessions.iter().filter(|(of, _)| there(of)) {
            effects.attachments.push((target(of), attachment::keep(session)));
        }
        let speaks = |of: &Connection| object.speaks.get(of).copied().unwrap_or(Protocol::Original);
        for (of, frames) in outgoing.into_frames(speaks) {
            effects.frames.extend(frames.into_iter().map(|frame| (target(&of), frame)));
        }
        for (of, reason) in over.iter().filter(|(of, _)| there(of)) {
            let (code, said) = close(*reason);
            effects.attachments.push((target(of), attachment::keep_nothing()));
            effects.closes.push((target(of), code, said.to_owned()));
        }
        effects
    }
}

/// The answer to a command; every command has a reply.
fn reply_to(number: Option<u64>, reply: Option<MailboxReply>) -> Answer {
    match reply {
        Some(reply) => encode_reply(number, &reply),
        None => Problem::internal().with_call(number).to_answer(),
    }
}

fn restart(id: SocketId) -> (Target, u16, String) {
    let (code, reason) = RESTART;
    (Target::Socket(id), code, reason.to_owned())
}

/// Whose session a request begins, or the answer that refuses it.
fn subscribe_of(request: &Request<'_>) -> Result<Subscribe, Response> {
    if request.method != "GET" {
        return Err(method_not_allowed("GET"));
    }
    if !request.upgrade {
        return Err(router::refusal(&Problem::new(
            Code::UpgradeRequired,
            "A session is a WebSocket. Send the headers of an upgrade.",
        )));
    }
    decode_subscribe(request.query).map_err(|problem| router::refusal(&problem))
}

/// The command of a request, or the answer that refuses it.
fn call_of(request: &Request<'_>) -> Result<Call, Response> {
    match (request.method, request.body) {
        ("POST", Body::Whole(body)) => {
            decode_request(request.action, body).map_err(|problem| router::refusal(&problem))
        }
        // What is not there is not found, under any method and of any size.
        (method, _) => match decode_request(request.action, b"") {
            Err(problem) if problem.code == Code::NotFound => Err(router::refusal(&problem)),
            _ if method == "POST" => Err(router::refusal(&Problem::new(
                Code::MessageTooLarge,
                "The body is larger than a command can be.",
            ))),
            _ => Err(method_not_allowed("POST")),
        },
    }
}

/// The answer to a command that was not executed, for want of room for what it causes.
fn put_off(call: &Call) -> Answer {
    let problem = Problem::new(
        Code::Overloaded,
        "What the frame's commands before this one cause is all that one event can send. This one was \
         not executed; send it in another.",
    );
    problem.with_call(call.number).to_answer()
}

fn method_not_allowed(allow: &'static str) -> Response {
    let problem = Problem::new(Code::MethodNotAllowed, format!("Use {allow} for this action."));
    Response { allow: Some(allow), ..router::refusal(&problem) }
}

fn response(answer: Answer) -> Response {
    let Answer { status, body, retry_after } = answer;
    Response { status, body, retry_after, allow: None, charged: None }
}
