//! The clock of the benchmarks.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, pending};
use mailbus_spec::HostTime;
use mailbus_worker::native::HostClock;

/// Time at which the benchmarks begin, in milliseconds.
pub const NOON: u64 = 1_800_000_000_000;

/// A clock on which a millisecond passes with every look, so that every renewal moves a deadline and what
/// is over is let go of in the course of a benchmark.
#[derive(Default)]
pub struct TickingClock {
    looks: Cell<u64>,
}

impl HostClock for TickingClock {
    fn now(&self) -> HostTime {
        self.looks.set(self.looks.get() + 1);
        HostTime(NOON + self.looks.get())
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.looks.get())
    }

    fn sleep(&self, _: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(pending())
    }
}
