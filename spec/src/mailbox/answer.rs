//! Answers of the mailbox object: outcomes and rejections in reply, pushes unasked.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::AgentId;
use crate::mailbox::command::Connection;
use crate::mailbox::message::Message;
use crate::mailbox::pattern::Patterns;
use crate::ordinal::Ordinal;
use crate::time::{HostTime, Timestamp};

/// Effect of a command, or the answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The session is the agent's live one.
    Connected {
        /// Fences its frames.
        epoch: Ordinal,
        /// True if the agent was known.
        resumed: bool,
        /// Messages that it was owed and will not get.
        gap: Option<Gap>,
        /// Number of messages that its full inbox has refused, of those still among its dead letters.
        refused: u64,
    },
    /// The session is over, now or earlier.
    Disconnected,
    /// The agent's subscriptions as they are now; `None` for an agent that has never chosen.
    Subscribed {
        /// The patterns.
        types: Option<Patterns>,
        /// True if the agent was known.
        resumed: bool,
    },
    /// The message is kept for its recipients.
    Accepted {
        /// Its place in the workspace's order.
        seq: Ordinal,
        /// Number of agents that it was given to.
        recipients: u64,
        /// Agents whose inbox was full, by name: it is among their dead letters.
        refused: Vec<AgentId>,
        /// True if the agent that it was sent to is known; `None` for what was published.
        known: Option<bool>,
        /// Names that are known and look like that of an agent that is not, at most
        /// [`limits::NEAR_NAMES`](crate::limits::NEAR_NAMES).
        near: Vec<AgentId>,
    },
    /// It had been accepted already.
    Duplicate {
        /// Its first place.
        seq: Ordinal,
        /// Number of agents that it was given to, by a redrive too; `None` if that is not on record.
        recipients: Option<u64>,
        /// Agents whose inbox was full, by name, and still among whose dead letters it is.
        refused: Vec<AgentId>,
    },
    /// An ephemeral message has been sent to those who were there.
    Sent,
    /// Settlement of what was acknowledged.
    Settled {
        /// Number of messages, or of losses.
        settled: u64,
        /// Number of those named that were not pending: settled before, expired, or never there.
        unknown: u64,
    },
    /// Fate of a delivery that was given back.
    Returned(Fate),
    /// True if the announced delivery is in flight.
    Noted {
        /// True if it is.
        known: bool,
    },
    /// Pending messages.
    Inbox {
        /// The messages, in order of `seq`.
        messages: Vec<Pending>,
        /// Every message addressed to the agent after the asked place and up to here that is pending is
        /// in `messages`.
        complete_through: Ordinal,
        /// Messages that it was owed and will not get.
        gap: Option<Gap>,
        /// As in [`Outcome::Connected`].
        refused: u64,
    },
    /// A page of agents by name.
    Agents {
        /// One entry an agent.
        agents: Vec<AgentEntry>,
        /// True if there are more after the last.
        more: bool,
    },
    /// A heartbeat was heard.
    Heard,
    /// A page of dead letters by `seq`.
    DeadLetters {
        /// One entry a letter.
        letters: Vec<DeadLetter>,
        /// True if there are more after the last.
        more: bool,
    },
    /// Dead letters are pending again.
    Redriven {
        /// Number of them.
        redriven: u64,
        /// Number of those named that are no dead letters, or past their message's retention.
        unknown: u64,
        /// Number of those that the inbox had no room for.
        refused: u64,
    },
    /// The agent is forgotten.
    Forgotten {
        /// True if there was anything to forget: nothing if nobody has the name, or somebody who came by it
        /// later than was said.
        known: bool,
    },
    /// A new generation has begun; the commit names it.
    Recovered,
}

/// Fate of a delivery that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes again.
    Due {
        /// Time.
        at: Timestamp,
    },
    /// It has failed too often: it is a dead letter.
    Dead,
    /// It was not in flight.
    Unknown,
}

/// Messages that an agent was owed and will not get, until it acknowledges that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gap {
    /// Number of messages that expired or failed for good and are not acknowledged. At least 1.
    pub count: u64,
    /// No lost message is earlier.
    pub first: Ordinal,
    /// No lost message is later.
    pub last: Ordinal,
    /// Number of losses that there ever were: acknowledging it acknowledges these.
    pub through: u64,
}

/// A pending message as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its place in the workspace's order.
    pub seq: Ordinal,
    /// True if it was a dead letter once.
    pub redriven: bool,
    /// The message.
    pub message: Message,
}

/// One agent of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEntry {
    /// Its name.
    pub agent: AgentId,
    /// Its epoch: of its last session, or of its becoming known if it never had one. It fences
    /// [`Ask::Forget`](super::Ask::Forget). `Ordinal::ZERO` if the object does not say it.
    pub epoch: Ordinal,
    /// Its subscriptions; `None` if it has never chosen.
    pub types: Option<Patterns>,
    /// Number of messages that are pending for it.
    pub pending: u64,
}

impl AgentEntry {
    /// Number of bytes that its name and its patterns have: what
    /// [`limits::LIST_MAX_BYTES`](crate::limits::LIST_MAX_BYTES) bounds in a page.
    #[must_use]
    pub fn name_bytes(&self) -> u64 {
        let patterns = self.types.iter().flatten().map(|pattern| pattern.as_str().len());
        patterns.fold(self.agent.as_str().len(), usize::saturating_add) as u64
    }
}

/// A message that was given up for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its place in the workspace's order.
    pub seq: Ordinal,
    /// Reason why it was given up.
    pub reason: DeadReason,
    /// Number of deliveries of it that are on record.
    pub attempts: u64,
    /// Time at which it was given up.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
}

/// Reason why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// It failed [`limits::MAX_DELIVERIES`](crate::limits::MAX_DELIVERIES) times.
    Failed,
    /// The inbox was full when it came.
    Refused,
}

/// Reason why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The id is known with another type, recipient or payload.
    Conflict,
    /// The session is not the agent's live one.
    Replaced,
    /// The client names a `seq` above the last: it knows of a later state than this storage.
    Ahead {
        /// The last `seq`.
        last: Ordinal,
    },
    /// Nobody is known by the name that a message was sent to, and its sender wanted a known one.
    UnknownAgent {
        /// As in [`Outcome::Accepted`].
        near: Vec<AgentId>,
    },
    /// A bound of [`limits`](crate::limits) is reached.
    Limit(LimitKind),
    /// The log is full; nothing is accepted until mail is settled, expires or is forgotten.
    Overloaded,
    /// The host's clock is not plausible; the commit's `now` is the floor.
    Clock(HostTime),
}

/// Bound that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Agents of the workspace.
    Agents,
    /// Patterns of the agent.
    Patterns,
    /// Names that never connected and hold mail.
    UnknownNames,
    /// Messages of such a name.
    UnknownNameMessages,
    /// No `seq` or epoch is left.
    Ordinals,
}

/// Push that the object sends unasked over one session's socket. An attempt: it may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Session that is meant.
    pub to: Connection,
    /// Notice that it carries.
    pub notice: Notice,
}

/// Content of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A delivery.
    Message {
        /// Its name.
        seq: Ordinal,
        /// 1 + the earlier deliveries on record: a lower bound.
        attempt: u64,
        /// True if it was a dead letter once.
        redriven: bool,
        /// The message.
        message: Message,
    },
    /// A message that nobody keeps.
    Ephemeral {
        /// The message.
        message: Message,
    },
    /// More has been lost.
    Gap(Gap),
    /// The session is over and its socket is closed.
    Closed(CloseReason),
}

/// Reason why the object closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseReason {
    /// Another session of the agent took its place (close code 4001): its client does not come back.
    Replaced,
    /// The same session came back on another socket (1000).
    TakenOver,
    /// The live session ended and this superseded one shall come back in its place (1012).
    Reopen,
    /// There are too many superseded sessions of the agent (1012).
    Crowded,
    /// Somebody said that the session is over (1000).
    Disconnected,
    /// An admin forgot the agent (1012): its client comes back as a new one.
    Forgotten,
}
