//! The mailbox machine over SQLite: written apart from the specification, and checked against it.
//!
//! A message is one row, whoever it is for: an agent's row says which of them were addressed to it, by
//! its patterns and the ranges of `seq` that they are for, and which are not over. What is pushed writes
//! nothing: the socket keeps how far the pushes have come. Every event is decided in memory, where all of
//! a message is known but what was said, and in a few reads; then it writes. What was said is read when
//! it is pushed or listed.
//!
//! # What an agent's row says
//!
//! * `high` and `open`: up to `high` pending is what `open` lists. Above it the log says what is
//!   pending: what was sent to the agent, or published while a pattern of it matched, by somebody else,
//!   and not refused by its inbox. So a message that is delivered and settled in order is never listed,
//!   and an agent that settles nothing is not written either.
//! * `forgotten`: a row outlives its agent as long as the log has messages that it would be owed again,
//!   or would have refused, if nothing said that this is over.
//!
//! # What waking reads
//!
//! Not the log, but its *runs* (`run.sql`): once 1 024 messages are not told of by a run, the event that
//! writes anyway writes one more row, which says what waking needs of them. The newest messages, fewer than
//! that, are read row by row. So 100 000 pending messages are some 98 rows and at most 1 023, where they were
//! 100 000; and it is done in pieces of at most four runs or 256 messages, between which a shell may serve
//! others ([`Object::prepare`](crate::object::Object::prepare)).
//!
//! Two triggers keep a run from saying what is not so, whichever program deletes or changes a message of
//! it: it tells nothing from then on, and its messages are read row by row until a later event writes it
//! anew. A log without runs is read row by row and gets them the same way: at most one an event, eight a
//! round of collection, none in a read.
//!
//! What an event may write for runs, besides the rows of what it changes (messages, agents, numbers):
//!
//! | event | rows |
//! |---|---|
//! | any that writes | 1 where 1 024 messages are told of by no run; so 1 for 1 024 accepted ones |
//! | a round of collection | for each run that it deletes from: 1 as it tells nothing any more, 1 as it goes; and up to 8 are written anew |
//! | a redrive of what a full inbox refused | 1 for each run that has such a message |
//! | the first run of all | its table |
//!
//! A run is some 20 bytes a message; one of messages that a thousand inboxes refused ends early, and stays
//! below 700 KB. A run of which one message is left is one row, as that message would be: there are never
//! more rows to read than messages.
//!
//! # What is in memory
//!
//! 32 bytes a message and 16 for its id, 8 for each agent that it is pending for and that was not yet
//! written about, some 60 for what `open` lists or what failed, and the newest 1 000 refusals of an agent. A log of
//! 1 000 000 messages is some 60 MB; a workspace in which, besides, a thousand inboxes are full comes
//! close to what the platform has.
//!
//! # The code
//!
//! | file | what it does |
//! |---|---|
//! | `mailbox.sql`, `run.sql` | the tables |
//! | `rows`, `encoding` | what is known to columns and back |
//! | `log`, `state` | the messages, all of it |
//! | `agent`, `inbox`, `dead_letters`, `session`, `subscriptions` | one agent |
//! | `load`, `addressed` | memory out of the rows and the sockets, on waking |
//! | `runs` | what waking reads instead of messages |
//! | `turn`, `agent_rows` | one event, and the rows of the agents that it has named |
//! | `accept`, `settle`, `connect`, `query`, `admin` | what commands do |
//! | `push` | what is pushed after each |
//! | `collect` | what time does |

mod accept;
mod addressed;
mod admin;
mod agent;
mod agent_rows;
mod collect;
mod connect;
mod dead_letters;
mod encoding;
mod inbox;
mod load;
mod log;
mod push;
mod query;
mod rows;
mod runs;
mod session;
mod settle;
mod state;
mod subscriptions;
mod turn;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use mailbus_spec::mailbox::{Ask, Command, Outcome, Rejection};
use mailbus_spec::{HostTime, Timestamp};

use self::connect::Asked;
use self::load::Loader;
use self::state::MailboxMemory;
use self::turn::{Answer, Turn};
use crate::sql::{Memory, SqlMachine};
use crate::storage::StorageError;

/// The mailbox machine over SQLite.
pub type SqlMailboxes = SqlMachine<MailboxMemory>;

/// About how many bytes one name takes in memory, without its mail.
const AGENT_BYTES: u64 = 1_024;

impl Memory for MailboxMemory {
    type Loader = Loader;

    fn footprint(&self) -> u64 {
        let agents = (self.agents.len() as u64).saturating_mul(AGENT_BYTES);
        agents.saturating_add(self.log.footprint())
    }

    fn is_empty(&self) -> bool {
        self.log.first().is_none() && self.agents.is_empty() && self.closings.is_empty()
    }

    fn next_alarm(&mut self) -> Option<Timestamp> {
        self.next_push().into_iter().chain(self.next_round()).min()
    }

    fn begin(&mut self, turn: &mut Turn<'_>) {
        for over in std::mem::take(&mut self.closings) {
            turn.add_push(over);
        }
    }

    fn command(&mut self, turn: &mut Turn<'_>, command: &Command) -> Answer {
        let by = self.taking_part(command);
        let outcome = self.execute(turn, command)?;
        if let Some(name) = by {
            self.see(turn, name);
        }
        Ok(outcome)
    }

    fn collect(&mut self, turn: &mut Turn<'_>) {
        self.collect_round(turn);
    }

    fn end(&mut self, turn: &mut Turn<'_>) -> Result<(), StorageError> {
        self.expire_live(turn);
        self.tell_losses(turn);
        self.push_due(turn)?;
        if turn.has_written() {
            self.write_agents(turn);
        }
        for name in turn.gathered.take_sessions() {
            let session = self.agents.get(&name).and_then(|agent| agent.session(&name));
            turn.kept.extend(session);
        }
        Ok(())
    }

    fn implausible(host: HostTime) -> Rejection {
        Rejection::Clock(host)
    }
}

impl MailboxMemory {
    /// Does what a command asks for.
    fn execute(&mut self, turn: &mut Turn<'_>, command: &Command) -> Answer {
        let Command { over, ask } = command;
        if let Some(over) = over
            && self.live(over).is_none()
            && !matches!(ask, Ask::Disconnect { .. })
        {
            return Err(Rejection::Replaced.into());
        }
        let over = over.as_ref();
        match ask {
            Ask::Connect { agent, session, window, types, last_seen } => {
                let (window, types) = (*window, types.as_ref());
                let asked = Asked { session, window, types, last_seen: *last_seen };
                self.connect(turn, agent, &asked)
            }
            Ask::Disconnect { connection } => Ok(self.disconnect(turn, connection)),
            Ask::Subscribe { agent, types } => self.subscribe(turn, agent, types),
            Ask::Unsubscribe { agent, types } => Ok(self.unsubscribe(turn, agent, types)),
            Ask::Publish { message } => self.accept(turn, None, message, false),
            Ask::Send { to, message, must_know } => {
                self.accept(turn, Some(to), message, *must_know)
            }
            Ask::Ack { agent, what } => self.ack(turn, over, agent, what),
            Ask::Nack { agent, seq, fence, delay } => {
                Ok(self.nack(turn, agent, *seq, *fence, *delay))
            }
            Ask::Working { agent, seq } => Ok(self.working(turn, over, agent, *seq)),
            Ask::Inbox { agent, after, limit } => self.inbox(turn, agent, *after, *limit),
            Ask::Agents { after, limit } => Ok(self.list_agents(after.as_ref(), *limit)),
            Ask::Heartbeat { .. } => Ok(Outcome::Heard),
            Ask::DeadLetters { agent, after, limit } => {
                self.list_dead_letters(turn, agent, *after, *limit)
            }
            Ask::Redrive { agent, seqs } => self.redrive(turn, agent, seqs),
            Ask::Forget { agent, epoch } => Ok(self.forget(turn, agent, *epoch)),
            Ask::Recover { at_least } => Ok(self.recover(turn, *at_least)),
        }
    }
}
