//! Memory of the lease machine between two events.

use super::claims::Claims;
use super::finished_tokens::FinishedTokens;
use super::memory_count::MemoryCount;
use crate::sql::Header;

/// Memory of the lease machine.
///
/// Invariant: the stamp of every claim row has the largest token issued.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LeaseMemory {
    /// The numbers; the ordinals are the tokens.
    pub(super) header: Header,
    /// The live claims.
    pub(super) claims: Claims,
    /// Number of things that are remembered.
    pub(super) remembered: MemoryCount,
    /// The tokens among it.
    pub(super) finished_tokens: FinishedTokens,
}
