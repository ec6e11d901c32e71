//! The mail traffic that benchmarks put on a machine.

use mailbus_spec::mailbox::{Ask, Command, Connection, Pattern, Patterns, Settled, Window};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{AgentId, Ordinal, SessionId};

/// The n-th of many agents.
///
/// # Panics
/// Never: the names are valid by their form.
#[must_use]
pub fn agent(n: u64) -> AgentId {
    AgentId::new(format!("agent-{n}")).expect("a plain name")
}

/// Agent `n` begins a session with the largest window, subscribed to what [`message`] makes.
///
/// # Panics
/// Never: every part is valid by its form.
#[must_use]
pub fn connect(n: u64) -> Command {
    Command::alone(Ask::Connect {
        agent: agent(n),
        session: SessionId::new("run-1").expect("a plain name"),
        window: Window::new(1_024, 16 << 20),
        types: Some(Patterns::from([Pattern::new("task.*").expect("a pattern")])),
        last_seen: None,
    })
}

/// The `number`-th message of its sender, as JSON: 160 bytes or a few more, with an id, as a client of
/// the original's sends them.
#[must_use]
pub fn message(from: &str, number: u64) -> String {
    let payload = r#"{"title":"Look into the failing build","path":"src/module/lib.rs"}"#;
    format!(
        r#"{{"id":"m{number}","type":"task.new","from":"{from}","payload":{payload},"timestamp":1800000000000}}"#
    )
}

/// The publication of the `number`-th message of an agent that is not connected.
///
/// # Panics
/// Never: the message is valid by its form.
#[must_use]
pub fn publish(number: u64) -> Command {
    let message = stored_message(&message("sender", number)).expect("a message");
    Command::alone(Ask::Publish { message })
}

/// The session of agent `n` settles all that it was pushed up to `seq`.
#[must_use]
pub fn settle(n: u64, epoch: Ordinal, seq: Ordinal) -> Command {
    let ask = Ask::Ack { agent: agent(n), what: Settled::UpTo(seq) };
    Command::over(Connection { agent: agent(n), epoch }, ask)
}
