//! What is asked in a history, of those who are there and what is pending.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::state::Logged;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Delay, MailboxMachine, Message, MessageId, Pattern, Patterns,
    Settled, Window,
};
use mailbus_spec::wire::mailbox::{derived_id, stored_message};
use mailbus_spec::{AgentId, Ordinal, SessionId};

use super::draw::{Happening, LONG_ALONE, Load};

/// The last is never connected.
const AGENTS: [&str; 4] = ["ann", "bob", "cyd", "never"];
const KINDS: [&str; 3] = ["a", "a.x", "b"];
const PATTERNS: [&str; 4] = ["a", "a.*", "b", "*"];
const LIMITS: [usize; 4] = [1, 2, 5, 1_000];
const DELAYS_MS: [u64; 8] = [0, 0, 0, 0, 0, 1_000, 10_000, 3_600_000];

/// A happening, and what it may refer to.
pub(super) struct Place<'a> {
    pub model: &'a MailboxMachine,
    pub connected: &'a [Connection],
    pub happening: &'a Happening,
    pub load: Load,
}

impl Place<'_> {
    /// The command of most happenings.
    pub fn command(&self) -> Command {
        let ask = self.ask();
        let socket = match &ask {
            Ask::Connect { .. } | Ask::Recover { .. } => None,
            ask => ask.agent().and_then(|agent| self.socket(agent)),
        };
        Command { over: socket, ask }
    }

    fn ask(&self) -> Ask {
        let Happening { what, details: [first, second, _], .. } = *self.happening;
        let agent = self.agent();
        match what {
            0..88 => self.message(),
            88..110 => self.connect(),
            110..118 => Ask::Disconnect { connection: self.session(usize::from(first % 4)) },
            118..124 => Ask::Subscribe { agent, types: patterns(first) },
            124..130 => Ask::Unsubscribe { agent, types: patterns(first) },
            130..166 => Ask::Ack { what: self.settled(&agent), agent },
            166..206 => {
                let delay = DELAYS_MS[usize::from(second % 8)];
                let delay = Delay::from_ms(delay).expect("within the bounds");
                Ask::Nack { seq: self.suffering(&agent, first), delay, agent }
            }
            206..218 => Ask::Working { seq: self.suffering(&agent, first), agent },
            218..226 => {
                let limit = LIMITS[usize::from(second % 4)];
                Ask::Inbox { after: self.after(first), limit, agent }
            }
            226..229 => {
                let after = (first % 2 == 0).then(|| name(second));
                Ask::Agents { after, limit: LIMITS[usize::from(second / 4 % 4)] }
            }
            229..231 => Ask::Heartbeat { agent },
            231..238 => {
                let limit = LIMITS[usize::from(second % 4)];
                Ask::DeadLetters { after: self.after(first), limit, agent }
            }
            238..250 => Ask::Redrive { seqs: self.letters(&agent), agent },
            250..252 => Ask::Forget { agent },
            _ => {
                let least = Ordinal::new(super::NOON << Ordinal::SHIFT).expect("within the bounds");
                let ahead = [0, 1, 1_000, 4_000_000][usize::from(first % 4)] << Ordinal::SHIFT;
                let at_least = self.model.last_seq.max(least).get() + ahead;
                Ask::Recover { at_least: Ordinal::new(at_least).unwrap_or(least) }
            }
        }
    }

    /// One of those who connect, mostly.
    fn agent(&self) -> AgentId {
        let who = self.happening.who % 16;
        name(if who == 15 { 3 } else { who % 3 })
    }

    /// Over which session's socket a command comes: mostly the live one's, or none.
    fn socket(&self, agent: &AgentId) -> Option<Connection> {
        let mut earlier = self.connected.iter().rev().filter(|of| of.agent == *agent);
        match self.happening.who / 16 {
            0..10 => {
                let live = self.model.agents.get(agent)?.live.as_ref()?;
                Some(Connection { agent: agent.clone(), epoch: live.epoch })
            }
            10 => earlier.next().cloned(),
            11 => earlier.nth(1).cloned(),
            _ => None,
        }
    }

    /// The `back`-th last session of all, or one that never was.
    fn session(&self, back: usize) -> Connection {
        let nobody = || Connection { agent: self.agent(), epoch: Ordinal::ZERO };
        self.connected.iter().rev().nth(back).cloned().unwrap_or_else(nobody)
    }

    fn connect(&self) -> Ask {
        let [first, second, third] = self.happening.details;
        let windows = [
            Window::new(1, 100),
            Window::new(2, 1 << 20),
            Window::new(3, 300),
            Some(Window::DEFAULT),
            None,
            None,
        ];
        let last = self.model.last_seq;
        let last_seen = match third {
            0..24 => Some(last),
            24..32 => Ordinal::new(last.get() + 1),
            _ => None,
        };
        Ask::Connect {
            agent: name(self.happening.who % 3),
            session: SessionId::new(["", "s1", "s2"][usize::from(first % 3)]).expect("a name"),
            window: windows[usize::from(first / 3 % 6)],
            types: (second % 2 == 0).then(|| patterns(second / 2)),
            last_seen,
        }
    }

    fn message(&self) -> Ask {
        let [first, second, third] = self.happening.details;
        let id = (second % 8 < 4).then_some(second % 4);
        // What has an id is mostly as the last one of that id was.
        let (kind, payload) = match id {
            Some(id) if second < 160 => (id, 0),
            _ => (second / 8, second / 24 % 2),
        };
        let draft = Draft {
            from: self.happening.who,
            id,
            kind: if third % 32 == 31 { "heartbeat" } else { KINDS[usize::from(kind % 3)] },
            payload,
            ack_required: third % 4 == 0,
            ephemeral: third % 32 == 29,
            filling: if third == LONG_ALONE { self.load.filling_bytes() } else { 0 },
        };
        let to = match first % 8 {
            0..4 => None,
            to => Some(name(to)),
        };
        draft.ask(to)
    }

    /// The `number`-th of many messages: short ones, or long ones that fill an inbox.
    pub fn burst(&self, number: usize) -> Ask {
        let [first, second, _] = self.happening.details;
        let draft = Draft {
            from: 0,
            id: None,
            kind: KINDS[number % 3],
            payload: 0,
            ack_required: (number + usize::from(second)).is_multiple_of(7),
            ephemeral: false,
            filling: if self.happening.what == 254 { self.load.filling_bytes() } else { 0 },
        };
        draft.ask((first % 2 == 0).then(|| name(first / 2)))
    }

    fn settled(&self, agent: &AgentId) -> Settled {
        let [first, second, third] = self.happening.details;
        match first % 16 {
            0..4 => Settled::UpTo(self.flight(agent, second)),
            4 => Settled::Id(id(second)),
            5 => {
                let derived = derived_id(self.mail(agent, second));
                Settled::Id(MessageId::new(derived).expect("a short name"))
            }
            6..9 => {
                let known = self.model.agents.get(agent).and_then(|a| a.registration.as_ref());
                let through = known.map_or(0, |known| known.losses.through);
                Settled::Gap((through + 1).saturating_sub(u64::from(second % 4)))
            }
            _ => {
                let named = [self.flight(agent, second), self.mail(agent, third)];
                let all = [named[0], named[1], named[0]];
                Settled::Seqs(all[..usize::from(third / 64)].to_vec())
            }
        }
    }

    /// A delivery in flight to the agent, mostly the first; if there is none, some message.
    fn flight(&self, agent: &AgentId, number: u8) -> Ordinal {
        let live = self.model.agents.get(agent).and_then(|agent| agent.live.as_ref());
        let flights = live.into_iter().flat_map(|live| live.flights.keys());
        let flights: Vec<Ordinal> = flights.copied().take(4).collect();
        let number = number.saturating_sub(160);
        chosen(&flights, number).unwrap_or_else(|| self.mail(agent, number))
    }

    /// Mostly the delivery in flight whose message has failed most: only who fails again and again is
    /// given up.
    fn suffering(&self, agent: &AgentId, number: u8) -> Ordinal {
        let known = self.model.agents.get(agent);
        let live = known.and_then(|known| known.live.as_ref()).filter(|_| number < 200);
        let flights = live.into_iter().flat_map(|live| live.flights.keys().rev());
        let failures = |seq: &&Ordinal| known.and_then(|known| known.inbox.open.get(seq));
        let most = flights.max_by_key(|seq| failures(seq).map_or(0, |open| open.failures));
        most.copied().unwrap_or_else(|| self.flight(agent, number))
    }

    /// A message that is or was the agent's, or one of the last of all, or none.
    fn mail(&self, agent: &AgentId, back: u8) -> Ordinal {
        let last = self.model.log.entries.keys().rev().take(3).copied();
        let own = self.model.agents.get(agent);
        let open = own.into_iter().flat_map(|own| own.inbox.open.keys().rev().take(5));
        let failed = own.into_iter().flat_map(|own| own.failed.keys().rev().take(3));
        let some: BTreeSet<Ordinal> = last.chain(open.chain(failed).copied()).collect();
        let some: Vec<Ordinal> = some.into_iter().collect();
        chosen(&some, back).unwrap_or(Ordinal::ZERO)
    }

    fn letters(&self, agent: &AgentId) -> Vec<Ordinal> {
        let [first, second, third] = self.happening.details;
        let refused = |(_, logged): &(&Ordinal, &Logged)| logged.refused.contains(agent);
        let refused = self.model.log.entries.iter().rev().filter(refused).take(2);
        let failed = self.model.agents.get(agent).map(|agent| &agent.failed);
        let failed = failed.into_iter().flat_map(|failed| failed.keys().rev().take(4));
        let letters = failed.chain(refused.map(|(seq, _)| seq)).copied();
        let mut letters: Vec<Ordinal> = letters.take(usize::from(first % 5)).collect();
        if second % 2 == 0 {
            letters.push(self.mail(agent, third));
        }
        letters
    }

    /// From where a page begins: the beginning, one of the last messages, or past the last.
    fn after(&self, back: u8) -> Ordinal {
        match back % 8 {
            0..3 => Ordinal::ZERO,
            7 => Ordinal::new(self.model.last_seq.get() + 1).unwrap_or_default(),
            back => {
                let mut last = self.model.log.entries.keys().rev();
                last.nth(usize::from(back - 3)).copied().unwrap_or_default()
            }
        }
    }
}

fn chosen(seqs: &[Ordinal], number: u8) -> Option<Ordinal> {
    seqs.get(usize::from(number).checked_rem(seqs.len())?).copied()
}

fn name(number: u8) -> AgentId {
    AgentId::new(AGENTS[usize::from(number) % AGENTS.len()]).expect("a name")
}

fn id(number: u8) -> MessageId {
    MessageId::new(format!("i{}", number % 4)).expect("a name")
}

fn patterns(bits: u8) -> Patterns {
    let chosen = PATTERNS.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    chosen.map(|(_, text)| Pattern::new(*text).expect("a pattern")).collect()
}

/// A message to be.
struct Draft {
    from: u8,
    id: Option<u8>,
    kind: &'static str,
    payload: u8,
    ack_required: bool,
    ephemeral: bool,
    filling: usize,
}

impl Draft {
    fn ask(&self, to: Option<AgentId>) -> Ask {
        let message = self.message();
        match to {
            Some(to) => Ask::Send { to, message },
            None => Ask::Publish { message },
        }
    }

    fn message(&self) -> Message {
        let Self { from, kind, payload, ack_required, ephemeral, .. } = self;
        let id = self.id.map(|number| format!(r#""id":"{}","#, id(number))).unwrap_or_default();
        let from = name(from % 3);
        let filling = "x".repeat(self.filling);
        let body = format!(
            r#"{{{id}"from":"{from}","type":"{kind}","payload":{payload},"ackRequired":{ack_required},"ephemeral":{ephemeral},"filling":"{filling}"}}"#,
        );
        stored_message(&body).expect("a message")
    }
}
