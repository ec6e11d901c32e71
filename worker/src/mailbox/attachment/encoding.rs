//! Text form of the messages that were pushed again, as a socket keeps them: one text, since as numbers 1 024 of them
//! would be longer than what a socket may keep.
//!
//! Each is the distance from the one before, doubled, and one more if its push is counted; in hexadecimal
//! digits, with a dot between. Spread over all the years that a clock may be of, 1 024 of them take 13 KB,
//! and spread over a week 9 KB.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mailbus_spec::Ordinal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(
    again: &[(Ordinal, bool)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let ascending: BTreeMap<Ordinal, bool> = again.iter().copied().collect();
    let mut text = String::new();
    let mut last = 0_u64;
    for (seq, counted) in ascending {
        let distance = seq.get().saturating_sub(last);
        let dot = if text.is_empty() { "" } else { "." };
        // An ordinal has 53 bits, and writing to a string does not fail.
        let _ = write!(text, "{dot}{:x}", distance << 1 | u64::from(counted));
        last = seq.get();
    }
    serializer.serialize_str(&text)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(Ordinal, bool)>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mut last = 0_u64;
    let mut read = |digits: &str| {
        let value = u64::from_str_radix(digits, 16).ok()?;
        last = last.checked_add(value >> 1)?;
        Some((Ordinal::new(last)?, value & 1 == 1))
    };
    let again: Option<Vec<_>> = match text.as_str() {
        "" => Some(Vec::new()),
        text => text.split('.').map(&mut read).collect(),
    };
    again.ok_or_else(|| D::Error::custom("not the messages that were pushed again"))
}
