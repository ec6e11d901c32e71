//! The production Durable Objects: the same code natively and in workerd.
//!
//! An object handles one event at a time and says what shall become of the world; a shell around it reads
//! the clock, opens the transaction and applies the effects. Arrows go down:
//!
//! | module | what it holds |
//! |---|---|
//! | `bin` | the programs: `mailbusd` on SQLite files, `mailbus-workerd` on the release bundle |
//! | `native` | the shell on a machine: server, event loops, namespaces of objects, SQLite |
//! | `durable` | the shell in the Workers runtime (on wasm32) |
//! | `workerd` | the runtime itself, started with the bundle for tests and programs |
//! | `bundle` | the set-up: from the sources to the files that a runtime loads |
//! | [`router`] | an HTTP request's way to its object: addresses, who is let in, media types |
//! | [`lease`], [`mailbox`] | the two objects: what differs between them at the endpoint and in the machine |
//! | `endpoint` | the endpoint of both: requests and frames in, answers and pushes out |
//! | `sql` | the SQL machine of both: waking, one event, the alarm, columns |
//! | [`machine`] | a machine as its endpoint needs it |
//! | [`object`] | the contract of an object and its shell: events in, effects out |
//! | [`storage`] | the seam to a database: two methods, where rows are counted |

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

#[cfg(all(feature = "deployment", not(target_arch = "wasm32")))]
pub mod bundle;
#[cfg(target_arch = "wasm32")]
pub mod durable;
mod endpoint;
pub mod lease;
pub mod machine;
pub mod mailbox;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod object;
pub mod router;
mod sql;
pub mod storage;
#[cfg(all(feature = "deployment", not(target_arch = "wasm32")))]
pub mod workerd;
