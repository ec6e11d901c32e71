//! The engine on turmoil: depth. It steps the simulated network and makes the plan's faults happen
//! between two steps.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use mailbus_spec::{AgentId, limits};
use mailbus_worker::storage::{Storage, Value};
use turmoil::{Builder, Sim};

use crate::clock::TrueTime;
use crate::engine::{agent, object};
use crate::faults::{Act, Timeline, apply};
use crate::judge::history::{History, Residue};
use crate::judge::invariants::mail_liveness::open_mail;
use crate::judge::observer::Walker;
use crate::judge::observer::mailbox::MailboxObserver;
use crate::plan::mail::name_of;
use crate::plan::{Plan, Transport};
use crate::sut::{Sut, Tested, Variant};
use crate::world::context::OperatorTask;
use crate::world::hosted::{Fate, Hosted};
use crate::world::hosts::{OBJECT, TICK_MS, host_of};
use crate::world::{Context, operator};

/// Time after the healing that claims may take at most, so that a simulation ends.
const HEALING_MS: u64 = 1_800_000;
/// Time after the last lease may have lapsed at which everything must be forgotten: the memory, its
/// minute, and an alarm's lateness.
const FORGETTING_MS: u64 = 120_000 + 60_000 + 15_000;

/// The same for mail that nobody is owed any more: the memory of ids, a round of collection, and an
/// alarm's lateness.
const MAIL_FORGETTING_MS: u64 = 120_000 + 60_000 + 15_000;

/// Time after the healing that handlers may take at most which take too long each time, and a clock that
/// stands still before it is re-anchored.
const SLOW_MS: u64 = 420_000;
/// The longest time for which a message is kept back after a failure.
const LONGEST_FLOOR_MS: u64 = {
    let [.., longest] = limits::FAILURE_FLOORS_MS;
    longest
};
/// Interval at which it is looked whether mail is still open.
const LOOK_MS: u64 = 1_000;

/// Time after which an alarm that has not rung is lost, with some room.
const ALARM_LATE_MS: u64 = 65_000;

/// Time after the healing that the plan's mail may take at most: a message that fails as often as it may, and
/// an alarm that was lost, if one may be.
fn mail_healing_ms(plan: &Plan) -> u64 {
    let floors_ms: u64 = limits::FAILURE_FLOORS_MS.iter().sum();
    let lost_ms = if plan.may_lose_alarms() { LONGEST_FLOOR_MS + ALARM_LATE_MS } else { 0 };
    SLOW_MS + floors_ms + lost_ms
}

/// Runs a plan and tells what was seen.
#[must_use]
pub fn run(plan: &Plan, sut: Sut) -> History {
    run_then(plan, sut, Engine::forgetting)
}

/// The same without its end, in which everything has to be forgotten: most of the time of a small
/// plan.
#[must_use]
pub fn run_until_healed(plan: &Plan, sut: Sut) -> History {
    run_then(plan, sut, |_| {})
}

fn run_then(plan: &Plan, sut: Sut, end: fn(&mut Engine)) -> History {
    let context = Context::begin(plan, sut);
    let mut engine = Engine::new(Rc::clone(&context));
    engine.safety();
    engine.healing();
    end(&mut engine);
    let ended = engine.now();
    drop(engine);
    context.each(Fate::stop);
    let mut history = std::mem::take(&mut *context.history.borrow_mut());
    history.alarm_troubles = plan.alarm_troubles();
    history.decide_writes();
    history.healed = context.heals_at();
    history.ended = ended;
    history
}

struct Engine {
    context: Rc<Context>,
    sim: Sim<'static>,
    timeline: Timeline,
}

impl Engine {
    fn new(context: Rc<Context>) -> Self {
        let (least, most) = context.plan.latency_ms;
        let mut sim = Builder::new()
            .rng_seed(context.plan.seed)
            .tick_duration(Duration::from_millis(TICK_MS))
            .simulation_duration(Duration::from_secs(1_000_000))
            .min_message_latency(Duration::from_millis(least.max(1)))
            .max_message_latency(Duration::from_millis(most.max(least.max(1))))
            .tcp_capacity(4_096)
            .build();
        let shared = Rc::clone(&context);
        sim.host(OBJECT, move || object::run(Rc::clone(&shared)));
        let shared = Rc::clone(&context);
        sim.host("operator", move || operator::run(Rc::clone(&shared)));
        for machine in &context.plan.machines {
            let (shared, machine) = (Rc::clone(&context), machine.clone());
            sim.host(host_of(machine.machine), move || {
                agent::run_machine(Rc::clone(&shared), machine.clone())
            });
        }
        let timeline = Timeline::of(&context.plan);
        Self { context, sim, timeline }
    }

    fn now(&self) -> TrueTime {
        TrueTime::after_start(self.sim.elapsed())
    }

    fn step(&mut self) {
        self.context.clock.set_between(None);
        let stepped = self.sim.step();
        self.context.clock.set_between(Some(self.now()));
        if let Err(error) = stepped {
            panic!("seed {}: a simulated host failed: {error}", self.context.plan.seed);
        }
    }

    fn act(&mut self, act: &Act) {
        apply(&self.context, &mut self.sim, &mut self.timeline.links, act);
    }

    /// Faults and work.
    fn safety(&mut self) {
        while self.now() < self.context.heals_at() {
            while let Some(act) = self.timeline.next_until(self.now()) {
                self.act(&act);
            }
            self.step();
        }
    }

    /// Faults end; everybody who waits, and everybody who now asks, has to be let through.
    fn healing(&mut self) {
        for act in self.timeline.rest() {
            self.act(&act);
        }
        self.context.note("world       heals".into());
        let least = self.context.heals_at().plus_ms(2_000);
        let most = self.context.heals_at().plus_ms(HEALING_MS);
        // An object takes an alarm for lost that is a minute late, in whatever event comes then: without
        // any it would sleep for ever. What was set before the healing may be due as late as the last return
        // of a message that failed.
        let late = [0, LONGEST_FLOOR_MS].map(|due| least.plus_ms(due + ALARM_LATE_MS));
        let may_be_lost = self.context.plan.may_lose_alarms();
        let mut wakes = late.into_iter().filter(|_| may_be_lost).peekable();
        let mut mail = MailWatch::new(&self.context);
        while self.now() < least
            || (self.now() < most && self.claims_are_open())
            || mail.is_open(&self.context, self.now())
        {
            if wakes.next_if(|wake| *wake <= self.now()).is_some() {
                self.wake_objects();
            }
            self.step();
        }
        let mut history = self.context.history.borrow_mut();
        history.healing_ended = self.now();
        history.listening = mail.listening;
        history.alarms_ring = mail.alarms_ring;
    }

    fn wake_objects(&self) {
        self.context.operator_tasks.borrow_mut().push_back(OperatorTask::Wake);
        self.context.operator_bell.notify_one();
    }

    fn claims_are_open(&self) -> bool {
        let history = self.context.history.borrow();
        history.claims.iter().any(|claim| claim.learned.is_none() && claim.gave_up.is_none())
    }

    /// Nobody asks any more: in the end nothing is left.
    fn forgetting(&mut self) {
        for machine in self.context.plan.machines.clone() {
            self.sim.crash(host_of(machine.machine));
        }
        // An alarm may be a minute late. One that was lost, or left behind, is set again by whoever wakes
        // the object when it is that late.
        let may_lose = self.context.plan.may_lose_alarms();
        let mut wake = self.now().plus_ms(ALARM_LATE_MS);
        while self.now() < wake {
            self.step();
        }
        let latest = self.now().plus_ms(self.context.longest_term_ms() + FORGETTING_MS);
        let lost_ms = if may_lose { MAIL_FORGETTING_MS } else { 0 };
        let mail_ms = if self.context.plan.has_mail() { MAIL_FORGETTING_MS + lost_ms } else { 0 };
        let mail_latest = self.now().plus_ms(mail_ms);
        let mut rows = self.rows();
        while (rows > 1 && self.now() < latest) || (self.logged() > 0 && self.now() < mail_latest) {
            if may_lose && wake <= self.now() {
                self.wake_objects();
                wake = self.now().plus_ms(ALARM_LATE_MS);
            }
            for _ in 0..100 {
                self.step();
            }
            rows = self.rows();
        }
        let alarms_rang = self.context.alarms.lost_until.get() <= self.now();
        let logged = self.logged();
        self.context.history.borrow_mut().residue = Some(Residue { rows, logged, alarms_rang });
    }

    /// Number of rows that the lease object keeps.
    fn rows(&self) -> u64 {
        let context = &self.context;
        match context.sut.object {
            Variant::Production => {
                count(&context.leases, "SELECT count(*) FROM claim")
                    + count(&context.leases, "SELECT count(*) FROM meta")
            }
            Variant::Model(_) => {
                let version = count(&context.leases, "SELECT version FROM model");
                let model = context.leases.lives.models.get(i64::try_from(version).unwrap_or(0));
                let rows = model.leases.len() + model.queue.len() + model.remembered.len();
                u64::try_from(rows).unwrap_or(0) + 1
            }
        }
    }

    /// Number of messages that the mailbox object keeps.
    fn logged(&self) -> u64 {
        let context = &self.context;
        match context.sut.mail {
            Variant::Production => count(&context.mail, "SELECT count(*) FROM log"),
            Variant::Model(_) => {
                let version = count(&context.mail, "SELECT version FROM model");
                let model = context.mail.lives.models.get(i64::try_from(version).unwrap_or(0));
                u64::try_from(model.log.entries.len()).unwrap_or(0)
            }
        }
    }
}

/// Messages by the agents that are to have had them.
struct MailWatch {
    /// Agents whose mail has to come through.
    listening: BTreeSet<AgentId>,
    /// True if alarms ring after the healing.
    alarms_ring: bool,
    walker: Walker<MailboxObserver>,
    looked: TrueTime,
    open: bool,
}

impl MailWatch {
    fn new(context: &Context) -> Self {
        let agents = context.plan.agents.iter().filter(|agent| {
            agent.mail.as_ref().is_some_and(|mail| mail.by != Transport::Poll)
                && context.plan.machine_of(agent.agent).is_some()
        });
        Self {
            listening: agents.map(|agent| name_of(agent.agent)).collect(),
            alarms_ring: context.alarms.lost_until.get() <= context.now(),
            walker: Walker::new(&context.history.borrow().mail),
            looked: TrueTime(0),
            open: true,
        }
    }

    /// True if somebody still waits for something, and may wait longer.
    fn is_open(&mut self, context: &Context, now: TrueTime) -> bool {
        let latest = context.heals_at().plus_ms(mail_healing_ms(&context.plan));
        if self.listening.is_empty() || !self.alarms_ring || latest <= now {
            return false;
        }
        if self.open && self.looked.plus_ms(LOOK_MS) <= now {
            self.looked = now;
            self.walker.read(&context.history.borrow().mail, &mut []);
            let observer = &self.walker.observer;
            self.open = self.listening.iter().any(|agent| open_mail(observer, agent).is_some());
        }
        self.open
    }
}

/// The one number that a query answers; 0 if there is none.
fn count<S: Tested>(hosted: &Hosted<S>, sql: &'static str) -> u64 {
    let rows = hosted.with(|instance| {
        let rows = instance.database().query(sql, &[]);
        rows.map(|rows| rows.first().and_then(|row| row.first()).cloned())
    });
    match rows {
        Some(Ok(Some(Value::Integer(rows)))) => u64::try_from(rows).unwrap_or(0),
        _ => 0,
    }
}
