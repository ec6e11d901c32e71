//! Many agents at once, on a server that is killed and started again under them.
//!
//! Each agent knows only what it was told. One whose connection broke sends its message again with the
//! same id, or gives up and never knows; it opens a new session and handles what comes. At the end the
//! ledger of what all have seen has to be what mailboxes promise.

use std::rc::Rc;

use libtest_mimic::{Failed, Trial};
use mailbus_conformance::Failure;
use mailbus_conformance::ledger::{Delivery, Ledger, Sending, Settlement};
use mailbus_spec::mailbox::{
    Ask, MailboxReply, Message, Notice, Outcome, Pattern, Patterns, Settled, Window,
};
use mailbus_spec::wire::mailbox::decode_message;
use mailbus_spec::{AgentId, Ordinal, SessionId};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Mailboxes;
use super::served::{Said, Socket, ends, post};
use crate::served::{Serve, pause};
use crate::spelling::{broken, unknown};
use crate::support::http;
use crate::support::on_event_loop;
use crate::trials::{Start, within_patience};
use crate::world::{self, WORKSPACE};

/// Half of them send requests, half frames. All have a socket for what they are delivered.
const AGENTS: usize = 16;
/// Number of messages that each sends.
const MESSAGES: u32 = 50;
/// Number of times that the server is killed.
const KILLS: u64 = 4;
/// Number of commands that are answered before each kill.
const ANSWERS_BETWEEN: u64 = 250;

/// Notes of all agents.
#[derive(Default)]
struct Noted {
    /// Number of those that have been connected once: from then on nothing can miss them.
    connected: usize,
    /// Number of those that have sent all they had to send.
    said_all: usize,
    /// Number of those that have handled all they were owed after that.
    done: usize,
    ledger: Ledger,
}

type World = world::World<Noted>;

/// One trial for a server.
pub fn trial(serve: Serve<Mailboxes>) -> Trial {
    let name = format!("{}::concurrent::{AGENTS}_agents_and_{KILLS}_kills", serve.name());
    Trial::test(name, move || on_event_loop(within_patience(run(serve))))
}

async fn run(serve: Serve<Mailboxes>) -> Result<(), Failed> {
    let mut server = serve.program.start()?;
    let world = World::new(&server);
    world.seen.borrow_mut().noted.ledger.wanted =
        (0..AGENTS).map(|index| (name(index), wanted(index))).collect();
    let agents: Vec<_> = (0..AGENTS)
        .map(|index| tokio::task::spawn_local(Agent::new(index).live(Rc::clone(&world))))
        .collect();
    for kills in 1..=KILLS {
        world.until(|seen| seen.answered >= kills * ANSWERS_BETWEEN).await;
        world.kill(&mut server, async |_| Ok(())).await?;
    }
    world.until(|seen| seen.noted.done >= AGENTS).await;
    judge(serve, &world.end(agents).await?.ledger)
}

/// Everything is as promised, and the check would have seen a lie.
fn judge(serve: Serve<Mailboxes>, ledger: &Ledger) -> Result<(), Failed> {
    let totals = ledger.check()?;
    println!("{}: {AGENTS} agents, {KILLS} kills: {totals:?}", serve.name());
    let mut lied = ledger.clone();
    let lost = lied.delivered.last().cloned().ok_or("nothing was delivered")?;
    let is_lost = |one: &Delivery| one.to.agent == lost.to.agent && one.seq == lost.seq;
    lied.delivered.retain(|one| !is_lost(one));
    match lied.check() {
        Ok(_) => Err(Failed::from("that a delivery was missing was not seen")),
        Err(_) => Ok(()),
    }
}

fn name(index: usize) -> AgentId {
    AgentId::new(format!("agent-{index}")).expect("a valid name")
}

/// Types that all want, and those that a quarter of them wants.
fn wanted(index: usize) -> Patterns {
    let group = format!("group.{}.*", index % 4);
    ["all", &group].into_iter().map(|text| Pattern::new(text).expect("a pattern")).collect()
}

/// Connection of an agent.
struct Line {
    socket: Socket,
    http: http::Connection,
}

struct Agent {
    index: usize,
    random: ChaCha8Rng,
    sent: u32,
    calls: u64,
    /// A message whose outcome it does not know.
    again: Option<Ask>,
    /// Messages that it has handled in this session and not acknowledged.
    handled: Vec<Ordinal>,
    was_connected: bool,
    has_said_all: bool,
    is_done: bool,
}

impl Agent {
    fn new(index: usize) -> Self {
        Self {
            index,
            random: ChaCha8Rng::seed_from_u64(index as u64),
            sent: 0,
            calls: 0,
            again: None,
            handled: Vec::new(),
            was_connected: false,
            has_said_all: false,
            is_done: false,
        }
    }

    async fn live(mut self, world: Rc<World>) {
        let mut line = None;
        while !world.is_over() {
            let lived = match &mut line {
                None => self.open(&world).await.map(|opened| line = opened),
                Some(line) => self.turn(&world, line).await,
            };
            match lived {
                Ok(()) => {}
                Err(Failure::Unknown(_)) => {
                    line = None;
                    pause(1).await;
                }
                Err(failure) => world.fail(failure),
            }
        }
    }

    async fn open(&mut self, world: &World) -> Result<Option<Line>, Failure> {
        let Some(address) = world.address.get() else {
            pause(1).await;
            return Ok(None);
        };
        let ask = Ask::Connect {
            agent: name(self.index),
            session: SessionId::new("1").map_err(broken)?,
            window: Window::new(8, 1 << 20),
            types: Some(wanted(self.index)),
            last_seen: None,
        };
        self.handled.clear();
        let (reply, socket) = Socket::open(address, WORKSPACE, &ask).await?;
        let socket = socket.ok_or_else(|| broken(format!("no session: {reply:?}")))?;
        let http = http::Connection::open(address).await.map_err(unknown)?;
        if !std::mem::replace(&mut self.was_connected, true) {
            world.seen.borrow_mut().noted.connected += 1;
        }
        Ok(Some(Line { socket, http }))
    }

    /// One thing to do: handle what came, acknowledge, send, or look whether anything is left.
    async fn turn(&mut self, world: &World, line: &mut Line) -> Result<(), Failure> {
        self.handle(world, &mut line.socket)?;
        let patience = self.random.random_range(1..=6);
        if self.handled.len() >= patience || (self.has_said_all && !self.handled.is_empty()) {
            return self.acknowledge(world, line).await;
        }
        if world.seen.borrow().noted.connected < AGENTS {
            return self.wait(line).await;
        }
        if let Some(ask) = self.next_message()? {
            return self.send(world, line, ask).await;
        }
        if !std::mem::replace(&mut self.has_said_all, true) {
            world.seen.borrow_mut().noted.said_all += 1;
        }
        self.look(world, line).await
    }

    fn handle(&mut self, world: &World, socket: &mut Socket) -> Result<(), Failure> {
        let mut seen = world.seen.borrow_mut();
        for push in std::mem::take(&mut socket.pushes) {
            if ends(&push) {
                return Err(broken(format!("a session was ended: {push:?}")));
            }
            if let Notice::Message { seq, message, .. } = push.notice {
                let at = seen.tick();
                self.handled.push(seq);
                seen.noted.ledger.delivered.push(Delivery { to: push.to, seq, message, at });
            }
        }
        Ok(())
    }

    /// By requests or by frames.
    async fn call(
        &mut self,
        world: &World,
        line: &mut Line,
        ask: &Ask,
    ) -> Result<MailboxReply, Failure> {
        self.calls += 1;
        let reply = if self.index.is_multiple_of(2) {
            post(&mut line.http, WORKSPACE, self.calls, ask).await?
        } else {
            match line.socket.call(self.calls, ask).await? {
                Said::Replied(reply) => reply,
                Said::Closed => return Err(broken("a session was ended")),
            }
        };
        world.seen.borrow_mut().answered += 1;
        Ok(reply)
    }

    async fn acknowledge(&mut self, world: &World, line: &mut Line) -> Result<(), Failure> {
        let settled = std::mem::take(&mut self.handled);
        let up_to = !self.index.is_multiple_of(2) && self.random.random_bool(0.3);
        let what = match settled.last() {
            Some(last) if up_to => Settled::UpTo(*last),
            _ => Settled::Seqs(settled.clone()),
        };
        let agent = name(self.index);
        let ask = Ask::Ack { agent: agent.clone(), what };
        let reply = self.call(world, line, &ask).await?;
        let expected = Outcome::Settled { settled: settled.len() as u64, unknown: 0 };
        if reply.answer != Ok(expected) {
            return Err(broken(format!("{ask:?} was answered {reply:?}")));
        }
        let mut seen = world.seen.borrow_mut();
        let at = seen.tick();
        let of = |seq| Settlement { agent: agent.clone(), seq, at };
        seen.noted.ledger.settled.extend(settled.into_iter().map(of));
        Ok(())
    }

    /// Message that it sends next: mostly one whose outcome it does not know, or something new.
    fn next_message(&mut self) -> Result<Option<Ask>, Failure> {
        if let Some(again) = self.again.take()
            && self.random.random_bool(0.8)
        {
            return Ok(Some(again));
        }
        if self.sent == MESSAGES {
            return Ok(None);
        }
        self.sent += 1;
        let (from, id) = (name(self.index), self.sent);
        let group = format!("group.{}.news", self.random.random_range(0..4_u32));
        let kind = ["all", &group, &group, "note"].choose(&mut self.random).copied();
        let kind = kind.unwrap_or("note");
        let text = format!(r#"{{"id":"{id}","type":"{kind}","from":"{from}","n":{id}.0}}"#);
        let message: Message = decode_message(&text, None).map_err(broken)?;
        Ok(Some(if kind == "note" {
            Ask::Send { to: name(self.random.random_range(0..AGENTS)), message, must_know: false }
        } else {
            Ask::Publish { message }
        }))
    }

    async fn send(&mut self, world: &World, line: &mut Line, ask: Ask) -> Result<(), Failure> {
        let (message, to) = match &ask {
            Ask::Send { to, message, .. } => (message.clone(), Some(to.clone())),
            Ask::Publish { message } => (message.clone(), None),
            _ => return Err(broken("no message")),
        };
        let started = world.seen.borrow_mut().tick();
        let answered = self.call(world, line, &ask).await;
        let mut seen = world.seen.borrow_mut();
        let ended = seen.tick();
        let (accepted, result) = match answered {
            Ok(MailboxReply {
                answer: Ok(Outcome::Accepted { seq, .. } | Outcome::Duplicate { seq, .. }),
                ..
            }) => (Some((ended, seq)), Ok(())),
            Ok(reply) => (None, Err(broken(format!("{ask:?} was answered {reply:?}")))),
            Err(failure) => {
                self.again = Some(ask);
                (None, Err(failure))
            }
        };
        seen.noted.ledger.sent.push(Sending { message, to, started, accepted });
        result
    }

    /// Once everybody has sent everything, an inbox that is empty stays so.
    async fn look(&mut self, world: &World, line: &mut Line) -> Result<(), Failure> {
        let all_is_said = world.seen.borrow().noted.said_all == AGENTS;
        let ask = Ask::Inbox { agent: name(self.index), after: Ordinal::ZERO, limit: 1 };
        let reply = self.call(world, line, &ask).await?;
        let Ok(Outcome::Inbox { messages, .. }) = reply.answer else {
            return Err(broken(format!("{ask:?} was answered {reply:?}")));
        };
        let nothing_left = messages.is_empty() && line.socket.pushes.is_empty();
        if all_is_said && nothing_left && !std::mem::replace(&mut self.is_done, true) {
            world.seen.borrow_mut().noted.done += 1;
        }
        self.wait(line).await
    }

    /// Hears what has come over the socket.
    async fn wait(&mut self, line: &mut Line) -> Result<(), Failure> {
        pause(2).await;
        self.calls += 1;
        line.socket.catch_up(self.calls).await
    }
}
