//! Deliveries are settled, given back, presumed settled, and put on record.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;
use crate::mailbox::Share;
use crate::mailbox::accept::needs_ack;
use crate::mailbox::answer::{Fate, Outcome, Rejection};
use crate::mailbox::command::{Connection, Delay, Fence, Settled};
use crate::mailbox::machine::Turn;
use crate::mailbox::state::{Agent, Failed, MailboxMachine, Open};
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

impl MailboxMachine {
    /// Settles what is named, and dismisses it where it failed. What is neither pending nor failed is told, and
    /// is no error: the ack may be a repetition.
    pub(super) fn ack(
        &mut self,
        turn: &mut Turn,
        over: Option<&Connection>,
        name: &AgentId,
        what: &Settled,
    ) -> Result<Outcome, Rejection> {
        if let Settled::Gap(through) = what {
            return Ok(self.ack_losses(turn, name, *through));
        }
        let (named, unknown) = self.named(over, name, what);
        if named.is_empty() {
            return Ok(Outcome::Settled { settled: 0, unknown });
        }
        self.register(turn, name)?;
        for seq in &named {
            self.take(name, *seq);
            self.agents.get_mut(name).and_then(|agent| agent.failed.remove(seq));
        }
        self.record(turn, name);
        Ok(Outcome::Settled { settled: named.len() as u64, unknown })
    }

    /// The messages that an ack names, pending ones or by its `seq` one that failed, and how many of its names
    /// are no such message.
    fn named(
        &self,
        over: Option<&Connection>,
        name: &AgentId,
        what: &Settled,
    ) -> (Vec<Ordinal>, u64) {
        let Some(agent) = self.agents.get(name) else {
            let unknown = if let Settled::Seqs(seqs) = what { distinct(seqs).len() } else { 0 };
            return (Vec::new(), unknown as u64);
        };
        match what {
            Settled::Seqs(seqs) => {
                let distinct = distinct(seqs);
                let is_there = |seq: &Ordinal| {
                    agent.inbox.open.contains_key(seq) || agent.failed.contains_key(seq)
                };
                let there: Vec<Ordinal> = distinct.iter().copied().filter(is_there).collect();
                let unknown = distinct.len().saturating_sub(there.len()) as u64;
                (there, unknown)
            }
            Settled::UpTo(last) => {
                let session = over.and(agent.live.as_ref());
                let flights = session.into_iter().flat_map(|live| live.flights.range(..=*last));
                (flights.filter(|(_, flight)| !flight.again).map(|(seq, _)| *seq).collect(), 0)
            }
            Settled::Id(id) => {
                let has_id = |seq: &&Ordinal| {
                    let logged = self.log.entries.get(seq);
                    logged.is_some_and(|logged| logged.message.is_called(**seq, id))
                };
                let named: Vec<Ordinal> = agent.inbox.open.keys().filter(has_id).copied().collect();
                let pushed = named.iter().filter(|seq| agent.was_pushed(**seq));
                let pushed: Vec<Ordinal> = pushed.copied().collect();
                // Who was pushed none has read them otherwise.
                (if pushed.is_empty() { named } else { pushed }, 0)
            }
            Settled::Gap(_) => (Vec::new(), 0),
        }
    }

    /// Losses are acknowledged by their number: what was lost since is not
    /// ([refuted](crate::rules::refuted#a-gap-acknowledged-by-its-last)).
    fn ack_losses(&mut self, turn: &mut Turn, name: &AgentId, through: u64) -> Outcome {
        let losses = self
            .agents
            .get_mut(name)
            .and_then(|agent| agent.registration.as_mut())
            .map(|registration| &mut registration.losses);
        let Some(losses) = losses else { return Outcome::Settled { settled: 0, unknown: 1 } };
        let acknowledged = losses.through.saturating_sub(losses.count);
        if through <= acknowledged || losses.through < through {
            return Outcome::Settled { settled: 0, unknown: 1 };
        }
        losses.count = losses.through.saturating_sub(through);
        self.touch(turn, name);
        Outcome::Settled { settled: through.saturating_sub(acknowledged), unknown: 0 }
    }

    /// Takes a delivery back. It comes again, unless it has failed too often. One that was pushed since
    /// stays where it is ([refuted](crate::rules::refuted#a-nack-without-a-fence)).
    pub(super) fn nack(
        &mut self,
        turn: &mut Turn,
        name: &AgentId,
        seq: Ordinal,
        fence: Option<Fence>,
        delay: Delay,
    ) -> Outcome {
        let agent = self.agents.get_mut(name);
        let flying = agent.filter(|agent| {
            agent.fence(seq).is_some_and(|own| fence.is_none_or(|fence| fence == own))
        });
        let flight = flying.and_then(|agent| agent.live.as_mut()).and_then(|live| live.land(seq));
        let Some(flight) = flight else { return Outcome::Returned(Fate::Unknown) };
        if !flight.counted {
            self.count(name, seq);
        }
        self.record(turn, name);
        self.touch(turn, name);
        Outcome::Returned(self.fail(turn, name, seq, Some(delay)))
    }

    /// One more failure of a message. With `delay` it was given back: it is due again, after the floor of
    /// its failures at least ([refuted](crate::rules::refuted#five-failures-in-seconds)).
    pub(super) fn fail(
        &mut self,
        turn: &mut Turn,
        name: &AgentId,
        seq: Ordinal,
        delay: Option<Delay>,
    ) -> Fate {
        let now = turn.now();
        let Some(agent) = self.agents.get_mut(name) else { return Fate::Unknown };
        let Some(open) = agent.inbox.open.get_mut(&seq) else { return Fate::Unknown };
        let floor_ms = limits::failure_floor_ms(open.failures);
        open.failures = open.failures.saturating_add(1);
        if open.failures >= limits::MAX_DELIVERIES {
            let failed = Failed { bytes: open.bytes, attempts: open.attempts, at: now };
            self.take(name, seq);
            if let Some(agent) = self.agents.get_mut(name) {
                agent.failed.insert(seq, failed);
            }
            self.lose(turn, name, seq);
            return Fate::Dead;
        }
        let Some(delay) = delay else { return Fate::Due { at: now } };
        let at = now.plus_ms(delay.ms().max(floor_ms));
        open.due = Some(at);
        Fate::Due { at }
    }

    /// Notes which delivery the session is about to handle: what ends with it, failed.
    pub(super) fn working(
        &mut self,
        over: Option<&Connection>,
        name: &AgentId,
        seq: Ordinal,
    ) -> Outcome {
        let live = self.agents.get_mut(name).and_then(|agent| agent.live.as_mut());
        let known = match live {
            Some(live) if over.is_some() && live.flights.contains_key(&seq) => {
                live.working = Some(seq);
                true
            }
            _ => false,
        };
        Outcome::Noted { known }
    }

    /// Gives dead letters a second chance, as far as there is room, and none that are past their retention.
    pub(super) fn redrive(&mut self, turn: &mut Turn, name: &AgentId, seqs: &[Ordinal]) -> Outcome {
        let now = turn.now();
        let letters = self.letters(name).filter(|(_, logged, _)| now < logged.expires_at());
        let letters: BTreeSet<Ordinal> = letters.map(|(seq, ..)| seq).collect();
        let (mut redriven, mut unknown, mut refused) = (0_u64, 0_u64, 0_u64);
        for seq in distinct(seqs) {
            if !letters.contains(&seq) {
                unknown = unknown.saturating_add(1);
            } else if self.revive(turn, name, seq, redriven == 0) {
                redriven = redriven.saturating_add(1);
            } else {
                refused = refused.saturating_add(1);
            }
        }
        Outcome::Redriven { redriven, unknown, refused }
    }

    fn revive(&mut self, turn: &mut Turn, name: &AgentId, seq: Ordinal, is_first: bool) -> bool {
        let Some(logged) = self.log.entries.get(&seq) else { return false };
        let bytes = logged.message.bytes();
        let entries = &self.log.entries;
        // A name that never connected has no row that could be written. What failed has its room.
        let has_room = self.agents.get(name).is_some_and(|agent| {
            agent.registration.is_some()
                && (agent.failed.contains_key(&seq)
                    || agent.has_room_for(bytes, Share::Direct, |seq| needs_ack(entries, seq)))
        });
        if !has_room {
            return false;
        }
        if is_first {
            self.record(turn, name);
            self.touch(turn, name);
        }
        if let Some(logged) = self.log.entries.get_mut(&seq)
            && logged.refused.remove(name)
        {
            logged.recipients = logged.recipients.saturating_add(1);
        }
        let Some(agent) = self.agents.get_mut(name) else { return false };
        let attempts = agent.failed.remove(&seq).map_or(0, |failed| failed.attempts);
        let due = Some(turn.now());
        agent.inbox.insert(seq, Open { bytes, attempts, failures: 0, due, redriven: true });
        true
    }

    /// Puts on record what the agent's session was pushed: its presumed settlements and its attempts.
    pub(super) fn record(&mut self, turn: &mut Turn, name: &AgentId) {
        self.presume(turn, name);
        let Some(Agent { inbox, live: Some(live), .. }) = self.agents.get_mut(name) else { return };
        for (seq, flight) in &mut live.flights {
            if let Some(open) = inbox.open.get_mut(seq).filter(|_| !flight.counted) {
                open.attempts = open.attempts.saturating_add(1);
            }
            flight.counted = true;
        }
    }

    fn count(&mut self, name: &AgentId, seq: Ordinal) {
        let open = self.agents.get_mut(name).and_then(|agent| agent.inbox.open.get_mut(&seq));
        if let Some(open) = open {
            open.attempts = open.attempts.saturating_add(1);
        }
    }

    /// Settles what a session that negotiated nothing was pushed long enough ago, and then, while the
    /// inbox holds more than it may, the oldest of what it was pushed. Says whether there was any.
    pub(super) fn presume(&mut self, turn: &mut Turn, name: &AgentId) -> bool {
        let mut any = false;
        for seq in self.presumable(name) {
            let Some(agent) = self.agents.get(name) else { break };
            let settled_at = self.presumed_at(name, seq);
            if settled_at.is_some_and(|at| at <= turn.now()) || agent.is_over() {
                self.take(name, seq);
                any = true;
            }
        }
        if any {
            self.touch(turn, name);
        }
        any
    }

    /// Messages that the agent's session was pushed and only silence can settle.
    pub(super) fn presumable(&self, name: &AgentId) -> Vec<Ordinal> {
        let live = self.agents.get(name).and_then(|agent| agent.live.as_ref());
        let silent = live.filter(|live| live.window.is_none());
        let flights = silent.into_iter().flat_map(|live| live.flights.keys());
        flights.filter(|seq| !needs_ack(&self.log.entries, **seq)).copied().collect()
    }

    /// Time at which a delivery to the agent's session is presumed settled.
    pub(super) fn presumed_at(&self, name: &AgentId, seq: Ordinal) -> Option<Timestamp> {
        let since = self.agents.get(name)?.live.as_ref()?.since;
        let at = self.log.entries.get(&seq)?.at;
        Some(at.max(since).plus_ms(limits::PRESUMED_MS))
    }

    /// Takes a message out of the agent's inbox and out of flight.
    pub(super) fn take(&mut self, name: &AgentId, seq: Ordinal) {
        if let Some(agent) = self.agents.get_mut(name) {
            agent.inbox.remove(seq);
            if let Some(live) = &mut agent.live {
                live.land(seq);
            }
        }
    }

    /// Counts a message that the agent was owed and will not get.
    pub(super) fn lose(&mut self, turn: &mut Turn, name: &AgentId, seq: Ordinal) {
        let registration = self.agents.get_mut(name).and_then(|agent| agent.registration.as_mut());
        if let Some(registration) = registration {
            registration.losses.add(seq);
            turn.lost.insert(name.clone());
            self.touch(turn, name);
        }
    }
}

fn distinct(seqs: &[Ordinal]) -> BTreeSet<Ordinal> {
    seqs.iter().copied().collect()
}
