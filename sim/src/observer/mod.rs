//! Observers: what somebody who only hears an object knows of it, event by event.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lease`] | leases and tickets, by the lease object's own words |
//! | [`mailbox`] | messages, agents and deliveries, by the mailbox object's own words |

pub mod lease;
pub mod mailbox;
