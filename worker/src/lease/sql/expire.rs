//! Expiry: what time ends among the live claims, and what becomes free by it.

use std::collections::BTreeSet;

use mailbus_spec::lease::OverReason;
use mailbus_spec::lease::answer::Notice;

use super::claims::{ClaimId, Lease};
use super::memory_count::collectable_until_ms;
use super::paths::SharedPath;
use super::rows;
use super::state::LeaseMemory;
use super::turn::Turn;
use crate::sql::integer;

impl LeaseMemory {
    /// The first half of every event. What has lapsed keeps its row as it is: the clock, written with
    /// this event, says that it is over.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        if self.claims.first_end().is_none_or(|end| end > now) {
            return;
        }
        let mut freed = Vec::new();
        for id in self.claims.due(now) {
            let (claim, end) = match id {
                ClaimId::Lease(token) => {
                    let Some(lease) = self.claims.remove_lease(token) else { continue };
                    turn.push(&lease.claim.holder, Notice::Lapsed { token });
                    if lease.draining {
                        let (holder, end) = (&lease.claim.holder, lease.expires_at);
                        self.finished_tokens.add(holder, token, OverReason::Forced, end);
                    }
                    (lease.claim, lease.expires_at)
                }
                ClaimId::Ticket(arrival) => {
                    let Some(ticket) = self.claims.remove_ticket(arrival) else { continue };
                    (ticket.claim, ticket.deadline)
                }
            };
            self.remembered.add(&claim.holder.agent, end);
            freed.extend(claim.paths);
            turn.writes_clock();
        }
        self.grant_freed(turn, &freed);
    }

    /// Grants the tickets that nothing stands before any more, in order of arrival.
    ///
    /// On each freed path only the first ticket can be granted: it, or the lease it becomes, blocks
    /// the others there.
    pub(super) fn grant_freed(&mut self, turn: &mut Turn<'_>, freed: &[SharedPath]) {
        let candidates: BTreeSet<u64> = freed
            .iter()
            .filter_map(|path| self.claims.index().tickets(path.get()).first().copied())
            .collect();
        for arrival in candidates {
            self.grant_ticket(turn, arrival);
        }
    }

    fn grant_ticket(&mut self, turn: &mut Turn<'_>, arrival: u64) {
        let Some(ticket) = self.claims.ticket(arrival) else { return };
        if self.claims.index().is_blocked(ticket.claim.paths(), arrival) {
            return;
        }
        // Without a token left it stays a ticket until its deadline.
        let Some(token) = self.header.last_ordinal.next(turn.seen.host) else { return };
        let Some(ticket) = self.claims.remove_ticket(arrival) else { return };
        let first_term = ticket.claim.ttl.queued_term(ticket.claim.wait);
        let expires_at = turn.now().plus_ms(first_term.ms());
        let lease = Lease { claim: ticket.claim, first_term, expires_at, draining: false };
        if let Some(request) = &lease.claim.request {
            let notice =
                Notice::Granted { request: request.clone(), token, expires_at, ttl: first_term };
            turn.push(&lease.claim.holder, notice);
        }
        turn.write_stamped(rows::GRANT_TICKET, rows::grant_columns(token, &lease));
        self.header.last_ordinal = token;
        self.claims.add_lease(token, lease);
    }

    /// The alarm's own work: deletes what need not be remembered any longer.
    pub(super) fn collect_remembered(&mut self, turn: &mut Turn<'_>) {
        let minute = turn.now().minute_floor();
        if self.remembered.first_minute().is_some_and(|first| first <= minute) {
            self.remembered.collect(minute);
            self.finished_tokens.collect(minute);
            // The newest row may be among them; what this event writes, be it only `meta`, is newer.
            turn.write(rows::COLLECT, vec![integer(collectable_until_ms(minute))]);
        }
    }
}
