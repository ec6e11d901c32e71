//! The place of one object in its namespace, and the effects it holds back.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::native::flush::Flush;
use crate::native::instance::{Delivered, Instance};
use crate::native::sockets::Sockets;
use crate::object::{Object, SocketId};

use super::outbox::Texts;
use super::{Budget, Exchange, Outbox, Outgoing};

/// The place of one object.
///
/// Invariant: `flushed <= written`; held events are in order and each waits for a write beyond
/// `flushed`.
pub(super) struct Slot<O> {
    /// The object with its database, while that is open.
    pub(super) instance: Option<Instance<O>>,
    /// Its sockets, while it is not.
    pub(super) sockets: Sockets,
    /// What is to be sent over its sockets.
    pub(super) outboxes: BTreeMap<SocketId, Arc<Outbox>>,
    /// How its commits become durable, while the database is open.
    pub(super) flush: Option<Rc<dyn Flush>>,
    /// The turn of its last event.
    pub(super) used: u64,
    held: VecDeque<Held>,
    written: u64,
    flushed: u64,
    flushing: bool,
    stopped: bool,
}

/// The effects of one event, held back until everything it may have read is durable.
pub(super) struct Held {
    /// The write that has to be flushed before.
    after: u64,
    delivered: Delivered,
    outbox: Option<Arc<Outbox>>,
    tell: oneshot::Sender<Exchange>,
}

impl<O> Default for Slot<O> {
    fn default() -> Self {
        Self {
            instance: None,
            sockets: Sockets::default(),
            outboxes: BTreeMap::new(),
            flush: None,
            used: 0,
            held: VecDeque::new(),
            written: 0,
            flushed: 0,
            flushing: false,
            stopped: false,
        }
    }
}

impl Held {
    /// The effects of an event, and who waits for them.
    pub(super) fn new(
        delivered: Delivered,
        outbox: Option<Arc<Outbox>>,
        tell: oneshot::Sender<Exchange>,
    ) -> Self {
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
        let exchange = match (self.delivered.response, self.delivered.accepted, self.outbox) {
            (_, Some(socket), Some(outbox)) => Exchange::Accepted { socket, outbox },
            (Some(mut response), ..) => {
                response.charged = Some(charged);
                Exchange::Answered(response)
            }
            _ => Exchange::Done,
        };
        // Who asked may be gone.
        let _ = self.tell.send(exchange);
    }
}

impl<O: Object> Slot<O> {
    /// Whether a flush has failed.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether its database can be closed.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && !self.flushing && self.flushed == self.written
    }

    /// A socket that was just accepted.
    pub(super) fn connect(&mut self, socket: SocketId, budget: &Arc<Budget>) -> Arc<Outbox> {
        let window = self.instance.as_ref().and_then(|object| object.sockets().window(socket));
        let outbox = Outbox::new(budget, window);
        self.outboxes.insert(socket, Arc::clone(&outbox));
        outbox
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
        let flush = self.flush.clone().filter(|_| self.flushed < self.written && !self.stopped);
        self.flushing = flush.is_some();
        flush.map(|flush| (self.written, flush))
    }

    /// Everything up to this write is durable: what waited for it leaves, in order.
    pub(super) fn flushed_to(&mut self, target: u64, now: Duration) {
        self.flushed = self.flushed.max(target);
        while self.held.front().is_some_and(|event| event.after <= target) {
            if let Some(event) = self.held.pop_front() {
                event.let_go(&self.outboxes, now);
            }
        }
    }

    /// Closes the database of an idle object.
    pub(super) fn close(&mut self) {
        self.flush = None;
        self.sockets = self.instance.take().map(Instance::close).unwrap_or_default();
    }

    /// Drops memory, sockets and what is held.
    pub(super) fn disconnect(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.crash();
        }
        self.sockets.drop_all();
        self.held.clear();
        for outbox in std::mem::take(&mut self.outboxes).into_values() {
            outbox.abandon();
        }
    }

    /// A flush failed: nothing held leaves, and nothing is handled any more.
    pub(super) fn stop(&mut self) {
        self.disconnect();
        self.stopped = true;
        self.flushing = false;
        self.instance = None;
        self.flush = None;
    }
}
