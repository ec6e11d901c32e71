//! The world of one simulation: what engines, faults and workload share.
//!
//! | file | what it holds |
//! |---|---|
//! | `context.rs` | plan, clocks, history and objects of one simulation |
//! | `hosts.rs` | simulated hosts: names, clocks, sleeps, streams |
//! | `hosted.rs` | one class of objects on its host |
//! | `operator.rs` | the operator: late copies, and commands after a restore |

pub(crate) mod context;
pub(crate) mod hosted;
pub(crate) mod hosts;
pub(crate) mod operator;

pub use context::Context;
