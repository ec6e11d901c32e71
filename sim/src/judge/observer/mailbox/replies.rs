//! Taking an event in: what its answer and its pushes tell.

use std::collections::BTreeSet;
use std::rc::Rc;

use mailbus_spec::limits::DEDUP_MS;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Fate, Fence, MailboxMachine, Message, MessageId, Outcome, Pattern,
    Patterns, Rejection, Settled,
};
use mailbus_spec::{AgentId, Clock, Ordinal, Timestamp};

use crate::judge::observer::Observer;
use crate::judge::observer::mailbox::{
    Accepted, Fact, Live, MailEvent, Mailbox, MailboxObserver, Owed, Owing,
};

impl Observer for MailboxObserver {
    type Service = MailboxMachine;
    type Shown = Fact;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    fn take_in(&mut self, event: &MailEvent, now: Timestamp, facts: &mut Vec<Fact>) {
        if let (Event::Command(command), Some(reply)) = (&event.event, &event.step.reply) {
            self.read_command(now, command, &reply.answer, facts);
        }
        for push in &event.step.pushes {
            self.read_push(now, push, facts);
        }
    }

    fn keep_sessions(&mut self, open: &[Connection]) {
        let now = self.clock.floor;
        for (name, mailbox) in &mut self.agents {
            let is_open =
                |epoch| open.iter().any(|open| open.agent == *name && open.epoch == epoch);
            if mailbox.live.as_ref().is_some_and(|live| !is_open(live.epoch)) {
                mailbox.end_session(now);
            }
            mailbox.superseded.retain(|epoch| mailbox.live.is_some() && is_open(*epoch));
        }
    }
}

impl MailboxObserver {
    fn read_command(
        &mut self,
        now: Timestamp,
        command: &Command,
        answer: &Result<Outcome, Rejection>,
        facts: &mut Vec<Fact>,
    ) {
        if let Some(over) = &command.over
            && !matches!(command.ask, Ask::Disconnect { .. })
        {
            let (connection, asked) = (over.clone(), command.ask.name());
            match (self.is_live(over), answer) {
                (_, Err(Rejection::Clock(_))) | (true, Ok(_)) => {}
                (false, Err(Rejection::Replaced)) => {
                    facts.push(Fact::Refused { connection, asked });
                }
                (false, _) => facts.push(Fact::Obeyed { connection, asked }),
                (true, Err(Rejection::Replaced)) => facts.push(Fact::Denied { connection }),
                (true, Err(_)) => {}
            }
        }
        if let Ask::Send { to, must_know, .. } = &command.ask {
            self.read_recipient(now, to, *must_know, answer, facts);
        }
        if let Ok(outcome) = answer {
            self.read_outcome(now, command, outcome, facts);
            self.read_sight(now, command);
        }
    }

    /// Knowledge of the agent that a message was sent to, as its sender is told of it: by a refusal too.
    fn read_recipient(
        &self,
        now: Timestamp,
        to: &AgentId,
        must_know: bool,
        answer: &Result<Outcome, Rejection>,
        facts: &mut Vec<Fact>,
    ) {
        let (told, near, refused) = match answer {
            Ok(Outcome::Accepted { known: Some(known), near, .. }) => (*known, near, false),
            Err(Rejection::UnknownAgent { near }) => (false, near, true),
            _ => return,
        };
        let mailbox = self.agents.get(to);
        let may = mailbox.is_some_and(|mailbox| mailbox.known);
        let must = mailbox.is_some_and(|mailbox| may && !mailbox.may_be_forgotten(now));
        let (to, near) = (to.clone(), near.clone());
        facts.push(Fact::Addressed { to, told, may, must, near, must_know, refused });
    }

    fn read_outcome(
        &mut self,
        now: Timestamp,
        command: &Command,
        outcome: &Outcome,
        facts: &mut Vec<Fact>,
    ) {
        match (&command.ask, outcome) {
            (Ask::Connect { agent, session, window, types, .. }, connected) => {
                let Outcome::Connected { epoch, resumed, gap, .. } = connected else { return };
                let live = Live {
                    epoch: *epoch,
                    session: session.clone(),
                    window: *window,
                    flights: Vec::new(),
                    sent_through: Ordinal::ZERO,
                    working: None,
                };
                self.read_connected(now, agent, live, types.as_ref(), *resumed, facts);
                self.read_gap(agent, *gap, facts);
            }
            (Ask::Disconnect { connection }, _) => self.read_end(now, connection),
            (
                Ask::Subscribe { agent, .. } | Ask::Unsubscribe { agent, .. },
                Outcome::Subscribed { types, resumed },
            ) => {
                let mailbox = self.mailbox(agent);
                let known = mailbox.known && !mailbox.may_be_forgotten(now);
                facts.push(Fact::Subscribed { agent: agent.clone(), resumed: *resumed, known });
                let mailbox = self.mailbox(agent);
                if !resumed {
                    (mailbox.lost, mailbox.acknowledged) = (0, 0);
                }
                mailbox.known = types.is_some() || *resumed;
                mailbox.types.clone_from(types);
            }
            (Ask::Publish { message }, outcome) => {
                self.read_sending(now, None, message, outcome, facts);
            }
            (Ask::Send { to, message, .. }, outcome) => {
                self.read_sending(now, Some(to), message, outcome, facts);
            }
            (Ask::Ack { agent, what }, Outcome::Settled { settled, .. }) => {
                self.read_ack(now, command.over.as_ref(), agent, what, *settled, facts);
            }
            (Ask::Nack { agent, seq, fence, .. }, Outcome::Returned(fate)) => {
                if let Some(fence) = fence.filter(|_| *fate != Fate::Unknown) {
                    self.read_fence(agent, *seq, fence, facts);
                }
                self.read_nack(now, agent, *seq, *fate, facts);
            }
            (Ask::Working { agent, seq }, Outcome::Noted { known: true }) => {
                if let Some(live) = &mut self.mailbox(agent).live {
                    live.working = Some(*seq);
                }
            }
            (
                Ask::Inbox { agent, after, .. },
                Outcome::Inbox { messages, complete_through, gap, .. },
            ) => {
                self.read_inbox(now, agent, (*after, *complete_through), messages, facts);
                self.read_gap(agent, *gap, facts);
            }
            (Ask::DeadLetters { agent, after, .. }, Outcome::DeadLetters { letters, more }) => {
                self.read_letters(now, agent, *after, letters, *more, facts);
            }
            (Ask::Redrive { agent, seqs }, Outcome::Redriven { redriven, .. }) => {
                self.read_redrive(now, agent, seqs, *redriven);
            }
            (Ask::Forget { agent, .. }, Outcome::Forgotten { known: true }) => {
                self.agents.remove(agent);
            }
            _ => {}
        }
    }

    /// Sight of an agent: it took part in something that was not refused.
    fn read_sight(&mut self, now: Timestamp, command: &Command) {
        let ends = matches!(command.ask, Ask::Disconnect { .. });
        let by = command.agent().filter(|_| !ends);
        if let Some(mailbox) = by.and_then(|agent| self.agents.get_mut(agent)) {
            mailbox.seen_at = now;
        }
    }

    fn read_connected(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        live: Live,
        types: Option<&Patterns>,
        resumed: bool,
        facts: &mut Vec<Fact>,
    ) {
        let mailbox = self.mailbox(agent);
        let connection = Connection { agent: agent.clone(), epoch: live.epoch };
        let known = mailbox.known && !mailbox.may_be_forgotten(now);
        facts.push(Fact::Connected { connection, last: mailbox.epoch, resumed, known });
        if let Some(old) = mailbox.end_session(now) {
            if old.window.is_none() {
                mailbox.superseded.push(old.epoch);
            } else if old.session != live.session {
                mailbox.fail_announced(now, &old);
            }
        }
        if !resumed {
            mailbox.types = None;
            (mailbox.lost, mailbox.acknowledged) = (0, 0);
        }
        mailbox.known = true;
        mailbox.epoch = live.epoch;
        mailbox.live = Some(live);
        if types.is_some() {
            mailbox.types = types.cloned();
        } else if mailbox.types.is_none() {
            mailbox.types = Some(Patterns::from([Pattern::everything()]));
        }
    }

    /// The end of a session is the failure of what its client had announced.
    fn read_end(&mut self, now: Timestamp, connection: &Connection) {
        let is_live = self.is_live(connection);
        let mailbox = self.mailbox(&connection.agent);
        if is_live || mailbox.superseded.contains(&connection.epoch) {
            mailbox.seen_at = now;
        }
        if !is_live {
            mailbox.superseded.retain(|superseded| *superseded != connection.epoch);
            return;
        }
        let Some(live) = mailbox.end_session(now) else { return };
        mailbox.superseded.clear();
        mailbox.fail_announced(now, &live);
    }

    fn read_sending(
        &mut self,
        now: Timestamp,
        to: Option<&AgentId>,
        message: &Message,
        outcome: &Outcome,
        facts: &mut Vec<Fact>,
    ) {
        let key = message.id.clone().map(|id| (message.from.clone(), id));
        let before = key.as_ref().and_then(|key| self.keys.get(key)).copied();
        match outcome {
            Outcome::Duplicate { seq, refused, .. } => {
                let refusing = |mailbox: &Mailbox| {
                    mailbox.owed.get(seq).is_some_and(|owed| owed.owing == Owing::Refused)
                };
                let agents = self.agents.iter().filter(|(_, mailbox)| refusing(mailbox));
                facts.push(Fact::Repeated {
                    seq: *seq,
                    known: before == Some(*seq),
                    told: refused.clone(),
                    refused: agents.map(|(name, _)| name.clone()).collect(),
                });
            }
            Outcome::Accepted { seq, recipients, refused, .. } => {
                let remembered = |seq: &Ordinal| {
                    let accepted = self.messages.get(seq);
                    accepted.is_some_and(|accepted| now < accepted.at.plus_ms(DEDUP_MS))
                };
                let repeats = before.filter(remembered);
                let (certain, possible) = self.recipients(now, to, message, refused);
                facts.push(Fact::Accepted {
                    seq: *seq,
                    last: self.messages.keys().next_back().copied().unwrap_or_default(),
                    told: *recipients,
                    most: u64::try_from(possible.len()).unwrap_or(u64::MAX),
                    least: certain.iter().cloned().collect(),
                    repeats,
                });
                for agent in possible {
                    let may_be_over = !certain.contains(&agent);
                    let owed = Owed { may_be_over, ..Owed::new(Owing::Pending) };
                    self.mailbox(&agent).owed.insert(*seq, owed);
                }
                for agent in refused {
                    self.mailbox(agent).owed.insert(*seq, Owed::new(Owing::Refused));
                }
                let message = Rc::new(message.clone());
                let accepted = Accepted { at: now, message, to: to.cloned() };
                self.messages.insert(*seq, accepted);
                self.keys.extend(key.map(|key| (key, *seq)));
            }
            _ => {}
        }
    }

    /// Agents that certainly get a message, and those that may.
    fn recipients(
        &self,
        now: Timestamp,
        to: Option<&AgentId>,
        message: &Message,
        refused: &[AgentId],
    ) -> (BTreeSet<AgentId>, BTreeSet<AgentId>) {
        if let Some(to) = to {
            let one: BTreeSet<AgentId> =
                std::iter::once(to.clone()).filter(|to| !refused.contains(to)).collect();
            return (one.clone(), one);
        }
        let wanted = self.agents.iter().filter(|(name, mailbox)| {
            **name != message.from && !refused.contains(name) && mailbox.wants(message)
        });
        let (certain, maybe): (Vec<_>, Vec<_>) =
            wanted.partition(|(_, mailbox)| !mailbox.may_be_forgotten(now));
        let certain: BTreeSet<AgentId> =
            certain.into_iter().map(|(name, _)| name.clone()).collect();
        let mut possible = certain.clone();
        possible.extend(maybe.into_iter().map(|(name, _)| name.clone()));
        (certain, possible)
    }

    fn read_ack(
        &mut self,
        now: Timestamp,
        over: Option<&Connection>,
        agent: &AgentId,
        what: &Settled,
        told: u64,
        facts: &mut Vec<Fact>,
    ) {
        let mailbox = self.mailbox(agent);
        let named: BTreeSet<Ordinal> = match what {
            Settled::Gap(_) => {
                mailbox.acknowledged += told;
                return;
            }
            Settled::Seqs(seqs) => seqs.iter().copied().collect(),
            Settled::UpTo(through) => {
                let live = mailbox.live.as_ref().filter(|_| over.is_some());
                let flights = live.into_iter().flat_map(|live| &live.flights);
                let first = flights.filter(|flight| !flight.again && flight.seq <= *through);
                first.map(|flight| flight.seq).collect()
            }
            Settled::Id(id) => return self.read_ack_by_id(now, agent, id, told, facts),
        };
        if told > 0 {
            mailbox.known = true;
        }
        // An ack by seq dismisses what failed.
        let by_seq = matches!(what, Settled::Seqs(_));
        let is_there =
            |owed: &Owed| owed.owing == Owing::Pending || by_seq && owed.owing == Owing::Dead;
        let is_letter = |owed: &Owed| by_seq && owed.is_letter(now);
        let entry = |seq: &Ordinal| mailbox.owed.get(seq).copied();
        let pending: Vec<Ordinal> =
            named.iter().filter(|seq| entry(seq).as_ref().is_some_and(is_there)).copied().collect();
        let letters =
            pending.iter().filter(|seq| entry(seq).as_ref().is_some_and(is_letter)).count();
        let owed = pending.iter().filter(|seq| self.is_certainly_owed(agent, **seq, now)).count();
        let certain = letters + owed;
        facts.push(Fact::Settled {
            agent: agent.clone(),
            seqs: pending.clone(),
            told,
            least: u64::try_from(certain).unwrap_or(u64::MAX),
            most: u64::try_from(pending.len()).unwrap_or(u64::MAX),
        });
        let mailbox = self.mailbox(agent);
        for seq in named {
            mailbox.land(seq);
            if let Some(owed) = mailbox.owed.get_mut(&seq).filter(|_| pending.contains(&seq)) {
                owed.owing = Owing::Settled;
            }
        }
    }

    /// An ack by id settles of the pending messages what was ever pushed, and all if nothing was. That they
    /// were the object knows of those in flight; of others that were pushed a crash may have made it forget.
    fn read_ack_by_id(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        id: &MessageId,
        told: u64,
        facts: &mut Vec<Fact>,
    ) {
        let mailbox = self.agents.entry(agent.clone()).or_default();
        mailbox.known |= told > 0;
        let is_called = |seq: &Ordinal| {
            let accepted = self.messages.get(seq);
            accepted.is_some_and(|accepted| accepted.message.id.as_ref() == Some(id))
        };
        let pending = mailbox.owed.iter().filter(|(_, owed)| owed.owing == Owing::Pending);
        let named: Vec<Ordinal> = pending.map(|(seq, _)| *seq).filter(is_called).collect();
        let flies = |seq: &Ordinal| mailbox.live.as_ref().is_some_and(|live| live.has(*seq));
        let flying: BTreeSet<Ordinal> = named.iter().copied().filter(flies).collect();
        let was_pushed = |seq: &Ordinal| mailbox.owed.get(seq).is_some_and(|owed| owed.pushed);
        let shown: BTreeSet<Ordinal> = named.iter().copied().filter(was_pushed).collect();
        let is_certain = |seq: &&Ordinal| self.is_certainly_owed(agent, **seq, now);
        let (certain, surely) = (
            named.iter().filter(is_certain).count() as u64,
            flying.iter().filter(is_certain).count() as u64,
        );
        // What is certainly pending and in flight is settled, and with it nothing that was never pushed.
        let shown_alone = surely > 0;
        let least = match surely {
            0 if shown.is_empty() => certain,
            0 => certain.min(1),
            _ => surely,
        };
        let most = if shown_alone { shown.len() } else { named.len() } as u64;
        let (agent, seqs) = (agent.clone(), named.clone());
        facts.push(Fact::Settled { agent: agent.clone(), seqs, told, least, most });
        // If more are certainly pending than were settled, they were not all that have the id.
        let shown_alone = shown_alone || (!shown.is_empty() && told < certain);
        let all = told == most || shown.is_empty();
        let mailbox = self.mailbox(&agent);
        for seq in named {
            let Some(owed) = mailbox.owed.get_mut(&seq) else { continue };
            if shown_alone && !owed.pushed {
                continue;
            }
            if all || flying.contains(&seq) {
                owed.owing = Owing::Settled;
                mailbox.land(seq);
            } else {
                owed.may_be_over = true;
            }
        }
    }

    /// A nack was obeyed: it has to be of the newest push of the live session.
    fn read_fence(&mut self, agent: &AgentId, seq: Ordinal, fence: Fence, facts: &mut Vec<Fact>) {
        let live = self.mailbox(agent).live.as_ref().filter(|live| live.epoch == fence.epoch);
        let newest = live.and_then(|live| live.flights.iter().rfind(|flight| flight.seq == seq));
        if newest.is_none_or(|flight| flight.attempt != fence.attempt) {
            let connection = Connection { agent: agent.clone(), epoch: fence.epoch };
            facts.push(Fact::Obeyed { connection, asked: "nack" });
        }
    }

    fn read_nack(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        seq: Ordinal,
        fate: Fate,
        facts: &mut Vec<Fact>,
    ) {
        let mailbox = self.mailbox(agent);
        if fate == Fate::Unknown {
            return;
        }
        mailbox.land(seq);
        let Some(owed) = mailbox.owed.get_mut(&seq) else { return };
        owed.failures += 1;
        let (agent, failures) = (agent.clone(), owed.failures);
        match fate {
            Fate::Due { at } => {
                owed.due = Some(at);
                let away_ms = at.ms().saturating_sub(now.ms());
                facts.push(Fact::Returned { agent, seq, failures, away_ms });
            }
            _ => {
                owed.die(now);
                mailbox.lost += 1;
                facts.push(Fact::Died { agent, seq, failures });
            }
        }
    }
}
