//! Random lease commands from a world so small that claims meet: five holders, four paths in two spellings
//! each, three request ids each.

use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, RngExt};

use crate::subject::{Generate, Hints, Pace};
use mailbus_spec::id::{AgentId, Holder, RequestId, SessionId};
use mailbus_spec::lease::{Acquire, Command, LeaseMachine, ReleaseTarget};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::path::{LeasePath, PathSet};
use mailbus_spec::time::{HostTime, Ttl, Wait};

const HOLDERS: [(&str, &str); 5] =
    [("alice", "1"), ("alice", "2"), ("bob", "1"), ("carol", "1"), ("dave", "")];
const PATHS: [&str; 8] = ["a", "A", "b", "B", "c", "C", "src/d", "Src/D"];
const REQUESTS: [&str; 3] = ["r1", "r2", "r3"];
const LONG_TTLS_MS: [u64; 7] = [1, 500, 5_000, 20_000, 30_000, 60_000, 86_400_000];
const LONG_WAITS_MS: [u64; 4] = [1_000, 5_000, 30_000, 600_000];
const SHORT_TTLS_MS: [u64; 6] = [1, 5, 20, 60, 150, 5_000];
const SHORT_WAITS_MS: [u64; 2] = [1_000, 30_000];

impl Generate for LeaseMachine {
    /// Drawn so that most touch something that is there.
    fn generate(&self, random: &mut impl Rng, pace: Pace) -> Command {
        let drawn = match random.random_range(0..100_u32) {
            0..=41 => acquire(random, pace),
            42..=51 => repeat(self, random),
            52..=61 => renew(self, random, pace),
            62..=73 => release(self, random),
            74..=80 => cancel(random),
            81..=84 => some_path(random).map(|path| Command::Status { path }),
            85..=86 => list(random),
            87 => Some(tickets(self, random)),
            88..=91 => verify(self, random),
            92..=96 => force_release(self, random),
            97..=98 => Some(force_ticket(self, random)),
            _ => recover(self, random, pace),
        };
        drawn.unwrap_or_else(Self::probe)
    }

    fn peers_of_the_small_world() -> Vec<Holder> {
        let holder = |(agent, session)| {
            Some(Holder {
                agent: AgentId::new(agent).ok()?,
                session: SessionId::new(session).ok()?,
            })
        };
        HOLDERS.into_iter().filter_map(holder).collect()
    }
}

fn some_path(random: &mut impl Rng) -> Option<LeasePath> {
    PATHS.choose(random).and_then(|text| LeasePath::new(text).ok())
}

fn some_request(random: &mut impl Rng) -> Option<RequestId> {
    REQUESTS.choose(random).and_then(|text| RequestId::new(*text).ok())
}

fn some_holder(random: &mut impl Rng) -> Option<Holder> {
    LeaseMachine::peers_of_the_small_world().into_iter().choose(random)
}

fn some_ttl(random: &mut impl Rng, pace: Pace) -> Option<Ttl> {
    let choices: &[u64] = match pace {
        Pace::Long => &LONG_TTLS_MS,
        Pace::Short => &SHORT_TTLS_MS,
    };
    choices.choose(random).copied().and_then(Ttl::from_ms)
}

fn some_wait(random: &mut impl Rng, pace: Pace) -> Option<Wait> {
    let choices: &[u64] = match pace {
        Pace::Long => &LONG_WAITS_MS,
        Pace::Short => &SHORT_WAITS_MS,
    };
    choices.choose(random).copied().and_then(Wait::from_ms)
}

/// A token: mostly a live one, sometimes one that is over, sometimes one that never was.
fn some_token(state: &LeaseMachine, random: &mut impl Rng) -> Ordinal {
    let remembered = || state.remembered.values().filter_map(|over| over.token);
    let drawn = match random.random_range(0..10_u32) {
        0..=6 => state.leases.keys().copied().choose(random),
        7..=8 => remembered().choose(random),
        _ => None,
    };
    drawn.unwrap_or(state.last_token)
}

fn acquire(random: &mut impl Rng, pace: Pace) -> Option<Command> {
    let holder = some_holder(random)?;
    let named = !holder.session.is_original() || random.random_bool(0.3);
    let request = if named { Some(some_request(random)?) } else { None };
    let count = *[1, 1, 1, 2, 2, 3].choose(random)?;
    let paths: Vec<LeasePath> = (0..count).filter_map(|_| some_path(random)).collect();
    let ttl = some_ttl(random, pace)?;
    let waits = named && random.random_bool(0.7);
    let wait = if waits { some_wait(random, pace) } else { None };
    let paths = PathSet::new(paths).ok()?;
    Acquire::new(holder, request, paths, ttl, wait).ok().map(Command::Acquire)
}

/// The same acquisition again: of a live lease, of a ticket, or of one that is over.
fn repeat(state: &LeaseMachine, random: &mut impl Rng) -> Option<Command> {
    use mailbus_spec::lease::state::ClaimName;
    let leases = state.leases.values().map(|lease| (&lease.key, Some(&lease.content)));
    let over = state.remembered.iter().map(|(key, over)| (key, over.content.as_ref()));
    let known = leases.chain(over).filter_map(|(key, content)| match (&key.name, content) {
        (ClaimName::Request(request), Some(content)) => {
            Some((key.holder.clone(), request.clone(), content.clone()))
        }
        _ => None,
    });
    let tickets = state
        .queue
        .values()
        .map(|ticket| (ticket.holder.clone(), ticket.request.clone(), ticket.content.clone()));
    let (holder, request, content) = if random.random_bool(0.6) {
        tickets.choose(random).or_else(|| known.choose(random))?
    } else {
        known.choose(random)?
    };
    Acquire::new(holder, Some(request), content.paths, content.ttl, content.wait)
        .ok()
        .map(Command::Acquire)
}

/// The holder of a token, or now and then somebody else.
fn holder_of(state: &LeaseMachine, token: Ordinal, random: &mut impl Rng) -> Option<Holder> {
    let live = state.leases.get(&token).map(|lease| lease.key.holder.clone());
    let over = || {
        let found = state.remembered.iter().find(|(_, over)| over.token == Some(token));
        found.map(|(key, _)| key.holder.clone())
    };
    let owner = live.or_else(over).filter(|_| random.random_bool(0.9));
    owner.or_else(|| some_holder(random))
}

fn renew(state: &LeaseMachine, random: &mut impl Rng, pace: Pace) -> Option<Command> {
    let token = some_token(state, random);
    let holder = holder_of(state, token, random)?;
    let drain = random.random_bool(0.5);
    Some(Command::Renew { holder, token, ttl: some_ttl(random, pace)?, drain })
}

fn release(state: &LeaseMachine, random: &mut impl Rng) -> Option<Command> {
    let token = some_token(state, random);
    let holder = holder_of(state, token, random)?;
    let by_path = holder.session.is_original() && random.random_bool(0.5);
    let target =
        if by_path { ReleaseTarget::Path(some_path(random)?) } else { ReleaseTarget::Token(token) };
    Some(Command::Release { holder, target })
}

fn cancel(random: &mut impl Rng) -> Option<Command> {
    Some(Command::Cancel { holder: some_holder(random)?, request: some_request(random)? })
}

fn list(random: &mut impl Rng) -> Option<Command> {
    let prefix = ["", "", "s", "src/", "a"].choose(random)?;
    let after = if random.random_bool(0.3) { some_path(random) } else { None };
    Some(Command::List { prefix: String::from(*prefix), after, limit: random.random_range(1..=5) })
}

fn verify(state: &LeaseMachine, random: &mut impl Rng) -> Option<Command> {
    Some(Command::Verify { path: some_path(random)?, token: some_token(state, random) })
}

fn force_release(state: &LeaseMachine, random: &mut impl Rng) -> Option<Command> {
    let token = some_token(state, random);
    let reason = String::from(*["", "make way"].choose(random)?);
    Some(Command::ForceRelease { token, reason, drain: random.random_bool(0.6) })
}

/// A page of tickets, mostly after one that waits.
fn tickets(state: &LeaseMachine, random: &mut impl Rng) -> Command {
    let after = state.queue.keys().copied().choose(random);
    let after = after.filter(|_| random.random_bool(0.7)).unwrap_or(0);
    let prefix = String::from(if random.random_bool(0.5) { "" } else { "b" });
    Command::Tickets { prefix, after, limit: random.random_range(1..=3) }
}

/// The end of a ticket: mostly of one that waits, sometimes of what never did, or in another generation.
fn force_ticket(state: &LeaseMachine, random: &mut impl Rng) -> Command {
    let arrival = state.queue.keys().copied().choose(random).unwrap_or(state.sequence);
    let generation = state.generation + u64::from(random.random_bool(0.1));
    Command::ForceTicket { arrival, generation }
}

/// A recovery near what was issued: from a minute behind to, under exact time, a minute ahead.
fn recover(state: &LeaseMachine, random: &mut impl Rng, pace: Pace) -> Option<Command> {
    let last = state.last_token.anchor_ms();
    let ahead = match pace {
        Pace::Long => 60_000,
        Pace::Short => 0,
    };
    let anchor = random.random_range(last.saturating_sub(60_000)..=last.saturating_add(ahead));
    let at_least = Ordinal::ZERO.next(HostTime(anchor))?;
    HostTime(anchor).is_plausible().then_some(Command::Recover { at_least })
}
