//! One production mailbox object, natively, and the clients around it.

use mailbus_spec::HostTime;
use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{MailboxReply, Outcome};
use mailbus_spec::wire::mailbox::decode_reply;
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::{Arrival, Database, Delivered, Instance};
use mailbus_worker::object::{Body, Request, SocketId};

use crate::clock::NOON;
use crate::mail::message;

/// A request that begins a session which negotiates the largest window.
pub const NEGOTIATED: &str = "types=task.*&protocol=1&window=1024&windowBytes=16777216&agentId=";
/// A request that begins a session as the original's clients do.
pub const ORIGINAL: &str = "types=task.*&agentId=";

/// The object and its clock: a millisecond passes with every event, and alarms ring in time.
pub struct Mail {
    instance: Instance<ProductionMailboxObject>,
    host_ms: u64,
    published: u64,
}

impl Mail {
    /// The object of this database.
    ///
    /// # Panics
    /// If the database cannot be read.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let instance = Instance::open(database, Sockets::default(), ProductionMailboxObject::wake);
        let instance = instance.expect("an object");
        Self { instance, host_ms: NOON, published: 0 }
    }

    fn deliver(&mut self, arrival: &Arrival<'_>) -> Delivered {
        self.host_ms += 1;
        self.instance.deliver(HostTime(self.host_ms), arrival).expect("the storage works")
    }

    /// Rings the alarm if its time has come.
    pub fn ring(&mut self) {
        while self.instance.due_alarm().is_some_and(|due| due.0 <= self.host_ms) {
            self.deliver(&Arrival::Alarm);
        }
    }

    /// Lets time pass, and the alarm ring.
    pub fn pass_ms(&mut self, ms: u64) {
        self.host_ms += ms;
        self.ring();
    }

    /// Begins a session: [`NEGOTIATED`] or [`ORIGINAL`].
    ///
    /// # Panics
    /// If the object refuses it.
    pub fn connect(&mut self, kind: &str, agent: &str) -> SocketId {
        let query = format!("{kind}{agent}");
        let arrival = Arrival::Request(Request {
            method: "GET",
            action: "subscribe",
            query: &query,
            upgrade: true,
            body: Body::Whole(b""),
        });
        let delivered = self.deliver(&arrival);
        delivered.accepted.unwrap_or_else(|| panic!("{:?}", delivered.response))
    }

    /// Publishes one more message of an agent that is not connected.
    ///
    /// # Panics
    /// If the object refuses it.
    pub fn publish(&mut self) -> (Ordinal, Delivered) {
        self.published += 1;
        let body = message("sender", self.published);
        accepted(self.post("publish", &body))
    }

    /// Sends one more message to an agent.
    ///
    /// # Panics
    /// If the object refuses it.
    pub fn send(&mut self, to: &str) -> (Ordinal, Delivered) {
        self.published += 1;
        let message = message("sender", self.published);
        let body = format!(r#"{{"to":"{to}","message":{message}}}"#);
        accepted(self.post("send", &body))
    }

    fn post(&mut self, action: &str, body: &str) -> Delivered {
        self.deliver(&post(action, body))
    }

    /// A frame over a socket: each of these acknowledges something.
    ///
    /// # Panics
    /// If nothing became durable.
    pub fn acknowledge(&mut self, socket: SocketId, frame: &str) -> Delivered {
        let delivered = self.deliver(&Arrival::Frame { socket, text: frame });
        assert!(delivered.rows > 0, "{frame}: {:?}", delivered.frames);
        delivered
    }
}

/// An HTTP request with a body.
#[must_use]
pub fn post<'a>(action: &'a str, body: &'a str) -> Arrival<'a> {
    let body = Body::Whole(body.as_bytes());
    Arrival::Request(Request { method: "POST", action, query: "", upgrade: false, body })
}

/// The frame that acknowledges all up to a message.
#[must_use]
pub fn up_to(seq: Ordinal) -> String {
    format!(r#"{{"action":"acknowledge","upTo":{seq}}}"#)
}

/// The frame that acknowledges these messages.
#[must_use]
pub fn these(seqs: &[Ordinal]) -> String {
    let seqs: Vec<String> = seqs.iter().map(Ordinal::to_string).collect();
    format!(r#"{{"action":"acknowledge","seqs":[{}]}}"#, seqs.join(","))
}

/// The `seq` of an accepted message, and what its event sends.
fn accepted(delivered: Delivered) -> (Ordinal, Delivered) {
    let body = delivered.response.as_ref().map(|response| response.body.as_str());
    let received = decode_reply(200, body.unwrap_or_default().as_bytes());
    match received.map(|received| received.result) {
        Ok(Ok(MailboxReply { answer: Ok(Outcome::Accepted { seq, .. }), .. })) => (seq, delivered),
        other => panic!("{other:?}"),
    }
}
