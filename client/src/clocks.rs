//! The client's clocks, as its shells see them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use mailbus_spec::belief::Reading;

/// A client's two clocks, and a way to sleep by the monotonic one.
///
/// Everything in this crate that wants to know what time it is, or to wait, does it through this.
pub trait Clocks {
    /// One look at both clocks, taken as close together as can be.
    fn reading(&self) -> Reading;

    /// Sleeps for about `span` by the monotonic clock. It may take longer; who wakes looks again.
    fn sleep(&self, span: Duration) -> impl Future<Output = ()>;
}

/// Clocks that run while the process computes, so that a look at them tells what time it is *then*.
///
/// Whether a lease is still held is a question about now, and only such clocks can answer it. The one
/// clock of a Worker is none: deployed, it tells when something last came in, and ten seconds of computing
/// later it still does.
///
/// ```
/// use mailbus_client::clocks::RunningClocks;
/// use mailbus_client::lease::Lease;
///
/// fn may_write<K: RunningClocks>(lease: &Lease<K>) -> bool {
///     lease.is_valid()
/// }
/// ```
///
/// ```compile_fail,E0599
/// use mailbus_client::clocks::Clocks;
/// use mailbus_client::lease::Lease;
///
/// fn may_write<K: Clocks>(lease: &Lease<K>) -> bool {
///     lease.is_valid()
/// }
/// ```
pub trait RunningClocks: Clocks {}

impl<K: RunningClocks + ?Sized> RunningClocks for std::sync::Arc<K> {}

impl<K: RunningClocks + ?Sized> RunningClocks for std::rc::Rc<K> {}

impl<K: Clocks + ?Sized> Clocks for std::sync::Arc<K> {
    fn reading(&self) -> Reading {
        (**self).reading()
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        (**self).sleep(span)
    }
}

impl<K: Clocks + ?Sized> Clocks for std::rc::Rc<K> {
    fn reading(&self) -> Reading {
        (**self).reading()
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        (**self).sleep(span)
    }
}

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

#[cfg(not(target_arch = "wasm32"))]
pub use system::SystemClocks;

#[cfg(not(target_arch = "wasm32"))]
mod system {
    #![expect(clippy::disallowed_methods, reason = "this is the shell that reads the clocks")]

    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    #[cfg(unix)]
    use rustix::time::ClockId;

    use super::*;

    /// Number of times that the clocks are looked at when something came between the looks.
    const LOOKS: u32 = 4;
    /// Time that may lie between two looks that count as one.
    const TOGETHER: Duration = Duration::from_micros(500);

    /// Counts the time that the machine sleeps.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    /// Either counts the time that the machine sleeps, or nothing there does.
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    const CLOCK: ClockId = ClockId::Monotonic;

    /// The operating system's clocks: the wall clock, and a monotonic clock that counts the time a
    /// machine sleeps where there is one. Sleeps are tokio's.
    #[derive(Clone, Copy, Debug)]
    pub struct SystemClocks {
        origin: Instant,
    }

    impl SystemClocks {
        /// The clocks, counted from now.
        #[must_use]
        pub fn new() -> Self {
            Self { origin: Instant::now() }
        }

        #[cfg(unix)]
        fn monotonic(&self) -> Duration {
            let read = rustix::time::clock_gettime(CLOCK);
            Duration::try_from(read).unwrap_or_else(|_| self.origin.elapsed())
        }

        #[cfg(not(unix))]
        fn monotonic(&self) -> Duration {
            self.origin.elapsed()
        }
    }

    /// One look at both clocks: the wall clock between two looks at the monotonic one that are close
    /// together. A process that is put aside in between would see its clocks disagree, so it looks again.
    fn look(monotonic: impl Fn() -> Duration, wall: impl Fn() -> Duration) -> Reading {
        let look = || (Reading { monotonic: monotonic(), wall: wall() }, monotonic());
        let is_one = |(reading, after): &(Reading, Duration)| {
            after.saturating_sub(reading.monotonic) < TOGETHER
        };
        let mut last = look();
        for _ in 1..LOOKS {
            if is_one(&last) {
                break;
            }
            last = look();
        }
        last.0
    }

    impl Default for SystemClocks {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Clocks for SystemClocks {
        fn reading(&self) -> Reading {
            let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            look(|| self.monotonic(), wall)
        }

        fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
            tokio::time::sleep(span)
        }
    }

    impl RunningClocks for SystemClocks {}

    #[cfg(test)]
    mod tests {
        use std::cell::Cell;

        use super::*;

        /// Reading taken while the process is put aside `times` times between its looks.
        fn reading_when_put_aside(times: u32) -> Reading {
            let (now, left) = (Cell::new(Duration::ZERO), Cell::new(times));
            let wall = || {
                if let Some(fewer) = left.get().checked_sub(1) {
                    left.set(fewer);
                    now.set(now.get() + Duration::from_secs(1));
                }
                now.get()
            };
            look(|| now.get(), wall)
        }

        #[test]
        fn who_is_put_aside_between_two_looks_looks_again() {
            for times in 0..=3 {
                let Reading { monotonic, wall } = reading_when_put_aside(times);
                assert_eq!(monotonic, wall, "{times}");
            }
            // It does not look for ever: after that, the clocks disagree, and belief ends.
            let Reading { monotonic, wall } = reading_when_put_aside(4);
            assert_eq!(wall - monotonic, Duration::from_secs(1));
        }

        /// Runs this very test in a namespace whose machine has slept for a day.
        #[cfg(target_os = "linux")]
        #[test]
        fn the_time_that_a_machine_sleeps_passes_for_leases() {
            use std::process::Command;

            const INSIDE: &str = "MAILBUS_TEST_HAS_SLEPT";
            const NAME: &str =
                "clocks::system::tests::the_time_that_a_machine_sleeps_passes_for_leases";
            if std::env::var_os(INSIDE).is_some() {
                let awake = rustix::time::clock_gettime(ClockId::Monotonic);
                let awake = Duration::try_from(awake).unwrap();
                let asleep = SystemClocks::new().reading().monotonic.saturating_sub(awake);
                assert!(asleep >= Duration::from_secs(86_000), "{asleep:?}");
                return;
            }
            let slept = |program: &std::ffi::OsStr, arguments: &[&str]| {
                let mut unshare = Command::new("unshare");
                unshare.args(["--user", "--map-root-user", "--time", "--boottime", "86400"]);
                unshare.arg(program).args(arguments).env(INSIDE, "").output()
            };
            // Not every machine lets everybody make namespaces.
            if slept("true".as_ref(), &[]).is_ok_and(|output| output.status.success()) {
                let this = std::env::current_exe().unwrap();
                let output = slept(this.as_os_str(), &["--exact", NAME, "--nocapture"]).unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            } else {
                assert_eq!(CLOCK, ClockId::Boottime);
            }
        }
    }
}

#[cfg(target_arch = "wasm32")]
pub use worker_clocks::WorkerClocks;

#[cfg(target_arch = "wasm32")]
mod worker_clocks {
    use super::*;

    /// Longest sleep at a time: the platform's timers take no more than 2^31 ms.
    const SLEEP_MOST: Duration = Duration::from_secs(86_400);

    /// The clocks of a Worker: its one clock as both, since there is no other.
    ///
    /// Deployed, it stands still while an event computes, and moves whenever something comes in. That is
    /// enough to renew, to ask again and to give up, which all follow something that came in; not to
    /// tell in the middle of an event whether a lease is still held: these are no [`RunningClocks`]. That
    /// the two clocks disagree is never seen, so what [`ClockBound`](mailbus_spec::belief::ClockBound)
    /// promises rests on the platform's clock alone.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct WorkerClocks;

    impl Clocks for WorkerClocks {
        fn reading(&self) -> Reading {
            let now = Duration::from_millis(js_sys::Date::now() as u64);
            Reading { monotonic: now, wall: now }
        }

        fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
            worker::Delay::from(span.min(SLEEP_MOST))
        }
    }
}
