//! After the healing every agent sends something: it has to come through.

use crate::plan::{HandlerScript, Transport};
use crate::workload::mailbox::process::Process;
use crate::workload::mailbox::sending::{Letter, payload, send_one};
use crate::workload::mailbox::{kind, name_of};
use crate::world::hosts::sleep_until;

/// Milliseconds from the healing until agents send: by then each has a session again, or soon.
const AFTER_MS: u64 = 1_500;

pub(in crate::workload) async fn probe(process: Process) {
    sleep_until(&process.context, process.context.heals_at().plus_ms(AFTER_MS)).await;
    if process.plan.by == Transport::Poll {
        return;
    }
    let agents = &process.context.plan.agents;
    let next = agents.iter().find(|other| other.agent > process.number).or(agents.first());
    let Some(next) = next.map(|other| other.agent) else { return };
    for (to, number) in [(Some(name_of(next)), 0), (None, process.number)] {
        let letter = Letter {
            id: format!("{}-probe-{}-{}", process.agent, process.run, u8::from(to.is_some())),
            to,
            kind: kind(number),
            payload: payload(HandlerScript::Done, 0),
            ack_required: true,
            ephemeral: false,
        };
        send_one(&process, letter).await;
    }
}
