//! A host whose clocks stand still until a test moves them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use mailbus_spec::HostTime;
use mailbus_worker::native::Host;
use tokio::sync::oneshot;

use super::settle;

pub const NOON: u64 = 1_800_000_000_000;

/// Until when somebody sleeps, and what wakes them.
type Sleeper = (Duration, oneshot::Sender<()>);

#[derive(Clone, Default)]
pub struct ManualHost {
    passed: Rc<Cell<Duration>>,
    sleepers: Rc<RefCell<Vec<Sleeper>>>,
}

impl ManualHost {
    /// Lets time pass and everybody who slept until then run.
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

impl Host for ManualHost {
    fn now(&self) -> HostTime {
        HostTime(NOON + u64::try_from(self.passed.get().as_millis()).unwrap())
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
