//! Handlers that make of a message what its payload says.

use std::rc::Rc;

use mailbus_client::mailbox::Delivery;
use mailbus_spec::AgentId;
use mailbus_spec::Ordinal;
use serde::{Deserialize, Serialize};

use crate::clock::TrueTime;
use crate::judge::history::{HandlerOutcome, Handling};
use crate::plan::HandlerScript;
use crate::workload::mailbox::process::Process;
use crate::world::hosts::AgentClocks;

/// The payload of the simulation's messages.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payload {
    #[serde(rename = "treatment")]
    pub script: HandlerScript,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filling: String,
}

/// A message as any of the clients was given it.
#[derive(Clone)]
pub(super) struct Given {
    pub began: TrueTime,
    pub from: AgentId,
    pub id: String,
    pub seq: Option<Ordinal>,
    pub payload: String,
}

impl Given {
    /// Its script, out of its payload.
    pub fn script(&self) -> HandlerScript {
        let payload: Result<Payload, _> = serde_json::from_str(&self.payload);
        payload.map(|payload| payload.script).unwrap_or_default()
    }

    /// Notes what came of it.
    pub fn note(self, process: &Process, run: String, outcome: HandlerOutcome) {
        let Self { began, from, id, seq, payload } = self;
        let (at, agent) = (process.context.now(), process.agent.clone());
        let handling = Handling { began, at, agent, run, from, id, seq, payload, outcome };
        process.context.history.borrow_mut().handlings.push(handling);
    }
}

pub(super) async fn handle(
    process: &Process,
    mut delivery: Delivery<Rc<AgentClocks>>,
    run: String,
) {
    let mail = delivery.mail();
    let given = Given {
        began: process.context.now(),
        from: mail.from().clone(),
        id: mail.id().unwrap_or_default().to_owned(),
        seq: mail.seq(),
        payload: mail.raw_payload().unwrap_or_default().to_owned(),
    };
    if process.context.sut.mail_client.acks_before_handling {
        delivery.done();
        let _ = follow(process, &given, run.clone()).await;
        given.note(process, run, HandlerOutcome::Done);
        return;
    }
    let outcome = {
        let running = follow(process, &given, run.clone());
        let abandoned = delivery.abandoned();
        let (running, abandoned) = (std::pin::pin!(running), std::pin::pin!(abandoned));
        match futures_util::future::select(running, abandoned).await {
            futures_util::future::Either::Left((outcome, _)) => outcome,
            // It goes on all the same, and may still succeed.
            futures_util::future::Either::Right(((), running)) => running.await,
        }
    };
    given.note(process, run, outcome);
    if outcome == HandlerOutcome::Done { delivery.done() } else { delivery.failed() }
}

async fn follow(process: &Process, given: &Given, run: String) -> HandlerOutcome {
    process.context.sleep_until(process.moment()).await;
    let times_before = || process.context.count_trouble(process.number, &given.id);
    match given.script() {
        HandlerScript::Slow { for_ms } => process.pause(for_ms).await,
        HandlerScript::Fail { times } if times_before() < times => return HandlerOutcome::Failed,
        HandlerScript::Crash { times } if times_before() < times => {
            given.clone().note(process, run, HandlerOutcome::Died);
            process.context.crash_process(process.number);
            std::future::pending::<()>().await;
        }
        HandlerScript::Done | HandlerScript::Fail { .. } | HandlerScript::Crash { .. } => {}
    }
    HandlerOutcome::Done
}
