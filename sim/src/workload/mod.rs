//! What agents do: the plan's operations, each a story of its own on the agent's one client.

mod lease;
pub(crate) mod mailbox;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mailbus_client::lease::{Lease, LeaseClient};
use mailbus_spec::Holder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::TrueTime;
use crate::plan::{Action, Operation, path};
use crate::workload::mailbox::Process;
use crate::world::Context;
use crate::world::hosts::{AgentClocks, sleep_until};

/// The client of a simulated agent.
pub(crate) type Client = LeaseClient<Rc<AgentClocks>>;
/// Lease that it holds.
pub(crate) type Guard = Lease<Rc<AgentClocks>>;

/// One agent at work.
#[derive(Clone)]
pub(crate) struct Agent {
    pub context: Rc<Context>,
    pub client: Client,
    pub holder: Holder,
    /// Its mail, if it gets any.
    pub mailbox: Option<Process>,
    random: Rc<RefCell<ChaCha8Rng>>,
}

/// Everything that one run of an agent does. What was planned for before its beginning does not
/// happen.
pub(crate) async fn work(
    context: Rc<Context>,
    client: Client,
    holder: Holder,
    mailbox: Option<Process>,
    (number, seed): (u8, u64),
) {
    let random = Rc::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed)));
    let agent = Agent { context: Rc::clone(&context), client, holder, mailbox, random };
    let began = context.now();
    let own = context.plan.operations.iter().enumerate().filter(|(_, operation)| {
        operation.agent == number && began <= TrueTime::from_ms(operation.at_ms)
    });
    let mut stories: FuturesUnordered<_> = own
        .map(|(index, operation)| perform(agent.clone(), index, operation.clone()).boxed_local())
        .collect();
    stories.push(lease::probe(agent.clone(), number).boxed_local());
    if let Some(process) = agent.mailbox.clone() {
        stories.push(mailbox::probe(process.clone()).boxed_local());
        stories.push(mailbox::receive(process).boxed_local());
    }
    while stories.next().await.is_some() {}
}

async fn perform(agent: Agent, index: usize, operation: Operation) {
    let at = TrueTime::from_ms(operation.at_ms);
    sleep_until(&agent.context, at).await;
    if agent.context.heals_at() <= agent.context.now() {
        return;
    }
    agent.context.history.borrow_mut().operations += 1;
    match operation.action {
        Action::Hold { renew: true, .. } => lease::hold::hold(&agent, &operation.action).await,
        Action::Hold { renew: false, .. } => {
            lease::manual::hold(&agent, index, &operation.action).await;
        }
        Action::Status { path: number } => lease::query::status(&agent, &path(number)).await,
        Action::Verify { path: number } => lease::query::verify(&agent, &path(number)).await,
        Action::List => lease::query::list(&agent).await,
        Action::Force { path: number, drain } => {
            lease::query::force(&agent, &path(number), drain).await;
        }
        Action::Original { path: number, ttl_ms, hold_ms } => {
            lease::original::hold(&agent, &path(number), ttl_ms, hold_ms).await;
        }
        Action::Mail(action) => mailbox::perform(&agent, index, &action).await,
    }
}

impl Agent {
    /// Lets a span of true time pass, or less if the world heals.
    async fn pause_until_heal(&self, span: Duration) {
        let now = self.context.now();
        let span_us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let until = TrueTime(now.0.saturating_add(span_us)).min(self.context.heals_at().max(now));
        sleep_until(&self.context, until).await;
    }

    /// Time for which a write is on its way to its resource.
    fn way_of_a_write(&self) -> Duration {
        Duration::from_micros(self.random.borrow_mut().random_range(0..=60_000))
    }

    fn heals(&self) -> bool {
        self.context.heals_at() <= self.context.now()
    }
}
