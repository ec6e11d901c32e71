//! What the run loop and the socket hand each other.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mailbus_spec::lease::Command;
use tokio::sync::Notify;

use crate::machine::{CallNumber, Transmit};

/// Commands of one frame: even with the longest paths it stays below
/// [`FRAME_MAX_BYTES`](mailbus_spec::limits::FRAME_MAX_BYTES).
const FRAME_COMMANDS: usize = 32;
/// Attempts whose replies the socket still awaits; older ones have been given up on long ago.
const AWAITED_MAX: usize = 4_096;

/// The socket as the run loop sees it.
#[derive(Debug, Default)]
pub(super) struct Link {
    state: Mutex<LinkState>,
    /// Rung when there is something to send.
    pub(super) bell: Notify,
}

#[derive(Debug, Default)]
struct LinkState {
    open: bool,
    outbox: Vec<(u64, Command)>,
    awaited: BTreeSet<CallNumber>,
}

impl Link {
    /// Takes an attempt if the socket is open and the attempt's way; else hands it back.
    pub(super) fn take(&self, transmit: Transmit) -> Option<Transmit> {
        let mut state = self.lock();
        // What went unanswered takes the other way the next time.
        if !state.open || transmit.unanswered % 2 == 1 {
            return Some(transmit);
        }
        state.outbox.push((transmit.call.0, transmit.command));
        state.awaited.insert(transmit.call);
        if state.awaited.len() > AWAITED_MAX {
            state.awaited.pop_first();
        }
        drop(state);
        self.bell.notify_one();
        None
    }

    /// What the next frame is to carry; empty if nothing is.
    pub(super) fn next_frame(&self) -> Vec<(u64, Command)> {
        let mut state = self.lock();
        let count = state.outbox.len().min(FRAME_COMMANDS);
        state.outbox.drain(..count).collect()
    }

    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// An attempt was answered over the socket.
    pub(super) fn note_answered(&self, call: CallNumber) {
        self.lock().awaited.remove(&call);
    }

    /// The attempts whose replies will not come any more.
    pub(super) fn forget_awaited(&self) -> BTreeSet<CallNumber> {
        std::mem::take(&mut self.lock().awaited)
    }

    /// Closes the link and tells which attempts will not be answered over it.
    pub(super) fn close(&self) -> BTreeSet<CallNumber> {
        let mut state = self.lock();
        state.open = false;
        state.outbox.clear();
        std::mem::take(&mut state.awaited)
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
