//! The alarms of a namespace: one schedule, rung for ever.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use futures_util::{FutureExt, select_biased};
use mailbus_spec::{HostTime, Workspace};
use tokio::sync::Notify;

use crate::native::arrival::Arrival;
use crate::native::clock::{HostClock, Moment};
use crate::object::Object;
use crate::storage::StorageError;

use super::schedule::Schedule;
use super::{Inner, Namespace, Objects};

/// The pause after some alarms rang: an object that sets its alarm into the past shall not keep the
/// event loop busy.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes that may wait for the readers of an object when its alarm rings, which as a rule sends as many more.
const PUSH_BUDGET: usize = mailbus_spec::limits::PUSH_BUDGET_BYTES as usize;

/// Time for which an alarm is put off for readers that have more to read: one that has stalled shall
/// not hold up what others wait for.
const PUT_OFF_MAX: Duration = Duration::from_secs(1);

/// Interval at which it is looked whether they have read.
const LOOK: Duration = Duration::from_millis(20);

/// Time until the databases are listed again, if they could not be.
const LIST_AGAIN: Duration = Duration::from_secs(2);

/// The schedule that events write and one loop reads.
#[derive(Default)]
pub(super) struct Alarms {
    schedule: RefCell<Schedule>,
    changed: Notify,
}

impl Alarms {
    /// As [`Schedule::pending`].
    pub(super) fn pending(&self) -> Vec<(HostTime, Workspace)> {
        self.schedule.borrow().pending()
    }

    /// As [`Schedule::time_of`].
    pub(super) fn time_of(&self, workspace: &Workspace, now: Moment) -> HostTime {
        self.schedule.borrow().time_of(workspace, now)
    }

    /// As [`Schedule::handled`].
    pub(super) fn handled(
        &self,
        workspace: &Workspace,
        now: Moment,
        told: HostTime,
        wrote: bool,
        alarm: Option<HostTime>,
    ) {
        if self.schedule.borrow_mut().handled(workspace, now, told, wrote, alarm) {
            self.changed.notify_one();
        }
    }

    /// As [`Schedule::seen`].
    pub(super) fn seen(&self, workspace: &Workspace, now: Moment, alarm: Option<HostTime>) {
        if self.schedule.borrow_mut().seen(workspace, now, alarm) {
            self.changed.notify_one();
        }
    }

    /// As [`Schedule::rang`].
    pub(super) fn rang(&self, workspace: &Workspace, now: Moment, succeeded: bool) {
        self.schedule.borrow_mut().rang(workspace, now, succeeded);
        self.changed.notify_one();
    }

    /// As [`Schedule::ring_unless_set`].
    pub(super) fn ring_unless_set(&self, workspace: &Workspace, now: Moment) {
        self.schedule.borrow_mut().ring_unless_set(workspace, now);
        self.changed.notify_one();
    }

    /// Ends when something may be due, after `most` at the latest.
    async fn wait(&self, clock: &dyn HostClock, most: Duration) {
        let mut changed = Box::pin(self.changed.notified().fuse());
        let left = self.schedule.borrow().wait(clock.moment());
        let left = left.map(|left| left.min(most)).or((most < Duration::MAX).then_some(most));
        match left {
            None => changed.await,
            Some(left) => {
                let mut slept = clock.sleep(left).fuse();
                select_biased! { () = changed => {}, () = slept => {} }
            }
        }
    }
}

/// Looks up the alarms that the databases hold, and rings what is due through `objects`, for ever.
pub(super) async fn ring<O: Object + 'static>(namespace: Namespace<O>, objects: Rc<dyn Objects>) {
    join(look_up(&namespace), ring_due(&namespace.inner, &*objects)).await;
}

/// Time goes on from when an alarm was set, also if the wall clock says less: then it was set back while
/// no process ran. A database that cannot be opened has its alarm rung: that opens it, or is tried
/// again.
async fn look_up<O: Object + 'static>(namespace: &Namespace<O>) {
    let inner = &namespace.inner;
    let existing = loop {
        match inner.databases.existing() {
            Ok(existing) => break existing,
            Err(error) => tracing::error!(%error, "the databases cannot be listed"),
        }
        inner.clock.sleep(LIST_AGAIN).await;
    };
    for workspace in existing {
        let found = namespace.with(&workspace, |instance| {
            Ok::<_, StorageError>((instance.due_alarm(), instance.alarm_was_set()?))
        });
        let now = inner.clock.moment();
        match found.and_then(|found| found) {
            Ok((alarm, Some(set_at))) if set_at.is_plausible() => {
                inner.alarms.handled(&workspace, now, set_at, true, alarm);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%workspace, %error, "a database cannot be opened");
                inner.alarms.rang(&workspace, now, false);
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Invariant: `put_off` has the objects that are due and whose readers have enough to read, each with
/// the uptime until which it is put off at most.
async fn ring_due<O: Object>(inner: &Inner<O>, objects: &dyn Objects) {
    let mut put_off: BTreeMap<Workspace, Duration> = BTreeMap::new();
    loop {
        let now = inner.clock.moment();
        for workspace in inner.alarms.schedule.borrow_mut().take_due(now) {
            put_off.entry(workspace).or_insert(now.uptime.saturating_add(PUT_OFF_MAX));
        }
        let rings = put_off.extract_if(.., |workspace, until| {
            *until <= now.uptime || inner.backlog(workspace) <= PUSH_BUDGET
        });
        let due: Vec<Workspace> = rings.map(|(workspace, _)| workspace).collect();
        if due.is_empty() {
            let look = if put_off.is_empty() { Duration::MAX } else { LOOK };
            inner.alarms.wait(&*inner.clock, look).await;
            continue;
        }
        for workspace in due {
            // What it sends leaves by itself.
            drop(objects.submit(&workspace, &Arrival::Alarm));
            tokio::task::yield_now().await;
        }
        inner.clock.sleep(PAUSE).await;
    }
}
