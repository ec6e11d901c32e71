//! Runner of a bus's loop.

#[cfg(not(target_arch = "wasm32"))]
pub(super) use outside::Runner;
#[cfg(target_arch = "wasm32")]
pub(super) use own::{Origin, Runner};

#[cfg(not(target_arch = "wasm32"))]
mod outside {
    /// Whoever was given the driver.
    pub(in crate::bus) struct Runner;

    impl Runner {
        pub(in crate::bus) fn outside() -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "inside a Worker there is something to do")]
        pub(in crate::bus) fn ensure(&self) {}
    }
}

#[cfg(target_arch = "wasm32")]
mod own {
    use std::cell::RefCell;

    use futures_util::future::LocalBoxFuture;
    use mailbus_spec::{AgentId, SessionId, Workspace};
    use worker::ObjectNamespace;

    /// Settings and objects that a bus inside a Worker is made of.
    #[derive(Clone)]
    pub(in crate::bus) struct Origin {
        pub agent: AgentId,
        pub session: SessionId,
        pub workspace: Workspace,
        pub mailbox: ObjectNamespace,
        pub lease: ObjectNamespace,
    }

    /// The event that uses the bus first, or whoever was given the driver.
    #[derive(Default)]
    pub(in crate::bus) struct Runner {
        origin: Option<Origin>,
        waiting: RefCell<Option<LocalBoxFuture<'static, ()>>>,
    }

    impl Runner {
        pub(in crate::bus) fn outside() -> Self {
            Self::default()
        }

        pub(in crate::bus) fn of(origin: Origin) -> Self {
            Self { origin: Some(origin), waiting: RefCell::default() }
        }

        pub(in crate::bus) fn origin(&self) -> Option<Origin> {
            self.origin.clone()
        }

        pub(in crate::bus) fn put(&self, run: LocalBoxFuture<'static, ()>) {
            self.waiting.replace(Some(run));
        }

        /// Makes the loop a task of the present event, unless it runs already.
        pub(in crate::bus) fn ensure(&self) {
            if let Some(run) = self.waiting.take() {
                worker::wasm_bindgen_futures::spawn_local(run);
            }
        }
    }
}
