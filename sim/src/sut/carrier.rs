//! Carrier of a mail client's commands: production's, and what a wrong client would do otherwise.

use std::cell::Cell;

use mailbus_client::transport::{
    Answered, Broken, Carrier, Incoming, NoAnswer, Object, Socket, Unopened,
};

/// Rules of a mail client, where they differ from production's.
#[derive(Clone, Copy, Debug)]
pub struct MailClientRules {
    /// One attempt to open a socket that fails is its last.
    pub gives_up_on_a_failed_open: bool,
    /// Change of what comes in over its sockets; nothing is left of a frame where it says `None`.
    pub incoming: Option<fn(&str) -> Option<String>>,
    /// Change of what it sends over its sockets.
    pub outgoing: Option<fn(&str) -> Option<String>>,
    /// It settles a message before it handles it.
    pub acks_before_handling: bool,
}

impl MailClientRules {
    /// Production's.
    pub const SOUND: Self = Self {
        gives_up_on_a_failed_open: false,
        incoming: None,
        outgoing: None,
        acks_before_handling: false,
    };
}

/// A carrier with what a wrong client does around it.
pub struct Carried<W> {
    carrier: W,
    rules: MailClientRules,
    failed: Cell<bool>,
}

impl<W> Carried<W> {
    /// The carrier of a client with these rules.
    pub fn new(carrier: W, rules: MailClientRules) -> Self {
        Self { carrier, rules, failed: Cell::new(false) }
    }
}

impl<W: Carrier> Carrier for Carried<W> {
    type Socket = CarriedSocket<W::Socket>;

    async fn exchange(
        &self,
        object: Object,
        action: &str,
        body: String,
        may_leave: impl Fn() -> bool,
    ) -> Result<Answered, NoAnswer> {
        self.carrier.exchange(object, action, body, may_leave).await
    }

    fn distrust_connections(&self) {
        self.carrier.distrust_connections();
    }

    async fn open(&self, object: Object, query: &str) -> Result<Self::Socket, Unopened> {
        if self.failed.get() && self.rules.gives_up_on_a_failed_open {
            return std::future::pending().await;
        }
        let opened = self.carrier.open(object, query).await;
        self.failed.set(opened.is_err());
        opened.map(|socket| CarriedSocket { socket, rules: self.rules })
    }
}

/// One of its sockets.
pub struct CarriedSocket<S> {
    socket: S,
    rules: MailClientRules,
}

impl<S: Socket> Socket for CarriedSocket<S> {
    async fn send(&mut self, text: String) -> Result<(), Broken> {
        match self.rules.outgoing {
            None => self.socket.send(text).await,
            Some(change) => match change(&text) {
                Some(changed) => self.socket.send(changed).await,
                None => Ok(()),
            },
        }
    }

    async fn ping(&mut self) -> Result<(), Broken> {
        self.socket.ping().await
    }

    async fn next(&mut self) -> Incoming {
        match (self.socket.next().await, self.rules.incoming) {
            (Incoming::Text(text), Some(change)) => {
                change(&text).map_or(Incoming::Sign, Incoming::Text)
            }
            (incoming, _) => incoming,
        }
    }

    async fn close(&mut self) {
        self.socket.close().await;
    }
}
