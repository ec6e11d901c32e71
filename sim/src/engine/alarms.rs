//! Troubles that a plan gives alarms, between production's loop, which rings them, and the objects.

use std::cell::Cell;
use std::rc::Rc;

use futures_util::future::{FutureExt, ready};
use mailbus_spec::{HostTime, Workspace};
use mailbus_worker::native::{Arrival, Completion, Instance, Namespace, Objects, Submitted};

use crate::clock::TrueTime;
use crate::judge::history::marks::Mark;
use crate::sut::Tested;
use crate::sut::machine::SutObject;
use crate::world::Context;
use crate::world::hosted::{Hosted, workspace};

/// A wall clock that is so far behind an alarm that rings has been set back: no drift does that, in ms.
const SET_BACK_MS: u64 = 60_000;

/// The objects of a class as the loop rings them.
pub(crate) struct Troubled<S: Tested> {
    context: Rc<Context>,
    hosted: Rc<Hosted<S>>,
    objects: Rc<dyn Objects>,
    /// The alarm that rings late, until it does.
    late: Rc<Cell<Option<HostTime>>>,
}

impl<S: Tested> Clone for Troubled<S> {
    fn clone(&self) -> Self {
        Self {
            context: Rc::clone(&self.context),
            hosted: Rc::clone(&self.hosted),
            objects: Rc::clone(&self.objects),
            late: Rc::clone(&self.late),
        }
    }
}

impl<S: Tested> Troubled<S> {
    /// Rings the alarms of these objects, and out of their time when the plan says so. Never ends.
    pub fn ring(
        context: Rc<Context>,
        hosted: Rc<Hosted<S>>,
        namespace: &Namespace<SutObject<S>>,
        objects: &Rc<dyn Objects>,
    ) {
        let (objects, late) = (Rc::clone(objects), Rc::default());
        let troubled = Self { context, hosted, objects, late };
        let early = troubled.clone().ring_early();
        tokio::task::spawn_local(namespace.ring_alarms_through(Rc::new(troubled)));
        tokio::task::spawn_local(early);
    }
}

impl<S: Tested> Objects for Troubled<S> {
    fn submit(&self, _: &Workspace, _: &Arrival<'_>) -> Submitted {
        let context = &self.context;
        let (now, due) = (context.now(), self.hosted.due_alarm());
        let is_kept = |by: &Cell<Option<HostTime>>| due.is_some() && by.get() == due;
        if is_kept(&self.hosted.stuck_at) || is_kept(&self.late) {
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

impl<S: Tested> Troubled<S> {
    fn lose_or_ring(&self) -> Submitted {
        let context = &self.context;
        if context.now() < context.alarms.lost_until.get() {
            self.hosted.with(Instance::lose_alarm);
            context.reach(Mark::AlarmLost);
            return nothing();
        }
        let wall = context.host_now().0.saturating_add(SET_BACK_MS);
        if self.hosted.due_alarm().is_some_and(|due| wall < due.0) {
            context.reach(Mark::AlarmByUptime);
        }
        self.objects.submit(&workspace(), &Arrival::Alarm)
    }

    /// Rings an alarm late, unless it has been set to another time.
    async fn ring_late(self, due: Option<HostTime>, at: TrueTime) {
        self.context.sleep_until(at).await;
        self.late.set(None);
        if self.hosted.due_alarm() == due {
            drop(self.lose_or_ring());
        }
    }

    async fn ring_early(self) {
        loop {
            self.hosted.early_ring.notified().await;
            drop(self.objects.submit(&workspace(), &Arrival::Alarm));
            self.context.reach(Mark::AlarmEarly);
        }
    }
}

/// The event does not happen.
fn nothing() -> Submitted {
    ready(Ok(Completion::Done)).boxed_local()
}
