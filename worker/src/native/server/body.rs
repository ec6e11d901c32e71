//! Reading a body within its bounds.

use std::future::Future;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use mailbus_spec::limits::{BODY_DRAIN_BYTES, BODY_MAX_BYTES};

use crate::native::clock::HostClock;

/// Result of reading a body.
pub(super) enum Read {
    /// All of it.
    Whole(Vec<u8>),
    /// It was longer than allowed; it has been read and dropped.
    TooLarge,
    /// It was too long even for that: the connection cannot go on.
    Endless,
}

/// Rate at which a body has to come in the long run: 8 kB/s, pauses apart.
const BYTES_PER_SECOND: usize = 8_000;

/// The body broke off, paused for too long or took too long altogether.
#[derive(Debug)]
pub(super) struct Broken;

/// Reads a body and keeps at most `keep` bytes of it, itself at most [`BODY_MAX_BYTES`].
///
/// It may pause for `pause` at a time, and take that and its length at 8 kB/s altogether; one whose
/// length is not known, or too large, as long as the largest may.
pub(super) async fn read(
    mut body: Incoming,
    keep: usize,
    clock: &dyn HostClock,
    pause: Duration,
) -> Result<Read, Broken> {
    let keep = keep.min(BODY_MAX_BYTES);
    if body.size_hint().lower() > BODY_DRAIN_BYTES as u64 {
        return Ok(Read::Endless);
    }
    let length = body.size_hint().upper().and_then(|length| usize::try_from(length).ok());
    let until = clock.uptime().saturating_add(pause).saturating_add(time_of(length));
    let mut kept = Vec::new();
    let mut seen = 0_usize;
    loop {
        let left = until.saturating_sub(clock.uptime());
        let Some(frame) = within(clock, pause.min(left), body.frame()).await? else { break };
        let Ok(bytes) = frame.map_err(|_| Broken)?.into_data() else { continue };
        seen = seen.saturating_add(bytes.len());
        if seen <= keep {
            kept.extend_from_slice(&bytes);
        } else if seen <= BODY_DRAIN_BYTES {
            kept = Vec::new();
        } else {
            return Ok(Read::Endless);
        }
    }
    Ok(if seen <= keep { Read::Whole(kept) } else { Read::TooLarge })
}

/// Time that a body of this length takes at the least speed.
fn time_of(length: Option<usize>) -> Duration {
    let bytes = length.unwrap_or(BODY_MAX_BYTES).min(BODY_MAX_BYTES);
    Duration::from_millis(u64::try_from(bytes / (BYTES_PER_SECOND / 1_000)).unwrap_or(u64::MAX))
}

/// Result of `future` within the pause. What is there at once takes no timer.
async fn within<T>(
    clock: &dyn HostClock,
    pause: Duration,
    future: impl Future<Output = T> + Unpin,
) -> Result<T, Broken> {
    let mut future = future.fuse();
    if let Some(now) = (&mut future).now_or_never() {
        return Ok(now);
    }
    select_biased! {
        done = future => Ok(done),
        () = clock.sleep(pause).fuse() => Err(Broken),
    }
}
