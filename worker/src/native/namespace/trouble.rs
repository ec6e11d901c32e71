//! Trouble of an object whose storage failed: nobody pays but those who ask it.

use std::time::Duration;

use mailbus_spec::wire::{Code, Problem};

use crate::object::Response;

/// The pause after the first failure.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: each failure doubles it up to here.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Time without a failure after which the next one is a first.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// The failure of an object's storage that is not over yet.
///
/// The memory of an object is gone after an event that failed: it may be ahead of what is stored. Its
/// next event would read everything again, only to fail again, for as long as a disk is full. So
/// nothing is read in a pause, and after it one small write comes first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    /// The end of the pause, by the host's monotonic clock.
    until: Duration,
    pause: Duration,
    /// True if the storage has taken a write since.
    pub(super) probed: bool,
}

impl Trouble {
    /// The trouble after one more failure.
    pub(super) fn after(before: Option<Self>, now: Duration) -> Self {
        let lately = |before: &Self| now.saturating_sub(before.until) < FORGOTTEN;
        let before = before.filter(lately);
        let pause = before.map_or(PAUSE, |before| before.pause.saturating_mul(2).min(PAUSE_MAX));
        Self { until: now.saturating_add(pause), pause, probed: false }
    }

    /// Time that is left of the pause.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        self.until.checked_sub(now).filter(|left| !left.is_zero())
    }
}

/// Reason why an event was not begun.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    problem: Problem,
    /// Seconds after which to try again; as the problem's code has it, if nothing is known.
    retry_after: Option<u32>,
}

impl Refusal {
    /// The storage has failed and is left alone for this long.
    pub(super) fn failing(left: Duration) -> Self {
        let seconds = left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0));
        let problem = Problem::new(
            Code::Overloaded,
            "The storage of this workspace failed a moment ago and is tried again soon: its disk may be \
             full or broken. Nothing was changed. Send it again, unchanged, after a pause; if it stays \
             so, look into the service's log.",
        );
        Self { problem, retry_after: u32::try_from(seconds).ok() }
    }

    /// The object is being read, and as many events wait for it as may.
    pub(super) fn crowded() -> Self {
        let problem = Problem::new(
            Code::Overloaded,
            "This workspace is being read from its disk, and as much waits for it as can. Nothing was \
             changed. Send it again, unchanged, after a pause.",
        );
        Self { problem, retry_after: None }
    }

    /// There are as many workspaces as may be.
    pub(super) fn full() -> Self {
        let problem = Problem::new(
            Code::Limit,
            "This service has as many workspaces as it may have, and this would be one more. Nothing was \
             changed. Use one that is there; those that nobody has used for a day make room.",
        );
        Self { problem, retry_after: None }
    }

    /// The problem that says so.
    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The answer that says so.
    pub(super) fn response(&self) -> Response {
        let answer = Response::from(&self.problem);
        Response { retry_after: self.retry_after.or(answer.retry_after), ..answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_pause_up_to_five_seconds() {
        let mut trouble = None;
        let pauses: Vec<u128> = (0..8)
            .map(|_| {
                let now = Duration::from_secs(7);
                let next = Trouble::after(trouble, now);
                trouble = Some(next);
                next.left(now).unwrap().as_millis()
            })
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(trouble.unwrap().left(Duration::from_secs(12)), None);
        let later = Duration::from_secs(12) + FORGOTTEN;
        assert_eq!(Trouble::after(trouble, later).left(later), Some(PAUSE), "a first one again");
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let after = |left| Refusal::failing(left).response().retry_after;
        assert_eq!(after(Duration::from_millis(100)), Some(1));
        assert_eq!(after(Duration::from_millis(3_200)), Some(4));
        assert_eq!(after(Duration::from_secs(5)), Some(5));
        let crowded = Refusal::crowded().response();
        assert_eq!((crowded.status, crowded.retry_after), (503, Some(1)));
    }
}
