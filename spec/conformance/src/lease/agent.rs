//! A client for concurrent runs: it knows what it was told, and goes on from there.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::subject::Hints;
use mailbus_spec::id::{AgentId, Holder, RequestId, SessionId};
use mailbus_spec::lease::{Acquire, Command, LeaseMachine, LeaseReply, Outcome, ReleaseTarget};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::path::{LeasePath, PathSet};
use mailbus_spec::time::{Ttl, Wait};

const PATHS: [&str; 8] = ["a", "b", "c", "d", "src/e", "src/f", "src/g", "src/h"];
const TTLS_MS: [u64; 4] = [40, 200, 1_000, 5_000];
const WAITS_MS: [u64; 2] = [1_000, 3_000];

/// Knowledge of its one request, by what it last heard.
#[derive(Clone, Debug)]
enum Known {
    Nothing,
    Waiting(Acquire),
    Holding(Acquire, Ordinal),
}

/// One agent among many on eight paths, with leases of milliseconds to seconds. It has one request at
/// a time, which it renews, releases, cancels, verifies and now and then has forced.
#[derive(Clone, Debug)]
pub struct Agent {
    holder: Holder,
    requests: u32,
    known: Known,
}

impl Agent {
    /// The agent of this number, which nobody else has.
    ///
    /// # Panics
    /// Never: a number is a valid name.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the names are of this module's making")]
    pub fn new(number: usize) -> Self {
        let agent = AgentId::new(format!("agent-{number}")).expect("a valid name");
        let session = SessionId::new("1").expect("a valid name");
        Self { holder: Holder { agent, session }, requests: 0, known: Known::Nothing }
    }

    /// All paths that agents ask for.
    #[must_use]
    pub fn paths() -> Vec<LeasePath> {
        PATHS.iter().filter_map(|text| LeasePath::new(text).ok()).collect()
    }

    /// Name of it.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Command that it asks next.
    pub fn next(&mut self, random: &mut ChaCha8Rng) -> Command {
        self.draw(random).unwrap_or_else(LeaseMachine::probe)
    }

    fn draw(&mut self, random: &mut ChaCha8Rng) -> Option<Command> {
        let drawn = random.random_range(0..100_u32);
        let holder = self.holder.clone();
        Some(match &self.known {
            Known::Nothing if drawn < 75 => return self.acquire(random),
            Known::Waiting(acquire) if drawn < 50 => Command::Acquire(acquire.clone()),
            Known::Waiting(acquire) if drawn < 65 => {
                Command::Cancel { holder, request: acquire.request()?.clone() }
            }
            Known::Holding(acquire, _) if drawn < 5 => {
                Command::Cancel { holder, request: acquire.request()?.clone() }
            }
            Known::Holding(acquire, _) if drawn < 10 => Command::Acquire(acquire.clone()),
            Known::Holding(_, token) if drawn < 35 => {
                Command::Renew { holder, token: *token, ttl: ttl(random)?, drain: drawn % 2 == 0 }
            }
            Known::Holding(_, token) if drawn < 65 => {
                Command::Release { holder, target: ReleaseTarget::Token(*token) }
            }
            Known::Holding(acquire, token) if drawn < 75 => {
                let path = acquire.paths().as_slice().first()?.clone();
                Command::Verify { path, token: *token }
            }
            Known::Holding(_, token) if drawn < 80 => Command::ForceRelease {
                token: *token,
                reason: String::from("make way"),
                drain: drawn % 2 == 0,
            },
            _ if drawn < 95 => Command::Status { path: path(random)? },
            _ => Command::List { prefix: String::from("src/"), after: None, limit: 3 },
        })
    }

    /// Takes note of what it was answered.
    pub fn learn(&mut self, command: &Command, reply: &LeaseReply) {
        self.known = match (command, &reply.answer) {
            (Command::Acquire(acquire), Ok(Outcome::Granted { token, .. })) => {
                Known::Holding(acquire.clone(), *token)
            }
            (Command::Acquire(acquire), Ok(Outcome::Queued { .. })) => {
                Known::Waiting(acquire.clone())
            }
            (Command::Renew { .. }, Ok(Outcome::Renewed { .. }))
            | (Command::ForceRelease { drain: true, .. }, _)
            | (Command::Status { .. } | Command::List { .. } | Command::Verify { .. }, _) => return,
            _ => Known::Nothing,
        };
    }

    fn acquire(&mut self, random: &mut ChaCha8Rng) -> Option<Command> {
        self.requests += 1;
        let request = RequestId::new(format!("r{}", self.requests)).ok()?;
        let count = random.random_range(1..=2);
        let paths: Option<Vec<LeasePath>> = (0..count).map(|_| path(random)).collect();
        let paths = PathSet::new(paths?).ok()?;
        let waits = random.random_bool(0.6);
        let wait = if waits { Wait::from_ms(*WAITS_MS.choose(random)?) } else { None };
        let holder = self.holder.clone();
        let acquire = Acquire::new(holder, Some(request), paths, ttl(random)?, wait);
        acquire.ok().map(Command::Acquire)
    }
}

fn path(random: &mut ChaCha8Rng) -> Option<LeasePath> {
    LeasePath::new(PATHS.choose(random)?).ok()
}

fn ttl(random: &mut ChaCha8Rng) -> Option<Ttl> {
    Ttl::from_ms(*TTLS_MS.choose(random)?)
}
