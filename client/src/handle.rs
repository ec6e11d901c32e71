//! Handles: shares in a session that its run loop has too.
//!
//! Whatever a handle does, it does under one lock, with the clocks read under that lock, so that
//! readings reach the machine in order. Events are handed to whoever waits for them before the lock
//! is let go.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailbus_spec::belief::Reading;
use tokio::sync::Notify;

use crate::clocks::Clocks;

/// A session with those who wait for it.
pub(crate) trait Waiters {
    /// Hands the session's events to whoever waits for them.
    fn pass_on_events(&mut self);

    /// The run loop has ended: nobody who waits will be answered.
    fn close(&mut self);
}

/// A session with those who wait for it, under a lock.
pub(crate) struct Shared<K, S> {
    clocks: K,
    state: Mutex<Guarded<S>>,
    /// Rung whenever the run loop may have something to do.
    pub(crate) bell: Arc<Notify>,
}

struct Guarded<S> {
    waiters: S,
    handles: usize,
    /// True once what handles ask for does not matter.
    retired: bool,
}

impl<K: Clocks, S: Waiters> Shared<K, S> {
    pub(crate) fn new(waiters: S, clocks: K) -> Self {
        let state = Mutex::new(Guarded { waiters, handles: 0, retired: false });
        Self { clocks, state, bell: Arc::default() }
    }

    pub(crate) fn clocks(&self) -> &K {
        &self.clocks
    }

    /// Does something with the session at a reading taken for it, and passes on what comes of it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut S, Reading) -> T) -> T {
        let mut state = self.lock();
        let at = self.clocks.reading();
        let done = work(&mut state.waiters, at);
        state.waiters.pass_on_events();
        done
    }

    /// The same on behalf of a handle: the run loop is woken to see to what is now due.
    pub(crate) fn request<T>(&self, work: impl FnOnce(&mut S, Reading) -> T) -> T {
        let done = self.with(work);
        self.bell.notify_one();
        done
    }

    /// The run loop has ended: nobody who waits will be answered.
    pub(crate) fn close(&self) {
        self.lock().waiters.close();
    }

    /// Looks without touching: for checkers.
    pub(crate) fn inspect<T>(&self, look: impl FnOnce(&S, Reading) -> T) -> T {
        let state = self.lock();
        look(&state.waiters, self.clocks.reading())
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
pub(crate) struct Handle<K: Clocks, S: Waiters>(Arc<Shared<K, S>>);

impl<K: Clocks, S: Waiters> Handle<K, S> {
    pub(crate) fn new(shared: Arc<Shared<K, S>>) -> Self {
        let mut state = shared.lock();
        state.handles = state.handles.saturating_add(1);
        drop(state);
        Self(shared)
    }
}

impl<K: Clocks, S: Waiters> Clone for Handle<K, S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl<K: Clocks, S: Waiters> Drop for Handle<K, S> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.handles = state.handles.saturating_sub(1);
        drop(state);
        self.0.bell.notify_one();
    }
}

impl<K: Clocks, S: Waiters> Deref for Handle<K, S> {
    type Target = Arc<Shared<K, S>>;

    fn deref(&self) -> &Arc<Shared<K, S>> {
        &self.0
    }
}
