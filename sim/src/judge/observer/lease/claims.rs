//! Life of leases and tickets, as the observer has it: how they begin, go on and end.

use mailbus_spec::lease::Acquire;
use mailbus_spec::limits::MEMORY_MS;
use mailbus_spec::{Holder, Ordinal, RequestId, Timestamp};

use crate::judge::observer::lease::{
    Change, EndOfLease, EndOfTicket, Ended, Lease, LeaseEvent, LeaseObserver, Ticket,
};

impl LeaseObserver {
    pub(super) fn grant_ticket(
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

    pub(super) fn begin_lease(
        &mut self,
        lease: Lease,
        from_queue: bool,
        changes: &mut Vec<Change>,
    ) {
        self.last_token = self.last_token.max(lease.token);
        if let Some(request) = &lease.request {
            self.ended.remove(&(lease.holder.clone(), request.clone()));
        }
        self.leases.insert(lease.token, lease.clone());
        changes.push(Change::Granted { lease, from_queue });
    }

    pub(super) fn extend(&mut self, token: Ordinal, to: Timestamp, changes: &mut Vec<Change>) {
        if let Some(lease) = self.leases.get_mut(&token)
            && lease.expires_at != to
        {
            let from = std::mem::replace(&mut lease.expires_at, to);
            changes.push(Change::Extended { token, from, to });
        }
    }

    pub(super) fn drain(&mut self, token: Ordinal, changes: &mut Vec<Change>) {
        if let Some(lease) = self.leases.get_mut(&token)
            && !std::mem::replace(&mut lease.draining, true)
        {
            changes.push(Change::Draining { token });
        }
    }

    pub(super) fn queue(
        &mut self,
        now: Timestamp,
        event: &LeaseEvent,
        acquire: &Acquire,
        request: &RequestId,
        position: u64,
        changes: &mut Vec<Change>,
    ) {
        let wait_ms = acquire.wait().map_or(0, |wait| wait.ms());
        let deadline = now.plus_ms(wait_ms);
        let known = self.ticket_of(acquire.holder(), request).map(|(arrival, _)| arrival);
        if let Some(arrival) = known {
            if let Some(ticket) = self.tickets.get_mut(&arrival) {
                // A question moves the deadline by a quarter of the wait or more, or not at all.
                if deadline.ms_since(ticket.deadline) >= wait_ms.div_ceil(4) {
                    ticket.deadline = deadline;
                }
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

    pub(super) fn cancel(
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

    pub(super) fn end_unless_lapsed(
        &mut self,
        now: Timestamp,
        token: Ordinal,
        changes: &mut Vec<Change>,
    ) {
        if self.leases.get(&token).is_some_and(|lease| now < lease.expires_at) {
            self.end_lease(now, token, EndOfLease::Denied, changes);
        }
    }

    pub(super) fn end_lease(
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

    pub(super) fn end_ticket(
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

    pub(super) fn end_leases(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
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

    pub(super) fn end_tickets(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
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

    /// A ticket whose request is not even remembered any more means nothing to the command that comes:
    /// the same request is another.
    pub(super) fn forget_tickets(&mut self, now: Timestamp) {
        self.tickets.retain(|_, ticket| now < ticket.deadline.plus_ms(MEMORY_MS));
    }
}
