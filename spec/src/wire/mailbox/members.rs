//! The members of outcomes, rejections and pushes, each written down once for both directions.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::AgentId;
use crate::mailbox::{AgentEntry, DeadLetter, DeadReason, Fate, Gap, Outcome, Patterns, Pending};
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

/// Content of an outcome. Messages are text and stay so: outcomes that carry some are built of it.
pub(super) enum Said<'a> {
    Whole(Success<'a>),
    Inbox(&'a [Pending], InboxEnd),
    DeadLetters(&'a [DeadLetter], LettersEnd),
}

/// The body of a success without messages. `accepted`, `settled` and `duplicate` are what the original's
/// clients look at; `outcome` tells all of them apart.
#[derive(Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Success<'a> {
    Connected {
        #[serde(flatten)]
        session: Session,
    },
    Disconnected,
    Subscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        types: Option<Cow<'a, Patterns>>,
        /// An older object does not say it, and nobody shall believe that it has forgotten.
        #[serde(default = "yes")]
        resumed: bool,
    },
    Accepted {
        accepted: bool,
        seq: Ordinal,
        recipients: u64,
        refused: Cow<'a, [AgentId]>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<bool>,
        #[serde(default, skip_serializing_if = "<[AgentId]>::is_empty")]
        near: Cow<'a, [AgentId]>,
    },
    Duplicate {
        accepted: bool,
        seq: Ordinal,
        duplicate: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recipients: Option<u64>,
        #[serde(default, skip_serializing_if = "<[AgentId]>::is_empty")]
        refused: Cow<'a, [AgentId]>,
    },
    Sent {
        accepted: bool,
    },
    Settled {
        settled: u64,
        unknown: u64,
    },
    Returned {
        #[serde(flatten)]
        fate: Returned,
    },
    Noted {
        known: bool,
    },
    Agents {
        agents: Vec<Entry<'a>>,
        more: bool,
    },
    Heard,
    Redriven {
        redriven: u64,
        unknown: u64,
        refused: u64,
    },
    Forgotten {
        known: bool,
    },
    Recovered,
}

fn yes() -> bool {
    true
}

impl<'a> Said<'a> {
    pub(super) fn of(outcome: &'a Outcome) -> Self {
        Self::Whole(match outcome {
            &Outcome::Connected { epoch, resumed, gap, refused } => {
                Success::Connected { session: Session { epoch, resumed, gap, refused } }
            }
            Outcome::Disconnected => Success::Disconnected,
            Outcome::Subscribed { types, resumed } => {
                Success::Subscribed { types: types.as_ref().map(Cow::Borrowed), resumed: *resumed }
            }
            Outcome::Accepted { seq, recipients, refused, known, near } => Success::Accepted {
                accepted: true,
                seq: *seq,
                recipients: *recipients,
                refused: Cow::Borrowed(refused),
                known: *known,
                near: Cow::Borrowed(near),
            },
            Outcome::Duplicate { seq, recipients, refused } => Success::Duplicate {
                accepted: true,
                seq: *seq,
                duplicate: true,
                recipients: *recipients,
                refused: Cow::Borrowed(refused),
            },
            Outcome::Sent => Success::Sent { accepted: true },
            &Outcome::Settled { settled, unknown } => Success::Settled { settled, unknown },
            &Outcome::Returned(fate) => Success::Returned { fate: fate.into() },
            &Outcome::Noted { known } => Success::Noted { known },
            Outcome::Agents { agents, more } => {
                Success::Agents { agents: agents.iter().map(Entry::from).collect(), more: *more }
            }
            Outcome::Heard => Success::Heard,
            &Outcome::Redriven { redriven, unknown, refused } => {
                Success::Redriven { redriven, unknown, refused }
            }
            &Outcome::Forgotten { known } => Success::Forgotten { known },
            Outcome::Recovered => Success::Recovered,
            Outcome::Inbox { messages, complete_through, gap, refused } => {
                let end =
                    InboxEnd { complete_through: *complete_through, gap: *gap, refused: *refused };
                return Self::Inbox(messages, end);
            }
            Outcome::DeadLetters { letters, more } => {
                return Self::DeadLetters(letters, LettersEnd { more: *more });
            }
        })
    }
}

impl From<Success<'_>> for Outcome {
    fn from(success: Success<'_>) -> Self {
        match success {
            Success::Connected { session } => session.into(),
            Success::Disconnected => Self::Disconnected,
            Success::Subscribed { types, resumed } => {
                Self::Subscribed { types: types.map(Cow::into_owned), resumed }
            }
            Success::Accepted { seq, recipients, refused, known, near, .. } => Self::Accepted {
                seq,
                recipients,
                refused: refused.into_owned(),
                known,
                near: near.into_owned(),
            },
            Success::Duplicate { seq, recipients, refused, .. } => {
                Self::Duplicate { seq, recipients, refused: refused.into_owned() }
            }
            Success::Sent { .. } => Self::Sent,
            Success::Settled { settled, unknown } => Self::Settled { settled, unknown },
            Success::Returned { fate } => Self::Returned(fate.into()),
            Success::Noted { known } => Self::Noted { known },
            Success::Agents { agents, more } => {
                Self::Agents { agents: agents.into_iter().map(AgentEntry::from).collect(), more }
            }
            Success::Heard => Self::Heard,
            Success::Redriven { redriven, unknown, refused } => {
                Self::Redriven { redriven, unknown, refused }
            }
            Success::Forgotten { known } => Self::Forgotten { known },
            Success::Recovered => Self::Recovered,
        }
    }
}

/// `connected` and `$connected`: a session that began.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) epoch: Ordinal,
    pub(super) resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gap: Option<Gap>,
    pub(super) refused: u64,
}

impl From<Session> for Outcome {
    fn from(session: Session) -> Self {
        let Session { epoch, resumed, gap, refused } = session;
        Self::Connected { epoch, resumed, gap, refused }
    }
}

/// Fate of a delivery that was given back.
#[derive(Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Returned {
    Due { due_at: Timestamp },
    Dead,
    Unknown,
}

impl From<Fate> for Returned {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Due { at } => Self::Due { due_at: at },
            Fate::Dead => Self::Dead,
            Fate::Unknown => Self::Unknown,
        }
    }
}

impl From<Returned> for Fate {
    fn from(fate: Returned) -> Self {
        match fate {
            Returned::Due { due_at } => Self::Due { at: due_at },
            Returned::Dead => Self::Dead,
            Returned::Unknown => Self::Unknown,
        }
    }
}

/// One agent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    agent_id: Cow<'a, AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<Ordinal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Cow<'a, Patterns>>,
    pending: u64,
}

impl<'a> From<&'a AgentEntry> for Entry<'a> {
    fn from(entry: &'a AgentEntry) -> Self {
        Self {
            agent_id: Cow::Borrowed(&entry.agent),
            epoch: Some(entry.epoch).filter(|epoch| *epoch > Ordinal::ZERO),
            types: entry.types.as_ref().map(Cow::Borrowed),
            pending: entry.pending,
        }
    }
}

impl From<Entry<'_>> for AgentEntry {
    fn from(entry: Entry<'_>) -> Self {
        Self {
            agent: entry.agent_id.into_owned(),
            epoch: entry.epoch.unwrap_or(Ordinal::ZERO),
            types: entry.types.map(Cow::into_owned),
            pending: entry.pending,
        }
    }
}

/// `inbox` after its messages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InboxEnd {
    pub(super) complete_through: Ordinal,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gap: Option<Gap>,
    pub(super) refused: u64,
}

/// `inbox` as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inbox<'a> {
    #[serde(borrow)]
    pub(super) messages: Vec<&'a RawValue>,
    pub(super) complete_through: Ordinal,
    pub(super) gap: Option<Gap>,
    pub(super) refused: u64,
}

/// `dead_letters` after its letters.
#[derive(Serialize)]
pub(super) struct LettersEnd {
    pub(super) more: bool,
}

/// `dead_letters` as they are read.
#[derive(Deserialize)]
pub(super) struct Letters<'a> {
    #[serde(borrow)]
    pub(super) letters: Vec<Letter<'a>>,
    pub(super) more: bool,
}

/// One dead letter before its message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LetterStart {
    pub(super) reason: DeadReason,
    pub(super) attempts: u64,
    pub(super) given_up_at: Timestamp,
}

/// One dead letter as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Letter<'a> {
    pub(super) reason: DeadReason,
    pub(super) attempts: u64,
    pub(super) given_up_at: Timestamp,
    #[serde(borrow)]
    pub(super) message: &'a RawValue,
}

/// `unknown_agent`: whom the sender perhaps meant.
#[derive(Serialize, Deserialize)]
pub(super) struct Unknown<'a> {
    pub(super) near: Cow<'a, [AgentId]>,
}

/// `ahead`: what the storage has come to.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ahead {
    pub(super) last_seq: Ordinal,
}
