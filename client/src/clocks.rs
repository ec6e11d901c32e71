//! The client's clocks, as its shells see them.

use std::future::Future;
use std::time::Duration;

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

#[cfg(not(target_arch = "wasm32"))]
pub use system::SystemClocks;

#[cfg(not(target_arch = "wasm32"))]
mod system {
    #![expect(clippy::disallowed_methods, reason = "this is the shell that reads the clocks")]

    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    /// How many times the clocks are looked at when something came between the looks.
    const LOOKS: u32 = 4;
    /// How far apart two looks may be to count as one.
    const TOGETHER: Duration = Duration::from_micros(500);

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

        fn look(&self) -> Reading {
            let monotonic = self.monotonic();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Reading { monotonic, wall }
        }

        #[cfg(unix)]
        fn monotonic(&self) -> Duration {
            use rustix::time::{ClockId, clock_gettime};

            // Elsewhere `CLOCK_MONOTONIC` either counts sleep, or nothing does.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            const CLOCK: ClockId = ClockId::Boottime;
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            const CLOCK: ClockId = ClockId::Monotonic;

            let read = clock_gettime(CLOCK);
            Duration::try_from(read).unwrap_or_else(|_| self.origin.elapsed())
        }

        #[cfg(not(unix))]
        fn monotonic(&self) -> Duration {
            self.origin.elapsed()
        }
    }

    impl Default for SystemClocks {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Clocks for SystemClocks {
        fn reading(&self) -> Reading {
            // A process that is put aside between its two looks would see its clocks disagree.
            let mut reading = self.look();
            for _ in 1..LOOKS {
                if self.monotonic().saturating_sub(reading.monotonic) < TOGETHER {
                    break;
                }
                reading = self.look();
            }
            reading
        }

        fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
            tokio::time::sleep(span)
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

    /// The clocks of a Worker: its one clock as both, since there is no other. While an event computes it
    /// stands still when deployed; it moves whenever something comes in.
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
