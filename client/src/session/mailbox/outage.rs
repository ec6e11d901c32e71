//! Failures in a row: of one message they are its own, of several they are of what all handlers call.

use std::collections::BTreeSet;
use std::time::Duration;

use mailbus_spec::Ordinal;
use rand::Rng;

use crate::backoff::Backoff;

/// Different messages that have failed in a row at which an outage is supposed.
const OUTAGE: usize = 3;

/// Failures since a handler last succeeded, and the pause that they are worth.
#[derive(Debug, Default)]
pub(super) struct Outage {
    failed: BTreeSet<Ordinal>,
    /// Number of pauses since a handler last succeeded.
    pauses: u32,
    until: Option<Duration>,
}

impl Outage {
    /// A handler has failed. What fails during a pause was begun before it and makes none longer.
    pub fn note_failure(
        &mut self,
        seq: Ordinal,
        now: Duration,
        backoff: &Backoff,
        jitter: &mut impl Rng,
    ) {
        if self.failed.len() < OUTAGE {
            self.failed.insert(seq);
        }
        if self.failed.len() >= OUTAGE && self.pause(now).is_none() {
            self.pauses = self.pauses.saturating_add(1);
            self.until = Some(now.saturating_add(backoff.pause(self.pauses, jitter)));
        }
    }

    /// A handler has succeeded: what it calls is there.
    pub fn note_success(&mut self) {
        *self = Self::default();
    }

    /// Time until which nothing is handed out or given back; `None` where nothing is held up.
    pub fn pause(&self, now: Duration) -> Option<Duration> {
        self.until.filter(|until| *until > now)
    }

    /// Time at which a pause ends.
    pub fn timeout(&self) -> Option<Duration> {
        self.until
    }

    /// Forgets a pause that is over.
    pub fn pass(&mut self, now: Duration) {
        self.until = self.pause(now);
    }
}
