//! Bench of endpoints for tests: one workspace on the native runtime, spoken to as clients do.

use std::sync::Arc;

use mailbus_spec::HostTime;
use serde_json::Value;

use crate::native::sockets::Sockets;
use crate::native::{Arrival, Database, Delivered, Instance};
use crate::object::{Body, Object, Request, Response, SocketId, Woken};

/// Host time of every event, if it is not said otherwise.
pub(crate) const NOON: u64 = 1_800_000_000_000;

/// One workspace, with an empty database.
pub(crate) struct Workspace<O>(pub Instance<O>);

impl<O: Object + 'static> Workspace<O> {
    /// One with these sockets, which another object accepted.
    pub fn with(sockets: Sockets, wake: fn(Woken) -> O) -> Self {
        Self(Instance::open(Database::in_memory().unwrap(), sockets, wake).unwrap())
    }

    pub fn deliver(&mut self, arrival: &Arrival<'_>) -> Delivered {
        self.0.deliver(HostTime(NOON), arrival).unwrap()
    }

    pub fn request(&mut self, method: &str, action: &str, body: Body<'_>) -> Response {
        let request = Request { method, action, query: "", upgrade: false, body };
        self.deliver(&Arrival::Request(request)).response.unwrap()
    }

    pub fn post(&mut self, action: &str, body: &Value) -> Delivered {
        let text = body.to_string();
        let body = Body::Whole(text.as_bytes());
        let request = Request { method: "POST", action, query: "", upgrade: false, body };
        self.deliver(&Arrival::Request(request))
    }

    pub fn try_subscribe(&mut self, query: &str) -> Delivered {
        self.deliver(&Arrival::Request(subscription(query)))
    }

    pub fn subscribe(&mut self, query: &str) -> SocketId {
        self.try_subscribe(query).accepted.unwrap()
    }

    pub fn frame(&mut self, socket: SocketId, frame: &Value) -> Delivered {
        self.deliver(&Arrival::Frame { socket, text: &frame.to_string() })
    }

    /// Checks that what is not there is not found; `action` is there, and posted.
    pub fn knows_only(&mut self, action: &str) {
        for body in [Body::Whole(b"{}"), Body::TooLarge] {
            for method in ["GET", "POST", "DELETE"] {
                let response = self.request(method, "nothing", body);
                assert_eq!(code(&response), (404, "not_found".to_owned()), "{method}");
            }
            let response = self.request("GET", action, body);
            assert_eq!(code(&response), (405, "method_not_allowed".to_owned()));
            assert_eq!(response.allow, Some("POST"));
        }
        let response = self.request("POST", action, Body::TooLarge);
        assert_eq!(code(&response), (413, "message_too_large".to_owned()));
    }

    /// A socket begins as an upgrade.
    pub fn upgrades_to_subscribe(&mut self) {
        let response = self.request("GET", "subscribe", Body::Whole(b""));
        assert_eq!(code(&response), (426, "upgrade_required".to_owned()));
        let response = self.request("POST", "subscribe", Body::Whole(b""));
        assert_eq!((response.status, response.allow), (405, Some("GET")));
        assert_eq!(refused(&self.try_subscribe("session=1")), (400, "malformed".to_owned()));
    }
}

/// The request of a subscription.
pub(crate) fn subscription(query: &str) -> Request<'_> {
    Request { method: "GET", action: "subscribe", query, upgrade: true, body: Body::Whole(b"") }
}

/// The frames of an event, read.
pub(crate) fn frames(delivered: &Delivered) -> Vec<(SocketId, Value)> {
    let read =
        |(socket, text): &(SocketId, Arc<str>)| (*socket, serde_json::from_str(text).unwrap());
    delivered.frames.iter().map(read).collect()
}

/// The body of an event's answer, read.
pub(crate) fn body(delivered: &Delivered) -> Value {
    serde_json::from_str(&delivered.response.as_ref().unwrap().body).unwrap()
}

/// Status and code of an answer.
pub(crate) fn code(response: &Response) -> (u16, String) {
    let body: Value = serde_json::from_str(&response.body).unwrap();
    (response.status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// Status and code of the answer that refuses a socket.
pub(crate) fn refused(delivered: &Delivered) -> (u16, String) {
    assert_eq!(delivered.accepted, None);
    code(delivered.response.as_ref().unwrap())
}
