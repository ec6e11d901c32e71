//! The machine under test, seen from outside: every event it handles is noted, and an instance that
//! was replaced may be asked once more.

use std::convert::Infallible;
use std::rc::Rc;

use mailbus_conformance::mutants;
use mailbus_spec::HostTime;
use mailbus_spec::lease::{Command, LeaseMachine};
use mailbus_spec::machine::Event;
use mailbus_worker::lease::{Handled, SqlLeases};
use mailbus_worker::machine::Machine;
use mailbus_worker::object::Waking;
use mailbus_worker::storage::{Row, Storage, StorageError, Value};

use crate::judge::history::{Entry, Happened};
use crate::judge::marks::Mark;
use crate::sut::{ModelRow, Variant};
use crate::world::Context;

/// The machine that the system under test of a simulation names.
pub struct SutLeases {
    context: Rc<Context>,
    awake: Instance,
    /// An instance that was replaced and does not know it.
    zombie: Option<Instance>,
    /// Number of commands that came while there was one.
    turn: u32,
    pending: Option<HostTime>,
}

enum Instance {
    Native(Box<SqlLeases>),
    Model(ModelRow),
}

impl Instance {
    fn wake(context: &Context, pending: Option<HostTime>) -> Self {
        match context.sut.object {
            Variant::Production => Self::Native(Box::new(SqlLeases::wake(pending, Vec::new()))),
            Variant::Model(mutant) => Self::Model(ModelRow::wake(mutants::wake(mutant), pending)),
        }
    }

    fn handle<S: Storage>(
        &mut self,
        context: &Context,
        storage: &mut S,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        match self {
            Self::Native(leases) => leases.handle(storage, host, event),
            Self::Model(row) => row.handle(context, storage, host, event),
        }
    }
}

/// The storage of an object that was replaced: any access ends it.
struct Replaced;

impl Storage for Replaced {
    fn query(&mut self, _sql: &'static str, _: &[Value]) -> Result<Vec<Row>, StorageError> {
        Err(StorageError("this object has been replaced".to_owned()))
    }

    fn execute(&mut self, _sql: &'static str, _: &[Value]) -> Result<u64, StorageError> {
        Err(StorageError("this object has been replaced".to_owned()))
    }
}

fn is_question(event: &Event<Command>) -> bool {
    matches!(
        event,
        Event::Command(Command::Status { .. } | Command::List { .. } | Command::Verify { .. })
    )
}

impl SutLeases {
    /// A machine that has just woken in this simulation.
    #[must_use]
    pub fn wake(context: Rc<Context>, pending: Option<HostTime>) -> Self {
        let awake = Instance::wake(&context, pending);
        Self { context, awake, zombie: None, turn: 0, pending }
    }

    /// Lets the replaced instance have questions and some commands; it may answer only without its storage.
    fn ask_zombie(
        &mut self,
        context: &Context,
        host: HostTime,
        event: &Event<Command>,
    ) -> Option<Handled> {
        if !context.zombie_goes_on() {
            self.zombie = None;
            return None;
        }
        if self.zombie.is_none() {
            let new = Instance::wake(context, self.pending);
            self.zombie = Some(std::mem::replace(&mut self.awake, new));
            return None;
        }
        // Some requests reach it, others its successor.
        self.turn = self.turn.wrapping_add(1);
        if !is_question(event) && !self.turn.is_multiple_of(8) {
            return None;
        }
        let answered = self.zombie.as_mut()?.handle(context, &mut Replaced, host, event);
        if answered.is_err() {
            context.reach(Mark::ZombieSilent);
            self.zombie = None;
            context.end_zombie();
        }
        answered.ok().map(|handled| Handled { rows: 0, alarm: None, ..handled })
    }
}

impl Machine for SutLeases {
    type Service = LeaseMachine;
    type Kept = Infallible;

    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        match &mut self.awake {
            Instance::Native(leases) => leases.prepare(storage),
            Instance::Model(_) => Ok(Waking::Ready),
        }
    }

    fn footprint(&self) -> u64 {
        match &self.awake {
            Instance::Native(leases) => leases.footprint(),
            Instance::Model(_) => 0,
        }
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        host: HostTime,
        event: &Event<Command>,
    ) -> Result<Handled, StorageError> {
        let context = Rc::clone(&self.context);
        let stale = self.ask_zombie(&context, host, event);
        let handled = match stale {
            Some(handled) => handled,
            None => self.awake.handle(&context, storage, host, event)?,
        };
        if matches!(event, Event::Alarm) {
            self.pending = None;
        }
        self.pending = handled.alarm.or(self.pending);
        let happened =
            Happened { at: context.now(), host, event: event.clone(), step: handled.step.clone() };
        context.leases.note_handled(Entry::Event(happened), handled.alarm.is_some());
        Ok(handled)
    }
}
