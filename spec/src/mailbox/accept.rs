//! Acceptance of messages: of which, once, and for whom.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::{LimitKind, Notice, Outcome, Rejection};
use crate::mailbox::machine::Turn;
use crate::mailbox::message::Message;
use crate::mailbox::near::near;
use crate::mailbox::state::{Agent, Logged, MailboxMachine, Open};
use crate::ordinal::Ordinal;

impl MailboxMachine {
    /// Keeps a message for its recipients: for `to`, or for whoever is subscribed at this commit. With
    /// `must_know` only for one who is known.
    pub(super) fn accept(
        &mut self,
        turn: &mut Turn,
        to: Option<&AgentId>,
        message: &Message,
        must_know: bool,
    ) -> Result<Outcome, Rejection> {
        if !message.ephemeral
            && let Some(answer) = self.repetition(turn, to, message)
        {
            return answer;
        }
        let known = to.map(|to| self.is_known(to));
        let stranger = to.filter(|_| known == Some(false));
        if must_know && let Some(to) = stranger {
            return Err(Rejection::UnknownAgent { near: self.near(to) });
        }
        if message.ephemeral {
            self.send_ephemeral(turn, to, message);
            return Ok(Outcome::Sent);
        }
        if self.log.entries.len() as u64 >= limits::LOG_MESSAGES
            || self.log.bytes.saturating_add(message.bytes()) > limits::LOG_BYTES
        {
            return Err(Rejection::Overloaded);
        }
        if let Some(to) = to {
            self.check_unknown_name(to)?;
        }
        let seq =
            self.last_seq.next(turn.seen.host).ok_or(Rejection::Limit(LimitKind::Ordinals))?;
        self.last_seq = seq;
        turn.wrote = true;
        let mut recipients = 0_u64;
        let mut refused = BTreeSet::new();
        for name in self.addressed(to, message) {
            let agent = self.agents.entry(name.clone()).or_default();
            let share = Share::of(to);
            if agent.has_room_for(message.bytes(), share, |seq| needs_ack(&self.log.entries, seq)) {
                let open = Open { bytes: message.bytes(), ..Open::default() };
                agent.inbox.insert(seq, open);
                recipients = recipients.saturating_add(1);
            } else {
                refused.insert(name);
            }
        }
        let told: Vec<AgentId> = refused.iter().cloned().collect();
        let message = Arc::new(message.clone());
        let logged = Logged { at: turn.now(), message, to: to.cloned(), recipients, refused };
        self.log.insert(seq, logged);
        let near = stranger.map_or_else(Vec::new, |to| self.near(to));
        Ok(Outcome::Accepted { seq, recipients, refused: told, known, near })
    }

    /// The answer to a message that was accepted within the window, or that uses the id of one that
    /// was. Messages without an id are never the same.
    fn repetition(
        &self,
        turn: &Turn,
        to: Option<&AgentId>,
        message: &Message,
    ) -> Option<Result<Outcome, Rejection>> {
        message.id.as_ref()?;
        let recent = self
            .log
            .entries
            .iter()
            .rev()
            .take_while(|(_, logged)| turn.now() < logged.at.plus_ms(limits::DEDUP_MS));
        let mut same = recent.filter(|(_, logged)| {
            logged.message.from == message.from && logged.message.id == message.id
        });
        let (seq, first) = same.next()?;
        let agrees = first.message.kind == message.kind
            && first.to.as_ref() == to
            && first.message.payload == message.payload;
        if !agrees {
            return Some(Err(Rejection::Conflict));
        }
        let (recipients, refused) = (Some(first.recipients), first.refused.iter().cloned());
        Some(Ok(Outcome::Duplicate { seq: *seq, recipients, refused: refused.collect() }))
    }

    /// Agents that are known and whose names look like this one.
    fn near(&self, name: &AgentId) -> Vec<AgentId> {
        let known = self.agents.iter().filter(|(_, agent)| agent.registration.is_some());
        near(name, known.map(|(name, _)| name))
    }

    /// Names that never connected hold a bounded amount of mail: anybody may invent one.
    fn check_unknown_name(&self, to: &AgentId) -> Result<(), Rejection> {
        if self.is_known(to) {
            return Ok(());
        }
        let held = self.agents.get(to).map_or(0, |agent| agent.inbox.len());
        let unknown = |agent: &&Agent| agent.registration.is_none() && !agent.inbox.is_empty();
        if held >= limits::UNKNOWN_NAME_MESSAGES {
            Err(Rejection::Limit(LimitKind::UnknownNameMessages))
        } else if held == 0 && self.agents.values().filter(unknown).count() >= limits::UNKNOWN_NAMES
        {
            Err(Rejection::Limit(LimitKind::UnknownNames))
        } else {
            Ok(())
        }
    }

    /// Agents that a message is for, by name.
    fn addressed(&self, to: Option<&AgentId>, message: &Message) -> Vec<AgentId> {
        match to {
            Some(to) => alloc::vec![to.clone()],
            None => {
                let wanted = self
                    .agents
                    .iter()
                    .filter(|(name, agent)| **name != message.from && agent.wants(message));
                wanted.map(|(name, _)| name.clone()).collect()
            }
        }
    }

    /// Sends a message to those who are there, as far as the event's budget goes.
    fn send_ephemeral(&self, turn: &mut Turn, to: Option<&AgentId>, message: &Message) {
        for name in self.addressed(to, message) {
            let live = self.agents.get(&name).and_then(|agent| agent.live.as_ref());
            let Some(epoch) = live.map(|live| live.epoch) else { continue };
            if turn.budget.take(message.bytes()) {
                turn.push(&name, epoch, Notice::Ephemeral { message: message.clone() });
            }
        }
    }
}

/// True if only an ack settles the message.
pub(super) fn needs_ack(
    entries: &alloc::collections::BTreeMap<Ordinal, Logged>,
    seq: Ordinal,
) -> bool {
    entries.get(&seq).is_none_or(|logged| logged.message.ack_required)
}

impl Agent {
    /// True if one more message fits, counting what a session that never acknowledges was pushed as
    /// settled: it is, as soon as something is recorded.
    pub(super) fn has_room_for(
        &self,
        bytes: u64,
        share: Share,
        needs_ack: impl Fn(Ordinal) -> bool,
    ) -> bool {
        let silent = self.live.iter().filter(|live| live.window.is_none());
        let presumable = silent
            .flat_map(|live| live.flights.keys())
            .filter(|seq| !needs_ack(**seq))
            .filter_map(|seq| self.inbox.open.get(seq));
        let (mut count, mut sum) = self.filled();
        for open in presumable {
            count = count.saturating_sub(1);
            sum = sum.saturating_sub(open.bytes);
        }
        share.holds(count.saturating_add(1), sum.saturating_add(bytes))
    }
}

/// Share of an inbox that a message may fill, pending or failed: what everybody hears leaves room for what is
/// sent to its agent ([refuted](crate::rules::refuted#chatter-that-takes-the-place-of-an-order)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Of a message that was published.
    Published,
    /// Of a message to one agent, and of what is redriven.
    Direct,
}

impl Share {
    /// The share of a message that is for `to`, or else for whoever subscribed.
    #[must_use]
    pub const fn of(to: Option<&AgentId>) -> Self {
        match to {
            None => Self::Published,
            Some(_) => Self::Direct,
        }
    }

    /// True if an inbox of so many messages and bytes is no larger than this share.
    #[must_use]
    pub const fn holds(self, messages: u64, bytes: u64) -> bool {
        let (most, most_bytes) = match self {
            Self::Published => (limits::INBOX_PUBLISHED_MESSAGES, limits::INBOX_PUBLISHED_BYTES),
            Self::Direct => (limits::INBOX_MESSAGES, limits::INBOX_BYTES),
        };
        messages <= most && bytes <= most_bytes
    }
}
