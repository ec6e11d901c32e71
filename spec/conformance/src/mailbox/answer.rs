//! Mailbox answers and pushes as scripts show them.

use core::fmt::{Display, Write};

use crate::notation::Epoch;
use mailbus_spec::mailbox::{
    AgentEntry, CloseReason, DeadLetter, DeadReason, Fate, Gap, LimitKind, Message, Notice,
    Outcome, Patterns, Pending, Rejection,
};
use mailbus_spec::ordinal::Ordinal;

/// Of longer lists the ends are shown.
const SHOWN: usize = 8;

pub(super) fn spell(answer: &Result<Outcome, Rejection>, epoch: Epoch) -> String {
    match answer {
        Ok(outcome) => spell_outcome(outcome, epoch),
        Err(rejection) => format!("refused: {}", spell_rejection(rejection, epoch)),
    }
}

fn spell_outcome(outcome: &Outcome, epoch: Epoch) -> String {
    match outcome {
        Outcome::Connected { epoch: session, resumed, gap, refused } => {
            let known = if *resumed { "again" } else { "as new" };
            let lost = lost(gap.as_ref(), *refused, epoch);
            format!("connected {known} {}{lost}", epoch.spell_ordinal(*session))
        }
        Outcome::Disconnected => String::from("disconnected"),
        Outcome::Subscribed { types } => format!("subscribed {}", spell_types(types.as_ref())),
        Outcome::Accepted { seq, recipients, refused } => {
            let accepted = format!("accepted {} for {recipients}", epoch.spell_ordinal(*seq));
            if refused.is_empty() {
                accepted
            } else {
                format!("{accepted}, refused by {}", joined(refused, " "))
            }
        }
        Outcome::Duplicate { seq } => format!("duplicate of {}", epoch.spell_ordinal(*seq)),
        Outcome::Sent => String::from("sent"),
        Outcome::Settled { settled, unknown } => {
            format!("settled {settled}{}", also(*unknown, "unknown"))
        }
        Outcome::Returned(Fate::Due { at }) => format!("returned: due {}", epoch.spell(*at)),
        Outcome::Returned(Fate::Dead) => String::from("returned: given up"),
        Outcome::Returned(Fate::Unknown) => String::from("returned: not in flight"),
        Outcome::Noted { known: true } => String::from("noted"),
        Outcome::Noted { known: false } => String::from("noted: not in flight"),
        Outcome::Inbox { messages, complete_through, gap, refused } => {
            let lost = lost(gap.as_ref(), *refused, epoch);
            let pending: Vec<String> =
                messages.iter().map(|pending| spell_pending(pending, epoch)).collect();
            let through = place(*complete_through, epoch);
            format!("inbox through {through}{lost}: {}", listed(&pending, false, "empty"))
        }
        Outcome::Agents { agents, more } => {
            let agents: Vec<String> = agents.iter().map(spell_agent).collect();
            listed(&agents, *more, "no agents")
        }
        Outcome::Heard => String::from("heard"),
        Outcome::DeadLetters { letters, more } => {
            let letters: Vec<String> =
                letters.iter().map(|letter| spell_letter(letter, epoch)).collect();
            listed(&letters, *more, "no dead letters")
        }
        Outcome::Redriven { redriven, unknown, refused } => {
            let rest = format!("{}{}", also(*unknown, "unknown"), also(*refused, "refused"));
            format!("redriven {redriven}{rest}")
        }
        Outcome::Forgotten { known: true } => String::from("forgotten"),
        Outcome::Forgotten { known: false } => String::from("forgotten: never known"),
        Outcome::Recovered => String::from("recovered"),
    }
}

/// How far something goes: `nothing` before the first message.
fn place(last: Ordinal, epoch: Epoch) -> String {
    if last == Ordinal::ZERO { String::from("nothing") } else { epoch.spell_ordinal(last) }
}

fn joined<T: Display>(words: &[T], between: &str) -> String {
    words.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

fn also(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!(", {count} {what}") }
}

/// The entries behind each other; of many, the first and the last.
fn listed(entries: &[String], more: bool, nothing: &str) -> String {
    let mut text = match entries {
        [] => String::from(nothing),
        [first, .., last] if entries.len() > SHOWN => {
            format!("{first}; … {last} ({} in all)", entries.len())
        }
        few => few.join("; "),
    };
    if more {
        text.push_str("; and more");
    }
    text
}

fn spell_types(types: Option<&Patterns>) -> String {
    match types {
        None => String::from("to whatever it chooses first"),
        Some(types) if types.is_empty() => String::from("to nothing"),
        Some(types) => {
            let types: Vec<String> = types.iter().map(ToString::to_string).collect();
            format!("to {}", listed_words(&types))
        }
    }
}

fn listed_words(words: &[String]) -> String {
    match words {
        [first, .., last] if words.len() > SHOWN => {
            format!("{first} … {last} ({} patterns)", words.len())
        }
        few => few.join(" "),
    }
}

fn lost(gap: Option<&Gap>, refused: u64, epoch: Epoch) -> String {
    let gap = gap.map(|gap| format!(", {}", spell_gap(gap, epoch))).unwrap_or_default();
    format!("{gap}{}", also(refused, "refused"))
}

fn spell_gap(gap: &Gap, epoch: Epoch) -> String {
    let (first, last) = (epoch.spell_ordinal(gap.first), epoch.spell_ordinal(gap.last));
    format!("lost {} from {first} to {last} through {}", gap.count, gap.through)
}

/// `task.new m1 from ann with [1]`.
fn spell_message(message: &Message) -> String {
    let mut text = message.kind.to_string();
    if let Some(id) = &message.id {
        let _ = write!(text, " {id}");
    }
    let _ = write!(text, " from {}", message.from);
    if let Some(payload) = &message.payload {
        let _ = write!(text, " with {payload}");
    }
    text
}

fn spell_pending(pending: &Pending, epoch: Epoch) -> String {
    let redriven = if pending.redriven { ", redriven" } else { "" };
    format!("{} {}{redriven}", epoch.spell_ordinal(pending.seq), spell_message(&pending.message))
}

fn spell_agent(entry: &AgentEntry) -> String {
    let types = spell_types(entry.types.as_ref());
    format!("{} {types}, {} pending", entry.agent, entry.pending)
}

fn spell_letter(letter: &DeadLetter, epoch: Epoch) -> String {
    let why = match letter.reason {
        DeadReason::Failed => format!("failed after {} attempts", letter.attempts),
        DeadReason::Refused => String::from("refused"),
    };
    let (seq, at) = (epoch.spell_ordinal(letter.seq), epoch.spell(letter.at));
    format!("{seq} {} {why} {at}", spell_message(&letter.message))
}

fn spell_rejection(rejection: &Rejection, epoch: Epoch) -> String {
    match rejection {
        Rejection::Conflict => String::from("the id stands for something else"),
        Rejection::Replaced => String::from("replaced"),
        Rejection::Ahead { last } => format!("ahead of {}", place(*last, epoch)),
        Rejection::Limit(kind) => format!("limit of {}", limit_text(*kind)),
        Rejection::Overloaded => String::from("overloaded"),
        Rejection::Clock(host) => format!("the host's clock reads {} ms", host.0),
    }
}

fn limit_text(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::Agents => "agents in the workspace",
        LimitKind::Patterns => "patterns of the agent",
        LimitKind::UnknownNames => "names that never connected",
        LimitKind::UnknownNameMessages => "messages for a name that never connected",
        LimitKind::Ordinals => "ordinals",
    }
}

pub(super) fn spell_notice(notice: &Notice, epoch: Epoch) -> String {
    match notice {
        Notice::Message { seq, attempt, redriven, message } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let redriven = if *redriven { ", redriven" } else { "" };
            let seq = epoch.spell_ordinal(*seq);
            format!("{seq} {}{again}{redriven}", spell_message(message))
        }
        Notice::Ephemeral { message } => format!("ephemeral {}", spell_message(message)),
        Notice::Gap(gap) => spell_gap(gap, epoch),
        Notice::Closed(reason) => format!("closed: {}", close_text(*reason)),
    }
}

fn close_text(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Replaced => "replaced",
        CloseReason::TakenOver => "taken over",
        CloseReason::Reopen => "reopen",
        CloseReason::Crowded => "crowded",
        CloseReason::Disconnected => "disconnected",
        CloseReason::Forgotten => "forgotten",
    }
}
