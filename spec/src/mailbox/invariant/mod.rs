//! Invariants: claims about every reachable mailbox state and every step between two.
//!
//! What a step cannot show of a claim, since it needs the whole past, is checked under the same name
//! where histories are kept. Each that a state or a step can show is in a file of its name.

mod accept_once;
mod active_is_addressed;
mod bounded_mail;
mod guilty_dead;
mod honest_gap;
mod mail_liveness;
mod no_innocent_dead;
mod no_loss;
mod no_phantom;
mod one_session;
mod order;
mod retention;
mod sender_told;
mod silent_is_unchanged;
mod window;

use alloc::collections::BTreeSet;

use crate::id::AgentId;
use crate::invariant::{self, Check, Invariant, Specified, ensure};
use crate::limits;
use crate::machine::Event;
use crate::mailbox::answer::{Notice, Outcome, Push, Rejection};
use crate::mailbox::command::{Ask, Connection, Settled, Window};
use crate::mailbox::message::Message;
use crate::mailbox::state::{Agent, Logged, MailboxMachine, Open, Session};
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

type Transition<'a> = invariant::Transition<'a, MailboxMachine>;

impl Specified for MailboxMachine {
    const INVARIANTS: &'static [Invariant<Self>] = &INVARIANTS;
}

/// Every mailbox invariant, in the order of [its page](crate::rules::mailboxes#invariants-of-mailboxes).
const INVARIANTS: [Invariant<MailboxMachine>; 16] = [
    Invariant {
        name: "no_loss",
        claim: "every accepted message is, for each recipient, settled, presumed settled, pending, expired or dead-lettered; never absent",
        check: Check::Step(no_loss::no_loss),
    },
    Invariant {
        name: "no_phantom",
        claim: "nothing is delivered that was not accepted, to anyone it was not addressed to, or with changed bytes",
        check: Check::Step(no_phantom::no_phantom),
    },
    Invariant {
        name: "no_delivery_after_settle",
        claim: "a settled message is never pushed again",
        check: Check::History,
    },
    Invariant {
        name: "order",
        claim: "the next push is the lowest message that is pending, not in flight and due; so first pushes follow the order of acceptance",
        check: Check::Step(order::order),
    },
    Invariant {
        name: "accept_once",
        claim: "a sender's id is accepted once within the window, under any number of retries, and no place in the order is given twice",
        check: Check::Step(accept_once::accept_once),
    },
    Invariant {
        name: "sender_told",
        claim: "what a sender is told of a message is true of it: whom it was given to, who refused it, and whether its recipient is known",
        check: Check::Step(sender_told::sender_told),
    },
    Invariant {
        name: "one_session",
        claim: "frames of an older epoch have no effect; at most one session an agent is pushed to, and only its end, its replacement or the agent's ends it",
        check: Check::Step(one_session::one_session),
    },
    Invariant {
        name: "window",
        claim: "unsettled deliveries to a session never exceed its window, a single message excepted",
        check: Check::State(window::window),
    },
    Invariant {
        name: "honest_gap",
        claim: "what an agent was owed and will not get is in its gap, its dead letters or the sender's refusal, until acknowledged",
        check: Check::Step(honest_gap::honest_gap),
    },
    Invariant {
        name: "active_is_addressed",
        claim: "who did anything within the retention is known, and so addressed by what it subscribed to",
        check: Check::Step(active_is_addressed::active_is_addressed),
    },
    Invariant {
        name: "no_innocent_dead",
        claim: "a message is given up only after as many failures of its own as there may be",
        check: Check::Step(no_innocent_dead::no_innocent_dead),
    },
    Invariant {
        name: "guilty_dead",
        claim: "a message that as many runs announced and did not settle as may fail at it is given up",
        check: Check::Step(guilty_dead::guilty_dead),
    },
    Invariant {
        name: "retention",
        claim: "nothing is pushed after its retention, which the host's time alone brings on; after a round of collection the log holds only what somebody is owed, keeps or may repeat",
        check: Check::Step(retention::retention),
    },
    Invariant {
        name: "mail_liveness",
        claim: "what may be pushed is pushed, or the alarm is set to when it may be",
        check: Check::Step(mail_liveness::mail_liveness),
    },
    Invariant {
        name: "silent_is_unchanged",
        claim: "an event that wrote nothing changed nothing but sessions; one that wrote moved the sequence by one",
        check: Check::Step(silent_is_unchanged::silent_is_unchanged),
    },
    Invariant {
        name: "bounded_mail",
        claim: "every count is the count of what it counts, and nothing exceeds its limit",
        check: Check::Step(bounded_mail::bounded_mail),
    },
];

impl<'a> Transition<'a> {
    /// Object time of the event; `None` when its clock was refused.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.before.clock.observe(self.host).ok().map(|seen| seen.now)
    }

    fn ask(&self) -> Option<&'a Ask> {
        match self.event {
            Event::Command(command) => Some(&command.ask),
            Event::Alarm => None,
        }
    }

    fn over(&self) -> Option<&'a Connection> {
        match self.event {
            Event::Command(command) => command.over.as_ref(),
            Event::Alarm => None,
        }
    }

    fn answer(&self) -> Option<&'a Result<Outcome, Rejection>> {
        self.step.reply.as_ref().map(|reply| &reply.answer)
    }

    fn outcome(&self) -> Option<&'a Outcome> {
        self.answer().and_then(|answer| answer.as_ref().ok())
    }

    fn forgets(&self, name: &AgentId) -> bool {
        let Some(Ask::Forget { agent, epoch }) = self.ask() else { return false };
        let latest = self.before.agents.get(name).map(Agent::latest);
        agent == name
            && epoch.is_none_or(|epoch| latest <= Some(epoch))
            && matches!(self.outcome(), Some(Outcome::Forgotten { known: true }))
    }

    /// The row that the event added to the log, if it did.
    fn accepted(&self) -> Option<(Ordinal, &'a Logged)> {
        let (seq, logged) = self.after.log.entries.last_key_value()?;
        (!self.before.log.entries.contains_key(seq)).then_some((*seq, logged))
    }

    /// The deliveries among the pushes.
    fn deliveries(&self) -> impl Iterator<Item = Delivery<'a>> + use<'a> {
        self.step.pushes.iter().filter_map(|Push { to, notice }| match notice {
            Notice::Message { seq, attempt, redriven, message } => {
                Some(Delivery { to, seq: *seq, attempt: *attempt, redriven: *redriven, message })
            }
            _ => None,
        })
    }

    /// Messages that were pending for an agent and are no more, with the entries they had.
    fn departed(&self, name: &'a AgentId) -> impl Iterator<Item = (Ordinal, Open)> + use<'a> {
        let after = self.after.agents.get(name);
        let before = self.before.agents.get(name).into_iter();
        let open = before.flat_map(|agent| agent.inbox.open.iter());
        let gone = open
            .filter(move |(seq, _)| after.is_none_or(|agent| !agent.inbox.open.contains_key(seq)));
        gone.map(|(seq, open)| (*seq, *open))
    }

    /// True if the event is an ack that names this message of this agent.
    fn acknowledges(&self, name: &AgentId, seq: Ordinal) -> bool {
        let Some(Ask::Ack { agent, what }) = self.ask() else { return false };
        if agent != name || !matches!(self.outcome(), Some(Outcome::Settled { .. })) {
            return false;
        }
        match what {
            Settled::Seqs(seqs) => seqs.contains(&seq),
            Settled::UpTo(last) => {
                let live = self.live_before(name).filter(|live| {
                    self.over().is_some_and(|over| over.agent == *name && over.epoch == live.epoch)
                });
                let flight = live.and_then(|live| live.flights.get(&seq));
                seq <= *last && flight.is_some_and(|flight| !flight.again)
            }
            Settled::Id(id) => {
                let is_called = |seq: Ordinal| {
                    let logged = self.before.log.entries.get(&seq);
                    logged.is_some_and(|logged| logged.message.is_called(seq, id))
                };
                let Some(agent) = self.before.agents.get(name) else { return false };
                let mut called = agent.inbox.open.keys().filter(|seq| is_called(**seq));
                let none_was_pushed = called.all(|seq| !agent.was_pushed(*seq));
                is_called(seq) && (agent.was_pushed(seq) || none_was_pushed)
            }
            Settled::Gap(_) => false,
        }
    }

    /// True if the event is an ack that names this message by its `seq`: what else may name it dismisses no dead
    /// letter.
    fn dismisses(&self, name: &AgentId, seq: Ordinal) -> bool {
        matches!(self.ask(), Some(Ask::Ack { what: Settled::Seqs(_), .. }))
            && self.acknowledges(name, seq)
    }

    /// True if the event is a nack of this delivery that was heard.
    fn gives_back(&self, name: &AgentId, seq: Ordinal) -> bool {
        let Some(Ask::Nack { agent, seq: named, fence, .. }) = self.ask() else { return false };
        let own = self.before.agents.get(name).and_then(|agent| agent.fence(seq));
        let fits = fence.is_none_or(|fence| own == Some(fence));
        agent == name
            && *named == seq
            && fits
            && matches!(self.outcome(), Some(Outcome::Returned(_)))
    }

    /// True if the silence of the agent's session may settle this message in this event. A nack that names
    /// it breaks the silence.
    fn presumes(&self, name: &AgentId, seq: Ordinal) -> Option<Presumed> {
        if self.gives_back(name, seq) {
            return None;
        }
        let live = self.live_before(name).filter(|live| live.window.is_none())?;
        let logged = self.before.log.entries.get(&seq)?;
        if !live.flights.contains_key(&seq) || logged.message.ack_required {
            return None;
        }
        let at = logged.at.max(live.since).plus_ms(limits::PRESUMED_MS);
        if self.now()? >= at {
            return Some(Presumed::ByAge);
        }
        self.is_over(name).then_some(Presumed::ForRoom)
    }

    /// True if the agent's inbox held more than it may before the event's pushes: with what has arrived.
    fn is_over(&self, name: &AgentId) -> bool {
        let Some(before) = self.before.agents.get(name) else { return false };
        let after = self.after.agents.get(name).into_iter();
        let was_there =
            |seq| before.inbox.open.contains_key(seq) || before.failed.contains_key(seq);
        let arrived = after
            .flat_map(|agent| agent.inbox.open.iter())
            .filter(|(seq, _)| !was_there(seq))
            .map(|(_, open)| open.bytes);
        let failed = before.failed.values().map(|failed| failed.bytes);
        let (count, bytes) = arrived
            .chain(failed)
            .fold((before.inbox.len(), before.inbox.bytes), |(count, sum), bytes| {
                (count.saturating_add(1), sum.saturating_add(bytes))
            });
        count > limits::INBOX_MESSAGES || bytes > limits::INBOX_BYTES
    }

    fn is_expired(&self, state: &MailboxMachine, seq: Ordinal) -> bool {
        let logged = state.log.entries.get(&seq);
        let end = logged.map(|logged| logged.at.plus_ms(limits::RETENTION_MS));
        end.is_none_or(|end| self.now().is_some_and(|now| end <= now))
    }

    fn live_before(&self, name: &AgentId) -> Option<&'a Session> {
        self.before.agents.get(name)?.live.as_ref()
    }

    fn live_after(&self, name: &AgentId) -> Option<&'a Session> {
        self.after.agents.get(name)?.live.as_ref()
    }
}

/// Reason why silence settles a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presumed {
    /// It was pushed long enough ago.
    ByAge,
    /// Its inbox is over its limits.
    ForRoom,
}

/// A delivery that was pushed.
struct Delivery<'a> {
    to: &'a Connection,
    seq: Ordinal,
    attempt: u64,
    redriven: bool,
    message: &'a Message,
}

/// The newest of what an agent's full inbox refused, as many as are kept.
fn refusals(state: &MailboxMachine, name: &AgentId) -> BTreeSet<Ordinal> {
    let refused = |(_, logged): &(&Ordinal, &Logged)| logged.refused.contains(name);
    let newest = state.log.entries.iter().rev().filter(refused).take(limits::AGENT_REFUSED);
    newest.map(|(seq, _)| *seq).collect()
}

/// The dead letters of an agent: what failed, and those refusals.
fn letters(state: &MailboxMachine, name: &AgentId) -> BTreeSet<Ordinal> {
    let failed = state.agents.get(name).into_iter().flat_map(|agent| agent.failed.keys());
    failed.copied().chain(refusals(state, name)).collect()
}

/// Agents that a message is for, by the subscriptions of `state`.
fn addressed(state: &MailboxMachine, to: Option<&AgentId>, message: &Message) -> BTreeSet<AgentId> {
    let subscribed = state.agents.iter().filter(|(name, agent)| {
        let types = agent.registration.as_ref().and_then(|known| known.types.as_ref());
        **name != message.from
            && types.is_some_and(|types| types.iter().any(|each| each.matches(&message.kind)))
    });
    match to {
        Some(to) => BTreeSet::from([to.clone()]),
        None => subscribed.map(|(name, _)| name.clone()).collect(),
    }
}

fn asked_to_send<'a>(transition: &Transition<'a>) -> Option<(Option<&'a AgentId>, &'a Message)> {
    match transition.ask()? {
        Ask::Publish { message } => Some((None, message)),
        Ask::Send { to, message, .. } => Some((Some(to), message)),
        _ => None,
    }
}

/// The messages that somebody is owed or keeps among his dead letters.
fn held(state: &MailboxMachine) -> BTreeSet<Ordinal> {
    let pending = state.agents.values().flat_map(|agent| agent.inbox.open.keys().copied());
    let mut held: BTreeSet<Ordinal> = pending.collect();
    for name in state.agents.keys() {
        held.extend(letters(state, name));
    }
    held
}

/// The lowest message of an agent that is pending, not in flight and due at `now`. What has no time of
/// its own is due unless too many are delayed.
fn lowest_due(agent: &Agent, live: &Session, now: Timestamp) -> Option<(Ordinal, Open)> {
    let waiting = || agent.inbox.open.iter().filter(|(seq, _)| !live.flights.contains_key(seq));
    let delayed = waiting().filter(|(_, open)| open.due > Some(now)).count() as u64;
    let many = delayed >= live.window.unwrap_or(Window::DEFAULT).delayed();
    let is_due = |open: &Open| open.due.map_or(!many, |due| due <= now);
    waiting().find(|(_, open)| is_due(open)).map(|(seq, open)| (*seq, *open))
}

/// True if one more delivery of this entry keeps the bounds of the session.
fn fits(agent: &Agent, live: &Session, open: &Open) -> bool {
    let Some(window) = live.window else {
        let again = live.flights.values().filter(|flight| flight.again).count() as u64;
        return open.due.is_none() || again < limits::WINDOWLESS_REDELIVERIES;
    };
    let sizes = live.flights.keys().filter_map(|seq| agent.inbox.open.get(seq));
    let bytes = sizes.fold(open.bytes, |sum, open| sum.saturating_add(open.bytes));
    live.flights.is_empty()
        || ((live.flights.len() as u64) < window.messages() && bytes <= window.bytes())
}
