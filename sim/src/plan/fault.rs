//! Faults of machines, agents, the network and the object.

use serde::{Deserialize, Serialize};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Time at which it begins, in ms of true time from the start.
    pub at_ms: u64,
    /// Kind of it.
    pub kind: FaultKind,
}

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $variant:ident $name:literal { $($(#[$field_doc:meta])* $field:ident: $ty:ty),* $(,)? })*) => {
        /// The kinds of faults.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FaultKind {
            $($(#[$doc])* $variant { $($(#[$field_doc])* $field: $ty),* },)*
        }

        impl FaultKind {
            /// The names of all kinds, in the order of this page.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Its name in reports.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }
        }
    };
}

fault_kinds! {
    /// Messages that the machine sends are lost.
    CutRequests "cut requests" {
        /// The machine.
        machine: u8,
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// Messages to the machine are lost: executed, outcome unknown.
    CutReplies "cut replies" {
        /// The machine.
        machine: u8,
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// Both, and connections are refused.
    Partition "partition" {
        /// The machine.
        machine: u8,
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// Messages either way arrive only at the end, all of them, late.
    Hold "hold" {
        /// The machine.
        machine: u8,
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// Messages under way in one direction at that instant are lost.
    Loss "loss" {
        /// The machine.
        machine: u8,
        /// True if they were sent by the machine, false if to it.
        sent_by_machine: bool,
    }
    /// The link is slow.
    Slow "latency spike" {
        /// The machine.
        machine: u8,
        /// Latency at most, in ms.
        latency_ms: u64,
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// The network delivers a few earlier commands once more, long after their first copies.
    Copy "duplicate, late" {
        /// Age of the commands since they were delivered first, in ms; the latest ones at least
        /// that old and at most a minute are taken.
        age_ms: u64,
    }
    /// The process of an agent stops and goes on later: its timers fire late, and it writes after
    /// waking.
    Pause "client pause" {
        /// The agent.
        agent: u8,
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// A computer sleeps: its processes stop, its monotonic clock too.
    Suspend "suspend" {
        /// The machine.
        machine: u8,
        /// Time that it lasts, in ms.
        for_ms: u64,
        /// Time by which its wall clock is set at the resume, in ms.
        wall_step_ms: i64,
    }
    /// The process of an agent dies and is started again under the same name.
    Crash "client crash" {
        /// The agent.
        agent: u8,
        /// Time after which it is started again, in ms.
        down_ms: u64,
    }
    /// A machine loses power: no close reaches the object, whose sockets stay half open.
    ClientPowerLoss "half-open socket" {
        /// The machine.
        machine: u8,
        /// Time after which its agents are started again, in ms.
        down_ms: u64,
    }
    /// The wall clock of a machine is set.
    WallStep "client clock step" {
        /// The machine.
        machine: u8,
        /// Time by which it is set, in ms.
        by_ms: i64,
    }
    /// The host clock of the object is set.
    ObjectStep "object clock step" {
        /// Time by which it is set, in ms.
        by_ms: i64,
    }
    /// The object moves to a host with another clock: memory is lost, sockets close.
    HostMove "host move" {
        /// Lead of the new host's clock over the old one's, in ms.
        by_ms: i64,
    }
    /// The object loses its memory and keeps its sockets.
    Evict "eviction" {}
    /// The object's process dies politely: sockets close, storage is whole.
    ObjectCrash "object crash" {
        /// Time after which it is there again, in ms.
        down_ms: u64,
    }
    /// The object's host loses power: sockets do not close, what was not flushed is lost.
    PowerLoss "power loss" {
        /// Time after which it is there again, in ms.
        down_ms: u64,
    }
    /// A deploy: all sockets close, memory is lost.
    Deploy "deploy" {}
    /// The object is replaced while an old instance goes on and is still sent requests.
    Zombie "zombie" {
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// Alarms ring late.
    AlarmLate "alarm late" {
        /// Lateness in ms.
        by_ms: u64,
        /// Time for which alarms do, in ms.
        for_ms: u64,
    }
    /// The alarm rings although none is due.
    AlarmEarly "alarm early or twice" {}
    /// Alarms that are due do not ring.
    AlarmLost "alarm lost" {
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// A pending alarm is left behind in the past and never rings, until another is set.
    AlarmStuck "alarm stuck" {}
    /// A statement of an event fails.
    StorageError "storage error" {
        /// Number of the statement, from now on.
        statement: u8,
    }
    /// Writes fail.
    StorageFull "storage full" {
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// The processes of all agents stop and go on later: nobody asks the object for anything.
    Lull "lull" {
        /// Time that it lasts, in ms.
        for_ms: u64,
    }
    /// The storage is restored to an earlier point.
    Restore "restore" {
        /// Distance back in ms.
        back_ms: u64,
        /// Time for which the operator keeps the workspace closed, in ms.
        closed_ms: u64,
        /// True if the operator then sends `Recover` with the largest token it knows of.
        recover: bool,
    }
}

impl FaultKind {
    /// Time for which it lasts, in ms; 0 for what is over at once.
    #[must_use]
    pub fn lasts_ms(&self) -> u64 {
        match self {
            Self::CutRequests { for_ms, .. }
            | Self::CutReplies { for_ms, .. }
            | Self::Partition { for_ms, .. }
            | Self::Hold { for_ms, .. }
            | Self::Slow { for_ms, .. }
            | Self::Pause { for_ms, .. }
            | Self::Suspend { for_ms, .. }
            | Self::Lull { for_ms }
            | Self::Zombie { for_ms }
            | Self::AlarmLost { for_ms }
            | Self::AlarmLate { for_ms, .. }
            | Self::StorageFull { for_ms } => *for_ms,
            Self::Crash { down_ms, .. }
            | Self::ClientPowerLoss { down_ms, .. }
            | Self::ObjectCrash { down_ms }
            | Self::PowerLoss { down_ms } => *down_ms,
            Self::Restore { closed_ms, .. } => *closed_ms,
            _ => 0,
        }
    }
}
