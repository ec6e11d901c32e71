//! Pairs: the specification and a machine of production side by side, with nothing of a shell between.

use core::fmt::{Debug, Display};
use std::collections::BTreeMap;

use rand::RngExt;

use super::operation::Operation;
use super::world::{Loads, World};
use crate::directive::Directive;
use crate::model::ModelSystem;
use crate::notation::{EXACT_START, Epoch};
use crate::subject::{StepOf, Subject};
use crate::system::{Capabilities, Capability, Needs};
use mailbus_spec::invariant::Transition;
use mailbus_spec::machine::Event;
use mailbus_spec::time::{HostTime, Timestamp};
use mailbus_spec::{Service, StateMachine};

/// Events at the beginning and at the end of a load that are looked at one by one. Most of it is alike, and to
/// look takes as long as there is much to look at; in between every so many-th is.
const LOOKED_AT: usize = 20;

/// Most statements of an event, of which one may fail.
const STATEMENTS: u64 = 12;

/// Machine of production with its storage, and with what its sockets keep.
pub trait Machine<S: Service> {
    /// Storage as it was at some time.
    type Bookmark;

    /// Failure of the storage.
    type Error: Display;

    /// Handles one event: all of it, or nothing.
    ///
    /// # Errors
    /// What the storage failed at. The machine must then be woken anew.
    fn handle(
        &mut self,
        host: HostTime,
        event: &Event<S::Command>,
    ) -> Result<Handled<S>, Self::Error>;

    /// The statement of this number will fail, or none.
    fn fail_at(&mut self, statement: Option<u64>);

    /// The alarm that it wants, in object time.
    fn next_alarm(&mut self) -> Option<Timestamp>;

    /// The machine loses its memory, and wakes while the platform says that this alarm is set; its sockets
    /// stay.
    fn wake(&mut self, pending_alarm: Option<HostTime>);

    /// All sockets break.
    fn break_sockets(&mut self) {}

    /// Remembers the storage.
    fn bookmark(&mut self) -> Self::Bookmark;

    /// Sets the storage back, or to what it was before it was ever used.
    fn restore(&mut self, bookmark: Option<&Self::Bookmark>);

    /// Checks of its own of what an event has done.
    fn look(&mut self, _transition: &Transition<'_, S>, _rows: u64, _place: &str) {}

    /// Checks that its memory is what waking reads.
    fn check_memory(&mut self, _model: &S, _place: &str) {}
}

/// Effects of one event on a machine of production.
#[derive(Debug)]
pub struct Handled<S: Service> {
    /// Reply, pushes, and whether anything became durable.
    pub step: StepOf<S>,
    /// Rows the platform charges for.
    pub rows: u64,
    /// The alarm to set. `None` leaves the pending one alone.
    pub alarm: Option<HostTime>,
}

/// Events with what they did, in order.
pub type Steps<S> = Vec<(Event<<S as StateMachine>::Command>, StepOf<S>)>;

/// A machine and the specification, which judges it in all that can be seen.
pub struct Pair<S: Subject, M: Machine<S>> {
    /// The machine.
    pub machine: M,
    world: World<S>,
    pending_alarm: Option<HostTime>,
    bookmarks: BTreeMap<String, (M::Bookmark, Option<HostTime>)>,
    events: usize,
    /// True if every event of a load is looked at, not its first and last ones and some in between.
    pub looks_at_all: bool,
    /// True if each directive is printed before it happens.
    pub prints: bool,
}

impl<S: Subject, M: Machine<S>> Pair<S, M> {
    /// A machine that was never used. Histories of it may bring these loads.
    pub fn new(machine: M, loads: Loads) -> Self {
        use Capability::{Alarm, Crash, Evict, ExactTime, Rollback, Sockets};
        let able = Capabilities::of([Alarm, Crash, Evict, ExactTime, Rollback, Sockets]);
        let world = World::new(ModelSystem::begun(&Needs::default()), able, loads);
        Self {
            machine,
            world,
            pending_alarm: None,
            bookmarks: BTreeMap::new(),
            events: 0,
            looks_at_all: false,
            prints: false,
        }
    }

    /// The specification's state.
    pub fn model(&self) -> &S {
        &self.world.model.machine
    }

    /// The specification's state, to be changed behind the machine's back.
    pub fn model_mut(&mut self) -> &mut S {
        &mut self.world.model.machine
    }

    /// Lets an operation happen on both, and says which events it was.
    ///
    /// # Panics
    /// If the two differ, or an invariant does not hold.
    pub fn operate(&mut self, operation: &Operation) -> Steps<S> {
        let mut numbers = operation.numbers();
        let fails = numbers.random_bool(0.1);
        let failing = fails.then(|| numbers.random_range(1..=STATEMENTS));
        let directive = self.world.draw(&mut numbers);
        self.direct(directive, failing)
    }

    /// Lets all that a script says happen on both: a directive a line, `#` before remarks. Says what came of
    /// it.
    ///
    /// # Errors
    /// What is wrong with the script.
    ///
    /// # Panics
    /// If the two differ, or an invariant does not hold.
    pub fn tell(&mut self, script: &str) -> Result<Steps<S>, String> {
        let lines = script.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut steps = Steps::<S>::new();
        for line in lines {
            steps.extend(self.direct(Directive::parse(line, Epoch(EXACT_START))?, None));
        }
        Ok(steps)
    }

    /// Lets what a directive says happen on both.
    fn direct(&mut self, directive: Directive<S>, failing: Option<u64>) -> Steps<S> {
        if self.prints {
            println!("{}", directive.spell(Epoch(EXACT_START)));
        }
        self.world.pass(&directive);
        match directive {
            Directive::Commands(commands) => {
                return self.all(commands.into_iter().map(Event::Command), failing);
            }
            Directive::Alarm => return self.all([Event::Alarm], failing),
            Directive::Disconnect(peer) => {
                let closing = self.world.model.closing(&peer);
                return self.all(closing, failing);
            }
            Directive::Evict => self.evict(),
            Directive::Crash => self.crash(),
            Directive::Bookmark(name) => {
                self.world.model.mark(&name);
                self.bookmarks.insert(name, (self.machine.bookmark(), self.pending_alarm));
            }
            Directive::Restore(name) => {
                self.world.model.set_back(&name);
                let kept = self.bookmarks.get(&name);
                self.machine.restore(kept.map(|(bookmark, _)| bookmark));
                self.pending_alarm = kept.and_then(|(_, pending)| *pending);
                self.machine.break_sockets();
                self.evict();
            }
            Directive::At(_)
            | Directive::Skew(_)
            | Directive::Clock(_)
            | Directive::Pending
            | Directive::Connect(_) => {}
        }
        Vec::new()
    }

    /// All these events at this time, one after the other.
    fn all(
        &mut self,
        events: impl IntoIterator<Item = Event<S::Command>>,
        mut failing: Option<u64>,
    ) -> Steps<S> {
        let events: Vec<_> = events.into_iter().collect();
        let count = events.len();
        let all = self.looks_at_all;
        let look = |number| all || number % LOOKED_AT == 0 || number + LOOKED_AT >= count;
        let events = events.into_iter().enumerate();
        events
            .map(|(number, event)| {
                let step = self.compare(&event, failing.take(), look(number));
                (event, step)
            })
            .collect()
    }

    /// One event at this time on both, compared in all that can be seen.
    ///
    /// # Panics
    /// If the two differ, or an invariant does not hold.
    pub fn event(&mut self, host: HostTime, event: &Event<S::Command>) -> StepOf<S> {
        self.world.model.host = host;
        self.compare(event, None, true)
    }

    /// The same, compared in its step alone.
    ///
    /// # Panics
    /// If the two differ.
    pub fn quickly(&mut self, host: HostTime, event: &Event<S::Command>) -> StepOf<S> {
        self.world.model.host = host;
        self.compare(event, None, false)
    }

    fn compare(
        &mut self,
        event: &Event<S::Command>,
        failing: Option<u64>,
        looks: bool,
    ) -> StepOf<S> {
        let host = self.world.model.host;
        let number = self.events;
        self.events += 1;
        let before = looks.then(|| self.model().clone());
        let step = self.world.model.handle(event);
        self.world.model.take_received();
        if matches!(event, Event::Alarm) {
            self.pending_alarm = None;
        }
        let Handled { step: found, rows, alarm } = self.handle(host, event, failing);
        self.pending_alarm = alarm.or(self.pending_alarm);
        // Equal paths may be spelled in two ways.
        let spelled = |step: &StepOf<S>| format!("{:?}", step.reply);
        if found != step || spelled(&found) != spelled(&step) {
            panic!("event {number}, {} at {}: {}", brief(event), host.0, difference(&found, &step));
        }
        let Some(before) = before else { return step };
        let place = format!("event {number}, {} at {}", brief(event), host.0);
        assert_eq!(rows > 0, step.wrote, "{rows} rows, {place}");
        self.check_alarm(&place);
        let after = &self.world.model.machine;
        let transition = Transition { before: &before, host, event, step: &step, after };
        if let Err((name, why)) = transition.check(None) {
            panic!("{name}: {why}, {place}");
        }
        self.machine.look(&transition, rows, &place);
        step
    }

    /// The machine's part. An event that fails is undone, and comes again to one that has just woken.
    fn handle(
        &mut self,
        host: HostTime,
        event: &Event<S::Command>,
        failing: Option<u64>,
    ) -> Handled<S> {
        if failing.is_some() {
            self.machine.fail_at(failing);
            let tried = self.machine.handle(host, event).ok();
            self.machine.fail_at(None);
            if let Some(handled) = tried {
                return handled;
            }
            self.evict();
        }
        let handled = self.machine.handle(host, event);
        handled.unwrap_or_else(|error| panic!("{} at {}: {error}", brief(event), host.0))
    }

    /// Checks that an eviction here would change nothing.
    ///
    /// # Panics
    /// If it would.
    pub fn check_memory(&mut self) {
        let place = format!("after event {}", self.events);
        self.machine.check_memory(&self.world.model.machine, &place);
    }

    /// The machine loses its memory; its sockets stay.
    pub fn evict(&mut self) {
        self.machine.wake(self.pending_alarm);
    }

    /// The machine loses its memory and its sockets.
    pub fn crash(&mut self) {
        self.world.model.break_sockets();
        self.machine.break_sockets();
        self.evict();
    }

    /// The platform's alarm rings in time, unless the host's clock cannot be believed.
    fn check_alarm(&mut self, place: &str) {
        let wanted = self.machine.next_alarm();
        let (model, host) = (self.model(), self.world.model.host);
        let next = model.next_alarm();
        assert_eq!(wanted, next, "the alarm that is wanted, {place}");
        let (Ok(_), Some(next)) = (model.clock().observe(host), next) else { return };
        let due = model.clock().host_at(next).max(host);
        let pending = self.pending_alarm.unwrap_or_else(|| panic!("no alarm is set, {place}"));
        assert!(pending <= due, "the alarm is set to {}, due at {}, {place}", pending.0, due.0);
    }
}

/// Difference of two steps, from a little before where it begins: what is pushed may be long.
fn difference<O: Debug + PartialEq, R: Debug + PartialEq, P: Debug + PartialEq>(
    found: &mailbus_spec::Step<O, R, P>,
    right: &mailbus_spec::Step<O, R, P>,
) -> String {
    let of = |what: &str, found: String, right: String| {
        let same = found.bytes().zip(right.bytes()).take_while(|(found, right)| found == right);
        let begin = same.count().saturating_sub(300);
        let cut = |text: String| text.chars().skip(begin).take(2_000).collect::<String>();
        format!("{what}\n{}\nwhere\n{}\nis right", cut(found), cut(right))
    };
    if found.reply != right.reply {
        return of("replied", format!("{:?}", found.reply), format!("{:?}", right.reply));
    }
    if found.pushes != right.pushes {
        return of("pushed", format!("{:?}", found.pushes), format!("{:?}", right.pushes));
    }
    format!("wrote {}, where {} is right", found.wrote, right.wrote)
}

fn brief(value: &impl Debug) -> String {
    format!("{value:?}").chars().take(400).collect()
}
