//! The loop of the handlers.

use std::pin::pin;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, select_biased};
use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::Gap;
use tokio::sync::watch;

use super::handler::{HandlerError, Registry, handle};
use crate::clocks::Clocks;
use crate::handle::Shared;
use crate::mailbox::{Delivery, Incoming, Mail, Status, next};
use crate::session::mailbox::{Accepted, Ended, MailboxSession};

/// Most messages in the hands of handlers: beyond it, ephemeral ones wait.
const HANDLING_MOST: usize = 1_024;

/// Something that happens to a bus.
#[derive(Debug)]
#[non_exhaustive]
pub enum BusEvent {
    /// The agent's session has begun.
    Connected {
        /// True if the service knew the agent.
        resumed: bool,
        /// Number of messages that the agent's full inbox has refused, of those among its dead letters.
        refused: u64,
    },
    /// The connection is lost and is being opened again.
    Disconnected,
    /// Messages to the agent were lost: they expired, or failed for good. Whoever listens is taken to
    /// know it now.
    Gap(Gap),
    /// The service's storage was restored: whether what it had accepted is still there is unknown.
    Restored {
        /// Messages that had been accepted last, oldest first.
        unknown: Vec<Accepted>,
        /// Number of more before those.
        more: u64,
    },
    /// A message found no handler, and nobody had chosen to be sent it: it is settled.
    Unhandled(Mail),
    /// A handler failed; its message comes again.
    HandlerFailed {
        /// The message's place in the workspace's order; `None` for one that nobody keeps, which
        /// does not come again.
        seq: Option<Ordinal>,
        /// Reason.
        error: HandlerError,
    },
    /// A handler took too long and was stopped; its message comes again.
    HandlerTimedOut {
        /// The message's place in the workspace's order.
        seq: Ordinal,
    },
    /// The agent's mail is over, for good. Its leases are not: what is held is renewed, and more may be
    /// acquired, until the bus is shut down or dropped.
    MailEnded(Ended),
}

/// The loop that gives what comes to handlers and to the listener.
///
/// Dropped, it gives up on the handlers that are at work.
#[must_use = "nothing is handled until it runs"]
pub struct Handlers<K: Clocks> {
    shared: Arc<Shared<K, MailboxSession>>,
    registry: Arc<Registry>,
    /// Watched from before the sessions run: this loop may begin after they have connected.
    status: watch::Receiver<Status>,
}

impl<K: Clocks> Handlers<K> {
    pub(super) fn new(shared: Arc<Shared<K, MailboxSession>>, registry: Arc<Registry>) -> Self {
        let status = shared.inspect(|state, _| state.waiting.status());
        Self { shared, registry, status }
    }

    /// Runs until no mail will ever come again and the handlers that are at work are done, or a
    /// shutdown has waited for them for long enough.
    ///
    /// Handlers run inside it: one that blocks its thread holds up the others. It spawns nothing and
    /// knows no clock, so it may run on any executor.
    pub async fn run(self) {
        let Self { shared, registry, status } = self;
        dispatch(&shared, &registry, status).await;
    }
}

/// Job of a handler.
enum Job<K: Clocks> {
    Delivery(Delivery<K>),
    Ephemeral(Mail),
}

/// Event that wakes the loop.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(clippy::large_enum_variant, reason = "there is one at a time, on the stack")
)]
enum Wake<K: Clocks> {
    Incoming(Option<Incoming<K>>),
    Status,
    Handled,
    Closed,
}

/// Hands what comes to handlers and to the listener, until nothing will ever come again.
async fn dispatch<K: Clocks>(
    shared: &Arc<Shared<K, MailboxSession>>,
    registry: &Registry,
    mut status: watch::Receiver<Status>,
) {
    let mut handling = FuturesUnordered::new();
    loop {
        let full = handling.len() >= HANDLING_MOST;
        let wake = {
            let mut changed = pin!(status.changed().fuse());
            let mut incoming = pin!(next_unless(full, shared).fuse());
            select_biased! {
                () = handling.select_next_some() => Wake::Handled,
                changed = changed => if changed.is_ok() { Wake::Status } else { Wake::Closed },
                incoming = incoming => Wake::Incoming(incoming),
            }
        };
        match wake {
            Wake::Incoming(Some(Incoming::Delivery(delivery))) => {
                handling.push(work(Job::Delivery(delivery), registry));
            }
            Wake::Incoming(Some(Incoming::Ephemeral(mail))) => {
                handling.push(work(Job::Ephemeral(mail), registry));
            }
            Wake::Incoming(Some(Incoming::Unhandled(mail))) => {
                registry.tell(BusEvent::Unhandled(mail));
            }
            Wake::Incoming(Some(Incoming::Gap(report))) => {
                if registry.tell(BusEvent::Gap(report.gap())) {
                    report.acknowledge();
                }
            }
            Wake::Incoming(Some(Incoming::Restored { unknown, more })) => {
                registry.tell(BusEvent::Restored { unknown, more });
            }
            Wake::Status => tell_status(&mut status, registry),
            Wake::Handled => {}
            Wake::Incoming(None) => break,
            Wake::Closed => return,
        }
    }
    if matches!(status.has_changed(), Ok(true)) {
        tell_status(&mut status, registry);
    }
    let shut_down = matches!(*status.borrow(), Status::Ended(Ended::ShutDown));
    if !shut_down {
        // What succeeds now is still settled, though its agent has another session.
        while handling.next().await.is_some() {}
    }
}

async fn next_unless<K: Clocks>(
    full: bool,
    shared: &Arc<Shared<K, MailboxSession>>,
) -> Option<Incoming<K>> {
    if full { std::future::pending().await } else { next(shared).await }
}

async fn work<K: Clocks>(job: Job<K>, registry: &Registry) {
    match job {
        Job::Delivery(delivery) => handle_delivery(delivery, registry).await,
        Job::Ephemeral(mail) => {
            let handlers = registry.of(&mail.message().kind);
            if let Err(error) = handle(&handlers, &mail).await {
                registry.tell(BusEvent::HandlerFailed { seq: None, error });
            }
        }
    }
}

async fn handle_delivery<K: Clocks>(mut delivery: Delivery<K>, registry: &Registry) {
    let seq = delivery.seq();
    let mail = delivery.mail().clone();
    let handlers = registry.of(&mail.message().kind);
    // The last handler may have been taken back just now.
    if handlers.is_empty() {
        return delivery.failed();
    }
    let handled = {
        let mut handling = pin!(handle(&handlers, &mail).fuse());
        let mut abandoned = pin!(delivery.abandoned().fuse());
        select_biased! {
            handled = handling => Some(handled),
            () = abandoned => None,
        }
    };
    match handled {
        Some(Ok(())) => delivery.done(),
        Some(Err(error)) => {
            registry.tell(BusEvent::HandlerFailed { seq: Some(seq), error });
            delivery.failed();
        }
        None => {
            registry.tell(BusEvent::HandlerTimedOut { seq });
        }
    }
}

fn tell_status(status: &mut watch::Receiver<Status>, registry: &Registry) {
    let now = status.borrow_and_update().clone();
    registry.tell(match now {
        Status::Apart => BusEvent::Disconnected,
        Status::Connected { resumed, refused, .. } => BusEvent::Connected { resumed, refused },
        Status::Ended(why) => BusEvent::MailEnded(why),
    });
}
