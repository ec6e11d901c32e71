//! Commands of one kind, each sent again until it is answered or given up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::CallNumber;
use super::retry::{Attempt, Pacing, Retry};

/// Commands of one kind, by the session's name for each, with what is to be known of it.
#[derive(Debug)]
pub(super) struct Repeated<I, T>(BTreeMap<I, Entry<T>>);

#[derive(Debug)]
struct Entry<T> {
    retry: Retry,
    known: T,
}

impl<I: Copy + Ord, T> Repeated<I, T> {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Begins to send a command.
    pub fn begin(&mut self, id: I, retry: Retry, known: T) {
        self.0.insert(id, Entry { retry, known });
    }

    /// Takes the first attempt that is due at `now`: it leaves as `call`, and counts as unanswered after
    /// what `timeout` says.
    pub fn take_due(
        &mut self,
        call: CallNumber,
        now: Duration,
        timeout: impl Fn(&T) -> Duration,
    ) -> Option<(I, &T, Attempt)> {
        self.0.iter_mut().find_map(|(id, Entry { retry, known })| {
            let attempt = retry.take_due(call, now, timeout(known))?;
            Some((*id, &*known, attempt))
        })
    }

    /// Lets time pass. Says of which commands all has been sent and nothing is awaited: they are to be
    /// [ended](Self::end).
    pub fn pass(&mut self, now: Duration, pacing: &mut Pacing) -> Vec<I> {
        let over = |(id, entry): (&I, &mut Entry<T>)| entry.retry.pass(now, pacing).then_some(*id);
        self.0.iter_mut().filter_map(over).collect()
    }

    /// Gives up on attempt `call`: another follows after a pause of at least `least`. True if there is
    /// none, and the command is to be [ended](Self::end).
    #[must_use]
    pub fn fail(
        &mut self,
        id: I,
        call: CallNumber,
        (now, least): (Duration, Duration),
        pacing: &mut Pacing,
    ) -> bool {
        self.0.get_mut(&id).is_some_and(|Entry { retry, .. }| {
            retry.fail(call, now, least, pacing);
            retry.is_exhausted(now)
        })
    }

    /// Stops sending a command, and says what was known of it.
    pub fn end(&mut self, id: I) -> Option<T> {
        self.0.remove(&id).map(|entry| entry.known)
    }

    /// The schedule of a command.
    pub fn retry(&mut self, id: I) -> Option<&mut Retry> {
        self.0.get_mut(&id).map(|entry| &mut entry.retry)
    }

    /// Knowledge of a command.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.0.get_mut(&id).map(|entry| &mut entry.known)
    }

    /// Knowledge of all commands.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.0.iter().map(|(id, entry)| (*id, &entry.known))
    }

    /// True if any attempt at a command may still be executed with nobody waiting for its reply.
    pub fn any_unanswered(&self, id: I) -> bool {
        self.0.get(&id).is_some_and(|entry| entry.retry.any_unanswered())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Time at which something is to be done about any of them next.
    pub fn timeout(&self) -> Option<Duration> {
        self.0.values().filter_map(|entry| entry.retry.timeout()).min()
    }
}
