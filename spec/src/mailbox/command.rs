//! Commands that the mailbox object may be given.

use alloc::vec::Vec;

use core::fmt;

use crate::id::{AgentId, SessionId};
use crate::limits;
use crate::mailbox::message::{Message, MessageId};
use crate::mailbox::pattern::Patterns;
use crate::ordinal::Ordinal;

/// A session of an agent at the object: its epoch fences every frame it sends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// Agent of the session.
    pub agent: AgentId,
    /// The epoch that [`Outcome::Connected`](super::Outcome::Connected) gave it.
    pub epoch: Ordinal,
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.agent, self.epoch)
    }
}

/// One command: what is asked, and over which session's socket, if over one.
///
/// Every value is within its bounds by construction, so a machine never meets a malformed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The session whose socket it came over; `None` for a request of its own. A session that is not
    /// the agent's live one is answered [`Rejection::Replaced`](super::Rejection::Replaced).
    pub over: Option<Connection>,
    /// Action that is asked for.
    pub ask: Ask,
}

/// Action that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Begins a session: the agent's one live session from now on.
    Connect {
        /// Agent that it concerns.
        agent: AgentId,
        /// Run of the agent. The empty session is the original's.
        session: SessionId,
        /// The window of a session that negotiated `protocol=1`; `None` for one that negotiated
        /// nothing, which has none.
        window: Option<Window>,
        /// The agent's subscriptions from now on; absent leaves them, and means everything for an
        /// agent that has never chosen. At most [`limits::AGENT_PATTERNS`].
        types: Option<Patterns>,
        /// The largest `seq` the agent knows of: only compared.
        last_seen: Option<Ordinal>,
    },
    /// Ends a session. Ignored if it is not there (any more).
    Disconnect {
        /// Session that it concerns.
        connection: Connection,
    },
    /// Adds patterns to the agent's durable subscriptions.
    Subscribe {
        /// Agent that it concerns.
        agent: AgentId,
        /// Patterns of types.
        types: Patterns,
    },
    /// Takes literal patterns out of them.
    Unsubscribe {
        /// Agent that it concerns.
        agent: AgentId,
        /// Patterns of types.
        types: Patterns,
    },
    /// Gives a message to every agent whose subscriptions match at this commit, its sender excepted.
    Publish {
        /// The message.
        message: Message,
    },
    /// Gives a message to one agent, known or not yet.
    Send {
        /// Agent that it goes to.
        to: AgentId,
        /// The message.
        message: Message,
        /// True if it is refused unless that agent is known.
        must_know: bool,
    },
    /// Settles deliveries, or acknowledges losses.
    Ack {
        /// Agent that it concerns.
        agent: AgentId,
        /// Messages that it settles.
        what: Settled,
    },
    /// Gives a delivery back.
    Nack {
        /// Agent that it concerns.
        agent: AgentId,
        /// Place of the message in the workspace's order.
        seq: Ordinal,
        /// The push that is meant: another one than that in flight is not given back. `None` means
        /// whatever is in flight, as clients say that know of no fence.
        fence: Option<Fence>,
        /// Time at which it shall come again.
        delay: Delay,
    },
    /// Says which delivery the session is about to handle.
    Working {
        /// Agent that it concerns.
        agent: AgentId,
        /// Place of the message in the workspace's order.
        seq: Ordinal,
    },
    /// Asks what is pending. No delivery.
    Inbox {
        /// Agent that it concerns.
        agent: AgentId,
        /// Messages after this one; redriven ones are listed whatever it is.
        after: Ordinal,
        /// Most messages, 1 ..= [`limits::LIST_MAX`].
        limit: usize,
    },
    /// Asks for the agents the workspace knows, by name.
    Agents {
        /// The last name of the page before.
        after: Option<AgentId>,
        /// Most names, 1 ..= [`limits::LIST_MAX`].
        limit: usize,
    },
    /// Says that an agent is alive. Nothing durable.
    Heartbeat {
        /// Agent that it concerns.
        agent: AgentId,
    },
    /// Asks what was given up for an agent, oldest first.
    DeadLetters {
        /// Agent that it concerns.
        agent: AgentId,
        /// Letters after this one.
        after: Ordinal,
        /// Most letters, 1 ..= [`limits::LIST_MAX`].
        limit: usize,
    },
    /// Gives dead letters a second chance.
    Redrive {
        /// Agent that it concerns.
        agent: AgentId,
        /// Sequence numbers of the dead letters, at most [`limits::ACK_SEQS`].
        seqs: Vec<Ordinal>,
    },
    /// Forgets an agent with all its mail (admin).
    Forget {
        /// Agent that it concerns.
        agent: AgentId,
        /// The epoch that the agent was seen with: nobody is forgotten who has a later one. `None`
        /// forgets whoever has the name.
        epoch: Option<Ordinal>,
    },
    /// Says that the storage was restored to an earlier state (admin): a new generation begins.
    Recover {
        /// No smaller ordinal may be issued again. Its anchor lies in [2024, 2200).
        at_least: Ordinal,
    },
}

/// Fence of a nack: the push that it answers. With the `seq` it names one delivery, so that a copy of
/// the nack gives nothing back that was pushed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The epoch of the session that was pushed to.
    pub epoch: Ordinal,
    /// The `attempt` that the push said.
    pub attempt: u64,
}

/// Messages or losses that an ack settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// These pending messages, pushed or not, and of dead letters those that failed, which are dismissed; at most
    /// [`limits::ACK_SEQS`].
    Seqs(Vec<Ordinal>),
    /// This session's first pushes up to here. Over a session's socket alone; else it settles nothing.
    UpTo(Ordinal),
    /// Of the pending messages with this id, whoever sent them, those that were ever pushed; all of them if
    /// none was: the original's `/acknowledge`.
    Id(MessageId),
    /// The losses up to this one: the `through` of a [`Gap`](super::Gap).
    Gap(u64),
}

/// Amount of its mail that a session is pushed before it settles some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    messages: u64,
    bytes: u64,
}

impl Window {
    /// 256 messages and 4 MiB.
    pub const DEFAULT: Self =
        Self { messages: limits::WINDOW_MESSAGES, bytes: limits::WINDOW_BYTES };

    /// The window of this many messages, 1 ..= 1 024, and bytes, 1 ..= 16 MiB; else `None`.
    #[must_use]
    pub const fn new(messages: u64, bytes: u64) -> Option<Self> {
        if messages >= 1
            && messages <= limits::WINDOW_MAX_MESSAGES
            && bytes >= 1
            && bytes <= limits::WINDOW_MAX_BYTES
        {
            Some(Self { messages, bytes })
        } else {
            None
        }
    }

    /// Most messages in flight.
    #[must_use]
    pub const fn messages(self) -> u64 {
        self.messages
    }

    /// Most bytes in flight; a single message may exceed them.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// Most messages that may wait for their time beside what is pushed for the first time: four
    /// windows, and [`limits::DELAYED_MESSAGES`] at least.
    #[must_use]
    pub const fn delayed(self) -> u64 {
        let windows = self.messages.saturating_mul(4);
        if windows > limits::DELAYED_MESSAGES { windows } else { limits::DELAYED_MESSAGES }
    }
}

/// Time for which a nacked message shall stay away at least: 0 ..= 24 h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Delay(u64);

impl Delay {
    /// It comes back at once.
    pub const NONE: Self = Self(0);

    /// The delay of `ms` milliseconds, or `None` past 24 h.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms <= limits::DELAY_MAX_MS { Some(Self(ms)) } else { None }
    }

    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }
}

impl Command {
    /// A command of a request of its own.
    #[must_use]
    pub fn alone(ask: Ask) -> Self {
        Self { over: None, ask }
    }

    /// A command over a session's socket.
    #[must_use]
    pub fn over(connection: Connection, ask: Ask) -> Self {
        Self { over: Some(connection), ask }
    }

    /// Agent that gives the command, if a single one does: whose session's socket it came over, or who asks.
    #[must_use]
    pub fn agent(&self) -> Option<&AgentId> {
        self.over.as_ref().map(|over| &over.agent).or(self.ask.agent())
    }
}

impl Ask {
    /// The command's name, for people; the wire's actions are its own.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Disconnect { .. } => "disconnect",
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Publish { .. } => "publish",
            Self::Send { .. } => "send",
            Self::Ack { .. } => "ack",
            Self::Nack { .. } => "nack",
            Self::Working { .. } => "working",
            Self::Inbox { .. } => "inbox",
            Self::Agents { .. } => "agents",
            Self::Heartbeat { .. } => "heartbeat",
            Self::DeadLetters { .. } => "dead-letters",
            Self::Redrive { .. } => "redrive",
            Self::Forget { .. } => "forget",
            Self::Recover { .. } => "recover",
        }
    }

    /// Agent that asks, if a single one does.
    #[must_use]
    pub fn agent(&self) -> Option<&AgentId> {
        match self {
            Self::Connect { agent, .. }
            | Self::Subscribe { agent, .. }
            | Self::Unsubscribe { agent, .. }
            | Self::Ack { agent, .. }
            | Self::Nack { agent, .. }
            | Self::Working { agent, .. }
            | Self::Inbox { agent, .. }
            | Self::Heartbeat { agent }
            | Self::DeadLetters { agent, .. }
            | Self::Redrive { agent, .. } => Some(agent),
            Self::Publish { message } | Self::Send { message, .. } => Some(&message.from),
            Self::Disconnect { connection } => Some(&connection.agent),
            Self::Agents { .. } | Self::Forget { .. } | Self::Recover { .. } => None,
        }
    }
}
