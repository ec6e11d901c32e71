//! Facts of one event of the mailbox object, beside what was to be expected.

use mailbus_spec::mailbox::{Connection, DeadReason, Gap, Window};
use mailbus_spec::{AgentId, Ordinal};

use crate::judge::observer::mailbox::Owing;

/// One thing that the object said or did.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A message was accepted.
    Accepted {
        /// Its place.
        seq: Ordinal,
        /// The largest place before.
        last: Ordinal,
        /// Number of agents that it was given to, by the object's word.
        told: u64,
        /// Agents that want it, at least.
        least: Vec<AgentId>,
        /// Number of those who want it, at most: the object may have forgotten some of them.
        most: u64,
        /// An earlier message of the same sender and key that is still remembered.
        repeats: Option<Ordinal>,
    },
    /// A message was said to have been accepted before.
    Repeated {
        /// Place of the message in the workspace's order.
        seq: Ordinal,
        /// True if that is the message with this sender and key.
        known: bool,
        /// Agents that have refused it, by the object's word.
        told: Vec<AgentId>,
        /// Agents that have refused it and were not given it since, in order.
        refused: Vec<AgentId>,
    },
    /// A sender was told whether the agent that it has sent to is known, or refused since it is not.
    Addressed {
        /// Agent that it was sent to.
        to: AgentId,
        /// True if it is known, by the object's word.
        told: bool,
        /// True if it may be.
        may: bool,
        /// True if it has to be.
        must: bool,
        /// Names that were told instead.
        near: Vec<AgentId>,
        /// True if the message was to be refused unless it is known.
        must_know: bool,
        /// True if it was.
        refused: bool,
    },
    /// A session began.
    Connected {
        /// Agent, and the epoch of its session.
        connection: Connection,
        /// The largest epoch before.
        last: Ordinal,
        /// True if the object knew the agent.
        resumed: bool,
        /// True if it has to.
        known: bool,
    },
    /// An agent was told what it is subscribed to.
    Subscribed {
        /// Agent that it concerns.
        agent: AgentId,
        /// True if the object knew the agent.
        resumed: bool,
        /// True if it has to.
        known: bool,
    },
    /// A command of a session that is not the live one was answered as if it were.
    Obeyed {
        /// The session.
        connection: Connection,
        /// Question that it asked.
        asked: &'static str,
    },
    /// A command of a session that is not the live one was refused.
    Refused {
        /// The session.
        connection: Connection,
        /// Question that it asked.
        asked: &'static str,
    },
    /// A command of the live session was refused as that of another.
    Denied {
        /// The session.
        connection: Connection,
    },
    /// Deliveries were settled.
    Settled {
        /// Agent that it concerns.
        agent: AgentId,
        /// Those of the named that may be pending.
        seqs: Vec<Ordinal>,
        /// Number of them, by the object's word.
        told: u64,
        /// Number of those named that are certainly pending.
        least: u64,
        /// Number that there may be.
        most: u64,
    },
    /// A delivery was given back.
    Returned {
        /// Agent that it concerns.
        agent: AgentId,
        /// Place of the message in the workspace's order.
        seq: Ordinal,
        /// Number of its deliveries that have failed, this one included.
        failures: u64,
        /// Time for which it stays away, in ms.
        away_ms: u64,
    },
    /// A message was given up after failures.
    Died {
        /// Agent that it concerns.
        agent: AgentId,
        /// Place of the message in the workspace's order.
        seq: Ordinal,
        /// Number of its deliveries that have failed.
        failures: u64,
    },
    /// An inbox was listed.
    Listed {
        /// Agent that it concerns.
        agent: AgentId,
        /// Messages that are certainly pending and are not in the list.
        missing: Vec<Ordinal>,
        /// Messages that are in the list and are not owed.
        strange: Vec<Ordinal>,
    },
    /// A dead letter was listed.
    Letter {
        /// Agent that it concerns.
        agent: AgentId,
        /// Place of the message in the workspace's order.
        seq: Ordinal,
        /// Reason, by the object's word.
        reason: DeadReason,
        /// State of it as the observer knows it.
        owing: Option<Owing>,
        /// Number of its deliveries that have failed.
        failures: u64,
    },
    /// Dead letters were listed without one that must be among them.
    LetterMissing {
        /// Agent that it concerns.
        agent: AgentId,
        /// Place of the message in the workspace's order.
        seq: Ordinal,
    },
    /// An agent was told of its losses.
    Gap {
        /// Agent that it concerns.
        agent: AgentId,
        /// Gap that it was told.
        told: Option<Gap>,
        /// Number of losses that there must have been.
        lost: u64,
        /// Number of those that it has acknowledged.
        acknowledged: u64,
    },
    /// A delivery.
    Pushed(Pushed),
    /// The live session was closed, though nobody had ended or replaced it.
    ClosedAlive {
        /// The session.
        to: Connection,
    },
    /// Something else was sent to a session that is not the live one.
    SentAside {
        /// The session.
        to: Connection,
    },
}

/// One delivery.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Session that it goes to.
    pub to: Connection,
    /// Message that is meant.
    pub seq: Ordinal,
    /// True if the session is the agent's live one.
    pub is_live: bool,
    /// True if the message is what was accepted, byte for byte.
    pub is_genuine: bool,
    /// State of it for the agent before.
    pub owing: Option<Owing>,
    /// True if its retention was over.
    pub is_expired: bool,
    /// True if the agent was pushed it for the first time ever.
    pub is_first: bool,
    /// The first earlier message that the agent was certainly owed and never pushed.
    pub overtakes: Option<Ordinal>,
    /// True if it came after a later one in this session, and was never given back.
    pub is_behind: bool,
    /// True if it had been given back and was not due yet.
    pub is_early: bool,
    /// The session's unsettled deliveries, this one included.
    pub flying: Flying,
}

/// Messages in flight to a session.
#[derive(Clone, Copy, Debug)]
pub struct Flying {
    /// Number of deliveries.
    pub deliveries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The session's window, if it has one.
    pub window: Option<Window>,
}
