//! The bus over Cloudflare's Durable Objects.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mailbus_spec::mailbox::{MessageId, Pattern, Patterns};
use mailbus_spec::{AgentId, Holder, SessionId};
use tokio::sync::Mutex;

use super::dispatch::BusEvent;
use super::driver::BusDriver;
use super::files::Files;
use super::handler::{HandlerResult, MaybeSend, MaybeSync, Registry};
use super::runner::Runner;
use super::{BusError, Draft, HEARTBEAT, MailBus};
use crate::clocks::Clocks;
use crate::lease::LeaseClient;
use crate::mailbox::{Mail, MailboxClient, Receipt};
use crate::session;
use crate::session::lease::LeaseSession;
use crate::session::mailbox::MailboxSession;
use crate::transport::{Carrier, EXCHANGES, drive, drive_mailbox};

/// Settings of a bus.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Agent of the bus.
    pub agent: AgentId,
    /// Run of the agent. No two of an agent share one, the empty one apart: that is the original's
    /// identity, under which one process may release what another acquired, and which speaks the
    /// original's protocol.
    pub session: SessionId,
    /// Makes ids and jitter; drawn anew for every run.
    pub seed: u64,
    /// The constants of the mail session.
    pub mail: session::mailbox::Config,
    /// The constants of the lease session.
    pub leases: session::lease::Config,
    /// Most HTTP exchanges at a time, for whoever makes the carrier: 0 counts as 1. Bindings of a Worker have
    /// no such bound.
    pub exchanges: usize,
}

impl Setup {
    /// The usual set-up of this run of `agent`.
    #[must_use]
    pub fn new(agent: AgentId, session: SessionId, seed: u64) -> Self {
        let mut mail = session::mailbox::Config::default();
        if session.is_original() {
            mail.window = None;
        }
        let leases = session::lease::Config::default();
        Self { agent, session, seed, mail, leases, exchanges: EXCHANGES }
    }
}

/// The bus of one agent over Cloudflare's Durable Objects. Clones share it.
pub struct CloudflareMailBus<K: Clocks> {
    inner: Arc<Inner<K>>,
}

struct Inner<K: Clocks> {
    agent: AgentId,
    mail: MailboxClient<K>,
    files: Files<K>,
    registry: Arc<Registry>,
    /// Held by who chooses what the agent is subscribed to: the first choice takes two questions.
    choosing: Mutex<()>,
    runner: Runner,
}

impl<K: Clocks> Clone for CloudflareMailBus<K> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K: Clocks + Clone> CloudflareMailBus<K> {
    /// A bus over this carrier and these clocks, and the loops that somebody has to run.
    pub fn over<W: Carrier>(setup: Setup, carrier: W, clocks: K) -> (Self, BusDriver<Arc<W>, K>) {
        Self::joined(setup, carrier, clocks, Runner::outside())
    }

    #[cfg_attr(
        target_arch = "wasm32",
        expect(
            clippy::arc_with_non_send_sync,
            reason = "one type for where there are threads too"
        )
    )]
    pub(super) fn joined<W: Carrier>(
        setup: Setup,
        carrier: W,
        clocks: K,
        runner: Runner,
    ) -> (Self, BusDriver<Arc<W>, K>) {
        let Setup { agent, session, seed, mail, leases, .. } = setup;
        let carrier = Arc::new(carrier);
        let holder = Holder { agent: agent.clone(), session: session.clone() };
        let lease_session = LeaseSession::new(holder, leases, seed);
        let mail_session = MailboxSession::new(agent.clone(), session, mail, seed.rotate_left(32));
        let (leases, lease_driver) = drive(lease_session, Arc::clone(&carrier), clocks.clone());
        let (mail, mail_driver) = drive_mailbox(mail_session, carrier, clocks);
        let registry = Arc::new(Registry::default());
        let driver = BusDriver::new(mail_driver, lease_driver, Arc::clone(&registry));
        let (files, choosing) = (Files::new(leases), Mutex::default());
        let inner = Inner { agent, mail, files, registry, choosing, runner };
        (Self { inner: Arc::new(inner) }, driver)
    }
}

impl<K: Clocks> CloudflareMailBus<K> {
    /// The mailboxes, for what the trait has no method for: dead letters, agents, the inbox.
    #[must_use]
    pub fn mail(&self) -> &MailboxClient<K> {
        self.inner.runner.ensure();
        &self.inner.mail
    }

    /// The leases, with guards that renew what they hold.
    #[must_use]
    pub fn leases(&self) -> &LeaseClient<K> {
        self.inner.runner.ensure();
        self.inner.files.leases()
    }

    /// Has somebody told what happens: in the place of who was told before. It had better be quick.
    ///
    /// Losses are taken for known once somebody who listens has been told; until then they are told
    /// again at every connect.
    pub fn on_event(&self, listener: impl Fn(BusEvent) + MaybeSend + MaybeSync + 'static) {
        self.inner.registry.listen(listener);
    }

    fn files(&self) -> &Files<K> {
        self.inner.runner.ensure();
        &self.inner.files
    }

    /// True if the session has been begun.
    fn is_begun(&self) -> bool {
        self.inner.mail.inspect(|session, _| session.is_begun())
    }
}

impl<K: Clocks> MailBus for CloudflareMailBus<K> {
    fn agent_id(&self) -> &AgentId {
        &self.inner.agent
    }

    async fn initialize(&self) -> Result<(), BusError> {
        let patterns = self.inner.registry.patterns();
        let mail = self.mail();
        mail.start((!patterns.is_empty()).then_some(patterns));
        mail.connected().await?;
        let _choosing = self.inner.choosing.lock().await;
        if !mail.has_chosen()
            && let Err(error) = mail.leave_unchosen().await
        {
            tracing::debug!(%error, "what the agent is subscribed to is unknown");
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BusError> {
        self.mail().shut_down().await;
        self.leases().retire();
        Ok(())
    }

    async fn publish(&self, message: Draft) -> Result<Receipt, BusError> {
        Ok(self.mail().publish(message).await?)
    }

    async fn send_to(&self, target: &AgentId, message: Draft) -> Result<Receipt, BusError> {
        Ok(self.mail().send_to(target.clone(), message).await?)
    }

    async fn subscribe<H, F>(&self, kind: &str, handler: H) -> Result<(), BusError>
    where
        H: Fn(Mail) -> F + MaybeSend + MaybeSync + 'static,
        F: Future<Output = HandlerResult> + MaybeSend + 'static,
    {
        let pattern = Pattern::new(kind).map_err(BusError::Type)?;
        self.inner.registry.add(pattern.clone(), handler);
        self.inner.mail.serve(pattern.clone());
        if self.is_begun() {
            let mail = self.mail();
            let _choosing = self.inner.choosing.lock().await;
            if mail.has_chosen() {
                mail.subscribe(Patterns::from([pattern])).await?;
            } else {
                mail.choose(self.inner.registry.patterns()).await?;
            }
        }
        Ok(())
    }

    async fn unsubscribe(&self, kind: &str) -> Result<(), BusError> {
        let pattern = Pattern::new(kind).map_err(BusError::Type)?;
        self.inner.mail.stop_serving(&pattern);
        self.inner.registry.remove(&pattern);
        if self.is_begun() {
            self.mail().unsubscribe(Patterns::from([pattern])).await?;
        }
        Ok(())
    }

    async fn acknowledge(&self, message_id: &str) -> Result<u64, BusError> {
        let id = MessageId::new(message_id).map_err(BusError::Id)?;
        Ok(self.mail().acknowledge(id).await?)
    }

    async fn send_heartbeat(&self) -> Result<(), BusError> {
        self.mail().publish(Draft::new(HEARTBEAT)).await?;
        Ok(())
    }

    async fn acquire_lease(&self, file: &str, ttl: Duration) -> Result<bool, BusError> {
        self.files().acquire(file, ttl).await
    }

    async fn release_lease(&self, file: &str) -> Result<bool, BusError> {
        self.files().release(file).await
    }

    async fn is_leased(&self, file: &str) -> Result<bool, BusError> {
        self.files().is_leased(file).await
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::io;

    use mailbus_spec::AgentId;

    use super::{CloudflareMailBus, Setup};
    use crate::bus::driver::NativeBusDriver;
    use crate::clocks::SystemClocks;
    use crate::id::{new_session_id, seed};
    use crate::transport::{Endpoint, Streams, TokioConnector};

    impl CloudflareMailBus<SystemClocks> {
        /// The bus of a new run of `agent` at `endpoint`. Its sessions run on a thread of their own
        /// from here on; the loop that is returned hands their mail to handlers, and is to be run. It
        /// goes through the [proxies of the environment](TokioConnector::from_environment).
        ///
        /// # Errors
        /// If the system has no randomness to name the run with, or gives no thread.
        pub fn open(
            endpoint: Endpoint,
            agent: AgentId,
        ) -> io::Result<(Self, NativeBusDriver<SystemClocks>)> {
            let setup = Setup::new(agent, new_session_id()?, seed()?);
            let connector = TokioConnector::from_environment();
            let carrier = Streams::new(endpoint, connector, setup.exchanges);
            let (bus, driver) = Self::over(setup, carrier, SystemClocks::new());
            Ok((bus, driver.on_own_thread()?))
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod bindings {
    use mailbus_spec::{AgentId, SessionId, Workspace};
    use worker::ObjectNamespace;

    use super::{CloudflareMailBus, Setup};
    use crate::bus::runner::{Origin, Runner};
    use crate::clocks::WorkerClocks;
    use crate::id::{new_session_id, seed};
    use crate::transport::Bindings;

    /// The workspace of the original.
    const WORKSPACE: &str = "global-mailbox";

    impl CloudflareMailBus<WorkerClocks> {
        /// The bus of a new run of `agent` over the bindings of the Worker that this runs in, in the
        /// original's workspace `global-mailbox`.
        ///
        /// It runs as a task of the event that uses it first, and ends with that event; hand
        /// `context.wait_until` what has to outlive the answer.
        ///
        /// # Errors
        /// If the platform has no randomness to name the run with.
        pub fn new(
            agent: AgentId,
            mailbox: ObjectNamespace,
            lease: ObjectNamespace,
        ) -> worker::Result<Self> {
            let failed = |why: String| worker::Error::RustError(why);
            let session = new_session_id().map_err(|error| failed(error.to_string()))?;
            let workspace =
                Workspace::new(WORKSPACE).map_err(|invalid| failed(invalid.to_string()))?;
            Self::made_of(Origin { agent, session, workspace, mailbox, lease })
        }

        /// The same bus in another workspace. Before it is used: handlers are not taken along.
        ///
        /// # Errors
        /// As [`new`](Self::new).
        pub fn workspace(self, workspace: Workspace) -> worker::Result<Self> {
            let origin = self.origin()?;
            Self::made_of(Origin { workspace, ..origin })
        }

        /// The same bus as this run of its agent; the empty one is the original's identity, under which
        /// one event may release what another acquired. Before it is used: handlers are not taken along.
        ///
        /// # Errors
        /// As [`new`](Self::new).
        pub fn session(self, session: SessionId) -> worker::Result<Self> {
            let origin = self.origin()?;
            Self::made_of(Origin { session, ..origin })
        }

        fn origin(&self) -> worker::Result<Origin> {
            let origin = self.inner.runner.origin();
            origin.ok_or_else(|| worker::Error::RustError("the bus was made elsewhere".to_owned()))
        }

        fn made_of(origin: Origin) -> worker::Result<Self> {
            let seed = seed().map_err(|error| worker::Error::RustError(error.to_string()))?;
            let mut setup = Setup::new(origin.agent.clone(), origin.session.clone(), seed);
            // A lease over a binding costs one exchange; waiting for one asks again and again.
            setup.leases.socket = None;
            let Origin { mailbox, lease, workspace, .. } = origin.clone();
            let carrier = Bindings::new(mailbox, lease, workspace);
            let runner = Runner::of(origin);
            let (bus, driver) = Self::joined(setup, carrier, WorkerClocks, runner);
            bus.inner.runner.put(Box::pin(driver.run()));
            Ok(bus)
        }
    }
}
