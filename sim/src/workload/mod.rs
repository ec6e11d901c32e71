//! What agents do: the plan's operations, each a story of its own on the agent's one client.

mod ask;
mod careless;
mod hold;
pub(crate) mod mail;
mod original;
mod probe;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mailbus_spec::{Holder, LeasePath, PathSet};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::TrueTime;
use crate::engine::Stage;
use crate::engine::agent::Client;
use crate::engine::streams::sleep_until;
use crate::plan::{Action, Operation};
use crate::workload::mail::Mailing;

/// One agent at work.
#[derive(Clone)]
pub(crate) struct Agent {
    pub stage: Rc<Stage>,
    pub client: Client,
    pub holder: Holder,
    /// Its mail, if it gets any.
    pub mailing: Option<Mailing>,
    random: Rc<RefCell<ChaCha8Rng>>,
}

/// The path with this number.
pub(crate) fn path(number: u8) -> LeasePath {
    LeasePath::new(&format!("src/{number}.rs")).expect("a plain path")
}

/// The set of the paths with these numbers.
pub(crate) fn path_set(numbers: &[u8]) -> Option<PathSet> {
    PathSet::new(numbers.iter().copied().map(path).collect()).ok()
}

/// Everything that one run of an agent does. What was planned for before its beginning does not
/// happen.
pub(crate) async fn work(
    stage: Rc<Stage>,
    client: Client,
    holder: Holder,
    mailing: Option<Mailing>,
    (number, seed): (u8, u64),
) {
    let random = Rc::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed)));
    let agent = Agent { stage: Rc::clone(&stage), client, holder, mailing, random };
    let began = stage.now();
    let own = stage.plan.operations.iter().enumerate().filter(|(_, operation)| {
        operation.agent == number && began <= TrueTime::from_ms(operation.at_ms)
    });
    let mut stories: FuturesUnordered<_> = own
        .map(|(index, operation)| perform(agent.clone(), index, operation.clone()).boxed_local())
        .collect();
    stories.push(probe::probe(agent.clone(), number).boxed_local());
    if let Some(mailing) = agent.mailing.clone() {
        stories.push(mail::probe(mailing.clone()).boxed_local());
        stories.push(mail::receive(mailing).boxed_local());
    }
    while stories.next().await.is_some() {}
}

async fn perform(agent: Agent, index: usize, operation: Operation) {
    let at = TrueTime::from_ms(operation.at_ms);
    sleep_until(&agent.stage, at).await;
    if agent.stage.heals_at() <= agent.stage.now() {
        return;
    }
    agent.stage.history.borrow_mut().operations += 1;
    match operation.action {
        Action::Hold { renew: true, .. } => hold::hold(&agent, &operation.action).await,
        Action::Hold { renew: false, .. } => {
            careless::hold(&agent, index, &operation.action).await;
        }
        Action::Status { path: number } => ask::status(&agent, &path(number)).await,
        Action::Verify { path: number } => ask::verify(&agent, &path(number)).await,
        Action::List => ask::list(&agent).await,
        Action::Force { path: number, drain } => ask::force(&agent, &path(number), drain).await,
        Action::Original { path: number, ttl_ms, hold_ms } => {
            original::hold(&agent, &path(number), ttl_ms, hold_ms).await;
        }
        Action::Mail(action) => mail::perform(&agent, index, &action).await,
    }
}

impl Agent {
    /// Lets a span of true time pass, or less if the world heals.
    async fn pause_until_heal(&self, span: Duration) {
        let now = self.stage.now();
        let span_us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let until = TrueTime(now.0.saturating_add(span_us)).min(self.stage.heals_at().max(now));
        sleep_until(&self.stage, until).await;
    }

    /// How long a write is on its way to its resource.
    fn way_of_a_write(&self) -> Duration {
        Duration::from_micros(self.random.borrow_mut().random_range(0..=60_000))
    }

    fn heals(&self) -> bool {
        self.stage.heals_at() <= self.stage.now()
    }
}
