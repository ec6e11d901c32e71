//! Outbox of what waits for the socket to see to it: the session's orders, and commands.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::codec::{Codec, FRAME_BYTES};
use crate::session::{Route, SocketNumber, SocketOrder, Transmit};

/// Orders and commands that the run loop has handed over to the socket.
pub(super) struct Outbox<S: Codec> {
    waiting: Mutex<Waiting<S>>,
    /// Rung when there is something to see to.
    pub(super) bell: Notify,
    /// Rung when no order is left.
    pub(super) done: Notify,
}

pub(super) struct Waiting<S: Codec> {
    pub(super) orders: VecDeque<SocketOrder<S::Connect>>,
    /// True if a socket is open, being opened or being closed.
    pub(super) busy: bool,
    /// Invariant: at most [`Codec::OUTBOX_MOST`].
    commands: VecDeque<(SocketNumber, Transmit<S::Command>)>,
}

/// The commands of one frame.
pub(super) struct Frame<C> {
    /// Invariant: at least one.
    pub(super) calls: Vec<(u64, C)>,
    /// The last monotonic instant at which all of them may leave.
    pub(super) leave_by: Duration,
}

impl<S: Codec> Outbox<S> {
    pub(super) fn new() -> Self {
        let (orders, commands) = (VecDeque::new(), VecDeque::new());
        let waiting = Mutex::new(Waiting { orders, busy: false, commands });
        Self { waiting, bell: Notify::new(), done: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting<S>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the socket look, if anything waits for it.
    pub(super) fn ring(&self) {
        let waiting = self.lock();
        if !waiting.orders.is_empty() || !waiting.commands.is_empty() {
            self.bell.notify_one();
        }
    }
}

impl<S: Codec> Waiting<S> {
    /// Takes an attempt that goes over a socket which keeps up; else hands it back.
    pub(super) fn take(&mut self, transmit: Transmit<S::Command>) -> Option<Transmit<S::Command>> {
        match transmit.route {
            Route::Socket(socket) if self.commands.len() < S::OUTBOX_MOST => {
                self.commands.push_back((socket, transmit));
                None
            }
            _ => Some(transmit),
        }
    }

    /// Next frame over `socket` at `now`, if there is one. What may not leave any more is
    /// dropped, since the process was put aside or the socket was stuck, and so is what was for an earlier
    /// socket: the session knows.
    pub(super) fn next_frame(
        &mut self,
        socket: SocketNumber,
        now: Duration,
    ) -> Option<Frame<S::Command>> {
        let mut frame: Option<Frame<S::Command>> = None;
        let mut bytes = 0_usize;
        while frame.as_ref().is_none_or(|frame| frame.calls.len() < S::FRAME_COMMANDS)
            && bytes < FRAME_BYTES
            && let Some((over, transmit)) = self.commands.pop_front()
        {
            let Transmit { call, command, leave_by, .. } = transmit;
            if over != socket || leave_by < now {
                continue;
            }
            bytes = bytes.saturating_add(S::message_bytes(&command));
            let frame = frame.get_or_insert(Frame { calls: Vec::new(), leave_by });
            frame.calls.push((call.0, command));
            frame.leave_by = frame.leave_by.min(leave_by);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use mailbus_spec::LeasePath;
    use mailbus_spec::lease::Command;

    use super::*;
    use crate::session::CallNumber;
    use crate::session::lease::LeaseSession;

    const SOCKET: SocketNumber = SocketNumber(1);

    fn transmit(call: u64, leave_by_s: u64) -> Transmit<Command> {
        let path = LeasePath::new("x").unwrap();
        Transmit {
            call: CallNumber(call),
            command: Command::Status { path },
            route: Route::Socket(SOCKET),
            timeout: Duration::from_secs(5),
            leave_by: Duration::from_secs(leave_by_s),
        }
    }

    #[test]
    fn what_may_not_leave_any_more_is_dropped() {
        let outbox = Outbox::<LeaseSession>::new();
        let mut waiting = outbox.lock();
        assert_eq!((waiting.take(transmit(1, 5)), waiting.take(transmit(2, 9))), (None, None));
        let frame = waiting.next_frame(SOCKET, Duration::from_secs(6)).unwrap();
        let calls: Vec<u64> = frame.calls.iter().map(|(call, _)| *call).collect();
        assert_eq!((calls, frame.leave_by), (vec![2], Duration::from_secs(9)));
        assert!(waiting.next_frame(SOCKET, Duration::from_secs(6)).is_none());
    }

    #[test]
    fn a_full_outbox_hands_back_what_comes_on_top() {
        let outbox = Outbox::<LeaseSession>::new();
        let mut waiting = outbox.lock();
        let most = u64::try_from(LeaseSession::OUTBOX_MOST).unwrap();
        assert!((0..most).all(|call| waiting.take(transmit(call, 5)).is_none()));
        assert!(waiting.take(transmit(most, 5)).is_some());
        assert!(waiting.next_frame(SOCKET, Duration::ZERO).is_some());
        assert!(waiting.take(transmit(most, 5)).is_none(), "a frame made room");
    }
}
