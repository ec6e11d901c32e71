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
//! A failed flush stops the object: what is durable is unknown from then on, so nothing held is let
//! go, its connections drop, and it refuses further events for as long as the namespace lives.

mod alarms;
mod outbox;
mod schedule;
mod slot;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{LocalBoxFuture, ready};
use mailbus_spec::wire::{Code, Problem, frame};
use mailbus_spec::{HostTime, Workspace};
use tokio::sync::oneshot;

use crate::object::{Object, Response, SocketId};
use crate::router;
use crate::storage::StorageError;

use super::arrival::Arrival;
use super::databases::Databases;
use super::host::Host;
use super::instance::{Delivered, Instance};
use super::sockets::Sockets;

pub use outbox::{
    BEHIND_MAX_BYTES, BEHIND_MAX_FRAMES, Budget, OUTBOX_BUDGET, Outbox, Outgoing, STALLED_MAX, Text,
};
use slot::{Held, Slot};

/// When to ask an object again that was stopped: somebody has to restart the service before.
const STOPPED_RETRY_SECONDS: u32 = 30;

/// How a namespace is run.
#[derive(Clone, Debug)]
pub struct NamespaceSettings {
    /// Most databases open at once; beyond, the object that has been idle longest is closed. Objects
    /// that wait for a flush are not idle, and may exceed it.
    pub open_databases: usize,
    /// What may wait for all readers together, those of other namespaces that share it too.
    pub outboxes: Arc<Budget>,
}

impl Default for NamespaceSettings {
    fn default() -> Self {
        Self { open_databases: 128, outboxes: Budget::new(OUTBOX_BUDGET) }
    }
}

/// What came of an event, once it may be told.
#[derive(Debug)]
pub enum Exchange {
    /// The answer to a request.
    Answered(Response),
    /// The request became a WebSocket.
    Accepted {
        /// Its number with the object.
        socket: SocketId,
        /// What is to be sent over it.
        outbox: Arc<Outbox>,
    },
    /// Too much waits already: the event was not begun.
    Refused(Problem),
    /// The event is over; whatever it sends is in the outboxes.
    Done,
}

/// The object was stopped before the event's effects might leave: the outcome is unknown, and the
/// connection that waits for it has to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Ends when the event's effects have left.
///
/// Dropping it changes nothing: the event happens all the same. So whoever asks for a WebSocket has to
/// see it through: a socket that was accepted stays with its object until an [`Arrival::Closed`].
pub type Submitted = LocalBoxFuture<'static, Result<Exchange, Stopped>>;

/// The objects of one class, as a server sees them.
pub trait Objects {
    /// Delivers an event. The order of calls is the order of a workspace's events, of which those for
    /// this loop's own are handled before this returns. The future tells when what came of it may leave.
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
    host: Rc<dyn Host>,
    databases: Rc<dyn Databases>,
    settings: NamespaceSettings,
    slots: RefCell<Slots<O>>,
    alarms: alarms::Alarms,
}

struct Slots<O> {
    /// Counts events, to know what has been idle longest.
    turn: u64,
    /// Who has a database open.
    open: Vec<Workspace>,
    by_workspace: BTreeMap<Workspace, Slot<O>>,
}

impl<O: Object + 'static> Namespace<O> {
    /// The objects whose databases these are. Their alarms ring once
    /// [`ring_alarms`](Self::ring_alarms) runs.
    #[must_use]
    pub fn new(
        host: Rc<dyn Host>,
        databases: Rc<dyn Databases>,
        settings: NamespaceSettings,
    ) -> Self {
        let slots = Slots { turn: 0, open: Vec::new(), by_workspace: BTreeMap::new() };
        let alarms = alarms::Alarms::default();
        Self { inner: Rc::new(Inner { host, databases, settings, slots: slots.into(), alarms }) }
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
        let mut slots = self.inner.slots.borrow_mut();
        let slot = slots.open(&self.inner, workspace)?;
        let Some(instance) = slot.instance.as_mut() else {
            return Err(StorageError("the object is stopped".to_owned()));
        };
        let worked = work(instance);
        let due = instance.due_alarm();
        self.inner.alarms.seen(workspace, self.inner.host.moment(), due);
        Ok(worked)
    }

    /// The end of the object's process, which begins anew with the next event: memory, sockets and all
    /// effects that are held are gone; what was committed is not.
    pub fn crash(&self, workspace: &Workspace) {
        let mut slots = self.inner.slots.borrow_mut();
        if let Some(slot) = slots.by_workspace.get_mut(workspace) {
            slot.disconnect();
        }
    }

    /// Begins one flush after the other until everything of this object is flushed.
    async fn flush(inner: Rc<Inner<O>>, workspace: Workspace) {
        loop {
            let (target, flushed) = {
                let mut slots = inner.slots.borrow_mut();
                let Some(slot) = slots.by_workspace.get_mut(&workspace) else { return };
                let Some((target, flush)) = slot.next_flush() else { return };
                (target, flush.flush())
            };
            let flushed = flushed.await;
            let mut slots = inner.slots.borrow_mut();
            let Some(slot) = slots.by_workspace.get_mut(&workspace) else { return };
            match flushed {
                Ok(()) => slot.flushed_to(target, inner.host.uptime()),
                Err(error) => {
                    tracing::error!(%workspace, %error, "a flush failed: the object is stopped");
                    slot.stop();
                    inner.alarms.seen(&workspace, inner.host.moment(), None);
                    slots.open.retain(|open| *open != workspace);
                    return;
                }
            }
        }
    }
}

impl<O> Inner<O> {
    /// How many bytes wait for the readers of an object.
    fn backlog(&self, workspace: &Workspace) -> usize {
        let slots = self.slots.borrow();
        let outboxes = slots.by_workspace.get(workspace).map(|slot| &slot.outboxes);
        let waiting = outboxes.into_iter().flatten().map(|(_, outbox)| outbox.backlog());
        waiting.fold(0, usize::saturating_add)
    }
}

impl<O: Object + 'static> Objects for Namespace<O> {
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted {
        let inner = &self.inner;
        let mut slots = inner.slots.borrow_mut();
        let now = inner.host.moment();
        let told = inner.alarms.time_of(workspace, now);
        let rings = matches!(arrival, Arrival::Alarm);
        let slot = match slots.open(inner, workspace) {
            Ok(slot) => slot,
            Err(error) => {
                tracing::error!(%workspace, %error, "a database cannot be opened");
                if rings {
                    inner.alarms.rang(workspace, now, false);
                }
                return Box::pin(ready(match arrival {
                    Arrival::Request(_) => Ok(Exchange::Answered(Response::failed())),
                    _ => Err(Stopped),
                }));
            }
        };
        let Some(instance) = slot.instance.as_mut() else {
            return Box::pin(ready(match arrival {
                Arrival::Request(_) => Ok(Exchange::Answered(stopped())),
                _ => Err(Stopped),
            }));
        };
        let delivered = instance.deliver(told, arrival);
        let wrote = delivered.as_ref().is_ok_and(|delivered| delivered.rows > 0);
        inner.alarms.handled(workspace, now, told, wrote, instance.due_alarm());
        if rings {
            inner.alarms.rang(workspace, now, delivered.is_ok());
        }
        let delivered = delivered.unwrap_or_else(|error| {
            tracing::error!(%workspace, %error, "an event was undone");
            undone(arrival)
        });
        let (tell, told) = oneshot::channel();
        let outbox =
            delivered.accepted.map(|socket| slot.connect(socket, &inner.settings.outboxes));
        if let Arrival::Closed { socket } = arrival {
            slot.outboxes.remove(socket);
        }
        if slot.hold(Held::new(delivered, outbox, tell), inner.host.uptime()) {
            tokio::task::spawn_local(Self::flush(Rc::clone(inner), workspace.clone()));
        }
        Box::pin(async move { told.await.map_err(|_| Stopped) })
    }
}

impl<O: Object> Slots<O> {
    /// The slot of a workspace, with its database open unless it is stopped.
    fn open(
        &mut self,
        inner: &Inner<O>,
        workspace: &Workspace,
    ) -> Result<&mut Slot<O>, StorageError> {
        self.turn = self.turn.saturating_add(1);
        let usable = self
            .by_workspace
            .get(workspace)
            .is_some_and(|slot| slot.instance.is_some() || slot.is_stopped());
        if !usable {
            self.close_idle(inner.settings.open_databases);
            let opened = inner.databases.open(workspace)?;
            let known = self.by_workspace.get(workspace).map(|slot| slot.sockets.clone());
            let instance = Instance::open(opened.database, known.unwrap_or_default())?;
            let slot = self.by_workspace.entry(workspace.clone()).or_default();
            slot.sockets = Sockets::default();
            slot.instance = Some(instance);
            slot.flush = opened.flush;
            self.open.push(workspace.clone());
        }
        let turn = self.turn;
        let slot = self.by_workspace.entry(workspace.clone()).or_default();
        slot.used = turn;
        Ok(slot)
    }

    /// Makes room for one more database, if anybody is idle.
    fn close_idle(&mut self, most: usize) {
        if self.open.len() < most {
            return;
        }
        let slots = &self.by_workspace;
        let idle = |(index, workspace)| {
            let slot: &Slot<O> = slots.get(workspace)?;
            slot.is_idle().then_some((slot.used, index))
        };
        let Some((_, index)) = self.open.iter().enumerate().filter_map(idle).min() else { return };
        let workspace = self.open.swap_remove(index);
        if let Some(slot) = self.by_workspace.get_mut(&workspace) {
            slot.close();
            if slot.sockets.is_empty() {
                self.by_workspace.remove(&workspace);
            }
        }
    }
}

/// What an event that failed comes to: the sender learns that nothing was changed.
fn undone(arrival: &Arrival<'_>) -> Delivered {
    match arrival {
        Arrival::Request(_) => {
            Delivered { response: Some(Response::failed()), ..Delivered::default() }
        }
        Arrival::Frame { socket, .. } => Delivered {
            frames: vec![(*socket, frame::error(&Problem::internal()).into())],
            ..Delivered::default()
        },
        Arrival::Closed { .. } | Arrival::Alarm => Delivered::default(),
    }
}

/// The answer of an object that was stopped.
fn stopped() -> Response {
    let problem = Problem::new(
        Code::Overloaded,
        "This workspace's storage failed. It stays closed until the service is restarted.",
    );
    Response { retry_after: Some(STOPPED_RETRY_SECONDS), ..router::refusal(&problem) }
}
