//! The machine under test, seen from outside: every event it handles is noted, and with which sessions it
//! woke; and an instance that was replaced may be asked once more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mailbus_conformance::mutants;
use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::Connection;
use mailbus_worker::machine::{Handled, Machine};
use mailbus_worker::object::Waking;
use mailbus_worker::storage::{Row, Storage, StorageError, Value};

use crate::clock::{TrueClock, TrueTime};
use crate::judge::history::{Entry, Happened};
use crate::sut::model::{ModelRow, Versions};
use crate::sut::{Tested, Variant};

/// State that the machines of one object share, one after the other.
pub(crate) struct Lives<S: Tested> {
    /// Machine behind the endpoint.
    pub variant: Variant<S>,
    /// The states of models, by the number that their database holds.
    pub models: Versions<S>,
    /// Time until which an instance that is replaced goes on.
    pub zombie_until: Cell<TrueTime>,
    /// Number of such instances that fell silent, not yet told.
    pub silenced: Cell<u64>,
    clock: Rc<TrueClock>,
    handled: RefCell<Vec<Entry<S>>>,
    /// True if one of them set an alarm.
    alarm_set: Cell<bool>,
}

impl<S: Tested> Lives<S> {
    pub fn new(variant: Variant<S>, clock: Rc<TrueClock>, loses_power: bool) -> Self {
        Self {
            variant,
            models: Versions::new(loses_power),
            zombie_until: Cell::default(),
            silenced: Cell::default(),
            clock,
            handled: RefCell::default(),
            alarm_set: Cell::default(),
        }
    }

    /// Notes something that may still have to be undone, and whether it set an alarm.
    fn note(&self, entry: Entry<S>, alarm_set: bool) {
        self.handled.borrow_mut().push(entry);
        self.alarm_set.set(self.alarm_set.get() || alarm_set);
    }

    /// Entries handled since it was asked last, and whether they set an alarm.
    pub fn take_handled(&self) -> (Vec<Entry<S>>, bool) {
        (self.handled.take(), self.alarm_set.take())
    }
}

/// Production's endpoint over the machine under test.
pub(crate) type SutObject<S> = <S as Tested>::Object<SutMachine<S>>;

/// The machine that the system under test of a simulation names.
pub struct SutMachine<S: Tested> {
    lives: Rc<Lives<S>>,
    awake: Instance<S>,
    /// An instance that was replaced and does not know it.
    zombie: Option<Instance<S>>,
    /// Number of commands that came while there was one.
    turn: u32,
    pending: Option<HostTime>,
    /// Sessions with an open socket when it woke; nothing once that is noted.
    woken: Option<Vec<Connection>>,
}

enum Instance<S: Tested> {
    Production(Box<S::Production>),
    Model(ModelRow<S>),
}

impl<S: Tested> Instance<S> {
    fn wake(lives: &Lives<S>, pending: Option<HostTime>, kept: Vec<S::Kept>) -> Self {
        match lives.variant {
            Variant::Production => Self::Production(Box::new(S::production(pending, kept))),
            Variant::Model(mutant) => {
                let open = S::connections(&kept);
                Self::Model(ModelRow::wake(mutants::wake(mutant), pending, open))
            }
        }
    }

    fn handle<T: Storage>(
        &mut self,
        lives: &Lives<S>,
        storage: &mut T,
        host: HostTime,
        event: &Event<S::Command>,
    ) -> Result<Handled<S, S::Kept>, StorageError> {
        match self {
            Self::Production(machine) => machine.handle(storage, host, event),
            Self::Model(row) => row.handle(&lives.models, storage, host, event),
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

impl<S: Tested> SutMachine<S> {
    /// A machine that has just woken.
    pub(crate) fn wake(lives: Rc<Lives<S>>, pending: Option<HostTime>, kept: Vec<S::Kept>) -> Self {
        let woken = S::HAS_SESSIONS.then(|| S::connections(&kept));
        let awake = Instance::wake(&lives, pending, kept);
        Self { lives, awake, zombie: None, turn: 0, pending, woken }
    }

    /// Lets the replaced instance have questions and some commands; it may answer only without its storage.
    fn ask_zombie(
        &mut self,
        host: HostTime,
        event: &Event<S::Command>,
    ) -> Option<Handled<S, S::Kept>> {
        let lives = Rc::clone(&self.lives);
        if lives.zombie_until.get() <= lives.clock.now() {
            self.zombie = None;
            return None;
        }
        let Some(zombie) = &mut self.zombie else {
            let new = Instance::wake(&lives, self.pending, Vec::new());
            self.zombie = Some(std::mem::replace(&mut self.awake, new));
            return None;
        };
        // Some requests reach it, others its successor.
        self.turn = self.turn.wrapping_add(1);
        let is_question = matches!(event, Event::Command(command) if S::is_question(command));
        if !is_question && !self.turn.is_multiple_of(8) {
            return None;
        }
        let answered = zombie.handle(&lives, &mut Replaced, host, event);
        if answered.is_err() {
            lives.silenced.update(|silenced| silenced + 1);
            self.zombie = None;
            lives.zombie_until.set(TrueTime(0));
        }
        answered.ok().map(|handled| Handled { rows: 0, alarm: None, ..handled })
    }
}

impl<S: Tested> Machine for SutMachine<S> {
    type Service = S;
    type Kept = S::Kept;

    fn prepare<T: Storage>(&mut self, storage: &mut T) -> Result<Waking, StorageError> {
        match &mut self.awake {
            Instance::Production(machine) => machine.prepare(storage),
            Instance::Model(_) => Ok(Waking::Ready),
        }
    }

    fn footprint(&self) -> u64 {
        match &self.awake {
            Instance::Production(machine) => machine.footprint(),
            Instance::Model(_) => 0,
        }
    }

    fn handle<T: Storage>(
        &mut self,
        storage: &mut T,
        host: HostTime,
        event: &Event<S::Command>,
    ) -> Result<Handled<S, S::Kept>, StorageError> {
        let at = self.lives.clock.now();
        if let Some(sessions) = self.woken.take() {
            self.lives.note(Entry::Woken { at, sessions }, false);
        }
        let handled = match self.ask_zombie(host, event) {
            Some(handled) => handled,
            None => self.awake.handle(&self.lives, storage, host, event)?,
        };
        if matches!(event, Event::Alarm) {
            self.pending = None;
        }
        self.pending = handled.alarm.or(self.pending);
        let happened = Happened { at, host, event: event.clone(), step: handled.step.clone() };
        self.lives.note(Entry::Event(happened), handled.alarm.is_some());
        Ok(handled)
    }
}
