//! The production Durable Objects: the same code natively and in workerd.

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

#[cfg(not(target_arch = "wasm32"))]
pub mod bundle;
#[cfg(target_arch = "wasm32")]
pub mod durable;
pub mod lease;
pub mod mailbox;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod object;
pub mod router;
mod sql;
pub mod storage;
#[cfg(not(target_arch = "wasm32"))]
pub mod workerd;
