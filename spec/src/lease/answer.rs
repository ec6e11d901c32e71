//! Answers of the lease object: outcomes and rejections in reply, pushes unasked.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{Holder, RequestId};
use crate::ordinal::Ordinal;
use crate::path::{LeasePath, PathSet};
use crate::time::{HostTime, Timestamp, Ttl};

/// Effect of a command, or the answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The set is held.
    Granted {
        /// Fences every write under this lease.
        token: Ordinal,
        /// Time at which it ends unless renewed, as of this commit.
        expires_at: Timestamp,
        /// The term granted *at first*, also in a repetition and whatever was renewed since; a
        /// re-acquisition without request id answers the term it asked for. Belief is reckoned from it.
        ttl: Ttl,
    },
    /// The claim waits.
    Queued {
        /// Number of overlapping tickets that arrived earlier; 0 is next.
        position: u64,
    },
    /// The request has ended.
    Over {
        /// Reason of its end.
        reason: OverReason,
        /// The token it had held, if it was ever granted.
        token: Option<Ordinal>,
    },
    /// The lease lives on.
    Renewed {
        /// Time at which it ends unless renewed again.
        expires_at: Timestamp,
        /// Number of live tickets that overlap it, so that a polite holder can let go.
        waiting: u64,
        /// True if an admin lets it drain: its end has not moved, and will not.
        draining: bool,
    },
    /// The lease is given back (or was, within the memory).
    Released,
    /// The request is over and stays over.
    Cancelled,
    /// Nobody holds the path.
    Free {
        /// Number of live tickets that want it.
        queue: u64,
        /// The first of them: it goes before whoever comes, as soon as it gets all that it waits for.
        reserved: Option<TicketEntry>,
    },
    /// Somebody holds the path.
    Held {
        /// The lease.
        lease: LeaseEntry,
        /// The whole set it covers.
        paths: PathSet,
        /// Number of live tickets that want the path.
        queue: u64,
    },
    /// A page of leased paths in byte order: as many as the command's limit and
    /// [`limits::LIST_MAX_BYTES`](crate::limits::LIST_MAX_BYTES) allow.
    Leases {
        /// One entry a path.
        leases: Vec<LeaseEntry>,
        /// True if there are more after the last.
        more: bool,
    },
    /// A page of tickets in order of arrival, with the same bounds as those of leases.
    Tickets {
        /// The tickets.
        tickets: Vec<TicketEntry>,
        /// True if there are more after the last.
        more: bool,
    },
    /// The token guards the path, as of this commit.
    Current {
        /// Time until which it does, unless renewed or released.
        expires_at: Timestamp,
    },
    /// The token does not guard the path.
    Stale,
    /// A new generation has begun; the commit names it.
    Recovered,
}

/// One leased path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEntry {
    /// The path.
    pub path: LeasePath,
    /// Holder of it.
    pub holder: Holder,
    /// The lease's token.
    pub token: Ordinal,
    /// Time at which it ends unless renewed.
    pub expires_at: Timestamp,
    /// True if it is being drained: nothing moves its end.
    pub draining: bool,
}

impl LeaseEntry {
    /// Number of bytes that its path, agent and session have: what
    /// [`limits::LIST_MAX_BYTES`](crate::limits::LIST_MAX_BYTES) bounds.
    #[must_use]
    pub fn name_bytes(&self) -> usize {
        let Holder { agent, session } = &self.holder;
        let holder = agent.as_str().len().saturating_add(session.as_str().len());
        self.path.as_str().len().saturating_add(holder)
    }
}

/// One live ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketEntry {
    /// Its arrival: the sequence of the commit that queued it, never the same twice in a generation.
    pub arrival: u64,
    /// Holder that waits.
    pub holder: Holder,
    /// The request that waits.
    pub request: RequestId,
    /// The whole set that it waits for.
    pub paths: PathSet,
    /// Time at which the place is given up unless asked for again.
    pub deadline: Timestamp,
}

impl TicketEntry {
    /// Number of bytes that its paths, agent, session and request have: what
    /// [`limits::LIST_MAX_BYTES`](crate::limits::LIST_MAX_BYTES) bounds.
    #[must_use]
    pub fn name_bytes(&self) -> usize {
        let paths = self.paths.as_slice().iter().map(|path| path.as_str().len());
        let Holder { agent, session } = &self.holder;
        let names = [agent.as_str().len(), session.as_str().len(), self.request.as_str().len()];
        paths.chain(names).fold(0, usize::saturating_add)
    }
}

/// End of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverReason {
    /// Its holder gave the lease back.
    Released,
    /// The lease's time ran out.
    Lapsed,
    /// An admin ended or drained the lease.
    Forced,
    /// Its holder cancelled the request.
    Cancelled,
    /// The ticket's time ran out.
    TimedOut,
}

/// Reason why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Something overlapping is in the way.
    Held(Blocker),
    /// Waiting would never end: the asker is reachable from its own blockers. Advice: release
    /// something, or retry.
    Deadlock {
        /// The asker first, then each holder once, along a shortest path of waits: the first
        /// [`limits::CYCLE_NAMED`](crate::limits::CYCLE_NAMED) of the cycle.
        cycle: Vec<Holder>,
        /// Number of holders that wait for each other, those who are not named included.
        length: u64,
    },
    /// The request id is known with other paths, TTL or wait.
    Conflict,
    /// A bound of [`limits`](crate::limits) is reached.
    Limit(LimitKind),
    /// The holder has no such lease (any more).
    Lost,
    /// The host's clock is not plausible; the commit's `now` is the floor.
    Clock(HostTime),
}

/// Obstacle in the way of an acquisition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its kind.
    pub by: HeldBy,
    /// Holder of it.
    pub holder: Holder,
    /// Its whole set.
    pub paths: PathSet,
    /// The lease's expiry or the ticket's deadline.
    pub until: Timestamp,
    /// Number of live tickets that overlap the asked paths.
    pub queue: u64,
    /// The arrival of a ticket, by which an admin may end it.
    pub arrival: Option<u64>,
}

/// Kind of claim that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// A live lease of another holder.
    Lease,
    /// An earlier live ticket of another holder.
    Ticket,
    /// A claim of the asker's own.
    #[serde(rename = "self")]
    Own,
}

/// Bound that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Live leases and tickets of the workspace.
    WorkspaceClaims,
    /// Their paths.
    WorkspacePaths,
    /// Remembered requests of the workspace.
    WorkspaceRemembered,
    /// Live leases and tickets of the agent. The wire calls them the holder's, as it did when they were
    /// counted so.
    #[serde(rename = "holder_claims")]
    AgentClaims,
    /// Their paths.
    #[serde(rename = "holder_paths")]
    AgentPaths,
    /// Live tickets of the agent that overlap what is asked for.
    AgentTickets,
    /// Remembered requests of the agent.
    AgentRemembered,
    /// No token is left.
    Tokens,
}

/// Push that the object sends unasked to the sockets of a holder. An attempt: it may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Sessions of the sockets.
    pub to: Holder,
    /// Notice that it carries.
    pub notice: Notice,
}

/// Content of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A ticket became a lease.
    Granted {
        /// The request that had queued.
        request: RequestId,
        /// Fences every write under the lease.
        token: Ordinal,
        /// Time at which it ends unless renewed.
        expires_at: Timestamp,
        /// The first term, at most 30 s.
        ttl: Ttl,
    },
    /// A lease's time ran out.
    Lapsed {
        /// Its token.
        token: Ordinal,
    },
    /// An admin ended a lease, or began to drain it.
    Forced {
        /// Its token.
        token: Ordinal,
        /// Reason that the admin gave.
        reason: String,
        /// True if it lives on to its expiry.
        drain: bool,
    },
}
