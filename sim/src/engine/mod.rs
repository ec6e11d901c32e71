//! Engines: what makes a plan happen.
//!
//! [`network`] runs it on turmoil: the production client over simulated streams, HTTP, WebSocket and
//! the production objects, at true times, under the plan's clocks.

pub(crate) mod agent;
mod alarms;
mod beliefs;
pub mod network;
pub(crate) mod object;

pub use network::{run, run_until_healed};
