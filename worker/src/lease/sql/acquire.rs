//! Acquiring. The order of the checks is part of the protocol.

use mailbus_spec::lease::{Acquire, Blocker, HeldBy, LimitKind, Outcome, Rejection};
use mailbus_spec::{AgentId, Holder, RequestId, Timestamp, limits};

use super::claims::{Claim, ClaimId, Lease, Ticket};
use super::finished::Finished;
use super::paths::Overlap;
use super::rows;
use super::state::LeaseMemory;
use super::turn::{Answer, Stop, Turn};
use crate::storage::StorageError;

/// Knowledge about a request before it is decided.
enum Known {
    /// Its present state is the answer.
    Answer(Outcome),
    /// It may be decided anew; the row of its last use is still there.
    Forgotten(Finished),
    /// Nothing.
    New,
}

impl LeaseMemory {
    pub(super) fn acquire(&mut self, turn: &mut Turn<'_>, acquire: &Acquire) -> Answer {
        let known = match acquire.request() {
            Some(request) => self.known(turn, acquire, request)?,
            None => match self.extend_exact_set(turn, acquire) {
                Some(extended) => Known::Answer(extended),
                None => Known::New,
            },
        };
        let forgotten = match known {
            Known::Answer(outcome) => return Ok(outcome),
            Known::Forgotten(ended) => Some(ended),
            Known::New => None,
        };
        let overlap = self.claims.index().overlap(acquire.paths().as_slice().iter());
        if let Some(own) = self.own_claim(acquire.holder(), &overlap)? {
            return Err(Rejection::Held(own).into());
        }
        self.within_limits(turn, acquire)?;
        let Some(blocker) = self.first_blocker(&overlap)? else {
            return self.grant(turn, acquire, forgotten.as_ref());
        };
        let (Some(_), Some(wait)) = (acquire.request(), acquire.wait()) else {
            return Err(Rejection::Held(blocker).into());
        };
        if let Some(deadlock) = self.deadlock(acquire.holder(), acquire.paths()) {
            return Err(deadlock.into());
        }
        if self.waits_often_enough(&acquire.holder().agent, &overlap) {
            return Err(Rejection::Limit(LimitKind::AgentTickets).into());
        }
        let deadline = turn.now().plus_ms(wait.ms());
        Ok(self.enqueue(turn, acquire, deadline, &overlap, forgotten.as_ref()))
    }

    fn known(
        &mut self,
        turn: &mut Turn<'_>,
        acquire: &Acquire,
        request: &RequestId,
    ) -> Result<Known, Stop> {
        match self.claims.find(acquire.holder(), request) {
            Some(ClaimId::Lease(token)) => {
                let lease = self.claims.lease(token).filter(|lease| lease.claim.agrees(acquire));
                let lease = lease.ok_or(Rejection::Conflict)?;
                let (expires_at, ttl) = (lease.expires_at, lease.first_term);
                Ok(Known::Answer(Outcome::Granted { token, expires_at, ttl }))
            }
            Some(ClaimId::Ticket(arrival)) => self.keep_place(turn, acquire, arrival),
            None if self.header.has_tables => {
                let Some(ended) = Finished::of_request(turn, acquire.holder(), request)? else {
                    return Ok(Known::New);
                };
                if ended.memory_ends() <= turn.now() {
                    turn.depends_on_end(ended.memory_ends());
                    return Ok(Known::Forgotten(ended));
                }
                if !ended.agrees(acquire) {
                    return Err(Rejection::Conflict.into());
                }
                Ok(Known::Answer(Outcome::Over { reason: ended.reason, token: ended.token }))
            }
            None => Ok(Known::New),
        }
    }

    fn keep_place(
        &mut self,
        turn: &mut Turn<'_>,
        acquire: &Acquire,
        arrival: u64,
    ) -> Result<Known, Stop> {
        let ticket = self.claims.ticket(arrival).filter(|ticket| ticket.claim.agrees(acquire));
        let ticket = ticket.ok_or(Rejection::Conflict)?;
        let tickets = self.claims.index().overlap(ticket.claim.paths()).tickets;
        let position = count(tickets.partition_point(|earlier| *earlier < arrival));
        let (wait, now) = (ticket.claim.wait, turn.now());
        if let Some(deadline) = wait.and_then(|wait| wait.moved(ticket.deadline, now))
            && let Some(ticket) = self.claims.extend_ticket(arrival, deadline)
        {
            turn.write_stamped(rows::MOVE_END, rows::end_columns(&ticket.claim, None, deadline));
        }
        Ok(Known::Answer(Outcome::Queued { position }))
    }

    /// The original's clients renew so, whatever waits.
    fn extend_exact_set(&mut self, turn: &mut Turn<'_>, acquire: &Acquire) -> Option<Outcome> {
        let same = |token: &&mailbus_spec::Ordinal| {
            let lease = self.claims.own_lease(acquire.holder(), **token);
            lease.is_some_and(|lease| !lease.draining && lease.claim.is_on(acquire.paths()))
        };
        let first = acquire.paths().as_slice().first()?;
        let token = *self.claims.index().leases(first).iter().find(same)?;
        let asked = turn.now().plus_ms(acquire.ttl().ms());
        let expires_at = self.prolong(turn, token, asked).unwrap_or(asked);
        Some(Outcome::Granted { token, expires_at, ttl: acquire.ttl() })
    }

    fn own_claim(
        &self,
        holder: &Holder,
        overlap: &Overlap,
    ) -> Result<Option<Blocker>, StorageError> {
        if self.claims.share(holder).is_none() {
            return Ok(None);
        }
        let mut leases = overlap.leases.iter().filter_map(|token| self.claims.lease(*token));
        let mut tickets = self.tickets_among(overlap);
        let own = leases
            .find(|lease| lease.claim.holder == *holder)
            .map(|lease| (&lease.claim, lease.expires_at, None))
            .or_else(|| tickets.find(|(claim, ..)| claim.holder == *holder));
        own.map(|own| blocker(HeldBy::Own, own, overlap)).transpose()
    }

    fn first_blocker(&self, overlap: &Overlap) -> Result<Option<Blocker>, StorageError> {
        let lease = overlap.leases.first().and_then(|token| self.claims.lease(*token));
        if let Some(lease) = lease {
            let lease = (&lease.claim, lease.expires_at, None);
            return blocker(HeldBy::Lease, lease, overlap).map(Some);
        }
        let ticket = self.tickets_among(overlap).next();
        ticket.map(|ticket| blocker(HeldBy::Ticket, ticket, overlap)).transpose()
    }

    /// The tickets among claims: each with its deadline and arrival.
    fn tickets_among<'a>(
        &'a self,
        overlap: &'a Overlap,
    ) -> impl Iterator<Item = (&'a Claim, Timestamp, Option<u64>)> {
        overlap.tickets.iter().filter_map(|arrival| {
            let ticket = self.claims.ticket(*arrival)?;
            Some((&ticket.claim, ticket.deadline, Some(*arrival)))
        })
    }

    /// True if so many tickets of the agent are among these that it may have no more there.
    fn waits_often_enough(&self, agent: &AgentId, overlap: &Overlap) -> bool {
        let own = self.tickets_among(overlap).filter(|(claim, ..)| claim.holder.agent == *agent);
        own.take(limits::AGENT_TICKETS).count() == limits::AGENT_TICKETS
    }

    fn within_limits(&self, turn: &mut Turn<'_>, acquire: &Acquire) -> Result<(), Rejection> {
        let more = acquire.paths().as_slice().len();
        let own = self.claims.sum(&acquire.holder().agent);
        let limit = if self.claims.claim_count() >= limits::WORKSPACE_CLAIMS {
            LimitKind::WorkspaceClaims
        } else if self.claims.path_count().saturating_add(more) > limits::WORKSPACE_PATHS {
            LimitKind::WorkspacePaths
        } else if own.claims >= limits::AGENT_CLAIMS {
            LimitKind::AgentClaims
        } else if own.paths.saturating_add(more) > limits::AGENT_PATHS {
            LimitKind::AgentPaths
        } else {
            return self.within_memory(turn, acquire.holder());
        };
        Err(Rejection::Limit(limit))
    }

    /// Refuses what would have to be remembered beyond the bounds of memory.
    pub(super) fn within_memory(
        &self,
        turn: &mut Turn<'_>,
        holder: &Holder,
    ) -> Result<(), Rejection> {
        // Neither bound can be reached below the smaller one.
        if self.remembered.total() < limits::AGENT_REMEMBERED {
            return Ok(());
        }
        let full = |at: Timestamp| {
            if self.remembered.count(at) >= limits::WORKSPACE_REMEMBERED {
                Some(LimitKind::WorkspaceRemembered)
            } else if self.remembered.count_of(&holder.agent, at) >= limits::AGENT_REMEMBERED {
                Some(LimitKind::AgentRemembered)
            } else {
                None
            }
        };
        if let Some(kind) = full(turn.now()) {
            return Err(Rejection::Limit(kind));
        }
        if full(turn.floor).is_some() {
            turn.depends_on_end(turn.now());
        }
        Ok(())
    }

    fn grant(
        &mut self,
        turn: &mut Turn<'_>,
        acquire: &Acquire,
        forgotten: Option<&Finished>,
    ) -> Answer {
        let token = self.header.last_ordinal.next(turn.seen.host);
        let token = token.ok_or(Rejection::Limit(LimitKind::Tokens))?;
        let lease = Lease {
            claim: self.claims.claim_of(acquire),
            first_term: acquire.ttl(),
            expires_at: turn.now().plus_ms(acquire.ttl().ms()),
            draining: false,
        };
        let outcome =
            Outcome::Granted { token, expires_at: lease.expires_at, ttl: lease.first_term };
        turn.write_stamped(rows::WRITE_CLAIM, rows::lease_columns(token, &lease));
        self.replace(acquire.holder(), forgotten);
        self.header.last_ordinal = token;
        self.claims.add_lease(token, lease);
        Ok(outcome)
    }

    fn enqueue(
        &mut self,
        turn: &mut Turn<'_>,
        acquire: &Acquire,
        deadline: Timestamp,
        overlap: &Overlap,
        forgotten: Option<&Finished>,
    ) -> Outcome {
        let arrival = self.header.sequence.saturating_add(1);
        let ticket = Ticket { claim: self.claims.claim_of(acquire), deadline };
        turn.write_stamped(rows::WRITE_CLAIM, rows::ticket_columns(arrival, &ticket));
        self.replace(acquire.holder(), forgotten);
        self.claims.add_ticket(arrival, ticket);
        Outcome::Queued { position: count(overlap.tickets.len()) }
    }

    /// The row of a forgotten request is written over by its next use.
    fn replace(&mut self, holder: &Holder, forgotten: Option<&Finished>) {
        if let Some(ended) = forgotten {
            self.remembered.remove(&holder.agent, ended.end);
            self.forget_token(ended);
        }
    }
}

/// A number of claims as answers have it.
pub(super) fn count(claims: usize) -> u64 {
    u64::try_from(claims).unwrap_or(u64::MAX)
}

fn blocker(
    by: HeldBy,
    (claim, until, arrival): (&Claim, Timestamp, Option<u64>),
    overlap: &Overlap,
) -> Result<Blocker, StorageError> {
    Ok(Blocker {
        by,
        holder: claim.holder.clone(),
        paths: claim.path_set()?,
        until,
        queue: count(overlap.tickets.len()),
        arrival,
    })
}
