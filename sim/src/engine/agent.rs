//! The processes of agents on a simulated machine.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, select_biased};
use mailbus_client::session::lease::{Config, LeaseSession};
use mailbus_client::transport::{Endpoint, connect};
use mailbus_spec::{AgentId, Holder, SessionId};

use crate::clock::{MachineClocks, TrueTime};
use crate::engine::beliefs::BeliefWatch;
use crate::plan::mail::name_of;
use crate::plan::{FaultKind, MachinePlan};
use crate::workload;
use crate::workload::mailbox::process::Process;
use crate::world::Context;
use crate::world::hosted::workspace;
use crate::world::hosts::{AgentClocks, NAME, PORT, SimulatedNetwork};

/// Time after which a process that a handler killed is started again.
const KILLED_MS: u64 = 1_000;

/// Program of a machine: its agents, each a process of its own.
pub(crate) async fn run_machine(context: Rc<Context>, machine: MachinePlan) -> turmoil::Result {
    let clocks = Rc::new(context.plan.machine_clocks(&machine));
    let agents = context.plan.agents.iter().filter(|agent| agent.machine == machine.machine);
    let runs: FuturesUnordered<_> = agents
        .map(|agent| run_agent(Rc::clone(&context), agent.agent, Rc::clone(&clocks)))
        .collect();
    runs.collect::<Vec<()>>().await;
    std::future::pending().await
}

/// One agent: run after run under the same name.
async fn run_agent(context: Rc<Context>, agent: u8, clocks: Rc<MachineClocks>) {
    loop {
        let began = context.now();
        let crash = context.plan.faults.iter().find_map(|fault| match fault.kind {
            FaultKind::Crash { agent: whose, down_ms } if whose == agent => {
                let at = TrueTime::from_ms(fault.at_ms);
                (began <= at).then(|| (at, at.plus_ms(down_ms)))
            }
            _ => None,
        });
        let mut process =
            Box::pin(run_process(Rc::clone(&context), agent, Rc::clone(&clocks)).fuse());
        let (dies, reborn) = crash.unwrap_or((TrueTime(u64::MAX / 2), TrueTime(0)));
        let mut death = Box::pin(context.sleep_until(dies).fuse());
        let mut killed = Box::pin(context.process_crashes(agent).fuse());
        let reborn = select_biased! {
            // Also past the instant of its death, or it would die of the same fault again.
            () = death => reborn.max(TrueTime(dies.0 + 1_000)),
            () = killed => context.now().plus_ms(KILLED_MS),
            () = process => return,
        };
        context.note(format!("agent       {agent} crashes"));
        drop(process);
        context.give_up_claims(&name_of(agent));
        context.sleep_until(reborn).await;
    }
}

async fn run_process(context: Rc<Context>, agent: u8, clocks: Rc<MachineClocks>) {
    let run = context.next_run(agent);
    let holder = Holder {
        agent: AgentId::new(format!("a{agent}")).expect("a plain name"),
        session: SessionId::new(run.to_string()).expect("a plain name"),
    };
    let seed =
        context.plan.seed.wrapping_mul(1_000_003) ^ (u64::from(agent) << 32) ^ u64::from(run);
    let session =
        LeaseSession::with_rules(holder.clone(), config(seed), seed, (context.sut.client)());
    let endpoint =
        Endpoint::new(&format!("http://{NAME}:{PORT}"), workspace()).expect("a plain address");
    let own = Rc::new(AgentClocks { context: Rc::clone(&context), clocks: Rc::clone(&clocks) });
    let plan = context.plan.agents.iter().find(|plan| plan.agent == agent);
    let mailbox = plan
        .and_then(|plan| plan.mail.clone())
        .map(|plan| Process::new(Rc::clone(&own), agent, run, plan, seed));
    let (client, driver) = connect(session, endpoint, SimulatedNetwork, own);
    let watch = BeliefWatch::new(Rc::clone(&context), client.clone(), clocks, holder.clone());
    let work = workload::work(Rc::clone(&context), client, holder, mailbox, (agent, seed));
    let process = join(driver.run(), work).map(|_| ());
    gated(Rc::clone(&context), context.plan.stopped(agent), watch, process).await;
}

/// Settings of a process's session: some are so impatient that several attempts at one command are
/// under way at a time.
fn config(seed: u64) -> Config {
    let usual = Config::default();
    let attempt_timeout = match (seed ^ (seed >> 32)) % 4 {
        0 => Duration::from_millis(400),
        1 => Duration::from_millis(1_200),
        _ => usual.attempt_timeout,
    };
    Config { attempt_timeout, ..usual }
}

/// Runs a process but for the stretches in which it is stopped. Its timers fire meanwhile and are
/// noticed afterwards, as after a SIGSTOP or a sleep of the machine.
async fn gated(
    context: Rc<Context>,
    stopped: Vec<(TrueTime, TrueTime)>,
    mut watch: BeliefWatch,
    process: impl Future<Output = ()>,
) {
    let mut process = pin!(process);
    let mut opening = pin!(None);
    poll_fn(|task| {
        loop {
            let now = context.now();
            let stop = stopped.iter().filter(|(from, to)| *from <= now && now < *to);
            let Some(until) = stop.map(|(_, to)| *to).max() else { break };
            opening.set(Some(context.sleep_until(until)));
            if let Some(opening) = opening.as_mut().as_pin_mut()
                && opening.poll(task).is_pending()
            {
                return Poll::Pending;
            }
        }
        watch.before_poll(context.now());
        let polled = process.as_mut().poll(task);
        watch.after_poll(context.now());
        polled
    })
    .await;
}
