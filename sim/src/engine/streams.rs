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
use mailbus_worker::native::Host;
use turmoil::net::TcpStream;

use crate::clock::{MachineClocks, TrueTime};
use crate::engine::Stage;

/// The object's host, by name and port.
pub(crate) const OBJECT: &str = "object";
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

impl Host for ObjectHost {
    fn now(&self) -> HostTime {
        self.stage.host_now()
    }

    fn uptime(&self) -> Duration {
        Duration::from_micros(self.stage.now().0)
    }

    #[expect(clippy::disallowed_methods, reason = "simulated hosts sleep by turmoil's true time")]
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
