//! What somebody may want, given what happened before, in a world small enough that everything meets
//! everything.

use mailbus_spec::mailbox::{
    Ask, Command, Connection, Delay, Fate, Message, MessageId, Notice, Outcome, Pattern, Patterns,
    Push, Settled, Window,
};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{AgentId, Ordinal, SessionId};

const LONG: usize = 1_000_000;

/// What has happened so far that a command can refer to.
#[derive(Default)]
pub(super) struct Past {
    pub accepted: Vec<Ordinal>,
    pub pushed: Vec<(AgentId, Ordinal)>,
    pub connected: Vec<Connection>,
    pub sent: Vec<Command>,
    /// What was given up, and for whom.
    pub dead: Vec<(AgentId, Ordinal)>,
}

/// What somebody wants. `back` counts from the latest: messages accepted, or pushed to that agent.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Connect {
        agent: usize,
        session: usize,
        window: usize,
        types: Option<u8>,
        last_seen: Option<u64>,
    },
    Disconnect {
        back: usize,
    },
    Subscribe {
        agent: usize,
        types: u8,
    },
    Unsubscribe {
        agent: usize,
        types: u8,
    },
    Message(Draft),
    /// The `back`-th last message again, as it was.
    Again {
        back: usize,
    },
    Ack {
        agent: usize,
        pushed: Vec<usize>,
        accepted: Option<usize>,
    },
    UpTo {
        agent: usize,
        back: usize,
    },
    AckId {
        agent: usize,
        id: usize,
    },
    AckGap {
        agent: usize,
        through: u64,
    },
    Nack {
        agent: usize,
        back: usize,
        delay_ms: u64,
    },
    Working {
        agent: usize,
        back: usize,
    },
    Inbox {
        agent: usize,
        after: Option<usize>,
        limit: usize,
    },
    Agents {
        after: Option<usize>,
        limit: usize,
    },
    Heartbeat {
        agent: usize,
    },
    DeadLetters {
        agent: usize,
        after: Option<usize>,
        limit: usize,
    },
    Redrive {
        agent: usize,
        backs: Vec<usize>,
    },
    Forget {
        agent: usize,
    },
    Recover {
        back: usize,
        ahead_ms: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub from: usize,
    pub to: Option<usize>,
    pub id: usize,
    pub kind: usize,
    pub payload: usize,
    pub ack_required: bool,
    pub ephemeral: bool,
    pub long: bool,
}

const AGENTS: [&str; 4] = ["ann", "bob", "cyd", "never"];
const KINDS: [&str; 3] = ["a", "a.x", "b"];
const PATTERNS: [&str; 4] = ["a", "a.*", "b", "*"];

pub(super) fn agent(number: usize) -> AgentId {
    AgentId::new(AGENTS[number % AGENTS.len()]).unwrap()
}

fn patterns(bits: u8) -> Patterns {
    let chosen = PATTERNS.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    chosen.map(|(_, text)| Pattern::new(*text).unwrap()).collect()
}

fn window(number: usize) -> Option<Window> {
    match number {
        0 => Window::new(1, 100),
        1 => Window::new(2, 1 << 20),
        2 => Window::new(3, 300),
        3 => Some(Window::DEFAULT),
        _ => None,
    }
}

impl Draft {
    pub fn message(&self) -> Message {
        let id = if self.id < 4 { format!(r#""id":"i{}","#, self.id) } else { String::new() };
        let filling = if self.long { "x".repeat(LONG) } else { String::new() };
        let body = format!(
            r#"{{{id}"from":"{}","type":"{}","payload":"p{}","ackRequired":{},"ephemeral":{},"filling":"{filling}"}}"#,
            agent(self.from),
            KINDS[self.kind % KINDS.len()],
            self.payload,
            self.ack_required,
            self.ephemeral,
        );
        stored_message(&body).expect("a message")
    }

    fn ask(&self) -> Ask {
        let message = self.message();
        match self.to {
            Some(to) => Ask::Send { to: agent(to), message },
            None => Ask::Publish { message },
        }
    }
}

fn nth_last<T>(list: &[T], back: usize) -> Option<&T> {
    list.get(list.len().checked_sub(1 + back)?)
}

impl Past {
    fn accepted(&self, back: usize) -> Ordinal {
        nth_last(&self.accepted, back).copied().unwrap_or(Ordinal::new(7).unwrap())
    }

    pub fn pushed(&self, of: usize, back: usize) -> Ordinal {
        Self::of(&self.pushed, of, back)
    }

    fn of(list: &[(AgentId, Ordinal)], of: usize, back: usize) -> Ordinal {
        let of = agent(of);
        let seqs: Vec<Ordinal> =
            list.iter().filter(|(name, _)| *name == of).map(|(_, seq)| *seq).collect();
        nth_last(&seqs, back).copied().unwrap_or(Ordinal::new(7).unwrap())
    }

    fn connection(&self, of: &AgentId, back: usize) -> Option<Connection> {
        let own: Vec<&Connection> =
            self.connected.iter().filter(|connection| connection.agent == *of).collect();
        nth_last(&own, back).map(|connection| (*connection).clone())
    }

    /// Notes what an event came to.
    pub fn note(&mut self, command: Option<&Command>, answer: Option<&Outcome>, pushes: &[Push]) {
        match (command.map(|command| &command.ask), answer) {
            (_, Some(Outcome::Accepted { seq, refused, .. })) => {
                self.accepted.push(*seq);
                self.dead.extend(refused.iter().map(|name| (name.clone(), *seq)));
                self.sent.extend(command.cloned());
            }
            (Some(Ask::Connect { agent, .. }), Some(Outcome::Connected { epoch, .. })) => {
                self.connected.push(Connection { agent: agent.clone(), epoch: *epoch });
            }
            (Some(Ask::Nack { agent, seq, .. }), Some(Outcome::Returned(Fate::Dead))) => {
                self.dead.push((agent.clone(), *seq));
            }
            _ => {}
        }
        for push in pushes {
            if let Notice::Message { seq, .. } = push.notice {
                self.pushed.push((push.to.agent.clone(), seq));
            }
        }
    }

    /// The command of a wish, given what happened before.
    pub fn command(&self, wish: &Wish, over: usize) -> Command {
        if let Wish::Again { back } = wish {
            let fallback = || Command::alone(Ask::Heartbeat { agent: agent(0) });
            return nth_last(&self.sent, *back).cloned().unwrap_or_else(fallback);
        }
        let ask = self.ask(wish);
        let socket = match (&ask, over) {
            (Ask::Forget { .. } | Ask::Recover { .. } | Ask::Connect { .. }, _) | (_, 0) => None,
            (ask, over) => ask.agent().and_then(|agent| self.connection(agent, over - 1)),
        };
        Command { over: socket, ask }
    }

    fn ask(&self, wish: &Wish) -> Ask {
        match wish {
            Wish::Connect { agent: who, session, window: size, types, last_seen } => Ask::Connect {
                agent: agent(*who),
                session: SessionId::new(["", "s1", "s2"][session % 3]).unwrap(),
                window: window(*size),
                types: types.map(patterns),
                last_seen: last_seen
                    .map(|ahead| Ordinal::new(self.accepted(0).get() + ahead).unwrap()),
            },
            Wish::Disconnect { back } => {
                let nobody = Connection { agent: agent(0), epoch: Ordinal::ZERO };
                let connection = nth_last(&self.connected, *back).cloned().unwrap_or(nobody);
                Ask::Disconnect { connection }
            }
            Wish::Subscribe { agent: who, types } => {
                Ask::Subscribe { agent: agent(*who), types: patterns(*types) }
            }
            Wish::Unsubscribe { agent: who, types } => {
                Ask::Unsubscribe { agent: agent(*who), types: patterns(*types) }
            }
            Wish::Message(draft) => draft.ask(),
            Wish::Again { .. } => Ask::Heartbeat { agent: agent(0) },
            Wish::Ack { agent: who, pushed, accepted } => {
                let mut seqs: Vec<Ordinal> =
                    pushed.iter().map(|back| self.pushed(*who, *back)).collect();
                seqs.extend(accepted.map(|back| self.accepted(back)));
                Ask::Ack { agent: agent(*who), what: Settled::Seqs(seqs) }
            }
            Wish::UpTo { agent: who, back } => {
                let last = self.pushed(*who, *back);
                Ask::Ack { agent: agent(*who), what: Settled::UpTo(last) }
            }
            Wish::AckId { agent: who, id } => {
                let id = MessageId::new(format!("i{id}")).unwrap();
                Ask::Ack { agent: agent(*who), what: Settled::Id(id) }
            }
            Wish::AckGap { agent: who, through } => {
                Ask::Ack { agent: agent(*who), what: Settled::Gap(*through) }
            }
            Wish::Nack { agent: who, back, delay_ms } => Ask::Nack {
                agent: agent(*who),
                seq: self.pushed(*who, *back),
                delay: Delay::from_ms(*delay_ms).unwrap(),
            },
            Wish::Working { agent: who, back } => {
                Ask::Working { agent: agent(*who), seq: self.pushed(*who, *back) }
            }
            Wish::Inbox { agent: who, after, limit } => {
                let after = after.map_or(Ordinal::ZERO, |back| self.accepted(back));
                Ask::Inbox { agent: agent(*who), after, limit: *limit }
            }
            Wish::Agents { after, limit } => Ask::Agents { after: after.map(agent), limit: *limit },
            Wish::Heartbeat { agent: who } => Ask::Heartbeat { agent: agent(*who) },
            Wish::DeadLetters { agent: who, after, limit } => {
                let after = after.map_or(Ordinal::ZERO, |back| self.accepted(back));
                Ask::DeadLetters { agent: agent(*who), after, limit: *limit }
            }
            Wish::Redrive { agent: who, backs } => {
                // One back beyond those that are drawn is a message that may be no dead letter.
                let seq = |back: &usize| match back {
                    5 => self.accepted(0),
                    back => Self::of(&self.dead, *who, *back),
                };
                let seqs = backs.iter().map(seq).collect();
                Ask::Redrive { agent: agent(*who), seqs }
            }
            Wish::Forget { agent: who } => Ask::Forget { agent: agent(*who) },
            Wish::Recover { back, ahead_ms } => {
                let at_least = self.accepted(*back).get() + (ahead_ms << Ordinal::SHIFT);
                Ask::Recover { at_least: Ordinal::new(at_least).unwrap() }
            }
        }
    }
}
