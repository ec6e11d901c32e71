//! Time at which what an event wrote is durable.

use std::cell::RefCell;
use std::fs::File;
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::LocalBoxFuture;

use super::fsync;
use super::sqlite::log_of;

/// Makes the commits of one object's database durable, all of them at once.
///
/// It stands for the platform's output gate: an effect leaves when the flush that covers its event
/// has ended. A test holds or cuts it, a simulated host lets it take simulated time.
pub trait Flush {
    /// Starts now; what was committed before this call is durable when the future ends with `Ok`.
    ///
    /// The namespace runs one flush of an object at a time.
    ///
    /// # Errors
    /// What the storage said. What is durable of all that was written since the last flush that ended
    /// well is unknown then, whatever a later flush says.
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>>;
}

/// One `fdatasync` of a database's write-ahead log, on a thread for blocking work.
///
/// Until it is [attached](Self::attach) there is no file, so nothing was committed to one.
#[derive(Debug, Default)]
pub struct WalFlush {
    log: RefCell<Option<Arc<Log>>>,
}

#[derive(Debug)]
struct Log {
    /// A descriptor of our own: SQLite holds no locks on the log that closing it could drop.
    file: File,
    folder: Option<PathBuf>,
    /// True if the names of the database and of its log are durable.
    is_named: AtomicBool,
}

impl Log {
    fn flush(&self) -> io::Result<()> {
        if let Some(folder) = &self.folder
            && !self.is_named.load(Ordering::Relaxed)
        {
            fsync::flush(folder)?;
            self.is_named.store(true, Ordering::Relaxed);
        }
        self.file.sync_data()
    }
}

impl WalFlush {
    /// Flushes from now on the log of the database in this file, which must be open and stay open. The
    /// first flush makes the names of both files durable too.
    ///
    /// # Errors
    /// If there is no log.
    pub fn attach(&self, database: &Path) -> io::Result<()> {
        let file = File::options().read(true).write(true).open(log_of(database))?;
        let folder = database.parent().map(Path::to_path_buf);
        let log = Log { file, folder, is_named: AtomicBool::new(false) };
        self.log.replace(Some(Arc::new(log)));
        Ok(())
    }
}

impl Flush for WalFlush {
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>> {
        let Some(log) = self.log.borrow().clone() else { return Box::pin(ready(Ok(()))) };
        let flushed = tokio::task::spawn_blocking(move || log.flush());
        Box::pin(async move { flushed.await.map_err(io::Error::other)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_that_is_flushed_is_the_one_attached_last() {
        let folder = tempfile::tempdir().unwrap();
        let (flush, database) = (WalFlush::default(), folder.path().join("a.sqlite"));
        assert!(flush.attach(&database).is_err(), "there is no log");
        assert!(flush.log.borrow().is_none());
        let log = folder.path().join("a.sqlite-wal");
        for text in ["first", "second one"] {
            // Closing a database removes its log; opening it again makes another.
            let _ = std::fs::remove_file(&log);
            std::fs::write(&log, text).unwrap();
            flush.attach(&database).unwrap();
            let attached = flush.log.borrow().clone().unwrap();
            assert_eq!(attached.file.metadata().unwrap().len(), text.len() as u64);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { flush.flush().await }).unwrap();
    }
}
