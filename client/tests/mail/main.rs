//! The mail session against hand-made traces and against the specification's object.
//!
//! Goal: every rule of spec/rules/mailboxes.md#what-a-client-of-mailboxes-does has a trace here that fails
//! without it. Method: the session is driven by its public methods alone, at readings that the test makes
//! up, so nothing sleeps.

mod connecting;
mod delivering;
mod leaving;
mod operation;
mod publishing;
mod random;
mod settling;
mod stage;
mod verdict;
mod world;
