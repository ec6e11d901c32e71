//! The databases of one loop among those of all.

use mailbus_spec::Workspace;

use crate::native::databases::{Databases, Opened};
use crate::storage::StorageError;

use super::Place;

/// The databases of the workspaces that live on one loop.
#[derive(Debug)]
pub struct OwnDatabases<D> {
    all: D,
    place: Place,
}

impl<D> OwnDatabases<D> {
    /// Those of them that live there.
    pub fn new(all: D, place: &Place) -> Self {
        Self { all, place: place.clone() }
    }
}

impl<D: Databases> Databases for OwnDatabases<D> {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        self.all.open(workspace)
    }

    fn distrust(&self, workspace: &Workspace) {
        self.all.distrust(workspace);
    }

    fn has_room(&self) -> bool {
        self.all.has_room()
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        self.all.delete(workspace)
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        let mut existing = self.all.existing()?;
        existing.retain(|workspace| self.place.owns(workspace));
        Ok(existing)
    }
}
