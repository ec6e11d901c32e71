//! Streams, sleeps and clocks of simulated hosts.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use mailbus_client::clocks::{Clocks, RunningClocks};
use mailbus_client::transport::{Authority, Connector};
use mailbus_spec::HostTime;
use mailbus_spec::belief::Reading;
use mailbus_worker::native::HostClock;
use turmoil::net::TcpStream;

use crate::clock::{MachineClocks, TrueTime};
use crate::engine::Stage;
use crate::sut::HostClocks;

/// The object's host, by name and port.
pub(crate) const OBJECT: &str = "object";
/// What requests call it: without credentials it answers to the names of its own machine alone.
pub(crate) const NAME: &str = "localhost";
/// The port it listens on.
pub(crate) const PORT: u16 = 80;

/// Sleeps until a true instant.
#[expect(clippy::disallowed_methods, reason = "simulated hosts sleep by turmoil's true time")]
pub(crate) fn sleep_until(stage: &Stage, until: TrueTime) -> tokio::time::Sleep {
    tokio::time::sleep(Duration::from_micros(until.0.saturating_sub(stage.now().0)))
}

/// The clocks of an agent, which are those of its machine.
pub(crate) struct AgentClocks {
    pub stage: Rc<Stage>,
    pub clocks: Rc<MachineClocks>,
}

impl Clocks for AgentClocks {
    fn reading(&self) -> Reading {
        self.clocks.reading(self.stage.now())
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        let now = self.stage.now();
        let target = self.clocks.reading(now).monotonic.saturating_add(span);
        let until = self.clocks.when_monotonic(target, now).unwrap_or(TrueTime(u64::MAX / 2));
        sleep_until(&self.stage, until)
    }
}

impl RunningClocks for AgentClocks {}

/// Opens simulated streams to the object.
pub(crate) struct SimulatedNetwork;

impl Connector for SimulatedNetwork {
    type Stream = TcpStream;

    async fn connect(&self, _authority: &Authority) -> io::Result<TcpStream> {
        TcpStream::connect((OBJECT, PORT)).await
    }
}

/// The host that runs the object.
pub(crate) struct ObjectHost {
    pub stage: Rc<Stage>,
}

impl HostClock for ObjectHost {
    fn now(&self) -> HostTime {
        self.stage.host_now()
    }

    fn uptime(&self) -> Duration {
        match self.stage.sut.host_clocks {
            HostClocks::Two => {
                let shown_us = self.stage.object_monotonic.shows(self.stage.now());
                Duration::from_micros(u64::try_from(shown_us).unwrap_or(0))
            }
            HostClocks::WallAlone => Duration::from_millis(self.now().0),
        }
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        let clock = &self.stage.object_monotonic;
        let now = self.stage.now();
        let span_us = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let until = clock.first_showing(clock.shows(now).saturating_add(span_us), now);
        Box::pin(sleep_until(&self.stage, until.unwrap_or(TrueTime(u64::MAX / 2))))
    }
}
