//! Commands as requests and frames, and what came back as replies.

use mailbus_conformance::Failure;
use mailbus_spec::lease::{Command, LeaseReply, ReleaseTarget};
use mailbus_spec::wire::lease::{ServerFrame, decode_reply, decode_server_frame, encode_call};
use serde_json::json;

use crate::spelling::{broken, checked};

/// The action and the body of a command. What the original's clients can say is said in their words.
pub fn request(call: u64, command: &Command) -> (&'static str, String) {
    match original(call, command) {
        Some(body) => (command.name(), body),
        None => encode_call(call, command),
    }
}

fn original(call: u64, command: &Command) -> Option<String> {
    let body = match command {
        Command::Acquire(acquire) => {
            let plain = acquire.holder().session.is_original() && acquire.request().is_none();
            let [path] = acquire.paths().as_slice() else { return None };
            plain.then(|| {
                json!({
                    "file": path.as_str(),
                    "agentId": acquire.holder().agent.as_str(),
                    "ttlMs": acquire.ttl().ms(),
                    "call": call,
                })
            })?
        }
        Command::Release { holder, target: ReleaseTarget::Path(path) } => {
            json!({"file": path.as_str(), "agentId": holder.agent.as_str(), "call": call})
        }
        Command::Status { path } => json!({"file": path.as_str(), "call": call}),
        _ => return None,
    };
    Some(body.to_string())
}

/// The reply in an HTTP answer to this attempt.
pub fn answered(call: u64, status: u16, body: &[u8]) -> Result<LeaseReply, Failure> {
    checked(Some(call), decode_reply(status, body).map_err(broken)?)
}

/// Content of one frame: the reply to an attempt, if it is among it, and pushes.
pub fn received(
    call: Option<u64>,
    text: &str,
    notices: &mut Vec<mailbus_spec::lease::answer::Notice>,
) -> Result<Option<LeaseReply>, Failure> {
    let mut reply = None;
    for frame in decode_server_frame(text) {
        match frame {
            ServerFrame::Notice(notice) => notices.push(notice),
            ServerFrame::Replies(replies) => {
                for received in replies {
                    if call.is_none() {
                        return Err(broken(format!("nobody asked for {received:?}")));
                    }
                    reply = Some(checked(call, received)?);
                }
            }
            ServerFrame::Error(problem) => return Err(broken(problem)),
            ServerFrame::Unknown(error) => return Err(broken(error)),
        }
    }
    Ok(reply)
}
