//! The observer of the mailbox object: messages, agents and deliveries as somebody knows them who only
//! hears the object.
//!
//! It is made from commands, replies and pushes alone, each taken at its word, by the rules that every
//! client may rely on; it does not decide what the object should have done. What time may have ended
//! without a word (a retention, a presumption, an agent that is forgotten) it knows only as possible.
//! Each event gives [`Fact`]s: what was said, beside what was to be expected. The invariants judge them.

pub mod fact;
mod listings;
mod pushes;
mod replies;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use mailbus_spec::limits::{MAX_DELIVERIES, PRESUMED_MS, RETENTION_MS};
use mailbus_spec::mailbox::{Connection, MailboxMachine, Message, MessageId, Patterns, Window};
use mailbus_spec::{AgentId, Clock, Ordinal, SessionId, Timestamp};

use crate::judge::history::Happened;
use crate::judge::observer;

pub use fact::{Fact, Flying, Pushed};

/// Event of a mailbox object.
pub type MailEvent = Happened<MailboxMachine>;
/// One event of a mailbox object, when it has been read.
pub type Moment<'a> = observer::Moment<'a, MailboxObserver>;

/// Mail as the object has told of it.
#[derive(Clone, Debug, Default)]
pub struct MailboxObserver {
    /// The object's clock.
    pub clock: Clock,
    /// The messages that were accepted, by `seq`.
    pub messages: BTreeMap<Ordinal, Accepted>,
    /// The latest message under each key of a sender.
    pub keys: BTreeMap<(AgentId, MessageId), Ordinal>,
    /// Everybody who was ever named.
    pub agents: BTreeMap<AgentId, Mailbox>,
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The object's time of it.
    pub at: Timestamp,
    /// The message.
    pub message: Rc<Message>,
    /// The one agent it was sent to; `None` if it was published.
    pub to: Option<AgentId>,
}

/// One agent.
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    /// True if the object keeps something of it by name.
    pub known: bool,
    /// Its subscriptions; `None` if it has never chosen.
    pub types: Option<Patterns>,
    /// Time at which it last took part in what was not refused, or had a session when it ended.
    pub seen_at: Timestamp,
    /// The largest epoch that a session of it was given.
    pub epoch: Ordinal,
    /// The session that is pushed to.
    pub live: Option<Live>,
    /// Sessions that are open and silent.
    pub superseded: Vec<Ordinal>,
    /// Messages that it was ever owed, by `seq`.
    pub owed: BTreeMap<Ordinal, Owed>,
    /// Number of losses that it has to have been told of.
    pub lost: u64,
    /// Number of losses that it has acknowledged.
    pub acknowledged: u64,
}

/// A live session.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its epoch.
    pub epoch: Ordinal,
    /// Run of the agent.
    pub session: SessionId,
    /// Its window; `None` for one that negotiated nothing.
    pub window: Option<Window>,
    /// Unsettled pushes of this session, as often as they were made.
    pub flights: Vec<Flight>,
    /// The largest `seq` among pushes of what was never given back.
    pub sent_through: Ordinal,
    /// The delivery its client is about to handle.
    pub working: Option<Ordinal>,
}

/// One push that is not settled.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Message that is under way.
    pub seq: Ordinal,
    /// The attempt that its push said.
    pub attempt: u64,
    /// Number of bytes that it has.
    pub bytes: u64,
    /// The object's time of it.
    pub at: Timestamp,
    /// True if the message had been given back or redriven before.
    pub again: bool,
    /// True if the message says that only an ack settles it.
    pub ack_required: bool,
}

/// State of a message for one of its recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owing {
    /// It is to be delivered.
    Pending,
    /// It is settled.
    Settled,
    /// It failed too often.
    Dead,
    /// The inbox was full.
    Refused,
    /// Time has ended it, and the object has shown that.
    Gone,
}

/// One message for one of its recipients.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    /// State of it.
    pub owing: Owing,
    /// Number of its deliveries that have failed.
    pub failures: u64,
    /// True if it was ever pushed.
    pub pushed: bool,
    /// True if it was ever a dead letter: order says nothing of it then.
    pub was_dead: bool,
    /// Time at which it may be pushed again, once it was given back or redriven.
    pub due: Option<Timestamp>,
    /// True if time may have ended it without a word.
    pub may_be_over: bool,
    /// Time at which it was last given up.
    pub died: Option<Timestamp>,
}

impl Owed {
    /// True if it failed, and is a dead letter for certain.
    #[must_use]
    pub fn is_letter(&self, now: Timestamp) -> bool {
        let ends = self.died.map(|at| at.plus_ms(RETENTION_MS));
        self.owing == Owing::Dead && ends.is_some_and(|end| now < end)
    }

    fn die(&mut self, now: Timestamp) {
        self.owing = Owing::Dead;
        self.was_dead = true;
        self.died = Some(now);
    }

    /// Entry of a message that was just accepted.
    #[must_use]
    pub fn new(owing: Owing) -> Self {
        Self {
            owing,
            failures: 0,
            pushed: false,
            was_dead: owing == Owing::Refused,
            due: None,
            may_be_over: false,
            died: None,
        }
    }
}

impl Flight {
    /// True if its session may be presumed to have settled it by now.
    #[must_use]
    pub fn is_presumable(&self, now: Timestamp) -> bool {
        !self.ack_required && self.at.plus_ms(PRESUMED_MS) <= now
    }
}

impl Live {
    /// True if a message is in flight.
    #[must_use]
    pub fn has(&self, seq: Ordinal) -> bool {
        self.flights.iter().any(|flight| flight.seq == seq)
    }

    fn presumable(&self, now: Timestamp) -> impl Iterator<Item = Ordinal> {
        let negotiated = self.window.is_some();
        let over =
            self.flights.iter().filter(move |flight| !negotiated && flight.is_presumable(now));
        over.map(|flight| flight.seq)
    }
}

impl Accepted {
    /// True if its retention is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.at.plus_ms(RETENTION_MS) <= now
    }
}

impl Mailbox {
    /// True if the object may have forgotten the agent without a word.
    #[must_use]
    pub fn may_be_forgotten(&self, now: Timestamp) -> bool {
        let has_session = self.live.is_some() || !self.superseded.is_empty();
        !has_session && self.seen_at.plus_ms(RETENTION_MS) <= now
    }

    /// True if it is subscribed to a message.
    #[must_use]
    pub fn wants(&self, message: &Message) -> bool {
        let mut types = self.types.iter().flatten();
        types.any(|pattern| pattern.matches(&message.kind))
    }

    /// The session is over: what time may have ended by now may stay ended.
    fn end_session(&mut self, now: Timestamp) -> Option<Live> {
        let live = self.live.take()?;
        for seq in live.presumable(now) {
            if let Some(owed) = self.owed.get_mut(&seq) {
                owed.may_be_over = true;
            }
        }
        Some(live)
    }

    /// The end of a session is the failure of what its client had announced.
    fn fail_announced(&mut self, now: Timestamp, ended: &Live) {
        let Some(seq) = ended.working.filter(|seq| ended.has(*seq)) else { return };
        let Some(owed) = self.owed.get_mut(&seq) else { return };
        owed.failures += 1;
        if owed.failures >= MAX_DELIVERIES {
            owed.die(now);
            self.lost += 1;
        }
    }

    /// Takes a delivery out of flight.
    fn land(&mut self, seq: Ordinal) {
        if let Some(live) = &mut self.live {
            live.flights.retain(|flight| flight.seq != seq);
            live.working = live.working.filter(|working| *working != seq);
        }
    }
}

impl MailboxObserver {
    fn is_live(&self, connection: &Connection) -> bool {
        let mailbox = self.agents.get(&connection.agent);
        let live = mailbox.and_then(|mailbox| mailbox.live.as_ref());
        live.is_some_and(|live| live.epoch == connection.epoch)
    }

    fn mailbox(&mut self, agent: &AgentId) -> &mut Mailbox {
        self.agents.entry(agent.clone()).or_default()
    }

    /// True if an agent is certainly still owed a message.
    #[must_use]
    pub fn is_certainly_owed(&self, agent: &AgentId, seq: Ordinal, now: Timestamp) -> bool {
        let Some(mailbox) = self.agents.get(agent) else { return false };
        let Some(owed) = mailbox.owed.get(&seq) else { return false };
        owed.owing == Owing::Pending && !self.may_be_over(mailbox, seq, owed, now)
    }

    fn may_be_over(&self, mailbox: &Mailbox, seq: Ordinal, owed: &Owed, now: Timestamp) -> bool {
        let live = mailbox.live.as_ref();
        owed.may_be_over
            || self.messages.get(&seq).is_none_or(|accepted| accepted.is_expired(now))
            || live.is_some_and(|live| live.presumable(now).any(|presumed| presumed == seq))
    }

    /// The messages that an agent is certainly still owed.
    pub fn certainly_owed(&self, agent: &AgentId, now: Timestamp) -> impl Iterator<Item = Ordinal> {
        let mailbox = self.agents.get(agent);
        let pending = mailbox.into_iter().flat_map(move |mailbox| {
            let owed = mailbox.owed.iter().filter(|(_, owed)| owed.owing == Owing::Pending);
            owed.filter(move |(seq, owed)| !self.may_be_over(mailbox, **seq, owed, now))
        });
        pending.map(|(seq, _)| *seq)
    }

    /// The messages that somebody may still be owed, or may still be given.
    #[must_use]
    pub fn justified(&self) -> BTreeSet<Ordinal> {
        let owed = self.agents.values().flat_map(|mailbox| &mailbox.owed);
        let kept = owed.filter(|(_, owed)| {
            matches!(owed.owing, Owing::Pending | Owing::Dead | Owing::Refused)
        });
        kept.map(|(seq, _)| *seq).collect()
    }
}
