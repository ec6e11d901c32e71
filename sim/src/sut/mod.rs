//! The system under test: the production objects or models in their places, and the clients with the
//! production rules or wrong ones.
//!
//! Bugs are planted here, at the seams, and nowhere in shipped code.

pub(crate) mod carrier;
mod leases;
pub(crate) mod mail_model;
mod mailboxes;
mod model;
mod stored;

use mailbus_client::session::lease::{CreditRules, Sound};
use mailbus_spec::HostTime;
use mailbus_spec::StateMachine;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;

pub use carrier::MailClientRules;
pub use leases::SutLeases;
pub use mail_model::{MailModel, MailModelRow, ReferenceMail};
pub use mailboxes::SutMailboxes;
pub use model::ModelRow;
pub(crate) use stored::Versions;

/// What a simulation tests: two objects, and their clients.
#[derive(Clone, Copy, Debug)]
pub struct Sut {
    /// What stands behind the endpoint of leases.
    pub object: ObjectVariant,
    /// By what rules clients believe.
    pub client: fn() -> Box<dyn CreditRules + Send>,
    /// What stands behind the endpoint of mailboxes.
    pub mail: MailVariant,
    /// What mail clients do otherwise than production's.
    pub mail_client: MailClientRules,
    /// Which clocks the host of the objects has.
    pub host_clocks: HostClocks,
}

/// The clocks of the host that runs the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostClocks {
    /// A wall clock that may be set, and a monotonic clock.
    Two,
    /// A wall clock, which it takes for a monotonic one too.
    WallAlone,
}

/// What stands behind the endpoint of mailboxes.
#[derive(Clone, Copy, Debug)]
pub enum MailVariant {
    /// The production machine over SQLite.
    Native,
    /// A model, awake: it is made anew whenever the object wakes.
    Model(fn() -> Box<dyn MailModel>),
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

impl Sut {
    /// Production at both ends.
    pub const NATIVE: Self = Self {
        object: ObjectVariant::Native,
        client: sound,
        mail: MailVariant::Native,
        mail_client: MailClientRules::SOUND,
        host_clocks: HostClocks::Two,
    };

    /// The reference models behind production's endpoints, with the production client.
    pub const SPEC: Self = Self {
        object: ObjectVariant::Model(|| Box::new(Reference)),
        client: sound,
        mail: MailVariant::Model(|| Box::new(ReferenceMail)),
        mail_client: MailClientRules::SOUND,
        host_clocks: HostClocks::Two,
    };
}
