//! Any bytes as the body of a request: an answer or a command, never a panic, and what was understood
//! is understood again when our own client writes it.

use mailbus_spec::wire::lease::{decode_request, encode_call};

/// The first byte picks the action, the rest is the body.
///
/// # Panics
/// If a command does not survive being written and read.
pub fn run(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let actions = [
        "acquire",
        "renew",
        "release",
        "cancel",
        "status",
        "list",
        "verify",
        "force-release",
        "recover",
        "no-such-action",
    ];
    let action = actions[usize::from(*first) % actions.len()];
    let Ok(call) = decode_request(action, body) else { return };
    let (again, text) = encode_call(7, &call.command);
    let reread = decode_request(again, text.as_bytes());
    let reread = reread.unwrap_or_else(|problem| panic!("{text} is refused: {problem:?}"));
    assert_eq!(reread.command, call.command, "{text}");
}
