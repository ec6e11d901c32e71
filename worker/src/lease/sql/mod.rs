//! The lease machine over SQLite: written apart from the specification, and checked against it.
//!
//! Every event is decided in memory and in a few reads, then written: one claim row, that of the
//! command, which carries the object's numbers with it. What time ends writes no row of its own: the
//! clock that the event writes says that it is over. Live claims are indexed in memory; requests that
//! are over are looked up by their key, and their tokens are indexed in memory too, since the key has
//! none; an event that needs no row reads one all the same, so that a replaced object cannot answer from
//! memory.
//!
//! # The schema
//!
//! The key of a claim is (agent, session, request). It might begin with a *bucket* instead: 0 while the
//! claim lives, then the minute in which its row may be deleted. It does not:
//!
//! * Ending a claim updates its row in place. With a bucket it would move, which costs the same one
//!   row, but a lapse, which writes no row here, would leave the claim in bucket 0.
//! * A request has one place, live or over: one look-up by the whole key finds it, and the next use of
//!   its id writes over it, where buckets would be searched minute by minute.
//! * The price is that no range holds just the live claims or just what one minute collects. Waking reads
//!   the whole table three times, in pieces of a few thousand rows, and collecting once: an index on
//!   `until` would cost each event a second row.
//!
//! Limits that follow, measured natively with the 1 000 000 requests that may be remembered:
//!
//! * Collecting is one `DELETE` over the table, 0.5 to 1.1 s, in which the workspace answers nobody. It
//!   runs in alarms alone, and at most once a minute: all that a minute makes collectable goes together,
//!   so a row stays for 2 to 3 minutes after its end, longer only while alarms are late.
//! * Waking takes seconds before the first answer, in pieces of milliseconds between which a shell can serve
//!   others.
//!
//! # The code
//!
//! | file | what it does |
//! |---|---|
//! | `lease.sql` | the tables |
//! | `rows` | claims to columns and back |
//! | `header`, `claims`, `paths`, `memory_count`, `finished_tokens`, `state` | what is in memory |
//! | `finished` | a request that is over, out of its row |
//! | `load` | memory out of the rows, on waking |
//! | `turn` | one event: reads, gathered writes, pushes |
//! | `expire` | what time ends, and who is next |
//! | `acquire`, `renew_release`, `query`, `admin`, `deadlock` | what commands do |

mod acquire;
mod admin;
mod claims;
mod deadlock;
mod expire;
mod finished;
mod finished_tokens;
mod header;
mod load;
mod memory_count;
mod paths;
mod query;
mod renew_release;
mod rows;
mod state;
mod turn;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use mailbus_spec::lease::{Command, LeaseStep, Rejection};
use mailbus_spec::machine::Event;
use mailbus_spec::path::InvalidPaths;
use mailbus_spec::time::ImplausibleClock;
use mailbus_spec::{HostTime, Reply, Timestamp};

use self::load::Loader;
use self::state::Machine;
use self::turn::{Answer, Stop, Turn};
use crate::lease::{Handled, Leases};
use crate::object::Waking;
use crate::sql::Alarm;
use crate::storage::{Storage, StorageError};

/// The lease machine over SQLite.
#[derive(Debug)]
pub struct SqlLeases {
    memory: Memory,
    alarm: Alarm,
    /// True if it has handled an event since it woke.
    has_begun: bool,
}

/// What the machine has of its memory.
#[derive(Debug)]
enum Memory {
    Waking(Loader),
    Awake(Machine),
    /// What failed has left a part, or more than the storage has.
    Lost,
}

impl SqlLeases {
    /// Time at which the object wants to be woken next, in object time; nothing before the first event.
    #[must_use]
    pub fn next_alarm(&self) -> Option<Timestamp> {
        match &self.memory {
            Memory::Awake(machine) => machine.next_alarm(),
            Memory::Waking(_) | Memory::Lost => None,
        }
    }

    /// Takes the memory out, for it to be put back when all has gone well.
    fn take(&mut self) -> Memory {
        std::mem::replace(&mut self.memory, Memory::Lost)
    }
}

/// What is asked of a machine that has failed before.
fn lost() -> StorageError {
    StorageError("the object has failed before and has no memory".to_owned())
}

impl Leases for SqlLeases {
    fn wake(pending_alarm: Option<HostTime>) -> Self {
        let (memory, alarm) = (Memory::Waking(Loader::new()), Alarm::pending(pending_alarm));
        Self { memory, alarm, has_begun: false }
    }

    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        let (waking, memory) = match self.take() {
            Memory::Waking(mut loader) => match loader.piece(storage)? {
                Waking::More => (Waking::More, Memory::Waking(loader)),
                Waking::Ready => (Waking::Ready, Memory::Awake(loader.finish(storage)?)),
            },
            Memory::Awake(machine) => (Waking::Ready, Memory::Awake(machine)),
            Memory::Lost => return Err(lost()),
        };
        self.memory = memory;
        Ok(waking)
    }

    fn footprint(&self) -> u64 {
        match &self.memory {
            Memory::Waking(loader) => loader.footprint(),
            Memory::Awake(machine) => machine.footprint(),
            Memory::Lost => 0,
        }
    }

    fn is_blank(&self, now: HostTime) -> bool {
        matches!(&self.memory, Memory::Awake(machine) if machine.is_blank(now))
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        let mut machine = match self.take() {
            Memory::Awake(machine) => machine,
            Memory::Waking(mut loader) => loader.finish(storage)?,
            Memory::Lost => return Err(lost()),
        };
        let mut alarm = if self.has_begun { self.alarm } else { self.alarm.on_waking(now) };
        if matches!(event, Event::Alarm) {
            alarm.rang();
        }
        let handled = match machine.header.clock.observe(now) {
            Ok(seen) => {
                let floor = machine.header.clock.floor;
                let (step, rows) = machine.event(Turn::new(storage, seen, floor), event)?;
                let next = machine.next_alarm().map(|at| machine.header.clock.host_at(at));
                Handled { step, rows, alarm: alarm.rearm(now, next) }
            }
            Err(refused) => Handled {
                step: machine.refuse(storage, refused, event)?,
                rows: 0,
                alarm: alarm.put_off(now, machine.next_alarm().is_some()),
            },
        };
        self.memory = Memory::Awake(machine);
        (self.alarm, self.has_begun) = (alarm, true);
        Ok(handled)
    }
}

impl Machine {
    fn event(
        &mut self,
        mut turn: Turn<'_>,
        event: &Event<Command>,
    ) -> Result<(LeaseStep, u64), StorageError> {
        self.advance(&mut turn);
        let answer = match event {
            Event::Command(command) => match self.command(&mut turn, command) {
                Ok(outcome) => Some(Ok(outcome)),
                Err(Stop::Rejected(rejection)) => Some(Err(rejection)),
                Err(Stop::Failed(error)) => return Err(error),
            },
            Event::Alarm => {
                self.collect(&mut turn);
                None
            }
        };
        let now = turn.now();
        let done = turn.finish(&mut self.header, &mut self.has_tables)?;
        let reply = answer.map(|answer| Reply { answer, commit: self.header.commit(now) });
        Ok((LeaseStep { reply, pushes: done.pushes, wrote: done.wrote }, done.rows))
    }

    fn command(&mut self, turn: &mut Turn<'_>, command: &Command) -> Answer {
        match command {
            Command::Acquire(acquire) => self.acquire(turn, acquire),
            Command::Renew { holder, token, ttl } => self.renew(turn, holder, *token, *ttl),
            Command::Release { holder, target } => self.release(turn, holder, target),
            Command::Cancel { holder, request } => self.cancel(turn, holder, request),
            Command::Status { path } => self.status(path),
            Command::List { prefix, after, limit } => Ok(self.list(prefix, after.as_ref(), *limit)),
            Command::Verify { path, token } => Ok(self.verify(path, *token)),
            Command::ForceRelease { token, reason, drain } => {
                self.force_release(turn, *token, reason, *drain)
            }
            Command::Recover { at_least } => Ok(self.recover(turn, *at_least)),
        }
    }

    /// The step of an event whose host has a clock that cannot be.
    fn refuse(
        &self,
        storage: &mut dyn Storage,
        refused: ImplausibleClock,
        event: &Event<Command>,
    ) -> Result<LeaseStep, StorageError> {
        storage.query(if self.has_tables { rows::TOUCH } else { rows::FIND_TABLES }, &[])?;
        let commit = self.header.commit(self.header.clock.floor);
        let reply = match event {
            Event::Command(_) => Some(Reply { answer: Err(Rejection::Clock(refused.0)), commit }),
            Event::Alarm => None,
        };
        Ok(LeaseStep { reply, pushes: Vec::new(), wrote: false })
    }
}

impl From<InvalidPaths> for StorageError {
    fn from(_: InvalidPaths) -> Self {
        Self("a live claim has no paths".to_owned())
    }
}
