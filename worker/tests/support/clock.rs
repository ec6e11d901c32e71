//! A host clock that stands still until a test moves it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use mailbus_spec::HostTime;
use mailbus_worker::native::HostClock;
use tokio::sync::oneshot;

use super::settle;

pub const NOON: u64 = 1_800_000_000_000;

/// Time until which somebody sleeps, and what wakes them.
type Sleeper = (Duration, oneshot::Sender<()>);

#[derive(Clone, Default)]
pub struct ManualClock {
    passed: Rc<Cell<Duration>>,
    /// Time by which the wall clock was set, in ms.
    set_by_ms: Rc<Cell<i64>>,
    sleepers: Rc<RefCell<Vec<Sleeper>>>,
}

impl ManualClock {
    /// Time that has passed.
    pub fn passed(&self) -> Duration {
        self.passed.get()
    }

    /// Sets the wall clock, ahead or back. Nobody is woken by that.
    pub fn set_wall_clock(&self, by_ms: i64) {
        self.set_by_ms.set(self.set_by_ms.get() + by_ms);
    }

    /// Lets time pass on both clocks and everybody who slept until then run.
    pub async fn advance(&self, by: Duration) {
        settle().await;
        self.passed.set(self.passed.get() + by);
        let all = self.sleepers.take();
        let (due, later): (Vec<_>, _) =
            all.into_iter().partition(|(until, _)| *until <= self.passed.get());
        self.sleepers.borrow_mut().extend(later);
        for (_, sleeper) in due {
            let _ = sleeper.send(());
        }
        settle().await;
    }
}

impl HostClock for ManualClock {
    fn now(&self) -> HostTime {
        let passed_ms = u64::try_from(self.passed.get().as_millis()).unwrap();
        HostTime((NOON + passed_ms).saturating_add_signed(self.set_by_ms.get()))
    }

    fn uptime(&self) -> Duration {
        self.passed.get()
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        self.sleepers.borrow_mut().push((self.passed.get() + duration, wake));
        Box::pin(async {
            let _ = woken.await;
        })
    }
}
