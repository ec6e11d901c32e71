//! Conformance of a system with the specification: one suite for every system.
//!
//! A [`SystemUnderTest`] says what it can do and answers commands; a [`Subject`] is a service
//! (leases, mailboxes) with the words to speak about it. The specification itself is the first system
//! ([`ModelSystem`]); production natively and in workerd are the others, outside this crate. Nothing
//! here knows a runtime, a network or a clock: a system brings its own.
//!
//! | kind of check | where | what it shows |
//! |---|---|---|
//! | scripts | [`script`] | that every rule, told as a story, is repeated word for word |
//! | differential | [`differential`] | that random histories from a seed are, too; a failing one is shrunk to a script |
//! | concurrent | [`linearize`] | that what many clients saw at once, through kills and restarts, has one order that the specification explains |
//!
//! The [`mutants`] of the specification are what a check has to be shown to find. The exhaustive search of both
//! machines and their metamorphic laws are tests of this crate (`tests/search`, `tests/laws`).
//!
//! # Two clocks
//!
//! With *exact time* the test sets the host's clock, and [`lockstep`] compares the system with the
//! specification event by event. On a *real clock* the commands are run as they come, and the
//! specification is replayed at the time that each reply's commit names; so real time needs no
//! tolerance. Alarms ring there when they like: their writes show as gaps in the sequence, and
//! [`linearize::explain`] finds events that fill them. Where sessions begin and end by command
//! ([`Sessions::HAS_SESSIONS`]) there is one client, and [`linearize::sequential`] follows every way in which
//! alarms may have rung between its calls; many at once are held against a [`ledger`] of promises.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "test machinery on numbers of its own; overflow would panic, which is a failed test"
)]

pub mod differential;
mod directive;
mod executor;
mod lease;
pub mod linearize;
pub mod lockstep;
mod mailbox;
mod model;
pub mod mutants;
mod notation;
pub mod realtime;
pub mod script;
mod subject;
mod system;

pub use directive::{Directive, needs};
pub use executor::block_on;
pub use lease::Agent as LeaseAgent;
pub use mailbox::ledger;
pub use model::ModelSystem;
pub use notation::{
    EXACT_START, Epoch, parse_duration, parse_offset, spell_duration, spell_offset,
};
pub use subject::{
    AnswerOf, Generate, Hints, Load, Pace, ReplyOf, Sessions, Shown, StepOf, Subject, Text,
};
pub use system::{Capabilities, Capability, Failure, Needs, Rows, SystemUnderTest};
