//! Inputs and outputs of a mailbox session besides time.

use std::time::Duration;

use mailbus_spec::mailbox::{Gap, MailboxReply, Message, MessageId, MessageType, Rejection};
use mailbus_spec::wire::Problem;
use mailbus_spec::{AgentId, Ordinal};

use crate::session::call::{CallFailure, QueryId};

/// The session's name for one message that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationId(pub(super) u64);

/// The session's name for one delivery to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    pub(super) number: u64,
    pub(super) seq: Ordinal,
    /// Life of the object's storage under which the message was pushed.
    pub(super) generation: u64,
}

impl DeliveryId {
    /// The message's place in the workspace's order.
    #[must_use]
    pub fn seq(self) -> Ordinal {
        self.seq
    }
}

/// Something that the application wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session is the agent's live one.
    Connected {
        /// Its epoch.
        epoch: Ordinal,
        /// True if the object knew the agent.
        resumed: bool,
        /// Number of messages that the agent's full inbox has refused, of those among its dead letters.
        refused: u64,
    },
    /// The socket is gone; another is being opened.
    Disconnected,
    /// A message to handle. [`finish`](super::MailboxSession::finish) says what became of it.
    Delivered {
        /// The delivery.
        delivery: DeliveryId,
        /// 1 + the deliveries on record: a lower bound.
        attempt: u64,
        /// True if it was a dead letter once.
        redriven: bool,
        /// The message.
        message: Message,
    },
    /// A handler took too long: its delivery is given back. If it succeeds all the same,
    /// [`finish`](super::MailboxSession::finish) still settles the message.
    Abandoned {
        /// The delivery.
        delivery: DeliveryId,
    },
    /// A delivery has been in the hands of its handler for long: five minutes, and each time twice as
    /// long as when it was told before.
    LongInHand(InHand),
    /// A message found no handler, and nobody had chosen to be sent it: it is settled.
    Unhandled {
        /// Its place in the workspace's order.
        seq: Ordinal,
        /// The message.
        message: Message,
    },
    /// A message that nobody keeps.
    Ephemeral {
        /// The message.
        message: Message,
    },
    /// Messages were lost: they expired, or failed for good. Told again until
    /// [`acknowledge_gap`](super::MailboxSession::acknowledge_gap).
    Gap(Gap),
    /// Outcome of a message that was sent.
    Published {
        /// The message.
        publication: PublicationId,
        /// Its outcome.
        outcome: Published,
    },
    /// A plain call is answered, or given up on.
    Answered {
        /// The query.
        query: QueryId,
        /// The object's reply.
        answer: Result<MailboxReply, CallFailure>,
    },
    /// The object's storage is in another life or behind what the session knows: an operator restored
    /// it. Whether what it had accepted is still there is unknown.
    Restored {
        /// Messages that the session had been told were accepted, oldest first: the newest
        /// [`ACCEPTED_MEMORY`](super::ACCEPTED_MEMORY).
        unknown: Vec<Accepted>,
        /// Number of those before that it had been told of, too.
        more: u64,
    },
    /// The session is over, for good.
    Ended(Ended),
}

/// A message that was said to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    /// Its place in the workspace's order.
    pub seq: Ordinal,
}

/// Outcome of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is kept for its recipients.
    Accepted {
        /// Its place in the workspace's order.
        seq: Ordinal,
        /// Number of agents that it was given to.
        recipients: u64,
        /// The agents whose inbox was full.
        refused: Vec<AgentId>,
        /// True if the agent that it was sent to is known; `None` for what was published, and from a service
        /// that does not say it.
        known: Option<bool>,
        /// Names that are known and look like that of one who is not.
        near: Vec<AgentId>,
    },
    /// An earlier copy of it had been accepted.
    Duplicate {
        /// Its place in the workspace's order.
        seq: Ordinal,
        /// Number of agents that it was given to, if the service says it.
        recipients: Option<u64>,
        /// The agents whose inbox was full.
        refused: Vec<AgentId>,
    },
    /// It was ephemeral, and went to those who were there.
    Sent,
    /// The object refused it.
    Rejected(Rejection),
    /// It was refused before it was a command.
    Refused(Problem),
    /// No answer came within the retry horizon of the first copy that may have left: whether it was accepted is
    /// unknown.
    Unknown,
    /// No copy left this machine, so it was not accepted: the session ended before the service could be
    /// reached, or it was ephemeral and does not wait.
    Unsent,
}

/// Outcome of a delivery in the hands of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is done: the message is settled.
    Done,
    /// It failed: the message comes again after a while, and is given up after
    /// [`MAX_DELIVERIES`](mailbus_spec::limits::MAX_DELIVERIES) failures.
    Failed,
}

/// A delivery in the hands of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InHand {
    /// The message's place in the workspace's order.
    pub seq: Ordinal,
    /// Its sender.
    pub from: AgentId,
    /// Its type.
    pub kind: MessageType,
    /// Time for which the handler has had it, by the client's monotonic clock.
    pub lasted: Duration,
}

/// Reason why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody shut it down.
    ShutDown,
    /// Another session of the agent took its place.
    Replaced,
    /// The service will not have it.
    Refused(Problem),
}
