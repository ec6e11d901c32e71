//! Notation of instants, durations and ordinals in scripts: relative to the script's start, so that
//! a text is the same in every run.

use core::fmt::Write;

use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::{HostTime, Timestamp};

/// 2030-01-01T00:00:00Z: where the clocks of systems with exact time begin. A full minute, so that
/// collection by minutes is readable.
pub const EXACT_START: HostTime = HostTime(1_893_456_000_000);

/// The instant that a script calls `+0s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(
    /// The host's time at the start.
    pub HostTime,
);

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration as `1m30s`; nothing is `0s`.
#[must_use]
pub fn spell_duration(ms: u64) -> String {
    let mut text = String::new();
    let mut rest = ms;
    for (unit, worth) in UNITS {
        let count = rest / worth;
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
            rest %= worth;
        }
    }
    if text.is_empty() { String::from("0s") } else { text }
}

/// The milliseconds that a text like `1m30s` means.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a duration such as `1m30s`");
    let mut rest = text;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(letters);
        let worth = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        sum = number.checked_mul(worth).and_then(|ms| sum.checked_add(ms)).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}

/// A signed duration as `+30s` or `-3s`.
#[must_use]
pub fn spell_offset(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    format!("{sign}{}", spell_duration(ms.unsigned_abs()))
}

/// The milliseconds that a text like `+30s` or `-3s` means.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_offset(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not an offset such as `+30s` or `-3s`");
    let (sign, duration) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(duration), _) => (1, duration),
        (_, Some(duration)) => (-1, duration),
        _ => return Err(wrong()),
    };
    let ms = i64::try_from(parse_duration(duration)?).map_err(|_| wrong())?;
    Ok(ms.saturating_mul(sign))
}

impl Epoch {
    fn since(self, ms: u64) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(ms).saturating_sub(signed(self.0.0))
    }

    fn ms_at(self, offset: i64) -> Option<u64> {
        self.0.0.checked_add_signed(offset)
    }

    /// An object's instant, as `+30s`.
    #[must_use]
    pub fn spell(self, at: Timestamp) -> String {
        spell_offset(self.since(at.ms()))
    }

    /// A host's instant, as `+30s`.
    #[must_use]
    pub fn spell_host(self, at: HostTime) -> String {
        spell_offset(self.since(at.0))
    }

    /// A generation: 0 before the first write, an instant since.
    #[must_use]
    pub fn spell_generation(self, generation: u64) -> String {
        if generation == 0 { String::from("none") } else { spell_offset(self.since(generation)) }
    }

    /// A generation as [`spell_generation`](Self::spell_generation) shows it.
    ///
    /// # Errors
    /// A sentence, if the text is no instant.
    pub fn parse_generation(self, text: &str) -> Result<u64, String> {
        if text == "none" {
            return Ok(0);
        }
        parse_offset(text).map(|offset| self.host_at(offset).0)
    }

    /// The host's instant at an offset from the start.
    #[must_use]
    pub fn host_at(self, offset: i64) -> HostTime {
        HostTime(self.ms_at(offset).unwrap_or(0))
    }

    /// An ordinal by its anchor: `#30s` is the first of the millisecond 30 s after the start,
    /// `#30s.1` the one after it.
    #[must_use]
    pub fn spell_ordinal(self, ordinal: Ordinal) -> String {
        if ordinal == Ordinal::MAX {
            return String::from("#last");
        }
        let offset = self.since(ordinal.anchor_ms());
        let sign = if offset < 0 { "-" } else { "" };
        let anchor = spell_duration(offset.unsigned_abs());
        match ordinal.get() & ((1 << Ordinal::SHIFT) - 1) {
            0 => format!("#{sign}{anchor}"),
            within => format!("#{sign}{anchor}.{within}"),
        }
    }

    /// The ordinal that [`Epoch::spell_ordinal`] writes so.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse_ordinal(self, text: &str) -> Result<Ordinal, String> {
        let wrong = || format!("`{text}` is not a token such as `#30s` or `#30s.1`");
        let spelled = text.strip_prefix('#').ok_or_else(wrong)?;
        if spelled == "last" {
            return Ok(Ordinal::MAX);
        }
        let (anchor, within) = spelled.split_once('.').unwrap_or((spelled, "0"));
        let offset = if anchor.starts_with('-') {
            parse_offset(anchor)?
        } else {
            i64::try_from(parse_duration(anchor)?).map_err(|_| wrong())?
        };
        let within: u64 = within.parse().map_err(|_| wrong())?;
        let anchored = self.ms_at(offset).and_then(|ms| ms.checked_mul(1 << Ordinal::SHIFT));
        anchored
            .and_then(|first| first.checked_add(within))
            .and_then(Ordinal::new)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (ms, text) in [(0, "0s"), (250, "250ms"), (1_500, "1s500ms"), (90_000, "1m30s")] {
            assert_eq!(spell_duration(ms), text);
            assert_eq!(parse_duration(text), Ok(ms));
        }
        assert_eq!(spell_offset(-3_000), "-3s");
        assert_eq!(parse_offset("-3s"), Ok(-3_000));
        for text in ["", "s", "3", "3x", "3 s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_offset("3s").is_err());
    }

    #[test]
    fn ordinals_are_read_as_they_are_written() {
        let epoch = Epoch(EXACT_START);
        let first = Ordinal::ZERO.next(epoch.host_at(30_000)).unwrap();
        for (ordinal, text) in [
            (first, "#30s"),
            (first.next(EXACT_START).unwrap(), "#30s.1"),
            (Ordinal::ZERO.next(epoch.host_at(-250)).unwrap(), "#-250ms"),
            (Ordinal::MAX, "#last"),
        ] {
            assert_eq!(epoch.spell_ordinal(ordinal), text);
            assert_eq!(epoch.parse_ordinal(text), Ok(ordinal));
        }
    }
}
