//! Simulated hosts: their names, clocks, sleeps and streams.

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
use crate::sut::HostClocks;
use crate::world::Context;

/// The object's host, by name and port.
pub(crate) const OBJECT: &str = "object";
/// Name for requests: without credentials it answers to the names of its own machine alone.
pub(crate) const NAME: &str = "localhost";
/// The port it listens on.
pub(crate) const PORT: u16 = 80;

/// Milliseconds of one step of the network.
pub(crate) const TICK_MS: u64 = 10;

/// The name of a machine's host.
pub(crate) fn host_of(machine: u8) -> String {
    format!("machine-{machine}")
}

/// The clocks of an agent, which are those of its machine.
pub(crate) struct AgentClocks {
    pub context: Rc<Context>,
    pub clocks: Rc<MachineClocks>,
}

impl Clocks for AgentClocks {
    fn reading(&self) -> Reading {
        self.clocks.reading(self.context.now())
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        let now = self.context.now();
        let target = self.clocks.reading(now).monotonic.saturating_add(span);
        let until = self.clocks.when_monotonic(target, now).unwrap_or(TrueTime(u64::MAX / 2));
        self.context.sleep_until(until)
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
    pub context: Rc<Context>,
}

impl HostClock for ObjectHost {
    fn now(&self) -> HostTime {
        self.context.host_now()
    }

    fn uptime(&self) -> Duration {
        match self.context.sut.host_clocks {
            HostClocks::Two => {
                let shown_us = self.context.object_monotonic.shows(self.context.now());
                Duration::from_micros(u64::try_from(shown_us).unwrap_or(0))
            }
            HostClocks::WallAlone => Duration::from_millis(self.now().0),
        }
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        let clock = &self.context.object_monotonic;
        let now = self.context.now();
        let span_us = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let until = clock.first_showing(clock.shows(now).saturating_add(span_us), now);
        Box::pin(self.context.sleep_until(until.unwrap_or(TrueTime(u64::MAX / 2))))
    }
}
