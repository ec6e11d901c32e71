//! Mutants that forget to be woken, trust their memory, or have no order.

use std::hash::{BuildHasher, RandomState};

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::limits::REANCHOR_MS;
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine, Timestamp};

use super::{Mutant, now};
use crate::mutants::Model;

/// The alarm is set for leases and tickets alone: what is remembered after the last of them stays for
/// ever.
pub const MEMORY_SETS_NO_ALARM: Mutant = Mutant::alarm(
    "memory_sets_no_alarm",
    "spec/rules/refuted.md#a-memory-without-an-alarm",
    |state| {
        let expiries = state.leases.values().map(|lease| lease.expires_at);
        expiries.chain(state.queue.values().map(|ticket| ticket.deadline)).min()
    },
);

/// An alarm that rings before anything is due neither cleans nor sets the next one.
pub const EARLY_ALARM_IS_FORGOTTEN: Mutant = Mutant::model(
    "early_alarm_is_forgotten",
    "spec/rules/refuted.md#an-early-alarm-that-is-forgotten",
    || Box::new(EarlyAlarmIsForgotten { rang_early: false }),
);

struct EarlyAlarmIsForgotten {
    rang_early: bool,
}

impl Model<LeaseMachine> for EarlyAlarmIsForgotten {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        let is_early = state.next_alarm().is_none_or(|due| now(state, host) < due);
        self.rang_early = is_early && *event == Event::Alarm;
        if self.rang_early {
            return LeaseStep { reply: None, pushes: Vec::new(), wrote: false };
        }
        state.handle(host, event)
    }

    fn next_alarm(&self, state: &LeaseMachine) -> Option<Timestamp> {
        state.next_alarm().filter(|_| !self.rang_early)
    }
}

/// Object time never runs backwards, and that is all: after one event on a host that was ahead it
/// stands still until the others have caught up, and nothing lapses.
pub const CLOCK_IS_NEVER_REANCHORED: Mutant = Mutant::rule(
    "clock_is_never_reanchored",
    "spec/rules/refuted.md#a-clock-that-waits-for-its-host",
    |state, host, event| {
        let earliest = state.clock.floor.ms().saturating_sub(REANCHOR_MS.unsigned_abs());
        state.handle(HostTime(host.0.max(earliest)), event)
    },
);

/// The object answers questions from what it has in memory and goes to its storage for commands only:
/// replaced, it goes on telling what was true then.
pub const ZOMBIE_ANSWERS_FROM_MEMORY: Mutant =
    Mutant::model("zombie_answers_from_memory", "spec/rules/README.md#events", || {
        Box::new(ZombieAnswersFromMemory)
    });

struct ZombieAnswersFromMemory;

impl Model<LeaseMachine> for ZombieAnswersFromMemory {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        let Event::Command(Command::Status { .. } | Command::List { .. } | Command::Verify { .. }) =
            event
        else {
            return state.handle(host, event);
        };
        // What time has ended is only taken into account: the next command writes it down.
        let mut seen = state.clone();
        let answered = seen.handle(host, event);
        LeaseStep { pushes: Vec::new(), wrote: false, ..answered }
    }

    fn touches_storage(&self) -> bool {
        false
    }
}

/// The object sends its pushes in the order of a hash map, which differs from process to process.
///
/// It breaks no invariant of leases. It is the canary of the check that a plan, run twice, gives one
/// event log.
pub const ORDER_OF_A_HASH_MAP: Mutant =
    Mutant::model("order_of_a_hash_map", "spec/rules/README.md#nevers", || {
        Box::new(OrderOfAHashMap(RandomState::new()))
    });

struct OrderOfAHashMap(RandomState);

impl Model<LeaseMachine> for OrderOfAHashMap {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        let mut step = state.handle(host, event);
        step.pushes.sort_by_key(|push| self.0.hash_one(format!("{push:?}")));
        step
    }
}
