//! Subscriptions: sets of patterns over message types.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::mailbox::message::{InvalidType, MessageType, check};

/// Subscription of an agent: one type `x`, all types under a prefix `x.*`, or everything `*`.
///
/// `t.*` matches `t.x` and `t.x.y`, not `t`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Pattern(String);

/// A set of patterns. A message that several match is one message.
pub type Patterns = BTreeSet<Pattern>;

impl Pattern {
    /// Parses the pattern.
    ///
    /// # Errors
    /// [`InvalidType`] says what is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidType> {
        let text = text.into();
        check(&text)?;
        let stem = if text == "*" { "" } else { text.strip_suffix(".*").unwrap_or(&text) };
        if stem.contains('*') { Err(InvalidType::Character) } else { Ok(Self(text)) }
    }

    /// The pattern that matches everything.
    #[must_use]
    pub fn everything() -> Self {
        Self(String::from("*"))
    }

    /// The text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if a message of this type matches.
    #[must_use]
    pub fn matches(&self, kind: &MessageType) -> bool {
        if self.0 == "*" {
            return true;
        }
        match self.0.strip_suffix('*') {
            Some(prefix) => kind.as_str().len() > prefix.len() && kind.as_str().starts_with(prefix),
            None => self.0 == kind.as_str(),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, kind: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&MessageType::new(kind).unwrap())
    }

    #[test]
    fn a_pattern_is_a_type_a_prefix_or_everything() {
        assert!(matches("task", "task") && !matches("task", "task.new") && !matches("task", "tas"));
        assert!(matches("task.*", "task.new") && matches("task.*", "task.new.urgent"));
        assert!(
            !matches("task.*", "task")
                && !matches("task.*", "task.")
                && !matches("task.*", "tasks.new")
        );
        assert!(matches("*", "anything"));
    }

    #[test]
    fn stars_elsewhere_and_types_of_the_bus_are_refused() {
        for text in ["a*", "*.a", "a.*.b", "**", ".*.*"] {
            assert_eq!(Pattern::new(text), Err(InvalidType::Character), "{text}");
        }
        assert_eq!(Pattern::new("$gap"), Err(InvalidType::Reserved));
        assert_eq!(MessageType::new("$gap"), Err(InvalidType::Reserved));
        assert_eq!(MessageType::new("a.*"), Err(InvalidType::Character));
        assert_eq!(Pattern::new(""), Err(InvalidType::Empty));
    }
}
