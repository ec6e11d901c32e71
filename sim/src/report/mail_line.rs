//! One short line for each transition of the mailbox object.

use mailbus_spec::Ordinal;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Fate, Message, Notice, Outcome, Patterns, Push, Rejection, Settled,
};

use crate::judge::observer::mailbox::MailEvent;

/// The line of an event.
#[must_use]
pub fn event(event: &MailEvent) -> String {
    let asked = match &event.event {
        Event::Alarm => "alarm".to_owned(),
        Event::Command(asked) => command(asked),
    };
    let answered = event.step.reply.as_ref().map_or_else(String::new, |reply| {
        let answer = match &reply.answer {
            Ok(outcome) => outcome_text(outcome),
            Err(rejection) => rejection_text(rejection),
        };
        format!(" -> {answer} #{}@{}", reply.commit.sequence, reply.commit.now)
    });
    let wrote = if event.step.wrote { "" } else { " (read)" };
    let pushes: String = event.step.pushes.iter().map(push).collect();
    format!("mail        {asked}{answered}{wrote}{pushes}")
}

fn command(command: &Command) -> String {
    let over = command.over.as_ref().map_or_else(String::new, |over| format!(" over {over}"));
    let asked = match &command.ask {
        Ask::Connect { agent, session, window, types, last_seen } => {
            let window = window.map_or_else(
                || " as the original".to_owned(),
                |window| format!(" window {}/{}", window.messages(), window.bytes()),
            );
            let seen = last_seen.map_or_else(String::new, |seen| format!(" seen {seen}"));
            format!("{agent}/{session}{window} {}{seen}", types_text(types.as_ref()))
        }
        Ask::Disconnect { connection } => connection.to_string(),
        Ask::Subscribe { agent, types } | Ask::Unsubscribe { agent, types } => {
            format!("{agent} {}", types_text(Some(types)))
        }
        Ask::Publish { message } => message_text(message),
        Ask::Send { to, message } => format!("to {to} {}", message_text(message)),
        Ask::Ack { agent, what } => format!("{agent} {}", settled(what)),
        Ask::Nack { agent, seq, delay } => format!("{agent} {seq} for {}", delay.ms()),
        Ask::Working { agent, seq } => format!("{agent} {seq}"),
        Ask::Inbox { agent, after, .. } | Ask::DeadLetters { agent, after, .. } => {
            format!("{agent} after {after}")
        }
        Ask::Redrive { agent, seqs } => format!("{agent} {}", ordinals(seqs)),
        Ask::Heartbeat { agent } | Ask::Forget { agent } => agent.to_string(),
        Ask::Agents { .. } => String::new(),
        Ask::Recover { at_least } => format!("at least {at_least}"),
    };
    format!("{} {asked}{over}", command.ask.name())
}

fn message_text(message: &Message) -> String {
    let id = message.id.as_ref().map_or("-", |id| id.as_str());
    let ack = if message.ack_required { " ack" } else { "" };
    let ephemeral = if message.ephemeral { " ephemeral" } else { "" };
    format!("{id} {} of {} {} B{ack}{ephemeral}", message.kind, message.from, message.bytes())
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Connected { epoch, resumed, gap, .. } => {
            let gap = gap.map_or_else(String::new, |gap| format!(" {gap:?}"));
            format!("{} {epoch}{gap}", if *resumed { "resumed" } else { "connected" })
        }
        Outcome::Subscribed { types } => format!("subscribed {}", types_text(types.as_ref())),
        Outcome::Accepted { seq, recipients, refused } => {
            let refused =
                if refused.is_empty() { String::new() } else { format!(" not {refused:?}") };
            format!("accepted {seq} for {recipients}{refused}")
        }
        Outcome::Duplicate { seq } => format!("duplicate of {seq}"),
        Outcome::Settled { settled, unknown } => format!("settled {settled} unknown {unknown}"),
        Outcome::Returned(Fate::Due { at }) => format!("due {at}"),
        Outcome::Returned(fate) => format!("{fate:?}").to_lowercase(),
        Outcome::Noted { known } => format!("noted {known}"),
        Outcome::Inbox { messages, complete_through, gap, .. } => {
            let seqs: Vec<Ordinal> = messages.iter().map(|pending| pending.seq).collect();
            let gap = gap.map_or_else(String::new, |gap| format!(" {gap:?}"));
            format!("{} through {complete_through}{gap}", ordinals(&seqs))
        }
        Outcome::Agents { agents, .. } => format!("{} agents", agents.len()),
        Outcome::DeadLetters { letters, .. } => {
            let seqs: Vec<Ordinal> = letters.iter().map(|letter| letter.seq).collect();
            format!("letters {}", ordinals(&seqs))
        }
        Outcome::Redriven { redriven, unknown, refused } => {
            format!("redriven {redriven} unknown {unknown} refused {refused}")
        }
        Outcome::Forgotten { known } => format!("forgotten {known}"),
        Outcome::Disconnected => "disconnected".into(),
        Outcome::Sent => "sent".into(),
        Outcome::Heard => "heard".into(),
        Outcome::Recovered => "recovered".into(),
    }
}

fn rejection_text(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Conflict => "conflict".into(),
        Rejection::Replaced => "replaced".into(),
        Rejection::Ahead { last } => format!("ahead of {last}"),
        Rejection::Limit(kind) => format!("limit {kind:?}"),
        Rejection::Overloaded => "overloaded".into(),
        Rejection::Clock(host) => format!("clock {}", host.0),
    }
}

fn push(push: &Push) -> String {
    let what = match &push.notice {
        Notice::Message { seq, attempt, redriven, message } => {
            let again = if *redriven { " redriven" } else { "" };
            format!("{seq} attempt {attempt}{again} {}", message_text(message))
        }
        Notice::Ephemeral { message } => message_text(message),
        Notice::Gap(gap) => format!("{gap:?}"),
        Notice::Closed(reason) => format!("closed {reason:?}"),
    };
    format!(" ; push {}: {what}", push.to)
}

fn settled(what: &Settled) -> String {
    match what {
        Settled::Seqs(seqs) => ordinals(seqs),
        Settled::UpTo(seq) => format!("up to {seq}"),
        Settled::Id(id) => format!("id {id}"),
        Settled::Gap(through) => format!("losses through {through}"),
    }
}

fn types_text(types: Option<&Patterns>) -> String {
    let Some(types) = types else { return "types as before".into() };
    let types: Vec<&str> = types.iter().map(|pattern| pattern.as_str()).collect();
    format!("{{{}}}", types.join(","))
}

fn ordinals(seqs: &[Ordinal]) -> String {
    let seqs: Vec<String> = seqs.iter().map(Ordinal::to_string).collect();
    format!("[{}]", seqs.join(" "))
}
