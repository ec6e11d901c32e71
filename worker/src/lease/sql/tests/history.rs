//! Histories in a world small enough that everything meets everything.

use mailbus_spec::lease::{Acquire, Command, ReleaseTarget};
use mailbus_spec::{
    AgentId, Holder, HostTime, LeasePath, Ordinal, PathSet, RequestId, SessionId, Ttl, Wait,
};
use proptest::prelude::*;

pub(super) const NOON: u64 = 1_800_000_000_000;
const YEAR: i64 = 31_557_600_000;

/// One event, legal in every state.
#[derive(Clone, Debug)]
pub(super) struct Op {
    /// How the host's clock moves before it, in milliseconds.
    pub clock_ms: i64,
    /// True if the object loses its memory before it.
    pub evicted: bool,
    /// Statement of it that fails the first time it is tried.
    pub failing_statement: Option<u64>,
    /// What happens.
    pub action: Action,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Alarm,
    Command(Ask),
}

/// What has happened so far that a command can refer to.
#[derive(Default)]
pub(super) struct Past {
    /// The tokens granted, and to whom.
    pub granted: Vec<(Ordinal, Holder)>,
    /// The acquisitions asked for.
    pub asked: Vec<Acquire>,
}

/// A command whose token is the `n`-th last granted. A holder beyond the fourth is that token's own.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Acquire {
        holder: usize,
        request: usize,
        paths: u8,
        ttl_ms: u64,
        wait_ms: Option<u64>,
    },
    /// The `n`-th last acquisition again.
    Again {
        back: usize,
    },
    Renew {
        holder: usize,
        token: usize,
        ttl_ms: u64,
    },
    Release {
        holder: usize,
        token: usize,
    },
    ReleasePath {
        holder: usize,
        path: u8,
    },
    Cancel {
        holder: usize,
        request: usize,
    },
    Status {
        path: u8,
    },
    List {
        prefix: &'static str,
        after: Option<u8>,
        limit: usize,
    },
    Verify {
        path: u8,
        token: usize,
    },
    Force {
        token: usize,
        drain: bool,
    },
    Recover {
        token: usize,
        ahead_ms: u64,
    },
}

const PATHS: [&str; 4] =
    ["a", "a/b", "c", "src/a-longer-path/that-no-row-keeps-whole-once-it-is-over.rs"];

fn path(bit: u8) -> LeasePath {
    LeasePath::new(PATHS[usize::from(bit) % PATHS.len()]).unwrap()
}

fn set(bits: u8) -> PathSet {
    let chosen: Vec<_> = (0..4).filter(|bit| bits & (1 << bit) != 0).map(path).collect();
    PathSet::new(chosen).unwrap_or_else(|_| PathSet::one(path(0)))
}

fn holder(number: usize) -> Holder {
    let (agent, session) = [("ann", ""), ("ann", "s1"), ("bob", "s1"), ("cyd", "")][number % 4];
    Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new(session).unwrap() }
}

fn request(number: usize) -> Option<RequestId> {
    (number < 3).then(|| RequestId::new(format!("r{number}")).unwrap())
}

impl Ask {
    /// The command, given what happened before.
    pub fn command(&self, past: &Past) -> Command {
        let nth_last = |length: usize, back: usize| length.checked_sub(1 + back);
        let grant = |back| past.granted.get(nth_last(past.granted.len(), back)?);
        let token = |back| grant(back).map_or(Ordinal::new(7).unwrap(), |(token, _)| *token);
        let owner = |number: usize, back: usize| match grant(back) {
            Some((_, owner)) if number >= 4 => owner.clone(),
            _ => holder(number),
        };
        let ttl = |ms| Ttl::from_ms(ms).unwrap();
        match *self {
            Self::Acquire { holder: who, request: name, paths, ttl_ms, wait_ms } => {
                let who = holder(who);
                let name = request(name).or_else(|| {
                    let needs = !who.session.is_original() || wait_ms.is_some();
                    needs.then(|| RequestId::new("r0").unwrap())
                });
                let wait = wait_ms.map(|ms| Wait::from_ms(ms).unwrap());
                let acquire = Acquire::new(who, name, set(paths), ttl(ttl_ms), wait);
                Command::Acquire(acquire.unwrap())
            }
            Self::Again { back } => {
                let asked = nth_last(past.asked.len(), back).and_then(|at| past.asked.get(at));
                let status = || Command::Status { path: path(0) };
                asked.cloned().map_or_else(status, Command::Acquire)
            }
            Self::Renew { holder: who, token: back, ttl_ms } => {
                Command::Renew { holder: owner(who, back), token: token(back), ttl: ttl(ttl_ms) }
            }
            Self::Release { holder: who, token: back } => {
                let target = ReleaseTarget::Token(token(back));
                Command::Release { holder: owner(who, back), target }
            }
            Self::ReleasePath { holder: who, path: bit } => {
                Command::Release { holder: holder(who), target: ReleaseTarget::Path(path(bit)) }
            }
            Self::Cancel { holder: who, request: name } => {
                let request = request(name % 3).unwrap();
                Command::Cancel { holder: holder(who), request }
            }
            Self::Status { path: bit } => Command::Status { path: path(bit) },
            Self::List { prefix, after, limit } => {
                Command::List { prefix: prefix.to_owned(), after: after.map(path), limit }
            }
            Self::Verify { path: bit, token: back } => {
                Command::Verify { path: path(bit), token: token(back) }
            }
            Self::Force { token: back, drain } => {
                Command::ForceRelease { token: token(back), reason: "because".to_owned(), drain }
            }
            Self::Recover { token: back, ahead_ms } => {
                let at_least = token(back).get() + (ahead_ms << Ordinal::SHIFT);
                Command::Recover { at_least: Ordinal::new(at_least).unwrap() }
            }
        }
    }
}

/// What the host's clock says at an event before which it moved by `by_ms`, and from then on: a
/// clock that cannot be is a matter of one event.
pub(super) fn moved(host: HostTime, by_ms: i64) -> (HostTime, HostTime) {
    let at = HostTime(host.0.saturating_add_signed(by_ms));
    (at, if at.is_plausible() { at } else { host })
}

fn ask() -> impl Strategy<Value = Ask> {
    let ttl = prop::sample::select(vec![1, 5_000, 20_000, 40_000, 90_000, 86_400_000]);
    let wait = prop::sample::select(vec![None, None, Some(1_000), Some(20_000), Some(600_000)]);
    let acquire = (0..4usize, 0..4usize, 1..16u8, ttl.clone(), wait).prop_map(
        |(holder, request, paths, ttl_ms, wait_ms)| Ask::Acquire {
            holder,
            request,
            paths,
            ttl_ms,
            wait_ms,
        },
    );
    // A second strategy asks for small sets, so that grants are not rare.
    let small = (0..4usize, 0..4usize, 0..4u8, ttl.clone(), prop::bool::ANY).prop_map(
        |(holder, request, bit, ttl_ms, waits)| Ask::Acquire {
            holder,
            request,
            paths: 1 << bit,
            ttl_ms,
            wait_ms: waits.then_some(20_000),
        },
    );
    prop_oneof![
        9 => acquire,
        15 => small,
        10 => (0..5usize).prop_map(|back| Ask::Again { back }),
        8 => (0..8usize, 0..3usize, ttl)
            .prop_map(|(holder, token, ttl_ms)| Ask::Renew { holder, token, ttl_ms }),
        8 => (0..8usize, 0..4usize).prop_map(|(holder, token)| Ask::Release { holder, token }),
        1 => (0..4usize, 0..4u8).prop_map(|(holder, path)| Ask::ReleasePath { holder, path }),
        5 => (0..4usize, 0..3usize).prop_map(|(holder, request)| Ask::Cancel { holder, request }),
        1 => (0..4u8).prop_map(|path| Ask::Status { path }),
        1 => (
            prop::sample::select(vec!["", "a", "a/", "src/", "z"]),
            prop::option::of(0..4u8),
            0..4usize,
        )
            .prop_map(|(prefix, after, limit)| Ask::List { prefix, after, limit }),
        1 => (0..4u8, 0..3usize).prop_map(|(path, token)| Ask::Verify { path, token }),
        4 => (0..3usize, prop::bool::ANY).prop_map(|(token, drain)| Ask::Force { token, drain }),
        1 => (0..2usize, prop::sample::select(vec![0, 1_000, 100_000, 4_000_000]))
            .prop_map(|(token, ahead_ms)| Ask::Recover { token, ahead_ms }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let clock_ms = prop_oneof![
        24 => prop::sample::select(vec![0, 0, 1, 300, 1_000, 5_000]),
        4 => prop::sample::select(vec![20_000, 30_000, 60_000, 119_999, 120_000, 185_000]),
        1 => prop::sample::select(vec![
            -1, -1_000, -59_999, -60_001, -90_000, -4_000_000, YEAR, -YEAR, 200 * YEAR, -200 * YEAR,
        ]),
    ];
    let action = prop_oneof![1 => Just(Action::Alarm), 9 => ask().prop_map(Action::Command)];
    let failing = prop::option::weighted(0.2, 1..6u64);
    (clock_ms, prop::bool::weighted(0.15), failing, action).prop_map(
        |(clock_ms, evicted, failing_statement, action)| Op {
            clock_ms,
            evicted,
            failing_statement,
            action,
        },
    )
}

/// Histories of up to `most` events; the shrinker deletes down to none.
pub(super) fn history(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 0..=most)
}
