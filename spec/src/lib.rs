//! Specification of the mailbus objects, as pure state machines over passed-in time.
//!
//! This crate knows no clock, no I/O, no randomness and no async: every event carries the one
//! reading of its host's clock, and the same events give the same answers for ever. It is the
//! judge of the project. The production objects (`mailbus-worker`) share its vocabulary — ids,
//! commands, outcomes, rejections, limits, the wire — and none of its transitions, so that
//! comparing the two compares two things.
//!
//! # Which time is which
//!
//! * [`HostTime`] is what a server's wall clock says. It may step either way.
//! * [`Timestamp`] is an *object's* time: host time through a [`Clock`], which never lets an
//!   expiry be taken back. All deadlines on the wire are of this kind.
//! * [`belief::Reading`] is a *client's* pair of local clocks. It is never compared with the two
//!   above: a client reasons about elapsed time alone.
//!
//! # Where things are
//!
//! | module | what it holds |
//! |---|---|
//! | [`rules`] | what the machines do and why, in prose: the pages of `spec/rules` |
//! | [`time`], [`ordinal`], [`id`], [`path`], [`limits`] | the checked words everything is said in |
//! | [`machine`], [`service`] | state machines: an event in, a reply, a commit and pushes out; and the kinds of them |
//! | [`invariant`] | named claims about a service, and their checks on a state or a step |
//! | [`lease`] | the lease machine: commands, answers, state, transitions, invariants |
//! | [`mailbox`] | the mailbox machine: messages, sessions, deliveries |
//! | [`belief`] | what a client may conclude from a grant, and the bound it rests on |
//! | [`wire`] | the one place that knows JSON |

#![no_std]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

pub mod belief;
pub mod id;
pub mod invariant;
pub mod lease;
pub mod limits;
pub mod machine;
pub mod mailbox;
pub mod ordinal;
pub mod path;
pub mod rules;
pub mod service;
pub mod time;
pub mod wire;

pub use id::{AgentId, Holder, RequestId, SessionId, Workspace};
pub use machine::{Commit, Reply, StateMachine, Step};
pub use ordinal::Ordinal;
pub use path::{LeasePath, PathSet};
pub use service::Service;
pub use time::{Clock, HostTime, Timestamp, Ttl, Wait};
