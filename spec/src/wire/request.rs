//! Objects of commands as bytes bring them: members by their names, and over whose socket they came.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Deref;

use serde_json::value::RawValue;

use super::field::{Excerpt, Field, elements};
use super::{Code, Problem};
use crate::limits;

/// Members of the commands of a service, each the text of its value.
pub(super) trait Members<'a>: Sized {
    fn read(text: &'a str) -> Result<Self, serde_json::Error>;
    fn action(&self) -> Field<'a>;
    fn call(&self) -> Field<'a>;
}

/// The members of a service's commands: each a field by its name. An `action` and a `call` are among them.
macro_rules! members {
    ($($member:ident: $name:literal,)*) => {
        /// Every member that some command has, on the wire. All others are ignored; an action looks at
        /// its own only.
        pub(super) struct Members<'a> {
            $(pub(super) $member: Field<'a>,)*
        }

        impl<'a> $crate::wire::request::Members<'a> for Members<'a> {
            fn read(text: &'a str) -> Result<Self, serde_json::Error> {
                #[derive(serde::Deserialize)]
                struct Values<'a> {
                    $(#[serde(borrow, rename = $name)]
                    $member: Option<&'a serde_json::value::RawValue>,)*
                }
                let values: Values<'a> = serde_json::from_str(text)?;
                Ok(Self { $($member: Field { name: $name, value: values.$member },)* })
            }

            fn action(&self) -> Field<'a> {
                self.action
            }

            fn call(&self) -> Field<'a> {
                self.call
            }
        }
    };
}
pub(super) use members;

/// Object of one command, and whose socket it came over, if over one.
pub(super) struct Request<'a, M, S> {
    members: M,
    pub(super) socket: Option<&'a S>,
}

impl<M, S> Deref for Request<'_, M, S> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.members
    }
}

impl<'a, M: Members<'a>, S> Request<'a, M, S> {
    /// The object that is this text.
    pub(super) fn read(text: &'a str, socket: Option<&'a S>) -> Result<Self, Problem> {
        // A derived struct would take an array of its members' values too.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Problem::new(Code::Malformed, "A command is a JSON object; this is none."));
        }
        Ok(Self { members: M::read(text).map_err(|error| not_json(&error))?, socket })
    }

    /// The objects of a frame, in order: one, or those of an array.
    ///
    /// # Errors
    /// Outside, the [`Problem`] of a frame that cannot be taken apart; inside, of one object of it.
    pub(super) fn frame(
        text: &'a str,
        socket: Option<&'a S>,
    ) -> Result<Vec<Result<Self, Problem>>, Problem> {
        let text = text.trim_ascii();
        if !text.starts_with('[') {
            // What is no object at all has no call number to answer under: the frame is at fault.
            return Ok(alloc::vec![Ok(Self::read(text, socket)?)]);
        }
        let most = limits::FRAME_MAX_COMMANDS;
        let objects = elements::<&RawValue>(text, most)
            .map_err(|error| not_json(&error))?
            .ok_or_else(|| {
                let detail = format!("The frame has more than {most} commands. Send it in parts.");
                Problem::new(Code::Malformed, detail)
            })?;
        if objects.is_empty() {
            return Err(Problem::new(Code::Malformed, "The frame has no command."));
        }
        Ok(objects.into_iter().map(|object| Self::read(object.get(), socket)).collect())
    }

    /// Result of `decode` on the object, with the number of its attempt.
    ///
    /// # Errors
    /// The [`Problem`] of the object, with that number if it could be read.
    pub(super) fn decoded<T>(
        &self,
        decode: impl FnOnce(&Self) -> Result<T, Problem>,
    ) -> Result<(Option<u64>, T), Problem> {
        let call = self.call();
        let number = call.whole();
        if call.is_present() && number.is_none() {
            return Err(call.malformed("a whole number"));
        }
        let decoded = decode(self).map_err(|problem| problem.with_call(number))?;
        Ok((number, decoded))
    }

    /// The decoder of the action that stands in the object. One that does not exist is malformed: the address
    /// was right.
    pub(super) fn by_action<D>(
        &self,
        actions: &str,
        decoder: impl FnOnce(&str) -> Option<D>,
    ) -> Result<D, Problem> {
        let action = self.action();
        let name = action.text()?.ok_or_else(|| action.malformed(actions))?;
        decoder(&name).ok_or_else(|| action.malformed(actions))
    }
}

/// The text of an HTTP body.
pub(super) fn text_of_body(body: &[u8]) -> Result<&str, Problem> {
    core::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Problem::new(Code::Malformed, format!("The body is not UTF-8: byte {at} is no character."))
    })
}

/// The problem of a command that says twice what it is about.
pub(super) fn twice(one: &str, other: &str) -> Problem {
    let detail = format!("The command has both {one} and {other}. Say once what it is about.");
    Problem::new(Code::Malformed, detail)
}

/// The problem of an address whose action does not exist.
pub(super) fn no_action(service: &str, action: &str, actions: &str) -> Problem {
    let shown = Excerpt(action);
    let detail = format!("There is no {service} action `{shown}`. There are {actions}.");
    Problem::new(Code::NotFound, detail)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Malformed, format!("This is not the JSON of a command: {error}."))
}
