//! Waiting, but not for ever.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};

use crate::clocks::Clocks;

/// The output of `work`, or `None` if `span` passes by these clocks before there is one.
pub(crate) async fn within<K: Clocks, F: Future>(
    clocks: &K,
    span: Duration,
    work: F,
) -> Option<F::Output> {
    let mut work = pin!(work.fuse());
    let mut over = pin!(clocks.sleep(span).fuse());
    select_biased! {
        output = work => Some(output),
        () = over => None,
    }
}
