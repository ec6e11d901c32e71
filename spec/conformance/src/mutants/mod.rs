//! Mutants of the specification: machines with one rule broken each, for whoever has to show that a checker
//! can fail.
//!
//! A mutant is the reference model with its open state rearranged around an event. Each stands here once,
//! with the heading of `spec/rules` that says why not. What has to find it is said where it is looked for:
//! in the worlds of the exhaustive search (`tests/search`), and in the simulator, which puts it into
//! production's place behind production's endpoints.
//!
//! | file | rules of leases | rules of mailboxes |
//! |---|---|---|
//! | `grant`, `accept`, `address` | whose lease it is, and its token | messages, their numbers, for whom they are |
//! | `queue`, `push` | who is next | what a session is sent, and in which order |
//! | `ending`, `settle`, `silence`, `fail` | until when a lease lives | when a message is done, and when it has failed |
//! | `memory`, `collect`, `loss` | what is over | what is kept, and what is told of what is not |
//! | `session` | | whose session it is |
//! | `waking` | what storage and alarm say to an object without a memory | the same |

pub mod lease;
pub mod mailbox;

use std::fmt;

use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine, Timestamp};

use crate::StepOf;

/// Machine that answers in the place of the specification's.
///
/// Its own fields are an object's memory: an eviction takes them. The state that it is handed survives.
pub trait Model<M: StateMachine> {
    /// Handles one event on the stored state, which afterwards is stored.
    fn handle(&mut self, state: &mut M, host: HostTime, event: &Event<M::Command>) -> StepOf<M> {
        state.handle(host, event)
    }

    /// The alarm to set after an event, in object time.
    fn next_alarm(&self, state: &M) -> Option<Timestamp> {
        state.next_alarm()
    }

    /// Takes up what its storage and the open sockets keep, as it has woken. `leaked` is what
    /// [`undone`](Self::undone) let out since it woke last.
    fn woken(&mut self, _state: &mut M, _leaked: Option<M>) {}

    /// Part of this state that outlives the event which led to it, and which is undone since the storage
    /// has failed: nothing of it, for a sound model.
    fn undone(&mut self, _state: &M) -> Option<M> {
        None
    }

    /// True if it looks at its storage in every event, as it must.
    fn touches_storage(&self) -> bool {
        true
    }
}

/// Handling of one event by a model without a memory.
pub type Rule<M> = fn(&mut M, HostTime, &Event<<M as StateMachine>::Command>) -> StepOf<M>;

/// Model without a memory, each part of it a function.
struct Stateless<M: StateMachine> {
    handle: Rule<M>,
    next_alarm: fn(&M) -> Option<Timestamp>,
    woken: fn(&mut M),
}

impl<M: StateMachine> Stateless<M> {
    /// The reference model itself.
    const REFERENCE: Self = Self { handle: M::handle, next_alarm: M::next_alarm, woken: |_| {} };
}

impl<M: StateMachine> Clone for Stateless<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: StateMachine> Copy for Stateless<M> {}

impl<M: StateMachine> Model<M> for Stateless<M> {
    fn handle(&mut self, state: &mut M, host: HostTime, event: &Event<M::Command>) -> StepOf<M> {
        (self.handle)(state, host, event)
    }

    fn next_alarm(&self, state: &M) -> Option<Timestamp> {
        (self.next_alarm)(state)
    }

    fn woken(&mut self, state: &mut M, _leaked: Option<M>) {
        (self.woken)(state);
    }
}

/// Machine with one rule broken.
pub struct Mutant<M: StateMachine> {
    /// Its name: what somebody did.
    pub name: &'static str,
    /// Heading of `spec/rules` that says the rule, or the trace that refuted a simpler one.
    pub source: &'static str,
    kind: Kind<M>,
}

enum Kind<M: StateMachine> {
    Stateless(Stateless<M>),
    Model(fn() -> Box<dyn Model<M>>),
}

impl<M: StateMachine + 'static> Mutant<M> {
    /// Mutant that handles events otherwise, and remembers nothing between them.
    const fn rule(name: &'static str, source: &'static str, rule: Rule<M>) -> Self {
        Self::stateless(name, source, Stateless { handle: rule, ..Stateless::REFERENCE })
    }

    /// Mutant that wants to be woken at other times.
    const fn alarm(
        name: &'static str,
        source: &'static str,
        next: fn(&M) -> Option<Timestamp>,
    ) -> Self {
        Self::stateless(name, source, Stateless { next_alarm: next, ..Stateless::REFERENCE })
    }

    /// Mutant that wakes otherwise than it fell asleep.
    const fn waking(name: &'static str, source: &'static str, woken: fn(&mut M)) -> Self {
        Self::stateless(name, source, Stateless { woken, ..Stateless::REFERENCE })
    }

    const fn stateless(name: &'static str, source: &'static str, model: Stateless<M>) -> Self {
        Self { name, source, kind: Kind::Stateless(model) }
    }

    /// Mutant that is wrong in something else.
    #[must_use]
    pub const fn model(
        name: &'static str,
        source: &'static str,
        wake: fn() -> Box<dyn Model<M>>,
    ) -> Self {
        Self { name, source, kind: Kind::Model(wake) }
    }
}

impl<M: StateMachine> fmt::Debug for Mutant<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Model of a mutant, or the reference model where there is none, just woken.
#[must_use]
pub fn wake<M: StateMachine + 'static>(mutant: Option<&Mutant<M>>) -> Box<dyn Model<M>> {
    match mutant.map(|mutant| &mutant.kind) {
        None => Box::new(Stateless::REFERENCE),
        Some(Kind::Stateless(model)) => Box::new(*model),
        Some(Kind::Model(wake)) => wake(),
    }
}
