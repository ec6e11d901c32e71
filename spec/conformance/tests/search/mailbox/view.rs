//! The view of a state: what of it can still make a difference. The search takes states of equal
//! view for one.
//!
//! Times become distances from the present, ordinals their ranks, messages their numbers; sequence
//! and generation are only ever said, never asked.

use std::hash::{Hash, Hasher};

use mailbus_spec::limits;
use mailbus_spec::mailbox::MailboxMachine;
use mailbus_spec::mailbox::state::{Agent, Session};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use crate::mailbox::past::Past;
use crate::mailbox::state::{Client, Copied, Frame, State};

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let view = View::of(self);
        view.object(&self.object, hasher);
        for (client, name) in self.clients.iter().zip(self.scale.names.iter()) {
            view.client(name, client, hasher);
        }
        (self.sent, self.budget).hash(hasher);
        view.past(&self.past, hasher);
        view.copies(&self.copies, hasher);
        if let Some(backup) = &self.backup {
            view.object(&backup.object, hasher);
            view.past(&backup.past, hasher);
        }
        self.backup.is_some().hash(hasher);
        self.violation.as_ref().map(|violation| violation.invariant).hash(hasher);
    }
}

struct View<'a> {
    state: &'a State,
    /// Time by which the host's clock may still go back, in ms.
    back_ms: u64,
    now: Timestamp,
    seqs: Vec<Ordinal>,
    /// Epochs are compared with those of the same agent alone.
    epochs: Vec<(&'a AgentId, Ordinal)>,
}

impl<'a> View<'a> {
    fn of(state: &'a State) -> Self {
        let back_ms = u64::from(state.budget.back_steps) * state.scale.back_ms;
        let now = state.now();
        let mut view = Self { state, back_ms, now, seqs: Vec::new(), epochs: Vec::new() };
        if !state.scale.exact {
            view.gather(&state.object);
            view.gather_past(&state.past);
            if let Some(backup) = &state.backup {
                view.gather(&backup.object);
                view.gather_past(&backup.past);
            }
            for copied in &state.copies {
                match copied {
                    Copied::Nack(name, seq, fence, _) => {
                        view.seqs.push(*seq);
                        view.epochs.push((name, fence.epoch));
                    }
                    Copied::Forget(name, epoch) => view.epochs.push((name, *epoch)),
                }
            }
            for (client, name) in state.clients.iter().zip(state.scale.names.iter()) {
                let epochs = client.epoch.iter().chain(&client.closing);
                view.epochs.extend(epochs.map(|epoch| (name, *epoch)));
                view.epochs.extend(client.outbox.iter().map(|(over, _)| (name, *over)));
            }
            view.seqs.sort_unstable();
            view.seqs.dedup();
            view.epochs.sort_unstable();
            view.epochs.dedup();
        }
        view
    }

    fn gather(&mut self, object: &'a MailboxMachine) {
        self.seqs.push(object.last_seq);
        self.seqs.extend(object.log.entries.keys());
        for (name, agent) in &object.agents {
            self.seqs.extend(agent.inbox.open.keys());
            self.seqs.extend(agent.failed.keys());
            self.epochs.extend(agent.superseded.iter().map(|epoch| (name, *epoch)));
            self.epochs.extend(agent.live.iter().map(|live| (name, live.epoch)));
            if let Some(known) = &agent.registration {
                self.epochs.push((name, known.epoch));
                self.seqs.extend([known.losses.first, known.losses.last]);
            }
        }
    }

    fn gather_past(&mut self, past: &'a Past) {
        self.seqs.extend(past.fates.iter().map(|fate| fate.seq));
        self.seqs.extend(past.accepted.iter().map(|each| each.0));
        for agent in &past.agents {
            self.seqs.extend(&agent.lost);
            self.seqs.extend([agent.first_through, agent.complete]);
            self.epochs.push((&agent.agent, agent.epoch));
        }
    }

    fn seq(&self, seq: Ordinal) -> i64 {
        if self.state.scale.exact {
            self.exactly(seq)
        } else {
            self.seqs.partition_point(|other| *other < seq) as i64
        }
    }

    fn epoch(&self, name: &AgentId, epoch: Ordinal) -> i64 {
        if self.state.scale.exact {
            return self.exactly(epoch);
        }
        let first = self.epochs.partition_point(|(other, _)| *other < name);
        (self.epochs.partition_point(|other| *other < (name, epoch)) - first) as i64
    }

    fn exactly(&self, ordinal: Ordinal) -> i64 {
        if ordinal == Ordinal::ZERO {
            return i64::MIN;
        }
        ordinal.get() as i64 - (self.state.host().0 << Ordinal::SHIFT) as i64
    }

    /// Distance of an instant ahead, in ms, as far as `memory_ms` of the past are told apart.
    fn ahead(&self, at: Timestamp, memory_ms: u64) -> i64 {
        let long_ago = (memory_ms + self.back_ms) as i64;
        (at.ms() as i64 - self.now.ms() as i64).max(-long_ago)
    }

    fn object<H: Hasher>(&self, object: &MailboxMachine, hasher: &mut H) {
        let host_ms = self.state.host().0 as i64;
        let behind = host_ms + object.clock.offset - object.clock.floor.ms() as i64;
        // With the host that far ahead of the floor, the floor can never bite.
        behind.min(self.back_ms as i64).hash(hasher);
        self.seq(object.last_seq).hash(hasher);
        (object.generation == 0, self.ahead(object.round_at, limits::COLLECTION_MS)).hash(hasher);
        for (seq, logged) in &object.log.entries {
            self.seq(*seq).hash(hasher);
            self.ahead(logged.at, limits::RETENTION_MS).hash(hasher);
            (&logged.message.from, &logged.message.id, &logged.to, &logged.refused).hash(hasher);
            (&logged.message.payload, logged.message.bytes(), logged.recipients).hash(hasher);
        }
        object.log.entries.len().hash(hasher);
        for (name, agent) in &object.agents {
            name.hash(hasher);
            self.agent(name, agent, hasher);
        }
        object.agents.len().hash(hasher);
    }

    fn agent<H: Hasher>(&self, name: &AgentId, agent: &Agent, hasher: &mut H) {
        if let Some(known) = &agent.registration {
            (&known.types, self.epoch(name, known.epoch)).hash(hasher);
            let losses = known.losses;
            (losses.count, losses.through).hash(hasher);
            (self.seq(losses.first), self.seq(losses.last)).hash(hasher);
            self.ahead(known.written_at, limits::LOSSES_MS).hash(hasher);
        }
        agent.registration.is_some().hash(hasher);
        for (seq, open) in &agent.inbox.open {
            self.seq(*seq).hash(hasher);
            (open.attempts, open.failures, open.redriven).hash(hasher);
            open.due.map(|due| self.ahead(due, 0)).hash(hasher);
        }
        agent.inbox.open.len().hash(hasher);
        for (seq, failed) in &agent.failed {
            (self.seq(*seq), failed.attempts).hash(hasher);
            self.ahead(failed.at, limits::RETENTION_MS).hash(hasher);
        }
        agent.failed.len().hash(hasher);
        if let Some(live) = &agent.live {
            self.session(name, live, hasher);
        }
        agent.live.is_some().hash(hasher);
        agent.superseded.iter().for_each(|epoch| self.epoch(name, *epoch).hash(hasher));
        agent.superseded.len().hash(hasher);
    }

    fn session<H: Hasher>(&self, name: &AgentId, live: &Session, hasher: &mut H) {
        self.epoch(name, live.epoch).hash(hasher);
        (&live.session, live.window).hash(hasher);
        // A session that negotiated presumes nothing.
        let since = live.window.is_none().then(|| self.ahead(live.since, limits::PRESUMED_MS));
        since.hash(hasher);
        live.working.map(|seq| self.seq(seq)).hash(hasher);
        for (seq, flight) in &live.flights {
            (self.seq(*seq), flight).hash(hasher);
        }
        live.flights.len().hash(hasher);
    }

    fn client<H: Hasher>(&self, name: &AgentId, client: &Client, hasher: &mut H) {
        client.epoch.map(|epoch| self.epoch(name, epoch)).hash(hasher);
        (client.is_done, client.is_gone).hash(hasher);
        client.closing.iter().for_each(|epoch| self.epoch(name, *epoch).hash(hasher));
        client.closing.len().hash(hasher);
        for list in [&client.pipe, &client.in_hand] {
            list.iter().for_each(|seq| self.seq(*seq).hash(hasher));
            list.len().hash(hasher);
        }
        for (over, frame) in &client.outbox {
            std::mem::discriminant(frame).hash(hasher);
            (self.epoch(name, *over), self.seq(frame.seq())).hash(hasher);
            if let Frame::Nack(_, attempt, delay) = frame {
                (attempt, delay).hash(hasher);
            }
        }
        client.outbox.len().hash(hasher);
    }

    fn copies<H: Hasher>(&self, copies: &[Copied], hasher: &mut H) {
        for copied in copies {
            std::mem::discriminant(copied).hash(hasher);
            match copied {
                Copied::Nack(name, seq, fence, delay) => {
                    let epoch = self.epoch(name, fence.epoch);
                    (name, self.seq(*seq), epoch, fence.attempt, delay).hash(hasher);
                }
                Copied::Forget(name, epoch) => (name, self.epoch(name, *epoch)).hash(hasher),
            }
        }
        copies.len().hash(hasher);
    }

    fn past<H: Hasher>(&self, past: &Past, hasher: &mut H) {
        // Only a recovery asks for it.
        self.state.scale.exact.then(|| self.exactly(past.largest)).hash(hasher);
        for fate in &past.fates {
            (&fate.agent, self.seq(fate.seq), fate.mail).hash(hasher);
            (fate.pushed, fate.returned, fate.handled, fate.settled).hash(hasher);
            (fate.was_dead, fate.failures).hash(hasher);
            self.ahead(fate.pushed_at, limits::PRESUMED_MS).hash(hasher);
        }
        past.fates.len().hash(hasher);
        for (seq, mail, at) in &past.accepted {
            (self.seq(*seq), mail, self.ahead(*at, limits::DEDUP_MS)).hash(hasher);
        }
        past.accepted.len().hash(hasher);
        for agent in &past.agents {
            (&agent.agent, agent.acknowledged, agent.told).hash(hasher);
            agent.lost.iter().for_each(|seq| self.seq(*seq).hash(hasher));
            [agent.first_through, agent.complete].map(|seq| self.seq(seq)).hash(hasher);
            self.epoch(&agent.agent, agent.epoch).hash(hasher);
            agent.announced.map(|seq| self.seq(seq)).hash(hasher);
            self.ahead(agent.seen_at, limits::RETENTION_MS).hash(hasher);
            agent.lost.len().hash(hasher);
        }
        past.agents.len().hash(hasher);
    }
}
