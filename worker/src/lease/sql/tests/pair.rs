//! The machine and the reference model side by side.

use mailbus_conformance::differential::Loads;
use mailbus_spec::invariant::Transition;
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::lease::answer::Notice;

use crate::lease::sql::load::Loader;
use crate::lease::sql::state::LeaseMemory;
use crate::sql::Load;
use crate::sql::tests::{self, Sql, Tested};

/// The machine with its database, and the model that judges it.
pub(super) type Pair = tests::Pair<LeaseMemory>;

pub(super) fn pair() -> Pair {
    tests::pair(0, Loads::default())
}

impl Tested for LeaseMemory {
    type Found = ();

    /// The budget of `spec/rules/leases.md#rows`, but for the first write, which creates the tables.
    fn look(
        _sql: &mut Sql<Self>,
        transition: &Transition<'_, LeaseMachine>,
        rows: u64,
        place: &str,
    ) {
        let (before, after, step) = (transition.before, transition.after, transition.step);
        if before.sequence == 0 {
            return;
        }
        let claims = |machine: &LeaseMachine| {
            machine.leases.len() + machine.queue.len() + machine.remembered.len()
        };
        let collected = claims(before).saturating_sub(claims(after));
        let is_grant = |notice: &Notice| matches!(notice, Notice::Granted { .. });
        let granted = step.pushes.iter().filter(|push| is_grant(&push.notice)).count();
        let lapsed = before.leases.values().any(|lease| lease.expires_at <= after.clock.floor)
            || before.queue.values().any(|ticket| ticket.deadline <= after.clock.floor);
        let reanchored = before.clock.offset != after.clock.offset;
        let most = u64::from(step.wrote)
            + u64::from(lapsed || reanchored)
            + u64::try_from(granted + collected).unwrap();
        assert!(rows <= most, "{rows} rows where {most} are allowed: {place}");
    }

    fn check_memory(sql: &mut Sql<Self>, _model: &LeaseMachine, place: &str) {
        let loaded = Loader::new(Vec::new()).finish(&mut sql.database).unwrap();
        let Some(memory) = sql.machine.memory() else { return };
        assert_eq!(*memory, loaded, "{place}");
    }
}
