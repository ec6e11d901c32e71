//! Context that everybody in one simulation shares, on its one thread.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use mailbus_client::transport::Object;
use mailbus_spec::lease::{self, LeaseMachine};
use mailbus_spec::mailbox::{self, MailboxMachine};
use mailbus_spec::wire;
use mailbus_spec::{Holder, HostTime, LeasePath, Ordinal, PathSet, Ttl, Wait};
use tokio::sync::Notify;

use crate::clock::{SkewedClock, TrueClock, TrueTime, host_time};
use crate::judge::history::marks::Mark;
use crate::judge::history::{Claim, History, Write};
use crate::plan::{Action, FaultKind, Plan};
use crate::sut::Sut;
use crate::sut::machine::Lives;
use crate::world::hosted::{Fate, Hosted};

/// The TTL of the claims that probe whether the object is alive.
pub(crate) const PROBE_TTL_MS: u64 = 5_000;

/// Context of one simulation.
pub struct Context {
    /// Plan of what happens.
    pub plan: Plan,
    /// System under test.
    pub sut: Sut,
    /// History of what was seen.
    pub history: RefCell<History>,
    /// The wall clock of the object's host.
    pub(crate) object_clock: SkewedClock,
    /// Its monotonic clock.
    pub(crate) object_monotonic: SkewedClock,
    pub(crate) leases: Rc<Hosted<LeaseMachine>>,
    pub(crate) mail: Rc<Hosted<MailboxMachine>>,
    /// Tasks that the operator has to send.
    pub(crate) operator_tasks: RefCell<VecDeque<OperatorTask>>,
    pub(crate) operator_bell: Notify,
    pub(crate) alarms: AlarmTrouble,
    pub(crate) closed_until: Cell<TrueTime>,
    /// True time.
    pub(crate) clock: Rc<TrueClock>,
    seen_tokens: RefCell<BTreeMap<LeasePath, Ordinal>>,
    runs: RefCell<BTreeMap<u8, u32>>,
    /// The processes that their handlers have killed.
    killed: RefCell<BTreeSet<u8>>,
    kill_bells: RefCell<BTreeMap<u8, Rc<Notify>>>,
    /// Number of times that each agent's handlers had trouble with each message.
    troubles: RefCell<BTreeMap<(u8, String), u8>>,
}

/// A command as a request brings it to an object.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub object: Object,
    pub action: &'static str,
    pub body: String,
}

impl Call {
    /// A command on leases.
    pub fn of_leases(command: &lease::Command) -> Self {
        let (action, body) = wire::lease::encode_call(0, command);
        Self { object: Object::Lease, action, body }
    }

    /// A command on mail; `None` for what no request can bring.
    pub fn of_mail(ask: &mailbox::Ask) -> Option<Self> {
        let (action, body) = wire::mailbox::encode_call(0, ask)?;
        Some(Self { object: Object::Mailbox, action, body })
    }
}

/// Something that the operator sends.
#[derive(Clone, Debug)]
pub(crate) enum OperatorTask {
    /// A late copy of a command. Its answer goes to a connection that nobody reads any more.
    Copy(Call),
    /// The operator's word after a restore, with what is noted of it.
    Recover(String, Call),
    /// Any event of both objects: one that is woken looks after its alarm.
    Wake,
}

/// Troubles of the alarms at the moment, those of both objects.
#[derive(Debug, Default)]
pub(crate) struct AlarmTrouble {
    pub lost_until: Cell<TrueTime>,
    pub late_until: Cell<TrueTime>,
    pub late_by_ms: Cell<u64>,
}

impl Context {
    /// Begins a simulation.
    pub(crate) fn begin(plan: &Plan, sut: Sut) -> Rc<Self> {
        let object_clock = plan.object_clock();
        let loses_power =
            plan.faults.iter().any(|fault| matches!(fault.kind, FaultKind::PowerLoss { .. }));
        let object_monotonic = plan.object_monotonic();
        let history = History {
            object_clock: object_clock.clone(),
            object_monotonic: object_monotonic.clone(),
            ..History::default()
        };
        let clock: Rc<TrueClock> = Rc::default();
        let leases = Lives::new(sut.object, Rc::clone(&clock), loses_power);
        let mail = Lives::new(sut.mail, Rc::clone(&clock), loses_power);
        Rc::new(Self {
            plan: plan.clone(),
            sut,
            history: RefCell::new(history),
            object_clock,
            object_monotonic,
            leases: Hosted::new(leases, loses_power),
            mail: Hosted::new(mail, loses_power),
            operator_tasks: RefCell::default(),
            operator_bell: Notify::new(),
            alarms: AlarmTrouble::default(),
            closed_until: Cell::default(),
            clock,
            seen_tokens: RefCell::default(),
            runs: RefCell::default(),
            killed: RefCell::default(),
            kill_bells: RefCell::default(),
            troubles: RefCell::default(),
        })
    }

    /// True time.
    #[must_use]
    pub fn now(&self) -> TrueTime {
        self.clock.now()
    }

    /// Time by the wall clock of the object's host.
    #[must_use]
    pub fn host_now(&self) -> HostTime {
        host_time(&self.object_clock, self.now())
    }

    /// Time at which faults stop.
    #[must_use]
    pub fn heals_at(&self) -> TrueTime {
        TrueTime::from_ms(self.plan.heal_at_ms)
    }

    /// True if they have stopped.
    #[must_use]
    pub fn has_healed(&self) -> bool {
        self.heals_at() <= self.now()
    }

    /// Sleeps until a true instant.
    #[expect(clippy::disallowed_methods, reason = "simulated hosts sleep by turmoil's true time")]
    pub(crate) fn sleep_until(&self, until: TrueTime) -> tokio::time::Sleep {
        tokio::time::sleep(Duration::from_micros(until.0.saturating_sub(self.now().0)))
    }

    /// Lets a span of true time pass, or less if the world heals.
    pub(crate) fn pause_until_heal(&self, span: Duration) -> tokio::time::Sleep {
        let now = self.now();
        let span_us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let until = TrueTime(now.0.saturating_add(span_us)).min(self.heals_at().max(now));
        self.sleep_until(until)
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

    /// The longest term that a lease of anybody may have at once, in ms: its TTL, or the first term out of the
    /// queue.
    #[must_use]
    pub fn longest_term_ms(&self) -> u64 {
        let term_ms = |ttl_ms: u64, wait: Option<Wait>| {
            let first = wait.and_then(|_| Ttl::from_ms(ttl_ms)).map(|ttl| ttl.queued_term(wait));
            first.map_or(0, Ttl::ms).max(ttl_ms)
        };
        let terms = self.plan.operations.iter().map(|operation| match operation.action {
            Action::Hold { ttl_ms, wait_ms, .. } => {
                term_ms(ttl_ms, wait_ms.and_then(Wait::from_ms))
            }
            Action::Original { ttl_ms, .. } => ttl_ms,
            _ => 0,
        });
        terms.max().unwrap_or(0).max(term_ms(PROBE_TTL_MS, Some(Wait::DEFAULT)))
    }

    /// Does the same to both objects.
    pub(crate) fn each(&self, what: impl FnMut(&(dyn Fate + 'static))) {
        let objects: [&(dyn Fate + 'static); 2] = [&*self.leases, &*self.mail];
        objects.into_iter().for_each(what);
    }

    /// The number of the run of an agent that now begins: no two have one session name.
    pub(crate) fn next_run(&self, agent: u8) -> u32 {
        let mut runs = self.runs.borrow_mut();
        let run = runs.entry(agent).or_default();
        *run += 1;
        *run
    }

    /// A handler kills the process of an agent.
    pub(crate) fn crash_process(&self, agent: u8) {
        self.killed.borrow_mut().insert(agent);
        self.kill_bell(agent).notify_one();
        self.reach(Mark::HandlerCrashed);
    }

    /// Ends when a handler kills the process of an agent.
    pub(crate) async fn process_crashes(&self, agent: u8) {
        let bell = self.kill_bell(agent);
        while !self.killed.borrow_mut().remove(&agent) {
            bell.notified().await;
        }
    }

    fn kill_bell(&self, agent: u8) -> Rc<Notify> {
        Rc::clone(self.kill_bells.borrow_mut().entry(agent).or_default())
    }

    /// Number of times that an agent's handlers had trouble with a message before; now once more.
    pub(crate) fn count_trouble(&self, agent: u8, id: &str) -> u8 {
        let mut troubles = self.troubles.borrow_mut();
        let times = troubles.entry((agent, id.to_owned())).or_default();
        let before = *times;
        *times = times.saturating_add(1);
        before
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
            longest_term_ms: self.longest_term_ms(),
        };
        let mut history = self.history.borrow_mut();
        history.claims.push(claim);
        history.claims.len() - 1
    }

    /// The process of an agent has died, and with it whatever it asked for.
    pub(crate) fn give_up_claims(&self, agent: &mailbus_spec::AgentId) {
        let now = self.now();
        let mut history = self.history.borrow_mut();
        let open = history.claims.iter_mut().filter(|claim| {
            claim.holder.agent == *agent && claim.learned.is_none() && claim.gave_up.is_none()
        });
        open.for_each(|claim| claim.gave_up = Some(now));
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
