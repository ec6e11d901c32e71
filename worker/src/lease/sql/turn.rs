//! One event on the lease machine: [`Turn`](crate::sql::Turn) with what only leases ask of it.

use std::convert::Infallible;

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{LeaseMachine, Push, Rejection};
use mailbus_spec::{Holder, Timestamp};

use super::rows;
use super::state::LeaseMemory;
use crate::sql::{self, Header, Rows, instant, integer, ordinal};
use crate::storage::Value;

/// One event on the lease machine.
pub(super) type Turn<'s> = sql::Turn<'s, LeaseMemory>;

/// Outcome of a command, or the reason why there is none.
pub(super) type Answer = sql::Answer<LeaseMachine>;

/// Reason why a command came to no outcome.
pub(super) type Stop = sql::Stop<Rejection>;

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Rows for LeaseMemory {
    type Service = LeaseMachine;
    type Kept = Infallible;
    type Gathered = ();

    const TABLES: &'static str = include_str!("lease.sql");
    const FIND_TABLES: &'static str = rows::FIND_TABLES;
    const WRITE_META: &'static str = rows::WRITE_META;

    fn header(&self) -> &Header {
        &self.header
    }

    fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    fn stamp(&self) -> Vec<Value> {
        let Header { sequence, clock, last_ordinal, .. } = &self.header;
        vec![integer(*sequence), instant(clock.floor), ordinal(*last_ordinal)]
    }

    fn meta(&self) -> Vec<Value> {
        let Header { clock, generation, .. } = &self.header;
        [self.stamp(), vec![Value::Integer(clock.offset), integer(*generation)]].concat()
    }
}

impl Turn<'_> {
    /// Notes that the answer depends on `end` being past. If that was not yet written down, the clock
    /// is.
    pub fn depends_on_end(&mut self, end: Timestamp) {
        if self.floor < end {
            self.writes_clock();
        }
    }

    /// Adds a push.
    pub fn push(&mut self, to: &Holder, notice: Notice) {
        self.add_push(Push { to: to.clone(), notice });
    }
}
