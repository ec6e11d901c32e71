//! Stories of agents and leases.
//!
//! | file | stories |
//! |---|---|
//! | `hold.rs` | holding a set with the production client |
//! | `manual.rs` | holding a set by plain commands, without renewal or belief |
//! | `original.rs` | holding a path as a client of the original's protocol |
//! | `query.rs` | questions, and what an admin does after one |
//! | `probe.rs` | the claim of every agent after the healing |

pub(super) mod hold;
pub(super) mod manual;
pub(super) mod original;
mod probe;
pub(super) mod query;

pub(super) use probe::probe;
