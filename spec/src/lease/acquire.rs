//! Acquiring, in [the order in which it is decided](crate::rules::leases#the-order-of-decisions). Each
//! rule is there because its simpler form, or another order, was [refuted](crate::rules::refuted).

use crate::id::RequestId;
use crate::lease::answer::{Blocker, HeldBy, LimitKind, Outcome, Rejection};
use crate::lease::command::Acquire;
use crate::lease::machine::Turn;
use crate::lease::state::{ClaimKey, ClaimName, Content, Lease, LeaseMachine, Ticket};
use crate::limits;
use crate::ordinal::Ordinal;
use crate::path::PathSet;
use crate::time::{Timestamp, Wait};

impl LeaseMachine {
    pub(super) fn acquire(
        &mut self,
        turn: &mut Turn,
        acquire: &Acquire,
    ) -> Result<Outcome, Rejection> {
        // (a) Bounds hold by construction.
        // (b) A known request answers its present state, whatever became of it.
        if let Some(request) = acquire.request()
            && let Some(answer) = self.known(turn, acquire, request)
        {
            return answer;
        }
        // (c) The original's clients renew by acquiring again, whatever waits behind them.
        if acquire.request().is_none()
            && let Some(extended) = self.extend_exact_set(turn, acquire)
        {
            return Ok(extended);
        }
        // (d) A claim that overlaps one's own would wait for oneself.
        if let Some(own) = self.own_claim(acquire) {
            return Err(Rejection::Held(own));
        }
        // (e) Bounds of what is held, queued and remembered.
        self.within_limits(turn, acquire)?;
        // (f) Nothing in the way.
        let Some(blocker) = self.first_blocker(acquire.paths()) else {
            return self.grant(turn, acquire);
        };
        // (g) Somebody is, and the asker does not wait.
        let (Some(request), Some(wait)) = (acquire.request(), acquire.wait()) else {
            return Err(Rejection::Held(blocker));
        };
        // (h) A wait that could never end is refused.
        if let Some(mut cycle) = self.cycle_of(acquire.holder(), acquire.paths()) {
            let length = cycle.len() as u64;
            cycle.truncate(limits::CYCLE_NAMED);
            return Err(Rejection::Deadlock { cycle, length });
        }
        // (i) One agent is not the whole queue.
        let agent = &acquire.holder().agent;
        let own = self.tickets_on(acquire.paths()).filter(|(_, live)| live.holder.agent == *agent);
        if own.count() >= limits::AGENT_TICKETS {
            return Err(Rejection::Limit(LimitKind::AgentTickets));
        }
        // (j) A place in the queue.
        Ok(self.enqueue(turn, acquire, request, wait))
    }

    fn known(
        &mut self,
        turn: &mut Turn,
        acquire: &Acquire,
        request: &RequestId,
    ) -> Option<Result<Outcome, Rejection>> {
        let key = ClaimKey::of(acquire.holder(), request);
        let content = Content::of(acquire);
        if let Some((token, lease)) = self.leases.iter().find(|(_, lease)| lease.key == key) {
            return Some(if lease.content == content {
                let (expires_at, ttl) = (lease.expires_at, lease.first_term);
                Ok(Outcome::Granted { token: *token, expires_at, ttl })
            } else {
                Err(Rejection::Conflict)
            });
        }
        if let Some(arrival) = self.arrival_of(&key) {
            return Some(self.extend_ticket(turn, arrival, &content));
        }
        let over = self.remembered.get(&key)?;
        if over.memory_ends() <= turn.now() {
            turn.depends_on_end(over.memory_ends());
            return None;
        }
        Some(if over.content.as_ref().is_none_or(|known| *known == content) {
            Ok(Outcome::Over { reason: over.reason, token: over.token })
        } else {
            Err(Rejection::Conflict)
        })
    }

    /// The arrival of the live ticket of an attempt.
    pub(super) fn arrival_of(&self, key: &ClaimKey) -> Option<u64> {
        self.queue.iter().find(|(_, ticket)| ticket.key() == *key).map(|(arrival, _)| *arrival)
    }

    /// Asking again extends the ticket without losing the place.
    fn extend_ticket(
        &mut self,
        turn: &mut Turn,
        arrival: u64,
        content: &Content,
    ) -> Result<Outcome, Rejection> {
        let position = match self.queue.get(&arrival) {
            Some(ticket) if ticket.content == *content => {
                self.position(&ticket.content.paths, arrival)
            }
            _ => return Err(Rejection::Conflict),
        };
        if let Some(ticket) = self.queue.get_mut(&arrival)
            && let Some(wait) = ticket.content.wait
            && let Some(deadline) = wait.moved(ticket.deadline, turn.now())
        {
            ticket.deadline = deadline;
            turn.wrote = true;
        }
        Ok(Outcome::Queued { position })
    }

    fn position(&self, paths: &PathSet, arrival: u64) -> u64 {
        self.tickets_on(paths).filter(|(earlier, _)| *earlier < arrival).count() as u64
    }

    /// The answer's term is the one just asked for: the first term may be longer than what this call
    /// has made sure of.
    fn extend_exact_set(&mut self, turn: &mut Turn, acquire: &Acquire) -> Option<Outcome> {
        let (token, lease) = self.leases.iter_mut().find(|(_, lease)| {
            lease.key.holder == *acquire.holder()
                && lease.content.paths == *acquire.paths()
                && !lease.draining
        })?;
        let expires_at = lease.expires_at.max(turn.now().plus_ms(acquire.ttl().ms()));
        if lease.expires_at < expires_at {
            lease.expires_at = expires_at;
            turn.wrote = true;
        }
        Some(Outcome::Granted { token: *token, expires_at, ttl: acquire.ttl() })
    }

    fn own_claim(&self, acquire: &Acquire) -> Option<Blocker> {
        let own_lease = self
            .leases_on(acquire.paths())
            .find(|(_, lease)| lease.key.holder == *acquire.holder());
        let own_ticket =
            self.tickets_on(acquire.paths()).find(|(_, ticket)| ticket.holder == *acquire.holder());
        let queue = self.queue_on(acquire.paths());
        own_lease
            .map(|(_, lease)| blocked_by_lease(lease, queue))
            .or_else(|| own_ticket.map(|(arrival, own)| blocked_by_ticket(arrival, own, queue)))
            .map(|blocker| Blocker { by: HeldBy::Own, ..blocker })
    }

    /// The first claim in the way: live leases by token, then tickets by arrival. Never by name, or
    /// renaming agents would change answers.
    fn first_blocker(&self, paths: &PathSet) -> Option<Blocker> {
        let queue = self.queue_on(paths);
        let lease = self.leases_on(paths).next().map(|(_, lease)| blocked_by_lease(lease, queue));
        lease.or_else(|| {
            let first = self.tickets_on(paths).next();
            first.map(|(arrival, ticket)| blocked_by_ticket(arrival, ticket, queue))
        })
    }

    fn within_limits(&self, turn: &mut Turn, acquire: &Acquire) -> Result<(), Rejection> {
        let live = || {
            let leases = self.leases.values().map(|lease| (&lease.key.holder, &lease.content));
            leases.chain(self.queue.values().map(|ticket| (&ticket.holder, &ticket.content)))
        };
        let agent = &acquire.holder().agent;
        let own = || live().filter(|(holder, _)| holder.agent == *agent);
        let more = acquire.paths().as_slice().len();
        let paths_of = |content: &Content| content.paths.as_slice().len();
        let all_paths: usize = live().map(|(_, content)| paths_of(content)).sum();
        let own_paths: usize = own().map(|(_, content)| paths_of(content)).sum();
        let limit = if live().count() >= limits::WORKSPACE_CLAIMS {
            LimitKind::WorkspaceClaims
        } else if all_paths.saturating_add(more) > limits::WORKSPACE_PATHS {
            LimitKind::WorkspacePaths
        } else if own().count() >= limits::AGENT_CLAIMS {
            LimitKind::AgentClaims
        } else if own_paths.saturating_add(more) > limits::AGENT_PATHS {
            LimitKind::AgentPaths
        } else {
            return self.within_memory(turn, acquire.holder());
        };
        Err(Rejection::Limit(limit))
    }

    /// Refuses what would have to be remembered beyond the bounds of memory.
    pub(super) fn within_memory(
        &self,
        turn: &mut Turn,
        holder: &crate::id::Holder,
    ) -> Result<(), Rejection> {
        if self.remembered.len() < limits::AGENT_REMEMBERED {
            return Ok(());
        }
        let full = |at: Timestamp| {
            if self.remembered_count(at, None) >= limits::WORKSPACE_REMEMBERED {
                Some(LimitKind::WorkspaceRemembered)
            } else if self.remembered_count(at, Some(&holder.agent)) >= limits::AGENT_REMEMBERED {
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

    fn grant(&mut self, turn: &mut Turn, acquire: &Acquire) -> Result<Outcome, Rejection> {
        let token =
            self.last_token.next(turn.seen.host).ok_or(Rejection::Limit(LimitKind::Tokens))?;
        let name = match acquire.request() {
            Some(request) => ClaimName::Request(request.clone()),
            None => ClaimName::Token(token),
        };
        let expires_at = turn.now().plus_ms(acquire.ttl().ms());
        let lease = Lease {
            key: ClaimKey { holder: acquire.holder().clone(), name },
            content: Content::of(acquire),
            first_term: acquire.ttl(),
            expires_at,
            draining: false,
        };
        self.hold(token, lease);
        turn.wrote = true;
        Ok(Outcome::Granted { token, expires_at, ttl: acquire.ttl() })
    }

    fn enqueue(
        &mut self,
        turn: &mut Turn,
        acquire: &Acquire,
        request: &RequestId,
        wait: Wait,
    ) -> Outcome {
        let arrival = self.sequence.saturating_add(1);
        let ticket = Ticket {
            holder: acquire.holder().clone(),
            request: request.clone(),
            content: Content::of(acquire),
            deadline: turn.now().plus_ms(wait.ms()),
        };
        let position = self.position(acquire.paths(), arrival);
        self.remembered.remove(&ticket.key());
        self.queue.insert(arrival, ticket);
        turn.wrote = true;
        Outcome::Queued { position }
    }

    /// The live lease under `token`, if it is the holder's.
    pub(super) fn own_lease(&self, holder: &crate::id::Holder, token: Ordinal) -> Option<&Lease> {
        self.leases.get(&token).filter(|lease| lease.key.holder == *holder)
    }
}

fn blocked_by_lease(lease: &Lease, queue: u64) -> Blocker {
    Blocker {
        by: HeldBy::Lease,
        holder: lease.key.holder.clone(),
        paths: lease.content.paths.clone(),
        until: lease.expires_at,
        queue,
        arrival: None,
    }
}

fn blocked_by_ticket(arrival: u64, ticket: &Ticket, queue: u64) -> Blocker {
    Blocker {
        by: HeldBy::Ticket,
        holder: ticket.holder.clone(),
        paths: ticket.content.paths.clone(),
        until: ticket.deadline,
        queue,
        arrival: Some(arrival),
    }
}
