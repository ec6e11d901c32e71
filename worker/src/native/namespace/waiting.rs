//! The events that wait while their object wakes.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::native::arrival::{Arrival, OwnedArrival};

use super::Completion;

/// Most events that wait for one object.
pub const WAITING_MAX: usize = 1_000;
/// Most bytes that they carry: 16 MiB.
pub const WAITING_MAX_BYTES: usize = 16 << 20;

/// Receiver of what came of an event.
pub(super) type Tell = oneshot::Sender<Completion>;

/// The events of one object that have arrived and are not handled yet, in their order.
///
/// Invariant: while some wait, somebody serves them.
#[derive(Default)]
pub(super) struct Waiting {
    events: VecDeque<(OwnedArrival, Tell)>,
    bytes: usize,
    /// True if a task serves them; the next to arrive has to wait behind them then.
    served: bool,
}

impl Waiting {
    /// True if an event has to wait.
    pub(super) fn is_served(&self) -> bool {
        self.served
    }

    /// True if one more may wait. A close is never refused: its socket is gone.
    pub(super) fn has_room(&self, arrival: &Arrival<'_>) -> bool {
        let bytes = self.bytes.saturating_add(arrival.bytes());
        let fits = self.events.len() < WAITING_MAX && bytes <= WAITING_MAX_BYTES;
        fits || matches!(arrival, Arrival::Closed { .. })
    }

    /// Adds an event. Says whether somebody has to begin serving.
    pub(super) fn push(&mut self, arrival: &Arrival<'_>, tell: Tell) -> bool {
        self.bytes = self.bytes.saturating_add(arrival.bytes());
        self.events.push_back((arrival.to_owned(), tell));
        !std::mem::replace(&mut self.served, true)
    }

    /// The next event; `None` ends the serving.
    pub(super) fn pop(&mut self) -> Option<(OwnedArrival, Tell)> {
        let next = self.events.pop_front();
        match &next {
            Some((arrival, _)) => {
                self.bytes = self.bytes.saturating_sub(arrival.borrow().bytes());
            }
            None => self.served = false,
        }
        next
    }

    /// True if none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Drops all that wait; who waits for them learns that they are over.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }
}
