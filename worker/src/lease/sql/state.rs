//! What the machine keeps in memory between two events.

use mailbus_spec::{HostTime, Timestamp};

use super::ledger::Ledger;
use super::live::Live;
use super::remembered::Remembered;
use super::tokens::EndedTokens;
use crate::sql::is_past;

/// The machine's memory: all of it is in the rows too.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// Whether the tables are there: nothing is created for a read or a refusal.
    pub has_tables: bool,
    /// The numbers.
    pub ledger: Ledger,
    /// The live claims.
    pub live: Live,
    /// How much is remembered.
    pub remembered: Remembered,
    /// The tokens among it.
    pub ended_tokens: EndedTokens,
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
        bytes(self.live.claim_count(), CLAIM_BYTES)
            .saturating_add(bytes(self.live.path_count(), PATH_BYTES))
            .saturating_add(bytes(self.remembered.total(), REMEMBERED_BYTES))
    }

    /// Whether nobody would miss its rows, and nothing of them is used again.
    pub fn is_blank(&self, now: HostTime) -> bool {
        let Ledger { clock, last_token, generation, .. } = &self.ledger;
        self.next_alarm().is_none() && is_past(now, clock, *last_token, *generation)
    }

    /// When the object wants to be woken next, in object time.
    pub fn next_alarm(&self) -> Option<Timestamp> {
        let collection = self
            .remembered
            .first_minute()
            .and_then(|minute| Timestamp::from_ms(minute.saturating_mul(60_000)));
        self.live.first_end().into_iter().chain(collection).min()
    }
}
