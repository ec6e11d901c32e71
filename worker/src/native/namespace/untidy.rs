//! Schedule of the databases that have to be tidied.

use std::collections::BTreeMap;
use std::time::Duration;

use mailbus_spec::Workspace;

/// Time after a write at which its database is tidied, and for which an object has to be idle for what
/// takes all of it.
pub(super) const REST: Duration = Duration::from_secs(10);

/// Databases that something was written to since they were tidied.
#[derive(Default)]
pub(super) struct Untidy(BTreeMap<Workspace, Written>);

#[derive(Clone, Copy)]
struct Written {
    /// Time from which on it is due.
    due: Duration,
    last: Duration,
}

impl Untidy {
    /// Notes that something was written to this database.
    pub(super) fn add(&mut self, workspace: &Workspace, now: Duration) {
        match self.0.get_mut(workspace) {
            Some(written) => written.last = now,
            None => {
                let due = now.saturating_add(REST);
                self.0.insert(workspace.clone(), Written { due, last: now });
            }
        }
    }

    /// Databases that are due.
    pub(super) fn due(&self, now: Duration) -> Vec<Workspace> {
        let due = self.0.iter().filter(|(_, written)| written.due <= now);
        due.map(|(workspace, _)| workspace.clone()).collect()
    }

    /// Time of the last write to a database.
    pub(super) fn last_write(&self, workspace: &Workspace) -> Duration {
        self.0.get(workspace).map_or(Duration::ZERO, |written| written.last)
    }

    /// Puts a database off until then.
    pub(super) fn put_off(&mut self, workspace: &Workspace, due: Duration) {
        if let Some(written) = self.0.get_mut(workspace) {
            written.due = due;
        }
    }

    /// Strikes a database off: it is tidy.
    pub(super) fn remove(&mut self, workspace: &Workspace) {
        self.0.remove(workspace);
    }
}
