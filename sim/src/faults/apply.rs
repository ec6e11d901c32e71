//! Making a fault begin and end.

use std::rc::Rc;

use mailbus_spec::Ordinal;
use mailbus_spec::lease::Command;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Settled};
use mailbus_worker::native::Instance;
use turmoil::Sim;

use crate::clock::TrueTime;
use crate::faults::links::Trouble;
use crate::faults::{Act, Links};
use crate::judge::history::Entry;
use crate::judge::marks::Mark;
use crate::plan::{FOR_EVER_MS, Fault, FaultKind, Plan};
use crate::world::Context;
use crate::world::context::OperatorTask;
use crate::world::hosts::{OBJECT, host_of};
use crate::world::operator::{largest_known_seq, largest_known_token};

/// The oldest command that may still be copied: a copy travels less than a minute.
const OLDEST_COPY_MS: u64 = 57_000;
/// Number of commands in a row that are delivered once more.
const COPIES: usize = 40;

/// Makes a fault begin or end, between two steps of the network.
pub fn apply(context: &Rc<Context>, sim: &mut Sim<'_>, links: &mut Links, act: &Act) {
    match act {
        Act::Bookmark(index) => bookmark(context, *index),
        Act::Begin(index, kind) => {
            *context.history.borrow_mut().faults.entry(kind.name()).or_default() += 1;
            context.note(format!("fault       {kind:?}"));
            begin(context, sim, links, *index, kind);
        }
        Act::End(_, kind) => end(context, sim, links, kind),
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

fn begin(
    context: &Rc<Context>,
    sim: &mut Sim<'_>,
    links: &mut Links,
    index: usize,
    kind: &FaultKind,
) {
    let now = context.now();
    if let Some(machine) = machine_of(&context.plan, kind) {
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
        FaultKind::Copy { age_ms } => copy(context, *age_ms),
        FaultKind::Evict {} => {
            note_eviction(context);
            context.leases.with(Instance::evict);
            context.mail.with(Instance::evict);
        }
        FaultKind::HostMove { .. } => {
            // Elsewhere nobody knows when an alarm was set: the object meets the clock as it is.
            context.leases.with(Instance::forget_when_alarm_was_set);
            context.mail.with(Instance::forget_when_alarm_was_set);
            crash_object(context, sim);
            sim.bounce(OBJECT);
        }
        FaultKind::ObjectCrash { .. } => crash_object(context, sim),
        FaultKind::PowerLoss { .. } => {
            let machines: Vec<u8> = context.plan.machines.iter().map(|m| m.machine).collect();
            for machine in &machines {
                sim.partition(host_of(*machine), OBJECT);
            }
            crash_object(context, sim);
            for machine in machines {
                links.settle_again(sim, machine);
            }
            context.leases.databases.lose_power().expect("databases in memory");
            context.mail.databases.lose_power().expect("databases in memory");
            context.lose_unflushed();
        }
        FaultKind::Deploy {} => context.deploy(),
        FaultKind::Zombie { for_ms } => context.begin_zombie(now.plus_ms(*for_ms)),
        FaultKind::AlarmLate { by_ms, for_ms } => {
            context.alarms.late_by_ms.set(*by_ms);
            context.alarms.late_until.set(now.plus_ms(*for_ms));
        }
        FaultKind::AlarmEarly {} => {
            context.leases.early_ring.notify_one();
            context.mail.early_ring.notify_one();
        }
        FaultKind::AlarmLost { for_ms } => context.alarms.lost_until.set(now.plus_ms(*for_ms)),
        FaultKind::AlarmStuck {} => {
            let due = context.leases.with(|instance| instance.due_alarm()).flatten();
            context.leases.stuck_at.set(due);
            let due = context.mail.with(|instance| instance.due_alarm()).flatten();
            context.mail.stuck_at.set(due);
        }
        FaultKind::StorageError { statement } => {
            let fail_at = Some(u64::from(*statement));
            context.leases.with(|instance| instance.database().faults().fail_at = fail_at);
            context.mail.with(|instance| instance.database().faults().fail_at = fail_at);
        }
        FaultKind::StorageFull { .. } => set_full(context, true),
        FaultKind::Restore { closed_ms, .. } => restore(context, index, now.plus_ms(*closed_ms)),
        _ => {}
    }
    context.operator_bell.notify_one();
}

fn end(context: &Rc<Context>, sim: &mut Sim<'_>, links: &mut Links, kind: &FaultKind) {
    if let Some(machine) = machine_of(&context.plan, kind) {
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
        FaultKind::StorageFull { .. } => set_full(context, false),
        FaultKind::AlarmLost { for_ms } if *for_ms < FOR_EVER_MS => {
            context.alarms.lost_until.set(TrueTime(0));
        }
        FaultKind::AlarmLate { .. } => context.alarms.late_until.set(TrueTime(0)),
        FaultKind::Restore { recover, .. } => {
            context.closed_until.set(TrueTime(0));
            if !recover {
                return;
            }
            let operator_tasks = [
                (
                    largest_known_token(context),
                    OperatorTask::Recover as fn(Ordinal) -> OperatorTask,
                ),
                (largest_known_seq(context), OperatorTask::RecoverMail),
            ];
            for (at_least, task) in operator_tasks {
                if at_least.anchor_ms() >= mailbus_spec::time::HOST_FIRST_MS {
                    context.operator_tasks.borrow_mut().push_back(task(at_least));
                    context.operator_bell.notify_one();
                }
            }
        }
        _ => {}
    }
}

fn set_full(context: &Context, full: bool) {
    context.leases.with(|instance| instance.database().faults().full = full);
    context.mail.with(|instance| instance.database().faults().full = full);
}

fn crash_object(context: &Rc<Context>, sim: &mut Sim<'_>) {
    if sim.is_host_running(OBJECT) {
        sim.crash(OBJECT);
    }
    context.leases.namespace.take();
    context.mail.namespace.take();
}

fn bookmark(context: &Context, index: usize) {
    let history = context.history.borrow();
    let (leases, mail) = (history.leases.entries.len(), history.mail.entries.len());
    drop(history);
    context.leases.remember(index, leases);
    context.lease_models.pin();
    context.mail.remember(index, mail);
    context.mail_models.pin();
}

/// Both objects go back; the operator closes the workspace meanwhile.
fn restore(context: &Rc<Context>, index: usize, closed_until: TrueTime) {
    // What a restored database has flushed is not known to the simulation: no power is lost then.
    let loses_power = |fault: &Fault| matches!(fault.kind, FaultKind::PowerLoss { .. });
    if context.plan.faults.iter().any(loses_power) {
        return;
    }
    let at = context.now();
    let (leases, mail) = (context.leases.restore(index), context.mail.restore(index));
    let mut history = context.history.borrow_mut();
    if let Some(back_to) = leases {
        history.leases.entries.push(Entry::Restored { at, back_to });
    }
    if let Some(back_to) = mail {
        history.mail.entries.push(Entry::Restored { at, back_to });
    }
    if leases.is_some() || mail.is_some() {
        history.reach(Mark::Restored);
        context.closed_until.set(closed_until);
    }
}

/// The latest commands of their age are delivered once more, in their order.
fn copy(context: &Context, age_ms: u64) {
    let now_ms = context.now().ms();
    let history = context.history.borrow();
    let old = history.leases.events().filter(|event| {
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
    let mut operator_tasks = context.operator_tasks.borrow_mut();
    operator_tasks.extend(copied.cloned().map(OperatorTask::Copy));
    let old = history.mail.events().filter(|event| {
        let age = now_ms.saturating_sub(event.at.ms());
        age_ms <= age && age < OLDEST_COPY_MS
    });
    let asks = old.filter_map(|event| match &event.event {
        Event::Command(command) if may_be_copied(&command.ask) => Some(command.ask.clone()),
        _ => None,
    });
    let asks: Vec<Ask> = asks.collect();
    operator_tasks
        .extend(asks.iter().rev().take(COPIES).rev().cloned().map(OperatorTask::MailCopy));
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

/// Looks at the objects between two events.
fn note_eviction(context: &Context) {
    let waits = context.history.borrow().leases.events().last().is_some_and(|event| {
        event.step.reply.as_ref().is_some_and(|reply| {
            matches!(reply.answer, Ok(mailbus_spec::lease::Outcome::Queued { .. }))
        })
    });
    if waits {
        context.reach(Mark::EvictedWithTickets);
    }
}
