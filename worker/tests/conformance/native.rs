//! The production object natively: one instance in this process, on a clock, an alarm and a storage
//! that the suite holds in its hands.

use std::collections::BTreeMap;

use mailbus_conformance::{
    Capabilities, Capability, EXACT_START, Failure, Needs, Rows, SystemUnderTest,
};
use mailbus_spec::lease::{Command, LeaseMachine, LeaseReply, Push};
use mailbus_spec::wire::lease::{encode_frame, encode_subscribe};
use mailbus_spec::{AgentId, Holder, HostTime, SessionId};
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::{Arrival, Bookmark, Database, Delivered, Instance};
use mailbus_worker::object::{Body, Request, SocketId};
use mailbus_worker::storage::StorageError;

use super::spelling;

/// Ways in which commands reach an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Each as an HTTP request.
    Requests,
    /// Each as a frame over a socket of its holder.
    Frames,
}

/// What is there during a case.
struct Case {
    instance: Instance<ProductionLeaseObject>,
    host: HostTime,
    /// Sockets that listen for pushes.
    listening: BTreeMap<Holder, SocketId>,
    /// Sockets that commands come over; what is pushed to them is not looked at.
    calling: BTreeMap<Holder, SocketId>,
    received: Vec<Push>,
    bookmarks: BTreeMap<String, Bookmark>,
    empty: Bookmark,
    calls: u64,
    rows: Rows,
}

/// The system.
pub struct Native {
    way: Way,
    case: Option<Case>,
}

fn failed(error: StorageError) -> Failure {
    Failure::Broken(error.to_string())
}

fn gone() -> Failure {
    Failure::Broken("there is no case".to_owned())
}

impl Native {
    pub fn new(way: Way) -> Self {
        Self { way, case: None }
    }

    fn case(&mut self) -> Result<&mut Case, Failure> {
        self.case.as_mut().ok_or_else(gone)
    }
}

impl Case {
    fn begin() -> Result<Self, StorageError> {
        let mut instance = Instance::open(
            Database::in_memory()?,
            Sockets::default(),
            ProductionLeaseObject::wake,
        )?;
        let empty = instance.bookmark()?;
        Ok(Self {
            instance,
            host: EXACT_START,
            listening: BTreeMap::new(),
            calling: BTreeMap::new(),
            received: Vec::new(),
            bookmarks: BTreeMap::new(),
            empty,
            calls: 0,
            rows: Rows::default(),
        })
    }

    fn deliver(&mut self, arrival: &Arrival<'_>) -> Result<Delivered, Failure> {
        let delivered = self.instance.deliver(self.host, arrival).map_err(failed)?;
        self.rows.rows += delivered.rows;
        self.rows.alarms += u64::from(delivered.alarm.is_some());
        for (socket, text) in &delivered.frames {
            let listener = self.listening.iter().find(|(_, listening)| *listening == socket);
            let Some((holder, _)) = listener else { continue };
            let mut notices = Vec::new();
            spelling::received(None, text, &mut notices)?;
            let to = holder.clone();
            self.received.extend(notices.into_iter().map(|notice| Push { to: to.clone(), notice }));
        }
        Ok(delivered)
    }

    fn request(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        let (action, body) = spelling::request(self.calls, command);
        let request = Request {
            method: "POST",
            action,
            query: "",
            upgrade: false,
            body: Body::Whole(body.as_bytes()),
        };
        let delivered = self.deliver(&Arrival::Request(request))?;
        let response = delivered.response.ok_or_else(|| Failure::Broken("no answer".to_owned()))?;
        spelling::answered(self.calls, response.status, response.body.as_bytes())
    }

    fn frame(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        let holder = speaker(command);
        let socket = match self.calling.get(&holder) {
            Some(socket) => *socket,
            None => {
                let socket = self.open(&holder)?;
                self.calling.insert(holder, socket);
                socket
            }
        };
        let text = encode_frame(&[(self.calls, command)]);
        let delivered = self.deliver(&Arrival::Frame { socket, text: &text })?;
        let mut reply = None;
        for (to, text) in &delivered.frames {
            if *to == socket {
                let found = spelling::received(Some(self.calls), text, &mut Vec::new())?;
                reply = reply.or(found);
            }
        }
        reply.ok_or_else(|| Failure::Broken("no reply".to_owned()))
    }

    fn open(&mut self, holder: &Holder) -> Result<SocketId, Failure> {
        let query = encode_subscribe(holder);
        let request = Request {
            method: "GET",
            action: "subscribe",
            query: &query,
            upgrade: true,
            body: Body::Whole(b""),
        };
        let delivered = self.deliver(&Arrival::Request(request))?;
        delivered.accepted.ok_or_else(|| Failure::Broken(format!("{:?}", delivered.response)))
    }

    fn break_sockets(&mut self) {
        self.instance.crash();
        self.listening.clear();
        self.calling.clear();
    }
}

/// Whose socket a command goes over; questions and an admin's commands have one of their own.
pub fn speaker(command: &Command) -> Holder {
    match command {
        Command::Acquire(acquire) => acquire.holder().clone(),
        Command::Renew { holder, .. }
        | Command::Release { holder, .. }
        | Command::Cancel { holder, .. } => holder.clone(),
        _ => Holder {
            agent: AgentId::new("observer").expect("a valid name"),
            session: SessionId::original(),
        },
    }
}

impl SystemUnderTest<LeaseMachine> for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn capabilities(&self) -> Capabilities {
        use Capability::{Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets};
        Capabilities::of([Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets])
    }

    async fn begin(&mut self, _needs: &Needs) -> Result<(), Failure> {
        self.case = Some(Case::begin().map_err(failed)?);
        Ok(())
    }

    async fn call(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        let way = self.way;
        let case = self.case()?;
        case.calls += 1;
        match way {
            Way::Requests => case.request(command),
            Way::Frames => case.frame(command),
        }
    }

    async fn sleep(&mut self, _ms: u64) {}

    async fn set_host(&mut self, host: HostTime) -> Result<(), Failure> {
        self.case()?.host = host;
        Ok(())
    }

    async fn connect(&mut self, holder: &Holder) -> Result<(), Failure> {
        let case = self.case()?;
        if !case.listening.contains_key(holder) {
            let socket = case.open(holder)?;
            case.listening.insert(holder.clone(), socket);
        }
        Ok(())
    }

    async fn disconnect(&mut self, holder: &Holder) -> Result<(), Failure> {
        let case = self.case()?;
        if let Some(socket) = case.listening.remove(holder) {
            case.deliver(&Arrival::Closed { socket })?;
        }
        Ok(())
    }

    async fn received(&mut self) -> Result<Vec<Push>, Failure> {
        Ok(std::mem::take(&mut self.case()?.received))
    }

    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        self.case()?.deliver(&Arrival::Alarm).map(drop)
    }

    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        Ok(self.case()?.instance.due_alarm())
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        self.case()?.instance.evict();
        Ok(())
    }

    async fn crash(&mut self) -> Result<(), Failure> {
        self.case()?.break_sockets();
        Ok(())
    }

    async fn bookmark(&mut self, name: &str) -> Result<(), Failure> {
        let case = self.case()?;
        let bookmark = case.instance.bookmark().map_err(failed)?;
        case.bookmarks.insert(name.to_owned(), bookmark);
        Ok(())
    }

    async fn restore(&mut self, name: &str) -> Result<(), Failure> {
        let case = self.case()?;
        let bookmark = case.bookmarks.get(name).unwrap_or(&case.empty);
        case.instance.restore(bookmark).map_err(failed)?;
        case.break_sockets();
        Ok(())
    }

    fn rows_written(&mut self) -> Option<Rows> {
        Some(std::mem::take(&mut self.case.as_mut()?.rows))
    }
}
