//! A namespace of toys, and what is asked of it and heard from it.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use mailbus_worker::native::{
    Completion, Databases, Namespace, NamespaceSettings, Objects, Outbox, Outgoing, Submitted,
};
use mailbus_worker::object::{Response, SocketId};

use super::clock::ManualClock;
use super::toy::{Toy, request};
use super::workspace;

pub fn namespace(clock: &ManualClock, databases: impl Databases + 'static) -> Namespace<Toy> {
    made(clock, databases, NamespaceSettings::default())
}

/// One that keeps so many databases open.
pub fn narrow(
    clock: &ManualClock,
    databases: impl Databases + 'static,
    open_databases: usize,
) -> Namespace<Toy> {
    let settings = NamespaceSettings { open_databases, ..NamespaceSettings::default() };
    made(clock, databases, settings)
}

fn made(
    clock: &ManualClock,
    databases: impl Databases + 'static,
    settings: NamespaceSettings,
) -> Namespace<Toy> {
    Namespace::new(Rc::new(clock.clone()), Rc::new(databases), settings, Toy::wake)
}

pub fn submit(namespace: &Namespace<Toy>, action: &str, body: &str) -> Submitted {
    submit_to(namespace, "w", action, body)
}

pub fn submit_to(namespace: &Namespace<Toy>, name: &str, action: &str, body: &str) -> Submitted {
    namespace.submit(&workspace(name), &request(action, body))
}

/// An answer that may leave by now; `None` if it is held.
pub fn response(submitted: &mut Submitted) -> Option<Response> {
    match submitted.now_or_never()? {
        Ok(Completion::Answered(response)) => Some(response),
        other => panic!("{other:?}"),
    }
}

/// The body of an answer that may leave by now; `None` if it is held.
pub fn answer(submitted: &mut Submitted) -> Option<String> {
    response(submitted).map(|response| response.body)
}

/// The status and the pause of an answer that has left.
pub fn status(submitted: &mut Submitted) -> (u16, Option<u32>) {
    let response = response(submitted).expect("it is held");
    (response.status, response.retry_after)
}

pub fn n(n: u32) -> Option<String> {
    Some(format!(r#"{{"n":{n}}}"#))
}

pub async fn subscribe(namespace: &Namespace<Toy>) -> (SocketId, Arc<Outbox>) {
    match submit(namespace, "subscribe", "").await.unwrap() {
        Completion::Accepted { socket, outbox } => (socket, outbox),
        other => panic!("{other:?}"),
    }
}

pub fn sent(outbox: &Outbox) -> Vec<Outgoing> {
    std::iter::from_fn(|| outbox.try_next()).collect()
}

/// Number of texts, and of events that the object has handled since it woke.
pub fn count(namespace: &Namespace<Toy>, name: &str) -> (u64, u64) {
    let told = answer(&mut submit_to(namespace, name, "count", "")).expect("it is held");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let number = |member: &str| told[member].as_u64().unwrap_or_else(|| panic!("{told}"));
    (number("n"), number("events"))
}

/// The texts that have left since the last look.
pub fn texts(outbox: &Outbox) -> Vec<String> {
    let text = |outgoing| match outgoing {
        Outgoing::Frame(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    sent(outbox).into_iter().map(text).collect()
}
