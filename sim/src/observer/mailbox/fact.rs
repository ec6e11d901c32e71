//! What one event of the mailbox object says, beside what was to be expected.

use mailbus_spec::mailbox::{Connection, DeadReason, Gap, Window};
use mailbus_spec::{AgentId, Ordinal};

use crate::observer::mailbox::Owing;

/// One thing that the object said or did.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A message was accepted.
    Accepted {
        /// Its place.
        seq: Ordinal,
        /// The largest place before.
        last: Ordinal,
        /// How many agents it was given to, by the object's word.
        told: u64,
        /// Who wants it, at least.
        least: Vec<AgentId>,
        /// How many want it at most: the object may have forgotten some of them.
        most: u64,
        /// An earlier message of the same sender and key that is still remembered.
        repeats: Option<Ordinal>,
    },
    /// A message was said to have been accepted before.
    Repeated {
        /// Where.
        seq: Ordinal,
        /// Whether that is the message with this sender and key.
        known: bool,
    },
    /// A session began.
    Connected {
        /// Whose, and its epoch.
        connection: Connection,
        /// The largest epoch before.
        last: Ordinal,
        /// Whether the object knew the agent.
        resumed: bool,
        /// Whether it has to.
        known: bool,
    },
    /// A command of a session that is not the live one was answered as if it were.
    Obeyed {
        /// The session.
        connection: Connection,
        /// What it asked.
        asked: &'static str,
    },
    /// A command of a session that is not the live one was refused.
    Refused {
        /// The session.
        connection: Connection,
        /// What it asked.
        asked: &'static str,
    },
    /// A command of the live session was refused as that of another.
    Denied {
        /// The session.
        connection: Connection,
    },
    /// Deliveries were settled.
    Settled {
        /// Whose.
        agent: AgentId,
        /// Those of the named that may be pending.
        seqs: Vec<Ordinal>,
        /// How many, by the object's word.
        told: u64,
        /// How many of those named are certainly pending.
        least: u64,
        /// How many may be.
        most: u64,
    },
    /// A delivery was given back.
    Returned {
        /// Whose.
        agent: AgentId,
        /// Which.
        seq: Ordinal,
        /// How many of its deliveries have failed, this one included.
        failures: u64,
    },
    /// A message was given up after failures.
    Died {
        /// Whose.
        agent: AgentId,
        /// Which.
        seq: Ordinal,
        /// Number of its deliveries that have failed.
        failures: u64,
    },
    /// An inbox was listed.
    Listed {
        /// Whose.
        agent: AgentId,
        /// What is certainly pending and is not in the list.
        missing: Vec<Ordinal>,
        /// What is in the list and is not owed.
        strange: Vec<Ordinal>,
    },
    /// A dead letter was listed.
    Letter {
        /// Whose.
        agent: AgentId,
        /// Which.
        seq: Ordinal,
        /// Why, by the object's word.
        reason: DeadReason,
        /// State of it as the observer knows it.
        owing: Option<Owing>,
        /// Number of its deliveries that have failed.
        failures: u64,
    },
    /// Dead letters were listed without one that must be among them.
    LetterMissing {
        /// Whose.
        agent: AgentId,
        /// Which.
        seq: Ordinal,
    },
    /// An agent was told of its losses.
    Gap {
        /// Whose.
        agent: AgentId,
        /// What it was told.
        told: Option<Gap>,
        /// How many losses there must have been.
        lost: u64,
        /// How many it has acknowledged.
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
    /// To which session.
    pub to: Connection,
    /// Which message.
    pub seq: Ordinal,
    /// Whether the session is the agent's live one.
    pub is_live: bool,
    /// Whether the message is what was accepted, byte for byte.
    pub is_genuine: bool,
    /// What the agent was owed of it before.
    pub owing: Option<Owing>,
    /// Whether its retention was over.
    pub is_expired: bool,
    /// Whether the agent was pushed it for the first time ever.
    pub is_first: bool,
    /// The first earlier message that the agent was certainly owed and never pushed.
    pub overtakes: Option<Ordinal>,
    /// Whether it came after a later one in this session, and was never given back.
    pub is_behind: bool,
    /// Whether it had been given back and was not due yet.
    pub is_early: bool,
    /// The session's unsettled deliveries, this one included.
    pub flying: Flying,
}

/// What is in flight to a session.
#[derive(Clone, Copy, Debug)]
pub struct Flying {
    /// How many deliveries.
    pub deliveries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The session's window, if it has one.
    pub window: Option<Window>,
}
