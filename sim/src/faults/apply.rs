//! Making a fault begin and end.

use std::rc::Rc;

use mailbus_spec::lease::Command;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Outcome, Rejection, Settled};
use turmoil::Sim;

use crate::clock::TrueTime;
use crate::faults::links::Trouble;
use crate::faults::{Act, Links};
use crate::judge::history::marks::Mark;
use crate::judge::history::{Record, Recorded};
use crate::plan::{FOR_EVER_MS, Fault, FaultKind, Plan};
use crate::world::Context;
use crate::world::context::{Call, OperatorTask};
use crate::world::hosted::Fate;
use crate::world::hosts::{OBJECT, host_of};
use crate::world::operator::recoveries;

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

/// Troubles of a machine's link for as long as a fault lasts.
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
            context.each(Fate::evict);
        }
        FaultKind::HostMove { .. } => {
            context.each(Fate::move_away);
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
            let mut history = context.history.borrow_mut();
            context.each(|object| object.lose_power(&mut history));
        }
        // Not by `Server::stop` of the native shell, which wakes connections in an order that tokio draws
        // at random.
        FaultKind::Deploy {} => context.each(Fate::crash),
        FaultKind::Zombie { for_ms } => {
            context.leases.lives.zombie_until.set(now.plus_ms(*for_ms));
        }
        FaultKind::AlarmLate { by_ms, for_ms } => {
            context.alarms.late_by_ms.set(*by_ms);
            context.alarms.late_until.set(now.plus_ms(*for_ms));
        }
        FaultKind::AlarmEarly {} => context.each(Fate::ring_early),
        FaultKind::AlarmLost { for_ms } => context.alarms.lost_until.set(now.plus_ms(*for_ms)),
        FaultKind::AlarmStuck {} => context.each(Fate::stick_alarm),
        FaultKind::StorageError { statement } => {
            context.each(|object| object.fail_at(u64::from(*statement)));
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
            let recoveries = recoveries(context);
            context.operator_tasks.borrow_mut().extend(recoveries);
            context.operator_bell.notify_one();
        }
        _ => {}
    }
}

fn set_full(context: &Context, full: bool) {
    context.each(|object| object.set_full(full));
}

fn crash_object(context: &Rc<Context>, sim: &mut Sim<'_>) {
    if sim.is_host_running(OBJECT) {
        sim.crash(OBJECT);
    }
    context.each(Fate::stop);
}

fn bookmark(context: &Context, index: usize) {
    let history = context.history.borrow();
    context.each(|object| object.remember(index, &history));
}

/// Both objects go back; the operator closes the workspace meanwhile.
fn restore(context: &Rc<Context>, index: usize, closed_until: TrueTime) {
    // What a restored database has flushed is not known to the simulation: no power is lost then.
    let loses_power = |fault: &Fault| matches!(fault.kind, FaultKind::PowerLoss { .. });
    if context.plan.faults.iter().any(loses_power) {
        return;
    }
    let at = context.now();
    let mut history = context.history.borrow_mut();
    let mut restored = false;
    context.each(|object| restored |= object.restore(index, at, &mut history));
    if restored {
        history.reach(Mark::Restored);
        context.closed_until.set(closed_until);
    }
}

/// The latest commands of their age are delivered once more, in their order.
fn copy(context: &Context, age_ms: u64) {
    let now_ms = context.now().ms();
    let history = context.history.borrow();
    let leases = copies(&history.leases, now_ms, age_ms, |command, _| {
        use Command::{List, Recover, Status, Tickets, Verify};
        // Questions change nothing, and a recovery is sent once, by hand.
        let is_left_out = matches!(
            command,
            Status { .. } | List { .. } | Tickets { .. } | Verify { .. } | Recover { .. }
        );
        (!is_left_out).then(|| Call::of_leases(command))
    });
    let mail = copies(&history.mail, now_ms, age_ms, |command, answer| {
        may_be_copied(&command.ask, answer).then(|| Call::of_mail(&command.ask)).flatten()
    });
    context.operator_tasks.borrow_mut().extend(leases.into_iter().chain(mail));
}

fn copies<S: Recorded>(
    record: &Record<S>,
    now_ms: u64,
    age_ms: u64,
    copy: impl Fn(&S::Command, &Result<S::Outcome, S::Rejection>) -> Option<Call>,
) -> Vec<OperatorTask> {
    let old = record.events().filter(|event| {
        let age = now_ms.saturating_sub(event.at.ms());
        age_ms <= age && age < OLDEST_COPY_MS
    });
    let calls = old.filter_map(|event| match (&event.event, &event.step.reply) {
        (Event::Command(command), Some(reply)) => copy(command, &reply.answer),
        _ => None,
    });
    let calls: Vec<Call> = calls.collect();
    let latest = calls.len().saturating_sub(COPIES);
    calls.into_iter().skip(latest).map(OperatorTask::Copy).collect()
}

/// True if the network may have two copies of a request: those are left out that the rules'
/// [list](../../../spec/rules/mailboxes.md#copies-of-a-request) names, with the reason for each.
fn may_be_copied(ask: &Ask, answer: &Result<Outcome, Rejection>) -> bool {
    match ask {
        Ask::Publish { message } | Ask::Send { message, .. } => {
            let refused =
                matches!(answer, Err(Rejection::UnknownAgent { .. } | Rejection::Limit(_)));
            message.id.is_some() && !refused
        }
        Ask::Ack { what, .. } => !matches!(what, Settled::UpTo(_)),
        Ask::Nack { fence, .. } => fence.is_some(),
        Ask::Forget { epoch, .. } => epoch.is_some(),
        Ask::Subscribe { .. }
        | Ask::Unsubscribe { .. }
        | Ask::Redrive { .. }
        | Ask::Disconnect { .. } => true,
        Ask::Connect { .. } | Ask::Working { .. } | Ask::Recover { .. } => false,
        Ask::Inbox { .. }
        | Ask::Agents { .. }
        | Ask::Heartbeat { .. }
        | Ask::DeadLetters { .. } => false,
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
