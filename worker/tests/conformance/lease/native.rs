//! Leases in this process: each command as a request, or as a frame over a socket of its holder.

use std::collections::BTreeMap;

use mailbus_conformance::Failure;
use mailbus_spec::Holder;
use mailbus_spec::lease::{Command, LeaseReply, Push};
use mailbus_spec::wire::lease::{encode_frame, encode_subscribe};
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::{Arrival, Delivered};
use mailbus_worker::object::{SocketId, Woken};

use super::{Leases, Way, speaker, spelling};
use crate::native::{InProcess, posted, subscribed};
use crate::spelling::broken;

type Case = crate::native::Case<Leases>;

/// Sockets of a case.
#[derive(Default)]
pub struct Lines {
    /// Those that listen for pushes.
    listening: BTreeMap<Holder, SocketId>,
    /// Those that commands come over; what is pushed to them is not looked at.
    calling: BTreeMap<Holder, SocketId>,
}

impl InProcess for Leases {
    type Object = ProductionLeaseObject;
    type Lines = Lines;

    const WAKE: fn(Woken) -> Self::Object = Self::Object::wake;

    fn call(self, case: &mut Case, command: &Command) -> Result<LeaseReply, Failure> {
        match self.0 {
            Way::Requests => case.request(command),
            Way::Frames => case.frame(command),
        }
    }

    fn tell(case: &mut Case, arrival: &Arrival<'_>) -> Result<(), Failure> {
        case.hear(arrival).map(drop)
    }

    fn connect(case: &mut Case, holder: &Holder) -> Result<(), Failure> {
        if !case.lines.listening.contains_key(holder) {
            let socket = case.open(holder)?;
            case.lines.listening.insert(holder.clone(), socket);
        }
        Ok(())
    }

    fn disconnect(case: &mut Case, holder: &Holder) -> Result<(), Failure> {
        match case.lines.listening.remove(holder) {
            Some(socket) => Self::tell(case, &Arrival::Closed { socket }),
            None => Ok(()),
        }
    }
}

impl Case {
    /// Delivers an event and hears what listeners are told.
    fn hear(&mut self, arrival: &Arrival<'_>) -> Result<Delivered, Failure> {
        let delivered = self.deliver(arrival)?;
        for (socket, text) in &delivered.frames {
            let mut listening = self.lines.listening.iter();
            let Some((holder, _)) = listening.find(|(_, listening)| *listening == socket) else {
                continue;
            };
            let mut notices = Vec::new();
            spelling::received(None, text, &mut notices)?;
            let to = |notice| Push { to: holder.clone(), notice };
            self.received.extend(notices.into_iter().map(to));
        }
        Ok(delivered)
    }

    fn request(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        let (action, body) = spelling::request(self.calls, command);
        let delivered = self.hear(&posted(action, &body))?;
        let response = delivered.response.ok_or_else(|| broken("no answer"))?;
        spelling::answered(self.calls, response.status, response.body.as_bytes())
    }

    fn frame(&mut self, command: &Command) -> Result<LeaseReply, Failure> {
        let holder = speaker(command);
        let socket = match self.lines.calling.get(&holder) {
            Some(socket) => *socket,
            None => {
                let socket = self.open(&holder)?;
                self.lines.calling.insert(holder, socket);
                socket
            }
        };
        let text = encode_frame(&[(self.calls, command)]);
        let delivered = self.hear(&Arrival::Frame { socket, text: &text })?;
        let mut reply = None;
        for (_, text) in delivered.frames.iter().filter(|(to, _)| *to == socket) {
            let found = spelling::received(Some(self.calls), text, &mut Vec::new())?;
            reply = reply.or(found);
        }
        reply.ok_or_else(|| broken("no reply"))
    }

    fn open(&mut self, holder: &Holder) -> Result<SocketId, Failure> {
        let delivered = self.hear(&subscribed(&encode_subscribe(holder)))?;
        delivered.accepted.ok_or_else(|| broken(format!("{:?}", delivered.response)))
    }
}
