//! Things that an object waits for, it does although nobody asks: in time by the monotonic clock of
//! its host, whatever happens to the wall clock.
//!
//! A part of both invariants of liveness. What the time of an event was told is what the rest counts
//! from; an event that wrote nothing promises nothing of its time.

use crate::clock::TrueTime;
use crate::judge::history::{History, Wait};
use crate::judge::invariants::Tally;

/// Lateness that an alarm may have: its first two failures are tried again sooner.
const LATE_MS: u64 = 30_000;

/// Looks, for each event after which an object waits for something, whether its next one came in time.
pub(super) fn check(history: &History, waits: &[Wait], tally: &mut Tally) {
    let nexts = waits.iter().skip(1).map(|wait| Some(wait.at)).chain([None]);
    for (wait, next) in waits.iter().zip(nexts) {
        let Some(due) = due(history, wait) else { continue };
        let latest = due.plus_ms(LATE_MS);
        let seen = next.unwrap_or(history.ended);
        let troubled = |(from, to): &(TrueTime, TrueTime)| *from <= latest && wait.at <= *to;
        if (next.is_none() && seen <= latest) || history.alarm_troubles.iter().any(troubled) {
            continue;
        }
        tally.expect(seen <= latest, latest, || {
            format!("since {} nothing has happened that was due at {due}", wait.at)
        });
    }
}

/// Time at which what an object waits for is due, truly.
fn due(history: &History, wait: &Wait) -> Option<TrueTime> {
    let alarm = wait.alarm.filter(|_| wait.wrote)?;
    let left_us = alarm.0.saturating_sub(wait.told.0).saturating_mul(1_000);
    let clock = &history.object_monotonic;
    let until_us = clock.shows(wait.at).saturating_add(i64::try_from(left_us).ok()?);
    clock.first_showing(until_us, wait.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::history::Record;
    use mailbus_spec::HostTime;

    fn check_next(next_ms: u64, troubles: &[(u64, u64)]) -> Tally {
        let at = TrueTime::from_ms;
        let wait = |at_ms, alarm_ms: Option<u64>| Wait {
            at: at(at_ms),
            told: HostTime(7_000_000 + at_ms),
            wrote: true,
            alarm: alarm_ms.map(|ms| HostTime(7_000_000 + ms)),
        };
        let troubles = troubles.iter().map(|(from, to)| (at(*from), at(*to)));
        let history = History {
            leases: Record {
                waits: vec![wait(1_000, Some(5_000)), wait(next_ms, None)],
                ..Record::default()
            },
            alarm_troubles: troubles.collect(),
            ended: at(1_000_000),
            ..History::default()
        };
        let mut tally = Tally::default();
        check(&history, &history.leases.waits, &mut tally);
        tally
    }

    #[test]
    fn an_alarm_that_rings_half_a_minute_late_breaks_it_but_for_troubles_of_its_own() {
        assert_eq!(check_next(35_000, &[]).broken, None);
        assert!(check_next(35_001, &[]).broken.is_some());
        assert!(check_next(35_001, &[(40_000, 50_000)]).broken.is_some());
        assert_eq!(check_next(35_001, &[(2_000, 3_000)]).broken, None);
    }
}
