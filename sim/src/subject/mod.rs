//! Who is being tested: the production object or a model in its place, and the client with the
//! production rules or wrong ones.
//!
//! Bugs are planted here, at the seams, and nowhere in shipped code.

mod leases;
mod model;

use mailbus_client::machine::{CreditRules, Sound};
use mailbus_spec::HostTime;
use mailbus_spec::StateMachine;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;

pub use leases::SubjectLeases;
pub use model::ModelRow;

/// The pair that a simulation tests.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// What stands behind the endpoint.
    pub object: ObjectVariant,
    /// By what rules clients believe.
    pub client: fn() -> Box<dyn CreditRules + Send>,
}

/// What stands behind the endpoint.
#[derive(Clone, Copy, Debug)]
pub enum ObjectVariant {
    /// The production machine over SQLite.
    Native,
    /// A model, awake: it is made anew whenever the object wakes.
    Model(fn() -> Box<dyn Model>),
}

/// A model that answers in the place of the production machine.
///
/// What it keeps in itself is an object's memory: an eviction takes it. What must survive is the
/// state, which is stored in the object's transaction.
pub trait Model {
    /// Handles one event on the stored state, which afterwards is stored.
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep;

    /// The alarm to set after an event, in object time.
    fn next_alarm(&self, state: &LeaseMachine) -> Option<mailbus_spec::Timestamp> {
        state.next_alarm()
    }

    /// Whether it looks at its storage in every event, as it must.
    fn touches_storage(&self) -> bool {
        true
    }
}

/// The reference model itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Model for Reference {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        state.handle(host, event)
    }
}

/// The rules of the production client.
#[must_use]
pub fn sound() -> Box<dyn CreditRules + Send> {
    Box::new(Sound)
}

impl Subject {
    /// Production at both ends.
    pub const NATIVE: Self = Self { object: ObjectVariant::Native, client: sound };

    /// The reference model behind production's endpoint, with the production client.
    pub const SPEC: Self =
        Self { object: ObjectVariant::Model(|| Box::new(Reference)), client: sound };
}
