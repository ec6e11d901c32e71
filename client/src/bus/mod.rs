//! The bus as the original has it: one trait, and its implementation over Cloudflare's Durable Objects.
//!
//! [`CloudflareMailBus`] works in three places: inside a Worker, over its bindings (`new`, on wasm32);
//! on any other machine, over HTTP and a WebSocket ([`open`](CloudflareMailBus::open)); and over whatever
//! a simulator connects it with ([`over`](CloudflareMailBus::over)).
//!
//! ```no_run
//! # #[cfg(not(target_arch = "wasm32"))]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use mailbus_client::bus::{CloudflareMailBus, Draft, MailBus, TASK_ASSIGNED};
//! use mailbus_client::transport::Endpoint;
//! use mailbus_spec::{AgentId, Workspace};
//!
//! let endpoint = Endpoint::new("http://127.0.0.1:8787", Workspace::new("team").unwrap())?;
//! let (bus, driver) = CloudflareMailBus::open(endpoint, AgentId::new("builder").unwrap())?;
//! let work = async {
//!     bus.subscribe(TASK_ASSIGNED, async |mail| {
//!         println!("{} asks for {:?}", mail.from(), mail.raw_payload());
//!         Ok(())
//!     })
//!     .await?;
//!     bus.initialize().await?;
//!     let planner = AgentId::new("planner").unwrap();
//!     bus.send_to(&planner, Draft::new("agent_ready").payload(&"at your service")?).await?;
//!     if bus.acquire_lease("src/lib.rs", Duration::from_secs(30)).await? {
//!         bus.release_lease("src/lib.rs").await?;
//!     }
//!     bus.shutdown().await?;
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! };
//! let (done, ()) = futures_util::future::join(work, driver.run()).await;
//! done
//! # }
//! ```
//!
//! # What is kept that the original only promised
//!
//! * A message to an agent that is away waits for it. A publish is repeated under the same id until the
//!   service has answered, and accepted once.
//! * A handler runs once per message and session; the message is settled after it has succeeded, and comes
//!   again, up to five times, after it has failed. One whose type has no handler is given back after
//!   five seconds, and so ends among the agent's dead letters, never in silence; if nobody has ever chosen
//!   what the agent is sent, it is settled and told as [`Unhandled`](BusEvent::Unhandled).
//! * A handler may take as long as it likes, unless [`a limit`](crate::session::mailbox::Config::handler_timeout)
//!   is set, which [`progress`](Mail::progress) extends. On a machine with threads the sessions have one of
//!   their own: a handler that blocks its thread or panics costs no lease and no connection, a panic is
//!   a failure like any other. Inside a Worker there is one thread and a clock that stands still while it
//!   computes: a handler had better await, and a panic ends the module with everything in it.
//! * A guard that a handler held when it was given up on, at its limit or in a shutdown, lapses instead of
//!   being given back: what the handler waited for may still be at work.
//! * Mail and leases are two sessions with two fates: when the agent's mail is taken over or refused, its
//!   leases go on.
//! * A lost connection is opened again, without end; [`shutdown`](MailBus::shutdown) is final. A second
//!   process of the same agent takes over, and the first is told so.

mod cloudflare;
mod dispatch;
mod driver;
mod error;
mod files;
mod handler;
mod runner;

use std::future::Future;
use std::time::Duration;

use mailbus_spec::AgentId;

pub use crate::mailbox::{Mail, Receipt};
pub use crate::session::mailbox::Draft;
pub use cloudflare::{CloudflareMailBus, Setup};
pub use dispatch::{BusEvent, Handlers};
#[cfg(not(target_arch = "wasm32"))]
pub use driver::NativeBusDriver;
pub use driver::{BusDriver, Sessions};
pub use error::BusError;
pub use handler::{HandlerError, HandlerResult, MaybeSend, MaybeSync};

/// Somebody is given a task.
pub const TASK_ASSIGNED: &str = "task_assigned";
/// A task is done.
pub const TASK_COMPLETED: &str = "task_completed";
/// A task has failed.
pub const TASK_FAILED: &str = "task_failed";
/// An agent is ready for work.
pub const AGENT_READY: &str = "agent_ready";
/// Progress of somebody.
pub const STATUS_UPDATE: &str = "status_update";
/// An agent is alive. Nobody keeps it.
pub const HEARTBEAT: &str = "heartbeat";
/// Somebody asks to be brought up to date.
pub const SYNC_REQUEST: &str = "sync_request";
/// Somebody is up to date.
pub const SYNC_COMPLETE: &str = "sync_complete";

/// A messaging bus and file-lease service, for one agent.
#[expect(async_fn_in_trait, reason = "whether a future is `Send` follows from the implementation")]
pub trait MailBus {
    /// Agent of the bus.
    fn agent_id(&self) -> &AgentId;

    /// Connects, and returns once the agent's session has begun. What there are handlers for by then is
    /// what the agent is subscribed to; without any, its subscriptions are as they were, and everything
    /// for an agent that has never chosen, until the first [`subscribe`](Self::subscribe) chooses.
    ///
    /// # Errors
    /// [`BusError`] if the service will not have the session. While it cannot be reached, this waits.
    async fn initialize(&self) -> Result<(), BusError>;

    /// Ends the bus for good. Handlers, acks and messages under way have a few seconds to be finished.
    /// Guards that are still held go on until they are dropped.
    ///
    /// # Errors
    /// [`BusError`]; the session is over all the same.
    async fn shutdown(&self) -> Result<(), BusError>;

    /// Gives a message to every agent that is subscribed to its type, the sender excepted.
    ///
    /// # Errors
    /// [`BusError`]. Unless it says that the outcome is unknown, the message was not accepted.
    async fn publish(&self, message: Draft) -> Result<Receipt, BusError>;

    /// Gives a message to one agent, which need not have connected yet.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    async fn send_to(&self, target: &AgentId, message: Draft) -> Result<Receipt, BusError>;

    /// Has messages of this type handled: of one type `x`, all types under a prefix `x.*`, or `*`.
    /// Several handlers of a message run one after the other, and it is done when all have succeeded.
    ///
    /// # Errors
    /// [`BusError`] if it is no type, or the service does not take the subscription.
    async fn subscribe<H, F>(&self, kind: &str, handler: H) -> Result<(), BusError>
    where
        H: Fn(Mail) -> F + MaybeSend + MaybeSync + 'static,
        F: Future<Output = HandlerResult> + MaybeSend + 'static;

    /// Takes back all [`subscribe`](Self::subscribe)s of this very type or pattern.
    ///
    /// # Errors
    /// [`BusError`] if it is no type, or the service does not answer.
    async fn unsubscribe(&self, kind: &str) -> Result<(), BusError>;

    /// Settles every pending message of the agent with this id, whoever sent it; returns how many. What a
    /// handler has succeeded with is settled without it.
    ///
    /// # Errors
    /// [`BusError`] if the service does not answer.
    async fn acknowledge(&self, message_id: &str) -> Result<u64, BusError>;

    /// Says that the agent is alive: to the service, and to who is subscribed to heartbeats.
    ///
    /// # Errors
    /// [`BusError`] if the service does not answer.
    async fn send_heartbeat(&self) -> Result<(), BusError>;

    /// Acquires a file for `ttl`; false if somebody else has it, or work of this agent's that was given
    /// up on may still be at it. It is not renewed, and lapses. What the agent holds already is
    /// extended to last for at least `ttl` from now; what a guard holds lasts as long as the guard. False too
    /// if an admin lets that drain: it is held to its end, which does not move, and may be given back.
    ///
    /// Dropped before it is answered, or without an answer, what was not held before is given back in the
    /// background.
    ///
    /// # Errors
    /// [`BusError`] if it is no file, if it is no time to live or one so short that the answer would come
    /// too late, or if the service does not answer.
    async fn acquire_lease(&self, file: &str, ttl: Duration) -> Result<bool, BusError>;

    /// Gives a file back, also by a spelling that [`acquire_lease`](Self::acquire_lease) refuses; false if
    /// the agent has not acquired it so, or holds it no more. A guard gives back what it holds by itself.
    ///
    /// # Errors
    /// [`BusError`] if it is no file, or the service does not answer. It may be asked again then.
    async fn release_lease(&self, file: &str) -> Result<bool, BusError>;

    /// True if anybody holds a file.
    ///
    /// # Errors
    /// [`BusError`] if it is no file, or the service does not answer.
    async fn is_leased(&self, file: &str) -> Result<bool, BusError>;
}
