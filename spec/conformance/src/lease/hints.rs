//! Hints of lease answers about events that nobody saw, and what an event may cost.

use std::collections::BTreeSet;

use crate::subject::{Hints, Sessions, Shown};
use mailbus_spec::id::Holder;
use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{
    Command, LeaseEntry, LeaseMachine, LeaseStep, Outcome, Push, Rejection, ReleaseTarget,
    TicketEntry,
};
use mailbus_spec::limits;
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::Timestamp;

type Answer = Result<Outcome, Rejection>;

impl Hints for LeaseMachine {
    fn last_ordinal(&self) -> Ordinal {
        self.last_token
    }

    fn usually_writes(answer: &Answer) -> bool {
        matches!(
            answer,
            Ok(Outcome::Granted { .. }
                | Outcome::Queued { .. }
                | Outcome::Renewed { .. }
                | Outcome::Released
                | Outcome::Cancelled
                | Outcome::Recovered)
        )
    }

    fn probe() -> Command {
        Command::List { prefix: String::new(), after: None, limit: 100 }
    }

    fn with_ordinals(command: &Command, replace: &mut dyn FnMut(Ordinal) -> Ordinal) -> Command {
        let mut command = command.clone();
        match &mut command {
            Command::Renew { token, .. }
            | Command::Release { target: ReleaseTarget::Token(token), .. }
            | Command::Verify { token, .. }
            | Command::ForceRelease { token, .. }
            | Command::Recover { at_least: token } => *token = replace(*token),
            Command::Acquire(_)
            | Command::Release { target: ReleaseTarget::Path(_), .. }
            | Command::Cancel { .. }
            | Command::Status { .. }
            | Command::List { .. }
            | Command::Tickets { .. }
            | Command::ForceTicket { .. } => {}
        }
        command
    }

    fn with_generation(command: &Command, replace: &mut dyn FnMut(u64) -> u64) -> Command {
        let mut command = command.clone();
        if let Command::ForceTicket { generation, .. } = &mut command {
            *generation = replace(*generation);
        }
        command
    }

    fn shown_in_answer(answer: &Answer) -> Vec<Shown<Holder>> {
        match answer {
            Ok(Outcome::Granted { token, expires_at, .. }) => {
                vec![shown(None, Some(*token), Some(*expires_at))]
            }
            Ok(Outcome::Over { token: Some(token), .. }) => {
                vec![shown(None, Some(*token), None)]
            }
            Ok(Outcome::Renewed { expires_at, .. } | Outcome::Current { expires_at }) => {
                vec![shown(None, None, Some(*expires_at))]
            }
            Ok(Outcome::Free { reserved: Some(first), .. }) => vec![shown_in_ticket(first)],
            Ok(Outcome::Tickets { tickets, .. }) => tickets.iter().map(shown_in_ticket).collect(),
            Ok(Outcome::Held { lease, .. }) => vec![shown_in_entry(lease)],
            Ok(Outcome::Leases { leases, .. }) => leases.iter().map(shown_in_entry).collect(),
            Err(Rejection::Held(blocker)) => {
                let sequence = blocker.arrival;
                vec![Shown { sequence, ..shown(Some(&blocker.holder), None, Some(blocker.until)) }]
            }
            _ => Vec::new(),
        }
    }

    fn shown_in_push(push: &Push) -> Vec<Shown<Holder>> {
        let to = Some(&push.to);
        match &push.notice {
            Notice::Granted { token, expires_at, .. } => {
                vec![shown(to, Some(*token), Some(*expires_at))]
            }
            Notice::Lapsed { token } | Notice::Forced { token, .. } => {
                vec![shown(to, Some(*token), None)]
            }
        }
    }

    fn durations(&self, hidden: Option<&Command>) -> BTreeSet<u64> {
        let contents = self.queue.values().map(|ticket| &ticket.content);
        let terms = contents.map(|content| content.ttl.queued_term(content.wait).ms());
        let mut durations: BTreeSet<u64> = terms.collect();
        durations.insert(limits::MEMORY_MS);
        match hidden {
            Some(Command::Acquire(acquire)) => {
                durations.insert(acquire.ttl().ms());
                durations.extend(acquire.wait().map(|wait| wait.ms()));
            }
            Some(Command::Renew { ttl, .. }) => {
                durations.insert(ttl.ms());
            }
            _ => {}
        }
        durations
    }

    fn affected(&self, hidden: Option<&Command>) -> Vec<Holder> {
        let speaker = hidden.and_then(Self::speaker).cloned();
        let waiting = self.queue.values().map(|ticket| ticket.holder.clone());
        speaker.into_iter().chain(waiting).collect()
    }

    fn turning_points(&self) -> BTreeSet<Timestamp> {
        let expiries = self.leases.values().map(|lease| lease.expires_at);
        let deadlines = self.queue.values().map(|ticket| ticket.deadline);
        let memories = self.remembered.values().flat_map(|over| {
            let collected = Timestamp::from_ms(over.collectable_minute().saturating_mul(60_000));
            [Some(over.memory_ends()), collected]
        });
        expiries.chain(deadlines).chain(memories.flatten()).collect()
    }

    /// One row, one more when something lapsed or the clock was re-anchored, one for each ticket granted
    /// or dropped.
    fn row_budget(before: &LeaseMachine, step: &LeaseStep, after: &LeaseMachine) -> u64 {
        if !step.wrote {
            return 0;
        }
        let now = after.clock.floor;
        let lapsed = before.leases.values().any(|lease| lease.expires_at <= now)
            || before.queue.values().any(|ticket| ticket.deadline <= now)
            || before.remembered.values().any(|over| over.memory_ends() <= now);
        let reanchored = before.clock.offset != after.clock.offset;
        let left = before.queue.keys().filter(|arrival| !after.queue.contains_key(arrival)).count();
        let tickets = u64::try_from(left).unwrap_or(u64::MAX);
        let tables = if before.sequence == 0 { TABLE_ROWS } else { 0 };
        1 + u64::from(lapsed || reanchored) + tickets + tables
    }
}

fn shown(
    peer: Option<&Holder>,
    ordinal: Option<Ordinal>,
    deadline: Option<Timestamp>,
) -> Shown<Holder> {
    Shown { peer: peer.cloned(), ordinal, deadline, sequence: None }
}

fn shown_in_entry(entry: &LeaseEntry) -> Shown<Holder> {
    shown(Some(&entry.holder), Some(entry.token), Some(entry.expires_at))
}

fn shown_in_ticket(entry: &TicketEntry) -> Shown<Holder> {
    let sequence = Some(entry.arrival);
    Shown { sequence, ..shown(Some(&entry.holder), None, Some(entry.deadline)) }
}

/// Rows that making the tables of a new workspace may cost, once.
const TABLE_ROWS: u64 = 8;
