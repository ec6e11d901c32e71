//! Invariants: named claims about every reachable state of a service, and every step between two.
//!
//! Each is a value with its claim and a checker, so that the exhaustive search, the simulator and the tests
//! check the same thing under the same name. Claims about what clients believe and about whole
//! histories need more than the object's state; their names are here, their checkers live where the
//! histories are. All of them hold within one generation.

use alloc::string::String;

use crate::machine::Event;
use crate::service::{Service, StepOf};
use crate::time::HostTime;

/// One step of a machine, with the state on both sides.
#[derive(Debug)]
pub struct Transition<'a, S: Service> {
    /// State before.
    pub before: &'a S,
    /// Host time of the event.
    pub host: HostTime,
    /// Event.
    pub event: &'a Event<S::Command>,
    /// Step that it was answered with.
    pub step: &'a StepOf<S>,
    /// State after.
    pub after: &'a S,
}

/// Result of a check: why the claim does not hold, if it does not.
pub type Checked = Result<(), String>;

/// Kinds of checks of an invariant.
#[derive(Debug)]
pub enum Check<S: Service> {
    /// On every state.
    State(fn(&S) -> Checked),
    /// On every step.
    Step(fn(&Transition<'_, S>) -> Checked),
    /// On a whole history with its clients: in the exhaustive search and the simulator.
    History,
}

/// Named claim about a service.
#[derive(Debug)]
pub struct Invariant<S: Service> {
    /// Name of the invariant, the same everywhere.
    pub name: &'static str,
    /// Claim that it makes.
    pub claim: &'static str,
    /// Check of it on the object.
    pub check: Check<S>,
}

/// Service that says what always holds.
pub trait Specified: Service {
    /// Every invariant of the service, in the order of its page.
    const INVARIANTS: &'static [Invariant<Self>];
}

impl<S: Specified> Transition<'_, S> {
    /// Checks every invariant that a state and a step can show, or the one of this name.
    ///
    /// # Errors
    /// The name of the first that does not hold, and why.
    pub fn check(&self, only: Option<&str>) -> Result<(), (&'static str, String)> {
        let asked = |each: &&Invariant<S>| only.is_none_or(|name| name == each.name);
        S::INVARIANTS.iter().filter(asked).try_for_each(|invariant| {
            let checked = match invariant.check {
                Check::State(check) => check(self.after),
                Check::Step(check) => check(self),
                Check::History => Ok(()),
            };
            checked.map_err(|why| (invariant.name, why))
        })
    }
}

/// Fails with what it says otherwise, unless the claim holds.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(otherwise()) }
}
