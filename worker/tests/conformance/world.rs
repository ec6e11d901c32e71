//! World of many clients at once, on a server that is killed and started again under them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::future::join_all;
use libtest_mimic::Failed;
use mailbus_conformance::Failure;
use tokio::task::JoinHandle;

use super::served::{Server, pause};

/// Name of the workspace.
pub const WORKSPACE: &str = "concurrent";

/// Observations that all clients share: the order in which they saw things, and what they saw.
#[derive(Default)]
pub struct Observations<T> {
    moment: u64,
    /// Number of commands that were answered.
    pub answered: u64,
    /// Notes of this service's clients.
    pub noted: T,
    broken: Option<Failure>,
}

impl<T> Observations<T> {
    /// A moment after all others.
    pub fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }
}

/// World as a client needs to know it.
pub struct World<T> {
    /// Address of the server, while it runs.
    pub address: Cell<Option<SocketAddr>>,
    over: Cell<bool>,
    /// Observations so far.
    pub seen: RefCell<Observations<T>>,
}

impl<T: Default> World<T> {
    /// A world in which nothing was seen yet.
    pub fn new(server: &Server) -> Rc<Self> {
        let address = Cell::new(Some(server.address()));
        Rc::new(Self { address, over: Cell::new(false), seen: RefCell::default() })
    }

    /// True if clients shall end.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Ends it: a client has seen what must not be.
    pub fn fail(&self, failure: Failure) {
        self.seen.borrow_mut().broken = Some(failure);
        self.over.set(true);
    }

    /// Waits until this is so, or the world is over.
    pub async fn until(&self, is_so: impl Fn(&Observations<T>) -> bool) {
        while !is_so(&self.seen.borrow()) && !self.is_over() {
            pause(1).await;
        }
    }

    /// Kills the server and starts it again; clients may come back after `look`.
    pub async fn kill(
        &self,
        server: &mut Server,
        look: impl AsyncFnOnce(SocketAddr) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        if self.is_over() {
            return Ok(());
        }
        self.address.set(None);
        server.kill_and_restart()?;
        look(server.address()).await?;
        self.address.set(Some(server.address()));
        Ok(())
    }

    /// Ends it, with what was noted.
    pub async fn end(&self, clients: Vec<JoinHandle<()>>) -> Result<T, Failed> {
        self.over.set(true);
        for client in join_all(clients).await {
            client?;
        }
        let mut seen = self.seen.borrow_mut();
        match seen.broken.take() {
            Some(failure) => Err(Failed::from(failure)),
            None => Ok(std::mem::take(&mut seen.noted)),
        }
    }
}
