//! Commands out of HTTP bodies and frames.

use alloc::vec::Vec;

use super::Call;
use super::command::{ACTIONS, decoder};
use super::request::Request;
use crate::id::Holder;
use crate::wire::Problem;
use crate::wire::request::{no_action, text_of_body};

/// The command in the body of `POST …/{action}`.
///
/// # Errors
/// The [`Problem`] to answer: `not_found` for an unknown action; else what is wrong with the body.
/// It carries the call number if that could be read.
pub fn decode_request(action: &str, body: &[u8]) -> Result<Call, Problem> {
    let decode = decoder(action).ok_or_else(|| no_action("lease", action, ACTIONS))?;
    let request = Request::read(text_of_body(body)?, None)?;
    request.decoded(decode).map(Call::from)
}

/// The commands of a frame, in order: of one object or of an array. `socket` is whose socket it came
/// over.
///
/// # Errors
/// Outside, the [`Problem`] of a frame that cannot be taken apart; inside, of one command of it,
/// with its call number if that could be read.
pub fn decode_frame(
    text: &str,
    socket: Option<&Holder>,
) -> Result<Vec<Result<Call, Problem>>, Problem> {
    let decode = |request: Request<'_>| {
        let decoded = request.decoded(|request| request.by_action(ACTIONS, decoder)?(request));
        decoded.map(Call::from)
    };
    Ok(Request::frame(text, socket)?.into_iter().map(|request| decode(request?)).collect())
}
