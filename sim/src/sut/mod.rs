//! The system under test: the production objects or models in their places, and the clients with the
//! production rules or wrong ones.
//!
//! Bugs are planted here, at the seams, and nowhere in shipped code.

pub(crate) mod carrier;
pub(crate) mod machine;
mod model;
mod tested;

use mailbus_client::session::lease::{CreditRules, Sound};
use mailbus_conformance::mutants::Mutant;
use mailbus_spec::StateMachine;
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::mailbox::MailboxMachine;

pub use carrier::MailClientRules;
pub(crate) use tested::Tested;

/// System that a simulation tests: two objects, and their clients.
#[derive(Clone, Copy, Debug)]
pub struct Sut {
    /// Object behind the endpoint of leases.
    pub object: Variant<LeaseMachine>,
    /// Rules by which clients believe.
    pub client: fn() -> Box<dyn CreditRules + Send>,
    /// Object behind the endpoint of mailboxes.
    pub mail: Variant<MailboxMachine>,
    /// Rules of mail clients, where they differ from production's.
    pub mail_client: MailClientRules,
    /// Clocks of the host of the objects.
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

/// Machine behind an endpoint.
#[derive(Debug)]
pub enum Variant<M: StateMachine + 'static> {
    /// The production machine over SQLite.
    Production,
    /// The model or a mutant of it, awake: it is made anew whenever the object wakes.
    Model(Option<&'static Mutant<M>>),
}

impl<M: StateMachine + 'static> Clone for Variant<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: StateMachine + 'static> Copy for Variant<M> {}

/// The rules of the production client.
#[must_use]
pub fn sound() -> Box<dyn CreditRules + Send> {
    Box::new(Sound)
}

impl Sut {
    /// Production at both ends.
    pub const NATIVE: Self = Self {
        object: Variant::Production,
        client: sound,
        mail: Variant::Production,
        mail_client: MailClientRules::SOUND,
        host_clocks: HostClocks::Two,
    };

    /// The reference models behind production's endpoints, with the production client.
    pub const SPEC: Self = Self {
        object: Variant::Model(None),
        client: sound,
        mail: Variant::Model(None),
        mail_client: MailClientRules::SOUND,
        host_clocks: HostClocks::Two,
    };
}
