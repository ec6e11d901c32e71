//! Mail for callers: a client that sends and asks, and what it is given.
//!
//! ```no_run
//! # #[cfg(not(target_arch = "wasm32"))]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mailbus_client::clocks::SystemClocks;
//! use mailbus_client::id::{new_session_id, seed};
//! use mailbus_client::mailbox::Incoming;
//! use mailbus_client::session::mailbox::{Config, Draft, MailboxSession};
//! use mailbus_client::transport::{Endpoint, Streams, TokioConnector, drive_mailbox};
//! use mailbus_spec::mailbox::Pattern;
//! use mailbus_spec::{AgentId, Workspace};
//!
//! let agent = AgentId::new("agent-1").unwrap();
//! let (id, seed) = (new_session_id()?, seed()?);
//! let session = MailboxSession::new(agent, id, Config::default(), seed);
//! let endpoint = Endpoint::new("http://127.0.0.1:8787", Workspace::new("team").unwrap())?;
//! let carrier = Streams::new(endpoint, TokioConnector::from_environment(), 16);
//! let (client, driver) = drive_mailbox(session, carrier, SystemClocks::new());
//! let work = async {
//!     client.serve(Pattern::everything());
//!     client.start(None);
//!     client.publish(Draft::new("agent_ready").payload(&"hello")?).await?;
//!     while let Some(incoming) = client.next().await {
//!         if let Incoming::Delivery(delivery) = incoming {
//!             println!("{} says {:?}", delivery.mail().from(), delivery.mail().raw_payload());
//!             delivery.done();
//!         }
//!     }
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! };
//! futures_util::future::select(std::pin::pin!(work), std::pin::pin!(driver.run())).await;
//! # Ok(())
//! # }
//! ```

mod delivery;
mod error;
pub(crate) mod state;

use std::fmt;

use mailbus_spec::belief::Reading;
use mailbus_spec::mailbox::{
    AgentEntry, Ask, DeadLetter, MailboxReply, MessageId, Outcome, Pattern, Patterns, Settled,
};
use mailbus_spec::{AgentId, Ordinal};
use tokio::sync::watch;

use crate::clocks::Clocks;
use crate::handle::Handle;
use crate::session::mailbox::{
    Draft, Ended, InHand, MailboxSession, PublicationId, Published, Unsendable,
};
use crate::session::{CallFailure, Session};

pub(crate) use delivery::next;
pub use delivery::{Delivery, GapReport, Incoming, Mail};
pub use error::MailboxError;

/// State of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// There is no socket at present, or not yet.
    #[default]
    Apart,
    /// The session is the agent's live one.
    Connected {
        /// Its epoch.
        epoch: Ordinal,
        /// True if the service knew the agent.
        resumed: bool,
        /// Number of messages that the agent's full inbox has refused, of those among its dead letters.
        refused: u64,
    },
    /// It is over, for good.
    Ended(Ended),
}

/// Receipt of a message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the workspace's order; `None` for a message that nobody keeps.
    pub seq: Option<Ordinal>,
    /// Number of agents that it was given to; `None` if only a later copy was answered by a service that
    /// does not say it then, or nobody keeps it.
    pub recipients: Option<u64>,
    /// Agents whose inbox was full, by name: it is among their dead letters.
    pub refused: Vec<AgentId>,
    /// True if the agent that it was sent to is known to the service: it was there once and is not
    /// forgotten. False for one who may never come. `None` if that was not said: of what was published, or
    /// as only a later copy was answered.
    pub known: Option<bool>,
    /// Names that are known and look like that of one who is not, the likeliest first.
    pub near: Vec<AgentId>,
}

/// Deliveries that a client has in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Number of deliveries that handlers have.
    pub in_hand: usize,
    /// The one of them that has been with its handler longest.
    pub oldest: Option<InHand>,
}

/// One agent's access to the mailboxes of a workspace. Clones share one session.
///
/// It does nothing by itself: the run loop that it came with has to be polled. With the last clone
/// the session is shut down.
pub struct MailboxClient<K: Clocks> {
    handle: Handle<K, MailboxSession>,
}

impl<K: Clocks> Clone for MailboxClient<K> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

impl<K: Clocks> MailboxClient<K> {
    pub(crate) fn new(handle: Handle<K, MailboxSession>) -> Self {
        Self { handle }
    }

    /// The agent whose mail it is.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.handle.inspect(|state, _| state.session.agent().clone())
    }

    /// Opens a socket now, and again whenever it is lost. `types` sets the agent's durable
    /// subscriptions; `None` leaves them, which means everything for an agent that has never chosen.
    pub fn start(&self, types: Option<Patterns>) {
        self.handle.request(|state, at| state.session.start(at, types));
    }

    /// Waits until the session is the agent's live one.
    ///
    /// # Errors
    /// [`MailboxError::Ended`] if it is over, [`MailboxError::Closed`] if the run loop is.
    pub async fn connected(&self) -> Result<Ordinal, MailboxError> {
        let mut status = self.status();
        loop {
            match &*status.borrow_and_update() {
                Status::Connected { epoch, .. } => return Ok(*epoch),
                Status::Ended(why) => return Err(MailboxError::Ended(why.clone())),
                Status::Apart => {}
            }
            if self.handle.inspect(|state, _| state.is_silent()) || status.changed().await.is_err()
            {
                return Err(MailboxError::Closed);
            }
        }
    }

    /// Ends the session for good, and waits until its run loop has ended: what handlers have in hand,
    /// acks and messages under way have a few seconds to be finished, then the object is told and the
    /// socket closed.
    pub async fn shut_down(&self) {
        let mut status = self.status();
        self.handle.request(|state, at| state.session.shut_down(at));
        while !self.handle.inspect(|state, _| state.is_closed()) {
            if status.changed().await.is_err() {
                return;
            }
        }
    }

    /// State of the session.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.handle.inspect(|state, _| state.waiting.status())
    }

    /// Sends a message to every agent whose subscriptions match, the sender excepted, and waits until it
    /// is accepted. While the service cannot be reached, it waits. Dropped, it is sent all the same.
    ///
    /// # Errors
    /// [`MailboxError`]. Unless it says [`Unknown`](MailboxError::Unknown), the message was not accepted.
    pub async fn publish(&self, draft: Draft) -> Result<Receipt, MailboxError> {
        self.sent(|session, at| session.publish(at, draft)).await
    }

    /// Sends a message to one agent, known or not yet, or to itself, and waits until it is accepted.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn send_to(&self, to: AgentId, draft: Draft) -> Result<Receipt, MailboxError> {
        self.sent(|session, at| session.send_to(at, to, draft)).await
    }

    /// Sends a message to one agent that is known. A misspelt name is refused with what it was perhaps meant
    /// to be, where [`send_to`](Self::send_to) keeps the message for whoever comes by it. A service that does
    /// not know this wish accepts the message, and [`Receipt::known`] is `None`.
    ///
    /// # Errors
    /// As [`publish`](Self::publish): [`Rejected`](MailboxError::Rejected) with
    /// [`UnknownAgent`](mailbus_spec::mailbox::Rejection::UnknownAgent) if nobody is known by that name.
    pub async fn send_to_known(&self, to: AgentId, draft: Draft) -> Result<Receipt, MailboxError> {
        self.sent(|session, at| session.send_to_known(at, to, draft)).await
    }

    async fn sent(
        &self,
        send: impl FnOnce(&mut MailboxSession, Reading) -> Result<PublicationId, Unsendable>,
    ) -> Result<Receipt, MailboxError> {
        let answer = self.handle.request(|state, at| {
            let publication = send(&mut state.session, at)?;
            Ok::<_, Unsendable>(state.wait_for(publication))
        })?;
        let nothing = Receipt {
            seq: None,
            recipients: None,
            refused: Vec::new(),
            known: None,
            near: Vec::new(),
        };
        match answer.await.map_err(|_| MailboxError::Closed)? {
            Published::Accepted { seq, recipients, refused, known, near } => {
                let (seq, recipients) = (Some(seq), Some(recipients));
                Ok(Receipt { seq, recipients, refused, known, near })
            }
            Published::Duplicate { seq, recipients, refused } => {
                Ok(Receipt { seq: Some(seq), recipients, refused, ..nothing })
            }
            Published::Sent => Ok(nothing),
            Published::Rejected(rejection) => Err(MailboxError::Rejected(rejection)),
            Published::Refused(problem) => Err(MailboxError::Refused(problem)),
            Published::Unknown => Err(MailboxError::Unknown),
            Published::Unsent => Err(MailboxError::Unsent),
        }
    }

    /// From now on messages that match `pattern` are given to whoever calls [`next`](Self::next).
    pub fn serve(&self, pattern: Pattern) {
        self.handle.request(|state, at| state.session.serve(at, pattern));
    }

    /// From now on they are not: those that come are given back after a few seconds.
    pub fn stop_serving(&self, pattern: &Pattern) {
        self.handle.request(|state, at| state.session.stop_serving(at, pattern));
    }

    /// Waits for what comes next: a delivery, or something to know. `None` once nothing will ever come
    /// again, since the session is over.
    pub async fn next(&self) -> Option<Incoming<K>> {
        next(&self.handle).await
    }

    /// Adds patterns to the agent's durable subscriptions. Returns them all.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn subscribe(&self, types: Patterns) -> Result<Option<Patterns>, MailboxError> {
        self.change_types(Ask::Subscribe { agent: self.agent(), types }).await
    }

    /// Takes literal patterns out of them. Returns the rest.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn unsubscribe(&self, types: Patterns) -> Result<Option<Patterns>, MailboxError> {
        self.change_types(Ask::Unsubscribe { agent: self.agent(), types }).await
    }

    /// True if the session says at every connect what the agent is subscribed to.
    #[must_use]
    pub fn has_chosen(&self) -> bool {
        self.handle.inspect(|state, _| state.session.has_chosen())
    }

    /// Chooses what the agent is subscribed to, for a session that was [`start`](Self::start)ed without:
    /// adds these patterns, and takes away the `*` of an agent for whom nobody has chosen. From now on
    /// the session says with every connect what is left.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn choose(&self, types: Patterns) -> Result<(), MailboxError> {
        let all = Pattern::everything();
        let unwanted = (!types.contains(&all)).then(|| Patterns::from([all]));
        let agent = self.agent();
        let mut reply = self.ask(Ask::Subscribe { agent: agent.clone(), types }).await?;
        if reply.answer.is_ok()
            && let Some(types) = unwanted
        {
            reply = self.ask(Ask::Unsubscribe { agent, types }).await?;
        }
        let now = reply.commit.now;
        match reply.answer {
            Ok(Outcome::Subscribed { types, .. }) => {
                let left = types.unwrap_or_default();
                self.handle.request(|state, at| state.session.note_chosen(at, left, now));
                Ok(())
            }
            other => Err(MailboxError::of(other)),
        }
    }

    /// Has what comes only because nobody has chosen settled if nobody handles it, in a session that was
    /// [`start`](Self::start)ed without a choice.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer: it is given back then, as if somebody had chosen it.
    pub async fn leave_unchosen(&self) -> Result<(), MailboxError> {
        // Taking nothing away changes nothing, and says what there is.
        let Some(mut chosen) = self.unsubscribe(Patterns::new()).await? else { return Ok(()) };
        if chosen.remove(&Pattern::everything()) {
            self.handle.request(|state, at| state.session.note_unchosen(at, chosen));
        }
        Ok(())
    }

    async fn change_types(&self, ask: Ask) -> Result<Option<Patterns>, MailboxError> {
        match self.ask(ask).await?.answer {
            Ok(Outcome::Subscribed { types, .. }) => Ok(types),
            other => Err(MailboxError::of(other)),
        }
    }

    /// Settles the pending messages of the agent with this id, whoever sent them: those that were ever pushed,
    /// or all if none was. Returns how many.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn acknowledge(&self, id: MessageId) -> Result<u64, MailboxError> {
        let ask = Ask::Ack { agent: self.agent(), what: Settled::Id(id) };
        match self.ask(ask).await?.answer {
            Ok(Outcome::Settled { settled, .. }) => Ok(settled),
            other => Err(MailboxError::of(other)),
        }
    }

    /// A page of the workspace's agents by name, after `after`; at most `limit`, 1 ..=
    /// [`LIST_MAX`](mailbus_spec::limits::LIST_MAX). The flag says whether there are more.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn agents(
        &self,
        after: Option<AgentId>,
        limit: usize,
    ) -> Result<(Vec<AgentEntry>, bool), MailboxError> {
        match self.ask(Ask::Agents { after, limit }).await?.answer {
            Ok(Outcome::Agents { agents, more }) => Ok((agents, more)),
            other => Err(MailboxError::of(other)),
        }
    }

    /// A page of what was given up for the agent, oldest first, after `after`. The flag says whether
    /// there are more.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn dead_letters(
        &self,
        after: Ordinal,
        limit: usize,
    ) -> Result<(Vec<DeadLetter>, bool), MailboxError> {
        match self.ask(Ask::DeadLetters { agent: self.agent(), after, limit }).await?.answer {
            Ok(Outcome::DeadLetters { letters, more }) => Ok((letters, more)),
            other => Err(MailboxError::of(other)),
        }
    }

    /// Gives dead letters a second chance. Returns how many.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn redrive(&self, seqs: Vec<Ordinal>) -> Result<u64, MailboxError> {
        match self.ask(Ask::Redrive { agent: self.agent(), seqs }).await?.answer {
            Ok(Outcome::Redriven { redriven, .. }) => Ok(redriven),
            other => Err(MailboxError::of(other)),
        }
    }

    /// Asks the object something and returns its reply as it is. `Connect`, `Disconnect`, `Publish`,
    /// `Send`, `Nack` and `Working` are not for here: what they change, the session would not know.
    ///
    /// # Errors
    /// [`MailboxError`] if there is no answer.
    pub async fn ask(&self, ask: Ask) -> Result<MailboxReply, MailboxError> {
        let asked = self.handle.asked(|session, at| Some(session.ask(at, ask)));
        Ok(asked.await.unwrap_or(Err(CallFailure::Closed))?)
    }

    /// Deliveries that handlers have in hand, and for how long.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (in_hand, oldest) = self.handle.inspect(|state, at| state.session.in_hand(at));
        Stats { in_hand, oldest }
    }

    /// Looks at the session and the clocks without touching either: for checkers.
    pub fn inspect<T>(&self, look: impl FnOnce(&MailboxSession, Reading) -> T) -> T {
        self.handle.inspect(|state, at| look(&state.session, at))
    }
}

impl<K: Clocks> fmt::Debug for MailboxClient<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inspect(|session, _| session.fmt(f))
    }
}
