//! What a plan does to alarms: it stands between production's loop, which rings them, and the objects.

use std::cell::Cell;
use std::rc::Rc;

use futures_util::future::{FutureExt, ready};
use mailbus_spec::{HostTime, Workspace};
use mailbus_worker::native::{Arrival, Completion, Instance, Objects, Submitted};
use mailbus_worker::object::Object;

use crate::clock::TrueTime;
use crate::engine::object::Observed;
use crate::judge::history::Recorded;
use crate::judge::marks::Mark;
use crate::world::hosted::Hosted;
use crate::world::hosts::sleep_until;

/// A wall clock that is so far behind an alarm that rings has been set back: no drift does that, in ms.
const SET_BACK_MS: u64 = 60_000;

/// The objects of a class as the loop rings them.
pub(crate) struct Troubled<O, S: Recorded> {
    objects: Rc<Observed<O, S>>,
    /// The alarm that rings late, until it does.
    late: Rc<Cell<Option<HostTime>>>,
}

impl<O, S: Recorded> Clone for Troubled<O, S> {
    fn clone(&self) -> Self {
        Self { objects: Rc::clone(&self.objects), late: Rc::clone(&self.late) }
    }
}

impl<O: Object + 'static, S: Recorded> Troubled<O, S> {
    /// Rings the alarms of these objects, and out of their time when the plan says so. Never ends.
    pub fn ring(objects: &Rc<Observed<O, S>>) {
        let troubled = Self { objects: Rc::clone(objects), late: Rc::default() };
        tokio::task::spawn_local(objects.namespace.ring_alarms_through(Rc::new(troubled)));
        tokio::task::spawn_local(ring_early(Rc::clone(objects)));
    }

    fn hosted(&self) -> &Hosted<O, S> {
        self.objects.hosted()
    }

    fn due(&self) -> Option<HostTime> {
        self.hosted().with(|instance| instance.due_alarm()).flatten()
    }
}

impl<O: Object + 'static, S: Recorded> Objects for Troubled<O, S> {
    fn submit(&self, _: &Workspace, _: &Arrival<'_>) -> Submitted {
        let context = &self.objects.context;
        let (now, due) = (context.now(), self.due());
        let is_kept = |by: &Cell<Option<HostTime>>| due.is_some() && by.get() == due;
        if is_kept(&self.hosted().stuck_at) || is_kept(&self.late) {
            return nothing();
        }
        let late_until = context.alarms.late_until.get();
        let late = late_until.min(now.plus_ms(context.alarms.late_by_ms.get()));
        let held = late.max(context.closed_until.get());
        if held <= now {
            return self.lose_or_ring();
        }
        self.late.set(due);
        tokio::task::spawn_local(self.clone().ring_late(due, held));
        nothing()
    }
}

impl<O: Object + 'static, S: Recorded> Troubled<O, S> {
    fn lose_or_ring(&self) -> Submitted {
        let context = &self.objects.context;
        if context.now() < context.alarms.lost_until.get() {
            self.hosted().with(Instance::lose_alarm);
            context.reach(Mark::AlarmLost);
            return nothing();
        }
        let wall = context.host_now().0.saturating_add(SET_BACK_MS);
        if self.due().is_some_and(|due| wall < due.0) {
            context.reach(Mark::AlarmByUptime);
        }
        self.objects.deliver(&Arrival::Alarm)
    }

    /// Rings an alarm late, unless it has been set to another time.
    async fn ring_late(self, due: Option<HostTime>, at: TrueTime) {
        sleep_until(&self.objects.context, at).await;
        self.late.set(None);
        if self.due() == due {
            drop(self.lose_or_ring());
        }
    }
}

async fn ring_early<O: Object + 'static, S: Recorded>(objects: Rc<Observed<O, S>>) {
    loop {
        objects.hosted().early_ring.notified().await;
        drop(objects.deliver(&Arrival::Alarm));
        objects.context.reach(Mark::AlarmEarly);
    }
}

/// The event does not happen.
fn nothing() -> Submitted {
    ready(Ok(Completion::Done)).boxed_local()
}
