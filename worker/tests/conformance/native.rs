//! The production object natively: one instance in this process, on a clock, an alarm and a storage
//! that the suite holds in its hands.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use mailbus_conformance::{
    Capabilities, Capability, EXACT_START, Failure, Needs, Rows, SystemUnderTest,
};
use mailbus_spec::HostTime;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::{Arrival, Bookmark, Database, Delivered, Instance};
use mailbus_worker::object::{Body, Object, Request, Woken};

use super::spelling::broken;
use super::trials::{Client, CommandOf, PeerOf, PushOf, ReplyTo, Start};

/// A service as the suite speaks to its object in this process.
pub trait InProcess: Client {
    /// The production object.
    type Object: Object + 'static;
    /// Sockets of a case.
    type Lines: Default;

    /// Factory of the object.
    const WAKE: fn(Woken) -> Self::Object;

    /// Does one command, the case's latest call.
    fn call(
        self,
        case: &mut Case<Self>,
        command: &CommandOf<Self>,
    ) -> Result<ReplyTo<Self>, Failure>;

    /// Delivers an event that nobody waits for, and hears what sockets are told.
    fn tell(case: &mut Case<Self>, arrival: &Arrival<'_>) -> Result<(), Failure>;

    /// Opens a socket that listens.
    fn connect(_case: &mut Case<Self>, _peer: &PeerOf<Self>) -> Result<(), Failure> {
        Err(Failure::Unsupported(Capability::Sockets))
    }

    /// Closes it.
    fn disconnect(case: &mut Case<Self>, peer: &PeerOf<Self>) -> Result<(), Failure>;

    /// Ends what an object that was evicted has left open.
    fn evicted(_case: &mut Case<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// State of the system during a case.
pub struct Case<C: InProcess> {
    /// Number of commands so far.
    pub calls: u64,
    pub lines: C::Lines,
    pub received: Vec<PushOf<C>>,
    instance: Instance<C::Object>,
    host: HostTime,
    bookmarks: BTreeMap<String, Bookmark>,
    empty: Bookmark,
    rows: Rows,
}

/// The system.
pub struct Native<C: InProcess> {
    client: C,
    case: Option<Case<C>>,
}

impl<C: InProcess> Native<C> {
    fn case(&mut self) -> Result<&mut Case<C>, Failure> {
        self.case.as_mut().ok_or_else(|| broken("there is no case"))
    }
}

impl<C: InProcess> Case<C> {
    fn begin() -> Result<Self, Failure> {
        let database = Database::in_memory().map_err(broken)?;
        let mut instance = Instance::open(database, Sockets::default(), C::WAKE).map_err(broken)?;
        let empty = instance.bookmark().map_err(broken)?;
        Ok(Self {
            calls: 0,
            lines: C::Lines::default(),
            received: Vec::new(),
            instance,
            host: EXACT_START,
            bookmarks: BTreeMap::new(),
            empty,
            rows: Rows::default(),
        })
    }

    /// Delivers an event, and counts what it costs.
    pub fn deliver(&mut self, arrival: &Arrival<'_>) -> Result<Delivered, Failure> {
        let delivered = self.instance.deliver(self.host, arrival).map_err(broken)?;
        self.rows.rows += delivered.rows;
        self.rows.alarms += u64::from(delivered.alarm.is_some());
        Ok(delivered)
    }

    fn break_sockets(&mut self) {
        self.instance.crash();
        self.lines = C::Lines::default();
    }
}

/// The request of a command.
pub fn posted<'a>(action: &'a str, body: &'a str) -> Arrival<'a> {
    let body = Body::Whole(body.as_bytes());
    Arrival::Request(Request { method: "POST", action, query: "", upgrade: false, body })
}

/// The request of a socket.
pub fn subscribed(query: &str) -> Arrival<'_> {
    let body = Body::Whole(b"");
    Arrival::Request(Request { method: "GET", action: "subscribe", query, upgrade: true, body })
}

/// Start of the system.
#[derive(Clone, Copy)]
pub struct InThisProcess<C>(pub C);

impl<C: InProcess> Start for InThisProcess<C> {
    type Subject = C::Service;
    type System = Native<C>;

    fn name(self) -> String {
        self.0.name("native")
    }

    fn capabilities(self) -> Capabilities {
        use Capability::{Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets};
        Capabilities::of([Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets])
    }

    async fn start(self) -> Result<Native<C>, Failed> {
        Ok(Native { client: self.0, case: None })
    }
}

impl<C: InProcess> SystemUnderTest<C::Service> for Native<C> {
    fn name(&self) -> &str {
        "native"
    }

    fn capabilities(&self) -> Capabilities {
        InThisProcess(self.client).capabilities()
    }

    async fn begin(&mut self, _needs: &Needs) -> Result<(), Failure> {
        self.case = Some(Case::begin()?);
        Ok(())
    }

    async fn call(&mut self, command: &CommandOf<C>) -> Result<ReplyTo<C>, Failure> {
        let client = self.client;
        let case = self.case()?;
        case.calls += 1;
        client.call(case, command)
    }

    async fn sleep(&mut self, _ms: u64) {}

    async fn set_host(&mut self, host: HostTime) -> Result<(), Failure> {
        self.case()?.host = host;
        Ok(())
    }

    async fn connect(&mut self, peer: &PeerOf<C>) -> Result<(), Failure> {
        C::connect(self.case()?, peer)
    }

    async fn disconnect(&mut self, peer: &PeerOf<C>) -> Result<(), Failure> {
        C::disconnect(self.case()?, peer)
    }

    async fn received(&mut self) -> Result<Vec<PushOf<C>>, Failure> {
        Ok(std::mem::take(&mut self.case()?.received))
    }

    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        C::tell(self.case()?, &Arrival::Alarm)
    }

    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        Ok(self.case()?.instance.due_alarm())
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        let case = self.case()?;
        case.instance.evict();
        C::evicted(case)
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        self.case()?.break_sockets();
        Ok(())
    }

    async fn bookmark(&mut self, name: &str) -> Result<(), Failure> {
        let case = self.case()?;
        let bookmark = case.instance.bookmark().map_err(broken)?;
        case.bookmarks.insert(name.to_owned(), bookmark);
        Ok(())
    }

    async fn restore(&mut self, name: &str) -> Result<(), Failure> {
        let case = self.case()?;
        let bookmark = case.bookmarks.get(name).unwrap_or(&case.empty);
        case.instance.restore(bookmark).map_err(broken)?;
        case.break_sockets();
        Ok(())
    }

    fn rows_written(&mut self) -> Option<Rows> {
        Some(std::mem::take(&mut self.case.as_mut()?.rows))
    }
}
