//! What the run loop and the socket hand each other.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailbus_spec::lease::Command;
use mailbus_spec::limits;
use tokio::sync::Notify;

use super::driver::Options;
use crate::session::CallNumber;
use crate::session::lease::Transmit;

/// Commands of one frame.
///
/// Invariant: even with the longest paths a frame stays below [`limits::FRAME_MAX_BYTES`], and one of
/// them alone below [`limits::BODY_MAX_BYTES`]: what a slow link has cut gets through over HTTP.
const FRAME_COMMANDS: usize = 30;
/// Most bytes of a command: as many of the longest paths as it may name, of characters that JSON
/// escapes, and what stands around them.
const COMMAND_BYTES: usize = limits::CLAIM_MAX_PATHS * (2 * limits::PATH_MAX_BYTES + 3) + 2_048;

const _: () = assert!(FRAME_COMMANDS * COMMAND_BYTES <= limits::FRAME_MAX_BYTES);
const _: () = assert!(COMMAND_BYTES <= limits::BODY_MAX_BYTES);
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
    /// Invariant: at most [`Options::OUTBOX_MOST`].
    outbox: VecDeque<Transmit>,
    awaited: BTreeSet<CallNumber>,
}

/// The commands of one frame.
#[derive(Debug)]
pub(super) struct Frame {
    /// Invariant: at least one.
    pub(super) calls: Vec<(u64, Command)>,
    /// The last monotonic instant at which all of them may leave.
    pub(super) leave_by: Duration,
}

impl Link {
    /// Takes an attempt if the socket is open, keeps up and is the attempt's way; else hands it back.
    pub(super) fn take(&self, transmit: Transmit) -> Option<Transmit> {
        let mut state = self.lock();
        // What went unanswered takes the other way the next time.
        let full = state.outbox.len() >= Options::OUTBOX_MOST;
        if !state.open || full || transmit.unanswered % 2 == 1 {
            return Some(transmit);
        }
        state.awaited.insert(transmit.call);
        state.outbox.push_back(transmit);
        if state.awaited.len() > AWAITED_MAX {
            state.awaited.pop_first();
        }
        drop(state);
        self.bell.notify_one();
        None
    }

    /// What the next frame is to carry at `now`, if anything. What may not leave any more is dropped:
    /// the process was put aside since it was taken, or the socket was stuck.
    pub(super) fn next_frame(&self, now: Duration) -> Option<Frame> {
        let mut state = self.lock();
        let LinkState { outbox, awaited, .. } = &mut *state;
        let mut frame: Option<Frame> = None;
        while frame.as_ref().is_none_or(|frame| frame.calls.len() < FRAME_COMMANDS)
            && let Some(Transmit { call, command, leave_by, .. }) = outbox.pop_front()
        {
            if leave_by < now {
                awaited.remove(&call);
                continue;
            }
            let frame = frame.get_or_insert(Frame { calls: Vec::new(), leave_by });
            frame.calls.push((call.0, command));
            frame.leave_by = frame.leave_by.min(leave_by);
        }
        frame
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

#[cfg(test)]
mod tests {
    use mailbus_spec::LeasePath;

    use super::*;

    fn transmit(call: u64, leave_by_s: u64) -> Transmit {
        let path = LeasePath::new("x").unwrap();
        Transmit {
            call: CallNumber(call),
            command: Command::Status { path },
            unanswered: 0,
            timeout: Duration::from_secs(5),
            leave_by: Duration::from_secs(leave_by_s),
        }
    }

    #[test]
    fn what_may_not_leave_any_more_is_dropped_and_not_awaited() {
        let link = Link::default();
        link.open();
        assert_eq!((link.take(transmit(1, 5)), link.take(transmit(2, 9))), (None, None));
        let frame = link.next_frame(Duration::from_secs(6)).unwrap();
        let calls: Vec<u64> = frame.calls.iter().map(|(call, _)| *call).collect();
        assert_eq!((calls, frame.leave_by), (vec![2], Duration::from_secs(9)));
        assert_eq!(link.forget_awaited(), BTreeSet::from([CallNumber(2)]));
        assert!(link.next_frame(Duration::from_secs(6)).is_none());
    }

    #[test]
    fn a_full_outbox_hands_back_what_comes_on_top() {
        let link = Link::default();
        link.open();
        let most = u64::try_from(Options::OUTBOX_MOST).unwrap();
        assert!((0..most).all(|call| link.take(transmit(call, 5)).is_none()));
        assert!(link.take(transmit(most, 5)).is_some());
        assert!(link.next_frame(Duration::ZERO).is_some());
        assert!(link.take(transmit(most, 5)).is_none(), "a frame made room");
    }
}
