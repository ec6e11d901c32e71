//! One event on the mailbox machine: do the command, let go of what is too old, push what may be pushed.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;
use crate::machine::{Event, StateMachine};
use crate::mailbox::MailboxStep;
use crate::mailbox::answer::{Notice, Outcome, Push, Rejection};
use crate::mailbox::command::{Ask, Command, Connection};
use crate::mailbox::state::{Asked, MailboxMachine};
use crate::ordinal::Ordinal;
use crate::service::{self, Gathered, Service, Transitions};
use crate::time::{Clock, HostTime, Observation, Timestamp};

/// Turn of one event: what it has gathered so far.
pub(crate) struct Turn {
    /// The clock as read for this event.
    pub seen: Observation,
    /// Pushes, in order.
    pub pushes: Vec<Push>,
    /// True if something has to become durable.
    pub wrote: bool,
    /// Push budget that is left.
    pub budget: PushBudget,
    /// Agents that lost something in this event.
    pub lost: BTreeSet<AgentId>,
}

/// Push budget of one event: what is due beyond it is left to the next.
pub(crate) struct PushBudget {
    messages: u64,
    bytes: u64,
}

impl PushBudget {
    /// True if a message of this size still fits; if so it is taken.
    pub fn take(&mut self, bytes: u64) -> bool {
        match (self.messages.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(messages), Some(left)) => {
                *self = Self { messages, bytes: left };
                true
            }
            _ => false,
        }
    }
}

impl Turn {
    fn new(seen: Observation) -> Self {
        Self {
            seen,
            pushes: Vec::new(),
            wrote: seen.reanchored,
            budget: PushBudget {
                messages: limits::PUSH_BUDGET_MESSAGES,
                bytes: limits::PUSH_BUDGET_BYTES,
            },
            lost: BTreeSet::new(),
        }
    }

    /// Object time of the event.
    pub fn now(&self) -> Timestamp {
        self.seen.now
    }

    /// Adds a push.
    pub fn push(&mut self, agent: &AgentId, epoch: Ordinal, notice: Notice) {
        let to = Connection { agent: agent.clone(), epoch };
        self.pushes.push(Push { to, notice });
    }
}

impl MailboxMachine {
    /// Begins a new generation: an object cannot know that it was restored, its operator does.
    ///
    /// The ordinals rise, and the clock does not follow them: mail would expire by a time that never was
    /// ([refuted](crate::rules::refuted#a-recovery-that-expires-the-mail)).
    fn recover(&mut self, turn: &mut Turn, at_least: Ordinal) -> Outcome {
        self.last_seq = self.last_seq.max(at_least);
        let named = turn.now().ms().max(at_least.anchor_ms());
        self.generation = self.generation.saturating_add(1).max(named);
        turn.wrote = true;
        Outcome::Recovered
    }

    /// Does what a command asks for.
    fn execute(&mut self, turn: &mut Turn, command: &Command) -> Result<Outcome, Rejection> {
        let Command { over, ask } = command;
        if let Some(over) = over
            && !self.is_live(over)
            && !matches!(ask, Ask::Disconnect { .. })
        {
            return Err(Rejection::Replaced);
        }
        match ask {
            Ask::Connect { agent, session, window, types, last_seen } => {
                let asked =
                    Asked { session: session.clone(), window: *window, types: types.clone() };
                self.connect(turn, agent, asked, *last_seen)
            }
            Ask::Disconnect { connection } => Ok(self.disconnect(turn, connection)),
            Ask::Subscribe { agent, types } => self.subscribe(turn, agent, types),
            Ask::Unsubscribe { agent, types } => Ok(self.unsubscribe(turn, agent, types)),
            Ask::Publish { message } => self.accept(turn, None, message, false),
            Ask::Send { to, message, must_know } => {
                self.accept(turn, Some(to), message, *must_know)
            }
            Ask::Ack { agent, what } => self.ack(turn, over.as_ref(), agent, what),
            Ask::Nack { agent, seq, fence, delay } => {
                Ok(self.nack(turn, agent, *seq, *fence, *delay))
            }
            Ask::Working { agent, seq } => Ok(self.working(over.as_ref(), agent, *seq)),
            Ask::Inbox { agent, after, limit } => self.inbox(agent, *after, *limit),
            Ask::Agents { after, limit } => Ok(self.list_agents(after.as_ref(), *limit)),
            Ask::Heartbeat { .. } => Ok(Outcome::Heard),
            Ask::DeadLetters { agent, after, limit } => {
                Ok(self.list_dead_letters(agent, *after, *limit))
            }
            Ask::Redrive { agent, seqs } => Ok(self.redrive(turn, agent, seqs)),
            Ask::Forget { agent, epoch } => Ok(self.forget(turn, agent, *epoch)),
            Ask::Recover { at_least } => Ok(self.recover(turn, *at_least)),
        }
    }
}

impl Transitions for MailboxMachine {
    type Turn = Turn;

    fn begin(&mut self, seen: Observation) -> Turn {
        Turn::new(seen)
    }

    fn command(&mut self, turn: &mut Turn, command: &Command) -> Result<Outcome, Rejection> {
        let by = self.taking_part(command).cloned();
        let outcome = self.execute(turn, command)?;
        if let Some(name) = by {
            self.see(turn, &name);
        }
        Ok(outcome)
    }

    fn collect(&mut self, turn: &mut Turn) {
        Self::collect(self, turn);
    }

    fn end(&mut self, turn: &mut Turn) {
        self.expire_live(turn);
        self.tell_losses(turn);
        self.push_due(turn);
    }

    fn implausible(host: HostTime) -> Rejection {
        Rejection::Clock(host)
    }

    fn numbers(&mut self) -> (&mut Clock, &mut u64, &mut u64) {
        (&mut self.clock, &mut self.generation, &mut self.sequence)
    }
}

impl From<Turn> for Gathered<MailboxMachine> {
    fn from(turn: Turn) -> Self {
        Self { seen: turn.seen, pushes: turn.pushes, wrote: turn.wrote }
    }
}

impl StateMachine for MailboxMachine {
    type Command = Command;
    type Outcome = Outcome;
    type Rejection = Rejection;
    type Push = Push;

    fn handle(&mut self, host: HostTime, event: &Event<Command>) -> MailboxStep {
        service::handle(self, host, event)
    }

    fn next_alarm(&self) -> Option<Timestamp> {
        self.next_push().into_iter().chain(self.next_round()).min()
    }
}

impl Service for MailboxMachine {
    type Peer = Connection;

    const NAME: &'static str = "mailbox";

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn position(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }

    fn addressee(push: &Push) -> &Connection {
        &push.to
    }
}
