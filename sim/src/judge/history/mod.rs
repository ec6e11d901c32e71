//! History of one simulation, as seen from outside: the judge's only evidence.

mod clients;
pub mod marks;
mod object;

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::mailbox::{CloseReason, Connection, MailboxMachine, Notice, Push};
use mailbus_spec::{AgentId, LeasePath, Ordinal, Service};

use crate::clock::{SkewedClock, TrueTime};
use crate::judge::history::marks::{Mark, Marks};

pub use clients::{BeliefSpan, Claim, HandlerOutcome, Handling, Sending, SendingEnd, Write};
pub use object::{Entry, Happened, Record, Wait};

/// Service whose object has a record in every history.
pub trait Recorded: Service {
    /// The record of its object.
    fn record(history: &History) -> &Record<Self>;

    /// The same, to be added to.
    fn record_mut(history: &mut History) -> &mut Record<Self>;

    /// The object wakes with open sockets for these sessions alone. What it then has to push comes in the
    /// next event, before anything else.
    fn wake(&mut self, _open: &[Connection]) -> Vec<Self::Push> {
        Vec::new()
    }
}

impl Recorded for LeaseMachine {
    fn record(history: &History) -> &Record<Self> {
        &history.leases
    }

    fn record_mut(history: &mut History) -> &mut Record<Self> {
        &mut history.leases
    }
}

impl Recorded for MailboxMachine {
    fn record(history: &History) -> &Record<Self> {
        &history.mail
    }

    fn record_mut(history: &mut History) -> &mut Record<Self> {
        &mut history.mail
    }

    /// Sessions whose socket is gone are over: nothing of them is recorded. Superseded ones whose live
    /// session is gone are told to come back.
    fn wake(&mut self, open: &[Connection]) -> Vec<Push> {
        let mut closings = Vec::new();
        for (name, agent) in &mut self.agents {
            let is_open = |epoch| open.contains(&Connection { agent: name.clone(), epoch });
            if agent.live.as_ref().is_some_and(|live| !is_open(live.epoch)) {
                agent.live = None;
            }
            agent.superseded.retain(|epoch| is_open(*epoch));
            if agent.live.is_none() {
                closings.extend(agent.superseded.drain(..).map(|epoch| Push {
                    to: Connection { agent: name.clone(), epoch },
                    notice: Notice::Closed(CloseReason::Reopen),
                }));
            }
        }
        closings
    }
}

/// Residue in storage at the very end, when everything must be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residue {
    /// Rows of the lease object.
    pub rows: u64,
    /// Messages of the mailbox object.
    pub logged: u64,
    /// True if alarms rang at all at the end.
    pub alarms_rang: bool,
}

/// Everything seen of one simulation.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Record of the lease object.
    pub leases: Record<LeaseMachine>,
    /// Record of the mailbox object.
    pub mail: Record<MailboxMachine>,
    /// Handlings by clients, in no order.
    pub handlings: Vec<Handling>,
    /// Messages that clients sent, and what they were told of them.
    pub sendings: Vec<Sending>,
    /// Beliefs of clients, in no order.
    pub beliefs: Vec<BeliefSpan>,
    /// Writes that arrived at resources.
    pub writes: Vec<Write>,
    /// Claims that the healing has to let through.
    pub claims: Vec<Claim>,
    /// Content of storage at the end.
    pub residue: Option<Residue>,
    /// Time at which faults stopped.
    pub healed: TrueTime,
    /// Time at which everybody had had what the healing has to let through, or the time for it was over.
    pub healing_ended: TrueTime,
    /// Time at which the simulation ended.
    pub ended: TrueTime,
    /// Agents whose mail has to come through: they want to be connected when the world has healed.
    pub listening: BTreeSet<AgentId>,
    /// True if alarms ring after the healing.
    pub alarms_ring: bool,
    /// The wall clock of the object's host.
    pub object_clock: SkewedClock,
    /// Its monotonic clock.
    pub object_monotonic: SkewedClock,
    /// Times at which alarms could be late or lost through something else than clocks.
    pub alarm_troubles: Vec<(TrueTime, TrueTime)>,
    /// Operations begun.
    pub operations: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Marks reached.
    pub marks: Marks,
    /// One line for everything else that is worth telling: faults, crashes, outcomes.
    pub notes: Vec<(TrueTime, String)>,
}

impl History {
    /// Number of events, of both objects.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.leases.events().count() + self.mail.events().count()
    }

    /// Lets each resource take or refuse the writes that arrived at it, in the order of true time: it
    /// refuses a token smaller than the largest it has seen.
    pub fn decide_writes(&mut self) {
        self.writes.sort_by_key(|write| write.at);
        let mut largest: BTreeMap<LeasePath, Ordinal> = BTreeMap::new();
        for write in &mut self.writes {
            let seen = largest.entry(write.path.clone()).or_default();
            write.accepted = *seen <= write.token;
            *seen = write.token.max(*seen);
            if !write.accepted {
                self.marks.reach(Mark::FencedOff);
            }
        }
    }

    /// Notes that a mark was reached.
    pub fn reach(&mut self, mark: Mark) {
        self.marks.reach(mark);
    }

    /// Notes a line.
    pub fn note(&mut self, at: TrueTime, line: String) {
        self.notes.push((at, line));
    }
}
