//! Waiting, but not for ever.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
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

/// The output of `work`, or `None` if the monotonic instant `end` passes before there is one. Nothing
/// of `work` happens after `end`, however long the process was put aside in the meantime.
pub(crate) async fn until<K: Clocks, F: Future>(
    clocks: &K,
    end: Duration,
    work: F,
) -> Option<F::Output> {
    let mut work = pin!(work);
    let span = end.saturating_sub(clocks.reading().monotonic);
    let mut over = pin!(clocks.sleep(span));
    poll_fn(|context| {
        if clocks.reading().monotonic > end {
            return Poll::Ready(None);
        }
        match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => over.as_mut().poll(context).map(|()| None),
        }
    })
    .await
}
