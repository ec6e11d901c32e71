//! Marks of mail.

use std::collections::BTreeSet;

use mailbus_spec::limits::RETENTION_MS;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, CloseReason, Fate, Notice, Outcome, Rejection, Settled};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use crate::clock::TrueTime;
use crate::judge::history::marks::{Mark, Marks};
use crate::judge::observer::Reader;
use crate::judge::observer::mailbox::{
    Fact, MailEvent, Mailbox, MailboxObserver, Moment, Owing, Pushed,
};

#[derive(Default)]
pub(super) struct Witness {
    pub marks: Marks,
    /// Deliveries that were in flight when sessions broke without a word.
    broken: BTreeSet<(AgentId, Ordinal)>,
    /// The agent that an event names, before it.
    before: Option<Mailbox>,
}

impl Reader<MailboxObserver> for Witness {
    fn before(&mut self, event: &MailEvent, _now: Timestamp, observer: &MailboxObserver) {
        let asks = match &event.event {
            Event::Command(command) => command.ask.agent(),
            Event::Alarm => None,
        };
        let named = asks.filter(|_| tells_by_change(event));
        self.before = named.and_then(|agent| observer.agents.get(agent)).cloned();
    }

    fn after(&mut self, moment: &Moment<'_>) {
        self.read_command(moment);
        for push in &moment.event.step.pushes {
            match &push.notice {
                Notice::Closed(CloseReason::Forgotten) => self.marks.reach(Mark::Forgotten),
                Notice::Gap(_) => self.marks.reach(Mark::GapTold),
                _ => {}
            }
        }
        for fact in moment.shown {
            match fact {
                Fact::Pushed(pushed) => self.read_push(moment, pushed),
                Fact::Died { .. } => self.marks.reach(Mark::DeadLettered),
                Fact::Refused { .. } => self.marks.reach(Mark::ReplacedRefused),
                Fact::Gap { told: Some(_), .. } => self.marks.reach(Mark::GapTold),
                Fact::Connected { connection, resumed: true, .. } => {
                    let mailbox = moment.observer.agents.get(&connection.agent);
                    let mut owed = mailbox.into_iter().flat_map(|mailbox| mailbox.owed.values());
                    if owed.any(|owed| owed.owing == Owing::Pending) {
                        self.marks.reach(Mark::Resumed);
                    }
                }
                _ => {}
            }
        }
    }

    fn woken(&mut self, _at: TrueTime, before: &MailboxObserver, after: &MailboxObserver) {
        self.read_broken(before, after);
    }

    fn restored(&mut self, _at: TrueTime, before: &MailboxObserver, after: &MailboxObserver) {
        self.read_broken(before, after);
    }
}

/// True if what the event means shows in what it changes about its agent.
fn tells_by_change(event: &MailEvent) -> bool {
    matches!(&event.event, Event::Command(command) if matches!(
        command.ask,
        Ask::Connect { .. } | Ask::Disconnect { .. } | Ask::Inbox { .. }
    ))
}

impl Witness {
    /// Sessions that are gone without a word.
    fn read_broken(&mut self, before: &MailboxObserver, after: &MailboxObserver) {
        for (name, mailbox) in &before.agents {
            let still = after.agents.get(name).is_some_and(|mailbox| mailbox.live.is_some());
            if let Some(live) = mailbox.live.as_ref().filter(|_| !still) {
                self.broken.extend(live.flights.iter().map(|flight| (name.clone(), flight.seq)));
            } else if mailbox.live.as_ref().is_some_and(|live| !live.flights.is_empty()) {
                self.marks.reach(Mark::EvictedInFlight);
            }
        }
    }

    /// True if the event counted as the failure of something the agent is owed.
    fn has_failed_more(&self, moment: &Moment<'_>, agent: &AgentId) -> bool {
        let failures = |mailbox: Option<&Mailbox>| -> u64 {
            let owed = mailbox.into_iter().flat_map(|mailbox| mailbox.owed.values());
            owed.map(|owed| owed.failures).sum()
        };
        failures(moment.observer.agents.get(agent)) > failures(self.before.as_ref())
    }

    fn read_command(&mut self, moment: &Moment<'_>) {
        let MailEvent { event: Event::Command(command), step, .. } = moment.event else { return };
        let Some(reply) = &step.reply else { return };
        match (&command.ask, &reply.answer) {
            (_, Ok(Outcome::Duplicate { .. })) => self.marks.reach(Mark::DuplicateAccepted),
            (_, Err(Rejection::Conflict)) => self.marks.reach(Mark::ContradictionRefused),
            (_, Err(Rejection::Ahead { .. })) => self.marks.reach(Mark::Ahead),
            (_, Err(Rejection::UnknownAgent { .. })) => self.marks.reach(Mark::UnknownRefused),
            (Ask::Send { to, .. }, Ok(Outcome::Accepted { .. })) => {
                let known = moment.observer.agents.get(to).is_some_and(|mailbox| mailbox.known);
                if !known {
                    self.marks.reach(Mark::KeptForNobody);
                }
            }
            (Ask::Ack { what: Settled::Gap(_), .. }, Ok(Outcome::Settled { settled: 1.., .. })) => {
                self.marks.reach(Mark::GapAcknowledged);
            }
            (Ask::Nack { .. }, Ok(Outcome::Returned(Fate::Dead))) => {
                self.marks.reach(Mark::DeadLettered);
            }
            (Ask::Connect { agent, .. }, Ok(_)) => {
                let superseded = |mailbox: Option<&Mailbox>| {
                    mailbox.map_or(0, |mailbox| mailbox.superseded.len())
                };
                if superseded(moment.observer.agents.get(agent)) > superseded(self.before.as_ref())
                {
                    self.marks.reach(Mark::SessionMute);
                }
                if self.has_failed_more(moment, agent) {
                    self.marks.reach(Mark::FailedByReplacement);
                }
            }
            (Ask::Disconnect { connection }, _)
                if self.has_failed_more(moment, &connection.agent) =>
            {
                self.marks.reach(Mark::FailedByEnd);
            }
            (Ask::Inbox { agent, .. }, Ok(Outcome::Inbox { .. })) => {
                self.read_gone(moment, agent);
            }
            _ => {}
        }
    }

    /// Marks messages that an inbox no longer lists: time has ended them.
    fn read_gone(&mut self, moment: &Moment<'_>, agent: &AgentId) {
        let Some(mailbox) = moment.observer.agents.get(agent) else { return };
        let before = self.before.as_ref();
        for (seq, owed) in &mailbox.owed {
            let was = before.and_then(|mailbox| mailbox.owed.get(seq)).map(|owed| owed.owing);
            if owed.owing != Owing::Gone || was == Some(Owing::Gone) {
                continue;
            }
            let accepted = moment.observer.messages.get(seq);
            let expired =
                accepted.is_some_and(|accepted| accepted.at.plus_ms(RETENTION_MS) <= moment.now);
            self.marks.reach(if expired { Mark::Expired } else { Mark::Presumed });
        }
    }

    fn read_push(&mut self, moment: &Moment<'_>, pushed: &Pushed) {
        let owed = moment.observer.agents.get(&pushed.to.agent);
        let owed = owed.and_then(|mailbox| mailbox.owed.get(&pushed.seq));
        if owed.is_some_and(|owed| owed.due.is_some()) {
            self.marks.reach(Mark::PushedAgain);
        }
        if self.broken.remove(&(pushed.to.agent.clone(), pushed.seq)) {
            self.marks.reach(Mark::Redelivered);
        }
        let flying = pushed.flying;
        if flying.window.is_some_and(|window| window.messages() <= flying.deliveries) {
            self.marks.reach(Mark::WindowFull);
        }
    }
}
