//! The shell in the Workers runtime: Durable Objects around the production objects.
//!
//! It decides nothing. Each event of the platform becomes one [`Event`](crate::object::Event): the
//! host's clock is read once, the object handles it inside one transaction, and only when that has
//! returned are its [`Effects`](crate::object::Effects) applied. So between the reading of the clock
//! and the last effect there is no `.await`: nothing can come in between.
//!
//! | file | what of the platform it speaks to |
//! |---|---|
//! | `shell` | the events themselves |
//! | `transaction`, `storage` | `ctx.storage`: SQLite |
//! | `clock` | the host's clock and the object's one alarm |
//! | `sockets` | WebSockets that outlive the object's memory |
//! | `http` | HTTP requests and responses |
//! | `gateway` | the Worker in front of the objects (feature `router`) |
//! | `js` | the JavaScript that the others call |
//!
//! Every call into the platform catches its exceptions. One that got past Rust would leave the
//! caller's promise unsettled, that is, a client without an answer.

mod clock;
#[cfg(feature = "router")]
mod gateway;
mod http;
mod js;
mod shell;
mod sockets;
mod storage;
mod transaction;

use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, durable_object,
};

use crate::lease::ProductionLeaseObject;
use crate::mailbox::ProductionMailboxObject;
use shell::Shell;

/// Exports a class of Durable Objects: all the platform's events, handed to a [`Shell`].
macro_rules! durable_class {
    ($(#[$doc:meta])* $class:ident, $object:ty) => {
        $(#[$doc])*
        #[durable_object]
        pub struct $class {
            shell: Shell<$object>,
        }

        impl DurableObject for $class {
            fn new(state: State, _: Env) -> Self {
                Self { shell: Shell::new(state, <$object>::wake) }
            }

            async fn fetch(&self, request: Request) -> Result<Response> {
                self.shell.request(request).await
            }

            async fn alarm(&self) -> Result<Response> {
                self.shell.alarm().await;
                Response::empty()
            }

            async fn websocket_message(
                &self,
                socket: WebSocket,
                message: WebSocketIncomingMessage,
            ) -> Result<()> {
                self.shell.message(&socket, &message).await;
                Ok(())
            }

            async fn websocket_close(
                &self,
                socket: WebSocket,
                code: usize,
                reason: String,
                _was_clean: bool,
            ) -> Result<()> {
                sockets::answer_close(&socket, code, &reason);
                self.shell.closed(&socket).await;
                Ok(())
            }

            async fn websocket_error(&self, socket: WebSocket, _: Error) -> Result<()> {
                self.shell.closed(&socket).await;
                Ok(())
            }
        }
    };
}

durable_class!(
    /// The leases of one workspace.
    LeaseDurableObject,
    ProductionLeaseObject
);

durable_class!(
    /// The mail of one workspace.
    MailboxDurableObject,
    ProductionMailboxObject
);
