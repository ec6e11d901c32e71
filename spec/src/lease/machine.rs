//! One event on the lease machine: advance, and do the command.

use alloc::vec::Vec;

use crate::id::Holder;
use crate::lease::answer::{Notice, Outcome, Push, Rejection};
use crate::lease::command::Command;
use crate::lease::state::LeaseMachine;
use crate::machine::{Event, StateMachine, Step};
use crate::service::{self, Gathered, Service, Transitions};
use crate::time::{Clock, HostTime, Observation, Timestamp};

/// Effects of one event on the lease machine.
pub type LeaseStep = Step<Outcome, Rejection, Push>;

/// Turn of one event: what it has gathered so far.
pub(crate) struct Turn {
    /// The clock as read for this event.
    pub seen: Observation,
    /// The object time up to which what time ended had already been written down.
    pub floor: Timestamp,
    /// Pushes, in order.
    pub pushes: Vec<Push>,
    /// True if something has to become durable. An answer that depends on what time has ended counts: the
    /// clock is written, so that no later event can see that end undone.
    pub wrote: bool,
}

impl Turn {
    /// Object time of the event.
    pub fn now(&self) -> Timestamp {
        self.seen.now
    }

    /// Notes that the answer depends on `end` being past. If that was not yet written down, the clock is.
    pub fn depends_on_end(&mut self, end: Timestamp) {
        if self.floor < end {
            self.wrote = true;
        }
    }

    /// Adds a push.
    pub fn push(&mut self, to: &Holder, notice: Notice) {
        self.pushes.push(Push { to: to.clone(), notice });
    }
}

impl Transitions for LeaseMachine {
    type Turn = Turn;

    fn begin(&mut self, seen: Observation) -> Turn {
        let floor = self.clock.floor;
        let mut turn = Turn { seen, floor, pushes: Vec::new(), wrote: seen.reanchored };
        self.advance(&mut turn);
        turn
    }

    fn command(&mut self, turn: &mut Turn, command: &Command) -> Result<Outcome, Rejection> {
        match command {
            Command::Acquire(acquire) => self.acquire(turn, acquire),
            Command::Renew { holder, token, ttl, drain } => {
                self.renew(turn, holder, *token, *ttl, *drain)
            }
            Command::Release { holder, target } => self.release(turn, holder, target),
            Command::Cancel { holder, request } => self.cancel(turn, holder, request),
            Command::Status { path } => Ok(self.status(path)),
            Command::List { prefix, after, limit } => Ok(self.list(prefix, after.as_ref(), *limit)),
            Command::Tickets { prefix, after, limit } => Ok(self.tickets(prefix, *after, *limit)),
            Command::Verify { path, token } => Ok(self.verify(path, *token)),
            Command::ForceRelease { token, reason, drain } => {
                self.force_release(turn, *token, reason, *drain)
            }
            Command::ForceTicket { arrival, generation } => {
                self.force_ticket(turn, *arrival, *generation)
            }
            Command::Recover { at_least } => Ok(self.recover(turn, *at_least)),
        }
    }

    fn collect(&mut self, turn: &mut Turn) {
        Self::collect(self, turn);
    }

    fn implausible(host: HostTime) -> Rejection {
        Rejection::Clock(host)
    }

    fn numbers(&mut self) -> (&mut Clock, &mut u64, &mut u64) {
        (&mut self.clock, &mut self.generation, &mut self.sequence)
    }
}

impl From<Turn> for Gathered<LeaseMachine> {
    fn from(turn: Turn) -> Self {
        Self { seen: turn.seen, pushes: turn.pushes, wrote: turn.wrote }
    }
}

impl StateMachine for LeaseMachine {
    type Command = Command;
    type Outcome = Outcome;
    type Rejection = Rejection;
    type Push = Push;

    fn handle(&mut self, host: HostTime, event: &Event<Command>) -> LeaseStep {
        service::handle(self, host, event)
    }

    fn next_alarm(&self) -> Option<Timestamp> {
        let expiries = self.leases.values().map(|lease| lease.expires_at);
        let deadlines = self.queue.values().map(|ticket| ticket.deadline);
        let collections = self.remembered.values().filter_map(|over| {
            Timestamp::from_ms(over.collectable_minute().saturating_mul(60_000))
        });
        expiries.chain(deadlines).chain(collections).min()
    }
}

impl Service for LeaseMachine {
    type Peer = Holder;

    const NAME: &'static str = "lease";

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn position(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }

    fn addressee(push: &Push) -> &Holder {
        &push.to
    }
}
