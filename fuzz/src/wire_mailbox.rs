//! Any bytes as what a mailbox object or its client receives: never a panic, and what is understood is
//! understood again, as the same, when our own code writes it.

mod words;

use mailbus_spec::mailbox::Connection;
use mailbus_spec::wire::frame;
use mailbus_spec::wire::mailbox::{
    Call, Received, ServerFrame, decode_frame, decode_original_frame, decode_reply, decode_request,
    decode_server_frame, decode_subscribe, encode_call, encode_connected, encode_frame,
    encode_push, encode_reply, encode_subscribe,
};
use mailbus_spec::wire::{Answer, Problem};
use mailbus_spec::{AgentId, Ordinal};

/// The last is no action.
const ACTIONS: [&str; 15] = [
    "publish",
    "send",
    "acknowledge",
    "nack",
    "working",
    "inbox",
    "subscriptions",
    "agents",
    "heartbeat",
    "dead-letters",
    "redrive",
    "disconnect",
    "forget",
    "recover",
    "no-such-action",
];
const STATUSES: [u16; 4] = [200, 409, 429, 503];
const READERS: u8 = 6;

/// Number of bytes of words that make one text.
const TEXT: usize = 34;

/// A text as it came, or several that `words` makes of the bytes. Of each the first byte says who
/// reads it, the second picks the action or the status.
///
/// # Panics
/// If something does not survive being written and read.
pub fn run(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    if *first < 128 {
        if let Some((choice, text)) = rest.split_first() {
            read(*first, *choice, text);
        }
        return;
    }
    for part in rest.chunks(TEXT) {
        if let [reader, choice, words @ ..] = part {
            let text = match reader % READERS {
                3 => words::query(words),
                1 | 5 => words::frame(words),
                _ => words::object(words),
            };
            read(*reader, *choice, text.as_bytes());
        }
    }
}

fn read(reader: u8, choice: u8, bytes: &[u8]) {
    let choice = usize::from(choice);
    let text = String::from_utf8_lossy(bytes);
    match reader % READERS {
        0 => request(ACTIONS[choice % ACTIONS.len()], bytes),
        1 => commands(&text),
        2 => original_commands(&text),
        3 => query(&text),
        4 => reply(STATUSES[choice % STATUSES.len()], bytes),
        _ => pushes(&text),
    }
}

fn request(action: &str, body: &[u8]) {
    let Ok(call) = decode_request(action, body) else { return };
    let number = call.attempt.number.unwrap_or(7);
    let (again, text) = encode_call(number, &call.command.ask).expect("a body is no connect");
    let reread = decode_request(again, text.as_bytes());
    let reread = reread.unwrap_or_else(|problem| panic!("{text} is refused: {problem:?}"));
    assert_eq!(reread.command, call.command, "{text}");
    assert!(reread.attempt.number == Some(number) || again == "publish", "{text}");
}

fn socket() -> Connection {
    let agent = AgentId::new("ann").expect("a name");
    Connection { agent, epoch: Ordinal::new(7).expect("within the bounds") }
}

fn commands(text: &str) {
    let Ok(calls) = decode_frame(text, &socket()) else { return };
    let calls: Vec<Call> = calls.into_iter().filter_map(Result::ok).collect();
    written_again(&calls);
}

fn original_commands(text: &str) {
    let Ok(call) = decode_original_frame(text, &socket()) else { return };
    written_again(&[call]);
}

fn written_again(calls: &[Call]) {
    if calls.is_empty() {
        return;
    }
    let numbered: Vec<_> = (1..).zip(calls.iter().map(|call| &call.command.ask)).collect();
    let text = encode_frame(&numbered);
    let reread = decode_frame(&text, &socket());
    let reread = reread.unwrap_or_else(|problem| panic!("{text} is refused: {problem:?}"));
    assert_eq!(reread.len(), calls.len(), "{text}");
    for (number, (reread, call)) in (1..).zip(reread.into_iter().zip(calls)) {
        let reread = reread.unwrap_or_else(|problem| panic!("{text} is refused: {problem:?}"));
        assert_eq!(
            (reread.attempt.number, &reread.command),
            (Some(number), &call.command),
            "{text}"
        );
    }
}

fn query(text: &str) {
    let Ok(subscribe) = decode_subscribe(text) else { return };
    let again = encode_subscribe(&subscribe);
    assert_eq!(decode_subscribe(&again).as_ref(), Ok(&subscribe), "{again}");
}

fn reply(status: u16, body: &[u8]) {
    let Ok(received) = decode_reply(status, body) else { return };
    let Answer { status, body, .. } = answer(&received);
    assert_eq!(decode_reply(status, body.as_bytes()).as_ref(), Ok(&received), "{status}: {body}");
}

/// The answer that was received.
fn answer(received: &Received) -> Answer {
    match &received.result {
        Ok(reply) => encode_reply(received.call, reply),
        Err(problem) => Problem::to_answer(problem),
    }
}

fn pushes(text: &str) {
    for received in decode_server_frame(text) {
        let again = match &received {
            ServerFrame::Replies(replies) => {
                let answers: Vec<Answer> = replies.iter().map(answer).collect();
                frame::replies(&answers)
            }
            ServerFrame::Connected(reply) => encode_connected(reply).expect("a session began"),
            ServerFrame::Notice(notice) => encode_push(notice).expect("a frame is no close"),
            ServerFrame::Error(problem) => frame::error(problem),
            ServerFrame::Unknown(_) => continue,
        };
        assert_eq!(decode_server_frame(&again), [received], "{again}");
    }
}
