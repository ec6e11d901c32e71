//! One agent at work.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mailbus_client::lease::{Lease, LeaseClient};
use mailbus_spec::Holder;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::workload::mailbox::process::Process;
use crate::world::Context;
use crate::world::hosts::AgentClocks;

/// The client of a simulated agent.
pub(crate) type Client = LeaseClient<Rc<AgentClocks>>;
/// Lease that it holds.
pub(crate) type Guard = Lease<Rc<AgentClocks>>;

/// One agent at work.
#[derive(Clone)]
pub(crate) struct Agent {
    pub context: Rc<Context>,
    pub client: Client,
    pub holder: Holder,
    /// Its mail, if it gets any.
    pub mailbox: Option<Process>,
    pub random: Rc<RefCell<ChaCha8Rng>>,
}

impl Agent {
    /// Time for which a write is on its way to its resource.
    pub fn way_of_a_write(&self) -> Duration {
        Duration::from_micros(self.random.borrow_mut().random_range(0..=60_000))
    }
}
