//! The specification as a system: the first that every check is run on, and what others are
//! compared with.

use std::collections::{BTreeMap, BTreeSet};

use super::notation::EXACT_START;
use super::subject::{ReplyOf, StepOf, Subject};
use super::system::{Capabilities, Capability, Failure, Needs, SystemUnderTest};
use mailbus_spec::machine::{Event, Reply};
use mailbus_spec::time::HostTime;

/// A reference machine with what its platform adds: a host's clock, one alarm, sockets, bookmarks.
///
/// The alarm is set when it has to ring *earlier* than what is pending, and a ring re-arms it. It rings
/// only when told to.
#[derive(Clone, Debug)]
pub struct ModelSystem<S: Subject> {
    /// The object.
    pub machine: S,
    /// The host's clock.
    pub host: HostTime,
    /// Time at which the platform will ring, by the host's clock.
    pub pending: Option<HostTime>,
    /// The host's clock at the last event.
    last_event: HostTime,
    /// True if the alarm is followed: finding the next one looks at the whole state.
    follows_alarm: bool,
    connected: BTreeSet<S::Peer>,
    received: Vec<S::Push>,
    bookmarks: BTreeMap<String, Storage<S>>,
}

/// Storage as a bookmark remembers it.
#[derive(Clone, Debug)]
struct Storage<S> {
    machine: S,
    pending: Option<HostTime>,
    last_event: HostTime,
}

impl<S: Subject> Default for ModelSystem<S> {
    fn default() -> Self {
        Self {
            machine: S::default(),
            host: EXACT_START,
            pending: None,
            last_event: EXACT_START,
            follows_alarm: true,
            connected: BTreeSet::new(),
            received: Vec::new(),
            bookmarks: BTreeMap::new(),
        }
    }
}

impl<S: Subject> ModelSystem<S> {
    /// A system at the beginning of a case with these needs.
    #[must_use]
    pub fn begun(needs: &Needs) -> Self {
        Self { follows_alarm: needs.capabilities.contains(&Capability::Alarm), ..Self::default() }
    }

    /// One event at the host's time.
    pub fn handle(&mut self, event: &Event<S::Command>) -> StepOf<S> {
        let step = self.machine.handle(self.host, event);
        self.last_event = self.host;
        if self.follows_alarm {
            self.set_alarm(matches!(event, Event::Alarm));
        }
        let is_heard =
            |push: &&S::Push| S::HAS_SESSIONS || self.connected.contains(S::addressee(push));
        self.received.extend(step.pushes.iter().filter(is_heard).cloned());
        step
    }

    fn wanted_alarm(&self) -> Option<HostTime> {
        self.machine.next_alarm().map(|at| self.machine.clock().host_at(at))
    }

    /// True if an alarm that is pending elsewhere will do: it rings no later than it has to, or at once.
    ///
    /// A platform may have lost an alarm that is overdue, so a system may set it anew; and while its
    /// host's clock is not believed it can only put it off.
    #[must_use]
    pub fn alarm_will_do(&self, pending: Option<HostTime>) -> bool {
        if self.machine.clock().observe(self.last_event).is_err() {
            return pending.is_some() || self.pending.is_none();
        }
        self.wanted_alarm().is_none_or(|wanted| {
            pending.is_some_and(|pending| pending <= wanted.max(self.last_event))
        })
    }

    fn set_alarm(&mut self, rang: bool) {
        let wanted = self.wanted_alarm();
        self.pending = match (self.pending.filter(|_| !rang), wanted) {
            (Some(pending), Some(wanted)) => Some(pending.min(wanted)),
            (pending, wanted) => pending.or(wanted),
        };
    }

    /// One command at the host's time.
    pub fn command(&mut self, command: &S::Command) -> ReplyOf<S> {
        let step = self.handle(&Event::Command(command.clone()));
        step.reply.unwrap_or_else(|| {
            unreachable!("a command is always answered");
        })
    }

    /// Opens a socket.
    pub fn open(&mut self, peer: &S::Peer) {
        self.connected.insert(peer.clone());
    }

    /// Closes a socket, with what the platform makes of that.
    pub fn close(&mut self, peer: &S::Peer) {
        if let Some(event) = self.closing(peer) {
            self.handle(&event);
        } else if S::HAS_SESSIONS {
            return;
        }
        self.hang_up(peer);
    }

    /// The event that it is when a client closes its socket; none for a socket that is not there.
    ///
    /// Nor while the host's clock is not plausible: the object could not tell what ends then. No case
    /// closes a socket at such a time.
    #[must_use]
    pub fn closing(&self, peer: &S::Peer) -> Option<Event<S::Command>> {
        let command = S::closing(peer)?;
        let is_there = self.machine.sessions().contains(peer);
        let is_timely = self.machine.clock().observe(self.host).is_ok();
        (is_there && is_timely).then_some(Event::Command(command))
    }

    /// A closed socket hears nothing, not even what its close led to.
    pub fn hang_up(&mut self, peer: &S::Peer) {
        self.connected.remove(peer);
        self.received.retain(|push| !S::HAS_SESSIONS || S::addressee(push) != peer);
    }

    /// Breaks all sockets, and the sessions with them.
    pub fn break_sockets(&mut self) {
        self.connected.clear();
        self.machine.break_sessions();
    }

    /// Remembers the storage.
    pub fn mark(&mut self, name: &str) {
        let machine = self.machine.clone();
        let storage = Storage { machine, pending: self.pending, last_event: self.last_event };
        self.bookmarks.insert(name.to_string(), storage);
    }

    /// Sets the storage back and breaks the sockets; a name never marked means the empty storage.
    pub fn set_back(&mut self, name: &str) {
        let storage = self.bookmarks.get(name).cloned();
        self.machine = storage.as_ref().map(|to| to.machine.clone()).unwrap_or_default();
        self.pending = storage.as_ref().and_then(|to| to.pending);
        self.last_event = storage.map_or(self.host, |to| to.last_event);
        self.break_sockets();
    }

    /// Pushes that sockets received since it was last asked.
    pub fn take_received(&mut self) -> Vec<S::Push> {
        core::mem::take(&mut self.received)
    }
}

impl<S: Subject> SystemUnderTest<S> for ModelSystem<S> {
    fn name(&self) -> &str {
        "model"
    }

    fn capabilities(&self) -> Capabilities {
        use Capability::{Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets};
        Capabilities::of([Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets])
    }

    async fn begin(&mut self, needs: &Needs) -> Result<(), Failure> {
        *self = Self::begun(needs);
        Ok(())
    }

    async fn call(
        &mut self,
        command: &S::Command,
    ) -> Result<Reply<S::Outcome, S::Rejection>, Failure> {
        Ok(self.command(command))
    }

    async fn sleep(&mut self, ms: u64) {
        self.host = HostTime(self.host.0.saturating_add(ms));
    }

    async fn set_host(&mut self, host: HostTime) -> Result<(), Failure> {
        self.host = host;
        Ok(())
    }

    async fn connect(&mut self, peer: &S::Peer) -> Result<(), Failure> {
        self.open(peer);
        Ok(())
    }

    async fn disconnect(&mut self, peer: &S::Peer) -> Result<(), Failure> {
        self.close(peer);
        Ok(())
    }

    async fn received(&mut self) -> Result<Vec<S::Push>, Failure> {
        Ok(self.take_received())
    }

    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        self.handle(&Event::Alarm);
        Ok(())
    }

    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        Ok(self.pending)
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        self.break_sockets();
        Ok(())
    }

    async fn bookmark(&mut self, name: &str) -> Result<(), Failure> {
        self.mark(name);
        Ok(())
    }

    async fn restore(&mut self, name: &str) -> Result<(), Failure> {
        self.set_back(name);
        Ok(())
    }
}
