//! Databases in memory, which outlive the process that a test or a simulation pretends to be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use mailbus_spec::Workspace;

use crate::native::flush::Flush;
use crate::native::sqlite::{Bookmark, Database, Shared};
use crate::storage::StorageError;

use super::{Databases, Opened};

/// Databases in memory. They stay when they are closed, as files would.
#[derive(Clone, Default)]
pub struct MemoryDatabases {
    kept: Rc<RefCell<BTreeMap<Workspace, Kept>>>,
    may_lose_power: bool,
}

struct Kept {
    shared: Shared,
    flushed: Rc<RefCell<Option<Bookmark>>>,
}

impl MemoryDatabases {
    /// Databases whose commits are durable when they return.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Databases that have to be flushed, or else [`MemoryDatabases::lose_power`] loses what was
    /// committed since.
    ///
    /// Each flush copies its database. A flush takes no time by itself; wrap [`Opened::flush`] to let
    /// it take some, or fail.
    #[must_use]
    pub fn that_may_lose_power() -> Self {
        Self { may_lose_power: true, ..Self::default() }
    }

    /// Puts every database back to where it was flushed last. None may be open.
    ///
    /// # Errors
    /// [`StorageError`] if SQLite fails.
    pub fn lose_power(&self) -> Result<(), StorageError> {
        for kept in self.kept.borrow_mut().values_mut() {
            if let Some(flushed) = &*kept.flushed.borrow() {
                Database::over(kept.shared.clone()).restore(flushed)?;
            } else {
                kept.shared = Shared::in_memory()?;
            }
        }
        Ok(())
    }
}

impl Databases for MemoryDatabases {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        let mut all = self.kept.borrow_mut();
        if !all.contains_key(workspace) {
            let kept = Kept { shared: Shared::in_memory()?, flushed: Rc::default() };
            all.insert(workspace.clone(), kept);
        }
        let kept =
            all.get(workspace).ok_or_else(|| StorageError("a database is gone".to_owned()))?;
        let flush = self.may_lose_power.then(|| {
            let flush = Copying { shared: kept.shared.clone(), flushed: Rc::clone(&kept.flushed) };
            Rc::new(flush) as Rc<dyn Flush>
        });
        Ok(Opened { database: Database::over(kept.shared.clone()), flush })
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        self.kept.borrow_mut().remove(workspace);
        Ok(())
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        Ok(self.kept.borrow().keys().cloned().collect())
    }
}

/// A flush that copies the database.
struct Copying {
    shared: Shared,
    flushed: Rc<RefCell<Option<Bookmark>>>,
}

impl Flush for Copying {
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>> {
        let copied = Database::over(self.shared.clone()).bookmark();
        let flushed = Rc::clone(&self.flushed);
        Box::pin(async move {
            let copy = copied.map_err(io::Error::other)?;
            flushed.replace(Some(copy));
            Ok(())
        })
    }
}
