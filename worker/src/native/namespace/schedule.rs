//! Alarms: when whose rings, and what time its object is told: by two clocks, pure.
//!
//! A wall clock may be set; a monotonic clock only runs. Whichever comes first rings an alarm, and an
//! event's time is never below what the monotonic clock has added to the time of its object's last
//! write. So a wall clock that is set back neither delays what is due, nor lets an object lose the time
//! that has passed: it does not even see the step.
//!
//! That is so for objects that wait for something, for as long as the process lives. All others are
//! told what the wall clock says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailbus_spec::{HostTime, Workspace};

use crate::native::clock::Moment;

/// Time for which a sleeper trusts the wall clock not to step ahead.
const STEP_CHECK: Duration = Duration::from_secs(10);

/// Time at which an alarm whose event failed rings again: after 2 s, doubled each time up to 64 s, by
/// the monotonic clock alone.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_DOUBLINGS: u32 = 5;

/// The alarms of many objects.
///
/// Invariant: `by_wall` and `by_uptime` hold exactly the times of each `ring`.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    objects: BTreeMap<Workspace, Waiting>,
    by_wall: BTreeSet<(HostTime, Workspace)>,
    by_uptime: BTreeSet<(Duration, Workspace)>,
}

/// An object that waits for its alarm, or whose alarm rings at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    /// Time that the object asked for.
    at: HostTime,
    /// Time at which it rings; nothing while it does.
    ring: Option<Ring>,
    /// Lead over uptime of the time at which the object last wrote, in ms: the largest, so that
    /// the time it is told never falls behind.
    ahead_ms: u64,
    /// Number of times in a row that its alarm has failed.
    failures: u32,
}

/// The clock that reaches its time first rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ring {
    /// Nothing after a failure: then a pause has to pass.
    wall: Option<HostTime>,
    uptime: Duration,
}

impl Schedule {
    /// Time that an event of an object is told, in ms as the wall clock counts them.
    pub(super) fn time_of(&self, workspace: &Workspace, now: Moment) -> HostTime {
        let ahead_ms = self.objects.get(workspace).map_or(0, |waiting| waiting.ahead_ms);
        now.wall.max(HostTime(now.uptime_ms().saturating_add(ahead_ms)))
    }

    /// An event of an object, which was told this time, has ended and left this alarm. Says whether
    /// anything else rings now.
    pub(super) fn handled(
        &mut self,
        workspace: &Workspace,
        now: Moment,
        told: HostTime,
        wrote: bool,
        alarm: Option<HostTime>,
    ) -> bool {
        let before = self.objects.get(workspace).copied();
        let after = alarm.map(|at| {
            let stands = before.filter(|waiting| waiting.at == at && waiting.ring.is_some());
            let mut waiting = stands.unwrap_or_else(|| {
                let left = Duration::from_millis(at.0.saturating_sub(told.0));
                let ring = Ring { wall: Some(at), uptime: now.uptime.saturating_add(left) };
                let failures = before.map_or(0, |waiting| waiting.failures);
                Waiting { at, ring: Some(ring), ahead_ms: 0, failures }
            });
            let known_ms = before.map_or(0, |waiting| waiting.ahead_ms);
            let ahead_ms = if wrote { told.0.saturating_sub(now.uptime_ms()) } else { 0 };
            waiting.go_on_from(known_ms.max(ahead_ms));
            waiting
        });
        self.put(workspace, after)
    }

    /// An object was looked at between two events, or has ended, and this is its alarm. One that rings
    /// at this moment goes on ringing. Says whether anything else rings now.
    pub(super) fn seen(
        &mut self,
        workspace: &Workspace,
        now: Moment,
        alarm: Option<HostTime>,
    ) -> bool {
        let known = self.objects.get(workspace).map(|waiting| waiting.at);
        known != alarm && self.handled(workspace, now, self.time_of(workspace, now), false, alarm)
    }

    /// The alarm of an object rang and its event succeeded, or failed and rings again later.
    pub(super) fn rang(&mut self, workspace: &Workspace, now: Moment, succeeded: bool) {
        let known = self.objects.get(workspace).copied();
        let after = if succeeded {
            known.map(|waiting| Waiting { failures: 0, ..waiting })
        } else {
            let asked = Waiting { at: now.wall, ring: None, ahead_ms: 0, failures: 0 };
            let Waiting { failures, .. } = known.unwrap_or(asked);
            let pause = RETRY.saturating_mul(1 << failures.min(RETRY_DOUBLINGS));
            let ring = Ring { wall: None, uptime: now.uptime.saturating_add(pause) };
            let failures = failures.saturating_add(1);
            Some(Waiting { ring: Some(ring), failures, ..known.unwrap_or(asked) })
        };
        self.put(workspace, after);
    }

    /// It is unknown whether an object has an alarm: unless one is set, it rings later.
    pub(super) fn ring_unless_set(&mut self, workspace: &Workspace, now: Moment) {
        let is_set = self.objects.get(workspace).is_some_and(|waiting| waiting.ring.is_some());
        if !is_set {
            self.rang(workspace, now, false);
        }
    }

    /// Time for which nothing rings, as far as that is known; `None` if nothing is to ring at all.
    pub(super) fn wait(&self, now: Moment) -> Option<Duration> {
        let (uptime, _) = self.by_uptime.first()?;
        let by_uptime = uptime.saturating_sub(now.uptime);
        let by_wall = self.by_wall.first().map_or(Duration::MAX, |(wall, _)| {
            Duration::from_millis(wall.0.saturating_sub(now.wall.0))
        });
        Some(by_uptime.min(by_wall).min(STEP_CHECK))
    }

    /// Workspaces whose alarms ring now, in order. They are pending no longer.
    pub(super) fn take_due(&mut self, now: Moment) -> Vec<Workspace> {
        let mut due = Vec::new();
        while let Some(workspace) = self.first_due(now) {
            let rings = self.objects.get(&workspace).map(|known| Waiting { ring: None, ..*known });
            self.put(&workspace, rings);
            due.push(workspace);
        }
        due
    }

    fn first_due(&self, now: Moment) -> Option<Workspace> {
        let by_wall = self.by_wall.first().filter(|(wall, _)| *wall <= now.wall);
        let by_uptime = self.by_uptime.first().filter(|(uptime, _)| *uptime <= now.uptime);
        let by_wall = by_wall.map(|(_, workspace)| workspace);
        by_wall.or(by_uptime.map(|(_, workspace)| workspace)).cloned()
    }

    /// Alarms that the objects asked for, in the order in which they ring as long as no clock is set.
    pub(super) fn pending(&self) -> Vec<(HostTime, Workspace)> {
        let asked = |(_, workspace): &(Duration, Workspace)| {
            Some((self.objects.get(workspace)?.at, workspace.clone()))
        };
        self.by_uptime.iter().filter_map(asked).collect()
    }

    /// Replaces what is known of an object. Says whether anything changed.
    fn put(&mut self, workspace: &Workspace, after: Option<Waiting>) -> bool {
        let before = self.objects.get(workspace).copied();
        if before == after {
            return false;
        }
        if let Some(ring) = before.and_then(|waiting| waiting.ring) {
            self.by_uptime.remove(&(ring.uptime, workspace.clone()));
            if let Some(wall) = ring.wall {
                self.by_wall.remove(&(wall, workspace.clone()));
            }
        }
        let Some(waiting) = after else { return self.objects.remove(workspace).is_some() };
        if let Some(ring) = waiting.ring {
            self.by_uptime.insert((ring.uptime, workspace.clone()));
            self.by_wall.extend(ring.wall.map(|wall| (wall, workspace.clone())));
        }
        self.objects.insert(workspace.clone(), waiting);
        true
    }
}

impl Waiting {
    /// The object's time is this far ahead of uptime: what it waits for comes no later than that.
    fn go_on_from(&mut self, ahead_ms: u64) {
        self.ahead_ms = ahead_ms;
        let left = Duration::from_millis(self.at.0.saturating_sub(ahead_ms));
        if let Some(ring) = &mut self.ring
            && ring.wall.is_some()
        {
            ring.uptime = ring.uptime.min(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000_000;
    const HOUR_MS: u64 = 3_600_000;

    fn moment(wall_ms: u64, uptime_ms: u64) -> Moment {
        Moment { wall: HostTime(wall_ms), uptime: Duration::from_millis(uptime_ms) }
    }

    fn own() -> Workspace {
        Workspace::new("w").unwrap()
    }

    /// A schedule after an event at noon that wrote, or did not, and set its alarm to 5 s later.
    fn waiting(wrote: bool) -> Schedule {
        let mut schedule = Schedule::default();
        let now = moment(NOON, 7_000);
        schedule.handled(&own(), now, now.wall, wrote, Some(HostTime(NOON + 5_000)));
        schedule
    }

    #[test]
    fn the_clock_that_comes_first_rings() {
        for (wall_ms, uptime_ms, rings) in [
            (NOON + 4_999, 11_999, false),
            (NOON + 5_000, 8_000, true),
            (NOON - HOUR_MS, 12_000, true),
            (NOON - HOUR_MS, 11_999, false),
        ] {
            let due = waiting(true).take_due(moment(wall_ms, uptime_ms));
            assert_eq!(due.len(), usize::from(rings), "{wall_ms} {uptime_ms}");
        }
    }

    #[test]
    fn nobody_sleeps_longer_than_a_step_may_go_unnoticed() {
        let mut schedule = waiting(true);
        assert_eq!(schedule.wait(moment(NOON + 4_000, 8_000)), Some(Duration::from_secs(1)));
        schedule.handled(
            &own(),
            moment(NOON, 7_000),
            HostTime(NOON),
            true,
            Some(HostTime(NOON + 60_000)),
        );
        assert_eq!(schedule.wait(moment(NOON, 7_000)), Some(STEP_CHECK));
        assert_eq!(schedule.wait(moment(NOON - HOUR_MS, 66_000)), Some(Duration::from_secs(1)));
        schedule.take_due(moment(NOON, 67_000));
        assert_eq!(schedule.wait(moment(NOON, 67_000)), None);
    }

    #[test]
    fn an_object_that_waits_is_told_a_time_that_goes_on_from_its_last_write() {
        let set_back = moment(NOON - HOUR_MS, 10_000);
        assert_eq!(waiting(true).time_of(&own(), set_back), HostTime(NOON + 3_000));
        assert_eq!(waiting(false).time_of(&own(), set_back), set_back.wall);
        let ahead = moment(NOON + 4_000, 10_000);
        assert_eq!(waiting(true).time_of(&own(), ahead), ahead.wall);
        // Also while its alarm rings: it is told a time at which it is due.
        let mut schedule = waiting(true);
        let due = moment(NOON - HOUR_MS, 12_000);
        assert_eq!(schedule.take_due(due), [own()]);
        assert_eq!(schedule.time_of(&own(), due), HostTime(NOON + 5_000));
        schedule.handled(&own(), due, HostTime(NOON + 5_000), true, None);
        assert_eq!(schedule.time_of(&own(), due), due.wall, "it waits for nothing");
    }

    #[test]
    fn a_step_ahead_that_an_object_has_written_by_stays_with_it() {
        let mut schedule = waiting(true);
        // Two seconds have passed twice, the wall clock says.
        let ahead = moment(NOON + 4_000, 9_000);
        schedule.handled(&own(), ahead, ahead.wall, true, Some(HostTime(NOON + 5_000)));
        assert_eq!(schedule.take_due(moment(NOON, 9_999)), []);
        assert_eq!(schedule.take_due(moment(NOON, 10_000)), [own()]);
    }

    #[test]
    fn a_failed_alarm_pauses_by_the_monotonic_clock_twice_as_long_each_time() {
        let mut schedule = waiting(true);
        let mut uptime_ms = 12_000;
        for pause_ms in [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000] {
            let now = moment(NOON + HOUR_MS, uptime_ms);
            assert_eq!(schedule.take_due(now), [own()]);
            schedule.handled(&own(), now, now.wall, false, Some(HostTime(NOON + 5_000)));
            schedule.rang(&own(), now, false);
            uptime_ms += pause_ms;
            assert_eq!(schedule.take_due(moment(NOON + 2 * HOUR_MS, uptime_ms - 1)), []);
        }
        let now = moment(NOON, uptime_ms);
        assert_eq!(schedule.take_due(now), [own()]);
        schedule.rang(&own(), now, true);
        schedule.rang(&own(), now, false);
        assert_eq!(schedule.wait(now), Some(RETRY), "it begins anew");
    }
}
