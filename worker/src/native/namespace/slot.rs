//! The place of one object in its namespace, and the effects it holds back.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::native::flush::Flush;
use crate::native::instance::{Delivered, Instance, Parked};
use crate::object::{Object, SocketId};

use super::outbox::Texts;
use super::trouble::Trouble;
use super::waiting::{Tell, Waiting};
use super::{Budget, Completion, Outbox, Outgoing};

/// The place of one object.
///
/// Invariant: `flushed <= written`; held events are in order and each waits for a write beyond
/// `flushed`.
pub(super) struct Slot<O> {
    /// The object with its database, while that is open.
    pub(super) instance: Option<Instance<O>>,
    /// Rest of it while the database is closed.
    pub(super) parked: Parked<O>,
    /// Frames to be sent over its sockets.
    pub(super) outboxes: BTreeMap<SocketId, Arc<Outbox>>,
    /// Durability of its commits, while the database is open.
    pub(super) flush: Option<Rc<dyn Flush>>,
    /// The events that wait until it is awake.
    pub(super) waiting: Waiting,
    /// The failure of its storage that is not over yet.
    pub(super) trouble: Option<Trouble>,
    /// The turn of its last event.
    pub(super) used: u64,
    /// Place where it is listed under that turn.
    pub(super) list: List,
    held: VecDeque<Held>,
    written: u64,
    flushed: u64,
    flushing: bool,
}

/// Cost of a place, and so the list in which it is to be closed or forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum List {
    /// Next to nothing: sockets, or not even those.
    #[default]
    None,
    /// Open files.
    Files,
    /// An empty database in memory.
    Unmade,
    /// So many bytes of memory.
    Memory(u64),
}

/// Memory that a place takes besides its object, in bytes.
const SLOT_BYTES: u64 = 1_024;

/// The effects of one event, held back until everything it may have read is durable.
pub(super) struct Held {
    /// The write that has to be flushed before.
    after: u64,
    delivered: Delivered,
    outbox: Option<Arc<Outbox>>,
    tell: Tell,
}

impl<O> Default for Slot<O> {
    fn default() -> Self {
        Self {
            instance: None,
            parked: Parked::default(),
            outboxes: BTreeMap::new(),
            flush: None,
            waiting: Waiting::default(),
            trouble: None,
            used: 0,
            list: List::None,
            held: VecDeque::new(),
            written: 0,
            flushed: 0,
            flushing: false,
        }
    }
}

impl Held {
    /// The effects of an event, and who waits for them.
    pub(super) fn new(delivered: Delivered, outbox: Option<Arc<Outbox>>, tell: Tell) -> Self {
        Self { after: 0, delivered, outbox, tell }
    }

    fn let_go(self, outboxes: &BTreeMap<SocketId, Arc<Outbox>>, now: Duration) {
        let charged = self.delivered.charged();
        let mut texts = Texts::default();
        for (socket, text) in self.delivered.frames {
            if let Some(outbox) = outboxes.get(&socket) {
                outbox.push(Outgoing::Frame(texts.of(outbox, text)), now);
            }
        }
        for (socket, code, reason) in self.delivered.closes {
            if let Some(outbox) = outboxes.get(&socket) {
                outbox.push(Outgoing::Close(code, reason), now);
            }
        }
        let completion = match (self.delivered.response, self.delivered.accepted, self.outbox) {
            (_, Some(socket), Some(outbox)) => Completion::Accepted { socket, outbox },
            (Some(mut response), ..) => {
                response.charged = Some(charged);
                Completion::Answered(response)
            }
            _ => Completion::Done,
        };
        // Who asked may be gone.
        let _ = self.tell.send(completion);
    }
}

impl<O: Object> Slot<O> {
    /// True if its database can be closed: nothing waits, nothing is held, everything is flushed.
    pub(super) fn is_idle(&self) -> bool {
        let is_flushed = !self.flushing && self.flushed == self.written;
        is_flushed && self.held.is_empty() && !self.waiting.is_served()
    }

    /// True if it can be forgotten altogether.
    pub(super) fn is_nothing(&self) -> bool {
        let is_closed = self.instance.is_none() && self.is_idle() && self.trouble.is_none();
        let keeps = self.parked.footprint().is_some() || !self.parked.sockets.is_empty();
        is_closed && !keeps && self.outboxes.is_empty()
    }

    /// Place where it has to be listed.
    pub(super) fn lists(&self) -> List {
        match (&self.instance, self.parked.footprint()) {
            (Some(instance), _) if instance.is_made() => List::Files,
            (Some(_), _) => List::Unmade,
            (None, Some(bytes)) => List::Memory(bytes.saturating_add(SLOT_BYTES)),
            (None, None) => List::None,
        }
    }

    /// A socket that was just accepted.
    pub(super) fn connect(&mut self, socket: SocketId, budget: &Arc<Budget>) -> Arc<Outbox> {
        let window = self.instance.as_ref().and_then(|object| object.sockets().window(socket));
        let outbox = Outbox::new(budget, window);
        self.outboxes.insert(socket, Arc::clone(&outbox));
        outbox
    }

    /// A socket is gone and its object cannot be told: it wakes without it.
    pub(super) fn lose_socket(&mut self, socket: SocketId) {
        self.outboxes.remove(&socket);
        match &mut self.instance {
            Some(instance) => instance.lose_socket(socket),
            None => {
                self.parked.forget();
                self.parked.sockets.remove(socket);
            }
        }
    }

    /// Lets the effects of an event go if nothing has to be flushed before, or else holds them. Says
    /// whether somebody has to begin flushing.
    pub(super) fn hold(&mut self, mut event: Held, now: Duration) -> bool {
        if event.delivered.wrote() {
            self.written = self.written.saturating_add(1);
        }
        if self.flush.is_none() {
            self.flushed = self.written;
        }
        event.after = self.written;
        if event.after <= self.flushed {
            event.let_go(&self.outboxes, now);
            return false;
        }
        self.held.push_back(event);
        !std::mem::replace(&mut self.flushing, true)
    }

    /// The next flush to run, and the write it reaches to; `None` ends the flushing.
    pub(super) fn next_flush(&mut self) -> Option<(u64, Rc<dyn Flush>)> {
        let flush = self.flush.clone().filter(|_| self.flushed < self.written);
        self.flushing = flush.is_some();
        flush.map(|flush| (self.written, flush))
    }

    /// True if this is the flush of the database that is open.
    pub(super) fn is_flushed_by(&self, flush: &Rc<dyn Flush>) -> bool {
        self.flush.as_ref().is_some_and(|current| Rc::ptr_eq(current, flush))
    }

    /// Everything up to this write is durable: what waited for it leaves, in order.
    pub(super) fn flushed_to(&mut self, target: u64, now: Duration) {
        self.flushed = self.flushed.max(target);
        self.trouble = None;
        while self.held.front().is_some_and(|event| event.after <= target) {
            if let Some(event) = self.held.pop_front() {
                event.let_go(&self.outboxes, now);
            }
        }
    }

    /// True if a flush of its database has failed that nobody waited for.
    pub(super) fn is_doubtful(&mut self) -> bool {
        self.instance.as_mut().is_some_and(|instance| instance.database().is_doubtful())
    }

    /// Closes the database.
    pub(super) fn close(&mut self) {
        self.flush = None;
        if let Some(instance) = self.instance.take() {
            self.parked = instance.close();
        }
    }

    /// An event came through. The trouble is over when what it wrote is flushed.
    pub(super) fn came_through(&mut self) {
        if self.flush.is_none() {
            self.trouble = None;
        }
    }

    /// Its storage failed: its memory is gone, and it is left alone for a while.
    pub(super) fn fail(&mut self, now: Duration) {
        self.parked.forget();
        if let Some(instance) = &mut self.instance {
            instance.evict();
        }
        self.trouble = Some(Trouble::after(self.trouble, now));
    }

    /// A flush failed: nothing held leaves, connections drop, and the database is closed.
    pub(super) fn cut_off(&mut self, now: Duration) {
        self.disconnect();
        self.close();
        self.trouble = Some(Trouble::after(self.trouble, now));
        self.flushing = false;
        self.flushed = self.written;
    }

    /// Drops memory, sockets, and what waits or is held.
    pub(super) fn disconnect(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.crash();
        }
        self.parked.forget();
        self.parked.sockets.drop_all();
        self.held.clear();
        self.waiting.clear();
        for outbox in std::mem::take(&mut self.outboxes).into_values() {
            outbox.abandon();
        }
    }
}
