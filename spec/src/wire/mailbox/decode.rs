//! Commands out of HTTP bodies and frames.

use alloc::vec::Vec;

use super::Call;
use super::command::{ACTIONS, decoder, of_original};
use super::message::decode_message;
use super::request::Request;
use crate::mailbox::{Ask, Command, Connection};
use crate::wire::request::{no_action, text_of_body};
use crate::wire::{Attempt, Code, Problem};

/// The command in the body of `POST …/{action}`. The body of `publish` is the message itself, so that
/// its call has no number.
///
/// # Errors
/// The [`Problem`] to answer: `not_found` for an unknown action; else what is wrong with the body.
/// It carries the call number if that could be read.
pub fn decode_request(action: &str, body: &[u8]) -> Result<Call, Problem> {
    let decode = decoder(action).ok_or_else(|| no_action("mailbox", action, ACTIONS))?;
    let text = text_of_body(body)?;
    if action == "publish" {
        let message = decode_message(text, None)?;
        return Ok(Call {
            attempt: Attempt::default(),
            command: Command::alone(Ask::Publish { message }),
        });
    }
    decoded(&Request::read(text, None)?, decode)
}

/// The commands of a frame that came over this session's socket, which speaks `protocol=1`, in order: of
/// one object or of an array.
///
/// # Errors
/// Outside, the [`Problem`] of a frame that cannot be taken apart; inside, of one command of it,
/// with its call number if that could be read.
pub fn decode_frame(
    text: &str,
    socket: &Connection,
) -> Result<Vec<Result<Call, Problem>>, Problem> {
    let known = |name: &str| of_original(name).or_else(|| decoder(name));
    let decode = |request: Request<'_>| {
        decoded(&request, |request| request.by_action(ACTIONS, known)?(request))
    };
    Ok(Request::frame(text, Some(socket))?.into_iter().map(|request| decode(request?)).collect())
}

/// The command of a frame that came over this session's socket, which speaks the original's protocol:
/// `{"action":"subscribe","type":…}`, or the same with `unsubscribe`.
///
/// # Errors
/// The [`Problem`] of any other frame.
pub fn decode_original_frame(text: &str, socket: &Connection) -> Result<Call, Problem> {
    decoded(&Request::read(text, Some(socket))?, |request| {
        let action = request.action();
        let name = action.text()?.unwrap_or_default();
        let decode = of_original(&name).ok_or_else(|| {
            Problem::new(
                Code::Malformed,
                "This socket takes `subscribe` and `unsubscribe` with a `type` only. Open one with \
                 `protocol=1` to send other commands.",
            )
        })?;
        decode(request)
    })
}

/// The call that an object is, over the socket that it came over.
fn decoded(
    request: &Request<'_>,
    decode: impl FnOnce(&Request<'_>) -> Result<Ask, Problem>,
) -> Result<Call, Problem> {
    let (attempt, ask) = request.decoded(decode)?;
    Ok(Call { attempt, command: Command { over: request.socket.cloned(), ask } })
}
