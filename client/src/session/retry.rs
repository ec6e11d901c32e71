//! Retry schedule of one command: when its next attempt is due, and when to stop. And commands that have
//! one each.

use std::collections::BTreeMap;
use std::time::Duration;

use mailbus_spec::limits;
use mailbus_spec::wire::Code;
use rand_chacha::ChaCha8Rng;

use super::call::CallNumber;
use crate::backoff::Backoff;

/// The pauses between attempts, drawn from the session's seed.
#[derive(Debug)]
pub(super) struct Pacing {
    pub backoff: Backoff,
    pub jitter: ChaCha8Rng,
}

impl Pacing {
    /// The pause before the attempt after `silent` unanswered ones.
    pub fn pause(&mut self, silent: u32) -> Duration {
        self.backoff.pause(silent, &mut self.jitter)
    }
}

/// Time after which copies of a command that [slows](Retry::slowing) become rare, and the pause between them.
const SLOW_AFTER: Duration = Duration::from_millis(limits::RETRY_MS);

/// Attempt that is due: how it leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Number of attempts just before it that went unanswered.
    pub unanswered: u32,
    /// Time after which it counts as unanswered.
    pub timeout: Duration,
    /// The last instant at which it may leave.
    pub leave_by: Duration,
}

/// Schedule of the attempts at one command. Instants are of the monotonic clock.
///
/// Invariant: at most one attempt is awaited at a time, and none is due while one is.
/// Invariant: nothing is due later than the horizon allows.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    due: Option<Duration>,
    awaited: Option<Awaited>,
    /// The sending after which the horizon counts: of the last answered copy, else of the first. Of a
    /// command that slows always of the first, for what it ends began before that.
    since: Option<Duration>,
    /// Time after `since` in which the last copy may go; `None` for a ticket's `Acquire`.
    horizon: Option<Duration>,
    /// True if there is no second attempt, whatever becomes of the first.
    once: bool,
    /// True if copies become rare after a minute.
    slows: bool,
    /// Number of attempts that may have left.
    sent: u32,
    answered: u32,
    silent: u32,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    call: CallNumber,
    until: Duration,
}

impl Retry {
    /// A command whose first attempt is due at `due`.
    pub fn due_at(due: Duration, horizon: Option<Duration>) -> Self {
        Self {
            due: Some(due),
            awaited: None,
            since: None,
            horizon,
            once: false,
            slows: false,
            sent: 0,
            answered: 0,
            silent: 0,
        }
    }

    /// The same command, sent at most once.
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }

    /// The same command, of which copies may go on for long: after a minute at most one a minute.
    pub fn slowing(self) -> Self {
        Self { slows: true, ..self }
    }

    /// True if an attempt is due at `now`.
    pub fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now) && self.end().is_none_or(|end| now <= end)
    }

    /// Takes the attempt that is due at `now`, if one is: it leaves as `call`.
    pub fn take_due(
        &mut self,
        call: CallNumber,
        now: Duration,
        timeout: Duration,
    ) -> Option<Attempt> {
        if !self.is_due(now) {
            return None;
        }
        let until = now.saturating_add(timeout);
        self.due = None;
        self.awaited = Some(Awaited { call, until });
        self.since.get_or_insert(now);
        self.sent = self.sent.saturating_add(1);
        let leave_by = self.end().map_or(until, |end| end.min(until));
        Some(Attempt { unanswered: self.silent, timeout, leave_by })
    }

    /// Lets time pass: an attempt that was awaited for too long is followed by another. True once all
    /// that may be sent has been sent and nothing is awaited.
    pub fn pass(&mut self, now: Duration, pacing: &mut Pacing) -> bool {
        if let Some(call) = self.expire(now) {
            self.fail(call, now, Duration::ZERO, pacing);
        }
        self.is_exhausted(now)
    }

    /// Gives up on `call`. Another attempt is due after a pause of at least `least`, unless one is
    /// awaited or due.
    pub fn fail(&mut self, call: CallNumber, now: Duration, least: Duration, pacing: &mut Pacing) {
        self.give_up_on(call);
        if !self.once {
            let pause = pacing.pause(self.silent).max(least).max(self.slow_pause(now));
            self.schedule_if_none(now.saturating_add(pause));
        }
    }

    fn slow_pause(&self, now: Duration) -> Duration {
        let is_slow =
            self.slows && self.since.is_some_and(|since| SLOW_AFTER < now.saturating_sub(since));
        if is_slow { SLOW_AFTER } else { Duration::ZERO }
    }

    /// Notes the first reply to the attempt sent at `sent`.
    pub fn note_answered(&mut self, call: CallNumber, sent: Duration) {
        self.answered = self.answered.saturating_add(1);
        self.silent = 0;
        if !self.slows {
            self.since = self.since.max(Some(sent));
        }
        if self.awaits(call) {
            self.awaited = None;
        }
    }

    /// Notes that nothing of an attempt left. The horizon begins with the first that did.
    pub fn note_unsent(&mut self) {
        self.sent = self.sent.saturating_sub(1);
        if self.sent == 0 {
            self.since = None;
        }
    }

    /// Notes the first refusal of an attempt that was not carried out. It does not count as an
    /// answer to the command: copies do not go on for longer because of it.
    pub fn note_refused(&mut self, call: CallNumber) {
        self.answered = self.answered.saturating_add(1);
        self.give_up_on(call);
    }

    /// True if any attempt is awaited.
    pub fn is_awaiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// True if `call` is the attempt that is awaited.
    pub fn awaits(&self, call: CallNumber) -> bool {
        self.awaited.is_some_and(|awaited| awaited.call == call)
    }

    /// Gives up on the awaited attempt if its time is over; says which it was.
    pub fn expire(&mut self, now: Duration) -> Option<CallNumber> {
        let awaited = self.awaited.filter(|awaited| awaited.until <= now)?;
        self.give_up_on(awaited.call).then_some(awaited.call)
    }

    /// Gives up on `call`. False if it was not awaited.
    pub fn give_up_on(&mut self, call: CallNumber) -> bool {
        let awaited = self.awaits(call);
        if awaited {
            self.awaited = None;
            self.silent = self.silent.saturating_add(1);
        }
        awaited
    }

    /// Makes the next attempt due at `at`, unless one is awaited or due.
    pub fn schedule_if_none(&mut self, at: Duration) {
        if self.due.is_none() {
            self.schedule(at);
        }
    }

    /// Makes the next attempt due at `at`, unless one is awaited.
    pub fn schedule(&mut self, at: Duration) {
        if self.awaited.is_none() {
            self.due = Some(at);
        }
    }

    /// Lets copies go on for at least `span` from `now`, and says for how long they do: a horizon only
    /// grows.
    pub fn prolong(&mut self, now: Duration, span: Duration) -> Duration {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let longest = |horizon: Duration| horizon.max(passed.saturating_add(span));
        self.horizon = self.horizon.map(longest);
        self.horizon.map_or(span, |horizon| horizon.saturating_sub(passed))
    }

    /// No further attempt is needed.
    pub fn stop(&mut self) {
        self.due = None;
        self.awaited = None;
    }

    /// True once all that may be sent has been sent and nothing is awaited.
    pub fn is_exhausted(&self, now: Duration) -> bool {
        let sent_once = self.once && self.due.is_none();
        self.awaited.is_none() && (sent_once || self.end().is_some_and(|end| end < now))
    }

    /// Number of attempts in a row that have gone unanswered.
    pub fn silent(&self) -> u32 {
        self.silent
    }

    /// True if any attempt may still be executed with nobody waiting for its reply.
    pub fn any_unanswered(&self) -> bool {
        self.answered < self.sent
    }

    /// True if an attempt is due or awaited.
    pub fn is_active(&self) -> bool {
        self.due.is_some() || self.awaited.is_some()
    }

    /// Time at which something is to be done about it next.
    pub fn timeout(&self) -> Option<Duration> {
        if let Some(awaited) = self.awaited {
            return Some(awaited.until);
        }
        // The instant after the horizon is the first at which nothing may be sent.
        let end = self.end().map(|end| end.saturating_add(Duration::from_nanos(1)));
        match (self.due, end) {
            (Some(due), Some(end)) => Some(due.min(end)),
            (due, _) => due,
        }
    }

    /// The last instant at which a copy may be sent.
    fn end(&self) -> Option<Duration> {
        Some(self.since?.saturating_add(self.horizon?))
    }
}

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

    /// Knowledge of all commands, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.values_mut().map(|entry| &mut entry.known)
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

/// Least pause after a refusal with this code.
pub(super) fn least_pause(code: Code) -> Duration {
    Duration::from_secs(u64::from(code.retry_after().unwrap_or_default()))
}
