//! Ringing an object's alarm, or not.

use std::rc::Rc;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use mailbus_spec::HostTime;
use mailbus_worker::native::Arrival;
use mailbus_worker::object::Object;

use crate::clock::TrueTime;
use crate::engine::hosted::Hosted;
use crate::engine::object::{Observed, workspace};
use crate::engine::streams::sleep_until;
use crate::history::Wrote;
use crate::marks::Mark;

/// After how long an alarm whose event failed rings again.
const AGAIN: Duration = Duration::from_secs(2);

/// Rings what is due, with the plan's trouble.
pub(crate) async fn ring<O: Object + 'static, C: 'static, S: Wrote + 'static>(
    objects: Rc<Observed<O, C, S>>,
) {
    let stage = Rc::clone(&objects.stage);
    let hosted = objects.hosted;
    let hosted: &Hosted<O, C, S> = hosted(&stage);
    // An object that is not in memory has its alarm in its database.
    let _ = objects.namespace.with(&workspace(), |_| ());
    let pending = || objects.namespace.pending_alarms().first().map(|(at, _)| *at);
    let mut armed: Option<(HostTime, TrueTime)> = None;
    loop {
        if hosted.ring_now.replace(false) {
            drop(objects.deliver(&Arrival::Alarm));
            stage.reach(Mark::AlarmEarly);
        }
        if pending() != hosted.stuck_at.get() {
            hosted.stuck_at.set(None);
        }
        let Some(at) = pending().filter(|at| hosted.stuck_at.get() != Some(*at)) else {
            armed = None;
            hosted.alarm_bell.notified().await;
            continue;
        };
        let since = match armed {
            Some((known, since)) if known == at => since,
            _ => stage.now(),
        };
        armed = Some((at, since));
        let local_us = i64::try_from(at.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let Some(reached) = stage.object_clock.first_showing(local_us, since) else {
            hosted.alarm_bell.notified().await;
            continue;
        };
        let now = stage.now();
        let late = now < stage.alarms.late_until.get();
        let late_ms = if late { stage.alarms.late_by_ms.get() } else { 0 };
        let due = reached.plus_ms(late_ms);
        if now < due {
            let mut changed = Box::pin(hosted.alarm_bell.notified().fuse());
            let mut slept = Box::pin(sleep_until(&stage, due).fuse());
            select_biased! { () = changed => {}, () = slept => {} }
            continue;
        }
        armed = None;
        if now < stage.alarms.lost_until.get() {
            let _ = objects.namespace.with(&workspace(), |instance| instance.lose_alarm());
            stage.reach(Mark::AlarmLost);
            continue;
        }
        drop(objects.deliver(&Arrival::Alarm));
        let pause = if pending() == Some(at) { AGAIN } else { Duration::from_millis(1) };
        let until = TrueTime(stage.now().0 + u64::try_from(pause.as_micros()).unwrap_or(0));
        sleep_until(&stage, until).await;
    }
}
