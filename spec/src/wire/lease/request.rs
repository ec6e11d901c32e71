//! Commands out of HTTP bodies and frames.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, command};
use crate::id::{AgentId, Holder, SessionId};
use crate::limits;
use crate::wire::field::{Excerpt, Field, elements};
use crate::wire::{Code, Problem};

/// The command in the body of `POST …/{action}`.
///
/// # Errors
/// The [`Problem`] to answer: `not_found` for an unknown action; else what is wrong with the body.
/// It carries the call number if that could be read.
pub fn decode_request(action: &str, body: &[u8]) -> Result<Call, Problem> {
    let decode = command::decoder(action).ok_or_else(|| {
        let shown = Excerpt(action);
        Problem::new(
            Code::NotFound,
            format!("There is no lease action `{shown}`. There are {}.", command::ACTIONS),
        )
    })?;
    let text = core::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Problem::new(Code::Malformed, format!("The body is not UTF-8: byte {at} is no character."))
    })?;
    Request::read(text, None)?.decoded(|request| decode(request))
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
    let text = text.trim_ascii();
    if !text.starts_with('[') {
        // What is no object at all has no call number to answer under: the frame is at fault.
        let request = Request::read(text, socket)?;
        return Ok(alloc::vec![request.decoded(by_action)]);
    }
    let most = limits::FRAME_MAX_COMMANDS;
    let objects =
        elements::<&RawValue>(text, most).map_err(|error| not_json(&error))?.ok_or_else(|| {
            let detail = format!("The frame has more than {most} commands. Send it in parts.");
            Problem::new(Code::Malformed, detail)
        })?;
    if objects.is_empty() {
        return Err(Problem::new(Code::Malformed, "The frame has no command."));
    }
    let decode = |object: &RawValue| Request::read(object.get(), socket)?.decoded(by_action);
    Ok(objects.into_iter().map(decode).collect())
}

/// In a frame the action stands in the object, and one that does not exist is malformed: the address
/// was right.
fn by_action(request: &Request<'_>) -> Result<command::Decoded, Problem> {
    let action = request.action;
    let name = action.text()?.ok_or_else(|| action.malformed(command::ACTIONS))?;
    let decode = command::decoder(&name).ok_or_else(|| action.malformed(command::ACTIONS))?;
    decode(request)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Malformed, format!("This is not the JSON of a command: {error}."))
}

macro_rules! members {
    ($($member:ident: $name:literal,)*) => {
        /// Every member that some command has, on the wire. All others are ignored.
        #[derive(Deserialize)]
        struct Members<'a> {
            $(#[serde(borrow, rename = $name)]
            $member: Option<&'a RawValue>,)*
        }

        /// The object of one command, and over whose socket it came. An action looks at its own
        /// members only.
        pub(super) struct Request<'a> {
            $(pub(super) $member: Field<'a>,)*
            socket: Option<&'a Holder>,
        }

        impl<'a> Request<'a> {
            fn new(members: &Members<'a>, socket: Option<&'a Holder>) -> Self {
                Self { $($member: Field { name: $name, value: members.$member },)* socket }
            }
        }
    };
}

members! {
    action: "action",
    call: "call",
    agent_id: "agentId",
    session: "session",
    request: "request",
    paths: "paths",
    file: "file",
    path: "path",
    ttl_ms: "ttlMs",
    wait_ms: "waitMs",
    token: "token",
    reason: "reason",
    drain: "drain",
    prefix: "prefix",
    after: "after",
    limit: "limit",
    at_least: "atLeast",
}

impl<'a> Request<'a> {
    fn read(text: &'a str, socket: Option<&'a Holder>) -> Result<Self, Problem> {
        // A derived struct would take an array of its members' values too.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Problem::new(Code::Malformed, "A command is a JSON object; this is none."));
        }
        let members: Members<'a> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        Ok(Self::new(&members, socket))
    }

    fn decoded(
        &self,
        decode: impl Fn(&Self) -> Result<command::Decoded, Problem>,
    ) -> Result<Call, Problem> {
        let call = self.call;
        let number = call.whole();
        if call.is_present() && number.is_none() {
            return Err(call.malformed("a whole number"));
        }
        let (dialect, command) = decode(self).map_err(|problem| problem.with_call(number))?;
        Ok(Call { number, dialect, command })
    }

    /// Holder that asks.
    pub(super) fn holder(&self) -> Result<Holder, Problem> {
        let agent = self.agent_id;
        let session = self.session.id(SessionId::new)?;
        match (agent.id(AgentId::new)?, self.socket) {
            (Some(agent), Some(socket)) if agent != socket.agent => Err(Problem::new(
                Code::Forbidden,
                format!("This socket is {}'s; {agent} has to ask over its own.", socket.agent),
            )),
            (Some(agent), None) => {
                Ok(Holder { agent, session: session.unwrap_or_else(SessionId::original) })
            }
            (_, Some(socket)) => Ok(Holder {
                agent: socket.agent.clone(),
                session: session.unwrap_or_else(|| socket.session.clone()),
            }),
            (None, None) => Err(agent.malformed("the name of the agent that asks")),
        }
    }

    /// The elements of `paths`, as they are spelled.
    pub(super) fn paths(&self) -> Result<Vec<String>, Problem> {
        let field = self.paths;
        let most = limits::CLAIM_MAX_PATHS;
        let Some(value) = field.value else { return Ok(Vec::new()) };
        let texts: Option<Vec<String>> =
            elements(value.get(), most).map_err(|_| field.malformed("an array of texts"))?;
        texts.ok_or_else(|| {
            let detail = format!("`paths` has more than {most} paths. Claim fewer at once.");
            Problem::new(Code::TooManyPaths, detail)
        })
    }
}
