//! The world of the random runs: agents, network and object in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailbus_client::session::mailbox::{
    Config, DeliveryId, Draft, Event, Handled, MailboxSession, PublicationId, Published,
};
use mailbus_client::session::{CallNumber, Route, Session, SocketNumber, SocketOrder};
use mailbus_spec::belief::Reading;
use mailbus_spec::machine::{self, StateMachine};
use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Connection, MailboxMachine, MailboxReply, Message, MessageId,
    Notice, Outcome, Push,
};
use mailbus_spec::wire::mailbox::close;
use mailbus_spec::{AgentId, HostTime, Ordinal, SessionId};

use super::operation::Op;
use super::stage::{agent, pattern};
use crate::network::{self, Flight, Network};

pub const AGENTS: usize = 3;
const NOON: u64 = 1_800_000_000_000;

/// Mistake of somebody around the sessions, to show that the checks find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Nothing.
    None,
    /// The application says of every other delivery that it is done, and never looked at it.
    DoneUnseen,
    /// Every copy of a message gets an id of its own.
    FreshIds,
    /// Every other push of a stream is lost, and the stream goes on.
    LostPushes,
    /// A failed handler is taken for one that has succeeded.
    FailedIsDone,
}

/// One run of one agent.
pub struct Run {
    pub session: MailboxSession,
    pub in_hand: Vec<(DeliveryId, Message)>,
    /// Messages that its handlers have succeeded with.
    pub done: BTreeSet<Ordinal>,
    socket: Option<SocketNumber>,
}

type Packet = network::Packet<Ask, Ask, MailboxReply, Notice>;

pub struct World {
    pub object: MailboxMachine,
    pub runs: Vec<Run>,
    numbers: Vec<u64>,
    pub network: Network<Ask, Ask, MailboxReply, Notice>,
    sockets: BTreeMap<Connection, (usize, u64, SocketNumber)>,
    config: Config,
    mistake: Mistake,
    counter: u64,
    /// Requests of the present runs, and what became of them.
    pub outcomes: BTreeMap<(usize, u64, PublicationId), Option<Published>>,
    /// Messages that were ever pushed to whom, and that somebody's handler has succeeded with.
    pub pushed: BTreeSet<(AgentId, Ordinal)>,
    pub handled: BTreeSet<(AgentId, Ordinal)>,
    pub violations: Vec<String>,
}

impl World {
    pub fn new(config: Config, mistake: Mistake) -> Self {
        let mut world = Self {
            object: MailboxMachine::default(),
            runs: Vec::new(),
            numbers: vec![0; AGENTS],
            network: Network::new(),
            sockets: BTreeMap::new(),
            config,
            mistake,
            counter: 0,
            outcomes: BTreeMap::new(),
            pushed: BTreeSet::new(),
            handled: BTreeSet::new(),
            violations: Vec::new(),
        };
        for number in 0..AGENTS {
            let run = world.new_run(number);
            world.runs.push(run);
        }
        world
    }

    fn new_run(&mut self, number: usize) -> Run {
        self.numbers[number] += 1;
        let run = self.numbers[number];
        let session = SessionId::new(run.to_string()).unwrap();
        let seed = number as u64 * 1_000 + run;
        let mut session =
            MailboxSession::new(agent(&format!("agent-{number}")), session, self.config, seed);
        session.serve(self.reading(), pattern("*"));
        session.start(self.reading(), None);
        Run { session, in_hand: Vec::new(), done: BTreeSet::new(), socket: None }
    }

    fn reading(&self) -> Reading {
        let monotonic = Duration::from_millis(self.network.now);
        Reading { monotonic, wall: monotonic + Duration::from_secs(9_999) }
    }

    pub fn host(&self) -> HostTime {
        HostTime(NOON + self.network.now)
    }

    pub fn apply(&mut self, op: &Op) {
        let at = self.reading();
        match *op {
            Op::Publish { from } => {
                let draft = self.draft("news");
                let sent = self.runs[from].session.publish(at, draft);
                self.note_sent(from, sent.ok());
            }
            Op::Send { from, to } => {
                let to = agent(&format!("agent-{to}"));
                let draft = self.draft("task");
                let sent = self.runs[from].session.send_to(at, to, draft);
                self.note_sent(from, sent.ok());
            }
            Op::Finish { agent, nth, done } => self.finish(agent, nth, done),
            Op::Deliver { nth } => self.deliver(nth),
            Op::DeliverAll => self.deliver_all(),
            Op::Lose { nth } => self.lose(nth),
            Op::Repeat { nth } => self.network.repeat(nth),
            Op::Cut { agent } => self.cut(agent),
            Op::Restart { agent } => self.restart(agent),
            Op::Crash => self.crash(),
            Op::Pass { ms } => self.network.now += ms,
            Op::Alarm => self.event(&machine::Event::Alarm),
        }
        self.network.forget_old();
        for number in 0..AGENTS {
            let socket = self.runs[number].socket;
            if socket
                .is_some_and(|socket| self.network.is_dead(number, self.numbers[number], socket))
            {
                self.cut(number);
            }
        }
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A message that is like no other.
    fn draft(&mut self, kind: &str) -> Draft {
        let payload = self.count();
        Draft::new(kind).payload(&payload).unwrap()
    }

    fn note_sent(&mut self, from: usize, publication: Option<PublicationId>) {
        if let Some(publication) = publication {
            self.outcomes.insert((from, self.numbers[from], publication), None);
        }
    }

    pub fn finish(&mut self, number: usize, nth: usize, done: bool) {
        let at = self.reading();
        let run = &mut self.runs[number];
        if run.in_hand.is_empty() {
            return;
        }
        let (delivery, _) = run.in_hand.remove(nth % run.in_hand.len());
        let seen = match self.mistake {
            Mistake::DoneUnseen => delivery.seq().get().is_multiple_of(2),
            _ => true,
        };
        if done && seen {
            if !run.done.insert(delivery.seq()) {
                let seq = delivery.seq();
                self.violations.push(format!("agent {number} was given {seq} twice to succeed"));
            }
            self.handled.insert((run.session.agent().clone(), delivery.seq()));
        }
        let wrong = self.mistake == Mistake::FailedIsDone;
        let handled = if done || wrong { Handled::Done } else { Handled::Failed };
        run.session.finish(at, delivery, handled);
    }

    /// Loses a packet. A stream loses nothing: it breaks.
    fn lose(&mut self, nth: usize) {
        match self.network.nth(nth).map(|flight| (flight.client, flight.packet.stream())) {
            Some((client, Some(_))) => self.cut(client),
            _ => drop(self.network.take(nth)),
        }
    }

    pub fn deliver_all(&mut self) {
        for _ in 0..self.network.flights.len() {
            self.deliver(0);
        }
    }

    fn deliver(&mut self, nth: usize) {
        let Some(Flight { client: number, run, packet, .. }) = self.network.take(nth) else {
            return;
        };
        match packet {
            Packet::Open(socket, ask) => self.object_opens(number, run, socket, ask),
            Packet::Command(call, ask, route) => self.object_hears(number, run, call, ask, route),
            packet if run == self.numbers[number] => self.agent_hears(number, packet),
            _ => {}
        }
    }

    fn object_opens(&mut self, number: usize, run: u64, socket: SocketNumber, ask: Ask) {
        let name = agent(&format!("agent-{number}"));
        let step = self.object.handle(self.host(), &machine::Event::Command(Command::alone(ask)));
        let reply = step.reply.expect("a command is answered");
        if let Ok(Outcome::Connected { epoch, .. }) = reply.answer {
            let connection = Connection { agent: name, epoch };
            self.sockets.insert(connection, (number, run, socket));
        }
        self.network.post(number, run, Packet::Greeting(socket, reply));
        self.post_pushes(step.pushes);
    }

    fn object_hears(&mut self, number: usize, run: u64, call: CallNumber, ask: Ask, route: Route) {
        let over = match route {
            Route::Http => None,
            Route::Socket(socket) => {
                let connection = self
                    .sockets
                    .iter()
                    .find(|(_, known)| **known == (number, run, socket))
                    .map(|(connection, _)| connection.clone());
                // The object has closed it.
                let Some(connection) = connection else { return };
                Some(connection)
            }
        };
        let step = self.object.handle(self.host(), &machine::Event::Command(Command { over, ask }));
        let reply = step.reply.expect("a command is answered");
        self.network.post(number, run, Packet::Reply(call, reply));
        self.post_pushes(step.pushes);
    }

    fn agent_hears(&mut self, number: usize, packet: Packet) {
        let at = self.reading();
        let session = &mut self.runs[number].session;
        match packet {
            Packet::Reply(call, reply) => session.handle_reply(at, call, reply),
            Packet::Greeting(socket, reply) => session.handle_greeting(at, socket, reply),
            Packet::Notice(socket, notice) => {
                session.handle_notice(at, socket.expect("one of a stream"), notice);
            }
            Packet::Close(socket, code) => session.handle_closed(at, socket, Some(code)),
            Packet::Open(..) | Packet::Command(..) => unreachable!("the object hears those"),
        }
    }

    pub fn event(&mut self, event: &machine::Event<Command>) {
        let step = self.object.handle(self.host(), event);
        self.post_pushes(step.pushes);
    }

    fn post_pushes(&mut self, pushes: Vec<Push>) {
        for Push { to, notice } in pushes {
            let Some((number, run, socket)) = self.sockets.get(&to).copied() else { continue };
            if let Notice::Message { seq, .. } = notice {
                if self.mistake == Mistake::LostPushes && self.count().is_multiple_of(2) {
                    continue;
                }
                self.pushed.insert((to.agent.clone(), seq));
            }
            let packet = match notice {
                Notice::Closed(reason) => {
                    self.sockets.remove(&to);
                    if reason == CloseReason::Replaced && run == self.numbers[number] {
                        self.violations.push(format!("agent {number} replaces itself"));
                    }
                    Packet::Close(socket, close(reason).0)
                }
                notice => Packet::Notice(Some(socket), notice),
            };
            self.network.post(number, run, packet);
        }
    }

    /// The agent's socket breaks: at its end now, at the object's now too.
    fn cut(&mut self, number: usize) {
        let at = self.reading();
        let run = self.numbers[number];
        let Some(socket) = self.runs[number].socket else { return };
        self.tear_down(number, run, socket);
        self.runs[number].session.handle_closed(at, socket, None);
    }

    /// A stream is gone with all that is in it. The object sees its end.
    fn tear_down(&mut self, number: usize, run: u64, socket: SocketNumber) {
        if self.runs[number].socket == Some(socket) {
            self.runs[number].socket = None;
        }
        self.network.flights.retain(|flight| {
            flight.client != number
                || flight.run != run
                || flight.packet.stream().is_none_or(|(over, _)| over != socket)
        });
        self.close_at_object(number, run, socket);
    }

    fn close_at_object(&mut self, number: usize, run: u64, socket: SocketNumber) {
        let open = self.sockets.iter().find(|(_, known)| **known == (number, run, socket));
        if let Some(connection) = open.map(|(connection, _)| connection.clone()) {
            self.sockets.remove(&connection);
            let ask = Ask::Disconnect { connection };
            self.event(&machine::Event::Command(Command::alone(ask)));
        }
    }

    /// The process dies and another begins.
    fn restart(&mut self, number: usize) {
        self.cut(number);
        let of_run = (number, self.numbers[number]);
        self.outcomes.retain(|(agent, run, _), _| (*agent, *run) != of_run);
        self.runs[number] = self.new_run(number);
    }

    fn crash(&mut self) {
        self.object.break_sessions();
        let sockets = std::mem::take(&mut self.sockets);
        for (number, run, socket) in sockets.into_values() {
            self.network.post(number, run, Packet::Close(socket, 1_012));
        }
    }

    /// Lets every session do what is due, and the object's alarm ring.
    pub fn pump(&mut self) {
        let at = self.reading();
        let mut closed = Vec::new();
        for number in 0..AGENTS {
            let run_number = self.numbers[number];
            let run = &mut self.runs[number];
            run.session.handle_timeout(at);
            let mut sent = Vec::new();
            while let Some(order) = run.session.poll_socket(at) {
                match order {
                    SocketOrder::Open { socket, connect } => {
                        run.socket = Some(socket);
                        sent.push(Packet::Open(socket, connect));
                    }
                    SocketOrder::Ping { socket } => run.session.handle_heard(at, socket),
                    SocketOrder::Close { socket } => closed.push((number, run_number, socket)),
                }
            }
            while let Some(mut transmit) = run.session.poll_transmit(at) {
                if self.mistake == Mistake::FreshIds {
                    self.counter += 1;
                    rename(&mut transmit.command, self.counter);
                }
                sent.push(Packet::Command(transmit.call, transmit.command, transmit.route));
            }
            while let Some(event) = run.session.poll_event() {
                match event {
                    Event::Delivered { delivery, message, .. } => {
                        run.in_hand.push((delivery, message));
                    }
                    Event::Published { publication, outcome } => {
                        self.outcomes.insert((number, run_number, publication), Some(outcome));
                    }
                    Event::Abandoned { delivery } => {
                        run.in_hand.retain(|(held, _)| *held != delivery);
                    }
                    _ => {}
                }
            }
            for packet in sent {
                self.network.post(number, run_number, packet);
            }
        }
        for (number, run, socket) in closed {
            self.tear_down(number, run, socket);
        }
    }
}

/// Gives a message that is sent another id.
fn rename(ask: &mut Ask, number: u64) {
    if let Ask::Publish { message } | Ask::Send { message, .. } = ask {
        message.id = Some(MessageId::new(format!("other-{number}")).unwrap());
    }
}
