//! Objects of commands as bytes bring them: members by their names, and over whose socket they came.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::ops::Deref;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field::{Excerpt, Field, elements};
use super::{Code, Problem};
use crate::limits;

/// Members of the commands of a service.
pub(super) trait Members<'a>: Sized {
    fn read(text: &'a str) -> Result<Self, serde_json::Error>;
    fn object(&self) -> &Object<'a>;
}

/// The members of a service's commands, each by its name, beside the `action` and `call` of all.
macro_rules! members {
    ($($member:ident: $name:literal,)*) => {
        /// Every member that some command has, on the wire. An action looks at its own only.
        pub(super) struct Members<'a>($crate::wire::request::Object<'a>);

        impl<'a> Members<'a> {
            $(pub(super) fn $member(&self) -> $crate::wire::field::Field<'a> {
                self.0.member($name)
            })*
        }

        impl<'a> $crate::wire::request::Members<'a> for Members<'a> {
            fn read(text: &'a str) -> Result<Self, serde_json::Error> {
                $crate::wire::request::Object::read(text, &["action", "call", $($name),*]).map(Self)
            }

            fn object(&self) -> &$crate::wire::request::Object<'a> {
                &self.0
            }
        }
    };
}
pub(super) use members;

/// Members of one object: those that some command has, and the first names of others.
pub(super) struct Object<'a> {
    found: Vec<Found<'a>>,
    unknown: Vec<String>,
}

struct Found<'a> {
    name: &'static str,
    /// None for `null`, which is absent, but not a second time there.
    value: Option<&'a RawValue>,
    is_seen: Cell<bool>,
}

impl<'a> Object<'a> {
    pub(super) fn read(
        text: &'a str,
        known: &'static [&'static str],
    ) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = serde::Deserializer::deserialize_map(&mut deserializer, Known(known))?;
        deserializer.end()?;
        Ok(object)
    }

    /// The member of this name, which is looked at from here on.
    pub(super) fn member(&self, name: &'static str) -> Field<'a> {
        let found = self.found.iter().find(|found| found.name == name);
        let value = found.and_then(|found| {
            found.is_seen.set(true);
            found.value
        });
        Field { name, value }
    }

    /// The first names of members that nobody has looked at.
    fn ignored(&self) -> Vec<String> {
        let unseen =
            self.found.iter().filter(|found| found.value.is_some() && !found.is_seen.get());
        let unseen = unseen.map(|found| String::from(found.name));
        self.unknown.iter().cloned().chain(unseen).take(limits::IGNORED_NAMED).collect()
    }
}

/// Reader of an object whose members have these names, or others.
struct Known(&'static [&'static str]);

impl<'de> Visitor<'de> for Known {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let (mut found, mut unknown) = (Vec::<Found<'_>>::new(), Vec::new());
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let Some(name) = self.0.iter().copied().find(|name| *name == key) else {
                let is_there = map.next_value::<Option<IgnoredAny>>()?.is_some();
                if is_there && unknown.len() < limits::IGNORED_NAMED {
                    unknown.push(format!("{}", Excerpt(&key)));
                }
                continue;
            };
            if found.iter().any(|found| found.name == name) {
                return Err(A::Error::duplicate_field(name));
            }
            found.push(Found { name, value: map.next_value()?, is_seen: Cell::new(false) });
        }
        Ok(Object { found, unknown })
    }
}

/// Attempt at a command: all that its reply says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, fresh for every attempt, if the client gave it one. The reply repeats it.
    pub number: Option<u64>,
    /// Members that the command has no use for, the first [`limits::IGNORED_NAMED`] of them. The reply names
    /// them: a wish that nobody knows would be taken for granted.
    pub ignored: Vec<String>,
}

impl From<Option<u64>> for Attempt {
    /// The attempt of this number, of which nothing was ignored.
    fn from(number: Option<u64>) -> Self {
        Self { number, ignored: Vec::new() }
    }
}

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

    /// Action that stands in the object.
    pub(super) fn action(&self) -> Field<'a> {
        self.members.object().member("action")
    }

    /// Result of `decode` on the object, with the number of its attempt and the members that were ignored.
    ///
    /// # Errors
    /// The [`Problem`] of the object, with that number if it could be read.
    pub(super) fn decoded<T>(
        &self,
        decode: impl FnOnce(&Self) -> Result<T, Problem>,
    ) -> Result<(Attempt, T), Problem> {
        let object = self.members.object();
        let call = object.member("call");
        let number = call.whole();
        if call.is_present() && number.is_none() {
            return Err(call.malformed("a whole number"));
        }
        let decoded = decode(self).map_err(|problem| problem.with_call(number))?;
        // Over HTTP the action stands in the address, and may stand in the object too.
        self.action();
        Ok((Attempt { number, ignored: object.ignored() }, decoded))
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
