//! The rows of `mailbox.sql`: statements, and what the machine knows to and from columns.

use mailbus_spec::mailbox::{Message, MessageId, MessageType};
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use super::agent::{Agent, Losses, Registration};
use super::inbox::Inbox;
use super::log::{Entry, Told, key};
use super::subscriptions::Subscriptions;
use crate::sql::{Columns, checked};
pub(super) use crate::sql::{instant, integer, ordinal, text};
use crate::storage::{Row, StorageError, Value};

/// True if the tables are there, on any database.
pub(super) const FIND_TABLES: &str =
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'log'";
/// Parameters: the columns of `meta`.
pub(super) const WRITE_META: &str = "\
    INSERT INTO meta (commit_no, clock, id, clock_offset, generation, last_seq, round_at, expired) \
    VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7) \
    ON CONFLICT (id) DO UPDATE SET commit_no = ?1, clock = ?2, clock_offset = ?3, \
    generation = ?4, last_seq = ?5, round_at = ?6, expired = ?7";
/// Parameters: the stamp, [`message_columns`].
pub(super) const INSERT_MESSAGE: &str = "\
    INSERT INTO log (commit_no, at, seq, sender, id, type, recipient, refused, need_ack, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
/// Deletes a run of messages. Parameters: its first and its last.
pub(super) const DELETE_MESSAGES: &str = "DELETE FROM log WHERE seq BETWEEN ?1 AND ?2";
/// One more agent is given a message that its inbox had refused. Parameters: the message, who else refused it.
pub(super) const SET_REFUSED: &str = "\
    UPDATE log SET refused = ?2, need_ack = need_ack + 2 * (need_ack > 1) WHERE seq = ?1";
/// Parameters: the stamp, [`agent_columns`].
pub(super) const WRITE_AGENT: &str = "\
    INSERT INTO agent (commit_no, at, agent, known, epoch, high, forgotten, open, gap_count, \
    gap_first, gap_last, gap_through, subs) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
    ON CONFLICT (agent) DO UPDATE SET commit_no = ?1, at = ?2, known = ?4, epoch = ?5, high = ?6, \
    forgotten = ?7, open = ?8, gap_count = ?9, gap_first = ?10, gap_last = ?11, \
    gap_through = ?12, subs = ?13";
/// Parameters: the agent.
pub(super) const DELETE_AGENT: &str = "DELETE FROM agent WHERE agent = ?1";
/// Parameters: agent, seq, attempts, when.
pub(super) const INSERT_DEAD: &str =
    "INSERT INTO dead (agent, seq, attempts, at) VALUES (?1, ?2, ?3, ?4)";
/// Parameters: agent, seq.
pub(super) const DELETE_DEAD: &str = "DELETE FROM dead WHERE agent = ?1 AND seq = ?2";
/// Parameters: the stamp, the seq that the run began with, its last, what it tells.
pub(super) const WRITE_RUN: &str = "\
    INSERT INTO run (commit_no, at, first_seq, last_seq, messages) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (first_seq) DO UPDATE SET commit_no = ?1, at = ?2, last_seq = ?4, messages = ?5";
/// Parameters: the seq that the run began with.
pub(super) const DELETE_RUN: &str = "DELETE FROM run WHERE first_seq = ?1";
/// Deletes what failed up to a time. Parameters: agent, the time.
pub(super) const DELETE_DEAD_BY: &str = "DELETE FROM dead WHERE agent = ?1 AND at <= ?2";

/// Body of a message. Parameters: seq.
pub(super) const BODY: &str = "SELECT body FROM log WHERE seq = ?1";
/// Columns that a repetition has to repeat, and what the first came to: one more than the number of its
/// recipients, or 0. Parameters: seq.
pub(super) const WITNESS: &str = "\
    SELECT sender, id, type, recipient, body, refused, need_ack >> 1 FROM log WHERE seq = ?1";
/// Parameters: seq.
pub(super) const ID: &str = "SELECT id FROM log WHERE seq = ?1";
/// Parameters: seq.
pub(super) const REFUSED: &str = "SELECT refused FROM log WHERE seq = ?1";
/// Messages that an agent's inbox refused, the newest first, as many as can count. Parameters:
/// between which two, both excepted; [`refused_pattern`].
pub(super) const OLDER_REFUSED: &str = "\
    SELECT seq FROM log WHERE seq > ?1 AND seq < ?2 AND refused IS NOT NULL \
    AND instr(refused, ?3) > 0 ORDER BY seq DESC LIMIT 1000";
/// Parameters: agent, seq.
pub(super) const DEAD: &str = "SELECT attempts, at FROM dead WHERE agent = ?1 AND seq = ?2";

/// Number after a message's.
pub(super) fn after(seq: Ordinal) -> Value {
    integer(seq.get().saturating_add(1))
}

pub(super) fn name(agent: &AgentId) -> Value {
    text(agent.as_str())
}

/// A new message for [`INSERT_MESSAGE`].
pub(super) fn message_columns(
    seq: Ordinal,
    to: Option<&AgentId>,
    (recipients, refused): (u64, &[AgentId]),
    message: &Message,
) -> Vec<Value> {
    vec![
        ordinal(seq),
        name(&message.from),
        message.id.as_ref().map_or(Value::Null, |id| text(id.as_str())),
        text(message.kind.as_str()),
        to.map_or(Value::Null, name),
        refused_column(refused.iter().map(AgentId::as_str)),
        integer(recipients.saturating_add(1).saturating_mul(2) | u64::from(message.ack_required)),
        Value::Blob(message.body.as_bytes().to_vec()),
    ]
}

/// Names have no control characters, so each is found between two line feeds.
pub(super) fn refused_column<'n>(names: impl Iterator<Item = &'n str>) -> Value {
    let mut column = String::new();
    for name in names {
        if column.is_empty() {
            column.push('\n');
        }
        column.push_str(name);
        column.push('\n');
    }
    if column.is_empty() { Value::Null } else { Value::Text(column) }
}

/// The names in the column.
pub(super) fn refused_names(column: &str) -> impl Iterator<Item = &str> {
    column.split('\n').filter(|name| !name.is_empty())
}

/// Text that the column contains if this agent is in it.
pub(super) fn refused_pattern(agent: &AgentId) -> Value {
    Value::Text(format!("\n{agent}\n"))
}

/// An agent for [`WRITE_AGENT`]: known by name, or forgotten.
pub(super) fn agent_columns(agent: &AgentId, of: &Agent) -> Vec<Value> {
    let nobody = Registration::default();
    let registration = of.registration.as_ref().unwrap_or(&nobody);
    let Losses { count, first, last, through } = registration.losses;
    // Of who is not known by name the log says what is pending.
    let open = if of.registration.is_some() { of.inbox.encode() } else { Vec::new() };
    vec![
        name(agent),
        integer(u64::from(of.registration.is_some())),
        ordinal(registration.epoch),
        ordinal(of.inbox.high()),
        ordinal(of.forgotten),
        Value::Blob(open),
        integer(count),
        ordinal(first),
        ordinal(last),
        integer(through),
        registration.subscriptions.encode().map_or(Value::Null, Value::Blob),
    ]
}

/// The columns that [`read_agent`] reads, a page of agents by name. Parameters: the name to begin after.
pub(super) const AGENTS: &str = "\
    SELECT agent, known, epoch, high, forgotten, open, gap_count, gap_first, gap_last, \
    gap_through, subs, commit_no, at \
    FROM agent WHERE agent > ?1 ORDER BY agent LIMIT 64";

/// True if there are runs.
pub(super) const FIND_RUNS: &str =
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'run'";
/// A page of runs. Parameters: the seq that the run before began with.
pub(super) const RUNS: &str = "\
    SELECT first_seq, last_seq, commit_no, at, messages \
    FROM run WHERE first_seq > ?1 ORDER BY first_seq LIMIT 4";
/// The columns that [`read_logged`] reads, a page of the log. Parameters: from and up to which seq.
pub(super) const LOG: &str = "\
    SELECT seq, at, commit_no, sender, id, type, recipient, refused, need_ack & 1, length(body) \
    FROM log WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq LIMIT 256";
/// Number of rows that a page of the log has: few, since each may name a thousand agents.
pub(super) const LOG_PAGE: usize = 256;

/// A message out of its row, without what was said.
pub(super) struct Logged {
    pub entry: Entry,
    /// The commit that wrote the row.
    pub sequence: u64,
    sender: AgentId,
    kind: MessageType,
    recipient: Option<AgentId>,
    refused: Vec<AgentId>,
}

impl Logged {
    pub fn told(&self) -> Told<'_> {
        Told {
            entry: self.entry,
            sender: &self.sender,
            kind: &self.kind,
            recipient: self.recipient.as_ref(),
            refused: self.refused.iter().collect(),
        }
    }
}

/// A message out of its row.
pub(super) fn read_logged(row: Row) -> Result<Logged, StorageError> {
    let mut columns = Columns::of(row);
    let (seq, at, sequence) = (columns.ordinal()?, columns.instant()?, columns.integer()?);
    let sender = columns.agent()?;
    let key = match columns.optional_text()? {
        Some(id) => key(&checked("an id", MessageId::new(id).ok())?, &sender),
        None => 0,
    };
    let kind = checked("a type", MessageType::new(columns.text()?).ok())?;
    let recipient = columns.optional_text()?.map(AgentId::new).transpose();
    let recipient = checked("an agent or nobody", recipient.ok())?;
    let refused = columns.optional_text()?;
    let refused = refused.iter().flat_map(|names| refused_names(names)).map(AgentId::new);
    let mut refused = checked("agents", refused.collect::<Result<Vec<_>, _>>().ok())?;
    refused.sort_unstable();
    let ack_required = columns.flag()?;
    let bytes = checked("a size", u32::try_from(columns.integer()?).ok())?;
    let entry = Entry { seq, at, key, bytes, holders: 0, ack_required };
    Ok(Logged { entry, sequence, sender, kind, recipient, refused })
}

/// An agent out of its row, without the weight of its mail; and what the row says of the object.
pub(super) fn read_agent(row: Row) -> Result<(AgentId, Agent, u64, Timestamp), StorageError> {
    let mut columns = Columns::of(row);
    let name = columns.agent()?;
    let is_known = columns.flag()?;
    let epoch = columns.ordinal()?;
    let high = columns.ordinal()?;
    let forgotten = columns.ordinal()?;
    let inbox = checked("an inbox", Inbox::decode(high, &columns.blob()?))?;
    let losses = Losses {
        count: columns.integer()?,
        first: columns.ordinal()?,
        last: columns.ordinal()?,
        through: columns.integer()?,
    };
    let subscriptions = Subscriptions::decode(columns.optional_blob()?.as_deref());
    let subscriptions = checked("subscriptions", subscriptions)?;
    let (sequence, at) = (columns.integer()?, columns.instant()?);
    let registration = Registration { epoch, subscriptions, losses, written_at: at };
    let registration = is_known.then_some(registration);
    let agent = Agent { registration, has_row: true, forgotten, inbox, ..Agent::default() };
    Ok((name, agent, sequence, at))
}

/// The message of a body that was accepted.
pub(super) fn read_message(body: Vec<u8>) -> Result<Message, StorageError> {
    let text = checked("a text", String::from_utf8(body).ok())?;
    checked("a message", stored_message(&text))
}

#[cfg(test)]
mod tests {
    use mailbus_spec::limits;

    use super::*;

    #[test]
    fn the_numbers_in_the_statements_are_the_specifications() {
        assert!(OLDER_REFUSED.contains(&format!("LIMIT {}", limits::AGENT_REFUSED)));
        assert!(LOG.ends_with(&format!("LIMIT {LOG_PAGE}")));
    }

    #[test]
    fn an_agent_is_found_among_those_that_refused_whatever_its_name() {
        let Value::Text(column) = refused_column(["ann", "b", "x,y"].into_iter()) else { panic!() };
        assert_eq!(refused_names(&column).collect::<Vec<_>>(), ["ann", "b", "x,y"]);
        let found = |name: &str| match refused_pattern(&AgentId::new(name).unwrap()) {
            Value::Text(pattern) => column.contains(&pattern),
            _ => false,
        };
        assert!(found("ann") && found("b") && found("x,y") && !found("an") && !found("y"));
        assert_eq!(refused_column(std::iter::empty()), Value::Null);
    }
}
