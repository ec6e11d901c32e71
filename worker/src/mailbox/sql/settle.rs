//! Deliveries are settled, given back, presumed settled, and put on record.

use std::collections::BTreeSet;

use mailbus_spec::mailbox::message::derived_id;
use mailbus_spec::mailbox::{
    Connection, DeadReason, Delay, Fate, Fence, MessageId, Outcome, Settled,
};
use mailbus_spec::{AgentId, Ordinal, limits};

use super::rows;
use super::state::MailboxMemory;
use super::turn::{Answer, Turn};
use crate::storage::StorageError;

impl MailboxMemory {
    /// Settles what is named, and dismisses it where it failed. What is neither pending nor failed is told, and
    /// is no error: the ack may be a repetition.
    pub(super) fn ack(
        &mut self,
        turn: &mut Turn<'_>,
        over: Option<&Connection>,
        name: &AgentId,
        what: &Settled,
    ) -> Answer {
        let (named, unknown) = match what {
            Settled::Seqs(seqs) => self.named_by_seq(name, seqs),
            Settled::UpTo(last) => (self.first_pushes(over, name, *last), 0),
            Settled::Id(id) => (self.named_by_id(turn, name, id)?, 0),
            Settled::Gap(through) => return Ok(self.ack_losses(turn, name, *through)),
        };
        if !named.is_empty() {
            self.register(turn, name)?;
            for seq in &named {
                self.take(turn, name, *seq);
                self.dismiss(turn, name, *seq);
            }
            self.record(turn, name);
        }
        Ok(Outcome::Settled { settled: named.len() as u64, unknown })
    }

    /// The pending and the failed ones among these, and how many others there are.
    fn named_by_seq(&self, name: &AgentId, seqs: &[Ordinal]) -> (Vec<Ordinal>, u64) {
        let distinct: BTreeSet<Ordinal> = seqs.iter().copied().collect();
        let asked = distinct.len();
        let agent = self.agents.get(name);
        let is_there = |seq: &Ordinal| {
            agent.is_some_and(|agent| {
                let failed = agent.dead_letters.get(*seq) == Some(DeadReason::Failed);
                failed || agent.inbox.get(*seq).is_some()
            })
        };
        let there: Vec<Ordinal> = distinct.into_iter().filter(is_there).collect();
        let unknown = asked.saturating_sub(there.len()) as u64;
        (there, unknown)
    }

    /// Messages that the session was pushed for the first time up to here, and has in flight.
    fn first_pushes(
        &self,
        over: Option<&Connection>,
        name: &AgentId,
        last: Ordinal,
    ) -> Vec<Ordinal> {
        let Some(agent) = self.agents.get(name).filter(|_| over.is_some()) else {
            return Vec::new();
        };
        let flights = agent.flights_from(Ordinal::ZERO).take_while(|(seq, _)| *seq <= last);
        flights.filter(|(_, flight)| !flight.again).map(|(seq, _)| seq).collect()
    }

    /// Pending messages with this id: those that were ever pushed, or all if none was. The index of ids may
    /// name others too, so the rows are asked.
    fn named_by_id(
        &self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        id: &MessageId,
    ) -> Result<Vec<Ordinal>, StorageError> {
        let Some(agent) = self.agents.get(name) else { return Ok(Vec::new()) };
        let spelled = id.as_str().strip_prefix("m-").and_then(|digits| digits.parse().ok());
        let derived = spelled.and_then(Ordinal::new);
        let may_be: BTreeSet<Ordinal> = self
            .log
            .with_id(id)
            .chain(derived)
            .filter(|seq| agent.inbox.get(*seq).is_some())
            .collect();
        let (mut pushed, mut others) = (Vec::new(), Vec::new());
        for seq in may_be {
            let found = turn.query_one(rows::ID, &[rows::ordinal(seq)])?.optional_text()?;
            if found.unwrap_or_else(|| derived_id(seq)) == id.as_str() {
                if agent.was_pushed(seq) { &mut pushed } else { &mut others }.push(seq);
            }
        }
        Ok(if pushed.is_empty() { others } else { pushed })
    }

    /// Losses are acknowledged by their number: what was lost since is not.
    fn ack_losses(&mut self, turn: &mut Turn<'_>, name: &AgentId, through: u64) -> Outcome {
        let registration = self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut());
        let Some(losses) = registration.map(|registration| &mut registration.losses) else {
            return Outcome::Settled { settled: 0, unknown: 1 };
        };
        let acknowledged = losses.through.saturating_sub(losses.count);
        if through <= acknowledged || losses.through < through {
            return Outcome::Settled { settled: 0, unknown: 1 };
        }
        losses.count = losses.through.saturating_sub(through);
        self.touch(turn, name);
        Outcome::Settled { settled: through.saturating_sub(acknowledged), unknown: 0 }
    }

    /// Takes a delivery back. It comes again, unless it has failed too often. One that was pushed since
    /// stays where it is.
    pub(super) fn nack(
        &mut self,
        turn: &mut Turn<'_>,
        name: &AgentId,
        seq: Ordinal,
        fence: Option<Fence>,
        delay: Delay,
    ) -> Outcome {
        let flying = self.agents.get_mut(name).and_then(|agent| {
            let delivery = agent.delivery(seq)?;
            fence.is_none_or(|fence| fence == delivery.fence).then_some((agent, delivery))
        });
        let Some((agent, delivery)) = flying else { return Outcome::Returned(Fate::Unknown) };
        if !delivery.counted {
            agent.inbox.count_one(seq);
        }
        let floor_ms = limits::failure_floor_ms(delivery.failures);
        let at = turn.now().plus_ms(delay.ms().max(floor_ms));
        // It has left the flight before silence is asked what it means.
        agent.give_back(&self.log, seq, at);
        self.record(turn, name);
        self.touch(turn, name);
        turn.gathered.changes_session(name);
        Outcome::Returned(if self.fail(turn, name, seq) { Fate::Dead } else { Fate::Due { at } })
    }

    /// One more failure of a pending message; says whether it was the last.
    pub(super) fn fail(&mut self, turn: &mut Turn<'_>, name: &AgentId, seq: Ordinal) -> bool {
        let Some(agent) = self.agents.get_mut(name) else { return false };
        if agent.inbox.fail(seq) < limits::MAX_DELIVERIES {
            return false;
        }
        let attempts = agent.inbox.get(seq).map_or(0, |open| open.attempts);
        // It is kept as a letter before it is let go of as pending.
        self.add_failed(name, seq, turn.now());
        self.take(turn, name, seq);
        let columns = vec![
            rows::name(name),
            rows::ordinal(seq),
            rows::integer(attempts),
            rows::instant(turn.now()),
        ];
        turn.write(rows::INSERT_DEAD, columns);
        self.lose(turn, name, seq);
        true
    }

    /// Notes which delivery the session is about to handle: what ends with it, failed.
    pub(super) fn working(
        &mut self,
        turn: &mut Turn<'_>,
        over: Option<&Connection>,
        name: &AgentId,
        seq: Ordinal,
    ) -> Outcome {
        let agent = self.agents.get_mut(name).filter(|_| over.is_some());
        let flying = agent.filter(|agent| agent.flight(seq).is_some());
        let live = flying.and_then(|agent| agent.live.as_mut());
        let known = live.is_some();
        if let Some(live) = live {
            live.working = Some(seq);
            turn.gathered.changes_session(name);
        }
        Outcome::Noted { known }
    }

    /// Puts on record what the agent's session was pushed: its presumed settlements and its attempts.
    pub(super) fn record(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        self.presume(turn, name);
        let Some(agent) = self.agents.get_mut(name) else { return };
        if agent.live.is_some() {
            agent.count_flights();
            turn.gathered.changes_session(name);
        }
    }

    /// Settles what a session that negotiated nothing was pushed long enough ago, and then, while the
    /// inbox holds more than it may, the oldest of what it was pushed.
    pub(super) fn presume(&mut self, turn: &mut Turn<'_>, name: &AgentId) {
        let Some(agent) = self.agents.get(name) else { return };
        let Some(live) = &agent.live else { return };
        let Some(first) = live.first_presumable else { return };
        let (mut messages, mut bytes) = agent.filled();
        let mut settled = Vec::new();
        for (seq, _) in agent.flights_from(first) {
            let Some(entry) = self.log.get(seq) else { continue };
            if entry.ack_required {
                continue;
            }
            let at = entry.at.max(live.since).plus_ms(limits::PRESUMED_MS);
            let is_over = messages > limits::INBOX_MESSAGES || bytes > limits::INBOX_BYTES;
            if at > turn.now() && !is_over {
                break;
            }
            messages = messages.saturating_sub(1);
            bytes = bytes.saturating_sub(u64::from(entry.bytes));
            settled.push(seq);
        }
        if settled.is_empty() {
            return;
        }
        for seq in settled {
            self.take(turn, name, seq);
        }
        self.touch(turn, name);
    }

    /// Takes a message out of the agent's inbox and out of flight.
    pub(super) fn take(&mut self, turn: &mut Turn<'_>, name: &AgentId, seq: Ordinal) {
        let Self { agents, log, .. } = self;
        let Some(agent) = agents.get_mut(name) else { return };
        agent.take(log, seq);
        if agent.live.is_some() {
            turn.gathered.changes_session(name);
        }
    }

    /// Takes a message out of what failed for the agent, if it is there.
    pub(super) fn dismiss(&mut self, turn: &mut Turn<'_>, name: &AgentId, seq: Ordinal) {
        let agent = self.agents.get_mut(name);
        if agent.is_some_and(|agent| agent.dead_letters.remove_failed(seq).is_some()) {
            turn.write(rows::DELETE_DEAD, vec![rows::name(name), rows::ordinal(seq)]);
            self.log.let_go(seq);
        }
    }

    /// Counts a message that the agent was owed and will not get.
    pub(super) fn lose(&mut self, turn: &mut Turn<'_>, name: &AgentId, seq: Ordinal) {
        let registration = self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut());
        if let Some(registration) = registration {
            registration.losses.add(seq);
            turn.gathered.loses(name);
            self.touch(turn, name);
        }
    }
}
