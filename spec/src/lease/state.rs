//! State of the lease object.

use alloc::collections::BTreeMap;

use crate::id::{AgentId, Holder, RequestId};
use crate::lease::answer::OverReason;
use crate::lease::command::Acquire;
use crate::limits;
use crate::ordinal::Ordinal;
use crate::path::{LeasePath, PathSet};
use crate::time::{Clock, Timestamp, Ttl, Wait};

/// The reference model of one workspace's leases.
///
/// Its state is open to be looked at, hashed and compared: it is the subject of every checker.
///
/// Invariant: after any event no lease has `expires_at <= clock.floor`, and no ticket has
/// `deadline <= clock.floor`: what time has ended is in `remembered`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaseMachine {
    /// The object's clock.
    pub clock: Clock,
    /// The largest token issued.
    pub last_token: Ordinal,
    /// Number of commands and alarms that have written.
    pub sequence: u64,
    /// Life of the storage; 0 before the first write.
    pub generation: u64,
    /// Live leases by token.
    pub leases: BTreeMap<Ordinal, Lease>,
    /// Live tickets by arrival: the sequence of the commit that queued them.
    pub queue: BTreeMap<u64, Ticket>,
    /// Requests that are over, until an alarm collects them.
    pub remembered: BTreeMap<ClaimKey, Remembered>,
}

/// Identity of one attempt to hold a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey {
    /// Holder of the attempt.
    pub holder: Holder,
    /// Claim that it is.
    pub name: ClaimName,
}

/// Name by which an attempt is told from the holder's others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimName {
    /// By the client's request id.
    Request(RequestId),
    /// By its token: the original's protocol has no request ids.
    Token(Ordinal),
}

/// Content of a request. A request id stands for exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// The set.
    pub paths: PathSet,
    /// The TTL asked for.
    pub ttl: Ttl,
    /// The wait asked for.
    pub wait: Option<Wait>,
}

/// A live lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The attempt that was granted.
    pub key: ClaimKey,
    /// Content that it asked for.
    pub content: Content,
    /// The term granted at first.
    pub first_term: Ttl,
    /// Time at which it ends.
    pub expires_at: Timestamp,
    /// True if an admin is draining it: nothing moves its end.
    pub draining: bool,
}

/// A live ticket: a lease on a place in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Agent that waits.
    pub holder: Holder,
    /// The request that waits.
    pub request: RequestId,
    /// Content that it asked for. Invariant: `content.wait` is there.
    pub content: Content,
    /// Time at which the place is given up unless asked for again.
    pub deadline: Timestamp,
}

/// A request that is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remembered {
    /// Content that it had asked for; `None` for the tombstone of a request cancelled before it was
    /// seen, which agrees with every content.
    pub content: Option<Content>,
    /// The token it had held.
    pub token: Option<Ordinal>,
    /// End of it.
    pub reason: OverReason,
    /// Time at which it ended: its own expiry, deadline or release, not the moment that was noticed. A
    /// `Cancel` moves it to its own instant.
    pub end: Timestamp,
}

impl Content {
    /// Content that `acquire` asks for.
    #[must_use]
    pub fn of(acquire: &Acquire) -> Self {
        Self { paths: acquire.paths().clone(), ttl: acquire.ttl(), wait: acquire.wait() }
    }
}

impl ClaimKey {
    /// The attempt that `holder` calls `request`.
    #[must_use]
    pub fn of(holder: &Holder, request: &RequestId) -> Self {
        Self { holder: holder.clone(), name: ClaimName::Request(request.clone()) }
    }
}

impl Lease {
    /// Record that is kept of it when it ends at `end`.
    #[must_use]
    pub fn ended(
        self,
        token: Ordinal,
        reason: OverReason,
        end: Timestamp,
    ) -> (ClaimKey, Remembered) {
        let over = Remembered { content: Some(self.content), token: Some(token), reason, end };
        (self.key, over)
    }
}

impl Ticket {
    /// The attempt it waits for.
    #[must_use]
    pub fn key(&self) -> ClaimKey {
        ClaimKey::of(&self.holder, &self.request)
    }

    /// Record that is kept of it when it ends at `end` without a grant.
    #[must_use]
    pub fn ended(self, reason: OverReason, end: Timestamp) -> (ClaimKey, Remembered) {
        let key = self.key();
        (key, Remembered { content: Some(self.content), token: None, reason, end })
    }
}

impl Remembered {
    /// Time at which the memory of it is over.
    #[must_use]
    pub fn memory_ends(&self) -> Timestamp {
        self.end.plus_ms(limits::MEMORY_MS)
    }

    /// The minute, since the epoch, in which it may be collected.
    #[must_use]
    pub fn collectable_minute(&self) -> u64 {
        self.memory_ends().minute_ceil()
    }
}

impl LeaseMachine {
    /// The live lease that covers `path`; there is at most one.
    #[must_use]
    pub fn lease_on(&self, path: &LeasePath) -> Option<(Ordinal, &Lease)> {
        self.leases
            .iter()
            .find(|(_, lease)| lease.content.paths.covers(path))
            .map(|(token, lease)| (*token, lease))
    }

    /// The live tickets that overlap `paths`, in order of arrival.
    pub fn tickets_on<'a>(&'a self, paths: &'a PathSet) -> impl Iterator<Item = (u64, &'a Ticket)> {
        self.queue
            .iter()
            .filter(|(_, ticket)| ticket.content.paths.overlaps(paths))
            .map(|(arrival, ticket)| (*arrival, ticket))
    }

    /// The live leases that overlap `paths`, by token.
    pub fn leases_on<'a>(
        &'a self,
        paths: &'a PathSet,
    ) -> impl Iterator<Item = (Ordinal, &'a Lease)> {
        self.leases
            .iter()
            .filter(|(_, lease)| lease.content.paths.overlaps(paths))
            .map(|(token, lease)| (*token, lease))
    }

    /// Number of live tickets that overlap `paths`.
    #[must_use]
    pub fn queue_on(&self, paths: &PathSet) -> u64 {
        self.tickets_on(paths).count() as u64
    }

    /// Number of requests that are remembered at `at`, of `agent` or of everybody. A request counts until
    /// the minute in which it may be collected, whether or not it has been.
    #[must_use]
    pub fn remembered_count(&self, at: Timestamp, agent: Option<&AgentId>) -> usize {
        let minute = at.minute_floor();
        self.remembered
            .iter()
            .filter(|(key, _)| agent.is_none_or(|agent| key.holder.agent == *agent))
            .filter(|(_, over)| over.collectable_minute() > minute)
            .count()
    }
}
