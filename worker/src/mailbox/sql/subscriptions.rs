//! Subscriptions with the ranges of `seq` they are for: so an agent's row says which messages of the log
//! were addressed to it, and a message needs no row for each of its recipients.

use std::collections::BTreeMap;

use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{MessageType, Pattern, Patterns};

use super::encoding::{Reader, put};

/// More ranges than this are not kept: what they address is listed one by one instead.
pub(super) const MOST_SPANS: usize = 256;

/// From one `seq` up to and without another, or without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: u64,
    to: Option<u64>,
}

/// Subscriptions of an agent, and since when.
///
/// Invariant: a pattern's spans do not overlap and are in order; it is subscribed to if its last one has
/// no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscriptions {
    chosen: bool,
    spans: BTreeMap<Pattern, Vec<Span>>,
}

/// The first `seq` that may come after this one.
fn after(seq: Ordinal) -> u64 {
    seq.get().saturating_add(1)
}

impl Span {
    fn has(self, seq: Ordinal) -> bool {
        self.from <= seq.get() && self.to.is_none_or(|to| seq.get() < to)
    }
}

impl Subscriptions {
    /// The patterns as they are now; `None` for an agent that has never chosen.
    pub fn types(&self) -> Option<Patterns> {
        self.chosen.then(|| self.open().cloned().collect())
    }

    fn open(&self) -> impl Iterator<Item = &Pattern> {
        let is_open = |spans: &[Span]| spans.last().is_some_and(|span| span.to.is_none());
        self.spans.iter().filter(move |(_, spans)| is_open(spans)).map(|(pattern, _)| pattern)
    }

    /// True if a message that is accepted now is wanted.
    pub fn want(&self, kind: &MessageType) -> bool {
        self.open().any(|pattern| pattern.matches(kind))
    }

    /// True if any pattern that matches was ever subscribed to, as far as that is still known.
    pub fn ever_wanted(&self, kind: &MessageType) -> bool {
        self.spans.keys().any(|pattern| pattern.matches(kind))
    }

    /// True if the message was wanted when it was accepted.
    pub fn wanted(&self, kind: &MessageType, seq: Ordinal) -> bool {
        let has = |spans: &[Span]| spans.iter().any(|span| span.has(seq));
        self.spans.iter().any(|(pattern, spans)| has(spans) && pattern.matches(kind))
    }

    /// Sets the patterns for what comes after `last`.
    pub fn choose(&mut self, types: &Patterns, last: Ordinal) {
        self.chosen = true;
        let next = after(last);
        for (pattern, spans) in &mut self.spans {
            let ends = |span: &Span| span.to.is_none() && !types.contains(pattern);
            if let Some(span) = spans.pop_if(|span| ends(span)) {
                // One that nothing was accepted in leaves no trace.
                spans.extend((span.from < next).then_some(Span { to: Some(next), ..span }));
            }
        }
        self.spans.retain(|_, spans| !spans.is_empty());
        for pattern in types {
            let spans = self.spans.entry(pattern.clone()).or_default();
            match spans.last_mut() {
                Some(span) if span.to.is_none() => {}
                // Nothing was accepted since it ended.
                Some(span) if span.to == Some(next) => span.to = None,
                _ => spans.push(Span { from: next, to: None }),
            }
        }
    }

    /// Number of spans.
    pub fn len(&self) -> usize {
        self.spans.values().map(Vec::len).fold(0, usize::saturating_add)
    }

    /// Drops the spans that end at `high` or before: nothing in them is undecided.
    pub fn forget_through(&mut self, high: Ordinal) {
        for spans in self.spans.values_mut() {
            spans.retain(|span| span.to.is_none_or(|to| to > after(high)));
        }
        self.spans.retain(|_, spans| !spans.is_empty());
    }

    /// The bytes of the column; `None` for an agent that has never chosen.
    pub fn encode(&self) -> Option<Vec<u8>> {
        if !self.chosen {
            return None;
        }
        let mut bytes = Vec::new();
        for (pattern, spans) in &self.spans {
            let text = pattern.as_str().as_bytes();
            put(&mut bytes, text.len() as u64);
            bytes.extend_from_slice(text);
            put(&mut bytes, spans.len() as u64);
            for span in spans {
                put(&mut bytes, span.from);
                put(&mut bytes, span.to.map_or(0, |to| to.saturating_sub(span.from)));
            }
        }
        Some(bytes)
    }

    /// Subscriptions that the column tells; `None` if it tells nothing.
    pub fn decode(column: Option<&[u8]>) -> Option<Self> {
        let Some(bytes) = column else { return Some(Self::default()) };
        let (mut reader, mut spans) = (Reader(bytes), BTreeMap::new());
        while !reader.is_empty() {
            let length = reader.number()?;
            let text = std::str::from_utf8(reader.bytes(length)?).ok()?;
            let pattern = Pattern::new(text).ok()?;
            let mut of_pattern = Vec::new();
            for _ in 0..reader.number()? {
                let (from, length) = (reader.number()?, reader.number()?);
                let to = if length == 0 { None } else { Some(from.checked_add(length)?) };
                of_pattern.push(Span { from, to });
            }
            spans.insert(pattern, of_pattern);
        }
        Some(Self { chosen: true, spans })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(number: u64) -> Ordinal {
        Ordinal::new(number).unwrap()
    }

    fn patterns(texts: &[&str]) -> Patterns {
        texts.iter().map(|text| Pattern::new(*text).unwrap()).collect()
    }

    fn kind(text: &str) -> MessageType {
        MessageType::new(text).unwrap()
    }

    #[test]
    fn a_message_is_addressed_by_what_was_subscribed_to_when_it_came() {
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.types(), None);
        subscriptions.choose(&patterns(&["a", "b.*"]), seq(10));
        subscriptions.choose(&patterns(&["b.*"]), seq(20));
        subscriptions.choose(&patterns(&["a", "b.*"]), seq(30));
        for (number, wanted) in [(10, false), (11, true), (20, true), (21, false), (31, true)] {
            assert_eq!(subscriptions.wanted(&kind("a"), seq(number)), wanted, "{number}");
        }
        assert!(subscriptions.wanted(&kind("b.x"), seq(25)));
        let column = subscriptions.encode();
        assert_eq!(Subscriptions::decode(column.as_deref()), Some(subscriptions));
    }

    #[test]
    fn a_pattern_that_comes_back_before_the_next_message_was_never_away() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.choose(&patterns(&["a"]), seq(10));
        let before = subscriptions.clone();
        subscriptions.choose(&patterns(&[]), seq(10));
        assert!(!subscriptions.want(&kind("a")));
        subscriptions.choose(&patterns(&["a"]), seq(10));
        assert_eq!(subscriptions, before);
    }

    #[test]
    fn ended_spans_go_when_all_in_them_is_decided() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.choose(&patterns(&["a"]), seq(10));
        subscriptions.choose(&patterns(&[]), seq(20));
        subscriptions.forget_through(seq(19));
        assert_eq!(subscriptions.len(), 1);
        subscriptions.forget_through(seq(20));
        assert_eq!((subscriptions.len(), subscriptions.types()), (0, Some(patterns(&[]))));
    }
}
