//! Sending messages, and what the sender is told.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use mailbus_client::mailbox::{MailboxError, Receipt};
use mailbus_client::session::mailbox::Draft;
use mailbus_client::transport::Object;
use mailbus_spec::AgentId;
use mailbus_spec::mailbox::{MessageId, Outcome};
use mailbus_spec::wire::mailbox::decode_reply;

use crate::clock::TrueTime;
use crate::judge::history::marks::Mark;
use crate::judge::history::{Sending, SendingEnd};
use crate::plan::mail::{kind, name_of};
use crate::plan::{HandlerScript, MailAction};
use crate::workload::mailbox::handler::Payload;
use crate::workload::mailbox::process::Process;
use crate::world::operator::post;

/// One message to be sent.
pub(super) struct Letter {
    pub id: String,
    pub to: Option<AgentId>,
    pub kind: String,
    pub payload: String,
    pub ack_required: bool,
    pub must_know: bool,
    pub ephemeral: bool,
}

/// The JSON text of a payload.
pub(super) fn payload(script: HandlerScript, bytes: u16) -> String {
    let payload = Payload { script, filling: "x".repeat(usize::from(bytes)) };
    serde_json::to_string(&payload).unwrap_or_default()
}

pub(super) async fn send(process: &Process, index: usize, action: &MailAction) {
    let MailAction::Send {
        to,
        kind: number,
        copies,
        bytes,
        ack_required,
        must_know,
        ephemeral,
        script,
    } = action
    else {
        return;
    };
    let letters = (0..*copies).map(|copy| Letter {
        id: format!("{}-{index}-{copy}", process.agent),
        to: to.map(name_of),
        kind: kind(*number),
        payload: payload(*script, *bytes),
        ack_required: *ack_required,
        must_know: *must_know,
        ephemeral: *ephemeral,
    });
    let mut under_way: FuturesUnordered<_> =
        letters.map(|letter| send_one(process, letter)).collect();
    while under_way.next().await.is_some() {}
}

/// Two messages under one id: the second is refused.
pub(super) async fn contradict(process: &Process, index: usize, pause_ms: u64) {
    for copy in 0..2 {
        let letter = Letter {
            id: format!("{}-{index}-twice", process.agent),
            to: None,
            kind: kind(0),
            payload: payload(HandlerScript::Done, copy),
            ack_required: false,
            must_know: false,
            ephemeral: false,
        };
        send_one(process, letter).await;
        process.context.pause_until_heal(Duration::from_millis(pause_ms)).await;
    }
}

/// Sends a message and notes what became of it for its sender.
pub(super) async fn send_one(process: &Process, letter: Letter) {
    let began = process.context.now();
    let (id, payload, ephemeral) = (letter.id.clone(), letter.payload.clone(), letter.ephemeral);
    let end = match process.client() {
        Some(client) => {
            let Some(draft) = draft(&letter) else { return };
            let sent = match letter.to {
                Some(to) if letter.must_know => client.send_to_known(to, draft).await,
                Some(to) => client.send_to(to, draft).await,
                None => client.publish(draft).await,
            };
            end_of(sent)
        }
        None => by_hand(process, &letter).await,
    };
    if end == SendingEnd::Unknown {
        process.context.reach(Mark::SendingUnknown);
    }
    if !ephemeral {
        note(process, began, id, payload, end);
    }
}

fn note(process: &Process, began: TrueTime, id: String, payload: String, end: SendingEnd) {
    let (ended, agent) = (process.context.now(), process.agent.clone());
    let sending = Sending { began, ended, agent, id, payload, end };
    process.context.history.borrow_mut().sendings.push(sending);
}

fn draft(letter: &Letter) -> Option<Draft> {
    let draft = Draft::new(letter.kind.as_str()).raw_payload(letter.payload.as_str()).ok()?;
    let draft = draft.id(MessageId::new(letter.id.as_str()).ok()?);
    let draft = if letter.ack_required { draft } else { draft.without_ack() };
    Some(if letter.ephemeral { draft.ephemeral() } else { draft })
}

fn end_of(sent: Result<Receipt, MailboxError>) -> SendingEnd {
    match sent {
        Ok(Receipt { seq: Some(seq), .. }) => SendingEnd::Accepted(seq),
        Ok(_) | Err(MailboxError::Unknown | MailboxError::Closed | MailboxError::Unexpected) => {
            SendingEnd::Unknown
        }
        Err(refused) => SendingEnd::Refused(refused.to_string()),
    }
}

/// One attempt, as the original's client makes it.
async fn by_hand(process: &Process, letter: &Letter) -> SendingEnd {
    let Letter { id, to, kind, payload, ack_required, must_know, ephemeral } = letter;
    let message = format!(
        r#"{{"id":"{id}","type":"{kind}","from":"{}","payload":{payload},"timestamp":"today","ackRequired":{ack_required},"ephemeral":{ephemeral}}}"#,
        process.agent
    );
    let (action, body) = match to {
        Some(to) => (
            "send",
            format!(r#"{{"targetAgent":"{to}","mustKnow":{must_know},"message":{message}}}"#),
        ),
        None => ("publish", message),
    };
    let Ok((status, body)) = post(&process.context, Object::Mailbox, action, body).await else {
        return SendingEnd::Unknown;
    };
    let reply = decode_reply(status, &body).ok().and_then(|received| received.result.ok());
    match reply.map(|reply| reply.answer) {
        Some(Ok(Outcome::Accepted { seq, .. } | Outcome::Duplicate { seq, .. })) => {
            SendingEnd::Accepted(seq)
        }
        Some(Err(refused)) => SendingEnd::Refused(format!("{refused:?}")),
        Some(Ok(_)) | None => SendingEnd::Unknown,
    }
}
