//! Event loops: a workspace lives on one of them, connections on any.
//!
//! ```text
//!   connection ── Routed ──┬── own workspace: the loop's own objects, at once
//!    (any loop)            └── another's: an owned message over a bounded channel, its outcome back
//! ```
//!
//! Objects are `Rc` and stay inside their loop, and so does every future of theirs; what goes from loop
//! to loop is owned. A connection does not move: one that is kept alive may name many workspaces.
//! Workspaces share nothing, so that is all there is between loops but the
//! [`Budget`](super::Budget) of outboxes, and a socket's [`Outbox`](super::Outbox), which its object
//! fills and its connection empties.
//!
//! # Invariants
//!
//! * A workspace is on the same loop for as long as their number stays the same.
//! * The events of a socket arrive in the order in which they were submitted: one channel leads from
//!   everywhere to a loop.
//! * An event that was submitted before another, wherever that was, is handled before it.
//! * What a full channel refuses was not begun. It never refuses a [`Closed`](Arrival::Closed).
//! * With one loop nothing crosses a channel.

mod databases;
mod threads;

use std::cell::RefCell;
use std::future::{Future, poll_fn, ready};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use mailbus_spec::Workspace;
use mailbus_spec::wire::{Code, Problem};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use crate::router::Class;

use super::arrival::{Arrival, OwnedArrival};
use super::namespace::{Completion, Objects, Stopped, Submitted};
use super::server::Classes;

pub use databases::OwnDatabases;
pub use threads::{LoopEnded, Stop, run};

/// Most events from other loops that wait for a loop.
pub const CROSSINGS_MAX: usize = 1_000;

/// One of several event loops.
#[derive(Debug)]
pub struct EventLoop {
    place: Place,
    inbox: mpsc::Receiver<Crossing>,
}

/// Place of a loop among the others.
#[derive(Clone, Debug)]
pub struct Place {
    index: usize,
    ways: Arc<[mpsc::Sender<Crossing>]>,
}

/// An event on its way to another loop.
#[derive(Debug)]
struct Crossing {
    class: Class,
    workspace: Workspace,
    arrival: OwnedArrival,
    tell: oneshot::Sender<Result<Completion, Stopped>>,
}

impl EventLoop {
    /// So many loops, none of which runs yet.
    #[must_use]
    pub fn several(count: NonZeroUsize) -> Vec<Self> {
        let ends = (0..count.get()).map(|_| mpsc::channel(CROSSINGS_MAX));
        let (ways, inboxes): (Vec<_>, Vec<_>) = ends.unzip();
        let ways: Arc<[_]> = ways.into();
        let place = |index| Place { index, ways: Arc::clone(&ways) };
        let several = inboxes.into_iter().enumerate();
        several.map(|(index, inbox)| Self { place: place(index), inbox }).collect()
    }

    /// Place of the loop.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Joins the objects of this loop to those of the others: all of them, as a server on this loop sees
    /// them, and what has to run on this loop for as long as others send it events.
    pub fn join(self, own: Classes) -> (Classes, impl Future<Output = ()> + use<>) {
        let Self { place, inbox } = self;
        let arrivals = Rc::new(Arrivals { inbox: RefCell::new(inbox), own });
        let all = arrivals.own.iter().map(|(class, objects)| {
            let (own, place) = (Rc::clone(objects), place.clone());
            let routed = Routed { class: *class, own, place, arrivals: Rc::clone(&arrivals) };
            (*class, Rc::new(routed) as Rc<dyn Objects>)
        });
        (all.collect(), arrivals.handle())
    }
}

impl Place {
    /// Its number, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// True if a workspace lives on this loop.
    #[must_use]
    pub fn owns(&self, workspace: &Workspace) -> bool {
        self.index_of(workspace) == self.index
    }

    fn index_of(&self, workspace: &Workspace) -> usize {
        let loops = u64::try_from(self.ways.len()).unwrap_or(u64::MAX);
        let index = hash(workspace.as_str()).checked_rem(loops).unwrap_or(0);
        usize::try_from(index).unwrap_or(0)
    }

    /// The way to the loop of a workspace, unless that is this one.
    fn way_to(&self, workspace: &Workspace) -> Option<&mpsc::Sender<Crossing>> {
        self.ways.get(self.index_of(workspace)).filter(|_| !self.owns(workspace))
    }
}

/// FNV-1a: the same in every process, which no hash of the standard library promises.
fn hash(text: &str) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// The objects of a class on all loops.
struct Routed {
    class: Class,
    own: Rc<dyn Objects>,
    place: Place,
    arrivals: Rc<Arrivals>,
}

impl Objects for Routed {
    fn submit(&self, workspace: &Workspace, arrival: &Arrival<'_>) -> Submitted {
        let Some(way) = self.place.way_to(workspace) else {
            self.arrivals.catch_up();
            return self.own.submit(workspace, arrival);
        };
        let (tell, told) = oneshot::channel();
        let (workspace, arrival) = (workspace.clone(), arrival.to_owned());
        match way.try_send(Crossing { class: self.class, workspace, arrival, tell }) {
            Ok(()) => {}
            Err(TrySendError::Full(crossing)) => {
                if !matches!(crossing.arrival, OwnedArrival::Closed { .. }) {
                    return Box::pin(ready(Ok(Completion::Refused(overloaded()))));
                }
                // Its socket sends nothing after it, so it may arrive whenever there is room.
                let way = way.clone();
                spawn_local(async move { way.send(crossing).await });
            }
            Err(TrySendError::Closed(_)) => return Box::pin(ready(Err(Stopped))),
        }
        Box::pin(async move { told.await.unwrap_or(Err(Stopped)) })
    }
}

fn overloaded() -> Problem {
    Problem::new(Code::Overloaded, "Too much waits for this workspace already. Nothing was begun.")
}

/// Requests from other loops, and the objects of this one.
struct Arrivals {
    inbox: RefCell<mpsc::Receiver<Crossing>>,
    own: Classes,
}

impl Arrivals {
    /// Hands over what comes, in order.
    async fn handle(self: Rc<Self>) {
        // Not borrowed while it waits.
        while let Some(crossing) =
            poll_fn(|context| self.inbox.borrow_mut().poll_recv(context)).await
        {
            self.hand_over(crossing);
        }
    }

    /// Hands over what has come already, before something of this loop's own: an event that was told
    /// of may not be overtaken by one that follows from it.
    fn catch_up(&self) {
        loop {
            let Ok(crossing) = self.inbox.borrow_mut().try_recv() else { return };
            self.hand_over(crossing);
        }
    }

    fn hand_over(&self, crossing: Crossing) {
        let Crossing { class, workspace, arrival, tell } = crossing;
        let Some(objects) = self.own.get(&class).map(Rc::clone) else { return };
        let mut submitted = objects.submit(&workspace, &arrival.borrow());
        match (&mut submitted).now_or_never() {
            Some(told) => give(told, tell, &workspace, &*objects),
            None => {
                spawn_local(async move { give(submitted.await, tell, &workspace, &*objects) });
            }
        }
    }
}

/// Gives an outcome back. A socket that was accepted for somebody who is gone is closed.
fn give(
    told: Result<Completion, Stopped>,
    tell: oneshot::Sender<Result<Completion, Stopped>>,
    workspace: &Workspace,
    objects: &dyn Objects,
) {
    if let Err(Ok(Completion::Accepted { socket, outbox })) = tell.send(told) {
        outbox.abandon();
        drop(objects.submit(workspace, &Arrival::Closed { socket }));
    }
}
