//! Futures that are given up on while what they waited for may go on.
//!
//! A future that is dropped before its end says nothing about the child process, the thread or the
//! task that it waited for. So what a guard protects may still be written to, and the guard lets its
//! lease lapse instead of giving it back.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static ABANDONING: Cell<bool> = const { Cell::new(false) };
}

/// True if what is dropped on this thread now belongs to a future that is given up on.
pub(crate) fn is_abandoning() -> bool {
    ABANDONING.get()
}

/// A future whose drop before its end counts as giving up on it.
pub(crate) struct Abandonable<F>(Option<Pin<Box<F>>>);

impl<F: Future> Abandonable<F> {
    pub(crate) fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F: Future> Future for Abandonable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            // It has come to its end: what is left in it is dropped like anything else.
            self.0 = None;
        }
        polled
    }
}

impl<F> Drop for Abandonable<F> {
    fn drop(&mut self) {
        let Some(work) = self.0.take() else { return };
        let before = ABANDONING.replace(true);
        // Whoever gives up on somebody's work does not end by what that work does in its drops.
        if catch_unwind(AssertUnwindSafe(|| drop(work))).is_err() {
            tracing::error!("what was given up on panicked while it was dropped");
        }
        ABANDONING.set(before);
    }
}
