//! Clocks of the machine that objects run on, and sleep by them.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use mailbus_spec::HostTime;

/// Clocks of the machine that objects run on: the system's, or those of a simulated host.
pub trait HostClock {
    /// The wall clock. It may step either way.
    fn now(&self) -> HostTime;

    /// The monotonic clock: time since some moment before the first call.
    fn uptime(&self) -> Duration;

    /// Ends when this much time has passed on the monotonic clock.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()>;

    /// Moment by both clocks.
    fn moment(&self) -> Moment {
        Moment { wall: self.now(), uptime: self.uptime() }
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: HostTime,
    /// The monotonic clock.
    pub uptime: Duration,
}

impl Moment {
    /// The monotonic clock, in whole milliseconds.
    #[must_use]
    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.uptime.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The clocks of this machine, through the tokio runtime it is used in.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// The clocks of this machine.
    #[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
    #[must_use]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl HostClock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
    fn now(&self) -> HostTime {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 is as implausible as 0, which every object refuses.
        HostTime(
            since_epoch.map_or(0, |passed| u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
