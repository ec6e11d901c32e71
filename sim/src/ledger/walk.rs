//! Reading the object's history into the ledger, event by event.

use std::collections::BTreeMap;

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{
    Acquire, Command, HeldBy, Outcome, OverReason, Push, Rejection, ReleaseTarget,
};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, Ordinal, RequestId, Timestamp};

use crate::clock::TrueTime;
use crate::history::{History, ObjectEntry, ObjectEvent};
use crate::ledger::{Change, EndOfLease, EndOfTicket, Ended, Lease, Ledger, Ticket};

/// One event, when it has been read.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Its place among the object's events.
    pub index: usize,
    /// How often the storage had been restored.
    pub life: usize,
    /// The event.
    pub event: &'a ObjectEvent,
    /// Object time.
    pub now: Timestamp,
    /// The ledger after it.
    pub ledger: &'a Ledger,
    /// What changed, in order.
    pub changes: &'a [Change],
}

/// Somebody who reads along.
pub trait Reader {
    /// Looks at an event before the ledger has taken it in: what time has ended by then is gone.
    fn before(&mut self, _event: &ObjectEvent, _now: Timestamp, _ledger: &Ledger) {}

    /// Looks at an event after the ledger has taken it in.
    fn after(&mut self, _moment: &Moment<'_>) {}

    /// The storage was restored.
    fn restored(&mut self, _at: TrueTime, _ledger: &Ledger) {}
}

/// Reads a history. After a restore the ledger goes on from where the storage went back to.
pub fn walk(history: &History, readers: &mut [&mut dyn Reader]) {
    let points = history.restore_points();
    let mut bookmarks = BTreeMap::from([(0, Ledger::default())]);
    let mut ledger = Ledger::default();
    let (mut index, mut life) = (0, 0);
    for (entry, length) in history.object.iter().zip(1_usize..) {
        match entry {
            ObjectEntry::Event(event) => {
                let mut changes = Vec::new();
                let now = ledger.object_time(event);
                ledger.end_leases(now, &mut changes);
                for reader in readers.iter_mut() {
                    reader.before(event, now, &ledger);
                }
                ledger.read(event, now, &mut changes);
                let moment = Moment { index, life, event, now, ledger: &ledger, changes: &changes };
                for reader in readers.iter_mut() {
                    reader.after(&moment);
                }
                index += 1;
            }
            ObjectEntry::Restored { back_to, at } => {
                life += 1;
                ledger = bookmarks.get(back_to).cloned().unwrap_or_default();
                for reader in readers.iter_mut() {
                    reader.restored(*at, &ledger);
                }
            }
        }
        if points.contains(&length) {
            bookmarks.insert(length, ledger.clone());
        }
    }
}

/// Whether a command can end a claim, so that others may be granted after it.
fn ends_claims(command: &Command) -> bool {
    matches!(
        command,
        Command::Release { .. } | Command::Cancel { .. } | Command::ForceRelease { .. }
    )
}

impl Ledger {
    /// Object time of an event: what its reply says, else what the clock makes of the host's.
    fn object_time(&self, event: &ObjectEvent) -> Timestamp {
        let told = event.step.reply.as_ref().map(|reply| reply.commit.now);
        let seen = self.clock.observe(event.host).ok();
        told.or(seen.map(|seen| seen.now)).unwrap_or(self.clock.floor)
    }

    /// Takes an event in. Leases that time has ended must be gone already.
    fn read(&mut self, event: &ObjectEvent, now: Timestamp, changes: &mut Vec<Change>) {
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
        self.end_tickets(now, changes);
        if event.step.wrote && let Ok(seen) = self.clock.observe(event.host) {
            self.clock = self.clock.advanced_to(&seen);
            self.clock.floor = self.clock.floor.max(now);
        }
    }

    /// Whether a lease or an earlier ticket stands before what the push says was granted.
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
        event: &ObjectEvent,
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
        event: &ObjectEvent,
        command: &Command,
        answer: &Result<Outcome, Rejection>,
        changes: &mut Vec<Change>,
    ) {
        match command {
            Command::Acquire(acquire) => self.read_acquire(now, event, acquire, answer, changes),
            Command::Renew { holder, token, .. } => match answer {
                Ok(Outcome::Renewed { expires_at, .. }) => self.extend(*token, *expires_at, changes),
                Err(Rejection::Lost) => {
                    if self.leases.get(token).is_some_and(|l| l.holder == *holder && !l.draining) {
                        self.end_unless_lapsed(now, *token, changes);
                    }
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
                if let Ok(Outcome::Free { .. }) = answer {
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
            Command::List { .. } | Command::Recover { .. } => {}
        }
    }

    fn read_acquire(
        &mut self,
        now: Timestamp,
        event: &ObjectEvent,
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
                let wait = acquire.wait().map_or(0, |wait| wait.ms());
                self.queue(now, event, acquire, request, *position, wait, changes);
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

    fn grant_ticket(
        &mut self,
        now: Timestamp,
        holder: &Holder,
        request: &RequestId,
        token: Ordinal,
        expires_at: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let Some((arrival, ticket)) = self.ticket_of(holder, request) else { return };
        let lease = Lease {
            holder: holder.clone(),
            request: Some(request.clone()),
            paths: ticket.paths.clone(),
            token,
            granted: now,
            expires_at,
            draining: false,
        };
        if let Some(ticket) = self.tickets.remove(&arrival) {
            let how = EndOfTicket::Granted;
            changes.push(Change::TicketEnded { ticket, arrival, how });
        }
        self.begin_lease(lease, true, changes);
    }

    fn begin_lease(&mut self, lease: Lease, from_queue: bool, changes: &mut Vec<Change>) {
        self.last_token = self.last_token.max(lease.token);
        if let Some(request) = &lease.request {
            self.ended.remove(&(lease.holder.clone(), request.clone()));
        }
        self.leases.insert(lease.token, lease.clone());
        changes.push(Change::Granted { lease, from_queue });
    }

    fn extend(&mut self, token: Ordinal, to: Timestamp, changes: &mut Vec<Change>) {
        if let Some(lease) = self.leases.get_mut(&token)
            && lease.expires_at != to
        {
            let from = std::mem::replace(&mut lease.expires_at, to);
            changes.push(Change::Extended { token, from, to });
        }
    }

    fn drain(&mut self, token: Ordinal, changes: &mut Vec<Change>) {
        if let Some(lease) = self.leases.get_mut(&token)
            && !std::mem::replace(&mut lease.draining, true)
        {
            changes.push(Change::Draining { token });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one answer")]
    fn queue(
        &mut self,
        now: Timestamp,
        event: &ObjectEvent,
        acquire: &Acquire,
        request: &RequestId,
        position: u64,
        wait_ms: u64,
        changes: &mut Vec<Change>,
    ) {
        let deadline = now.plus_ms(wait_ms);
        let known = self.ticket_of(acquire.holder(), request).map(|(arrival, _)| arrival);
        if let Some(arrival) = known {
            if let Some(ticket) = self.tickets.get_mut(&arrival) {
                ticket.deadline = ticket.deadline.max(deadline);
                let from = std::mem::replace(&mut ticket.position, position);
                changes.push(Change::AskedAgain { arrival, from, to: position });
            }
            return;
        }
        self.arrivals += 1;
        let ticket = Ticket {
            holder: acquire.holder().clone(),
            request: request.clone(),
            paths: acquire.paths().clone(),
            deadline,
            asked: event.at,
            position,
        };
        self.ended.remove(&(ticket.holder.clone(), ticket.request.clone()));
        self.tickets.insert(self.arrivals, ticket);
        changes.push(Change::Queued { arrival: self.arrivals });
    }

    fn cancel(
        &mut self,
        now: Timestamp,
        holder: &Holder,
        request: &RequestId,
        changes: &mut Vec<Change>,
    ) {
        let lease = self.lease_of(holder, request);
        if let Some((token, expires_at)) = lease.map(|lease| (lease.token, lease.expires_at)) {
            let over = expires_at <= now;
            let how = if over { EndOfLease::Lapsed } else { EndOfLease::Cancelled };
            self.end_lease(now, token, how, changes);
        } else if let Some((arrival, ticket)) = self.ticket_of(holder, request) {
            let over = ticket.deadline <= now;
            let how = if over { EndOfTicket::TimedOut } else { EndOfTicket::Cancelled };
            self.end_ticket(now, arrival, how, changes);
        } else if !self.ended.contains_key(&(holder.clone(), request.clone())) {
            changes.push(Change::Tombstone { holder: holder.clone(), request: request.clone() });
        }
        let unknown = Ended { token: None, lease: None, at: now };
        let ended = self.ended.entry((holder.clone(), request.clone())).or_insert(unknown);
        ended.at = ended.at.max(now);
    }

    fn end_unless_lapsed(&mut self, now: Timestamp, token: Ordinal, changes: &mut Vec<Change>) {
        if self.leases.get(&token).is_some_and(|lease| now < lease.expires_at) {
            self.end_lease(now, token, EndOfLease::Denied, changes);
        }
    }

    fn end_lease(
        &mut self,
        now: Timestamp,
        token: Ordinal,
        how: EndOfLease,
        changes: &mut Vec<Change>,
    ) {
        let Some(lease) = self.leases.remove(&token) else { return };
        let drained = how == EndOfLease::Lapsed && lease.draining;
        let how = if drained { EndOfLease::Drained } else { how };
        let at = lease.expires_at.min(now);
        let ended = Ended { token: Some(token), lease: Some(how), at };
        if let Some(request) = &lease.request {
            self.ended.insert((lease.holder.clone(), request.clone()), ended);
        }
        self.past.insert(token, (lease.holder.clone(), ended));
        changes.push(Change::Ended { lease, how });
    }

    fn end_ticket(
        &mut self,
        now: Timestamp,
        arrival: u64,
        how: EndOfTicket,
        changes: &mut Vec<Change>,
    ) {
        let Some(ticket) = self.tickets.remove(&arrival) else { return };
        let ended = Ended { token: None, lease: None, at: ticket.deadline.min(now) };
        self.ended.insert((ticket.holder.clone(), ticket.request.clone()), ended);
        changes.push(Change::TicketEnded { ticket, arrival, how });
    }

    fn end_leases(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        let over: Vec<Ordinal> = self
            .leases
            .values()
            .filter(|lease| lease.expires_at <= now)
            .map(|lease| lease.token)
            .collect();
        for token in over {
            self.end_lease(now, token, EndOfLease::Lapsed, changes);
        }
    }

    fn end_tickets(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        let late: Vec<u64> = self
            .tickets
            .iter()
            .filter(|(_, ticket)| ticket.deadline <= now)
            .map(|(arrival, _)| *arrival)
            .collect();
        for arrival in late {
            self.end_ticket(now, arrival, EndOfTicket::TimedOut, changes);
        }
    }
}
