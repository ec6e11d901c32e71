//! Plans of a seed in which planted bugs are looked for: those of leases without mail, and of mail without
//! leases.

use mailbus_spec::belief::ClockBound;
use mailbus_spec::limits;

use crate::plan::mail::{HandlerScript, MailAction, Transport};
use crate::plan::{Action, Fault, FaultKind, PATHS, Plan, Profile};

/// Plan of a seed, out of the mix of profiles.
pub(super) fn mixed(seed: u64) -> Plan {
    Plan::with_leases_alone(seed, None)
}

/// Plan of a seed with many faults at once.
pub(super) fn hostile(seed: u64) -> Plan {
    Plan::with_leases_alone(seed, Some(Profile::Hostile))
}

/// Plan of a seed with every kind of fault and clocks inside the bound: for what costs belief.
pub(super) fn rough(seed: u64) -> Plan {
    Plan::with_leases_alone(seed, Some(Profile::Rough))
}

/// Plan of a seed in which links bring no answers for some seconds, are good for a moment, and
/// then silent: what was carried out is answered to a later attempt, and not renewed.
pub(super) fn answers_lost(seed: u64) -> Plan {
    let mut plan = Plan::with_leases_alone(seed, Some(Profile::Calm));
    for begins_ms in (5_000..plan.heal_at_ms - 20_000).step_by(20_000) {
        for machine in plan.machines.iter().map(|machine| machine.machine) {
            let at_ms = begins_ms + (seed * 811 + begins_ms / 7) % 3_000;
            let cut = FaultKind::CutReplies { machine, for_ms: 4_000 };
            let silence = FaultKind::Partition { machine, for_ms: 10_000 };
            plan.faults.push(Fault { at_ms, kind: cut });
            plan.faults.push(Fault { at_ms: at_ms + 5_000, kind: silence });
        }
    }
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// One computer whose link is slow for a while and then takes no requests: answers to attempts that
/// were given up on still come, and what was sent since is lost. Leases are short, so that belief runs
/// out meanwhile.
pub(super) fn slow_and_then_cut(seed: u64) -> Plan {
    let mut plan = Plan::with_leases_alone(seed, Some(Profile::Calm));
    plan.machines.truncate(1);
    plan.agents.iter_mut().for_each(|agent| agent.machine = 0);
    for operation in &mut plan.operations {
        if let Action::Hold { ttl_ms, hold_ms, .. } = &mut operation.action {
            *ttl_ms = (*ttl_ms).clamp(2_000, 6_000);
            *hold_ms = 20_000;
        }
    }
    plan.operations
        .retain(|operation| matches!(operation.action, Action::Hold { renew: true, .. }));
    plan.faults.clear();
    for at_ms in (5_000..plan.heal_at_ms - 30_000).step_by(20_000) {
        let slow = FaultKind::Slow { machine: 0, latency_ms: 2_500, for_ms: 10_000 };
        let cut = FaultKind::CutRequests { machine: 0, for_ms: 9_000 };
        let spared_ms = 3_000 + (seed * 811 + at_ms / 7) % 6_000;
        plan.faults.push(Fault { at_ms, kind: slow });
        plan.faults.push(Fault { at_ms: at_ms + spared_ms, kind: cut });
    }
    plan
}

/// All that the object's clock is set ahead, it is at once, and while nobody can renew.
pub(super) fn set_ahead_while_silent(seed: u64) -> Plan {
    let mut plan = rough(seed);
    plan.faults.retain(|fault| {
        !matches!(fault.kind, FaultKind::ObjectStep { .. } | FaultKind::HostMove { .. })
    });
    let by_ms = ClockBound::PROMISED.step_ms.cast_signed();
    let at_ms = 10_000 + seed * 7_919 % (plan.heal_at_ms - 30_000);
    for machine in plan.machines.iter().map(|machine| machine.machine) {
        let kind = FaultKind::Partition { machine, for_ms: 15_000 };
        plan.faults.push(Fault { at_ms, kind });
    }
    plan.faults.push(Fault { at_ms: at_ms + 1_000, kind: FaultKind::ObjectStep { by_ms } });
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// Plan of a seed in which the object is replaced again and again, and often asked.
pub(super) fn zombies(seed: u64) -> Plan {
    let mut plan = Plan::with_leases_alone(seed, Some(Profile::Calm));
    for (path, operation) in (0..PATHS).cycle().zip(plan.operations.iter_mut().step_by(3)) {
        operation.action = Action::Status { path };
    }
    let replaced = (5_000..plan.heal_at_ms - 20_000).step_by(15_000);
    plan.faults.extend(replaced.map(|at_ms| {
        let kind = FaultKind::Zombie { for_ms: 12_000 };
        Fault { at_ms, kind }
    }));
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// Mail of a seed with a fault here and there.
pub(super) fn calm_mail(seed: u64) -> Plan {
    Plan::from_seed(seed, Some(Profile::Calm)).without_leases()
}

/// Mail of a seed with every kind of fault.
pub(super) fn rough_mail(seed: u64) -> Plan {
    Plan::from_seed(seed, Some(Profile::Rough)).without_leases()
}

/// Mail of a seed with many faults at once, and clocks outside the bound.
pub(super) fn hostile_mail(seed: u64) -> Plan {
    Plan::from_seed(seed, Some(Profile::Hostile)).without_leases()
}

/// Mail of a seed with a fault here and there, and an hour in which nobody asks for anything.
pub(super) fn lulled(seed: u64) -> Plan {
    calm_mail(seed).with_a_lull()
}

/// Mail of a seed in which all speak the original's protocol, in two processes each, which die.
pub(super) fn originals(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    for mail in plan.agents.iter_mut().filter_map(|agent| agent.mail.as_mut()) {
        mail.by = Transport::Original;
    }
    for operation in plan.operations.iter_mut().step_by(5) {
        operation.action = Action::Mail(MailAction::DuplicateProcess { for_ms: 8_000 });
    }
    for (number, at_ms) in (4_000..plan.heal_at_ms - 1_000).step_by(4_000).enumerate() {
        let agent = plan.agents[number % plan.agents.len()].agent;
        plan.faults.push(Fault { at_ms, kind: FaultKind::Crash { agent, down_ms: 500 } });
    }
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// Mail of a seed, much of which fails and is then handled slowly, with narrow windows and an
/// object that often leaves memory.
pub(super) fn evictions(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    for operation in plan.operations.iter_mut().step_by(2) {
        if let Action::Mail(MailAction::Send { script, copies, .. }) = &mut operation.action {
            *script = HandlerScript::Fail { times: 2 };
            *copies = 3;
        }
    }
    for mail in plan.agents.iter_mut().filter_map(|agent| agent.mail.as_mut()) {
        mail.by = Transport::Bus { messages: 1, bytes: 10_000, handlers: 1 };
    }
    let evicted = (5_000..plan.heal_at_ms).step_by(700);
    plan.faults.extend(evicted.map(|at_ms| Fault { at_ms, kind: FaultKind::Evict {} }));
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// Mail of a seed under a storage that often fails.
pub(super) fn failing_storage(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    let fails = (3_000..plan.heal_at_ms - 1_000).step_by(1_300);
    plan.faults.extend(fails.map(|at_ms| {
        let kind = FaultKind::StorageError { statement: 2 };
        Fault { at_ms, kind }
    }));
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// Mail of a seed with handlers that die, and others that fail, of agents with wide windows.
pub(super) fn many_ends(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    let sendings = plan.operations.iter_mut().zip([0, 1, 2].into_iter().cycle());
    for (operation, which) in sendings {
        if let Action::Mail(MailAction::Send { script, copies, .. }) = &mut operation.action {
            *script = match which {
                0 => HandlerScript::Crash { times: 2 },
                _ => HandlerScript::Fail { times: 2 },
            };
            *copies = (*copies).min(2);
        }
    }
    for mail in plan.agents.iter_mut().filter_map(|agent| agent.mail.as_mut()) {
        mail.by = Transport::Bus { messages: 200, bytes: 1 << 20, handlers: 1 };
    }
    plan
}

/// Mail of a seed that is slow to handle, of agents of which second processes come and go: they take each
/// other's place at work.
pub(super) fn replaced_at_work(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    for (number, operation) in plan.operations.iter_mut().enumerate() {
        match &mut operation.action {
            _ if number % 2 == 0 => {
                let twin = MailAction::DuplicateProcess { for_ms: 5_000 };
                operation.action = Action::Mail(twin);
            }
            Action::Mail(MailAction::Send { script, copies, .. }) => {
                (*script, *copies) = (HandlerScript::Slow { for_ms: 10_000 }, 1);
            }
            _ => {}
        }
    }
    for mail in plan.agents.iter_mut().filter_map(|agent| agent.mail.as_mut()) {
        mail.by = Transport::Bus { messages: 16, bytes: 1 << 20, handlers: 1 };
    }
    plan
}

/// Mail of a seed, half of which kills whoever handles it and half of which only fails, and which is given a
/// second chance. The object's clock is set ahead again and again, so that what failed comes back soon.
pub(super) fn redrives(seed: u64) -> Plan {
    let mut plan = calm_mail(seed);
    for (number, operation) in plan.operations.iter_mut().enumerate() {
        match &mut operation.action {
            Action::Mail(MailAction::Send { script, copies, .. }) => {
                *script = match number % 2 {
                    0 => HandlerScript::Crash { times: 7 },
                    _ => HandlerScript::Fail { times: 7 },
                };
                *copies = 1;
            }
            action if number % 2 == 0 => *action = Action::Mail(MailAction::Redrive),
            _ => {}
        }
    }
    let [.., by_ms] = limits::FAILURE_FLOORS_MS;
    let steps = (5_000..plan.heal_at_ms - 1_000).step_by(5_000);
    plan.faults.extend(steps.map(|at_ms| {
        let kind = FaultKind::ObjectStep { by_ms: by_ms.cast_signed() };
        Fault { at_ms, kind }
    }));
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}
