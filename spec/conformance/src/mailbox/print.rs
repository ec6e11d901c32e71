//! Mailbox commands, answers and pushes as scripts show them.

use core::fmt::{Display, Write};

use super::body;
use crate::notation::{Epoch, spell_duration};
use mailbus_spec::id::AgentId;
use mailbus_spec::limits;
use mailbus_spec::mailbox::{
    AgentEntry, Ask, CloseReason, Command, Connection, DeadLetter, DeadReason, Fate, Fence, Gap,
    LimitKind, Message, Notice, Outcome, Pattern, Patterns, Pending, Rejection, Settled, Window,
};
use mailbus_spec::ordinal::Ordinal;

/// Of longer lists the ends are shown.
const SHOWN: usize = 8;

/// A session: `bob#0s`.
pub(super) fn session(connection: &Connection, epoch: Epoch) -> String {
    format!("{}{}", connection.agent, epoch.spell_ordinal(connection.epoch))
}

/// A command as a script writes it.
pub(super) fn command(command: &Command, epoch: Epoch) -> String {
    let Command { over, ask } = command;
    let Some(over) = over else { return spell_asked(ask, true, epoch) };
    format!("{}: {}", session(over, epoch), spell_asked(ask, false, epoch))
}

/// The command's words, with or without who asks.
fn spell_asked(ask: &Ask, named: bool, epoch: Epoch) -> String {
    let mut line = String::from(ask.name());
    match ask {
        Ask::Connect { .. } => return spell_open(ask, epoch),
        Ask::Disconnect { connection } => {
            return format!("close {}", session(connection, epoch));
        }
        Ask::Forget { agent, epoch: seen } => {
            let seen = seen.map(|seen| format!(" epoch={}", epoch.spell_ordinal(seen)));
            return format!("forget {agent}{}", seen.unwrap_or_default());
        }
        Ask::Recover { at_least } => return format!("recover {}", epoch.spell_ordinal(*at_least)),
        _ => {}
    }
    if let Some(agent) = ask.agent().filter(|_| named) {
        let _ = write!(line, " {agent}");
    }
    match ask {
        Ask::Subscribe { types, .. } | Ask::Unsubscribe { types, .. } => push_all(&mut line, types),
        Ask::Publish { message } => body::spell(&mut line, message),
        Ask::Send { to, message, must_know } => {
            let _ = write!(line, " {to}");
            body::spell(&mut line, message);
            if *must_know {
                line.push_str(" mustKnow");
            }
        }
        Ask::Ack { what, .. } => spell_settled(&mut line, what, epoch),
        Ask::Nack { seq, fence, delay, .. } => {
            let _ = write!(line, " {}", epoch.spell_ordinal(*seq));
            if let Some(Fence { epoch: session, attempt }) = fence {
                let session = epoch.spell_ordinal(*session);
                let _ = write!(line, " attempt={attempt} epoch={session}");
            }
            if delay.ms() > 0 {
                let _ = write!(line, " delay={}", spell_duration(delay.ms()));
            }
        }
        Ask::Working { seq, .. } => {
            let _ = write!(line, " {}", epoch.spell_ordinal(*seq));
        }
        Ask::Inbox { after, limit, .. } | Ask::DeadLetters { after, limit, .. } => {
            if *after != Ordinal::ZERO {
                let _ = write!(line, " after={}", epoch.spell_ordinal(*after));
            }
            let _ = write!(line, " limit={limit}");
        }
        Ask::Agents { after, limit } => {
            if let Some(after) = after {
                let _ = write!(line, " after={after}");
            }
            let _ = write!(line, " limit={limit}");
        }
        Ask::Redrive { seqs, .. } => {
            push_all(&mut line, seqs.iter().map(|seq| epoch.spell_ordinal(*seq)));
        }
        Ask::Heartbeat { .. }
        | Ask::Connect { .. }
        | Ask::Disconnect { .. }
        | Ask::Forget { .. }
        | Ask::Recover { .. } => {}
    }
    line
}

fn refused_by(refused: &[AgentId]) -> String {
    if refused.is_empty() {
        return String::new();
    }
    format!(", refused by {}", joined(refused, " "))
}

fn perhaps(near: &[AgentId]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!(", perhaps {}", joined(near, " "))
}

fn push_all(line: &mut String, words: impl IntoIterator<Item = impl core::fmt::Display>) {
    for word in words {
        let _ = write!(line, " {word}");
    }
}

fn spell_open(ask: &Ask, epoch: Epoch) -> String {
    let Ask::Connect { agent, session, window, types, last_seen } = ask else {
        return String::new();
    };
    let mut line = format!("open {agent}");
    if !session.is_original() {
        let _ = write!(line, "/{session}");
    }
    match window {
        None => {}
        Some(Window::DEFAULT) => line.push_str(" window"),
        Some(window) if window.bytes() == limits::WINDOW_BYTES => {
            let _ = write!(line, " window={}", window.messages());
        }
        Some(window) => {
            let _ = write!(line, " window={},{}", window.messages(), window.bytes());
        }
    }
    if let Some(types) = types {
        let types: Vec<String> = types.iter().map(Pattern::to_string).collect();
        let _ = write!(line, " types={}", types.join(","));
    }
    if let Some(seen) = last_seen {
        let _ = write!(line, " seen={}", epoch.spell_ordinal(*seen));
    }
    line
}

fn spell_settled(line: &mut String, what: &Settled, epoch: Epoch) {
    match what {
        Settled::Seqs(seqs) => push_all(line, seqs.iter().map(|seq| epoch.spell_ordinal(*seq))),
        Settled::UpTo(seq) => {
            let _ = write!(line, " up-to {}", epoch.spell_ordinal(*seq));
        }
        Settled::Id(id) => {
            let _ = write!(line, " id={id}");
        }
        Settled::Gap(through) => {
            let _ = write!(line, " gap={through}");
        }
    }
}

/// An answer on one line.
pub(super) fn answer(answer: &Result<Outcome, Rejection>, epoch: Epoch) -> String {
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
        Outcome::Subscribed { types, resumed } => {
            let new = if *resumed { "" } else { ", as new" };
            format!("subscribed {}{new}", spell_types(types.as_ref()))
        }
        Outcome::Accepted { seq, recipients, refused, known, near } => {
            let seq = epoch.spell_ordinal(*seq);
            let stranger = if *known == Some(false) { ", who is unknown" } else { "" };
            let (refused, near) = (refused_by(refused), perhaps(near));
            format!("accepted {seq} for {recipients}{stranger}{near}{refused}")
        }
        Outcome::Duplicate { seq, recipients, refused } => {
            let count = recipients.map(|count| format!(" for {count}")).unwrap_or_default();
            let (seq, refused) = (epoch.spell_ordinal(*seq), refused_by(refused));
            format!("duplicate of {seq}{count}{refused}")
        }
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
            let agents: Vec<String> =
                agents.iter().map(|entry| spell_agent(entry, epoch)).collect();
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
        Outcome::Forgotten { known: false } => String::from("forgotten: nobody"),
        Outcome::Recovered => String::from("recovered"),
    }
}

/// Place up to which something goes: `nothing` before the first message.
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

fn spell_agent(entry: &AgentEntry, epoch: Epoch) -> String {
    let (of, types) = (epoch.spell_ordinal(entry.epoch), spell_types(entry.types.as_ref()));
    format!("{}{of} {types}, {} pending", entry.agent, entry.pending)
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
        Rejection::UnknownAgent { near } => {
            format!("nobody is known by that name{}", perhaps(near))
        }
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

/// A push without its addressee, on one line.
pub(super) fn notice(notice: &Notice, epoch: Epoch) -> String {
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
