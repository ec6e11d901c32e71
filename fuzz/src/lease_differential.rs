//! Any bytes as a history of the lease object: production answers what the specification answers.

use arbitrary::{Arbitrary, Unstructured};
use mailbus_spec::invariant::Transition;
use mailbus_spec::lease::{Acquire, Command, LeaseMachine, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, RequestId, SessionId, StateMachine,
    Ttl, Wait,
};
use mailbus_worker::lease::SqlLeases;
use mailbus_worker::machine::Machine;
use mailbus_worker::native::sqlite::Database;

use crate::spare::{Spare, with_database};

const NOON: u64 = 1_800_000_000_000;
const LONGEST: usize = 200;

thread_local! {
    static SPARE: Spare = const { Spare::new(None) };
}

/// One event. Names are drawn from so few that everything meets everything.
#[derive(Arbitrary, Debug)]
struct Happening {
    clock: ClockMove,
    eviction: u8,
    what: What,
}

impl Happening {
    /// Eviction of the object before the event. Seldom: most of what it does in memory shows only when it
    /// has done it for a while.
    fn evicts(&self) -> bool {
        self.eviction < 32
    }
}

#[derive(Arbitrary, Debug)]
enum ClockMove {
    Stands,
    Milliseconds(u8),
    Seconds(u8),
    Minutes(u8),
    Back(u8),
    FarBack,
}

#[derive(Arbitrary, Debug)]
enum What {
    Alarm,
    Acquire { who: u8, request: u8, paths: u8, ttl_s: u8, wait_s: Option<u8> },
    Renew { who: u8, back: u8, ttl_s: u8 },
    Release { who: u8, back: u8 },
    ReleasePath { who: u8, path: u8 },
    Cancel { who: u8, request: u8 },
    Status { path: u8 },
    Verify { path: u8, back: u8 },
    List { after: Option<u8>, limit: u8 },
    Force { back: u8, drain: bool },
    Recover { ahead_ms: u16 },
}

/// Runs the history on both.
///
/// # Panics
/// If production answers anything else than the specification, or an invariant does not hold.
pub fn run(bytes: &[u8]) {
    with_database(bytes.len(), &SPARE, make_tables, |mut database| {
        history(bytes, &mut database);
        Some(database)
    });
}

fn make_tables(database: &mut Database) {
    let event = Event::Command(Command::Recover { at_least: Ordinal::ZERO });
    let made = SqlLeases::wake(None, Vec::new()).handle(database, HostTime(NOON), &event);
    made.expect("a database in memory can be written");
}

fn history(bytes: &[u8], database: &mut Database) {
    let mut input = Unstructured::new(bytes);
    let mut host = NOON;
    let mut model = LeaseMachine::default();
    let mut production = SqlLeases::wake(None, Vec::new());
    let mut pending = None;
    for number in 0..LONGEST {
        if input.is_empty() {
            return;
        }
        let Ok(happening) = Happening::arbitrary(&mut input) else { return };
        host = moved(host, &happening.clock);
        if happening.evicts() {
            production = SqlLeases::wake(pending, Vec::new());
        }
        let event = event(&happening.what, &model);
        if event == Event::Alarm {
            pending = None;
        }
        let before = model.clone();
        let step = model.handle(HostTime(host), &event);
        let handled =
            database.transact(|storage| production.handle(storage, HostTime(host), &event));
        let handled = handled.unwrap_or_else(|error| panic!("event {number}, {event:?}: {error}"));
        assert_eq!(handled.step, step, "event {number}: {event:?}");
        pending = handled.alarm.or(pending);
        let transition = Transition {
            before: &before,
            host: HostTime(host),
            event: &event,
            step: &step,
            after: &model,
        };
        if let Err((name, why)) = transition.check(None) {
            panic!("event {number}, {event:?}: {name}: {why}");
        }
    }
}

fn moved(host: u64, clock: &ClockMove) -> u64 {
    match clock {
        ClockMove::Stands => host,
        ClockMove::Milliseconds(n) => host + u64::from(*n),
        ClockMove::Seconds(n) => host + u64::from(*n) * 1_000,
        ClockMove::Minutes(n) => host + u64::from(*n) * 60_000,
        ClockMove::Back(n) => host - u64::from(*n) * 500,
        ClockMove::FarBack => host - 90_000,
    }
}

fn holder(who: u8) -> Holder {
    let (agent, session) =
        [("ann", ""), ("ann", "s1"), ("bob", "s1"), ("cyd", "")][usize::from(who % 4)];
    Holder {
        agent: AgentId::new(agent).expect("a name"),
        session: SessionId::new(session).expect("a name"),
    }
}

fn path(n: u8) -> LeasePath {
    LeasePath::new(["a", "a/b", "c"][usize::from(n % 3)]).expect("a path")
}

fn request(n: u8) -> RequestId {
    RequestId::new(["r0", "r1", "r2"][usize::from(n % 3)]).expect("a name")
}

fn seconds(n: u8) -> Ttl {
    Ttl::from_ms(u64::from(n.max(1)) * 1_000).expect("within the bounds")
}

/// The `back`-th last token that is live or remembered, or one that never was.
fn token(model: &LeaseMachine, back: u8) -> Ordinal {
    let live = model.leases.keys().copied();
    let over = model.remembered.values().filter_map(|over| over.token);
    let mut tokens: Vec<Ordinal> = live.chain(over).collect();
    tokens.sort();
    tokens.iter().rev().nth(usize::from(back % 8)).copied().unwrap_or_default()
}

fn event(what: &What, model: &LeaseMachine) -> Event<Command> {
    Event::Command(match what {
        What::Alarm => return Event::Alarm,
        What::Acquire { who, request: name, paths, ttl_s, wait_s } => {
            acquire(holder(*who), *name, *paths, seconds(*ttl_s), *wait_s)
        }
        What::Renew { who, back, ttl_s } => Command::Renew {
            holder: holder(*who),
            token: token(model, *back),
            ttl: seconds(*ttl_s),
        },
        What::Release { who, back } => Command::Release {
            holder: holder(*who),
            target: ReleaseTarget::Token(token(model, *back)),
        },
        What::ReleasePath { who, path: n } => Command::Release {
            holder: Holder { session: SessionId::original(), ..holder(*who) },
            target: ReleaseTarget::Path(path(*n)),
        },
        What::Cancel { who, request: name } => {
            Command::Cancel { holder: holder(*who), request: request(*name) }
        }
        What::Status { path: n } => Command::Status { path: path(*n) },
        What::Verify { path: n, back } => {
            Command::Verify { path: path(*n), token: token(model, *back) }
        }
        What::List { after, limit } => Command::List {
            prefix: String::new(),
            after: after.map(path),
            limit: usize::from(limit % 4) + 1,
        },
        What::Force { back, drain } => Command::ForceRelease {
            token: token(model, *back),
            reason: "fuzzed".to_owned(),
            drain: *drain,
        },
        What::Recover { ahead_ms } => {
            let floor = model.clock.floor.ms().max(NOON) + u64::from(*ahead_ms);
            Command::Recover { at_least: Ordinal::new(floor << 10).expect("within the bounds") }
        }
    })
}

fn acquire(holder: Holder, name: u8, paths: u8, ttl: Ttl, wait_s: Option<u8>) -> Command {
    let chosen = (0..3).filter(|bit| paths & (1 << bit) != 0).map(path).collect();
    let paths = PathSet::new(chosen).unwrap_or_else(|_| PathSet::one(path(0)));
    let bare = holder.session.is_original() && name % 4 == 3;
    let name = (!bare).then(|| request(name));
    let wait = wait_s.filter(|_| !bare).and_then(|s| Wait::from_ms(u64::from(s.max(1)) * 1_000));
    Command::Acquire(Acquire::new(holder, name, paths, ttl, wait).expect("it names its request"))
}
