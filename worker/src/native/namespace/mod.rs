//! The objects of one class on one event loop: events in, effects out when they are durable.
//!
//! # Group flush
//!
//! It is what the platform's output gate does. Each event is committed at once and its effects are
//! held; a flush covers all events of its object that were committed before it began; when it has
//! ended, their effects leave in the order of the events. While one flush runs, the next events are
//! committed, and the next flush covers them all. So the price of a flush is shared by as many events
//! as arrive in the meantime, and an object's replies still leave in its own order.
//!
//! An event that wrote nothing waits only if a write before it, which it may have read, is not
//! flushed yet.
//!
//! After a failed flush what is durable is unknown. Nothing held is let go, the object's connections
//! drop, and its database is closed as it is and opened anew, without any trust in what was written
//! since the last flush that ended well (see [`Databases::distrust`]). It is tried again and again.
//!
//! # Nobody waits for another
//!
//! * An object that is not in memory is read in pieces. Between two of them others are served; its own
//!   events wait in their order, up to [`WAITING_MAX`] of them and [`WAITING_MAX_BYTES`].
//! * So do the events of an object whose database cannot be opened yet, since as many as may are in use.
//! * An object whose storage failed costs one small write after a pause, not all of its memory.
//! * An object whose database was closed, to make room for others, keeps its memory if it is small.

mod alarms;
mod events;
mod outbox;
mod schedule;
mod slot;
mod slots;
mod tidy;
mod trouble;
mod untidy;
mod waiting;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use mailbus_spec::wire::Problem;
use mailbus_spec::{HostTime, Workspace};
use tokio::sync::oneshot;

use crate::object::{Object, Response, SocketId, Wake, Woken};
use crate::storage::StorageError;

use super::arrival::Arrival;
use super::clock::HostClock;
use super::databases::Databases;
use super::instance::Instance;

pub use outbox::{
    BEHIND_MAX_BYTES, BEHIND_MAX_FRAMES, Budget, OUTBOX_BUDGET, Outbox, Outgoing, STALLED_MAX, Text,
};
use slots::Slots;
pub use waiting::{WAITING_MAX, WAITING_MAX_BYTES};

/// Settings of a namespace.
#[derive(Clone, Debug)]
pub struct NamespaceSettings {
    /// Most databases open at once; the one that has been idle longest is closed for another. While all
    /// are in use, the events of others wait.
    pub open_databases: usize,
    /// Most bytes of memory that are kept of objects whose databases are closed; beyond, the one that
    /// has been idle longest is dropped.
    pub kept_bytes: u64,
    /// Budget of what may wait for all readers together, those of other namespaces that share it too.
    pub outboxes: Arc<Budget>,
}

impl Default for NamespaceSettings {
    fn default() -> Self {
        Self { open_databases: 128, kept_bytes: 64 << 20, outboxes: Budget::new(OUTBOX_BUDGET) }
    }
}

/// Completion of an event, once it may be told: an answer, a socket, or nothing more to say.
#[derive(Debug)]
pub enum Completion {
    /// The answer to a request.
    Answered(Response),
    /// The request became a WebSocket.
    Accepted {
        /// Its number with the object.
        socket: SocketId,
        /// Frames to be sent over it.
        outbox: Arc<Outbox>,
    },
    /// Too much waits already: the event was not begun.
    Refused(Problem),
    /// The event is over; whatever it sends is in the outboxes.
    Done,
}

/// The object's flush failed, or its process ended, before the event's effects might leave: the outcome
/// is unknown, and the connection that waits for it has to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Ends when the event's effects have left.
///
/// Dropping it changes nothing: the event happens all the same. So whoever asks for a WebSocket has to
/// see it through: a socket that was accepted stays with its object until an [`Arrival::Closed`].
pub type Submitted = LocalBoxFuture<'static, Result<Completion, Stopped>>;

/// The objects of one class, as a server sees them.
pub trait Objects {
    /// Delivers an event: the order of calls is the order of a workspace's events. It is handled before
    /// this returns, unless its object lives on another loop or has so much to read before that it waits
    /// its turn. The future tells what came of it when that may leave; until then its outcome is unknown,
    /// and never half.
    ///
    /// An event that cannot be begun, since the storage fails or too many wait, is answered with 503
    /// `overloaded` and changes nothing; a socket that is closed is gone in any case.
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted;
}

/// The objects of one class. Cloning it gives another handle to the same.
///
/// Its methods must be called within a [`LocalSet`](tokio::task::LocalSet).
pub struct Namespace<O> {
    inner: Rc<Inner<O>>,
}

impl<O> Clone for Namespace<O> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

struct Inner<O> {
    clock: Rc<dyn HostClock>,
    databases: Rc<dyn Databases>,
    settings: NamespaceSettings,
    wake: Wake<O>,
    slots: RefCell<Slots<O>>,
    alarms: alarms::Alarms,
}

impl<O: Object + 'static> Namespace<O> {
    /// The objects whose databases these are; `wake` makes each whenever it wakes. Their alarms ring once
    /// [`ring_alarms`](Self::ring_alarms) runs.
    #[must_use]
    pub fn new(
        clock: Rc<dyn HostClock>,
        databases: Rc<dyn Databases>,
        settings: NamespaceSettings,
        wake: impl Fn(Woken) -> O + 'static,
    ) -> Self {
        let (slots, alarms, wake) = (RefCell::default(), alarms::Alarms::default(), Rc::new(wake));
        Self { inner: Rc::new(Inner { clock, databases, settings, wake, slots, alarms }) }
    }

    /// Rings the alarms of all objects, those that were set before this process began too. Never
    /// ends.
    pub fn ring_alarms(&self) -> impl Future<Output = ()> + use<O> {
        self.ring_alarms_through(Rc::new(self.clone()))
    }

    /// The same through objects that stand before these and may keep a ring back, as a simulation
    /// does. An alarm that was kept back is not rung again by itself until an event sets it.
    pub fn ring_alarms_through(
        &self,
        objects: Rc<dyn Objects>,
    ) -> impl Future<Output = ()> + use<O> {
        alarms::ring(self.clone(), objects)
    }

    /// Gives back the room that databases in files no longer need, while nobody uses them. Never ends.
    pub fn keep_tidy(&self) -> impl Future<Output = ()> + use<O> {
        Rc::clone(&self.inner).keep_tidy()
    }

    /// The alarms that are set, by object.
    #[must_use]
    pub fn pending_alarms(&self) -> Vec<(HostTime, Workspace)> {
        self.inner.alarms.pending()
    }

    /// Works on one object between two of its events: evicts it, plants a fault, looks at its state.
    ///
    /// What is done to its sockets here is not told to their connections; for that there is
    /// [`crash`](Self::crash).
    ///
    /// # Errors
    /// [`StorageError`] if its database cannot be opened.
    pub fn with<T>(
        &self,
        workspace: &Workspace,
        work: impl FnOnce(&mut Instance<O>) -> T,
    ) -> Result<T, StorageError> {
        let inner = &self.inner;
        let slots = &mut *inner.slots.borrow_mut();
        let instance = slots.open(inner, workspace)?;
        let worked = work(instance);
        inner.alarms.seen(workspace, inner.clock.moment(), instance.due_alarm());
        slots.settle(&inner.settings, workspace);
        Ok(worked)
    }

    /// The end of the object's process, which begins anew with the next event: memory, sockets and all
    /// effects that are held are gone; what was committed is not.
    pub fn crash(&self, workspace: &Workspace) {
        let slots = &mut *self.inner.slots.borrow_mut();
        if let Some(slot) = slots.get(workspace) {
            slot.disconnect();
        }
        slots.settle(&self.inner.settings, workspace);
    }
}

impl<O: Object> Inner<O> {
    /// Number of bytes that wait for the readers of an object.
    fn backlog(&self, workspace: &Workspace) -> usize {
        let mut slots = self.slots.borrow_mut();
        let outboxes = slots.get(workspace).map(|slot| &slot.outboxes);
        let waiting = outboxes.into_iter().flatten().map(|(_, outbox)| outbox.backlog());
        waiting.fold(0, usize::saturating_add)
    }
}

impl<O: Object + 'static> Objects for Namespace<O> {
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted {
        let (tell, told) = oneshot::channel();
        self.inner.arrive(workspace, arrival, tell);
        Box::pin(async move { told.await.map_err(|_| Stopped) })
    }
}
