//! Support that the tests of the native shell share.
//!
//! Each test file uses a part of it.
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

pub mod bad_input;
pub mod bad_mail;
pub mod bundle;
pub mod clock;
pub mod daemon;
pub mod disk;
pub mod flush;
pub mod http;
pub mod large;
pub mod objects;
pub mod preload;
pub mod served;
pub mod toy;

use std::future::Future;

use mailbus_spec::Workspace;
use tokio::task::LocalSet;

/// Runs on one thread, where local tasks may be spawned.
pub fn on_event_loop<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// Lets every other task run until it waits for something.
pub async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

pub fn workspace(name: &str) -> Workspace {
    Workspace::new(name).unwrap()
}
