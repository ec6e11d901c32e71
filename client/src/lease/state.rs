//! A lease session with those who wait for it.

use std::collections::BTreeMap;

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use mailbus_spec::lease::LeaseReply;
use tokio::sync::{oneshot, watch};

use crate::handle::Waiters;
use crate::session::lease::{ClaimId, Event, LeaseSession, LossCause, Refusal, Released};
use crate::session::{CallFailure, QueryId};

/// News for a guard's owner while it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Held and renewed.
    Held,
    /// Held, and ended by an admin at its expiry.
    Draining(String),
    /// Lost.
    Lost(LossCause),
}

pub(crate) type Acquired = oneshot::Receiver<Result<Granted, Refusal>>;

/// News for the caller of a claim that is believed.
pub(crate) struct Granted {
    pub(crate) token: Ordinal,
    pub(crate) standing: watch::Receiver<Standing>,
}

/// A lease session with those who wait for it.
pub(crate) struct State {
    pub(crate) session: LeaseSession,
    waiting: BTreeMap<ClaimId, oneshot::Sender<Result<Granted, Refusal>>>,
    standing: BTreeMap<ClaimId, watch::Sender<Standing>>,
    releasing: BTreeMap<ClaimId, Vec<oneshot::Sender<Released>>>,
    asking: BTreeMap<QueryId, oneshot::Sender<Result<LeaseReply, CallFailure>>>,
    /// The generations seen to begin.
    generation: watch::Sender<u64>,
    closed: bool,
}

impl State {
    pub(crate) fn new(session: LeaseSession) -> Self {
        Self {
            session,
            waiting: BTreeMap::new(),
            standing: BTreeMap::new(),
            releasing: BTreeMap::new(),
            asking: BTreeMap::new(),
            generation: watch::Sender::new(0),
            closed: false,
        }
    }

    pub(crate) fn wait_for(&mut self, claim: ClaimId) -> Acquired {
        let (sender, receiver) = oneshot::channel();
        if !self.closed {
            self.waiting.insert(claim, sender);
        }
        receiver
    }

    pub(crate) fn wait_for_release(&mut self, claim: ClaimId) -> oneshot::Receiver<Released> {
        let (sender, receiver) = oneshot::channel();
        self.standing.remove(&claim);
        if !self.closed {
            self.releasing.entry(claim).or_default().push(sender);
        }
        receiver
    }

    pub(crate) fn wait_for_answer(
        &mut self,
        query: QueryId,
    ) -> oneshot::Receiver<Result<LeaseReply, CallFailure>> {
        let (sender, receiver) = oneshot::channel();
        if !self.closed {
            self.asking.insert(query, sender);
        }
        receiver
    }

    /// Nobody wants the claim any more.
    pub(crate) fn give_up(&mut self, at: Reading, claim: ClaimId) {
        self.waiting.remove(&claim);
        self.standing.remove(&claim);
        self.session.release(at, claim);
    }

    /// Nobody has the claim any more, and what it was for may go on.
    pub(crate) fn lapse(&mut self, at: Reading, claim: ClaimId) {
        self.standing.remove(&claim);
        self.session.lapse(at, claim);
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn forget(&mut self, query: QueryId) {
        self.asking.remove(&query);
        self.session.forget(query);
    }

    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    fn pass_on_grant(&mut self, claim: ClaimId, token: Ordinal) {
        let (sender, standing) = watch::channel(Standing::Held);
        if !self.session.is_for_a_term(claim) {
            self.standing.insert(claim, sender);
        }
        if let Some(waiting) = self.waiting.remove(&claim) {
            // A caller that has stopped waiting gives the claim back when it is dropped.
            let _ = waiting.send(Ok(Granted { token, standing }));
        }
    }
}

impl Waiters for State {
    /// Receivers that are gone want to know nothing, so what cannot be sent is dropped.
    fn pass_on_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Queued { .. } | Event::Renewed { .. } => {}
                Event::Acquired { claim, token } => self.pass_on_grant(claim, token),
                Event::Refused { claim, refusal } => {
                    if let Some(waiting) = self.waiting.remove(&claim) {
                        let _ = waiting.send(Err(refusal));
                    }
                }
                Event::Draining { claim, reason } => {
                    if let Some(standing) = self.standing.get(&claim) {
                        standing.send_replace(Standing::Draining(reason));
                    }
                }
                Event::Lost { claim, cause } => {
                    if let Some(standing) = self.standing.remove(&claim) {
                        standing.send_replace(Standing::Lost(cause));
                    }
                }
                Event::Released { claim, ending } => {
                    for releasing in self.releasing.remove(&claim).unwrap_or_default() {
                        let _ = releasing.send(ending);
                    }
                }
                Event::Answered { query, answer } => {
                    if let Some(asking) = self.asking.remove(&query) {
                        let _ = asking.send(answer);
                    }
                }
                Event::GenerationChanged { to, .. } => {
                    self.generation.send_replace(to);
                }
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.standing.clear();
        self.releasing.clear();
        self.asking.clear();
    }
}
