//! What handlers make of messages: their payload says it.

use std::rc::Rc;

use mailbus_client::mail::Delivery;
use mailbus_spec::AgentId;
use mailbus_spec::Ordinal;
use serde::{Deserialize, Serialize};

use crate::clock::TrueTime;
use crate::engine::streams::{AgentClocks, sleep_until};
use crate::history::{Handling, Treated};
use crate::plan::Treatment;
use crate::workload::mailbox::process::Process;

/// The payload of the simulation's messages.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payload {
    pub treatment: Treatment,
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
    /// What is to be made of it.
    pub fn treatment(&self) -> Treatment {
        let payload: Result<Payload, _> = serde_json::from_str(&self.payload);
        payload.map(|payload| payload.treatment).unwrap_or_default()
    }

    /// Notes what came of it.
    pub fn note(self, process: &Process, run: String, treated: Treated) {
        let Self { began, from, id, seq, payload } = self;
        let (at, agent) = (process.stage.now(), process.agent.clone());
        let handling = Handling { began, at, agent, run, from, id, seq, payload, treated };
        process.stage.history.borrow_mut().handlings.push(handling);
    }
}

pub(super) async fn handle(
    process: &Process,
    mut delivery: Delivery<Rc<AgentClocks>>,
    run: String,
) {
    let mail = delivery.mail();
    let given = Given {
        began: process.stage.now(),
        from: mail.from().clone(),
        id: mail.id().unwrap_or_default().to_owned(),
        seq: mail.seq(),
        payload: mail.raw_payload().unwrap_or_default().to_owned(),
    };
    if process.stage.sut.mail_client.acks_before_handling {
        delivery.done();
        let _ = treat(process, &given, run.clone()).await;
        given.note(process, run, Treated::Done);
        return;
    }
    let treated = {
        let treating = treat(process, &given, run.clone());
        let abandoned = delivery.abandoned();
        let (treating, abandoned) = (std::pin::pin!(treating), std::pin::pin!(abandoned));
        match futures_util::future::select(treating, abandoned).await {
            futures_util::future::Either::Left((treated, _)) => treated,
            // It goes on all the same, and may still succeed.
            futures_util::future::Either::Right(((), treating)) => treating.await,
        }
    };
    given.note(process, run, treated);
    if treated == Treated::Done { delivery.done() } else { delivery.failed() }
}

async fn treat(process: &Process, given: &Given, run: String) -> Treated {
    sleep_until(&process.stage, process.moment()).await;
    let times_before = || process.stage.count_trouble(process.number, &given.id);
    match given.treatment() {
        Treatment::Slow { for_ms } => process.pause(for_ms).await,
        Treatment::Fail { times } if times_before() < times => return Treated::Failed,
        Treatment::Crash { times } if times_before() < times => {
            given.clone().note(process, run, Treated::Died);
            process.stage.crash_process(process.number);
            std::future::pending::<()>().await;
        }
        Treatment::Done | Treatment::Fail { .. } | Treatment::Crash { .. } => {}
    }
    Treated::Done
}
