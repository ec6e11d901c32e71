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
/// What it keeps in itself is an object's memory: an eviction takes it. What must survive is the state that
/// it is handed.
pub trait Model<M: StateMachine> {
    /// Handles one event on the stored state, which afterwards is stored.
    fn handle(&mut self, state: &mut M, host: HostTime, event: &Event<M::Command>) -> StepOf<M> {
        state.handle(host, event)
    }

    /// The alarm to set after an event, in object time.
    fn next_alarm(&self, state: &M) -> Option<Timestamp> {
        state.next_alarm()
    }

    /// It has woken, and this is what its storage and the open sockets keep.
    fn woken(&mut self, _state: &mut M) {}

    /// Its storage has failed, and the event that led to this state is undone.
    fn undone(&mut self, _state: &M) {}

    /// True if it looks at its storage in every event, as it must.
    fn touches_storage(&self) -> bool {
        true
    }
}

/// Reference model itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl<M: StateMachine> Model<M> for Reference {}

/// Handling of one event by a model without a memory.
pub type Rule<M> = fn(&mut M, HostTime, &Event<<M as StateMachine>::Command>) -> StepOf<M>;

/// Machine with one rule broken.
pub struct Mutant<M: StateMachine> {
    /// Its name: what somebody did.
    pub name: &'static str,
    /// Heading of `spec/rules` that says the rule, or the trace that refuted a simpler one.
    pub source: &'static str,
    kind: Kind<M>,
}

enum Kind<M: StateMachine> {
    Rule(Rule<M>),
    Alarm(fn(&M) -> Option<Timestamp>),
    Waking(fn(&mut M)),
    Model(fn() -> Box<dyn Model<M>>),
}

impl<M: StateMachine + 'static> Mutant<M> {
    /// Mutant that handles events otherwise, and remembers nothing between them.
    const fn rule(name: &'static str, source: &'static str, rule: Rule<M>) -> Self {
        Self { name, source, kind: Kind::Rule(rule) }
    }

    /// Mutant that wants to be woken at other times.
    const fn alarm(
        name: &'static str,
        source: &'static str,
        next: fn(&M) -> Option<Timestamp>,
    ) -> Self {
        Self { name, source, kind: Kind::Alarm(next) }
    }

    /// Mutant that wakes otherwise than it fell asleep.
    const fn waking(name: &'static str, source: &'static str, woken: fn(&mut M)) -> Self {
        Self { name, source, kind: Kind::Waking(woken) }
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

    /// The model, just woken.
    #[must_use]
    pub fn wake(&self) -> Box<dyn Model<M>> {
        match self.kind {
            Kind::Rule(rule) => Box::new(Ruled(rule)),
            Kind::Alarm(next) => Box::new(Alarmed(next)),
            Kind::Waking(woken) => Box::new(Wakened(woken)),
            Kind::Model(wake) => wake(),
        }
    }
}

impl<M: StateMachine> fmt::Debug for Mutant<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The model of a mutant, or the reference model where there is none, just woken.
#[must_use]
pub fn wake<M: StateMachine + 'static>(mutant: Option<&Mutant<M>>) -> Box<dyn Model<M>> {
    mutant.map_or_else(|| Box::new(Reference) as Box<dyn Model<M>>, Mutant::wake)
}

struct Ruled<M: StateMachine>(Rule<M>);

impl<M: StateMachine> Model<M> for Ruled<M> {
    fn handle(&mut self, state: &mut M, host: HostTime, event: &Event<M::Command>) -> StepOf<M> {
        (self.0)(state, host, event)
    }
}

struct Alarmed<M>(fn(&M) -> Option<Timestamp>);

impl<M: StateMachine> Model<M> for Alarmed<M> {
    fn next_alarm(&self, state: &M) -> Option<Timestamp> {
        (self.0)(state)
    }
}

struct Wakened<M>(fn(&mut M));

impl<M: StateMachine> Model<M> for Wakened<M> {
    fn woken(&mut self, state: &mut M) {
        (self.0)(state);
    }
}
