//! The client of mailbus, as pure state machines over passed-in time and a loop around each.
//!
//! [`LeaseSession`](session::lease::LeaseSession) and
//! [`MailboxSession`](session::mailbox::MailboxSession) know no clock, no I/O, no task and no randomness
//! but a seed; they decide what to send, when to send it again, what may be believed and what
//! is handed to a handler. [`transport`] is the loops that carry them over HTTP and WebSockets or over
//! the bindings of a Worker, generic over what carries and over the clocks, so that a simulator runs
//! the very client that ships. [`lease`] and [`mailbox`] are what callers hold: clients, a guard that knows
//! when it stops being good, and deliveries that are settled when they are done. [`bus`] is both as the
//! original has them, in one trait.
//!
//! | module | what it holds |
//! |---|---|
//! | [`bus`] | the whole bus for an agent: mail, handlers and leases behind one trait |
//! | [`lease`], [`mailbox`] | what callers hold: clients, guards, deliveries |
//! | [`transport`] | the loop around each session, and what carries its commands: streams, TLS, proxies, bindings |
//! | [`session`] | the sessions themselves, without I/O |
//! | [`id`] | names and seeds of sessions, out of the system's randomness |
//! | [`clocks`], [`backoff`] | the two clocks of a client, and the pauses between attempts |
//!
//! # Which clock is which
//!
//! A lease is a promise about *another machine's* clock, so a client never compares a time of its own
//! with one from the wire. It reasons about elapsed time alone, and with two local clocks, since
//! either may lie:
//!
//! * The **monotonic clock** counts from an origin of its own. All deadlines and pauses of this crate
//!   are its instants, as a [`Duration`](std::time::Duration) since that origin. Where the platform
//!   has one that counts the time a machine sleeps, it is that one; where not, a suspended laptop
//!   does not see its leases pass.
//! * The **wall clock** sees a suspend, and may be set by anybody. It is written on messages for people
//!   to read, and else never shown nor sent.
//! * A [`Reading`](mailbus_spec::belief::Reading) is both, taken together. Belief needs *both* to say
//!   that the term has not passed; if one steps back, or they disagree by more than
//!   [`ClockBound`](mailbus_spec::belief::ClockBound) allows, all belief ends.
//! * Inside a Worker there is one clock, and it stands still while an event computes: nobody is told there
//!   [whether a lease is valid](lease::Lease::is_valid), since the answer could be minutes old.
//! * A [`Timestamp`](mailbus_spec::Timestamp) is the object's clock. It is passed on and never
//!   reckoned with.
//!
//! Belief in a grant counts from the reading taken *before the first byte of its first attempt* left,
//! so nothing that happens on the way can make it too long.
//!
//! # A run loop
//!
//! All that a session needs from outside, here with the specification's object in place of a network
//! and a clock that the example makes up:
//!
//! ```
//! use std::time::Duration;
//!
//! use mailbus_client::lease::path_set;
//! use mailbus_client::session::Session;
//! use mailbus_client::session::lease::{Acquisition, Config, Event, LeaseSession};
//! use mailbus_spec::belief::Reading;
//! use mailbus_spec::lease::LeaseMachine;
//! use mailbus_spec::machine::{self, StateMachine};
//! use mailbus_spec::{AgentId, Holder, HostTime, SessionId};
//!
//! let agent = AgentId::new("agent-1").unwrap();
//! let session = SessionId::new("run-1").unwrap();
//! let holder = Holder { agent, session };
//! let mut session = LeaseSession::new(holder, Config::default(), 1);
//! let mut object = LeaseMachine::default();
//!
//! let mut now = Duration::ZERO;
//! let read_clocks = |now| Reading { monotonic: now, wall: Duration::from_secs(9_999) + now };
//! let claim = session.acquire(read_clocks(now), Acquisition::new(path_set(["src/lib.rs"])?));
//!
//! while now < Duration::from_secs(60) {
//!     // 1. Time passes.
//!     session.handle_timeout(read_clocks(now));
//!     // 2. What is due leaves, with the clocks read before; what comes in goes in.
//!     while let Some(transmit) = session.poll_transmit(read_clocks(now)) {
//!         let host = HostTime(1_800_000_000_000 + now.as_millis() as u64);
//!         let step = object.handle(host, &machine::Event::Command(transmit.command));
//!         if let Some(reply) = step.reply {
//!             session.handle_reply(read_clocks(now), transmit.call, reply);
//!         }
//!     }
//!     // 3. Callers are told.
//!     while let Some(event) = session.poll_event() {
//!         if let Event::Acquired { token, .. } = event {
//!             println!("held under token {token}");
//!         }
//!     }
//!     // 4. Sleep until something is due.
//!     now = session.poll_timeout().expect("a held lease is renewed");
//! }
//! assert!(session.believes(read_clocks(now), claim), "renewed at a third of its 30 s");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A client
//!
//! The same with sockets:
//!
//! ```no_run
//! # #[cfg(not(target_arch = "wasm32"))]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use mailbus_client::lease::path_set;
//! use mailbus_client::session::lease::Acquisition;
//! use mailbus_client::transport::{self, Endpoint};
//! use mailbus_spec::{AgentId, Workspace};
//!
//! let endpoint = Endpoint::new("http://127.0.0.1:8787", Workspace::new("team").unwrap())?;
//! let (client, driver) = transport::open(endpoint, AgentId::new("agent-1").unwrap())?;
//! let work = async {
//!     let wanted = Acquisition::new(path_set(["src/lib.rs", "src/main.rs"])?)
//!         .patience(Duration::from_secs(60));
//!     let lease = client.acquire(wanted).await?;
//!     if lease.is_valid() {
//!         // Write, showing `lease.token()` to whoever can check it.
//!     }
//!     lease.release().await?;
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! };
//! futures_util::future::select(std::pin::pin!(work), std::pin::pin!(driver.run())).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Absent on purpose
//!
//! * No retry that takes silence for failure: what was not answered is *unknown*, counted in what is
//!   believed and cancelled when given up.
//! * No state that outlives the process: a restarted agent is another session, and waits for its
//!   old self's term like anybody else.
//! * No task on anybody's runtime, but inside a Worker, where the loop is one of its event's: on a
//!   machine with threads what [`open`](transport::open)s a session gives its loop one, which no work of
//!   the application holds up. And no timer but [`Clocks::sleep`](clocks::Clocks::sleep).

#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod abandon;
pub mod backoff;
pub mod bus;
pub mod clocks;
pub mod error;
mod handle;
pub mod id;
pub mod lease;
pub mod mailbox;
pub mod session;
pub mod transport;
