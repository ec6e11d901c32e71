//! Stories of agents: the plan's operations, each a story of its own on the agent's one client.

mod agent;
mod lease;
pub(crate) mod mailbox;

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mailbus_spec::Holder;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::clock::TrueTime;
use crate::plan::{Action, Operation, path};
use crate::workload::agent::{Agent, Client};
use crate::workload::mailbox::process::Process;
use crate::world::Context;

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
    agent.context.sleep_until(at).await;
    if agent.context.has_healed() {
        return;
    }
    agent.context.history.borrow_mut().operations += 1;
    match operation.action {
        Action::Hold { renew: true, .. } => lease::hold::hold(&agent, &operation.action).await,
        Action::Hold { renew: false, .. } => {
            lease::manual::hold(&agent, index, &operation.action).await;
        }
        Action::Status { path: number } => {
            lease::status(&agent, &path(number, &agent.holder.agent)).await
        }
        Action::Verify { path: number } => {
            lease::verify(&agent, &path(number, &agent.holder.agent)).await
        }
        Action::List => lease::list(&agent).await,
        Action::Force { path: number, drain } => {
            lease::force(&agent, &path(number, &agent.holder.agent), drain).await;
        }
        Action::Original { path: number, ttl_ms, hold_ms } => {
            lease::hold_as_original(&agent, &path(number, &agent.holder.agent), ttl_ms, hold_ms)
                .await;
        }
        Action::Mail(action) => {
            if let Some(process) = &agent.mailbox {
                mailbox::perform(process, index, &action).await;
            }
        }
    }
}
