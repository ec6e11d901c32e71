//! Expiry: time ends leases and tickets, lets those go on who waited, and makes memories collectable.

use alloc::vec::Vec;

use crate::lease::answer::{Notice, OverReason};
use crate::lease::machine::Turn;
use crate::lease::state::{ClaimKey, Lease, LeaseMachine, Remembered};
use crate::ordinal::Ordinal;
use crate::path::PathSet;

impl LeaseMachine {
    /// The first half of every event: ends what is over, then grants what has become free.
    ///
    /// Both kinds end before any grant, so a ticket whose deadline is the instant of an expiry is
    /// not granted ([refuted](crate::rules::refuted#a-deadline-at-the-instant-of-an-expiry)).
    pub(super) fn advance(&mut self, turn: &mut Turn) {
        self.end_leases(turn);
        self.end_tickets(turn);
        self.grant_queue(turn);
    }

    fn end_leases(&mut self, turn: &mut Turn) {
        let now = turn.now();
        let over: Vec<Ordinal> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.expires_at <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in over {
            let Some(lease) = self.leases.remove(&token) else { continue };
            let reason = if lease.draining { OverReason::Forced } else { OverReason::Lapsed };
            turn.push(&lease.key.holder, Notice::Lapsed { token });
            let end = lease.expires_at;
            self.remember(lease.ended(token, reason, end));
            turn.wrote = true;
        }
    }

    fn end_tickets(&mut self, turn: &mut Turn) {
        let now = turn.now();
        let over: Vec<u64> = self
            .queue
            .iter()
            .filter(|(_, ticket)| ticket.deadline <= now)
            .map(|(arrival, _)| *arrival)
            .collect();
        for arrival in over {
            let Some(ticket) = self.queue.remove(&arrival) else { continue };
            let end = ticket.deadline;
            self.remember(ticket.ended(OverReason::TimedOut, end));
            turn.wrote = true;
        }
    }

    /// Grants, in order of arrival, every ticket that overlaps no live lease and no earlier live
    /// ticket. One pass is enough: a grant frees nothing.
    pub(super) fn grant_queue(&mut self, turn: &mut Turn) {
        let arrivals: Vec<u64> = self.queue.keys().copied().collect();
        for arrival in arrivals {
            let Some(ticket) = self.queue.get(&arrival) else { continue };
            if self.is_blocked(&ticket.content.paths, arrival) {
                continue;
            }
            // Without a token left the ticket stays one until its deadline.
            let Some(token) = self.last_token.next(turn.seen.host) else { continue };
            let Some(ticket) = self.queue.remove(&arrival) else { continue };
            let first_term = ticket.content.ttl.queued_term(ticket.content.wait);
            let lease = Lease {
                key: ticket.key(),
                content: ticket.content,
                first_term,
                expires_at: turn.now().plus_ms(first_term.ms()),
                draining: false,
            };
            let notice = Notice::Granted {
                request: ticket.request,
                token,
                expires_at: lease.expires_at,
                ttl: first_term,
            };
            turn.push(&ticket.holder, notice);
            self.hold(token, lease);
            turn.wrote = true;
        }
    }

    /// True if something overlapping stands before a claim on `paths` that arrived at `arrival`.
    pub(super) fn is_blocked(&self, paths: &PathSet, arrival: u64) -> bool {
        self.leases_on(paths).next().is_some()
            || self.queue.range(..arrival).any(|(_, ticket)| ticket.content.paths.overlaps(paths))
    }

    /// Adds a live lease under a token just issued.
    pub(super) fn hold(&mut self, token: Ordinal, lease: Lease) {
        self.last_token = self.last_token.max(token);
        self.remembered.remove(&lease.key);
        self.leases.insert(token, lease);
    }

    /// Notes how a request ended.
    pub(super) fn remember(&mut self, (key, over): (ClaimKey, Remembered)) {
        self.remembered.insert(key, over);
    }

    /// The alarm's own work: forgets every request whose minute has come.
    pub(super) fn collect(&mut self, turn: &mut Turn) {
        let minute = turn.now().minute_floor();
        let before = self.remembered.len();
        self.remembered.retain(|_, over| over.collectable_minute() > minute);
        if self.remembered.len() < before {
            turn.wrote = true;
        }
    }
}
