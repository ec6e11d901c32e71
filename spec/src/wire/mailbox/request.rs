//! Commands out of HTTP bodies and frames.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::decode_message;
use super::{Call, command};
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::{Ask, Command, Connection};
use crate::wire::field::{Excerpt, Field, elements};
use crate::wire::{Code, Problem};

/// The command in the body of `POST …/{action}`. The body of `publish` is the message itself, so that
/// its call has no number.
///
/// # Errors
/// The [`Problem`] to answer: `not_found` for an unknown action; else what is wrong with the body.
/// It carries the call number if that could be read.
pub fn decode_request(action: &str, body: &[u8]) -> Result<Call, Problem> {
    let decode = command::decoder(action).ok_or_else(|| {
        let shown = Excerpt(action);
        Problem::new(
            Code::NotFound,
            format!("There is no mailbox action `{shown}`. There are {}.", command::ACTIONS),
        )
    })?;
    let text = core::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Problem::new(Code::Malformed, format!("The body is not UTF-8: byte {at} is no character."))
    })?;
    if action == "publish" {
        let message = decode_message(text, None)?;
        return Ok(Call { number: None, command: Command::alone(Ask::Publish { message }) });
    }
    Request::read(text, None)?.decoded(|request| decode(request))
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
    let text = text.trim_ascii();
    if !text.starts_with('[') {
        // What is no object at all has no call number to answer under: the frame is at fault.
        let request = Request::read(text, Some(socket))?;
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
    let decode = |object: &RawValue| Request::read(object.get(), Some(socket))?.decoded(by_action);
    Ok(objects.into_iter().map(decode).collect())
}

/// The command of a frame that came over this session's socket, which speaks the original's protocol:
/// `{"action":"subscribe","type":…}`, or the same with `unsubscribe`.
///
/// # Errors
/// The [`Problem`] of any other frame.
pub fn decode_original_frame(text: &str, socket: &Connection) -> Result<Call, Problem> {
    Request::read(text, Some(socket))?.decoded(|request| {
        let action = request.action;
        let name = action.text()?.unwrap_or_default();
        let decode = command::of_original(&name).ok_or_else(|| {
            Problem::new(
                Code::Malformed,
                "This socket takes `subscribe` and `unsubscribe` with a `type` only. Open one with \
                 `protocol=1` to send other commands.",
            )
        })?;
        decode(request)
    })
}

/// In a frame the action stands in the object, and one that does not exist is malformed: the address
/// was right.
fn by_action(request: &Request<'_>) -> Result<Ask, Problem> {
    let action = request.action;
    let name = action.text()?.ok_or_else(|| action.malformed(command::ACTIONS))?;
    let decode = command::of_original(&name)
        .or_else(|| command::decoder(&name))
        .ok_or_else(|| action.malformed(command::ACTIONS))?;
    decode(request)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Malformed, format!("This is not the JSON of a command: {error}."))
}

/// Who says something: whom the member names, or whose the socket is. Over a socket nobody speaks for
/// another.
pub(super) fn speaker(named: Field<'_>, socket: Option<&AgentId>) -> Result<AgentId, Problem> {
    match (named.id(AgentId::new)?, socket) {
        (Some(agent), Some(own)) if agent != *own => Err(Problem::new(
            Code::Forbidden,
            format!("This socket is {own}'s; {agent} has to speak over its own."),
        )),
        (Some(agent), _) => Ok(agent),
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err(named.malformed("the name of the agent that asks")),
    }
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
            pub(super) socket: Option<&'a Connection>,
        }

        impl<'a> Request<'a> {
            fn new(members: &Members<'a>, socket: Option<&'a Connection>) -> Self {
                Self { $($member: Field { name: $name, value: members.$member },)* socket }
            }
        }
    };
}

members! {
    action: "action",
    call: "call",
    agent_id: "agentId",
    message: "message",
    target_agent: "targetAgent",
    to: "to",
    message_id: "messageId",
    seqs: "seqs",
    up_to: "upTo",
    gap: "gap",
    seq: "seq",
    delay_ms: "delayMs",
    after: "after",
    limit: "limit",
    add: "add",
    remove: "remove",
    kind: "type",
    epoch: "epoch",
    at_least: "atLeast",
}

impl<'a> Request<'a> {
    fn read(text: &'a str, socket: Option<&'a Connection>) -> Result<Self, Problem> {
        // A derived struct would take an array of its members' values too.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Problem::new(Code::Malformed, "A command is a JSON object; this is none."));
        }
        let members: Members<'a> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        Ok(Self::new(&members, socket))
    }

    fn decoded(&self, decode: impl Fn(&Self) -> Result<Ask, Problem>) -> Result<Call, Problem> {
        let call = self.call;
        let number = call.whole();
        if call.is_present() && number.is_none() {
            return Err(call.malformed("a whole number"));
        }
        let ask = decode(self).map_err(|problem| problem.with_call(number))?;
        Ok(Call { number, command: Command { over: self.socket.cloned(), ask } })
    }

    /// Agent that asks.
    pub(super) fn agent(&self) -> Result<AgentId, Problem> {
        speaker(self.agent_id, self.socket.map(|socket| &socket.agent))
    }

    /// The text of the message that the command carries.
    pub(super) fn message_text(&self) -> Result<&'a str, Problem> {
        let field = self.message;
        field.value.map(RawValue::get).ok_or_else(|| field.malformed("the message to send"))
    }

    /// The elements of an array of texts, at most `most`.
    pub(super) fn texts(field: Field<'a>, most: usize) -> Result<Vec<String>, Problem> {
        let Some(value) = field.value else { return Ok(Vec::new()) };
        elements(value.get(), most)
            .ok()
            .flatten()
            .ok_or_else(|| field.malformed(format_args!("an array of at most {most} texts")))
    }
}
