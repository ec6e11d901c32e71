//! Making a fault begin and end.

use std::rc::Rc;

use mailbus_spec::lease::Command;
use mailbus_spec::machine::Event;
use mailbus_worker::native::Instance;
use turmoil::Sim;

use crate::clock::TrueTime;
use crate::engine::network::{host_of, largest_known_token, note_eviction};
use crate::engine::stage::{Errand, ObjectUnderTest};
use crate::engine::streams::OBJECT;
use crate::engine::{Stage, object};
use crate::faults::links::Trouble;
use crate::faults::{Act, Links};
use crate::history::ObjectEntry;
use crate::marks::Mark;
use crate::plan::{FOR_EVER_MS, Fault, FaultKind, Plan};

/// The oldest command that may still be copied: a copy travels less than a minute.
const OLDEST_COPY_MS: u64 = 57_000;
/// How many commands in a row are delivered once more.
const COPIES: usize = 40;

/// Makes a fault begin or end, between two steps of the network.
pub fn apply(stage: &Rc<Stage>, sim: &mut Sim<'_>, links: &mut Links, act: &Act) {
    match act {
        Act::Bookmark(index) => bookmark(stage, *index),
        Act::Begin(index, kind) => {
            *stage.history.borrow_mut().faults.entry(kind.name()).or_default() += 1;
            stage.note(format!("fault       {kind:?}"));
            begin(stage, sim, links, *index, kind);
        }
        Act::End(_, kind) => end(stage, sim, links, kind),
    }
}

/// What a fault does to the link of a machine for as long as it lasts.
fn troubles(kind: &FaultKind) -> &[Trouble] {
    match kind {
        FaultKind::CutRequests { .. } | FaultKind::Loss { sent_by_machine: true, .. } => {
            &[Trouble::RequestsCut]
        }
        FaultKind::CutReplies { .. } | FaultKind::Loss { sent_by_machine: false, .. } => {
            &[Trouble::RepliesCut]
        }
        FaultKind::Partition { .. } => &[Trouble::RequestsCut, Trouble::RepliesCut],
        FaultKind::Hold { .. } => &[Trouble::Held],
        _ => &[],
    }
}

fn machine_of(plan: &Plan, kind: &FaultKind) -> Option<u8> {
    let machine = match kind {
        FaultKind::CutRequests { machine, .. }
        | FaultKind::CutReplies { machine, .. }
        | FaultKind::Partition { machine, .. }
        | FaultKind::Hold { machine, .. }
        | FaultKind::Loss { machine, .. }
        | FaultKind::Slow { machine, .. }
        | FaultKind::ClientPowerLoss { machine, .. } => *machine,
        _ => return None,
    };
    plan.machines.iter().any(|known| known.machine == machine).then_some(machine)
}

fn begin(stage: &Rc<Stage>, sim: &mut Sim<'_>, links: &mut Links, index: usize, kind: &FaultKind) {
    let now = stage.now();
    if let Some(machine) = machine_of(&stage.plan, kind) {
        for trouble in troubles(kind) {
            links.add(sim, machine, *trouble);
        }
        match kind {
            FaultKind::Slow { latency_ms, .. } => links.slow(sim, machine, Some(*latency_ms)),
            FaultKind::ClientPowerLoss { .. } => {
                // Nothing that a dying host says may get out.
                sim.partition(host_of(machine), OBJECT);
                sim.crash(host_of(machine));
                links.settle_again(sim, machine);
            }
            _ => {}
        }
        return;
    }
    match kind {
        FaultKind::Copy { age_ms } => copy(stage, *age_ms),
        FaultKind::Evict {} => {
            note_eviction(stage);
            with_object(stage, Instance::evict);
        }
        FaultKind::HostMove { .. } => {
            crash_object(stage, sim);
            sim.bounce(OBJECT);
        }
        FaultKind::ObjectCrash { .. } => crash_object(stage, sim),
        FaultKind::PowerLoss { .. } => {
            let machines: Vec<u8> = stage.plan.machines.iter().map(|m| m.machine).collect();
            for machine in &machines {
                sim.partition(host_of(*machine), OBJECT);
            }
            crash_object(stage, sim);
            for machine in machines {
                links.settle_again(sim, machine);
            }
            stage.databases.lose_power().expect("a database in memory");
            stage.lose_unflushed();
        }
        FaultKind::Deploy {} => object::deploy(stage),
        FaultKind::Zombie { for_ms } => stage.begin_zombie(now.plus_ms(*for_ms)),
        FaultKind::AlarmLate { by_ms, for_ms } => {
            stage.alarms.late_by_ms.set(*by_ms);
            stage.alarms.late_until.set(now.plus_ms(*for_ms));
        }
        FaultKind::AlarmEarly {} => stage.alarms.ring_now.set(true),
        FaultKind::AlarmLost { for_ms } => stage.alarms.lost_until.set(now.plus_ms(*for_ms)),
        FaultKind::AlarmStuck {} => {
            let due = with_object(stage, |instance| instance.due_alarm()).flatten();
            stage.alarms.stuck_at.set(due);
        }
        FaultKind::StorageError { statement } => {
            let statement = u64::from(*statement);
            with_object(stage, |instance| {
                instance.database().faults().fail_at = Some(statement);
            });
        }
        FaultKind::StorageFull { .. } => set_full(stage, true),
        FaultKind::Restore { closed_ms, .. } => restore(stage, index, now.plus_ms(*closed_ms)),
        _ => {}
    }
    stage.errand_bell.notify_one();
    stage.alarm_bell.notify_one();
}

fn end(stage: &Rc<Stage>, sim: &mut Sim<'_>, links: &mut Links, kind: &FaultKind) {
    if let Some(machine) = machine_of(&stage.plan, kind) {
        for trouble in troubles(kind) {
            links.remove(sim, machine, *trouble);
        }
        match kind {
            FaultKind::Slow { .. } => links.slow(sim, machine, None),
            FaultKind::ClientPowerLoss { .. } => sim.bounce(host_of(machine)),
            _ => {}
        }
        return;
    }
    match kind {
        FaultKind::ObjectCrash { .. } | FaultKind::PowerLoss { .. }
            if !sim.is_host_running(OBJECT) =>
        {
            sim.bounce(OBJECT);
        }
        FaultKind::StorageFull { .. } => set_full(stage, false),
        FaultKind::AlarmLost { for_ms } if *for_ms < FOR_EVER_MS => {
            stage.alarms.lost_until.set(TrueTime(0));
        }
        FaultKind::AlarmLate { .. } => stage.alarms.late_until.set(TrueTime(0)),
        FaultKind::Restore { recover, .. } => {
            stage.closed_until.set(TrueTime(0));
            if !recover {
                return;
            }
            let at_least = largest_known_token(stage);
            if at_least.anchor_ms() >= mailbus_spec::time::HOST_FIRST_MS {
                stage.errands.borrow_mut().push_back(Errand::Recover(at_least));
                stage.errand_bell.notify_one();
            }
        }
        _ => {}
    }
}

fn with_object<T>(
    stage: &Stage,
    work: impl FnOnce(&mut Instance<ObjectUnderTest>) -> T,
) -> Option<T> {
    let namespace = stage.namespace.borrow().clone()?;
    namespace.with(&object::workspace(), work).ok()
}

fn set_full(stage: &Stage, full: bool) {
    with_object(stage, |instance| instance.database().faults().full = full);
}

fn crash_object(stage: &Rc<Stage>, sim: &mut Sim<'_>) {
    if sim.is_host_running(OBJECT) {
        sim.crash(OBJECT);
    }
    stage.namespace.take();
}

fn bookmark(stage: &Stage, index: usize) {
    if let Some(Ok(bookmark)) = with_object(stage, Instance::bookmark) {
        let length = stage.history.borrow().object.len();
        stage.bookmarks.borrow_mut().insert(index, (bookmark, length));
    }
}

/// Memory, sockets and everything that was held back are gone; so is what was written since.
fn restore(stage: &Rc<Stage>, index: usize, closed_until: TrueTime) {
    // What a restored database has flushed is not known to the simulation: no power is lost then.
    let loses_power = |fault: &Fault| matches!(fault.kind, FaultKind::PowerLoss { .. });
    if stage.plan.faults.iter().any(loses_power) {
        return;
    }
    let Some((bookmark, back_to)) = stage.bookmarks.borrow_mut().remove(&index) else { return };
    let Some(namespace) = stage.namespace.borrow().clone() else { return };
    namespace.crash(&object::workspace());
    let restored = with_object(stage, |instance| instance.restore(&bookmark));
    if matches!(restored, Some(Ok(()))) {
        let at = stage.now();
        stage.history.borrow_mut().object.push(ObjectEntry::Restored { at, back_to });
        stage.reach(Mark::Restored);
        stage.closed_until.set(closed_until);
    }
}

/// The latest commands of their age are delivered once more, in their order.
fn copy(stage: &Stage, age_ms: u64) {
    let now_ms = stage.now().ms();
    let history = stage.history.borrow();
    let old = history.events().filter(|event| {
        let age = now_ms.saturating_sub(event.at.ms());
        age_ms <= age && age < OLDEST_COPY_MS
    });
    let commands = old.filter_map(|event| match &event.event {
        Event::Command(
            command @ (Command::Acquire(_)
            | Command::Renew { .. }
            | Command::Release { .. }
            | Command::Cancel { .. }),
        ) => Some(command.clone()),
        _ => None,
    });
    let commands: Vec<Command> = commands.collect();
    let copied = commands.iter().rev().take(COPIES).rev();
    stage.errands.borrow_mut().extend(copied.cloned().map(Errand::Copy));
}
