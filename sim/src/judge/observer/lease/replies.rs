//! Taking an event of the object in: what its pushes and its reply tell.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{
    Acquire, Command, HeldBy, LeaseMachine, Outcome, OverReason, Push, Rejection, ReleaseTarget,
    TicketEntry,
};
use mailbus_spec::machine::Event;
use mailbus_spec::{Clock, Holder, Ordinal, RequestId, Timestamp};

use crate::judge::observer::Observer;
use crate::judge::observer::lease::{
    Change, EndOfLease, EndOfTicket, Lease, LeaseEvent, LeaseObserver,
};

/// True if a command can end a claim, so that others may be granted after it.
fn ends_claims(command: &Command) -> bool {
    matches!(
        command,
        Command::Release { .. }
            | Command::Cancel { .. }
            | Command::ForceRelease { .. }
            | Command::ForceTicket { .. }
    )
}

/// A ticket's name for an operator, and whose it is.
fn name_of(entry: &TicketEntry, generation: u64) -> ((u64, u64), (Holder, RequestId)) {
    ((generation, entry.arrival), (entry.holder.clone(), entry.request.clone()))
}

impl Observer for LeaseObserver {
    type Service = LeaseMachine;
    type Shown = Change;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    fn pass_to(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        self.end_leases(now, changes);
        self.forget_tickets(now);
    }

    fn take_in(&mut self, event: &LeaseEvent, now: Timestamp, changes: &mut Vec<Change>) {
        self.read(event, now, changes);
        self.end_tickets(now, changes);
    }
}

impl LeaseObserver {
    /// Takes an event in. Leases that time has ended must be gone already.
    pub(super) fn read(&mut self, event: &LeaseEvent, now: Timestamp, changes: &mut Vec<Change>) {
        let mut answer = match (&event.event, &event.step.reply) {
            (Event::Command(command), Some(reply)) => Some((command, &reply.answer)),
            _ => None,
        };
        for push in &event.step.pushes {
            // What the command ended is gone before what that lets through is granted.
            if let Some((command, said)) = answer
                && ends_claims(command)
                && self.is_in_the_way(now, push)
            {
                self.read_reply(now, event, command, said, changes);
                answer = None;
            }
            self.read_push(now, event, &push.to, &push.notice, changes);
        }
        if let Some((command, answer)) = answer {
            self.read_reply(now, event, command, answer, changes);
        }
    }

    /// True if a lease or an earlier ticket stands before what the push says was granted.
    fn is_in_the_way(&self, now: Timestamp, push: &Push) -> bool {
        let Notice::Granted { request, .. } = &push.notice else { return false };
        let Some((arrival, ticket)) = self.ticket_of(&push.to, request) else { return false };
        self.leases_on(&ticket.paths).next().is_some()
            || self
                .tickets_on(&ticket.paths)
                .any(|(earlier, ticket)| earlier < arrival && now < ticket.deadline)
    }

    fn read_push(
        &mut self,
        now: Timestamp,
        event: &LeaseEvent,
        to: &Holder,
        notice: &Notice,
        changes: &mut Vec<Change>,
    ) {
        match notice {
            Notice::Granted { request, token, expires_at, .. } => {
                self.grant_ticket(now, to, request, *token, *expires_at, changes);
            }
            Notice::Lapsed { token } => {
                if let Some(lease) = self.leases.get(token) {
                    let early = now < lease.expires_at;
                    let how = if early { EndOfLease::Denied } else { EndOfLease::Lapsed };
                    self.end_lease(now, *token, how, changes);
                }
            }
            Notice::Forced { token, drain, .. } => {
                let asked = matches!(&event.event, Event::Command(Command::ForceRelease { token: asked, .. }) if asked == token);
                if *drain {
                    self.drain(*token, changes);
                } else {
                    let how = if asked { EndOfLease::Forced } else { EndOfLease::Denied };
                    self.end_lease(now, *token, how, changes);
                }
            }
        }
    }

    fn read_reply(
        &mut self,
        now: Timestamp,
        event: &LeaseEvent,
        command: &Command,
        answer: &Result<Outcome, Rejection>,
        changes: &mut Vec<Change>,
    ) {
        let generation = event.step.reply.as_ref().map_or(0, |reply| reply.commit.generation);
        match command {
            Command::Acquire(acquire) => self.read_acquire(now, event, acquire, answer, changes),
            Command::Renew { holder, token, .. } => match answer {
                // The end of what drains stays where it is.
                Ok(Outcome::Renewed { draining: true, .. }) => self.drain(*token, changes),
                Ok(Outcome::Renewed { expires_at, .. }) => {
                    self.extend(*token, *expires_at, changes)
                }
                Err(Rejection::Lost) => {
                    self.deny_renewal(now, holder, *token, changes);
                }
                _ => {}
            },
            Command::Release { holder, target } => {
                self.read_release(now, holder, target, answer, changes);
            }
            Command::Cancel { holder, request } => {
                if answer.is_ok() {
                    self.cancel(now, holder, request, changes);
                }
            }
            Command::ForceRelease { token, drain, .. } => match answer {
                Ok(_) if *drain => self.drain(*token, changes),
                Ok(_) => self.end_lease(now, *token, EndOfLease::Forced, changes),
                Err(_) => self.end_unless_lapsed(now, *token, changes),
            },
            Command::Status { path } => {
                if let Ok(Outcome::Free { reserved, .. }) = answer {
                    self.named.extend(reserved.iter().map(|entry| name_of(entry, generation)));
                    let on = self.leases.values().find(|lease| lease.paths.covers(path));
                    if let Some(token) = on.map(|lease| lease.token) {
                        self.end_unless_lapsed(now, token, changes);
                    }
                }
            }
            Command::Verify { path, token } => {
                if let Ok(Outcome::Stale) = answer
                    && self.leases.get(token).is_some_and(|lease| lease.paths.covers(path))
                {
                    self.end_unless_lapsed(now, *token, changes);
                }
            }
            Command::Tickets { .. } => {
                if let Ok(Outcome::Tickets { tickets, .. }) = answer {
                    self.named.extend(tickets.iter().map(|entry| name_of(entry, generation)));
                }
            }
            Command::ForceTicket { arrival, generation } => {
                let named = self.named.get(&(*generation, *arrival)).filter(|_| answer.is_ok());
                if let Some(arrival) = named.and_then(|(holder, request)| {
                    self.ticket_of(holder, request).map(|(arrival, _)| arrival)
                }) {
                    self.end_ticket(now, arrival, EndOfTicket::Forced, changes);
                }
            }
            Command::List { .. } | Command::Recover { .. } => {}
        }
    }

    fn deny_renewal(
        &mut self,
        now: Timestamp,
        holder: &Holder,
        token: Ordinal,
        changes: &mut Vec<Change>,
    ) {
        if self.leases.get(&token).is_some_and(|lease| lease.holder == *holder && !lease.draining) {
            self.end_unless_lapsed(now, token, changes);
        }
    }

    fn read_acquire(
        &mut self,
        now: Timestamp,
        event: &LeaseEvent,
        acquire: &Acquire,
        answer: &Result<Outcome, Rejection>,
        changes: &mut Vec<Change>,
    ) {
        let holder = acquire.holder();
        match (answer, acquire.request()) {
            (Ok(Outcome::Granted { token, expires_at, .. }), request) => {
                if self.leases.contains_key(token) {
                    self.extend(*token, *expires_at, changes);
                } else {
                    let from_queue = request.and_then(|r| self.ticket_of(holder, r)).is_some();
                    if let (true, Some(request)) = (from_queue, request) {
                        self.grant_ticket(now, holder, request, *token, *expires_at, changes);
                    } else {
                        let lease = Lease {
                            holder: holder.clone(),
                            request: request.cloned(),
                            paths: acquire.paths().clone(),
                            token: *token,
                            granted: now,
                            expires_at: *expires_at,
                            draining: false,
                        };
                        self.begin_lease(lease, false, changes);
                    }
                }
            }
            (Ok(Outcome::Queued { position }), Some(request)) => {
                self.queue(now, event, acquire, request, *position, changes);
            }
            (Ok(Outcome::Over { reason, .. }), Some(request)) => {
                self.read_over(now, holder, request, *reason, changes);
            }
            // Refused although it waits or holds: what was promised is denied.
            (Err(Rejection::Held(blocker)), Some(request)) if blocker.by != HeldBy::Own => {
                self.read_over(now, holder, request, OverReason::TimedOut, changes);
            }
            _ => {}
        }
    }

    fn read_over(
        &mut self,
        now: Timestamp,
        holder: &Holder,
        request: &RequestId,
        reason: OverReason,
        changes: &mut Vec<Change>,
    ) {
        if let Some((arrival, ticket)) = self.ticket_of(holder, request) {
            let early = now < ticket.deadline || reason != OverReason::TimedOut;
            let how = if early { EndOfTicket::Denied } else { EndOfTicket::TimedOut };
            self.end_ticket(now, arrival, how, changes);
        }
        if let Some(token) = self.lease_of(holder, request).map(|lease| lease.token) {
            self.end_unless_lapsed(now, token, changes);
        }
    }

    fn read_release(
        &mut self,
        now: Timestamp,
        holder: &Holder,
        target: &ReleaseTarget,
        answer: &Result<Outcome, Rejection>,
        changes: &mut Vec<Change>,
    ) {
        let meant = match target {
            ReleaseTarget::Token(token) => Some(*token),
            ReleaseTarget::Path(path) => self
                .leases
                .values()
                .find(|lease| lease.holder == *holder && lease.paths.covers(path))
                .map(|lease| lease.token),
        };
        let Some(token) = meant.filter(|token| self.leases.contains_key(token)) else { return };
        let own = self.leases.get(&token).is_some_and(|lease| lease.holder == *holder);
        match answer {
            Ok(_) if own => self.end_lease(now, token, EndOfLease::Released, changes),
            Ok(_) => self.end_lease(now, token, EndOfLease::Denied, changes),
            Err(_) if own => self.end_unless_lapsed(now, token, changes),
            Err(_) => {}
        }
    }
}
