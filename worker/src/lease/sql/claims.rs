//! The live claims, in memory: leases and tickets, and where to find them.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::lease::Acquire;
use mailbus_spec::path::InvalidPaths;
use mailbus_spec::{AgentId, Holder, LeasePath, Ordinal, PathSet, RequestId, Timestamp, Ttl, Wait};

use super::paths::{PathIndex, SharedPath};

/// Part that a live lease and a live ticket have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Holder of it.
    pub holder: Holder,
    /// The client's name for it; none in the original's protocol.
    pub request: Option<RequestId>,
    /// The set.
    pub paths: Vec<SharedPath>,
    /// The TTL asked for.
    pub ttl: Ttl,
    /// The wait asked for.
    pub wait: Option<Wait>,
}

/// A live lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// Claim: what was asked for, and by whom.
    pub claim: Claim,
    /// The term granted at first.
    pub first_term: Ttl,
    /// Time at which it ends.
    pub expires_at: Timestamp,
    /// True if an admin is draining it.
    pub draining: bool,
}

/// A live ticket.
///
/// Invariant: its claim has a request and a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Claim: what was asked for, and by whom.
    pub claim: Claim,
    /// Time at which the place is given up.
    pub deadline: Timestamp,
}

/// Name of a live claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClaimId {
    /// The lease with this token.
    Lease(Ordinal),
    /// The ticket that arrived with this sequence.
    Ticket(u64),
}

/// Share of one holder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    claims: usize,
    /// The tickets, by arrival.
    pub tickets: BTreeSet<u64>,
    requests: BTreeMap<RequestId, ClaimId>,
}

/// Number of live claims of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Leases and tickets.
    pub claims: usize,
    /// Paths under them.
    pub paths: usize,
}

/// The live claims.
///
/// Invariant: every index says what `leases` and `tickets` say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    leases: BTreeMap<Ordinal, Lease>,
    tickets: BTreeMap<u64, Ticket>,
    ends: BTreeSet<(Timestamp, ClaimId)>,
    holders: BTreeMap<Holder, Share>,
    agents: BTreeMap<AgentId, Sum>,
    index: PathIndex,
    path_count: usize,
}

impl Claim {
    /// The paths, in the order of their keys.
    pub fn paths(&self) -> impl Iterator<Item = &LeasePath> {
        self.paths.iter().map(SharedPath::get)
    }

    /// The path under it that is equal to `path`, as it was claimed.
    pub fn path(&self, path: &LeasePath) -> Option<&LeasePath> {
        let place = self.paths.binary_search_by(|own| own.get().cmp(path)).ok()?;
        self.paths.get(place).map(SharedPath::get)
    }

    /// The paths as a set for an answer.
    pub fn path_set(&self) -> Result<PathSet, InvalidPaths> {
        PathSet::new(self.paths().cloned().collect())
    }

    /// True if these are its paths.
    pub fn is_on(&self, paths: &PathSet) -> bool {
        self.paths().eq(paths.as_slice())
    }

    /// True if `acquire` asks for the same.
    pub fn agrees(&self, acquire: &Acquire) -> bool {
        self.ttl == acquire.ttl() && self.wait == acquire.wait() && self.is_on(acquire.paths())
    }
}

impl Claims {
    /// The claim that `acquire` asks for, not yet live.
    pub fn claim_of(&self, acquire: &Acquire) -> Claim {
        Claim {
            holder: acquire.holder().clone(),
            request: acquire.request().cloned(),
            paths: self.share_paths(acquire.paths()),
            ttl: acquire.ttl(),
            wait: acquire.wait(),
        }
    }

    /// The paths as the claims on them share them.
    pub fn share_paths(&self, paths: &PathSet) -> Vec<SharedPath> {
        paths.as_slice().iter().map(|path| self.index.share(path)).collect()
    }

    /// Claims by the paths that they are on.
    pub fn index(&self) -> &PathIndex {
        &self.index
    }

    /// Number of leases and tickets.
    pub fn claim_count(&self) -> usize {
        self.leases.len().saturating_add(self.tickets.len())
    }

    /// Number of paths that are under them; one under two claims counts twice.
    pub fn path_count(&self) -> usize {
        self.path_count
    }

    /// Share of a holder, if it has anything.
    pub fn share(&self, holder: &Holder) -> Option<&Share> {
        self.holders.get(holder)
    }

    /// Claims of all sessions of an agent.
    pub fn sum(&self, agent: &AgentId) -> Sum {
        self.agents.get(agent).copied().unwrap_or_default()
    }

    /// The live lease with this token.
    pub fn lease(&self, token: Ordinal) -> Option<&Lease> {
        self.leases.get(&token)
    }

    /// The live lease with this token, if it is the holder's.
    pub fn own_lease(&self, holder: &Holder, token: Ordinal) -> Option<&Lease> {
        self.lease(token).filter(|lease| lease.claim.holder == *holder)
    }

    /// The live ticket with this arrival.
    pub fn ticket(&self, arrival: u64) -> Option<&Ticket> {
        self.tickets.get(&arrival)
    }

    /// The live tickets that arrived later, by arrival.
    pub fn tickets_after(&self, arrival: u64) -> impl Iterator<Item = (u64, &Ticket)> {
        self.tickets.range(arrival.saturating_add(1)..).map(|(arrival, ticket)| (*arrival, ticket))
    }

    /// Claim that a request became, while it lives.
    pub fn find(&self, holder: &Holder, request: &RequestId) -> Option<ClaimId> {
        self.share(holder)?.requests.get(request).copied()
    }

    /// Time at which the next claim ends.
    pub fn first_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// Claims that are over at `now`: leases by token, then tickets by arrival.
    pub fn due(&self, now: Timestamp) -> Vec<ClaimId> {
        let mut due: Vec<ClaimId> =
            self.ends.iter().take_while(|(end, _)| *end <= now).map(|(_, id)| *id).collect();
        due.sort_unstable();
        due
    }

    pub fn add_lease(&mut self, token: Ordinal, lease: Lease) {
        for path in &lease.claim.paths {
            self.index.add_lease(path, token);
        }
        self.count(&lease.claim, ClaimId::Lease(token), lease.expires_at);
        self.leases.insert(token, lease);
    }

    pub fn add_ticket(&mut self, arrival: u64, ticket: Ticket) {
        for path in &ticket.claim.paths {
            self.index.add_ticket(path, arrival);
        }
        self.count(&ticket.claim, ClaimId::Ticket(arrival), ticket.deadline);
        self.tickets.insert(arrival, ticket);
    }

    pub fn remove_lease(&mut self, token: Ordinal) -> Option<Lease> {
        let lease = self.leases.remove(&token)?;
        for path in &lease.claim.paths {
            self.index.remove_lease(path, token);
        }
        self.discount(&lease.claim, ClaimId::Lease(token), lease.expires_at);
        Some(lease)
    }

    pub fn remove_ticket(&mut self, arrival: u64) -> Option<Ticket> {
        let ticket = self.tickets.remove(&arrival)?;
        for path in &ticket.claim.paths {
            self.index.remove_ticket(path, arrival);
        }
        self.discount(&ticket.claim, ClaimId::Ticket(arrival), ticket.deadline);
        Some(ticket)
    }

    /// Moves the end of a lease, and gives the lease as it is then.
    pub fn extend_lease(&mut self, token: Ordinal, expires_at: Timestamp) -> Option<&Lease> {
        let lease = self.leases.get_mut(&token)?;
        self.ends.remove(&(lease.expires_at, ClaimId::Lease(token)));
        self.ends.insert((expires_at, ClaimId::Lease(token)));
        lease.expires_at = expires_at;
        Some(lease)
    }

    /// Moves the deadline of a ticket, and gives the ticket as it is then.
    pub fn extend_ticket(&mut self, arrival: u64, deadline: Timestamp) -> Option<&Ticket> {
        let ticket = self.tickets.get_mut(&arrival)?;
        self.ends.remove(&(ticket.deadline, ClaimId::Ticket(arrival)));
        self.ends.insert((deadline, ClaimId::Ticket(arrival)));
        ticket.deadline = deadline;
        Some(ticket)
    }

    /// Begins to drain a lease, and gives the lease as it is then.
    pub fn drain(&mut self, token: Ordinal) -> Option<&Lease> {
        let lease = self.leases.get_mut(&token)?;
        lease.draining = true;
        Some(lease)
    }

    fn count(&mut self, claim: &Claim, id: ClaimId, end: Timestamp) {
        self.ends.insert((end, id));
        self.path_count = self.path_count.saturating_add(claim.paths.len());
        let sum = self.agents.entry(claim.holder.agent.clone()).or_default();
        sum.claims = sum.claims.saturating_add(1);
        sum.paths = sum.paths.saturating_add(claim.paths.len());
        if !self.holders.contains_key(&claim.holder) {
            self.holders.insert(claim.holder.clone(), Share::default());
        }
        let Some(share) = self.holders.get_mut(&claim.holder) else { return };
        share.claims = share.claims.saturating_add(1);
        if let Some(request) = &claim.request {
            share.requests.insert(request.clone(), id);
        }
        if let ClaimId::Ticket(arrival) = id {
            share.tickets.insert(arrival);
        }
    }

    fn discount(&mut self, claim: &Claim, id: ClaimId, end: Timestamp) {
        self.ends.remove(&(end, id));
        self.path_count = self.path_count.saturating_sub(claim.paths.len());
        if let Some(sum) = self.agents.get_mut(&claim.holder.agent) {
            sum.claims = sum.claims.saturating_sub(1);
            sum.paths = sum.paths.saturating_sub(claim.paths.len());
            if sum.claims == 0 {
                self.agents.remove(&claim.holder.agent);
            }
        }
        let Some(share) = self.holders.get_mut(&claim.holder) else { return };
        share.claims = share.claims.saturating_sub(1);
        if let Some(request) = &claim.request {
            share.requests.remove(request);
        }
        if let ClaimId::Ticket(arrival) = id {
            share.tickets.remove(&arrival);
        }
        if share.claims == 0 {
            self.holders.remove(&claim.holder);
        }
    }
}
