//! The production object natively: one instance in this process, on a clock, an alarm and a storage
//! that the suite holds in its hands. Commands over a session are frames, all others requests.

use std::collections::BTreeMap;

use mailbus_conformance::{
    Capabilities, Capability, EXACT_START, Failure, Needs, Rows, SystemUnderTest,
};
use mailbus_spec::HostTime;
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxMachine, MailboxReply, Push};
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::{Arrival, Bookmark, Database, Delivered, Instance};
use mailbus_worker::object::{Body, Request, SocketId};
use mailbus_worker::storage::StorageError;

use super::spelling::{self, Heard, broken};

/// The socket of a session.
#[derive(Clone, Copy)]
struct Line {
    socket: SocketId,
    negotiated: bool,
}

/// What is there during a case.
struct Case {
    instance: Instance<ProductionMailboxObject>,
    host: HostTime,
    open: BTreeMap<Connection, Line>,
    /// Sockets that the object has closed and whose other end has not said so yet.
    closing: BTreeMap<Connection, Line>,
    received: Vec<Push>,
    bookmarks: BTreeMap<String, Bookmark>,
    empty: Bookmark,
    calls: u64,
    rows: Rows,
}

/// The system.
#[derive(Default)]
pub struct Native {
    case: Option<Case>,
}

fn failed(error: StorageError) -> Failure {
    broken(error)
}

impl Native {
    fn case(&mut self) -> Result<&mut Case, Failure> {
        self.case.as_mut().ok_or_else(|| broken("there is no case"))
    }
}

impl Case {
    fn begin() -> Result<Self, StorageError> {
        let mut instance = Instance::open(
            Database::in_memory()?,
            Sockets::default(),
            ProductionMailboxObject::wake,
        )?;
        let empty = instance.bookmark()?;
        Ok(Self {
            instance,
            host: EXACT_START,
            open: BTreeMap::new(),
            closing: BTreeMap::new(),
            received: Vec::new(),
            bookmarks: BTreeMap::new(),
            empty,
            calls: 0,
            rows: Rows::default(),
        })
    }

    /// Delivers an event and hears what every session is told. `asking` is the socket that waits for a
    /// reply; what a new socket is told comes back apart.
    fn deliver(
        &mut self,
        arrival: &Arrival<'_>,
        asking: Option<SocketId>,
    ) -> Result<(Delivered, Heard, Heard), Failure> {
        let delivered = self.instance.deliver(self.host, arrival).map_err(failed)?;
        self.rows.rows += delivered.rows;
        self.rows.alarms += u64::from(delivered.alarm.is_some());
        let (mut asked, mut new) = (Heard::default(), Heard::default());
        for (socket, text) in &delivered.frames {
            let waits = asking == Some(*socket);
            let heard = spelling::heard(waits.then_some(self.calls), text)?;
            if delivered.accepted == Some(*socket) {
                new.connected = new.connected.or(heard.connected);
                new.notices.extend(heard.notices);
                continue;
            }
            if heard.connected.is_some() {
                return Err(broken("a session began twice"));
            }
            asked.reply = asked.reply.or(heard.reply);
            let to = self.open.iter().find(|(_, line)| line.socket == *socket);
            let (to, _) = to.ok_or_else(|| broken("a frame for a socket that is not open"))?;
            self.received.extend(spelling::pushes(to, heard.notices));
        }
        for (socket, code, reason) in &delivered.closes {
            let to = self.open.iter().find(|(_, line)| line.socket == *socket);
            let (to, line) = to.ok_or_else(|| broken("a close of a socket that is not open"))?;
            let (to, line) = (to.clone(), *line);
            let notice = spelling::closed(*code, reason)?;
            self.received.extend(spelling::pushes(&to, vec![notice]));
            self.open.remove(&to);
            self.closing.insert(to, line);
        }
        Ok((delivered, asked, new))
    }

    fn post(&mut self, ask: &Ask) -> Result<MailboxReply, Failure> {
        let (action, body) = spelling::request(self.calls, ask)?;
        let request = Request {
            method: "POST",
            action,
            query: "",
            upgrade: false,
            body: Body::Whole(body.as_bytes()),
        };
        let (delivered, ..) = self.deliver(&Arrival::Request(request), None)?;
        let response = delivered.response.ok_or_else(|| broken("no answer"))?;
        spelling::answered(self.calls, ask, response.status, response.body.as_bytes())
    }

    fn connect(&mut self, ask: &Ask, query: &str) -> Result<MailboxReply, Failure> {
        let request = Request {
            method: "GET",
            action: "subscribe",
            query,
            upgrade: true,
            body: Body::Whole(b""),
        };
        let (delivered, _, new) = self.deliver(&Arrival::Request(request), None)?;
        let Some(socket) = delivered.accepted else {
            let response = delivered.response.ok_or_else(|| broken("no answer"))?;
            return spelling::answered(self.calls, ask, response.status, response.body.as_bytes());
        };
        let reply = new.connected.ok_or_else(|| broken("a socket without `$connected`"))?;
        let session = spelling::begun(ask, &reply).ok_or_else(|| broken("no session began"))?;
        let negotiated = matches!(ask, Ask::Connect { window: Some(_), .. });
        self.received.extend(spelling::pushes(&session, new.notices));
        self.open.insert(session, Line { socket, negotiated });
        Ok(reply)
    }

    fn frame(&mut self, over: &Connection, ask: &Ask) -> Result<MailboxReply, Failure> {
        let Some(line) = self.open.get(over).copied() else {
            return self.late_frame(over, ask);
        };
        let text = spelling::frame(self.calls, ask, line.negotiated)?;
        let arrival = Arrival::Frame { socket: line.socket, text: &text };
        let (_, asked, _) = self.deliver(&arrival, Some(line.socket))?;
        asked.reply.ok_or_else(|| broken("no reply"))
    }

    /// A frame over a socket that the object has closed: nothing comes of it.
    fn late_frame(&mut self, over: &Connection, ask: &Ask) -> Result<MailboxReply, Failure> {
        if let Some(line) = self.closing.get(over).copied()
            && let Ok(text) = spelling::frame(self.calls, ask, line.negotiated)
        {
            let arrival = Arrival::Frame { socket: line.socket, text: &text };
            let delivered = self.instance.deliver(self.host, &arrival).map_err(failed)?;
            if delivered != Delivered::default() {
                return Err(broken(format!("a session that is over came to {delivered:?}")));
            }
        }
        let probed = self.post(&spelling::probe().ask)?;
        Ok(spelling::over_a_closed_socket(ask, probed))
    }

    /// The other ends of closed sockets say so; the object makes nothing of it.
    fn finish_closes(&mut self) -> Result<(), Failure> {
        for line in std::mem::take(&mut self.closing).into_values() {
            let arrival = Arrival::Closed { socket: line.socket };
            let delivered = self.instance.deliver(self.host, &arrival).map_err(failed)?;
            if delivered != Delivered::default() {
                return Err(broken(format!("a close that was answered came to {delivered:?}")));
            }
        }
        Ok(())
    }

    fn break_sockets(&mut self) {
        self.instance.crash();
        self.open.clear();
        self.closing.clear();
    }
}

impl SystemUnderTest<MailboxMachine> for Native {
    fn name(&self) -> &str {
        "mailbox-native"
    }

    fn capabilities(&self) -> Capabilities {
        use Capability::{Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets};
        Capabilities::of([Alarm, Bulk, Crash, Evict, ExactTime, Rollback, Sockets])
    }

    async fn begin(&mut self, _needs: &Needs) -> Result<(), Failure> {
        self.case = Some(Case::begin().map_err(failed)?);
        Ok(())
    }

    async fn call(&mut self, command: &Command) -> Result<MailboxReply, Failure> {
        let case = self.case()?;
        case.calls += 1;
        match (&command.over, spelling::query(&command.ask)) {
            (None, Some(query)) => case.connect(&command.ask, &query),
            (None, None) => case.post(&command.ask),
            (Some(over), _) => case.frame(over, &command.ask),
        }
    }

    async fn sleep(&mut self, _ms: u64) {}

    async fn set_host(&mut self, host: HostTime) -> Result<(), Failure> {
        self.case()?.host = host;
        Ok(())
    }

    async fn disconnect(&mut self, session: &Connection) -> Result<(), Failure> {
        let case = self.case()?;
        if let Some(line) = case.open.remove(session) {
            case.deliver(&Arrival::Closed { socket: line.socket }, None)?;
        }
        Ok(())
    }

    async fn received(&mut self) -> Result<Vec<Push>, Failure> {
        Ok(std::mem::take(&mut self.case()?.received))
    }

    async fn ring_alarm(&mut self) -> Result<(), Failure> {
        self.case()?.deliver(&Arrival::Alarm, None).map(drop)
    }

    async fn pending_alarm(&mut self) -> Result<Option<HostTime>, Failure> {
        Ok(self.case()?.instance.due_alarm())
    }

    async fn evict(&mut self) -> Result<(), Failure> {
        let case = self.case()?;
        case.instance.evict();
        case.finish_closes()
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
