//! The lease machine over SQLite: written apart from the specification, and checked against it.
//!
//! Every event is decided in memory and in a few reads, then written: one claim row, that of the
//! command, which carries the object's numbers with it. What time ends writes no row of its own: the
//! clock that the event writes says that it is over. Live claims are indexed in memory; requests that
//! are over are looked up by their key, and their tokens are indexed in memory too, since the key has
//! none; an event that needs no row reads one all the same, so that a replaced object cannot answer from
//! memory.
//!
//! # The schema
//!
//! The key of a claim is (agent, session, request). It might begin with a *bucket* instead: 0 while the
//! claim lives, then the minute in which its row may be deleted. It does not:
//!
//! * Ending a claim updates its row in place. With a bucket it would move, which costs the same one
//!   row, but a lapse, which writes no row here, would leave the claim in bucket 0.
//! * A request has one place, live or over: one look-up by the whole key finds it, and the next use of
//!   its id writes over it, where buckets would be searched minute by minute.
//! * The price is that no range holds just the live claims or just what one minute collects. Waking reads
//!   the whole table three times, in pieces of a few thousand rows, and collecting once: an index on
//!   `until` would cost each event a second row.
//!
//! Limits that follow, measured natively with the 1 000 000 requests that may be remembered:
//!
//! * Collecting is one `DELETE` over the table, 0.5 to 1.1 s, in which the workspace answers nobody. It
//!   runs in alarms alone, and at most once a minute: all that a minute makes collectable goes together,
//!   so a row stays for 2 to 3 minutes after its end, longer only while alarms are late.
//! * Waking takes seconds before the first answer, in pieces of milliseconds between which a shell can serve
//!   others.
//!
//! # The code
//!
//! | file | what it does |
//! |---|---|
//! | `lease.sql` | the tables |
//! | `rows` | claims to columns and back |
//! | `claims`, `paths`, `memory_count`, `finished_tokens`, `state` | what is in memory |
//! | `finished` | a request that is over, out of its row |
//! | `load` | memory out of the rows, on waking |
//! | `turn` | one event |
//! | `expire` | what time ends, and who is next |
//! | `acquire`, `renew_release`, `query`, `admin`, `deadlock` | what commands do |

mod acquire;
mod admin;
mod claims;
mod deadlock;
mod expire;
mod finished;
mod finished_tokens;
mod load;
mod memory_count;
mod paths;
mod query;
mod renew_release;
mod rows;
mod state;
mod turn;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use mailbus_spec::lease::{Command, Rejection};
use mailbus_spec::path::InvalidPaths;
use mailbus_spec::{HostTime, Timestamp};

use self::load::Loader;
use self::state::LeaseMemory;
use self::turn::{Answer, Turn};
use crate::sql::{Memory, SqlMachine};
use crate::storage::StorageError;

/// The lease machine over SQLite.
pub type SqlLeases = SqlMachine<LeaseMemory>;

/// About how many bytes a live claim takes in memory, and a path of it.
const CLAIM_BYTES: u64 = 512;
const PATH_BYTES: u64 = 256;
/// The same of a request that is remembered, with its token.
const REMEMBERED_BYTES: u64 = 64;

impl Memory for LeaseMemory {
    type Loader = Loader;

    fn footprint(&self) -> u64 {
        let bytes = |count: usize, of_one: u64| (count as u64).saturating_mul(of_one);
        bytes(self.claims.claim_count(), CLAIM_BYTES)
            .saturating_add(bytes(self.claims.path_count(), PATH_BYTES))
            .saturating_add(bytes(self.remembered.total(), REMEMBERED_BYTES))
    }

    fn is_empty(&self) -> bool {
        self.claims.first_end().is_none() && self.remembered.first_minute().is_none()
    }

    fn next_alarm(&mut self) -> Option<Timestamp> {
        let collection = self
            .remembered
            .first_minute()
            .and_then(|minute| Timestamp::from_ms(minute.saturating_mul(60_000)));
        self.claims.first_end().into_iter().chain(collection).min()
    }

    fn begin(&mut self, turn: &mut Turn<'_>) {
        self.advance(turn);
    }

    fn command(&mut self, turn: &mut Turn<'_>, command: &Command) -> Answer {
        match command {
            Command::Acquire(acquire) => self.acquire(turn, acquire),
            Command::Renew { holder, token, ttl, drain } => {
                self.renew(turn, holder, *token, *ttl, *drain)
            }
            Command::Release { holder, target } => self.release(turn, holder, target),
            Command::Cancel { holder, request } => self.cancel(turn, holder, request),
            Command::Status { path } => self.status(path),
            Command::List { prefix, after, limit } => Ok(self.list(prefix, after.as_ref(), *limit)),
            Command::Tickets { prefix, after, limit } => self.tickets(prefix, *after, *limit),
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

    fn collect(&mut self, turn: &mut Turn<'_>) {
        self.collect_remembered(turn);
    }

    fn implausible(host: HostTime) -> Rejection {
        Rejection::Clock(host)
    }
}

impl From<InvalidPaths> for StorageError {
    fn from(_: InvalidPaths) -> Self {
        Self("a live claim has no paths".to_owned())
    }
}
