//! What the machine keeps in memory between two events.

use mailbus_spec::{HostTime, Timestamp};

use super::claims::Claims;
use super::finished_tokens::FinishedTokens;
use super::header::Header;
use super::memory_count::MemoryCount;
use crate::sql::is_past;

/// The machine's memory: all of it is in the rows too.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// True if the tables are there: nothing is created for a read or a refusal.
    pub has_tables: bool,
    /// The numbers.
    pub header: Header,
    /// The live claims.
    pub claims: Claims,
    /// Number of things that are remembered.
    pub remembered: MemoryCount,
    /// The tokens among it.
    pub finished_tokens: FinishedTokens,
}

/// About how many bytes a live claim takes in memory, and a path of it.
const CLAIM_BYTES: u64 = 512;
const PATH_BYTES: u64 = 256;
/// The same of a request that is remembered, with its token.
const REMEMBERED_BYTES: u64 = 64;

impl Machine {
    /// About how many bytes of memory it holds.
    pub fn footprint(&self) -> u64 {
        let bytes = |count: usize, of_one: u64| (count as u64).saturating_mul(of_one);
        bytes(self.claims.claim_count(), CLAIM_BYTES)
            .saturating_add(bytes(self.claims.path_count(), PATH_BYTES))
            .saturating_add(bytes(self.remembered.total(), REMEMBERED_BYTES))
    }

    /// True if nobody would miss its rows, and nothing of them is used again.
    pub fn is_blank(&self, now: HostTime) -> bool {
        let Header { clock, last_token, generation, .. } = &self.header;
        self.next_alarm().is_none() && is_past(now, clock, *last_token, *generation)
    }

    /// Time at which the object wants to be woken next, in object time.
    pub fn next_alarm(&self) -> Option<Timestamp> {
        let collection = self
            .remembered
            .first_minute()
            .and_then(|minute| Timestamp::from_ms(minute.saturating_mul(60_000)));
        self.claims.first_end().into_iter().chain(collection).min()
    }
}
