//! What clients did with mail.

use mailbus_spec::{AgentId, Ordinal};

use crate::clock::TrueTime;

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
    /// Which message, by its sender's key; `None` if it had none.
    pub id: String,
    /// Its place in the workspace's order, if the client tells it.
    pub seq: Option<Ordinal>,
    /// The JSON text of its payload.
    pub payload: String,
    /// What came of it.
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
