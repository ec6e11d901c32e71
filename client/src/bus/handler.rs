//! Handlers: what an application does with a message.

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use mailbus_spec::mailbox::{MessageType, Pattern, Patterns};

use super::BusEvent;
use crate::abandon::Abandonable;
use crate::mailbox::Mail;

/// Reason why a handler failed: any error will do.
pub type HandlerError = Box<dyn Error + Send + Sync>;
/// Result of handling a message.
pub type HandlerResult = Result<(), HandlerError>;

#[cfg(not(target_arch = "wasm32"))]
mod bounds {
    /// [`Send`], where there are threads.
    pub trait MaybeSend: Send {}
    impl<T: Send + ?Sized> MaybeSend for T {}
    /// [`Sync`], where there are threads.
    pub trait MaybeSync: Sync {}
    impl<T: Sync + ?Sized> MaybeSync for T {}

    pub(super) type Handling = std::pin::Pin<Box<dyn Future<Output = super::HandlerResult> + Send>>;
    pub(super) type Handler = dyn Fn(crate::mailbox::Mail) -> Handling + Send + Sync;
    pub(super) type Listener = dyn Fn(super::BusEvent) + Send + Sync;
}

#[cfg(target_arch = "wasm32")]
mod bounds {
    /// [`Send`], where there are threads.
    pub trait MaybeSend {}
    impl<T: ?Sized> MaybeSend for T {}
    /// [`Sync`], where there are threads.
    pub trait MaybeSync {}
    impl<T: ?Sized> MaybeSync for T {}

    pub(super) type Handling = std::pin::Pin<Box<dyn Future<Output = super::HandlerResult>>>;
    pub(super) type Handler = dyn Fn(crate::mailbox::Mail) -> Handling;
    pub(super) type Listener = dyn Fn(super::BusEvent);
}

use bounds::{Handler, Handling, Listener};
pub use bounds::{MaybeSend, MaybeSync};

/// Handlers by type, and listeners.
#[derive(Default)]
pub(super) struct Registry {
    handlers: Mutex<BTreeMap<Pattern, Vec<Arc<Handler>>>>,
    listener: Mutex<Option<Arc<Listener>>>,
}

impl Registry {
    pub(super) fn add<H, F>(&self, pattern: Pattern, handler: H)
    where
        H: Fn(Mail) -> F + MaybeSend + MaybeSync + 'static,
        F: Future<Output = HandlerResult> + MaybeSend + 'static,
    {
        let handler: Arc<Handler> = Arc::new(move |mail| -> Handling { Box::pin(handler(mail)) });
        lock(&self.handlers).entry(pattern).or_default().push(handler);
    }

    /// True if there was any.
    pub(super) fn remove(&self, pattern: &Pattern) -> bool {
        lock(&self.handlers).remove(pattern).is_some()
    }

    pub(super) fn patterns(&self) -> Patterns {
        lock(&self.handlers).keys().cloned().collect()
    }

    /// All handlers of a type, in the order of their patterns.
    pub(super) fn of(&self, kind: &MessageType) -> Vec<Arc<Handler>> {
        let handlers = lock(&self.handlers);
        let matching = handlers.iter().filter(|(pattern, _)| pattern.matches(kind));
        matching.flat_map(|(_, handlers)| handlers.iter().cloned()).collect()
    }

    pub(super) fn listen(&self, listener: impl Fn(BusEvent) + MaybeSend + MaybeSync + 'static) {
        *lock(&self.listener) = Some(Arc::new(listener));
    }

    /// Tells the listener; false if there is none, or if it panics and so may not have understood.
    pub(super) fn tell(&self, event: BusEvent) -> bool {
        let Some(listener) = lock(&self.listener).clone() else { return false };
        let told = catch_unwind(AssertUnwindSafe(|| listener(event)));
        told.inspect_err(|why| tracing::error!("the bus's listener panicked: {}", said(why)))
            .is_ok()
    }
}

/// Runs handlers one after the other. One that panics has failed; inside a Worker it ends the module.
///
/// Dropped before its end, it counts as [`abandoned`](crate::abandon).
pub(super) async fn handle(handlers: &[Arc<Handler>], mail: &Mail) -> HandlerResult {
    for handler in handlers {
        let handling = Abandonable::new(async { handler(mail.clone()).await });
        let handled = AssertUnwindSafe(handling).catch_unwind().await;
        handled.unwrap_or_else(|why| {
            let (from, kind, why) = (mail.from(), mail.kind(), said(&why));
            tracing::error!(%from, kind, "a handler panicked: {why}");
            Err(Panicked(why).into())
        })?;
    }
    Ok(())
}

/// A handler panicked.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panicked(String);

/// Message of a panic.
fn said(why: &Box<dyn Any + Send>) -> String {
    let text = why.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| why.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
