//! Making a fault begin and end.

use std::rc::Rc;

use mailbus_spec::Ordinal;
use mailbus_spec::lease::Command;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Settled};
use mailbus_worker::native::Instance;
use turmoil::Sim;

use crate::clock::TrueTime;
use crate::engine::network::{host_of, largest_known_seq, largest_known_token, note_eviction};
use crate::engine::stage::Errand;
use crate::engine::streams::OBJECT;
use crate::engine::{Stage, object};
use crate::faults::links::Trouble;
use crate::faults::{Act, Links};
use crate::history::Entry;
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
            stage.leases.with(Instance::evict);
            stage.mail.with(Instance::evict);
        }
        FaultKind::HostMove { .. } => {
            // Elsewhere nobody knows when an alarm was set: the object meets the clock as it is.
            stage.leases.with(Instance::forget_when_alarm_was_set);
            stage.mail.with(Instance::forget_when_alarm_was_set);
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
            stage.leases.databases.lose_power().expect("databases in memory");
            stage.mail.databases.lose_power().expect("databases in memory");
            stage.lose_unflushed();
        }
        FaultKind::Deploy {} => object::deploy(stage),
        FaultKind::Zombie { for_ms } => stage.begin_zombie(now.plus_ms(*for_ms)),
        FaultKind::AlarmLate { by_ms, for_ms } => {
            stage.alarms.late_by_ms.set(*by_ms);
            stage.alarms.late_until.set(now.plus_ms(*for_ms));
        }
        FaultKind::AlarmEarly {} => {
            stage.leases.early_ring.notify_one();
            stage.mail.early_ring.notify_one();
        }
        FaultKind::AlarmLost { for_ms } => stage.alarms.lost_until.set(now.plus_ms(*for_ms)),
        FaultKind::AlarmStuck {} => {
            let due = stage.leases.with(|instance| instance.due_alarm()).flatten();
            stage.leases.stuck_at.set(due);
            let due = stage.mail.with(|instance| instance.due_alarm()).flatten();
            stage.mail.stuck_at.set(due);
        }
        FaultKind::StorageError { statement } => {
            let fail_at = Some(u64::from(*statement));
            stage.leases.with(|instance| instance.database().faults().fail_at = fail_at);
            stage.mail.with(|instance| instance.database().faults().fail_at = fail_at);
        }
        FaultKind::StorageFull { .. } => set_full(stage, true),
        FaultKind::Restore { closed_ms, .. } => restore(stage, index, now.plus_ms(*closed_ms)),
        _ => {}
    }
    stage.errand_bell.notify_one();
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
            let errands = [
                (largest_known_token(stage), Errand::Recover as fn(Ordinal) -> Errand),
                (largest_known_seq(stage), Errand::RecoverMail),
            ];
            for (at_least, errand) in errands {
                if at_least.anchor_ms() >= mailbus_spec::time::HOST_FIRST_MS {
                    stage.errands.borrow_mut().push_back(errand(at_least));
                    stage.errand_bell.notify_one();
                }
            }
        }
        _ => {}
    }
}

fn set_full(stage: &Stage, full: bool) {
    stage.leases.with(|instance| instance.database().faults().full = full);
    stage.mail.with(|instance| instance.database().faults().full = full);
}

fn crash_object(stage: &Rc<Stage>, sim: &mut Sim<'_>) {
    if sim.is_host_running(OBJECT) {
        sim.crash(OBJECT);
    }
    stage.leases.namespace.take();
    stage.mail.namespace.take();
}

fn bookmark(stage: &Stage, index: usize) {
    let history = stage.history.borrow();
    let (leases, mail) = (history.object.len(), history.mail.len());
    drop(history);
    stage.leases.remember(index, leases);
    stage.lease_models.pin();
    stage.mail.remember(index, mail);
    stage.mail_models.pin();
}

/// Both objects go back; the operator closes the workspace meanwhile.
fn restore(stage: &Rc<Stage>, index: usize, closed_until: TrueTime) {
    // What a restored database has flushed is not known to the simulation: no power is lost then.
    let loses_power = |fault: &Fault| matches!(fault.kind, FaultKind::PowerLoss { .. });
    if stage.plan.faults.iter().any(loses_power) {
        return;
    }
    let at = stage.now();
    let (leases, mail) = (stage.leases.restore(index), stage.mail.restore(index));
    let mut history = stage.history.borrow_mut();
    if let Some(back_to) = leases {
        history.object.push(Entry::Restored { at, back_to });
    }
    if let Some(back_to) = mail {
        history.mail.push(Entry::Restored { at, back_to });
    }
    if leases.is_some() || mail.is_some() {
        history.reach(Mark::Restored);
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
    let mut errands = stage.errands.borrow_mut();
    errands.extend(copied.cloned().map(Errand::Copy));
    let old = history.mail_events().filter(|event| {
        let age = now_ms.saturating_sub(event.at.ms());
        age_ms <= age && age < OLDEST_COPY_MS
    });
    let asks = old.filter_map(|event| match &event.event {
        Event::Command(command) if may_be_copied(&command.ask) => Some(command.ask.clone()),
        _ => None,
    });
    let asks: Vec<Ask> = asks.collect();
    errands.extend(asks.iter().rev().take(COPIES).rev().cloned().map(Errand::MailCopy));
}

/// What a client may have sent by HTTP, and changes nothing the second time: a nack would be another
/// failure.
fn may_be_copied(ask: &Ask) -> bool {
    match ask {
        Ask::Publish { message } | Ask::Send { message, .. } => message.id.is_some(),
        Ask::Ack { what, .. } => !matches!(what, Settled::UpTo(_)),
        _ => false,
    }
}
