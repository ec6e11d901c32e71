//! Marks of leases.

use std::collections::BTreeMap;

use mailbus_spec::Timestamp;
use mailbus_spec::lease::{Command, HeldBy, Outcome, Rejection};
use mailbus_spec::machine::Event;

use crate::judge::history::History;
use crate::judge::history::marks::{Mark, Marks};
use crate::judge::observer::Reader;
use crate::judge::observer::lease::{
    Change, EndOfLease, EndOfTicket, LeaseEvent, LeaseObserver, Moment,
};
use crate::plan::Plan;

pub(super) struct Witness<'a> {
    plan: &'a Plan,
    history: &'a History,
    pub marks: Marks,
    /// Tokens granted, and whether out of the queue.
    from_queue: BTreeMap<mailbus_spec::Ordinal, bool>,
    offset: i64,
}

impl<'a> Witness<'a> {
    pub fn new(plan: &'a Plan, history: &'a History) -> Self {
        Self { plan, history, marks: Marks::default(), from_queue: BTreeMap::new(), offset: 0 }
    }
}

impl Reader<LeaseObserver> for Witness<'_> {
    fn before(&mut self, event: &LeaseEvent, _now: Timestamp, observer: &LeaseObserver) {
        let (Event::Command(command), Some(reply)) = (&event.event, &event.step.reply) else {
            return;
        };
        match (command, &reply.answer) {
            (Command::Acquire(_), Ok(Outcome::Over { .. })) => {
                self.marks.reach(Mark::LateCopyRefused);
            }
            (Command::Acquire(acquire), Ok(Outcome::Granted { token, .. })) => {
                let live = observer.leases.contains_key(token);
                if live && acquire.request().is_some() {
                    self.marks.reach(Mark::RetryAnswered);
                    if self.from_queue.get(token) == Some(&true) {
                        self.marks.reach(Mark::GrantPolled);
                    }
                }
            }
            (Command::Acquire(acquire), Err(Rejection::Held(blocker)))
                if blocker.by == HeldBy::Lease =>
            {
                let holder = acquire.holder();
                if blocker.holder.agent == holder.agent && blocker.holder != *holder {
                    self.marks.reach(Mark::MetOldSelf);
                }
            }
            (Command::Acquire(_), Err(Rejection::Deadlock { .. })) => {
                self.marks.reach(Mark::DeadlockRefused);
            }
            (Command::Renew { .. }, Ok(Outcome::Renewed { draining: true, .. })) => {
                self.marks.reach(Mark::DrainTold);
            }
            (Command::Renew { token, .. }, Err(Rejection::Lost)) => {
                let draining = observer.leases.get(token).is_some_and(|lease| lease.draining);
                let mark = if draining { Mark::DrainRefusedRenewal } else { Mark::StaleRefused };
                self.marks.reach(mark);
            }
            (Command::Release { .. }, Err(Rejection::Lost)) => self.marks.reach(Mark::StaleRefused),
            _ => {}
        }
    }

    fn after(&mut self, moment: &Moment<'_>) {
        let at = moment.event.at;
        if moment.observer.clock.offset != self.offset {
            self.offset = moment.observer.clock.offset;
            self.marks.reach(Mark::Reanchored);
        }
        for change in moment.shown {
            match change {
                Change::Granted { lease, from_queue } => {
                    self.from_queue.insert(lease.token, *from_queue);
                    let mark =
                        if *from_queue { Mark::GrantedFromQueue } else { Mark::GrantedAtOnce };
                    self.marks.reach(mark);
                }
                Change::Ended { lease, how: EndOfLease::Lapsed } => {
                    let agents = self.plan.agents.iter();
                    let whose = agents
                        .filter(|agent| lease.holder.agent.as_str() == format!("a{}", agent.agent));
                    let stopped = whose.flat_map(|agent| self.plan.stopped(agent.agent));
                    if stopped.into_iter().any(|(from, to)| from <= at && at <= to) {
                        self.marks.reach(Mark::LapsedWhileStopped);
                    }
                }
                Change::Ended { lease, how: EndOfLease::Forced } => {
                    let believed = self.history.beliefs.iter().any(|span| {
                        span.token == lease.token && span.from <= at && at < span.until
                    });
                    if believed {
                        self.marks.reach(Mark::ForcedWhileBelieved);
                    }
                }
                Change::TicketEnded { how: EndOfTicket::Forced, .. } => {
                    self.marks.reach(Mark::TicketForced);
                }
                Change::Tombstone { .. } => self.marks.reach(Mark::CancelTombstone),
                _ => {}
            }
        }
    }
}
