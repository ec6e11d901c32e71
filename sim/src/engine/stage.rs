//! What everybody in one simulation shares, on its one thread.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, LeasePath, Ordinal, PathSet};
use mailbus_worker::lease::LeaseObject;
use mailbus_worker::native::{Bookmark, MemoryDatabases, Namespace};
use tokio::sync::Notify;

use crate::clock::{SkewedClock, TrueTime, host_time};
use crate::history::{Claim, History, ObjectEntry, ObjectEvent, Write};
use crate::marks::Mark;
use crate::plan::{Action, FaultKind, Plan};
use crate::subject::{Subject, SubjectLeases};

/// The object under test with its endpoint.
pub(crate) type ObjectUnderTest = LeaseObject<SubjectLeases>;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

/// The stage of one simulation.
pub struct Stage {
    /// What happens.
    pub plan: Plan,
    /// Who is tested.
    pub subject: Subject,
    /// What was seen.
    pub history: RefCell<History>,
    /// The clock of the object's host.
    pub(crate) object_clock: SkewedClock,
    pub(crate) databases: MemoryDatabases,
    pub(crate) namespace: RefCell<Option<Namespace<ObjectUnderTest>>>,
    /// What the office has to send.
    pub(crate) errands: RefCell<VecDeque<Errand>>,
    pub(crate) errand_bell: Notify,
    /// Rung when the object's alarm may have changed.
    pub(crate) alarm_bell: Notify,
    pub(crate) alarms: AlarmTrouble,
    /// Restored to when a restore happens: by the index of its fault.
    pub(crate) bookmarks: RefCell<BTreeMap<usize, (Bookmark, usize)>>,
    /// How many events were committed, and how many of them are durable.
    pub(crate) committed: Cell<usize>,
    pub(crate) durable: Cell<usize>,
    pub(crate) closed_until: Cell<TrueTime>,
    /// The time while no host runs.
    pub(crate) between: Cell<Option<TrueTime>>,
    handled: RefCell<Vec<ObjectEvent>>,
    models: RefCell<Vec<Rc<LeaseMachine>>>,
    seen_tokens: RefCell<BTreeMap<LeasePath, Ordinal>>,
    runs: RefCell<BTreeMap<u8, u32>>,
    zombie_until: Cell<TrueTime>,
}

/// Something that the office sends.
#[derive(Clone, Debug)]
pub(crate) enum Errand {
    /// A late copy of a command.
    Copy(Command),
    /// The operator's word after a restore.
    Recover(Ordinal),
    /// Any event: an object that is woken looks after its alarm.
    Wake,
}

/// What goes wrong with alarms at the moment.
#[derive(Debug, Default)]
pub(crate) struct AlarmTrouble {
    pub lost_until: Cell<TrueTime>,
    pub late_until: Cell<TrueTime>,
    pub late_by_ms: Cell<u64>,
    pub stuck_at: Cell<Option<HostTime>>,
    /// It shall ring once although it is not due.
    pub ring_now: Cell<bool>,
}

impl Stage {
    /// Puts a stage up for this thread.
    pub(crate) fn put_up(plan: &Plan, subject: Subject) -> Rc<Self> {
        let object_clock = plan.object_clock();
        let loses_power =
            plan.faults.iter().any(|fault| matches!(fault.kind, FaultKind::PowerLoss { .. }));
        let history = History { object_clock: object_clock.clone(), ..History::default() };
        let stage = Rc::new(Self {
            plan: plan.clone(),
            subject,
            history: RefCell::new(history),
            object_clock,
            databases: if loses_power {
                MemoryDatabases::that_may_lose_power()
            } else {
                MemoryDatabases::new()
            },
            namespace: RefCell::default(),
            errands: RefCell::default(),
            errand_bell: Notify::new(),
            alarm_bell: Notify::new(),
            alarms: AlarmTrouble::default(),
            bookmarks: RefCell::default(),
            committed: Cell::default(),
            durable: Cell::default(),
            closed_until: Cell::default(),
            between: Cell::new(Some(TrueTime(0))),
            handled: RefCell::default(),
            models: RefCell::default(),
            seen_tokens: RefCell::default(),
            runs: RefCell::default(),
            zombie_until: Cell::default(),
        });
        CURRENT.with(|current| current.replace(Some(Rc::clone(&stage))));
        stage
    }

    /// Takes the stage of this thread down.
    pub(crate) fn take_down() {
        CURRENT.with(RefCell::take);
    }

    /// The stage of this thread's simulation.
    ///
    /// # Panics
    /// If there is none: an object woke outside a simulation.
    #[must_use]
    pub fn current() -> Rc<Self> {
        CURRENT.with(|current| current.borrow().clone()).expect("no simulation on this thread")
    }

    /// True time.
    #[must_use]
    pub fn now(&self) -> TrueTime {
        let running = || turmoil::sim_elapsed().map(TrueTime::after_start);
        self.between.get().or_else(running).unwrap_or_default()
    }

    /// What the clock of the object's host says.
    #[must_use]
    pub fn host_now(&self) -> HostTime {
        host_time(&self.object_clock, self.now())
    }

    /// When faults stop.
    #[must_use]
    pub fn heals_at(&self) -> TrueTime {
        TrueTime::from_ms(self.plan.heal_at_ms)
    }

    /// Notes that a mark was reached.
    pub fn reach(&self, mark: Mark) {
        self.history.borrow_mut().reach(mark);
    }

    /// Notes a line.
    pub fn note(&self, line: String) {
        let now = self.now();
        self.history.borrow_mut().note(now, line);
    }

    /// The largest TTL that anybody asks for, in ms.
    #[must_use]
    pub fn largest_ttl_ms(&self) -> u64 {
        let ttls = self.plan.operations.iter().map(|operation| match operation.action {
            Action::Hold { ttl_ms, .. } | Action::Original { ttl_ms, .. } => ttl_ms,
            _ => 0,
        });
        ttls.max().unwrap_or(0).max(super::office::PROBE_TTL_MS)
    }

    /// Keeps a state of a model; its number is what the database holds.
    pub(crate) fn keep_model(&self, state: LeaseMachine) -> i64 {
        let mut models = self.models.borrow_mut();
        models.push(Rc::new(state));
        i64::try_from(models.len()).unwrap_or(i64::MAX)
    }

    /// The state with this number.
    pub(crate) fn model(&self, number: i64) -> Rc<LeaseMachine> {
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        self.models.borrow().get(index).cloned().unwrap_or_default()
    }

    /// Notes an event that the object has handled and may still have to undo.
    pub(crate) fn note_handled(&self, host: HostTime, event: &Event<Command>, step: &LeaseStep) {
        let (at, event, step) = (self.now(), event.clone(), step.clone());
        self.handled.borrow_mut().push(ObjectEvent { at, host, event, step });
    }

    /// The events handled last are committed, or undone.
    pub(crate) fn settle_handled(&self, committed: bool) {
        let handled = std::mem::take(&mut *self.handled.borrow_mut());
        if committed {
            self.committed.set(self.committed.get() + handled.len());
            let entries = handled.into_iter().map(ObjectEntry::Event);
            self.history.borrow_mut().object.extend(entries);
        }
    }

    /// Forgets what was committed and not flushed, and which therefore nobody has seen.
    pub(crate) fn lose_unflushed(&self) {
        let durable = self.durable.get();
        let mut history = self.history.borrow_mut();
        // Reads after the last durable write have left: they waited for nothing.
        let unseen = history.events().skip(durable).position(|event| event.step.wrote);
        let kept = unseen.map_or(self.committed.get(), |after| durable + after);
        if kept < self.committed.get() {
            history.reach(Mark::UnflushedLost);
        }
        history.lose_after(kept);
        self.committed.set(kept);
    }

    pub(crate) fn zombie_goes_on(&self) -> bool {
        self.now() < self.zombie_until.get()
    }

    pub(crate) fn begin_zombie(&self, until: TrueTime) {
        self.zombie_until.set(until);
    }

    pub(crate) fn end_zombie(&self) {
        self.zombie_until.set(TrueTime(0));
    }

    /// The number of the run of an agent that now begins: no two have one session name.
    pub(crate) fn next_run(&self, agent: u8) -> u32 {
        let mut runs = self.runs.borrow_mut();
        let run = runs.entry(agent).or_default();
        *run += 1;
        *run
    }

    /// A write arrives at the resource behind a path. Whether it is taken is decided afterwards, in
    /// the order of true time: the hosts of one step run one after the other.
    pub fn write(&self, holder: &Holder, path: &LeasePath, token: Ordinal) {
        let mut seen = self.seen_tokens.borrow_mut();
        let largest = seen.entry(path.clone()).or_default();
        *largest = token.max(*largest);
        let (at, holder, path) = (self.now(), holder.clone(), path.clone());
        let write = Write { at, holder, path, token, accepted: false };
        self.history.borrow_mut().writes.push(write);
    }

    /// The largest token that was shown at a path.
    #[must_use]
    pub fn largest_token_at(&self, path: &LeasePath) -> Option<Ordinal> {
        self.seen_tokens.borrow().get(path).copied()
    }

    /// Begins a claim that the healing has to let through; its number is for [`Self::end_claim`].
    pub fn begin_claim(&self, holder: &Holder, paths: &PathSet, asked: TrueTime) -> usize {
        let claim = Claim {
            holder: holder.clone(),
            paths: paths.clone(),
            asked,
            learned: None,
            gave_up: None,
            largest_ttl_ms: self.largest_ttl_ms(),
        };
        let mut history = self.history.borrow_mut();
        history.claims.push(claim);
        history.claims.len() - 1
    }

    /// The claim is held, or given up.
    pub fn end_claim(&self, number: usize, learned: bool) {
        let now = self.now();
        if let Some(claim) = self.history.borrow_mut().claims.get_mut(number) {
            if learned {
                claim.learned = Some(now);
            } else {
                claim.gave_up = Some(now);
            }
        }
    }
}
