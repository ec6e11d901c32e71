//! Attempts that were made: whose they were, when and by which way they left.

use std::collections::BTreeMap;
use std::time::Duration;

use mailbus_spec::belief::Reading;

use super::call::CallNumber;
use super::connection::{Route, SocketNumber};

/// Time for which an attempt is remembered after its sending: longer than a reply may travel.
const MEMORY: Duration = Duration::from_secs(120);

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
