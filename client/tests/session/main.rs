//! The sessions against hand-made traces and against the specification's objects.
//!
//! Goal: every rule of spec/rules/leases.md#what-a-client-may-believe, of what a holder owes, and of
//! spec/rules/mailboxes.md#what-a-client-of-mailboxes-does has a trace here that fails without it. Method:
//! a session is driven by its public methods alone, at readings that the test makes up, so nothing sleeps.

mod lease;
mod mailbox;
mod network;
mod stage;
