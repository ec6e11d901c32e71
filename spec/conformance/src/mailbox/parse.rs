//! Mailbox commands out of the words of a script.
//!
//! ```text
//! open bob/1 window=2,100 types=a,b.*       (a session that negotiated; `window` alone is the default)
//! open bob                                  (the original's protocol: no session id, nothing negotiated)
//! open bob/1 window types= seen=#0s.1
//! close bob#0s                              (an epoch is written like every ordinal)
//! subscribe bob a b.*
//! unsubscribe bob a
//! publish ann task.new id=m1 payload=[1] ackRequired ephemeral
//! send ann bob task.new bytes=300 extra=3   (of 300 bytes; with a member that the bus does not know)
//! send ann bob task.new mustKnow            (refused if nobody is known by that name)
//! ack bob #0s #0s.1
//! ack bob up-to #0s.1
//! ack bob id=m1
//! ack bob gap=2
//! nack bob #0s attempt=2 epoch=#0s delay=5s    (the push that is meant)
//! working bob #0s
//! inbox bob after=#0s limit=2
//! agents after=ann limit=2
//! heartbeat bob
//! dead-letters bob after=#0s limit=2
//! redrive bob #0s
//! forget bob epoch=#0s
//! recover #1h
//! bob#0s: ack #0s.1                         (over bob's socket: who asks is not said again)
//! ```

use std::collections::BTreeSet;

use super::body;
use crate::directive::{keyed, keyed_duration};
use crate::notation::Epoch;
use mailbus_spec::id::{AgentId, SessionId};
use mailbus_spec::limits;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Delay, Fence, MessageId, Pattern, Patterns, Settled, Window,
};
use mailbus_spec::ordinal::Ordinal;

fn agent(text: &str) -> Result<AgentId, String> {
    AgentId::new(text).map_err(|invalid| format!("the agent `{text}` {invalid}"))
}

fn id(text: &str) -> Result<MessageId, String> {
    MessageId::new(text).map_err(|invalid| format!("the id `{text}` {invalid}"))
}

/// A session: `bob#0s`.
pub(super) fn connection(text: &str, epoch: Epoch) -> Result<Connection, String> {
    let wrong = || format!("`{text}` is not a session such as `bob#0s`");
    let at = text.rfind('#').ok_or_else(wrong)?;
    let (name, ordinal) = text.split_at(at);
    Ok(Connection { agent: agent(name)?, epoch: epoch.parse_ordinal(ordinal)? })
}

fn patterns<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Patterns, String> {
    let pattern = |text: &str| {
        Pattern::new(text).map_err(|invalid| format!("the pattern `{text}` {invalid}"))
    };
    let patterns: BTreeSet<Pattern> = texts.map(pattern).collect::<Result<_, _>>()?;
    if patterns.len() > limits::AGENT_PATTERNS {
        return Err(format!("at most {} patterns are asked for", limits::AGENT_PATTERNS));
    }
    Ok(patterns)
}

fn ordinals(words: &[&str], epoch: Epoch) -> Result<Vec<Ordinal>, String> {
    words.iter().map(|word| epoch.parse_ordinal(word)).collect()
}

fn limit(words: &[&str]) -> Result<usize, String> {
    match keyed(words, "limit") {
        None => Ok(limits::LIST_DEFAULT),
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=limits::LIST_MAX).contains(limit))
            .ok_or_else(|| format!("`limit={text}` is not 1 to {}", limits::LIST_MAX)),
    }
}

fn after(words: &[&str], epoch: Epoch) -> Result<Ordinal, String> {
    keyed(words, "after").map_or(Ok(Ordinal::ZERO), |text| epoch.parse_ordinal(text))
}

/// A command out of its words.
pub(super) fn command(words: &[&str], epoch: Epoch) -> Result<Command, String> {
    match words {
        [over, name, rest @ ..] if over.ends_with(':') => {
            let connection = connection(over.trim_end_matches(':'), epoch)?;
            let who = connection.agent.clone();
            let asked = match asked(name, &who, rest, epoch)? {
                Some(asked) => Some(asked),
                None => unnamed(name, rest, epoch)?,
            };
            let asked = asked.ok_or_else(|| not_a_command(words))?;
            Ok(Command::over(connection, asked))
        }
        [name, rest @ ..] => {
            if let Some(asked) = unnamed(name, rest, epoch)? {
                return Ok(Command::alone(asked));
            }
            let [who, rest @ ..] = rest else { return Err(not_a_command(words)) };
            let asked = asked(name, &agent(who)?, rest, epoch)?;
            asked.map(Command::alone).ok_or_else(|| not_a_command(words))
        }
        [] => Err(not_a_command(words)),
    }
}

fn not_a_command(words: &[&str]) -> String {
    format!("`{}` is not a command", words.join(" "))
}

/// Command of nobody in particular.
fn unnamed(name: &str, rest: &[&str], epoch: Epoch) -> Result<Option<Ask>, String> {
    Ok(Some(match (name, rest) {
        ("open", [who, rest @ ..]) => open(who, rest, epoch)?,
        ("close", [which]) => Ask::Disconnect { connection: connection(which, epoch)? },
        ("agents", rest) => {
            Ask::Agents { after: keyed(rest, "after").map(agent).transpose()?, limit: limit(rest)? }
        }
        ("forget", [who, rest @ ..]) => {
            let seen = keyed(rest, "epoch").map(|text| epoch.parse_ordinal(text)).transpose()?;
            Ask::Forget { agent: agent(who)?, epoch: seen }
        }
        ("recover", [at_least]) => Ask::Recover { at_least: epoch.parse_ordinal(at_least)? },
        _ => return Ok(None),
    }))
}

/// Command of an agent.
fn asked(name: &str, who: &AgentId, rest: &[&str], epoch: Epoch) -> Result<Option<Ask>, String> {
    let agent_id = who.clone();
    Ok(Some(match (name, rest) {
        ("subscribe", types) => {
            Ask::Subscribe { agent: agent_id, types: patterns(types.iter().copied())? }
        }
        ("unsubscribe", types) => {
            Ask::Unsubscribe { agent: agent_id, types: patterns(types.iter().copied())? }
        }
        ("publish", [kind, rest @ ..]) => Ask::Publish { message: body::parse(who, kind, rest)? },
        ("send", [to, kind, rest @ ..]) => {
            let (to, message) = (agent(to)?, body::parse(who, kind, rest)?);
            Ask::Send { to, message, must_know: rest.contains(&"mustKnow") }
        }
        ("ack", what) => Ask::Ack { agent: agent_id, what: settled(what, epoch)? },
        ("nack", [seq, rest @ ..]) => {
            let ms = keyed_duration(rest, "delay")?.unwrap_or(0);
            let delay = Delay::from_ms(ms).ok_or("a delay is at most 24 h")?;
            let (seq, fence) = (epoch.parse_ordinal(seq)?, fence(rest, epoch)?);
            Ask::Nack { agent: agent_id, seq, fence, delay }
        }
        ("working", [seq]) => Ask::Working { agent: agent_id, seq: epoch.parse_ordinal(seq)? },
        ("inbox", rest) => {
            Ask::Inbox { agent: agent_id, after: after(rest, epoch)?, limit: limit(rest)? }
        }
        ("heartbeat", []) => Ask::Heartbeat { agent: agent_id },
        ("dead-letters", rest) => {
            Ask::DeadLetters { agent: agent_id, after: after(rest, epoch)?, limit: limit(rest)? }
        }
        ("redrive", seqs) => Ask::Redrive { agent: agent_id, seqs: ordinals(seqs, epoch)? },
        _ => return Ok(None),
    }))
}

fn fence(words: &[&str], epoch: Epoch) -> Result<Option<Fence>, String> {
    let Some(text) = keyed(words, "attempt") else { return Ok(None) };
    let attempt = text.parse().map_err(|_| format!("`attempt={text}` is not a number"))?;
    let session = keyed(words, "epoch").ok_or("an attempt is one of an epoch")?;
    Ok(Some(Fence { epoch: epoch.parse_ordinal(session)?, attempt }))
}

fn open(who: &str, rest: &[&str], epoch: Epoch) -> Result<Ask, String> {
    let (name, session) = who.split_once('/').unwrap_or((who, ""));
    let session = SessionId::new(session).map_err(|invalid| format!("`{who}` {invalid}"))?;
    let types = keyed(rest, "types")
        .map(|texts| patterns(texts.split(',').filter(|text| !text.is_empty())))
        .transpose()?;
    let last_seen = keyed(rest, "seen").map(|text| epoch.parse_ordinal(text)).transpose()?;
    Ok(Ask::Connect { agent: agent(name)?, session, window: window(rest)?, types, last_seen })
}

fn window(words: &[&str]) -> Result<Option<Window>, String> {
    if words.contains(&"window") {
        return Ok(Some(Window::DEFAULT));
    }
    let Some(text) = keyed(words, "window") else { return Ok(None) };
    let (messages, bytes) = match text.split_once(',') {
        Some((messages, bytes)) => (messages.parse().ok(), bytes.parse().ok()),
        None => (text.parse().ok(), Some(limits::WINDOW_BYTES)),
    };
    let window = messages.zip(bytes).and_then(|(messages, bytes)| Window::new(messages, bytes));
    window.map(Some).ok_or_else(|| format!("`window={text}` is not 1 to 1024 messages, bytes"))
}

fn settled(what: &[&str], epoch: Epoch) -> Result<Settled, String> {
    if let Some(text) = keyed(what, "id") {
        return id(text).map(Settled::Id);
    }
    if let Some(text) = keyed(what, "gap") {
        let wrong = |_| format!("`gap={text}` is not a number of losses");
        return text.parse().map(Settled::Gap).map_err(wrong);
    }
    match what {
        ["up-to", seq] => epoch.parse_ordinal(seq).map(Settled::UpTo),
        seqs => ordinals(seqs, epoch).map(Settled::Seqs),
    }
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;
    use crate::EXACT_START;

    #[test]
    fn commands_are_read_as_they_are_written() {
        let epoch = Epoch(EXACT_START);
        for line in [
            "open bob",
            "open bob/1",
            "open bob/1 window types=a,b.* seen=#0s.1",
            "open bob/1 window=2",
            "open bob/1 window=2,100 types=",
            "close bob#0s",
            "subscribe bob a b.*",
            "unsubscribe bob a",
            "publish ann task.new id=m1 payload=[1,\"x\"] ackRequired",
            "publish ann beat ephemeral",
            "send ann bob task.new extra=3 bytes=300",
            "send ann bob task.new mustKnow",
            "ack bob #0s #0s.1",
            "ack bob up-to #1m30s.1",
            "ack bob id=m1",
            "ack bob gap=2",
            "nack bob #0s delay=5s",
            "nack bob #0s",
            "nack bob #0s attempt=2 epoch=#0s.1 delay=5s",
            "working bob #0s",
            "inbox bob after=#0s limit=2",
            "agents after=ann limit=2",
            "agents limit=100",
            "heartbeat bob",
            "dead-letters bob limit=1",
            "redrive bob #0s #0s.1",
            "forget bob",
            "forget bob epoch=#0s",
            "recover #1h",
            "bob#0s: ack #0s.1",
            "bob#0s: send ann task.new id=m1",
            "bob#0s: publish a",
            "bob#0s: agents limit=100",
            "bob#0s: inbox limit=100",
            "bob#0s: forget ann",
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(print::command(&command(&words, epoch).unwrap(), epoch), line);
        }
    }

    #[test]
    fn what_is_no_command_is_refused_with_a_reason() {
        for (line, reason) in [
            ("open bob/1 window=0", "`window=0` is not 1 to 1024 messages, bytes"),
            ("close bob", "`bob` is not a session such as `bob#0s`"),
            ("nack bob #0s delay=25h", "a delay is at most 24 h"),
            ("inbox bob limit=0", "`limit=0` is not 1 to 1000"),
            ("subscribe bob a*", "the pattern `a*` has a character that is not allowed"),
            ("publish ann $gap", "the type `$gap` begins with `$`, which is the bus's own"),
            ("publish ann a payload=[", "the message ends too early or has a wrong member"),
            ("publish ann a bytes=3", "the message has at least 35 bytes"),
            ("publish ann", "`publish ann` is not a command"),
            ("whistle ann", "`whistle ann` is not a command"),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(command(&words, Epoch(EXACT_START)), Err(String::from(reason)), "{line}");
        }
    }
}
