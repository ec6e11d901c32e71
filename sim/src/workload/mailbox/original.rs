//! A client of the original's protocol: pushes alone over its socket, everything else by HTTP, and it
//! settles only what says that it must be.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use mailbus_client::transport::{Carrier, Incoming, Object, Socket};
use mailbus_spec::mailbox::{Message, Notice};
use mailbus_spec::wire::mailbox::{ServerFrame, decode_server_frame, payload_of};

use crate::judge::history::HandlerOutcome;
use crate::judge::history::marks::Mark;
use crate::plan::mail::pattern;
use crate::workload::mailbox::handler::Given;
use crate::workload::mailbox::process::Process;
use crate::world::operator::post;

/// Time at which it comes back after a close.
const RECONNECT_MS: u64 = 5_000;
/// Silence after which its runtime gives a socket up: the other end pings every 25 s.
const SILENCE_MS: u64 = 80_000;
/// Time that a socket may take to open.
const OPEN_MS: u64 = 10_000;

/// Socket after socket, until its time is over.
pub(super) async fn receive(process: &Process, for_ms: Option<u64>) {
    let listening = async {
        loop {
            listen(process).await;
            process.pause(RECONNECT_MS).await;
        }
    };
    let mut listening = pin!(listening.fuse());
    let over = async {
        match for_ms {
            Some(for_ms) => process.context.pause_until_heal(Duration::from_millis(for_ms)).await,
            None => std::future::pending().await,
        }
    };
    let mut over = pin!(over.fuse());
    select_biased! { () = over => {}, () = listening => {} }
}

/// A second process of the same name, for a while: one of the two is mute meanwhile.
pub(super) async fn duplicate(process: &Process, for_ms: u64) {
    receive(process, Some(for_ms)).await;
}

/// One socket.
async fn listen(process: &Process) {
    let run = format!("original-{}", process.next_session());
    let carrier = process.carrier();
    let query = format!("agentId={}", process.agent);
    let mut late = pin!(process.context.sleep_until(process.context.now().plus_ms(OPEN_MS)).fuse());
    let mut opening = pin!(carrier.open(Object::Mailbox, &query).fuse());
    let opened = select_biased! { opened = opening => opened.ok(), () = late => None };
    let Some(mut socket) = opened else { return };
    for number in process.plan.patterns.iter().flatten() {
        let wanted =
            serde_json::json!({ "action": "subscribe", "type": pattern(*number).as_str() });
        if socket.send(wanted.to_string()).await.is_err() {
            return;
        }
    }
    loop {
        let until = process.context.now().plus_ms(SILENCE_MS);
        let mut silent = pin!(process.context.sleep_until(until).fuse());
        let mut next = pin!(socket.next().fuse());
        let incoming = select_biased! { incoming = next => incoming, () = silent => return };
        match incoming {
            Incoming::Text(text) => {
                for frame in decode_server_frame(&text) {
                    if let ServerFrame::Notice(Notice::Message { seq, message, .. }) = frame {
                        handle(process, &run, seq, &message).await;
                    }
                }
            }
            Incoming::Sign => {}
            Incoming::Closed(_) => return,
        }
    }
}

async fn handle(process: &Process, run: &str, seq: mailbus_spec::Ordinal, message: &Message) {
    let payload = message.payload.as_deref().or_else(|| payload_of(&message.body));
    let id = message.id.as_ref().map_or("", |id| id.as_str());
    let given = Given {
        began: process.context.now(),
        from: message.from.clone(),
        id: id.to_owned(),
        seq: Some(seq),
        payload: payload.unwrap_or_default().to_owned(),
    };
    given.note(process, run.to_owned(), HandlerOutcome::Done);
    process.context.reach(Mark::OriginalHeard);
    if message.ack_required {
        let ack = serde_json::json!({ "messageId": id, "agentId": process.agent.as_str() });
        let _ = post(&process.context, Object::Mailbox, "acknowledge", ack.to_string()).await;
    }
}
