//! Renew, release and cancel: what a holder does with what is its own.

use mailbus_spec::lease::{Outcome, Rejection, ReleaseTarget};
use mailbus_spec::{Holder, Ordinal, RequestId, Timestamp, Ttl};

use super::acquire::count;
use super::claims::ClaimId;
use super::finished::Finished;
use super::memory_count::memory_ends;
use super::rows::{self, Ending};
use super::state::LeaseMemory;
use super::turn::{Answer, Stop, Turn};
use crate::sql::integer;

impl LeaseMemory {
    pub(super) fn renew(
        &mut self,
        turn: &mut Turn<'_>,
        holder: &Holder,
        token: Ordinal,
        ttl: Ttl,
        drain: bool,
    ) -> Answer {
        let lease = self.claims.own_lease(holder, token).ok_or(Rejection::Lost)?;
        let waiting = count(self.claims.index().queue(lease.claim.paths()));
        if lease.draining {
            let told = Outcome::Renewed { expires_at: lease.expires_at, waiting, draining: true };
            return if drain { Ok(told) } else { Err(Rejection::Lost.into()) };
        }
        let asked = turn.now().plus_ms(ttl.ms());
        let expires_at = self.prolong(turn, token, asked).ok_or(Rejection::Lost)?;
        Ok(Outcome::Renewed { expires_at, waiting, draining: false })
    }

    /// Lets a lease live until `asked` if that is later than it would, and gives its end. An end that
    /// does not move writes nothing.
    pub(super) fn prolong(
        &mut self,
        turn: &mut Turn<'_>,
        token: Ordinal,
        asked: Timestamp,
    ) -> Option<Timestamp> {
        let expires_at = self.claims.lease(token)?.expires_at;
        if asked <= expires_at {
            return Some(expires_at);
        }
        let lease = self.claims.extend_lease(token, asked)?;
        turn.write_stamped(rows::MOVE_END, rows::end_columns(&lease.claim, Some(token), asked));
        Some(asked)
    }

    pub(super) fn release(
        &mut self,
        turn: &mut Turn<'_>,
        holder: &Holder,
        target: &ReleaseTarget,
    ) -> Answer {
        let named = match target {
            ReleaseTarget::Token(token) => Some(*token),
            ReleaseTarget::Path(path) => {
                let mut leases = self.claims.index().leases(path).iter();
                leases.find(|token| self.claims.own_lease(holder, **token).is_some()).copied()
            }
        };
        let token = named.ok_or(Rejection::Lost)?;
        if self.claims.own_lease(holder, token).is_some() {
            self.end_lease(turn, token, Ending::Released);
            return Ok(Outcome::Released);
        }
        match target {
            ReleaseTarget::Token(_) if self.was_given_back(turn, holder, token) => {
                Ok(Outcome::Released)
            }
            _ => Err(Rejection::Lost.into()),
        }
    }

    /// True if the holder itself ended the lease under `token`, within the memory.
    fn was_given_back(&self, turn: &mut Turn<'_>, holder: &Holder, token: Ordinal) -> bool {
        is_remembered(turn, self.finished_tokens.given_back(holder, token))
    }

    /// True if a lease that an admin ended under `token` is remembered.
    pub(super) fn was_forced(&self, turn: &mut Turn<'_>, token: Ordinal) -> bool {
        is_remembered(turn, self.finished_tokens.forced(token))
    }

    /// The row of a request that had a token is written over.
    pub(super) fn forget_token(&mut self, ended: &Finished) {
        if let Some(token) = ended.token {
            self.finished_tokens.remove(token);
        }
    }

    /// Ends a live lease now, and grants what that frees.
    pub(super) fn end_lease(&mut self, turn: &mut Turn<'_>, token: Ordinal, ending: Ending) {
        let Some(lease) = self.claims.remove_lease(token) else { return };
        let now = turn.now();
        let (sql, columns) = rows::ended_columns(&lease.claim, Some(token), ending, now);
        turn.write_stamped(sql, columns);
        self.remembered.add(&lease.claim.holder.agent, now);
        self.finished_tokens.add(&lease.claim.holder, token, ending.reason(), now);
        self.grant_freed(turn, &lease.claim.paths);
    }

    /// Ends a live ticket now, and grants what that frees.
    pub(super) fn end_ticket(&mut self, turn: &mut Turn<'_>, arrival: u64, ending: Ending) {
        let Some(ticket) = self.claims.remove_ticket(arrival) else { return };
        let now = turn.now();
        let (sql, columns) = rows::ended_columns(&ticket.claim, None, ending, now);
        turn.write_stamped(sql, columns);
        self.remembered.add(&ticket.claim.holder.agent, now);
        self.grant_freed(turn, &ticket.claim.paths);
    }

    /// Ends the request whatever it became, so that no late copy of it can be granted.
    pub(super) fn cancel(
        &mut self,
        turn: &mut Turn<'_>,
        holder: &Holder,
        request: &RequestId,
    ) -> Answer {
        match self.claims.find(holder, request) {
            Some(ClaimId::Lease(token)) => self.end_lease(turn, token, Ending::Cancelled),
            Some(ClaimId::Ticket(arrival)) => self.end_ticket(turn, arrival, Ending::Cancelled),
            None => self.cancel_ended(turn, holder, request)?,
        }
        Ok(Outcome::Cancelled)
    }

    fn cancel_ended(
        &mut self,
        turn: &mut Turn<'_>,
        holder: &Holder,
        request: &RequestId,
    ) -> Result<(), Stop> {
        let now = turn.now();
        let ended = if self.header.has_tables {
            Finished::of_request(turn, holder, request)?
        } else {
            None
        };
        if let Some(ended) = ended.as_ref().filter(|ended| ended.memory_ends() > now) {
            if ended.end < now {
                let mut columns = rows::named_key(holder, request);
                columns.push(integer(now.ms()));
                turn.write_stamped(rows::MOVE_END, columns);
                self.remembered.remove(&holder.agent, ended.end);
                self.remembered.add(&holder.agent, now);
                if let Some(token) = ended.token {
                    self.finished_tokens.move_end(token, now);
                }
            }
            return Ok(());
        }
        if let Some(ended) = &ended {
            turn.depends_on_end(ended.memory_ends());
        }
        self.within_memory(turn, holder)?;
        turn.write_stamped(rows::WRITE_CLAIM, rows::tombstone_columns(holder, request, now));
        if let Some(ended) = ended {
            self.remembered.remove(&holder.agent, ended.end);
            self.forget_token(&ended);
        }
        self.remembered.add(&holder.agent, now);
        Ok(())
    }
}

/// True if the memory of what ended at `end` goes on.
fn is_remembered(turn: &mut Turn<'_>, end: Option<Timestamp>) -> bool {
    let Some(memory_ends) = end.map(memory_ends) else { return false };
    let is_over = memory_ends <= turn.now();
    if is_over {
        turn.depends_on_end(memory_ends);
    }
    !is_over
}
