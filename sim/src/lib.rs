//! The deterministic simulator of mailbus: many clients and both objects on a bad network with bad
//! clocks, and every invariant held against what was seen.
//!
//! Seeds make plans, and plans are the unit of failure; see [`plan`].

pub mod bugs;
pub mod clock;
pub mod command;
pub mod engine;
pub mod explore;
mod faults;
pub mod history;
pub mod invariants;
pub mod ledger;
pub mod mail_ledger;
pub mod marks;
pub mod plan;
pub mod report;
pub mod subject;
mod workload;
