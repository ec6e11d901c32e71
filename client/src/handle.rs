//! Handles: shares in a session that its run loop has too.
//!
//! Whatever a handle does, it does under one lock, with the clocks read under that lock, so that
//! readings reach the machine in order. Events are handed to whoever waits for them before the lock
//! is let go.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailbus_spec::belief::Reading;
use mailbus_spec::service::ReplyOf;
use tokio::sync::{Notify, oneshot};

use crate::clocks::Clocks;
use crate::session::{CallFailure, QueryId, Session};

/// A session whose callers wait for what becomes of what they asked for.
pub trait Callers: Session + Sized {
    /// Those who wait for something else than the answer to a plain call.
    type Waiting: Default;

    /// Hands an event to whoever waits for it. Receivers that are gone want to know nothing, so what
    /// cannot be sent is dropped.
    fn pass_on(state: &mut State<Self>, event: Self::Event);

    /// Lets everybody go: nobody who waits will be told.
    fn let_go(waiting: &mut Self::Waiting);

    /// Lets the session know, before the run loop's turn, what was said to it without a request.
    fn begin_turn(_state: &mut State<Self>, _at: Reading) {}
}

/// Result of a plain call.
type Answer<S> = Result<ReplyOf<<S as Session>::Service>, CallFailure>;

/// A session with those who wait for it.
pub struct State<S: Callers> {
    pub(crate) session: S,
    pub(crate) waiting: S::Waiting,
    asking: BTreeMap<QueryId, oneshot::Sender<Answer<S>>>,
    closed: bool,
}

impl<S: Callers> State<S> {
    /// The two ends of something that a caller waits for. Once the run loop has ended there is nobody to
    /// keep the first, and nothing to wait for.
    pub(crate) fn promise<T>(&self) -> (Option<oneshot::Sender<T>>, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        ((!self.closed).then_some(sender), receiver)
    }

    /// True once the run loop has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Hands the answer to a plain call to whoever waits for it.
    pub(crate) fn answer(&mut self, query: QueryId, answer: Answer<S>) {
        if let Some(asking) = self.asking.remove(&query) {
            let _ = asking.send(answer);
        }
    }

    fn pass_on_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            S::pass_on(self, event);
        }
    }
}

/// A session with those who wait for it, under a lock.
pub struct Shared<K, S: Callers> {
    clocks: K,
    state: Mutex<Guarded<S>>,
    /// Rung whenever the run loop may have something to do.
    pub(crate) bell: Arc<Notify>,
}

struct Guarded<S: Callers> {
    state: State<S>,
    handles: usize,
    /// True once what handles ask for does not matter.
    retired: bool,
}

impl<K: Clocks, S: Callers> Shared<K, S> {
    pub(crate) fn new(session: S, clocks: K) -> Self {
        let waiting = S::Waiting::default();
        let state = State { session, waiting, asking: BTreeMap::new(), closed: false };
        let state = Mutex::new(Guarded { state, handles: 0, retired: false });
        Self { clocks, state, bell: Arc::default() }
    }

    pub(crate) fn clocks(&self) -> &K {
        &self.clocks
    }

    /// Does something with the session at a reading taken for it, and passes on what comes of it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State<S>, Reading) -> T) -> T {
        let mut state = self.lock();
        let at = self.clocks.reading();
        let done = work(&mut state.state, at);
        state.state.pass_on_events();
        done
    }

    /// The same on behalf of a handle: the run loop is woken to see to what is now due.
    pub(crate) fn request<T>(&self, work: impl FnOnce(&mut State<S>, Reading) -> T) -> T {
        let done = self.with(work);
        self.bell.notify_one();
        done
    }

    /// The run loop has ended: nobody who waits will be answered.
    pub(crate) fn close(&self) {
        let state = &mut self.lock().state;
        state.closed = true;
        state.asking.clear();
        S::let_go(&mut state.waiting);
    }

    /// Looks without touching: for checkers.
    pub(crate) fn inspect<T>(&self, look: impl FnOnce(&State<S>, Reading) -> T) -> T {
        let state = self.lock();
        look(&state.state, self.clocks.reading())
    }

    /// True once nobody can ask for anything any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        let state = self.lock();
        state.handles == 0 || state.retired
    }

    /// The run loop ends as soon as nothing is under way, whoever has a handle.
    pub(crate) fn retire(&self) {
        self.lock().retired = true;
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Guarded<S>> {
        // A panic in a caller's thread leaves the session as it was between two calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share in a session that somebody can ask for something with.
pub(crate) struct Handle<K: Clocks, S: Callers>(Arc<Shared<K, S>>);

impl<K: Clocks, S: Callers> Handle<K, S> {
    pub(crate) fn new(shared: Arc<Shared<K, S>>) -> Self {
        let mut state = shared.lock();
        state.handles = state.handles.saturating_add(1);
        drop(state);
        Self(shared)
    }

    /// Waits for the answer to the question that is asked, if one is. Dropped before that, it is asked
    /// no more.
    pub(crate) async fn asked(
        &self,
        ask: impl FnOnce(&mut S, Reading) -> Option<QueryId>,
    ) -> Option<Answer<S>> {
        let (query, answer) = self.request(|state, at| {
            let query = ask(&mut state.session, at)?;
            let (sender, answer) = state.promise();
            state.asking.extend(sender.map(|sender| (query, sender)));
            Some((query, answer))
        })?;
        let forgotten = Forgotten { handle: self, query };
        let answer = answer.await;
        drop(forgotten);
        Some(answer.unwrap_or(Err(CallFailure::Closed)))
    }
}

/// A question whose caller waits: dropped, it is asked no more.
struct Forgotten<'a, K: Clocks, S: Callers> {
    handle: &'a Handle<K, S>,
    query: QueryId,
}

impl<K: Clocks, S: Callers> Drop for Forgotten<'_, K, S> {
    fn drop(&mut self) {
        self.handle.request(|state, _| {
            state.asking.remove(&self.query);
            state.session.forget(self.query);
        });
    }
}

impl<K: Clocks, S: Callers> Clone for Handle<K, S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl<K: Clocks, S: Callers> Drop for Handle<K, S> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.handles = state.handles.saturating_sub(1);
        drop(state);
        self.0.bell.notify_one();
    }
}

impl<K: Clocks, S: Callers> Deref for Handle<K, S> {
    type Target = Arc<Shared<K, S>>;

    fn deref(&self) -> &Arc<Shared<K, S>> {
        &self.0
    }
}
