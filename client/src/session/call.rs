//! Attempts at commands: their names, what leaves, and what is remembered of those that left.

use std::collections::BTreeMap;
use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::wire::Problem;

use super::connection::{Route, SocketNumber};

/// Time for which an attempt is remembered after its sending: longer than a reply may travel.
const MEMORY: Duration = Duration::from_secs(120);

/// The number of one attempt, fresh for each; its reply repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNumber(pub u64);

/// The session's name for one plain call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub(super) u64);

/// An attempt to send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit<C> {
    /// Its number.
    pub call: CallNumber,
    /// The command.
    pub command: C,
    /// The way.
    pub route: Route,
    /// Time after which the session will count it as unanswered. A reply that comes later is still
    /// welcome.
    pub timeout: Duration,
    /// The last monotonic instant at which it may leave: what a transport still has of it then, it
    /// drops. The session takes it for unanswered, and the object's memory of requests and ids rests on
    /// no copy leaving later than the session sends copies.
    pub leave_by: Duration,
}

/// Reason why a plain call has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// No answer came within the retry horizon. Whether it took effect is unknown.
    Unanswered,
    /// It was refused before it was a command.
    Problem(Problem),
    /// Nobody drives the session any more.
    Closed,
}

/// One attempt at a command, as it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Its number, which the reply repeats.
    pub call: CallNumber,
    /// The clocks, read before the first byte left.
    pub at: Reading,
    /// True once it has been given up on: refused a connection, cut, or unanswered for too long. What
    /// became of it is unknown all the same.
    pub failed: bool,
}

/// Attempts of a session, each for as long as its reply may come.
#[derive(Debug)]
pub(super) struct Calls<S>(BTreeMap<CallNumber, Sent<S>>);

/// An attempt that was made.
#[derive(Clone, Debug)]
pub(super) struct Sent<S> {
    /// Subject that it was for.
    pub subject: S,
    pub sending: Sending,
    pub answered: bool,
    /// Socket that something about it is awaited over.
    awaited_over: Option<SocketNumber>,
}

impl<S: Clone> Calls<S> {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Notes an attempt that leaves now, and forgets those that left long ago.
    pub fn note_sent(&mut self, call: CallNumber, subject: S, route: Route, at: Reading) {
        // They are numbered in the order of their sending, so the oldest come first.
        while let Some(oldest) = self.0.first_entry() {
            if at.monotonic.saturating_sub(oldest.get().sending.at.monotonic) <= MEMORY {
                break;
            }
            oldest.remove();
        }
        let sending = Sending { call, at, failed: false };
        let awaited_over = match route {
            Route::Socket(socket) => Some(socket),
            Route::Http => None,
        };
        self.0.insert(call, Sent { subject, sending, answered: false, awaited_over });
    }

    /// An attempt, if it is remembered.
    pub fn get(&self, call: CallNumber) -> Option<&Sent<S>> {
        self.0.get(&call)
    }

    /// Notes an answer to an attempt, if it is remembered; true with it if it is the first.
    pub fn note_answered(&mut self, call: CallNumber) -> Option<(Sent<S>, bool)> {
        self.stop_awaiting(call);
        let sent = self.0.get_mut(&call)?;
        let first = !std::mem::replace(&mut sent.answered, true);
        Some((sent.clone(), first))
    }

    /// Notes that an attempt has been given up on, and says what it was for.
    pub fn note_failed(&mut self, call: CallNumber) -> Option<S> {
        let sent = self.0.get_mut(&call)?;
        sent.sending.failed = true;
        Some(sent.subject.clone())
    }

    /// Notes that nothing about an attempt is awaited over a socket any more.
    pub fn stop_awaiting(&mut self, call: CallNumber) {
        if let Some(sent) = self.0.get_mut(&call) {
            sent.awaited_over = None;
        }
    }

    /// The attempts about which something is awaited over a socket; from now on nothing is.
    pub fn take_awaited(&mut self, socket: SocketNumber) -> Vec<CallNumber> {
        let awaited = |(call, sent): (&CallNumber, &mut Sent<S>)| {
            let awaited = sent.awaited_over.take_if(|over| *over == socket);
            awaited.map(|_| *call)
        };
        self.0.iter_mut().filter_map(awaited).collect()
    }
}
