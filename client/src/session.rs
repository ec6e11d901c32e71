//! The session that handles and run loop share.
//!
//! Whatever a handle does, it does under one lock, with the clocks read under that lock, so that
//! readings reach the machine in order. Events are handed to whoever waits for them before the lock
//! is let go.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use mailbus_spec::lease::LeaseReply;
use tokio::sync::{Notify, oneshot, watch};

use crate::clocks::Clocks;
use crate::machine::{
    CallFailure, ClaimId, Event, LeaseSession, LossCause, QuestionId, Refusal, Released,
};

/// What a guard's owner can be told while it holds.
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

/// What a caller is told of a claim that is believed.
pub(crate) struct Granted {
    pub(crate) token: Ordinal,
    pub(crate) standing: watch::Receiver<Standing>,
}

/// A session with those who wait for it.
pub(crate) struct Shared<K> {
    clocks: K,
    state: Mutex<State>,
    /// Rung whenever the run loop may have something to do.
    pub(crate) bell: Notify,
}

/// What the lock guards.
pub(crate) struct State {
    pub(crate) session: LeaseSession,
    waiting: BTreeMap<ClaimId, oneshot::Sender<Result<Granted, Refusal>>>,
    standing: BTreeMap<ClaimId, watch::Sender<Standing>>,
    releasing: BTreeMap<ClaimId, oneshot::Sender<Released>>,
    asking: BTreeMap<QuestionId, oneshot::Sender<Result<LeaseReply, CallFailure>>>,
    /// The generations seen to begin.
    generation: watch::Sender<u64>,
    handles: usize,
    closed: bool,
}

impl<K: Clocks> Shared<K> {
    pub(crate) fn new(session: LeaseSession, clocks: K) -> Self {
        let state = State {
            session,
            waiting: BTreeMap::new(),
            standing: BTreeMap::new(),
            releasing: BTreeMap::new(),
            asking: BTreeMap::new(),
            generation: watch::Sender::new(0),
            handles: 0,
            closed: false,
        };
        Self { clocks, state: Mutex::new(state), bell: Notify::new() }
    }

    pub(crate) fn clocks(&self) -> &K {
        &self.clocks
    }

    /// Does something with the session at a reading taken for it, and passes on what comes of it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State, Reading) -> T) -> T {
        let mut state = self.lock();
        let at = self.clocks.reading();
        let done = work(&mut state, at);
        state.pass_on_events();
        done
    }

    /// The same on behalf of a handle: the run loop is woken to see to what is now due.
    pub(crate) fn request<T>(&self, work: impl FnOnce(&mut State, Reading) -> T) -> T {
        let done = self.with(work);
        self.bell.notify_one();
        done
    }

    /// The run loop has ended: nobody who waits will be answered.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        state.standing.clear();
        state.releasing.clear();
        state.asking.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a caller's thread leaves the session as it was between two calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks without touching: for checkers.
    pub(crate) fn inspect<T>(&self, look: impl FnOnce(&LeaseSession, Reading) -> T) -> T {
        let state = self.lock();
        look(&state.session, self.clocks.reading())
    }

    fn add_handle(&self) {
        let mut state = self.lock();
        state.handles = state.handles.saturating_add(1);
    }

    fn drop_handle(&self) {
        let mut state = self.lock();
        state.handles = state.handles.saturating_sub(1);
        drop(state);
        self.bell.notify_one();
    }
}

/// A share in a session that somebody can ask for something with.
pub(crate) struct Handle<K: Clocks>(Arc<Shared<K>>);

impl<K: Clocks> Handle<K> {
    pub(crate) fn new(shared: Arc<Shared<K>>) -> Self {
        shared.add_handle();
        Self(shared)
    }
}

impl<K: Clocks> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl<K: Clocks> Drop for Handle<K> {
    fn drop(&mut self) {
        self.0.drop_handle();
    }
}

impl<K: Clocks> Deref for Handle<K> {
    type Target = Shared<K>;

    fn deref(&self) -> &Shared<K> {
        &self.0
    }
}

impl State {
    /// Whether nobody can ask for anything any more and nothing is left to be done.
    pub(crate) fn is_over(&self) -> bool {
        self.handles == 0 && self.session.is_idle()
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
            self.releasing.insert(claim, sender);
        }
        receiver
    }

    pub(crate) fn wait_for_answer(
        &mut self,
        question: QuestionId,
    ) -> oneshot::Receiver<Result<LeaseReply, CallFailure>> {
        let (sender, receiver) = oneshot::channel();
        if !self.closed {
            self.asking.insert(question, sender);
        }
        receiver
    }

    /// Nobody waits for the claim any more.
    pub(crate) fn abandon(&mut self, at: Reading, claim: ClaimId) {
        self.waiting.remove(&claim);
        self.standing.remove(&claim);
        self.session.release(at, claim);
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn forget(&mut self, question: QuestionId) {
        self.asking.remove(&question);
        self.session.forget(question);
    }

    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Receivers that are gone want to know nothing, so what cannot be sent is dropped.
    pub(crate) fn pass_on_events(&mut self) {
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
                    if let Some(releasing) = self.releasing.remove(&claim) {
                        let _ = releasing.send(ending);
                    }
                }
                Event::Answered { question, answer } => {
                    if let Some(asking) = self.asking.remove(&question) {
                        let _ = asking.send(answer);
                    }
                }
                Event::GenerationChanged { to, .. } => {
                    self.generation.send_replace(to);
                }
            }
        }
    }

    fn pass_on_grant(&mut self, claim: ClaimId, token: Ordinal) {
        let (sender, standing) = watch::channel(Standing::Held);
        self.standing.insert(claim, sender);
        if let Some(waiting) = self.waiting.remove(&claim) {
            // A caller that has stopped waiting gives the claim back when it is dropped.
            let _ = waiting.send(Ok(Granted { token, standing }));
        }
    }
}
