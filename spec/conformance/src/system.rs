//! Capabilities that a system needs to be tested, and how it says which it lacks.

use core::fmt;
use std::collections::BTreeSet;

use super::subject::{ReplyOf, Subject};
use mailbus_spec::time::HostTime;

/// Something that not every system can do. A case that needs more than a system has is skipped there
/// and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Its host's time is set by the test, exactly, and may step either way.
    ExactTime,
    /// Its alarm rings when the test says so and not otherwise, and the pending one can be read.
    Alarm,
    /// Its object can be dropped from memory between two events; sockets stay.
    Evict,
    /// Its object can be killed; sockets break, storage stays.
    Crash,
    /// Its storage can be set back to an earlier point.
    Rollback,
    /// Pushes that it sends unasked can be received.
    Sockets,
    /// It bears more than a thousand calls in one case.
    Bulk,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExactTime => "exact time",
            Self::Alarm => "alarm control",
            Self::Evict => "eviction",
            Self::Crash => "crash",
            Self::Rollback => "rollback",
            Self::Sockets => "sockets",
            Self::Bulk => "bulk",
        })
    }
}

/// Abilities of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Capabilities that it has exactly.
    pub able: BTreeSet<Capability>,
    /// Without exact time: how many milliseconds of real time it is worth waiting for in one case.
    pub patience_ms: u64,
}

impl Capabilities {
    /// A system that can do all this.
    #[must_use]
    pub fn of(able: impl IntoIterator<Item = Capability>) -> Self {
        Self { able: able.into_iter().collect(), patience_ms: 0 }
    }

    /// The same, for a system on a real clock that is waited for this long in one case.
    #[must_use]
    pub fn patient(mut self, ms: u64) -> Self {
        self.patience_ms = ms;
        self
    }

    /// True if it can do this.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.able.contains(&capability)
    }

    /// Reason why a case with these needs cannot run here, or nothing.
    #[must_use]
    pub fn lacks(&self, needs: &Needs) -> Option<String> {
        let missing = needs.capabilities.iter().find(|needed| !self.has(**needed));
        if let Some(missing) = missing {
            return Some(format!("needs {missing}"));
        }
        if !self.has(Capability::ExactTime) && needs.elapsed_ms > self.patience_ms {
            let elapsed = super::notation::spell_duration(needs.elapsed_ms);
            return Some(format!("takes {elapsed} of real time"));
        }
        None
    }
}

/// Needs of a case, derived from its directives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Capabilities that the system must have.
    pub capabilities: BTreeSet<Capability>,
    /// Time that passes.
    pub elapsed_ms: u64,
}

/// Reason why a system gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It never can do this.
    Unsupported(Capability),
    /// The connection broke or nothing came: whether the command was executed is unknown.
    Unknown(String),
    /// It answered what is no answer of the protocol.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(capability) => write!(f, "the system does not support {capability}"),
            Self::Unknown(why) => write!(f, "the outcome is unknown: {why}"),
            Self::Broken(why) => write!(f, "not an answer of the protocol: {why}"),
        }
    }
}

impl core::error::Error for Failure {}

/// A system that claims to be what the specification says.
///
/// It is driven by one caller at a time. Everything is async without a runtime: a system brings its
/// own, and its own `sleep`. What it can do besides `call` it declares in `capabilities`, and only that
/// is asked of it.
#[expect(async_fn_in_trait, reason = "drivers are generic over the system; futures need no Send")]
pub trait SystemUnderTest<S: Subject> {
    /// Its name in the output.
    fn name(&self) -> &str;

    /// Capabilities that it has.
    fn capabilities(&self) -> Capabilities;

    /// Begins a case with these needs: a workspace that nobody ever used, no sockets. With exact time
    /// the host's clock stands at [`EXACT_START`](super::EXACT_START).
    async fn begin(&mut self, needs: &Needs) -> Result<(), Failure>;

    /// Does one command and waits for its reply.
    async fn call(&mut self, command: &S::Command) -> Result<ReplyOf<S>, Failure>;

    /// Waits in the system's own time. Only asked of a system without exact time.
    async fn sleep(&mut self, ms: u64);

    /// Sets the host's clock; it stands still between two settings.
    async fn set_host(&mut self, _host: HostTime) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::ExactTime))
    }

    /// Opens a socket for a peer; one that has one keeps it.
    async fn connect(&mut self, _peer: &S::Peer) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Sockets))
    }

    /// Closes a peer's socket.
    async fn disconnect(&mut self, _peer: &S::Peer) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Sockets))
    }

    /// Pushes that sockets received since it was last asked, in order for each peer. A system in which
    /// pushes travel gives them the time to arrive.
    async fn received(&mut self) -> Result<Vec<S::Push>, Failure> {
        Ok(Vec::new())
    }

    /// Rings the alarm, whether or not it is due.
    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Alarm))
    }

    /// Time at which the platform will ring the alarm.
    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        Err(Failure::Unsupported(Capability::Alarm))
    }

    /// Drops the object from memory.
    async fn evict(&mut self) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Evict))
    }

    /// Kills the object as a power loss would, and lets it start again.
    async fn crash(&mut self) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Crash))
    }

    /// Remembers the storage as it is.
    async fn bookmark(&mut self, _name: &str) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Rollback))
    }

    /// Sets the storage back; the object is dropped from memory and sockets break.
    async fn restore(&mut self, _name: &str) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Rollback))
    }

    /// Rows written, and alarms set, since it was last asked; `None` for a system that cannot count
    /// them.
    fn rows_written(&mut self) -> Option<Rows> {
        None
    }
}

/// Rows that the platform charges for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows written.
    pub rows: u64,
    /// Alarms set.
    pub alarms: u64,
}
