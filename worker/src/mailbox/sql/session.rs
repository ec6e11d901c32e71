//! Live session in memory: what its socket keeps, and sums over what it has in flight.

use mailbus_spec::mailbox::Window;
use mailbus_spec::{Ordinal, SessionId, Timestamp, limits};

use super::log::Entry;

/// Number of messages, and of their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub messages: u64,
    pub bytes: u64,
}

/// Live session: what its socket keeps, and sums over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LiveSession {
    pub session: SessionId,
    pub epoch: Ordinal,
    /// `None` for a session that negotiated nothing.
    pub window: Option<Window>,
    pub since: Timestamp,
    pub sent_through: Ordinal,
    pub counted_through: Ordinal,
    pub working: Option<Ordinal>,
    /// Tally of what is in flight.
    pub flights: Tally,
    /// Number of those that are again.
    pub again: u64,
    /// Tally of what silence alone settles of it.
    pub presumable: Tally,
    /// The lowest of that.
    pub first_presumable: Option<Ordinal>,
}

/// A delivery in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub again: bool,
    pub counted: bool,
}

impl Tally {
    fn add(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn subtract(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl LiveSession {
    /// A session that begins.
    pub fn new(
        session: SessionId,
        epoch: Ordinal,
        window: Option<Window>,
        since: Timestamp,
    ) -> Self {
        Self {
            session,
            epoch,
            window,
            since,
            sent_through: Ordinal::ZERO,
            counted_through: Ordinal::ZERO,
            working: None,
            flights: Tally::default(),
            again: 0,
            presumable: Tally::default(),
            first_presumable: None,
        }
    }

    pub fn is_presumable(&self, entry: &Entry) -> bool {
        self.window.is_none() && !entry.ack_required
    }

    /// One more delivery is in flight.
    pub fn take_off(&mut self, entry: &Entry, again: bool) {
        let bytes = u64::from(entry.bytes);
        self.flights.add(bytes);
        self.again = self.again.saturating_add(u64::from(again));
        if self.is_presumable(entry) {
            self.presumable.add(bytes);
            let first = self.first_presumable.map_or(entry.seq, |first| first.min(entry.seq));
            self.first_presumable = Some(first);
        }
    }

    /// A delivery is in flight no more. Which presumable one is the lowest now, its agent finds.
    pub fn land(&mut self, entry: &Entry, again: bool) {
        if self.working == Some(entry.seq) {
            self.working = None;
        }
        let bytes = u64::from(entry.bytes);
        self.flights.subtract(bytes);
        self.again = self.again.saturating_sub(u64::from(again));
        if self.is_presumable(entry) {
            self.presumable.subtract(bytes);
        }
    }

    /// True if one more push keeps the window. A single message may exceed its bytes; a session without one
    /// bounds its redeliveries alone, since its socket has to remember those one by one.
    pub fn allows(&self, bytes: u64, is_again: bool) -> bool {
        let Some(window) = self.window else {
            return !is_again || self.again < limits::WINDOWLESS_REDELIVERIES;
        };
        self.flights.messages == 0
            || (self.flights.messages < window.messages()
                && self.flights.bytes.saturating_add(bytes) <= window.bytes())
    }

    /// True if no push at all keeps the window.
    pub fn is_full(&self) -> bool {
        let window = self.window.filter(|_| self.flights.messages > 0);
        window.is_some_and(|window| self.flights.messages >= window.messages())
    }
}
