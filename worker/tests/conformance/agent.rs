//! A client that knows what it was told and goes on from there.

use mailbus_spec::lease::{Acquire, Command, LeaseReply, Outcome, ReleaseTarget};
use mailbus_spec::{
    AgentId, Holder, LeasePath, Ordinal, PathSet, RequestId, SessionId, Ttl, Wait,
};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::native::Way;

const PATHS: [&str; 8] = ["a", "b", "c", "d", "src/e", "src/f", "src/g", "src/h"];
const TTLS_MS: [u64; 4] = [40, 200, 1_000, 5_000];
const WAITS_MS: [u64; 2] = [1_000, 3_000];

/// What it last heard of its one request.
enum Known {
    Nothing,
    Waiting(Acquire),
    Holding(Acquire, Ordinal),
}

/// One agent.
pub struct Agent {
    pub holder: Holder,
    pub way: Way,
    requests: u32,
    known: Known,
}

impl Agent {
    pub fn new(index: usize, way: Way) -> Self {
        let agent = AgentId::new(format!("agent-{index}")).expect("a valid name");
        let session = SessionId::new("1").expect("a valid name");
        Self { holder: Holder { agent, session }, way, requests: 0, known: Known::Nothing }
    }

    /// What it asks next.
    pub fn next(&mut self, random: &mut ChaCha8Rng) -> Command {
        let drawn = random.random_range(0..100_u32);
        match &self.known {
            Known::Nothing if drawn < 75 => self.acquire(random),
            Known::Waiting(acquire) if drawn < 50 => Command::Acquire(acquire.clone()),
            Known::Waiting(acquire) if drawn < 65 => self.cancel(acquire),
            Known::Holding(acquire, _) if drawn < 5 => self.cancel(acquire),
            Known::Holding(acquire, _) if drawn < 10 => Command::Acquire(acquire.clone()),
            Known::Holding(_, token) if drawn < 35 => {
                Command::Renew { holder: self.holder.clone(), token: *token, ttl: ttl(random) }
            }
            Known::Holding(_, token) if drawn < 65 => Command::Release {
                holder: self.holder.clone(),
                target: ReleaseTarget::Token(*token),
            },
            Known::Holding(acquire, token) if drawn < 75 => {
                let path = acquire.paths().as_slice()[0].clone();
                Command::Verify { path, token: *token }
            }
            Known::Holding(_, token) if drawn < 80 => Command::ForceRelease {
                token: *token,
                reason: "make way".to_owned(),
                drain: drawn % 2 == 0,
            },
            _ if drawn < 95 => Command::Status { path: path(random) },
            _ => Command::List { prefix: "src/".to_owned(), after: None, limit: 3 },
        }
    }

    /// Takes note of what it was answered.
    pub fn learn(&mut self, command: &Command, reply: &LeaseReply) {
        let known = match (command, &reply.answer) {
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
        self.known = known;
    }

    fn acquire(&mut self, random: &mut ChaCha8Rng) -> Command {
        self.requests += 1;
        let request = RequestId::new(format!("r{}", self.requests)).expect("a valid name");
        let count = random.random_range(1..=2);
        let paths = (0..count).map(|_| path(random)).collect();
        let paths = PathSet::new(paths).expect("one or two paths");
        let waits = random.random_bool(0.6);
        let wait = waits.then(|| Wait::from_ms(*WAITS_MS.choose(random).expect("some")));
        let holder = self.holder.clone();
        let acquire = Acquire::new(holder, Some(request), paths, ttl(random), wait.flatten());
        Command::Acquire(acquire.expect("the request is named"))
    }

    fn cancel(&self, acquire: &Acquire) -> Command {
        let request = acquire.request().expect("every request is named").clone();
        Command::Cancel { holder: self.holder.clone(), request }
    }
}

fn path(random: &mut ChaCha8Rng) -> LeasePath {
    LeasePath::new(PATHS.choose(random).expect("some")).expect("a valid path")
}

fn ttl(random: &mut ChaCha8Rng) -> Ttl {
    Ttl::from_ms(*TTLS_MS.choose(random).expect("some")).expect("within the bounds")
}
