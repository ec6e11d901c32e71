//! Databases whose flushes a test holds, lets end or cuts.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use mailbus_spec::Workspace;
use mailbus_worker::native::{Databases, Flush, MemoryDatabases, Opened};
use mailbus_worker::storage::StorageError;
use tokio::sync::oneshot;

use super::settle;

/// Databases in memory, flushed when the test says so.
#[derive(Clone)]
pub struct HeldDatabases {
    databases: MemoryDatabases,
    begun: Rc<RefCell<VecDeque<oneshot::Sender<bool>>>>,
    /// True if none can be opened.
    pub closed: Rc<Cell<bool>>,
    /// The databases that are not trusted, in order.
    pub distrusted: Rc<RefCell<Vec<Workspace>>>,
}

impl HeldDatabases {
    pub fn new() -> Self {
        Self {
            databases: MemoryDatabases::that_may_lose_power(),
            begun: Rc::default(),
            closed: Rc::default(),
            distrusted: Rc::default(),
        }
    }

    /// Number of flushes that are under way.
    pub async fn under_way(&self) -> usize {
        settle().await;
        self.begun.borrow().len()
    }

    /// Lets the first flush that is under way end well.
    pub async fn let_go(&self) {
        self.end(true).await;
    }

    /// Lets the first flush that is under way fail.
    pub async fn cut(&self) {
        self.end(false).await;
    }

    /// Lets the first flush that is under way end well; nobody has heard of it when this returns.
    pub fn let_go_at_once(&self) {
        self.end_at_once(true);
    }

    async fn end(&self, well: bool) {
        settle().await;
        self.end_at_once(well);
        settle().await;
    }

    fn end_at_once(&self, well: bool) {
        let begun = self.begun.borrow_mut().pop_front().expect("no flush is under way");
        let _ = begun.send(well);
    }

    pub fn lose_power(&self) {
        self.databases.lose_power().unwrap();
    }
}

impl Databases for HeldDatabases {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        if self.closed.get() {
            return Err(StorageError("none can be opened (planned)".to_owned()));
        }
        let opened = self.databases.open(workspace)?;
        let held = Held { inner: opened.flush.unwrap(), begun: Rc::clone(&self.begun) };
        Ok(Opened { database: opened.database, flush: Some(Rc::new(held)) })
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        self.databases.delete(workspace)
    }

    fn distrust(&self, workspace: &Workspace) {
        self.distrusted.borrow_mut().push(workspace.clone());
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        self.databases.existing()
    }
}

struct Held {
    inner: Rc<dyn Flush>,
    begun: Rc<RefCell<VecDeque<oneshot::Sender<bool>>>>,
}

impl Flush for Held {
    fn flush(&self) -> LocalBoxFuture<'static, io::Result<()>> {
        let (end, ended) = oneshot::channel();
        self.begun.borrow_mut().push_back(end);
        let inner = self.inner.flush();
        Box::pin(async move {
            match ended.await {
                Ok(true) => inner.await,
                _ => Err(io::Error::other("the flush was cut")),
            }
        })
    }
}
