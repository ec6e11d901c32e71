//! Place of the databases of one class of objects.

mod file;
mod memory;

use std::rc::Rc;

use mailbus_spec::Workspace;

use crate::storage::StorageError;

use super::flush::Flush;
use super::sqlite::Database;

pub use file::FileDatabases;
pub use memory::MemoryDatabases;

/// The databases of one class, by workspace.
pub trait Databases {
    /// Opens the database of a workspace, a new one if there is none. It is not open already. One that
    /// nothing is ever written to leaves no trace where it would outlive the process.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be opened.
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError>;

    /// A flush of this database has failed, and it was closed: of what was written since the last one
    /// that ended well nothing is trusted when it is opened next.
    fn distrust(&self, workspace: &Workspace) {
        let _ = workspace;
    }

    /// True if one more workspace may get a database.
    fn has_room(&self) -> bool {
        true
    }

    /// Deletes the database of a workspace, which is not open.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be deleted.
    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError>;

    /// The workspaces that have a database.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be listed.
    fn existing(&self) -> Result<Vec<Workspace>, StorageError>;
}

/// An open database.
pub struct Opened {
    /// The database.
    pub database: Database,
    /// Durability of its commits; `None` where a commit is durable when it returns.
    pub flush: Option<Rc<dyn Flush>>,
}
