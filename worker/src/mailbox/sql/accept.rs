//! Acceptance of messages: of which, once, and for whom.

use mailbus_spec::mailbox::near::near;
use mailbus_spec::mailbox::{LimitKind, Message, Notice, Outcome, Rejection, Share};
use mailbus_spec::{AgentId, Ordinal, limits};

use super::agent::Agent;
use super::log::{Entry, key};
use super::rows;
use super::state::MailboxMemory;
use super::turn::{Answer, Stop, Turn};

impl MailboxMemory {
    /// Keeps a message for its recipients: for `to`, or for whoever is subscribed at this commit. One row
    /// says it for all of them. With `must_know` only for one who is known.
    pub(super) fn accept(
        &mut self,
        turn: &mut Turn<'_>,
        to: Option<&AgentId>,
        message: &Message,
        must_know: bool,
    ) -> Answer {
        let key = message.id.as_ref().map_or(0, |id| key(id, &message.from));
        if !message.ephemeral
            && let Some(answer) = self.repetition(turn, key, to, message)?
        {
            return answer;
        }
        let known = to.map(|to| self.is_known(to));
        let stranger = to.filter(|_| known == Some(false));
        if must_know && let Some(to) = stranger {
            return Err(Rejection::UnknownAgent { near: self.near(to) }.into());
        }
        if message.ephemeral {
            self.send_ephemeral(turn, to, message);
            return Ok(Outcome::Sent);
        }
        if self.log.messages() >= limits::LOG_MESSAGES
            || self.log.bytes().saturating_add(message.bytes()) > limits::LOG_BYTES
        {
            return Err(Rejection::Overloaded.into());
        }
        if let Some(to) = to {
            self.check_unknown_name(to)?;
        }
        let seq = self
            .header
            .last_ordinal
            .next(turn.seen.host)
            .ok_or(Rejection::Limit(LimitKind::Ordinals))?;
        let entry = Entry {
            seq,
            at: turn.now(),
            key,
            bytes: u32::try_from(message.bytes()).unwrap_or(u32::MAX),
            holders: 0,
            ack_required: message.ack_required,
        };
        self.header.last_ordinal = seq;
        self.log.append(entry);
        let (recipients, refused) = self.deliver(to, message, &entry);
        turn.accept(seq, to, (recipients, &refused), message);
        let near = stranger.map_or_else(Vec::new, |to| self.near(to));
        Ok(Outcome::Accepted { seq, recipients, refused, known, near })
    }

    /// Makes the message pending for everybody it is addressed to; says for how many, and whose inbox
    /// was full.
    fn deliver(
        &mut self,
        to: Option<&AgentId>,
        message: &Message,
        entry: &Entry,
    ) -> (u64, Vec<AgentId>) {
        let (mut recipients, mut refused) = (0_u64, Vec::new());
        let share = Share::of(to);
        if let Some(to) = to {
            self.agents.entry(to.clone()).or_default();
        }
        let Self { agents, log, .. } = self;
        let mut give = |name: &AgentId, agent: &mut Agent| {
            if agent.has_room_for(message.bytes(), share) {
                agent.receive(log, entry);
                recipients = recipients.saturating_add(1);
            } else {
                refused.push(name.clone());
            }
        };
        match to {
            Some(to) => {
                if let Some(agent) = agents.get_mut(to) {
                    give(to, agent);
                }
            }
            None => {
                let wanted = agents
                    .iter_mut()
                    .filter(|(name, agent)| **name != message.from && agent.wants(message));
                wanted.for_each(|(name, agent)| give(name, agent));
            }
        }
        for name in &refused {
            self.add_refused(name, entry.seq);
        }
        (recipients, refused)
    }

    /// The answer to a message that was accepted within the window, or that uses the id of one that
    /// was. The message's row is the witness.
    fn repetition(
        &self,
        turn: &mut Turn<'_>,
        key: u64,
        to: Option<&AgentId>,
        message: &Message,
    ) -> Result<Option<Answer>, Stop> {
        let Some(id) = &message.id else { return Ok(None) };
        let now = turn.now();
        let is_recent = |seq: &Ordinal| {
            let entry = self.log.get(*seq);
            entry.is_some_and(|entry| now < entry.at.plus_ms(limits::DEDUP_MS))
        };
        for seq in self.log.with_key(key).take_while(is_recent) {
            let mut columns = turn.query_one(rows::WITNESS, &[rows::ordinal(seq)])?;
            let sender = columns.text()?;
            let first_id = columns.optional_text()?;
            if sender != message.from.as_str() || first_id.as_deref() != Some(id.as_str()) {
                continue;
            }
            let (kind, recipient) = (columns.text()?, columns.optional_text()?);
            let first = rows::read_message(columns.blob()?)?;
            let refused = columns.optional_text()?;
            let recipients = columns.integer()?.checked_sub(1);
            let agrees = kind == message.kind.as_str()
                && recipient.as_deref() == to.map(AgentId::as_str)
                && first.payload == message.payload;
            return Ok(Some(if agrees {
                let refused = self.still_refused(seq, refused.as_deref().unwrap_or_default());
                Ok(Outcome::Duplicate { seq, recipients, refused })
            } else {
                Err(Rejection::Conflict.into())
            }));
        }
        Ok(None)
    }

    /// Agents among the named whose refusal of a message is not forgotten.
    fn still_refused(&self, seq: Ordinal, names: &str) -> Vec<AgentId> {
        let agents = rows::refused_names(names).filter_map(|name| AgentId::new(name).ok());
        let remembers = |name: &AgentId| {
            let agent = self.agents.get(name);
            agent.is_some_and(|agent| agent.forgotten < seq)
        };
        agents.filter(remembers).collect()
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

    /// Sends a message to those who are there, as far as what the event may push.
    fn send_ephemeral(&self, turn: &mut Turn<'_>, to: Option<&AgentId>, message: &Message) {
        let mut give = |name: &AgentId, agent: &Agent| {
            let Some(live) = &agent.live else { return };
            if turn.gathered.take_budget(message.bytes()) {
                turn.push(name, live.epoch, Notice::Ephemeral { message: message.clone() });
            }
        };
        match to {
            Some(to) => {
                if let Some(agent) = self.agents.get(to) {
                    give(to, agent);
                }
            }
            None => {
                let wanted = self
                    .agents
                    .iter()
                    .filter(|(name, agent)| **name != message.from && agent.wants(message));
                wanted.for_each(|(name, agent)| give(name, agent));
            }
        }
    }
}

impl Agent {
    fn wants(&self, message: &Message) -> bool {
        let registration = self.registration.as_ref();
        registration.is_some_and(|registration| registration.subscriptions.want(&message.kind))
    }
}
