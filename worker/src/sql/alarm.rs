//! Times at which to ask the platform for its alarm. Each time costs a row, so it is asked only to ring
//! earlier.

use mailbus_spec::HostTime;

/// An alarm later than this is taken for lost, in milliseconds: the platform's may be a minute late.
const LOST_MS: u64 = 60_000;

/// The alarm that the platform is believed to have set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm {
    pending: Option<HostTime>,
}

impl Alarm {
    pub fn pending(pending: Option<HostTime>) -> Self {
        Self { pending }
    }

    /// The same for an object that wakes at `now`: an alarm in the past may be dead.
    pub fn on_waking(self, now: HostTime) -> Self {
        Self { pending: self.pending.filter(|pending| *pending > now) }
    }

    /// It rang.
    pub fn rang(&mut self) {
        self.pending = None;
    }

    /// The alarm to set so that it rings no later than `next`, if the pending one does not.
    pub fn rearm(&mut self, now: HostTime, next: Option<HostTime>) -> Option<HostTime> {
        let next = next?.max(now);
        let stands = self
            .pending
            .is_some_and(|pending| pending <= next && now.0 <= pending.0.saturating_add(LOST_MS));
        self.set_unless(stands, next)
    }

    /// The alarm to set while the host's clock cannot be believed: some time later, if there is
    /// something to wake for.
    pub fn put_off(&mut self, now: HostTime, has_next: bool) -> Option<HostTime> {
        let stands = self.pending.is_some() || !has_next;
        self.set_unless(stands, HostTime(now.0.saturating_add(LOST_MS)))
    }

    fn set_unless(&mut self, stands: bool, at: HostTime) -> Option<HostTime> {
        if stands {
            return None;
        }
        self.pending = Some(at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: HostTime = HostTime(1_800_000_000_000);

    fn later(ms: u64) -> HostTime {
        HostTime(NOON.0 + ms)
    }

    #[test]
    fn it_is_set_only_to_ring_earlier() {
        let mut alarm = Alarm::pending(None);
        assert_eq!(alarm.rearm(NOON, None), None);
        assert_eq!(alarm.rearm(NOON, Some(later(500))), Some(later(500)));
        assert_eq!(alarm.rearm(NOON, Some(later(500))), None);
        assert_eq!(alarm.rearm(NOON, Some(later(900))), None);
        assert_eq!(alarm.rearm(NOON, Some(later(400))), Some(later(400)));
        alarm.rang();
        assert_eq!(alarm.rearm(later(300), Some(later(400))), Some(later(400)), "it rang early");
    }

    #[test]
    fn what_is_due_rings_now_and_not_in_the_past() {
        let mut alarm = Alarm::pending(None);
        assert_eq!(alarm.rearm(later(10), Some(NOON)), Some(later(10)));
        assert_eq!(alarm.rearm(later(20), Some(NOON)), None, "it has yet to ring");
    }

    #[test]
    fn it_is_taken_for_lost_a_minute_late_and_at_once_on_waking() {
        let mut alarm = Alarm::pending(Some(NOON));
        assert_eq!(alarm.rearm(later(LOST_MS), Some(later(900_000))), None);
        let lost = later(LOST_MS + 1);
        assert_eq!(alarm.rearm(lost, Some(later(900_000))), Some(later(900_000)));
        let mut woken = Alarm::pending(Some(NOON)).on_waking(NOON);
        assert_eq!(woken.rearm(NOON, Some(NOON)), Some(NOON));
        let mut woken = Alarm::pending(Some(later(1))).on_waking(NOON);
        assert_eq!(woken.rearm(NOON, Some(later(1))), None);
    }

    #[test]
    fn with_a_clock_that_cannot_be_it_is_put_off() {
        let mut alarm = Alarm::pending(None);
        assert_eq!(alarm.put_off(HostTime(5), false), None);
        assert_eq!(alarm.put_off(HostTime(5), true), Some(HostTime(5 + LOST_MS)));
        assert_eq!(alarm.put_off(HostTime(6), true), None);
        assert_eq!(alarm.rearm(NOON, Some(later(1))), Some(later(1)), "the clock is right again");
    }
}
