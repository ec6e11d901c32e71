//! State of the mailbox object.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{AgentId, SessionId};
use crate::limits;
use crate::mailbox::answer::{DeadLetter, DeadReason, Gap};
use crate::mailbox::command::{Connection, Fence, Window};
use crate::mailbox::message::Message;
use crate::mailbox::pattern::Patterns;
use crate::ordinal::Ordinal;
use crate::time::{Clock, HostTime, Timestamp};

/// The reference model of one workspace's mail.
///
/// Its state is open to be looked at, hashed and compared: it is the subject of every checker. All but
/// the sessions is storage: what a crash leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MailboxMachine {
    /// The object's clock.
    pub clock: Clock,
    /// The largest `seq` issued, or not to be issued any more.
    pub last_seq: Ordinal,
    /// Number of commands and alarms that have written.
    pub sequence: u64,
    /// Life of the storage; 0 before the first write.
    pub generation: u64,
    /// Time at which a round of collection last came to its end.
    pub round_at: Timestamp,
    /// The messages that are kept.
    pub log: Log,
    /// Agents that are known by name, or have mail kept for them.
    pub agents: BTreeMap<AgentId, Agent>,
}

/// The messages of a workspace by `seq`.
///
/// Invariant: `at` never falls as `seq` rises; `bytes` is the sum over the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    /// The messages.
    pub entries: BTreeMap<Ordinal, Logged>,
    /// Their bytes.
    pub bytes: u64,
}

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Logged {
    /// The object time of its commit.
    pub at: Timestamp,
    /// The message.
    pub message: Arc<Message>,
    /// The one agent it was sent to; `None` if it was published.
    pub to: Option<AgentId>,
    /// Number of agents that it was given to, by a redrive too.
    pub recipients: u64,
    /// Agents whose inbox was full.
    pub refused: BTreeSet<AgentId>,
}

/// One agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    /// Record that is kept of it by name; `None` for a name that only others have used.
    pub registration: Option<Registration>,
    /// Pending messages.
    pub inbox: Inbox,
    /// Messages that failed for good, by `seq`. What a full inbox refused is told by the log.
    pub failed: BTreeMap<Ordinal, Failed>,
    /// The session that is pushed to.
    pub live: Option<Session>,
    /// The epochs of sessions that negotiated nothing and were replaced: open, and silent. The oldest
    /// first.
    pub superseded: Vec<Ordinal>,
}

/// Record that is kept of an agent by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registration {
    /// Its subscriptions; `None` if it has never chosen.
    pub types: Option<Patterns>,
    /// The largest epoch that was given to a session of it; before the first one an ordinal of the
    /// time at which it became known. Above every earlier one of its name.
    pub epoch: Ordinal,
    /// Messages that it lost and has not acknowledged.
    pub losses: Losses,
    /// The object time of the last event that wrote something about it: at most a day before it last gave a
    /// sign of life.
    pub written_at: Timestamp,
}

/// The losses of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Losses {
    /// Number of those that are not acknowledged.
    pub count: u64,
    /// Number of all that there ever were.
    pub through: u64,
    /// A bound from below of their `seq`, since `count` was last 0.
    pub first: Ordinal,
    /// A bound from above.
    pub last: Ordinal,
}

/// The pending messages of an agent.
///
/// Invariant: each is in the log; `bytes` is the sum over them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inbox {
    /// The messages by `seq`.
    pub open: BTreeMap<Ordinal, Open>,
    /// Their bytes.
    pub bytes: u64,
}

/// One pending message of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Open {
    /// Number of bytes that it has.
    pub bytes: u64,
    /// Number of deliveries that are on record.
    pub attempts: u64,
    /// Number of those that failed.
    pub failures: u64,
    /// Time at which it may be pushed again, once it was given back or redriven.
    pub due: Option<Timestamp>,
    /// True if it was a dead letter once.
    pub redriven: bool,
}

/// A message that failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failed {
    /// Number of bytes that it has.
    pub bytes: u64,
    /// Number of deliveries that are on record.
    pub attempts: u64,
    /// Time at which it was given up.
    pub at: Timestamp,
}

/// Request of a session that begins.
pub(super) struct Asked {
    pub session: SessionId,
    pub window: Option<Window>,
    pub types: Option<Patterns>,
}

/// A live session: kept by its socket, not by the storage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its epoch.
    pub epoch: Ordinal,
    /// Run of the agent.
    pub session: SessionId,
    /// Its window; `None` for a session that negotiated nothing.
    pub window: Option<Window>,
    /// The object time of the last event that pushed it something accepted earlier; its connect counts.
    pub since: Timestamp,
    /// Messages that it was pushed and has not settled.
    pub flights: BTreeMap<Ordinal, Flight>,
    /// The delivery that its client is about to handle.
    pub working: Option<Ordinal>,
}

/// A delivery in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    /// True if the message had been given back or redriven before.
    pub again: bool,
    /// True if this delivery is on record.
    pub counted: bool,
}

impl Losses {
    /// Gap that the agent is told; nothing while nothing is unacknowledged.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        let Self { count, first, last, through } = *self;
        (count > 0).then_some(Gap { count, first, last, through })
    }

    pub(super) fn add(&mut self, seq: Ordinal) {
        let is_first = self.count == 0;
        self.first = if is_first { seq } else { self.first.min(seq) };
        self.last = if is_first { seq } else { self.last.max(seq) };
        self.count = self.count.saturating_add(1);
        self.through = self.through.saturating_add(1);
    }
}

impl Inbox {
    pub(super) fn insert(&mut self, seq: Ordinal, open: Open) {
        self.bytes = self.bytes.saturating_add(open.bytes);
        self.open.insert(seq, open);
    }

    pub(super) fn remove(&mut self, seq: Ordinal) -> Option<Open> {
        let open = self.open.remove(&seq)?;
        self.bytes = self.bytes.saturating_sub(open.bytes);
        Some(open)
    }

    /// Number of messages that are pending.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.open.len() as u64
    }

    /// True if nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl Logged {
    /// Time at which its retention ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.at.plus_ms(limits::RETENTION_MS)
    }
}

impl Failed {
    /// Time at which it is no dead letter any more.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.at.plus_ms(limits::RETENTION_MS)
    }
}

impl Log {
    pub(super) fn insert(&mut self, seq: Ordinal, logged: Logged) {
        self.bytes = self.bytes.saturating_add(logged.message.bytes());
        self.entries.insert(seq, logged);
    }

    pub(super) fn remove(&mut self, seq: Ordinal) {
        if let Some(logged) = self.entries.remove(&seq) {
            self.bytes = self.bytes.saturating_sub(logged.message.bytes());
        }
    }
}

impl Agent {
    /// True if the agent is subscribed to messages like this one.
    #[must_use]
    pub fn wants(&self, message: &Message) -> bool {
        let types = self.registration.as_ref().and_then(|registration| registration.types.as_ref());
        types.is_some_and(|types| types.iter().any(|pattern| pattern.matches(&message.kind)))
    }

    /// Messages that fill the agent's inbox, and their bytes: what is pending and what failed
    /// ([refuted](crate::rules::refuted#letters-that-push-each-other-out)).
    #[must_use]
    pub fn filled(&self) -> (u64, u64) {
        let failed = self.failed.values();
        failed.fold((self.inbox.len(), self.inbox.bytes), |(messages, bytes), failed| {
            (messages.saturating_add(1), bytes.saturating_add(failed.bytes))
        })
    }

    /// True if its inbox holds more than it may.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let (messages, bytes) = self.filled();
        messages > limits::INBOX_MESSAGES || bytes > limits::INBOX_BYTES
    }

    /// True if a session of the agent is open, live or superseded.
    #[must_use]
    pub fn has_session(&self) -> bool {
        self.live.is_some() || !self.superseded.is_empty()
    }

    /// Time at which the session of an agent is its next sign of life.
    pub(super) fn sight_at(&self) -> Option<Timestamp> {
        let known = self.registration.as_ref().filter(|_| self.has_session())?;
        Some(known.written_at.plus_ms(limits::SIGHT_MS))
    }

    /// Fence of a delivery in flight: what its push said.
    #[must_use]
    pub fn fence(&self, seq: Ordinal) -> Option<Fence> {
        let (live, open) = (self.live.as_ref()?, self.inbox.open.get(&seq)?);
        let flight = live.flights.get(&seq)?;
        let attempt = open.attempts.saturating_add(u64::from(!flight.counted));
        Some(Fence { epoch: live.epoch, attempt })
    }

    /// The ordinal of what there is of the name: its epoch, or the last that was sent to a name that
    /// never connected.
    #[must_use]
    pub fn latest(&self) -> Ordinal {
        let last = || self.inbox.open.last_key_value().map(|(seq, _)| *seq);
        let epoch = self.registration.as_ref().map(|known| known.epoch);
        epoch.or_else(last).unwrap_or(Ordinal::ZERO)
    }

    /// True if a pending message was ever pushed: a delivery of it is on record or in flight.
    #[must_use]
    pub fn was_pushed(&self, seq: Ordinal) -> bool {
        let recorded = self.inbox.open.get(&seq).is_some_and(|open| open.attempts > 0);
        recorded || self.live.as_ref().is_some_and(|live| live.flights.contains_key(&seq))
    }

    /// True if nothing is left to be known of a name.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.registration.is_none() && self.inbox.is_empty()
    }
}

impl MailboxMachine {
    /// The object was killed: sockets are gone, and what they kept with them. Nothing is recorded.
    pub fn break_sessions(&mut self) {
        for agent in self.agents.values_mut() {
            agent.live = None;
            agent.superseded.clear();
        }
    }

    /// An epoch for an agent: above every earlier one of its name, and above all that was accepted.
    pub(super) fn next_epoch(&self, host: HostTime, name: &AgentId) -> Option<Ordinal> {
        let known = self.agents.get(name).and_then(|agent| agent.registration.as_ref());
        known.map_or(Ordinal::ZERO, |known| known.epoch).max(self.last_seq).next(host)
    }

    /// True if the session is its agent's live one.
    #[must_use]
    pub fn is_live(&self, connection: &Connection) -> bool {
        let agent = self.agents.get(&connection.agent);
        agent
            .and_then(|agent| agent.live.as_ref())
            .is_some_and(|live| live.epoch == connection.epoch)
    }

    /// True if the agent is known by name.
    #[must_use]
    pub fn is_known(&self, name: &AgentId) -> bool {
        self.agents.get(name).is_some_and(|agent| agent.registration.is_some())
    }

    /// Number of agents that are known by name.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.agents.values().filter(|agent| agent.registration.is_some()).count()
    }

    /// The dead letters of an agent by `seq`: what failed, and of what its full inbox refused the newest
    /// [`limits::AGENT_REFUSED`].
    #[must_use]
    pub fn dead_letters(&self, name: &AgentId) -> Vec<DeadLetter> {
        let letter = |(seq, logged, failed): (Ordinal, &Logged, Option<&Failed>)| {
            let (reason, attempts, at) = match failed {
                Some(failed) => (DeadReason::Failed, failed.attempts, failed.at),
                None => (DeadReason::Refused, 0, logged.at),
            };
            DeadLetter { seq, reason, attempts, at, message: (*logged.message).clone() }
        };
        let mut letters: Vec<DeadLetter> = self.letters(name).map(letter).collect();
        letters.reverse();
        letters
    }

    /// The dead letters of an agent, the newest first, with how each failed; the others were refused.
    pub(super) fn letters<'a>(
        &'a self,
        name: &'a AgentId,
    ) -> impl Iterator<Item = (Ordinal, &'a Logged, Option<&'a Failed>)> {
        let failed = self.agents.get(name).map(|agent| &agent.failed);
        let mut places = 0..limits::AGENT_REFUSED;
        let letter = move |(seq, logged): (&Ordinal, &'a Logged)| {
            let failed = failed.and_then(|failed| failed.get(seq));
            let mut counts = || logged.refused.contains(name) && places.next().is_some();
            (failed.is_some() || counts()).then_some((*seq, logged, failed))
        };
        self.log.entries.iter().rev().filter_map(letter)
    }

    /// Number of an agent's dead letters that its full inbox has refused.
    #[must_use]
    pub fn refused(&self, name: &AgentId) -> u64 {
        self.letters(name).filter(|(_, _, failed)| failed.is_none()).count() as u64
    }
}
