//! Hints of mailbox answers and commands, instants at which time alone changes something, and what
//! an event may cost.

use std::collections::BTreeSet;

use crate::subject::Hints;
use mailbus_spec::id::AgentId;
use mailbus_spec::limits;
use mailbus_spec::mailbox::state::{Agent, Failed, Logged, Open};
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Gap, MailboxMachine, MailboxStep, Outcome, Rejection, Settled,
};
use mailbus_spec::ordinal::Ordinal;
use mailbus_spec::time::Timestamp;

type Answer = Result<Outcome, Rejection>;

impl Hints for MailboxMachine {
    fn last_ordinal(&self) -> Ordinal {
        self.last_seq
    }

    fn usually_writes(answer: &Answer) -> bool {
        matches!(
            answer,
            Ok(Outcome::Connected { .. }
                | Outcome::Subscribed { .. }
                | Outcome::Accepted { .. }
                | Outcome::Settled { .. }
                | Outcome::Returned(_)
                | Outcome::Redriven { .. }
                | Outcome::Forgotten { .. }
                | Outcome::Recovered)
        )
    }

    fn probe() -> Command {
        Command::alone(Ask::Agents { after: None, limit: 100 })
    }

    fn with_ordinals(command: &Command, replace: &mut dyn FnMut(Ordinal) -> Ordinal) -> Command {
        let mut command = command.clone();
        let mut change = |ordinal: &mut Ordinal| {
            // Before everything is before everything in every run.
            if *ordinal != Ordinal::ZERO {
                *ordinal = replace(*ordinal);
            }
        };
        if let Some(over) = &mut command.over {
            change(&mut over.epoch);
        }
        match &mut command.ask {
            Ask::Connect { last_seen: Some(seen), .. } => change(seen),
            Ask::Disconnect { connection } => change(&mut connection.epoch),
            Ask::Ack { what: Settled::Seqs(seqs), .. } | Ask::Redrive { seqs, .. } => {
                seqs.iter_mut().for_each(change);
            }
            Ask::Ack { what: Settled::UpTo(seq), .. }
            | Ask::Nack { seq, fence: None, .. }
            | Ask::Working { seq, .. }
            | Ask::Inbox { after: seq, .. }
            | Ask::DeadLetters { after: seq, .. }
            | Ask::Recover { at_least: seq } => change(seq),
            Ask::Nack { seq, fence: Some(fence), .. } => {
                change(seq);
                change(&mut fence.epoch);
            }
            Ask::Forget { epoch: Some(epoch), .. } => change(epoch),
            Ask::Connect { .. }
            | Ask::Subscribe { .. }
            | Ask::Unsubscribe { .. }
            | Ask::Publish { .. }
            | Ask::Send { .. }
            | Ask::Ack { .. }
            | Ask::Agents { .. }
            | Ask::Heartbeat { .. }
            | Ask::Forget { .. } => {}
        }
        command
    }

    fn peer_with_ordinals(
        peer: &Connection,
        replace: &mut dyn FnMut(Ordinal) -> Ordinal,
    ) -> Connection {
        Connection { agent: peer.agent.clone(), epoch: replace(peer.epoch) }
    }

    fn ordinals_in_answer(answer: &Answer) -> Vec<Ordinal> {
        match answer {
            Ok(Outcome::Connected { epoch, gap, .. }) => {
                core::iter::once(*epoch).chain(of_gap(gap.as_ref())).collect()
            }
            Ok(Outcome::Accepted { seq, .. } | Outcome::Duplicate { seq, .. }) => vec![*seq],
            Ok(Outcome::Inbox { messages, complete_through, gap, .. }) => {
                let messages = messages.iter().map(|pending| pending.seq);
                messages.chain([*complete_through]).chain(of_gap(gap.as_ref())).collect()
            }
            Ok(Outcome::DeadLetters { letters, .. }) => {
                letters.iter().map(|letter| letter.seq).collect()
            }
            Ok(Outcome::Agents { agents, .. }) => agents.iter().map(|entry| entry.epoch).collect(),
            Err(Rejection::Ahead { last }) => vec![*last],
            _ => Vec::new(),
        }
    }

    fn turning_points(&self) -> BTreeSet<Timestamp> {
        let mut points = BTreeSet::from([self.round_at.plus_ms(limits::COLLECTION_MS)]);
        points.extend(self.log.entries.values().map(|logged| logged.at.plus_ms(limits::DEDUP_MS)));
        // Only some states tell of what is a week away: else time would always run away from the mail.
        if self.sequence.is_multiple_of(12) {
            let accepted = self.log.entries.values().map(|logged| logged.at);
            points.extend(accepted.map(|at| at.plus_ms(limits::RETENTION_MS)));
            let failed = self.agents.values().flat_map(|agent| agent.failed.values());
            points.extend(failed.map(Failed::ends_at));
            for known in self.agents.values().filter_map(|agent| agent.registration.as_ref()) {
                let age_ms = match (self.sequence.is_multiple_of(24), known.losses.count) {
                    (true, _) => limits::SIGHT_MS,
                    (false, 0) => limits::KNOWN_MS,
                    (false, _) => limits::LOSSES_MS,
                };
                points.insert(known.written_at.plus_ms(age_ms));
            }
        }
        for agent in self.agents.values() {
            points.extend(agent.inbox.open.values().filter_map(|open| open.due));
            let Some(live) = agent.live.as_ref().filter(|live| live.window.is_none()) else {
                continue;
            };
            let accepted = live.flights.keys().filter_map(|seq| self.log.entries.get(seq));
            points.extend(
                accepted.map(|logged| logged.at.max(live.since).plus_ms(limits::PRESUMED_MS)),
            );
        }
        points
    }

    /// One row for a message, for each agent of which something is written, for each dead letter that
    /// comes or goes, and for each message whose list of refusals changes.
    fn row_budget(before: &MailboxMachine, step: &MailboxStep, after: &MailboxMachine) -> u64 {
        if !step.wrote {
            return 0;
        }
        let nobody = Agent::default();
        let names: BTreeSet<&AgentId> = before.agents.keys().chain(after.agents.keys()).collect();
        let mut rows = 0;
        for name in names {
            let old = before.agents.get(name).unwrap_or(&nobody);
            let new = after.agents.get(name).unwrap_or(&nobody);
            rows += u64::from(is_written(old, new));
            let differs = |seq: &&Ordinal| old.failed.get(seq) != new.failed.get(seq);
            let letters: BTreeSet<&Ordinal> = old.failed.keys().chain(new.failed.keys()).collect();
            rows += letters.into_iter().filter(differs).count() as u64;
        }
        let is_logged = |(seq, logged): &(&Ordinal, &Logged)| {
            before.log.entries.get(seq).is_none_or(|old| old.refused != logged.refused)
        };
        rows += after.log.entries.iter().filter(is_logged).count() as u64;
        let answer = step.reply.as_ref().map(|reply| &reply.answer);
        let of_all = matches!(answer, Some(Ok(Outcome::Recovered)));
        let reanchored = before.clock.offset != after.clock.offset;
        let tables = if before.sequence == 0 { TABLE_ROWS } else { 0 };
        // The place of a name in the order that is nobody's any more is kept with what is kept of all.
        let of_nobody = matches!(answer, Some(Ok(Outcome::Forgotten { .. })));
        rows += u64::from(of_all || of_nobody);
        // What is written again as it was shows in no state.
        rows.max(1) + u64::from(reanchored) + tables
    }
}

fn of_gap(gap: Option<&Gap>) -> impl Iterator<Item = Ordinal> {
    gap.into_iter().flat_map(|gap| [gap.first, gap.last])
}

/// Rows that making the tables of a new workspace may cost, once.
const TABLE_ROWS: u64 = 12;

/// True if something is written of an agent by name. A message that is new to it is no row of its own,
/// unless it comes back.
fn is_written(old: &Agent, new: &Agent) -> bool {
    let changed = |(seq, open)| new.inbox.open.get(seq) != Some(open);
    let came_back =
        |(seq, open): (&Ordinal, &Open)| open.due.is_some() && !old.inbox.open.contains_key(seq);
    old.registration != new.registration
        || old.inbox.open.iter().any(changed)
        || new.inbox.open.iter().any(came_back)
}

/// The sessions that are open, superseded ones too.
pub(super) fn sessions(state: &MailboxMachine) -> Vec<Connection> {
    let of = |(name, agent): (&AgentId, &Agent)| {
        let epochs =
            agent.live.iter().map(|live| live.epoch).chain(agent.superseded.iter().copied());
        let connection = |epoch| Connection { agent: name.clone(), epoch };
        epochs.map(connection).collect::<Vec<_>>()
    };
    state.agents.iter().flat_map(of).collect()
}

/// True if a session that negotiated nothing can say it: the original says one pattern at a time.
pub(super) fn is_original(ask: &Ask) -> bool {
    matches!(ask, Ask::Subscribe { types, .. } | Ask::Unsubscribe { types, .. } if types.len() == 1)
}
