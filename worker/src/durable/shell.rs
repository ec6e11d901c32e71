//! One event of the platform after the other, handed to the object it is for.

use std::cell::RefCell;

use wasm_bindgen::JsCast as _;
use worker::{Error, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage};

use crate::object::{self, Effects, Event, Object};
use crate::storage::StorageError;

use super::host::HostStorage;
use super::sockets::{self, Socket};
use super::storage::SqlStorage;
use super::transaction::transaction;
use super::{clock, exchange};

/// An object and what the platform keeps for it.
///
/// Invariant: `object` is never borrowed across an `.await`. It is `None` before the first event and
/// after one that failed: its memory would be ahead of its storage.
pub(super) struct Shell<O> {
    state: State,
    object: RefCell<Option<O>>,
}

impl<O: Object> Shell<O> {
    pub(super) fn new(state: State) -> Self {
        Self { state, object: RefCell::new(None) }
    }

    /// An HTTP exchange, or the beginning of a WebSocket.
    pub(super) async fn request(&self, mut request: Request) -> Result<Response> {
        let body = exchange::read_body(&mut request).await?;
        let url = request.url()?;
        let method = request.inner().method();
        let event = Event::Request(object::Request {
            method: &method,
            action: url.path().rsplit('/').next().unwrap_or_default(),
            query: url.query().unwrap_or_default(),
            upgrade: exchange::asks_for_upgrade(&request, &method)?,
            body: body.as_body(),
        });
        match self.handle(event, None).await {
            Ok(Effects { accept: Some(accept), .. }) => sockets::accept(&self.state, &accept),
            Ok(effects) => {
                let charged = Some(effects.charged());
                let response = effects.response.unwrap_or_else(object::Response::failed);
                exchange::respond(object::Response { charged, ..response })
            }
            Err(_) => exchange::respond(object::Response::failed()),
        }
    }

    /// The alarm rang. It must not fail: the platform gives up on an alarm that often does.
    pub(super) async fn alarm(&self) {
        if self.handle(Event::Alarm, None).await.is_err()
            && let Ok(storage) = self.storage()
            && let Err(error) = clock::set_alarm(&storage, clock::retry_at())
        {
            worker::console_error!("the alarm cannot be set again: {error}");
        }
    }

    /// A frame came in.
    pub(super) async fn message(&self, host: &WebSocket, message: &WebSocketIncomingMessage) {
        let Some(socket) = Socket::of(host) else { return };
        let Some(text) = sockets::text_of(host, message) else { return };
        let event = Event::Frame { socket: socket.id, attachment: &socket.attachment, text };
        if self.handle(event, Some(&socket)).await.is_err() {
            sockets::fail(host);
        }
    }

    /// A socket closed or broke.
    pub(super) async fn closed(&self, host: &WebSocket) {
        let Some(socket) = Socket::of(host) else { return };
        let event = Event::Closed { socket: socket.id, attachment: &socket.attachment };
        // Nobody waits for an answer, and the object forgets what it knew.
        let _ = self.handle(event, Some(&socket)).await;
    }

    /// Handles one event and applies its effects, the answer to a request apart.
    async fn handle(
        &self,
        event: Event<'_>,
        own: Option<&Socket<'_>>,
    ) -> Result<Effects, StorageError> {
        let storage = self.storage()?;
        let handled = match self.wake(&storage).await {
            // From here to the last effect nothing is awaited.
            Ok(()) => self.commit(&storage, event),
            Err(error) => Err(error),
        };
        match handled {
            Ok(effects) => {
                self.apply(&storage, &effects, own);
                Ok(effects)
            }
            Err(error) => {
                worker::console_error!("{error}");
                Err(error)
            }
        }
    }

    /// Makes the object if it is not in memory.
    async fn wake(&self, storage: &HostStorage) -> Result<(), StorageError> {
        if self.object.borrow().is_none() {
            let pending = clock::pending_alarm(storage).await?;
            self.object.borrow_mut().get_or_insert_with(|| O::wake(pending));
        }
        Ok(())
    }

    /// Lets the object handle the event inside a transaction, at the one reading of the clock.
    fn commit(&self, storage: &HostStorage, event: Event<'_>) -> Result<Effects, StorageError> {
        let host = clock::now();
        let mut slot = self.object.borrow_mut();
        let mut sql = SqlStorage::open(storage)?;
        let handled = match slot.as_mut() {
            Some(object) => transaction(storage, || object.handle(&mut sql, host, event)),
            None => Err(StorageError("the object is not in memory".into())),
        };
        if handled.is_err() {
            *slot = None;
        }
        handled
    }

    /// Attachments, frames, closes, alarm; in this order.
    fn apply(&self, storage: &HostStorage, effects: &Effects, own: Option<&Socket<'_>>) {
        for (id, attachment) in &effects.attachments {
            sockets::attach(&self.state, own, *id, attachment);
        }
        for (target, frame) in &effects.frames {
            sockets::send(&self.state, own, target, frame);
        }
        for (target, code, reason) in &effects.closes {
            sockets::close(&self.state, own, target, *code, reason);
        }
        if let Some(at) = effects.alarm
            && let Err(error) = clock::set_alarm(storage, at)
        {
            worker::console_error!("the alarm cannot be set: {error}");
            // It believes that the alarm is set. The next event's object will ask the platform.
            *self.object.borrow_mut() = None;
        }
    }

    fn storage(&self) -> Result<HostStorage, StorageError> {
        match self.state.as_raw().storage() {
            Ok(storage) => Ok(storage.unchecked_into()),
            Err(exception) => Err(StorageError(Error::from(exception).to_string())),
        }
    }
}
