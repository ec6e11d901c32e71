//! The session against hand-made traces and against the specification's object.
//!
//! Goal: every rule of spec/rules/leases.md#what-a-client-may-believe and of what it owes has a trace
//! here that fails without it. Method: the session is driven by its public methods alone, at
//! readings that the test makes up, so nothing sleeps.

mod asking;
mod believing;
mod connecting;
mod ending;
mod random;
mod stage;
mod term;
mod world;
