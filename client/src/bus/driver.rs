//! The loops of a bus: of its two sessions, and of its handlers.

use std::sync::Arc;

use futures_util::future::join;

use super::dispatch::Handlers;
use super::handler::Registry;
use crate::clocks::Clocks;
use crate::transport::{Carrier, LeaseDriver, MailboxDriver};

/// The loops of a bus. Nothing is sent, received or handled unless they run.
///
/// Renewals, pings and acks are the sessions'; what a handler does is its own. So they are better kept
/// [`apart`](Self::split), each on a task or thread of its own: in one task, a handler that blocks its
/// thread keeps the sessions from renewing what is held.
#[must_use = "nothing is sent until the driver runs"]
pub struct BusDriver<W: Carrier, K: Clocks> {
    sessions: Sessions<W, K>,
    handlers: Handlers<K>,
}

/// The loops of a bus's two sessions: mail, and leases. Whoever runs it must not be held up.
///
/// Each session has a life of its own: when the agent's mail is taken over by another process, or the
/// service will not have it, leases are held, renewed and acquired all the same.
///
/// Dropped, it fails whoever still waits.
#[must_use = "nothing is sent until the sessions run"]
pub struct Sessions<W: Carrier, K: Clocks> {
    mail: MailboxDriver<W, K>,
    leases: LeaseDriver<W, K>,
}

impl<W: Carrier, K: Clocks> BusDriver<W, K> {
    pub(super) fn new(
        mail: MailboxDriver<W, K>,
        leases: LeaseDriver<W, K>,
        registry: Arc<Registry>,
    ) -> Self {
        let handlers = Handlers::new(Arc::clone(mail.shared()), registry);
        Self { sessions: Sessions { mail, leases }, handlers }
    }

    /// The two loops, to be run apart.
    pub fn split(self) -> (Sessions<W, K>, Handlers<K>) {
        (self.sessions, self.handlers)
    }

    /// Runs both loops in one future, until the bus is shut down or dropped and every lease is given
    /// back: for where there is one thread, as in a simulator and in a Worker.
    ///
    /// It spawns nothing, so it may run on any executor; its future is `Send` if the carrier's and
    /// the clocks' futures are.
    pub async fn run(self) {
        join(self.sessions.run(), self.handlers.run()).await;
    }
}

impl<W: Carrier, K: Clocks> Sessions<W, K> {
    /// Runs until the bus is shut down or dropped and every lease is given back.
    ///
    /// It spawns nothing, so it may run on any executor; its future is `Send` if the carrier's and
    /// the clocks' futures are.
    pub async fn run(self) {
        join(self.mail.run(), self.leases.run()).await;
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::io;

    use futures_util::future::join;

    use super::{BusDriver, Handlers};
    use crate::clocks::Clocks;
    use crate::transport::{Carrier, NativeDriver};

    /// The loops of a bus whose sessions run on a thread of their own. Handlers run where this does.
    ///
    /// Dropped, it stops the sessions too: leases then run out with their terms.
    #[must_use = "nothing is handled until the driver runs"]
    pub struct NativeBusDriver<K: Clocks> {
        sessions: NativeDriver,
        handlers: Handlers<K>,
    }

    impl<W: Carrier + Send + 'static, K: Clocks + Send + Sync + 'static> BusDriver<W, K> {
        /// Starts the sessions on a thread of their own, with a tokio runtime of their own. What is
        /// left to run are the handlers.
        ///
        /// # Errors
        /// If the system gives no thread, or no way to wait for sockets.
        pub fn on_own_thread(self) -> io::Result<NativeBusDriver<K>> {
            let (sessions, handlers) = self.split();
            let sessions = NativeDriver::start(move || sessions.run())?;
            Ok(NativeBusDriver { sessions, handlers })
        }
    }

    impl<K: Clocks> NativeBusDriver<K> {
        /// Runs the handlers until the bus is shut down or dropped and every lease is given back. Any
        /// executor will do.
        ///
        /// Handlers share the task that this is run in: one that blocks its thread holds up the
        /// others and the listener, and nothing else.
        pub async fn run(self) {
            join(self.sessions.run(), self.handlers.run()).await;
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use native::NativeBusDriver;
