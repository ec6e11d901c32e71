//! Many clients at once, and something that happens meanwhile.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::future::{join, join_all};

use crate::a_moment;
use crate::client::Client;

/// Distance of the clients.
#[derive(Clone, Default)]
pub struct Progress {
    answered: Rc<Cell<usize>>,
    unanswered: Rc<Cell<usize>>,
    over: Rc<Cell<bool>>,
}

impl Progress {
    /// Waits for so many more answers.
    pub async fn answers(&self, more: usize) {
        Self::wait(&self.answered, more).await;
    }

    /// Waits for so many more requests that come to nothing.
    pub async fn silences(&self, more: usize) {
        Self::wait(&self.unanswered, more).await;
    }

    async fn wait(count: &Cell<usize>, more: usize) {
        let until = count.get() + more;
        while count.get() < until {
            a_moment().await;
        }
    }
}

/// The clients of a trial.
pub struct Swarm(Vec<Client>);

impl Swarm {
    /// So many, each in the next of so many workspaces, with messages of this length.
    pub fn new(clients: u64, workspaces: u64, payload: usize) -> Self {
        let client = |n| Client::new(n, format!("w{}", n % workspaces), payload);
        Self((0..clients).map(client).collect())
    }

    /// All of them ask, each one thing after the other, until `meanwhile` has ended.
    pub async fn work<T>(
        &mut self,
        address: SocketAddr,
        meanwhile: impl AsyncFnOnce(&Progress) -> T,
    ) -> T {
        let progress = Progress::default();
        let clients = join_all(self.0.iter_mut().map(|client| work(client, address, &progress)));
        let meanwhile = async {
            let done = meanwhile(&progress).await;
            progress.over.set(true);
            done
        };
        join(clients, meanwhile).await.1
    }

    /// Looks whether everything is there that they were told, and nothing twice; then has every question
    /// answered that was not, and looks again.
    pub async fn check(&mut self, address: SocketAddr) {
        for client in &mut self.0 {
            client.disconnect();
            client.check(address).await;
            while !client.ask(address).await {
                a_moment().await;
            }
            client.check(address).await;
        }
    }

    pub fn answers(&self) -> usize {
        self.0.iter().map(Client::answers).sum()
    }
}

async fn work(client: &mut Client, address: SocketAddr, progress: &Progress) {
    while !progress.over.get() {
        if client.ask(address).await {
            progress.answered.set(progress.answered.get() + 1);
        } else {
            progress.unanswered.set(progress.unanswered.get() + 1);
            a_moment().await;
        }
    }
}
