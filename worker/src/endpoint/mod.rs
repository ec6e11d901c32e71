//! Endpoint of every service: requests and frames in, answers and pushes out. Nothing here decides anything
//! about leases or mail.
//!
//! | file | what it does |
//! |---|---|
//! | `policy` | [`Policy`]: what differs from service to service |
//! | `handler` | one event: its commands to the machine, its effects |
//! | `refusal` | requests that are none, and commands that are put off |

#[cfg(all(test, not(target_arch = "wasm32")))]
pub(crate) mod bench;
mod handler;
mod policy;
mod refusal;

use mailbus_spec::wire::Protocol;
use mailbus_spec::{HostTime, machine};

use crate::machine::Machine;
use crate::object::{Effects, Event, Object, Waking, Woken};
use crate::sql::{Memory, SqlMachine};
use crate::storage::{Storage, StorageError};

use handler::Handler;
pub(crate) use handler::restart;
pub(crate) use policy::{Calls, Policy, Socket};

/// Protocols by the number that attachments keep of each.
const PROTOCOLS: [Protocol; 2] = [Protocol::Original, Protocol::One];

/// Number of a protocol in attachments.
pub(crate) fn number_of(protocol: Protocol) -> u8 {
    u8::from(protocol == Protocol::One)
}

/// Protocol of this number, if this version knows it.
pub(crate) fn protocol_of(number: u8) -> Option<Protocol> {
    PROTOCOLS.get(usize::from(number)).copied()
}

/// The object of one workspace: a policy `P` over the machine `M`.
#[derive(Debug)]
pub struct Endpoint<P, M> {
    policy: P,
    machine: M,
}

impl<P, M> Endpoint<P, SqlMachine<M>>
where
    P: Policy,
    M: Memory<Service = P::Service, Kept = P::Kept>,
{
    /// An object that has just woken, over the production machine.
    #[must_use]
    pub fn wake(woken: Woken) -> Self {
        Self::over(woken, SqlMachine::wake)
    }
}

impl<P: Policy, M> Endpoint<P, M> {
    /// An object that has just woken, over the machine that `wake` makes of the pending alarm and of what
    /// the open sockets keep for it. Among that may be sessions that are over: the machine's first event
    /// closes those.
    pub fn over(woken: Woken, wake: impl FnOnce(Option<HostTime>, Vec<P::Kept>) -> M) -> Self {
        let (policy, kept) = P::wake(woken.sockets);
        Self { policy, machine: wake(woken.pending_alarm, kept) }
    }

    /// The machine behind the endpoint.
    pub fn machine(&self) -> &M {
        &self.machine
    }
}

impl<P, M> Object for Endpoint<P, M>
where
    P: Policy,
    M: Machine<Service = P::Service, Kept = P::Kept>,
{
    const NEEDS_SOCKETS: bool = P::NEEDS_SOCKETS;

    fn prepare<T: Storage>(&mut self, storage: &mut T) -> Result<Waking, StorageError> {
        self.machine.prepare(storage)
    }

    fn footprint(&self) -> u64 {
        self.machine.footprint()
    }

    fn is_blank(&self, now: HostTime) -> bool {
        self.machine.is_blank(now)
    }

    fn handle<T: Storage>(
        &mut self,
        storage: &mut T,
        now: HostTime,
        event: Event<'_>,
    ) -> Result<Effects, StorageError> {
        let mut handler = Handler::new(&mut self.policy, &mut self.machine, storage, now);
        match event {
            Event::Request(request) => handler.request(&request)?,
            Event::Frame { socket, attachment, text } => {
                handler.frame(socket, attachment, text)?;
            }
            Event::Closed { attachment, .. } => handler.closed(attachment)?,
            Event::Alarm => {
                handler.machine_event(&machine::Event::Alarm)?;
            }
        }
        Ok(handler.into_effects())
    }
}
