//! State machines of this crate: one event in; a reply, a commit and pushes out.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::time::{HostTime, Timestamp};

/// An object's own order of events, stamped on every reply.
///
/// Replies are ordered by `sequence` *alone*; those of one sequence come after the write that made
/// it, in any order, since between two writes no answer depends on anything that changes. It makes
/// histories checkable from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Commit {
    /// Number of commands and alarms that have written in this generation, this one included.
    pub sequence: u64,
    /// Object time of the event.
    pub now: Timestamp,
    /// Number of this life of the storage; 0 until something was first written. A recovery from a
    /// restore begins the next one.
    pub generation: u64,
}

/// Result of a command: an outcome or a rejection (both are answers of the protocol), and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<O, R> {
    /// The answer.
    pub answer: Result<O, R>,
    /// The object's order of it.
    pub commit: Commit,
}

/// All that one event does besides changing the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<O, R, P> {
    /// The answer to the command. An alarm has nobody to answer: `None`.
    pub reply: Option<Reply<O, R>>,
    /// Pushes to sockets besides the reply, in order. Each is an attempt: it may be lost.
    pub pushes: Vec<P>,
    /// True if anything became durable.
    pub wrote: bool,
}

/// One event for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<C> {
    /// Somebody's command.
    Command(C),
    /// The platform's alarm rang: early, late, repeated or on time.
    Alarm,
}

/// A pure state machine over passed-in time.
///
/// Invariant: the same state and the same `(host, event)` give the same step, always. An event
/// whose `wrote` is false leaves the state equal.
pub trait StateMachine: Clone {
    /// Command that it may be given.
    type Command;
    /// Outcome that a command may have.
    type Outcome;
    /// Rejection of a command.
    type Rejection;
    /// Push that it may send unasked.
    type Push;

    /// Handles one event at the host time read once for it.
    fn handle(
        &mut self,
        host: HostTime,
        event: &Event<Self::Command>,
    ) -> Step<Self::Outcome, Self::Rejection, Self::Push>;

    /// Time at which the object wants to be woken next, in object time.
    fn next_alarm(&self) -> Option<Timestamp>;
}
