//! Linearizability of what many clients saw at once: whether one order of events explains it.
//!
//! Every reply carries its commit: the object's own order. So nothing is searched where everything is
//! known: replies are sorted by `(generation, sequence)` and replayed through the specification at
//! the time that their commits name, and every reply must be the one the specification gives. Those of
//! one sequence come after its write in any order. What ended before something else began may not
//! have a larger sequence: that is checked between clients.
//!
//! Two kinds of events are hidden: alarms, and commands whose outcome is *unknown* (the connection
//! broke), which may be in the order once or not at all. A hidden event that wrote shows as a gap in
//! the sequence. [`explain`] fills gaps by bounded search, at instants that other answers give away:
//! a token is anchored in its host's millisecond, a deadline is an instant plus a duration that was
//! asked for.
//!
//! Where sessions begin and end by command there is one client, and [`sequential`] replays what it saw.
//!
//! Not covered: a history across a restore, which no single order explains.

mod choices;
mod conflict;
mod hints;
mod order;
mod pushes;
mod report;
mod search;
pub mod sequential;
mod ways;

use std::collections::BTreeSet;

pub use report::Contradiction;

use super::subject::{ReplyOf, Subject};
use mailbus_spec::time::Timestamp;

/// One command that a client sent, and what it learned of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation<S: Subject> {
    /// Client that is meant.
    pub client: usize,
    /// Time at which it was sent, by an order that all clients of the history share.
    pub started: u64,
    /// Time at which it was over, by the same order. For an unknown outcome: after this it no longer took
    /// effect; `None` if it might at any time.
    pub ended: Option<u64>,
    /// Command that was asked.
    pub command: S::Command,
    /// Outcome, as the client saw it.
    pub outcome: Outcome<S>,
}

/// Outcome of a command, as its client learned it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<S: Subject> {
    /// The reply.
    Replied(ReplyOf<S>),
    /// Nothing: it may have been executed once, or not.
    Unknown,
}

/// All that was seen of one object, from its first use on.
#[derive(Clone, Debug, PartialEq)]
pub struct History<S: Subject> {
    /// In any order.
    pub invocations: Vec<Invocation<S>>,
    /// Pushes as they were received, in order for each peer. A push may be lost, never made up.
    pub received: Vec<S::Push>,
    /// Peers whose sockets were open all the time.
    pub listening: BTreeSet<S::Peer>,
    /// Pushes to them must have been received, up to this sequence.
    pub complete_until: u64,
}

impl<S: Subject> Default for History<S> {
    fn default() -> Self {
        Self {
            invocations: Vec::new(),
            received: Vec::new(),
            listening: BTreeSet::new(),
            complete_until: 0,
        }
    }
}

/// One event of an order that explains a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained<S: Subject> {
    /// Index of the invocation; `None` is an alarm.
    pub invocation: Option<usize>,
    /// Object time.
    pub now: Timestamp,
    /// The sequence after it.
    pub sequence: u64,
    /// True if nobody saw its reply.
    pub hidden: bool,
    /// Pushes that it sent.
    pub pushes: Vec<S::Push>,
}

/// An order that explains a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<S: Subject> {
    /// The events in their order; reads of one sequence stand together.
    pub order: Vec<Explained<S>>,
    /// The object after all of them.
    pub last: S,
    /// Number of choices that were tried; 0 where nothing was hidden.
    pub tried: u64,
}

impl<S: Subject> Explanation<S> {
    /// Number of events that nobody saw.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.order.iter().filter(|event| event.hidden).count()
    }
}

/// Most choices that are tried before a history counts as not explained.
pub const TRIES_MAX: u64 = 100_000;

/// An order of events that explains the history.
///
/// # Errors
/// [`Contradiction`]: the first thing that no order explains, as far as was searched.
pub fn explain<S: Subject>(history: &History<S>) -> Result<Explanation<S>, Contradiction> {
    explain_within(history, TRIES_MAX)
}

/// [`explain`] with another bound on the choices tried.
///
/// # Errors
/// As [`explain`].
pub fn explain_within<S: Subject>(
    history: &History<S>,
    tries: u64,
) -> Result<Explanation<S>, Contradiction> {
    let sorted = order::Sorted::of(history);
    sorted.check_real_time(history)?;
    let likely = search::Search::new(history, sorted.clone(), tries, false).run();
    match likely {
        Err(contradiction) if !contradiction.exhaustive => {
            let thorough = search::Search::new(history, sorted, tries, true).run();
            // What the first search got to is easier to read.
            thorough.map_err(|last| Contradiction { exhaustive: last.exhaustive, ..contradiction })
        }
        decided => decided,
    }
}

impl<S: Subject> Invocation<S> {
    /// The reply, if there was one.
    #[must_use]
    pub fn reply(&self) -> Option<&ReplyOf<S>> {
        match &self.outcome {
            Outcome::Replied(reply) => Some(reply),
            Outcome::Unknown => None,
        }
    }

    fn spell(&self, epoch: super::Epoch) -> String {
        format!("client {}: {}", self.client, S::spell_command(&self.command, epoch))
    }
}
