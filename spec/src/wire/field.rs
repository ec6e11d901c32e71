//! Reading one member of an object: what is wrong with it, and where, in words.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Code, Problem};
use crate::id::InvalidId;
use crate::limits;
use crate::ordinal::Ordinal;
use crate::path::{InvalidPath, LeasePath};
use crate::time::{HOST_END_MS, HOST_FIRST_MS};

/// One member of an object by its name: the text of its value, not yet looked at.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) value: Option<&'a RawValue>,
}

impl<'a> Field<'a> {
    pub(super) const fn is_present(self) -> bool {
        self.value.is_some()
    }

    /// The problem of a member that is not what it has to be, where that has no code of its own.
    pub(super) fn malformed(self, wanted: impl fmt::Display) -> Problem {
        self.refused(Code::Malformed, wanted)
    }

    pub(super) fn refused(self, code: Code, wanted: impl fmt::Display) -> Problem {
        let name = self.name;
        match self.value {
            None => Problem::new(code, format!("`{name}` is missing. It has to be {wanted}.")),
            Some(value) => Problem::new(
                code,
                format!("`{name}` has to be {wanted}; it is {}.", Excerpt(value.get())),
            ),
        }
    }

    fn parsed<T: Deserialize<'a>>(self, wanted: impl fmt::Display) -> Result<Option<T>, Problem> {
        let Some(value) = self.value else { return Ok(None) };
        serde_json::from_str(value.get()).map(Some).map_err(|_| self.malformed(wanted))
    }

    pub(super) fn text(self) -> Result<Option<String>, Problem> {
        self.parsed("a text")
    }

    pub(super) fn flag(self) -> Result<Option<bool>, Problem> {
        self.parsed("true or false")
    }

    /// The name of somebody or something.
    pub(super) fn id<T>(
        self,
        new: fn(String) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text()? else { return Ok(None) };
        new(text).map(Some).map_err(|invalid| {
            Problem::new(
                Code::IdInvalid,
                format!(
                    "`{}` {invalid}. A name has 1 to 128 bytes and no control characters.",
                    self.name
                ),
            )
        })
    }

    pub(super) fn path(self, parse: ParsePath) -> Result<Option<LeasePath>, Problem> {
        let Some(text) = self.text()? else { return Ok(None) };
        path(self.name, &text, parse).map(Some)
    }

    /// A number with a whole, non-negative value, however it is spelled.
    pub(super) fn whole(self) -> Option<u64> {
        self.value.and_then(|value| whole(value.get()))
    }

    pub(super) fn ordinal(self) -> Result<Ordinal, Problem> {
        self.whole().and_then(Ordinal::new).ok_or_else(|| {
            self.malformed(format_args!("a whole number from 0 to {}", Ordinal::MAX))
        })
    }

    /// An ordinal that an object may have issued, called `what`.
    pub(super) fn issuable(self, what: &str) -> Result<Ordinal, Problem> {
        let ordinal = self.ordinal()?;
        if (HOST_FIRST_MS..HOST_END_MS).contains(&ordinal.anchor_ms()) {
            return Ok(ordinal);
        }
        let (first, end) = (HOST_FIRST_MS << Ordinal::SHIFT, HOST_END_MS << Ordinal::SHIFT);
        Err(self.malformed(format_args!(
            "a {what} of the years 2024 to 2199: {first} or more and below {end}"
        )))
    }

    /// The elements of an array of ordinals, at most `most`.
    pub(super) fn ordinals(self, most: usize) -> Result<Vec<Ordinal>, Problem> {
        let read = || -> Option<Vec<Ordinal>> {
            let numbers: Vec<&RawValue> = elements(self.value?.get(), most).ok()??;
            numbers.into_iter().map(|number| whole(number.get()).and_then(Ordinal::new)).collect()
        };
        let max = Ordinal::MAX;
        read().ok_or_else(|| {
            self.malformed(format_args!("an array of at most {most} whole numbers from 0 to {max}"))
        })
    }
}

/// One of [`LeasePath::new`] and [`LeasePath::named`].
pub(super) type ParsePath = fn(&str) -> Result<LeasePath, InvalidPath>;

/// The path that a member's text spells.
pub(super) fn path(name: &str, text: &str, parse: ParsePath) -> Result<LeasePath, Problem> {
    parse(text).map_err(|invalid| {
        let shown = Excerpt(text);
        Problem::new(Code::PathInvalid, format!("`{name}`: the path `{shown}` {invalid}."))
    })
}

/// The whole, non-negative value of a JSON number: `1000`, `1e3` and `1000.0` are one number.
fn whole(text: &str) -> Option<u64> {
    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    // The value is known to be JSON, so what is left for `f64` are JSON's numbers; `null`, texts,
    // arrays and objects do not parse. Up to 2^53 a whole value survives the way there and back.
    let float: f64 = text.parse().ok()?;
    let max = Ordinal::MAX.get();
    let (whole, back) = (float as u64, (float as u64) as f64);
    (back == float && whole <= max).then_some(whole)
}

/// The elements of a JSON array, or `None` if there are more than `max`: none of those is kept.
pub(super) fn elements<'a, T: Deserialize<'a>>(
    text: &'a str,
    max: usize,
) -> Result<Option<Vec<T>>, serde_json::Error> {
    struct Bounded<T>(usize, PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut read = Vec::new();
            while read.len() < self.0 {
                let Some(element) = seq.next_element()? else { return Ok(Some(read)) };
                read.push(element);
            }
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(Some(read));
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde::Deserializer::deserialize_seq(&mut deserializer, Bounded(max, PhantomData))?;
    deserializer.end()?;
    Ok(read)
}

/// The first characters of a text that somebody sent, in a form that fits into a sentence.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a>(pub &'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = limits::EXCERPT_CHARS;
        for c in self.0.chars().take(SHOWN) {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        if self.0.chars().nth(SHOWN).is_some() { f.write_str("…") } else { Ok(()) }
    }
}
