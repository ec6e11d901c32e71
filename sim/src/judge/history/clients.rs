//! Deeds of clients, and their beliefs.

use mailbus_spec::{AgentId, Holder, LeasePath, Ordinal, PathSet};

use crate::clock::TrueTime;

/// A stretch of true time in which a client would have said that it holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeliefSpan {
    /// Agent that believes.
    pub holder: Holder,
    /// The lease.
    pub token: Ordinal,
    /// Set that it covers.
    pub paths: PathSet,
    /// The first instant.
    pub from: TrueTime,
    /// The first instant at which it no longer believes.
    pub until: TrueTime,
}

/// A write of a holder that has arrived at the resource behind a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Time at which it arrived.
    pub at: TrueTime,
    /// Holder of it.
    pub holder: Holder,
    /// Addressee of it.
    pub path: LeasePath,
    /// The token it showed.
    pub token: Ordinal,
    /// True if the resource took it: it refuses tokens smaller than the largest it has seen.
    pub accepted: bool,
}

/// A claim of the healing phase that has to succeed, or one that waited when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Holder that asks.
    pub holder: Holder,
    /// Set that it asks for.
    pub paths: PathSet,
    /// Time since which it asks, truly.
    pub asked: TrueTime,
    /// Time at which the client knew that it holds the set.
    pub learned: Option<TrueTime>,
    /// Time at which the client stopped asking, if it did so without holding the set.
    pub gave_up: Option<TrueTime>,
    /// Longest term that a lease may have at once, in ms: of a TTL asked for, or the first out of the queue.
    pub longest_term_ms: u64,
}

/// Outcome of one run of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandlerOutcome {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// Its process died meanwhile.
    Died,
}

/// One run of a handler, or one message that a reader without a handler saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handling {
    /// Time at which it began.
    pub began: TrueTime,
    /// Time at which it ended.
    pub at: TrueTime,
    /// Agent that handled.
    pub agent: AgentId,
    /// The run of the agent, which names a session together with it.
    pub run: String,
    /// Sender.
    pub from: AgentId,
    /// Key of the message, by its sender; empty if it had none.
    pub id: String,
    /// Its place in the workspace's order, if the client tells it.
    pub seq: Option<Ordinal>,
    /// The JSON text of its payload.
    pub payload: String,
    /// Outcome of the handling.
    pub outcome: HandlerOutcome,
}

/// End of a sending, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendingEnd {
    /// It was accepted, now or earlier, under this `seq`.
    Accepted(Ordinal),
    /// It was refused: it had no effect.
    Refused(String),
    /// Nobody knows.
    Unknown,
}

/// One message that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Time at which the client gave it to the bus.
    pub began: TrueTime,
    /// Time at which the client knew, or gave up.
    pub ended: TrueTime,
    /// Sender.
    pub agent: AgentId,
    /// Its key.
    pub id: String,
    /// The JSON text of its payload.
    pub payload: String,
    /// End of it.
    pub end: SendingEnd,
}
