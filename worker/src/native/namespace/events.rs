//! Fate of an event: it is handled, waits until its object is awake, or is not begun.

use std::rc::Rc;
use std::time::Duration;

use mailbus_spec::Workspace;
use mailbus_spec::wire::{Problem, frame};

use crate::native::arrival::Arrival;
use crate::native::instance::Delivered;
use crate::object::{Object, Response};

use super::Inner;
use super::slot::Held;
use super::slots::{Roused, Slots};
use super::trouble::Refusal;
use super::waiting::Tell;

/// Time for which an event waits before it looks for room again: what is in the way is a flush.
const ROOM_PAUSE: Duration = Duration::from_millis(1);

impl<O: Object + 'static> Inner<O> {
    /// Takes an event in.
    pub(super) fn arrive(
        self: &Rc<Self>,
        workspace: &Workspace,
        arrival: &Arrival<'_>,
        tell: Tell,
    ) {
        let slots = &mut *self.slots.borrow_mut();
        if slots.slot(workspace).waiting.is_served() {
            self.queue(slots, workspace, arrival, tell);
        } else {
            match slots.rouse(self, workspace) {
                Ok(Roused::Ready) => self.handle(slots, workspace, arrival, tell),
                Ok(Roused::More | Roused::NoRoom) => self.queue(slots, workspace, arrival, tell),
                Err(refusal) => self.refuse(slots, workspace, arrival, tell, &refusal),
            }
        }
        slots.settle(&self.settings, workspace);
    }

    fn queue(
        self: &Rc<Self>,
        slots: &mut Slots<O>,
        workspace: &Workspace,
        arrival: &Arrival<'_>,
        tell: Tell,
    ) {
        let waiting = &mut slots.slot(workspace).waiting;
        if !waiting.has_room(arrival) {
            return self.refuse(slots, workspace, arrival, tell, &Refusal::crowded());
        }
        if waiting.push(arrival, tell) {
            tokio::task::spawn_local(Rc::clone(self).serve(workspace.clone()));
        }
    }

    /// Wakes an object and handles what waits for it, a little at a time: others are served in between.
    async fn serve(self: Rc<Self>, workspace: Workspace) {
        tokio::task::yield_now().await;
        loop {
            let next = {
                let slots = &mut *self.slots.borrow_mut();
                let next = self.serve_next(slots, &workspace);
                slots.settle(&self.settings, &workspace);
                next
            };
            match next {
                None => return,
                Some(Roused::NoRoom) => self.clock.sleep(ROOM_PAUSE).await,
                Some(Roused::Ready | Roused::More) => tokio::task::yield_now().await,
            }
        }
    }

    /// Reads a piece, or handles one event. Nothing is left to do after `None`.
    fn serve_next(self: &Rc<Self>, slots: &mut Slots<O>, workspace: &Workspace) -> Option<Roused> {
        let is_empty = slots.slot(workspace).waiting.is_empty();
        let roused = if is_empty { Ok(Roused::Ready) } else { slots.rouse(self, workspace) };
        if let Ok(wait @ (Roused::More | Roused::NoRoom)) = roused {
            return Some(wait);
        }
        while let Some((arrival, tell)) = slots.slot(workspace).waiting.pop() {
            match &roused {
                Ok(_) => {
                    self.handle(slots, workspace, &arrival.borrow(), tell);
                    return Some(Roused::Ready);
                }
                Err(refusal) => self.refuse(slots, workspace, &arrival.borrow(), tell, refusal),
            }
        }
        None
    }

    /// Handles an event of an object that is awake.
    fn handle(
        self: &Rc<Self>,
        slots: &mut Slots<O>,
        workspace: &Workspace,
        arrival: &Arrival<'_>,
        tell: Tell,
    ) {
        let slot = slots.slot(workspace);
        let Some(instance) = slot.instance.as_mut() else { return };
        let is_unmade = !instance.is_made();
        let now = self.clock.moment();
        let told = self.alarms.time_of(workspace, now);
        let delivered = instance.deliver(told, arrival);
        let wrote = delivered.as_ref().is_ok_and(|delivered| delivered.rows > 0);
        self.alarms.handled(workspace, now, told, wrote, instance.due_alarm());
        if matches!(arrival, Arrival::Alarm) {
            self.alarms.rang(workspace, now, delivered.is_ok());
        }
        if let Arrival::Closed { socket } = arrival {
            slot.outboxes.remove(socket);
        }
        if wrote {
            slots.untidy.add(workspace, now.uptime);
        }
        let slot = slots.slot(workspace);
        let event = match delivered {
            // It is committed, but perhaps on top of what is not on the disk.
            Ok(_) if slot.is_doubtful() => return slots.cut_off(self, workspace),
            Ok(delivered) => {
                slot.came_through();
                let outbox =
                    delivered.accepted.map(|socket| slot.connect(socket, &self.settings.outboxes));
                Held::new(delivered, outbox, tell)
            }
            Err(_) if is_unmade && !self.databases.has_room() => {
                Held::new(not_begun(arrival, &Refusal::full()), None, tell)
            }
            Err(error) => {
                tracing::error!(%workspace, %error, "an event was undone");
                slots.fail(self, workspace);
                Held::new(undone(arrival), None, tell)
            }
        };
        self.hold(slots, workspace, event);
    }

    /// Tells of an event that it was not begun.
    fn refuse(
        self: &Rc<Self>,
        slots: &mut Slots<O>,
        workspace: &Workspace,
        arrival: &Arrival<'_>,
        tell: Tell,
        refusal: &Refusal,
    ) {
        let slot = slots.slot(workspace);
        match arrival {
            Arrival::Closed { socket } => slot.lose_socket(*socket),
            Arrival::Alarm => self.alarms.rang(workspace, self.clock.moment(), false),
            Arrival::Request(_) | Arrival::Frame { .. } => {}
        }
        if !matches!(arrival, Arrival::Alarm) && slot.instance.is_none() {
            // Whether it has an alarm is unknown until it is open.
            self.alarms.ring_unless_set(workspace, self.clock.moment());
        }
        self.hold(slots, workspace, Held::new(not_begun(arrival, refusal), None, tell));
    }

    fn hold(self: &Rc<Self>, slots: &mut Slots<O>, workspace: &Workspace, event: Held) {
        if slots.slot(workspace).hold(event, self.clock.uptime()) {
            tokio::task::spawn_local(Rc::clone(self).flush(workspace.clone()));
        }
    }

    /// Begins one flush after the other until everything of this object is flushed.
    async fn flush(self: Rc<Self>, workspace: Workspace) {
        loop {
            let (target, flush, flushed) = {
                let mut slots = self.slots.borrow_mut();
                let Some(slot) = slots.get(&workspace) else { return };
                let Some((target, flush)) = slot.next_flush() else { return };
                let flushed = flush.flush();
                (target, flush, flushed)
            };
            let flushed = flushed.await;
            let slots = &mut *self.slots.borrow_mut();
            let Some(slot) = slots.get(&workspace).filter(|slot| slot.is_flushed_by(&flush)) else {
                return;
            };
            match flushed {
                Ok(()) => slot.flushed_to(target, self.clock.uptime()),
                Err(error) => {
                    tracing::error!(%workspace, %error, "the log of a workspace cannot be flushed");
                    slots.cut_off(&self, &workspace);
                    return slots.settle(&self.settings, &workspace);
                }
            }
        }
    }
}

/// Answer to those whose event was not begun.
fn not_begun(arrival: &Arrival<'_>, refusal: &Refusal) -> Delivered {
    match arrival {
        Arrival::Request(_) => {
            Delivered { response: Some(refusal.response()), ..Delivered::default() }
        }
        Arrival::Frame { socket, .. } => Delivered {
            frames: vec![(*socket, frame::error(refusal.problem()).into())],
            ..Delivered::default()
        },
        Arrival::Closed { .. } | Arrival::Alarm => Delivered::default(),
    }
}

/// Result of an event that failed: the sender learns that nothing was changed.
fn undone(arrival: &Arrival<'_>) -> Delivered {
    match arrival {
        Arrival::Request(_) => {
            Delivered { response: Some(Response::failed()), ..Delivered::default() }
        }
        Arrival::Frame { socket, .. } => Delivered {
            frames: vec![(*socket, frame::error(&Problem::internal()).into())],
            ..Delivered::default()
        },
        Arrival::Closed { .. } | Arrival::Alarm => Delivered::default(),
    }
}
