//! Report of the first thing in a history that no order explains, for a reader.

use core::fmt;

use super::{Explained, History, Invocation};
use crate::lockstep::{spell_push, spell_reply};
use crate::notation::Epoch;
use crate::subject::{ReplyOf, Subject};
use mailbus_spec::time::HostTime;

/// Number of events before it that are shown.
const SHOWN_BEFORE: usize = 12;

/// Reason why no order explains a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Claim that cannot be.
    pub what: String,
    /// Events before it, oldest first.
    pub before: Vec<String>,
    /// True if all choices were tried; otherwise an order might exist beyond the bound.
    pub exhaustive: bool,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no order of events explains this history")?;
        for line in &self.before {
            writeln!(f, "    {line}")?;
        }
        f.write_str(&self.what)?;
        if !self.exhaustive {
            f.write_str("\n  (this is as far as was searched; not every choice was tried)")?;
        }
        Ok(())
    }
}

impl core::error::Error for Contradiction {}

/// Instants in a report are relative to the first commit.
pub(super) fn epoch<S: Subject>(history: &History<S>) -> Epoch {
    let replies = history.invocations.iter().filter_map(Invocation::reply);
    Epoch(HostTime(replies.map(|reply| reply.commit.now.ms()).min().unwrap_or(0)))
}

fn reply_text<S: Subject>(reply: &ReplyOf<S>, epoch: Epoch) -> String {
    spell_reply::<S>(reply, &mut { reply.commit.generation }, epoch)
}

impl Contradiction {
    /// Two replies whose order contradicts real time.
    pub(super) fn between<S: Subject>(
        history: &History<S>,
        earlier: usize,
        later: usize,
        why: String,
    ) -> Self {
        let epoch = epoch(history);
        let line = |index: usize| {
            let invocation = history.invocations.get(index)?;
            let reply = invocation.reply().map(|reply| reply_text::<S>(reply, epoch));
            Some(format!("{} -> {}", invocation.spell(epoch), reply.unwrap_or_default()))
        };
        let before = line(earlier).into_iter().collect();
        let what = format!("  {}\n  {why}", line(later).unwrap_or_default());
        Self { what, before, exhaustive: true }
    }

    /// A reply that the specification does not give there.
    pub(super) fn unexplained<S: Subject>(
        history: &History<S>,
        trail: &[Explained<S>],
        index: usize,
        expected: Option<&ReplyOf<S>>,
    ) -> Self {
        let epoch = epoch(history);
        let invocation = history.invocations.get(index);
        let asked = invocation.map(|one| one.spell(epoch)).unwrap_or_default();
        let actual = invocation.and_then(Invocation::reply);
        let actual = actual.map(|reply| reply_text::<S>(reply, epoch)).unwrap_or_default();
        let expected = expected.map_or_else(
            || {
                String::from(
                    "nothing: no event that was seen or may be hidden leads to its sequence",
                )
            },
            |reply| reply_text::<S>(reply, epoch),
        );
        let what =
            format!("  {asked}\n  was answered        {actual}\n  the specification   {expected}");
        Self { what, before: lines_before(history, trail), exhaustive: true }
    }

    /// Pushes that the specification does not send, or sends and nobody received.
    pub(super) fn pushes<S: Subject>(
        history: &History<S>,
        trail: &[Explained<S>],
        why: &str,
        push: &S::Push,
    ) -> Self {
        let what = format!("  {why}:\n{}", spell_push::<S>(push, epoch(history)));
        Self { what, before: lines_before(history, trail), exhaustive: true }
    }
}

fn lines_before<S: Subject>(history: &History<S>, trail: &[Explained<S>]) -> Vec<String> {
    let epoch = epoch(history);
    let skipped = trail.len().saturating_sub(SHOWN_BEFORE);
    let mut lines = Vec::new();
    for event in trail.iter().skip(skipped) {
        let invocation = event.invocation.and_then(|index| history.invocations.get(index));
        let who = invocation.map_or_else(|| String::from("alarm"), |one| one.spell(epoch));
        let reply = invocation.and_then(Invocation::reply);
        let answer = reply.map(|reply| format!(" -> {}", S::spell_answer(&reply.answer, epoch)));
        let hidden = if event.hidden { " (nobody saw the answer)" } else { "" };
        let at = epoch.spell(event.now);
        lines.push(format!(
            "[{} {at}] {who}{}{hidden}",
            event.sequence,
            answer.unwrap_or_default()
        ));
    }
    lines
}
