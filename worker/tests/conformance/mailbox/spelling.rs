//! Mailbox commands as requests and frames, and what came back as replies, pushes and closes.

use mailbus_conformance::Failure;
use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Connection, MailboxReply, Notice, Outcome, Patterns, Push, Rejection,
};
use mailbus_spec::wire::mailbox::{
    ServerFrame, Subscribe, close, decode_reply, decode_server_frame, encode_call, encode_frame,
    encode_subscribe,
};
use serde_json::json;

use crate::spelling::{broken, checked};

/// Content of one text frame that a socket received.
#[derive(Default)]
pub struct Heard {
    /// The reply to the attempt that was asked about.
    pub reply: Option<MailboxReply>,
    /// That the session began.
    pub connected: Option<MailboxReply>,
    /// Notices that were not asked for.
    pub notices: Vec<Notice>,
}

/// The query that begins the session which a connect asks for.
pub fn query(ask: &Ask) -> Option<String> {
    let Ask::Connect { agent, session, window, types, last_seen } = ask.clone() else {
        return None;
    };
    Some(encode_subscribe(&Subscribe { agent, session, window, types, last_seen }))
}

/// The action and the body of a command. What the original's clients can say is said in their words.
pub fn request(call: u64, ask: &Ask) -> Result<(&'static str, String), Failure> {
    if let Ask::Send { to, message, must_know } = ask {
        let to = json!({ "call": call, "targetAgent": to, "mustKnow": must_know }).to_string();
        let open = to.trim_end_matches('}');
        return Ok(("send", format!("{open},\"message\":{}}}", message.body)));
    }
    encode_call(call, ask).ok_or_else(|| broken("a connect is no request with a body"))
}

/// A command as a frame. A session that negotiated nothing can say little, in the original's words.
pub fn frame(call: u64, ask: &Ask, negotiated: bool) -> Result<String, Failure> {
    if negotiated {
        return Ok(encode_frame(&[(call, ask)]));
    }
    let (action, types) = match ask {
        Ask::Subscribe { types, .. } => ("subscribe", types),
        Ask::Unsubscribe { types, .. } => ("unsubscribe", types),
        _ => return Err(broken("a session that negotiated nothing does not say that")),
    };
    let pattern = the_one(types)?;
    Ok(json!({ "action": action, "type": pattern, "call": call }).to_string())
}

fn the_one(types: &Patterns) -> Result<&str, Failure> {
    match types.first() {
        Some(pattern) if types.len() == 1 => Ok(pattern.as_str()),
        _ => Err(broken("the original says one pattern at a time")),
    }
}

/// The reply in an HTTP answer to this attempt. What a connect and a publish are answered repeats no
/// number.
pub fn answered(call: u64, ask: &Ask, status: u16, body: &[u8]) -> Result<MailboxReply, Failure> {
    let received = decode_reply(status, body).map_err(broken)?;
    let numbered = !matches!(ask, Ask::Connect { .. } | Ask::Publish { .. });
    checked(numbered.then_some(call), received)
}

/// Content of one text frame; `call` is the attempt that is waited for, if one is.
pub fn heard(call: Option<u64>, text: &str) -> Result<Heard, Failure> {
    let mut heard = Heard::default();
    for frame in decode_server_frame(text) {
        match frame {
            ServerFrame::Notice(notice) => heard.notices.push(notice),
            ServerFrame::Connected(reply) => heard.connected = Some(reply),
            ServerFrame::Replies(replies) => {
                for received in replies {
                    if call.is_none() {
                        return Err(broken(format!("nobody asked for {received:?}")));
                    }
                    heard.reply = Some(checked(call, received)?);
                }
            }
            ServerFrame::Error(problem) => return Err(broken(problem)),
            ServerFrame::Unknown(error) => return Err(broken(error)),
        }
    }
    Ok(heard)
}

/// The session that a reply says has begun.
pub fn begun(ask: &Ask, reply: &MailboxReply) -> Option<Connection> {
    match (ask, &reply.answer) {
        (Ask::Connect { agent, .. }, Ok(Outcome::Connected { epoch, .. })) => {
            Some(Connection { agent: agent.clone(), epoch: *epoch })
        }
        _ => None,
    }
}

/// Reason why the object closed a socket.
pub fn closed(code: u16, reason: &str) -> Result<Notice, Failure> {
    use CloseReason::{Crowded, Disconnected, Forgotten, Reopen, Replaced, TakenOver};
    let all = [Replaced, TakenOver, Reopen, Crowded, Disconnected, Forgotten];
    let known = all.into_iter().find(|known| close(*known) == (code, reason));
    let unknown = || broken(format!("a socket was closed with {code} `{reason}`"));
    known.map(Notice::Closed).ok_or_else(unknown)
}

/// Notices as pushes to their session.
pub fn pushes(to: &Connection, notices: Vec<Notice>) -> impl Iterator<Item = Push> {
    let to = to.clone();
    notices.into_iter().map(move |notice| Push { to: to.clone(), notice })
}

/// A question that asks for next to nothing.
pub fn probe() -> Command {
    Command::alone(Ask::Agents { after: None, limit: 1 })
}

/// A session that is over gets no reply: its socket is closed. What the specification says there is
/// known by the place in the order that a question asked instead is answered from.
pub fn over_a_closed_socket(ask: &Ask, probed: MailboxReply) -> MailboxReply {
    let answer = match (ask, probed.answer) {
        (_, Err(refused)) => Err(refused),
        (Ask::Disconnect { .. }, Ok(_)) => Ok(Outcome::Disconnected),
        (_, Ok(_)) => Err(Rejection::Replaced),
    };
    MailboxReply { answer, commit: probed.commit }
}
