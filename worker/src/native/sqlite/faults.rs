//! Storage that fails on purpose.

use crate::storage::StorageError;

/// Faults of a database: decided by a test or a simulated plan, nothing by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The statement that fails, once: 1 is the next one. The commit of an event counts as its last
    /// statement, also that of an event which reads only.
    pub fail_at: Option<u64>,
    /// True if the storage is full: whatever writes fails, and reading goes on.
    pub full: bool,
}

impl Faults {
    /// Fault that the next statement meets.
    pub(super) fn meet(&mut self, writes: bool) -> Result<(), StorageError> {
        match self.fail_at {
            Some(0 | 1) => {
                self.fail_at = None;
                return Err(StorageError("a planned fault".to_owned()));
            }
            Some(later) => self.fail_at = Some(later.saturating_sub(1)),
            None => {}
        }
        if writes && self.full {
            return Err(StorageError("the storage is full (planned)".to_owned()));
        }
        Ok(())
    }
}
