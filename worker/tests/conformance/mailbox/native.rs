//! Mailboxes in this process. Commands over a session are frames, all others requests.

use std::collections::BTreeMap;

use mailbus_conformance::Failure;
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxReply};
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::{Arrival, Delivered};
use mailbus_worker::object::{SocketId, Woken};

use super::Mailboxes;
use super::spelling::{self, Heard};
use crate::native::{InProcess, posted, subscribed};
use crate::spelling::broken;

type Case = crate::native::Case<Mailboxes>;

/// The socket of a session.
#[derive(Clone, Copy)]
struct Line {
    socket: SocketId,
    negotiated: bool,
}

/// Sockets of a case.
#[derive(Default)]
pub struct Lines {
    open: BTreeMap<Connection, Line>,
    /// Sockets that the object has closed and whose other end has not said so yet.
    closing: BTreeMap<Connection, Line>,
}

impl InProcess for Mailboxes {
    type Object = ProductionMailboxObject;
    type Lines = Lines;

    const WAKE: fn(Woken) -> Self::Object = Self::Object::wake;

    fn call(self, case: &mut Case, command: &Command) -> Result<MailboxReply, Failure> {
        match (&command.over, spelling::query(&command.ask)) {
            (None, Some(query)) => case.connect(&command.ask, &query),
            (None, None) => case.post(&command.ask),
            (Some(over), _) => case.frame(over, &command.ask),
        }
    }

    fn tell(case: &mut Case, arrival: &Arrival<'_>) -> Result<(), Failure> {
        case.hear(arrival, None).map(drop)
    }

    fn disconnect(case: &mut Case, session: &Connection) -> Result<(), Failure> {
        match case.lines.open.remove(session) {
            Some(Line { socket, .. }) => Self::tell(case, &Arrival::Closed { socket }),
            None => Ok(()),
        }
    }

    fn evicted(case: &mut Case) -> Result<(), Failure> {
        case.finish_closes()
    }
}

impl Case {
    /// Delivers an event and hears what every session is told. `asking` is the socket that waits for a
    /// reply; what a new socket is told comes back apart.
    fn hear(
        &mut self,
        arrival: &Arrival<'_>,
        asking: Option<SocketId>,
    ) -> Result<(Delivered, Heard, Heard), Failure> {
        let delivered = self.deliver(arrival)?;
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
            let to = self.lines.open.iter().find(|(_, line)| line.socket == *socket);
            let (to, _) = to.ok_or_else(|| broken("a frame for a socket that is not open"))?;
            self.received.extend(spelling::pushes(to, heard.notices));
        }
        for (socket, code, reason) in &delivered.closes {
            let to = self.lines.open.iter().find(|(_, line)| line.socket == *socket);
            let (to, line) = to.ok_or_else(|| broken("a close of a socket that is not open"))?;
            let (to, line) = (to.clone(), *line);
            let notice = spelling::closed(*code, reason)?;
            self.received.extend(spelling::pushes(&to, vec![notice]));
            self.lines.open.remove(&to);
            self.lines.closing.insert(to, line);
        }
        Ok((delivered, asked, new))
    }

    fn post(&mut self, ask: &Ask) -> Result<MailboxReply, Failure> {
        let (action, body) = spelling::request(self.calls, ask)?;
        let (delivered, ..) = self.hear(&posted(action, &body), None)?;
        let response = delivered.response.ok_or_else(|| broken("no answer"))?;
        spelling::answered(self.calls, ask, response.status, response.body.as_bytes())
    }

    fn connect(&mut self, ask: &Ask, query: &str) -> Result<MailboxReply, Failure> {
        let (delivered, _, new) = self.hear(&subscribed(query), None)?;
        let Some(socket) = delivered.accepted else {
            let response = delivered.response.ok_or_else(|| broken("no answer"))?;
            return spelling::answered(self.calls, ask, response.status, response.body.as_bytes());
        };
        let reply = new.connected.ok_or_else(|| broken("a socket without `$connected`"))?;
        let session = spelling::begun(ask, &reply).ok_or_else(|| broken("no session began"))?;
        let negotiated = matches!(ask, Ask::Connect { window: Some(_), .. });
        self.received.extend(spelling::pushes(&session, new.notices));
        self.lines.open.insert(session, Line { socket, negotiated });
        Ok(reply)
    }

    fn frame(&mut self, over: &Connection, ask: &Ask) -> Result<MailboxReply, Failure> {
        let Some(line) = self.lines.open.get(over).copied() else {
            return self.late_frame(over, ask);
        };
        let text = spelling::frame(self.calls, ask, line.negotiated)?;
        let arrival = Arrival::Frame { socket: line.socket, text: &text };
        let (_, asked, _) = self.hear(&arrival, Some(line.socket))?;
        asked.reply.ok_or_else(|| broken("no reply"))
    }

    /// A frame over a socket that the object has closed: nothing comes of it.
    fn late_frame(&mut self, over: &Connection, ask: &Ask) -> Result<MailboxReply, Failure> {
        if let Some(line) = self.lines.closing.get(over).copied()
            && let Ok(text) = spelling::frame(self.calls, ask, line.negotiated)
        {
            let arrival = Arrival::Frame { socket: line.socket, text: &text };
            let delivered = self.deliver(&arrival)?;
            if delivered != Delivered::default() {
                return Err(broken(format!("a session that is over came to {delivered:?}")));
            }
        }
        let probed = self.post(&spelling::probe().ask)?;
        Ok(spelling::over_a_closed_socket(ask, probed))
    }

    /// The other ends of closed sockets say so; the object makes nothing of it.
    fn finish_closes(&mut self) -> Result<(), Failure> {
        for line in std::mem::take(&mut self.lines.closing).into_values() {
            let arrival = Arrival::Closed { socket: line.socket };
            let delivered = self.deliver(&arrival)?;
            if delivered != Delivered::default() {
                return Err(broken(format!("a close that was answered came to {delivered:?}")));
            }
        }
        Ok(())
    }
}
