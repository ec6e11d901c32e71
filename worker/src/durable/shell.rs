//! One event of the platform after the other, handed to the object it is for.

use std::cell::RefCell;

use wasm_bindgen::JsCast as _;
use worker::{Error, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage};

use crate::object::{self, Effects, Event, Object, Woken};
use crate::router;
use crate::storage::StorageError;

use super::js::JsStorage;
use super::sockets::{self, Socket, Touched};
use super::storage::SqlStorage;
use super::transaction::transaction;
use super::{clock, http};

/// An object and what the platform keeps for it.
///
/// Invariant: `object` is never borrowed across an `.await`. It is `None` before the first event and
/// after one that failed: its memory would be ahead of its storage.
pub(super) struct Shell<O> {
    state: State,
    wake: fn(Woken) -> O,
    object: RefCell<Option<O>>,
}

impl<O: Object> Shell<O> {
    pub(super) fn new(state: State, wake: fn(Woken) -> O) -> Self {
        sockets::answer_pings(&state);
        Self { state, wake, object: RefCell::new(None) }
    }

    /// An HTTP exchange, or the beginning of a WebSocket.
    pub(super) async fn request(&self, mut request: Request) -> Result<Response> {
        let body = http::read_body(&mut request).await?;
        let url = request.inner().url();
        let (path, query) = router::target(&url);
        let method = request.inner().method();
        let event = Event::Request(object::Request {
            method: &method,
            action: path.rsplit('/').next().unwrap_or_default(),
            query,
            upgrade: http::asks_for_upgrade(&request, &method)?,
            body: body.as_deref().into(),
        });
        match self.handle(event, None).await {
            Ok((_, Some(client))) => http::switch(&request, client),
            Ok((effects, None)) => {
                let charged = Some(object::charged(effects.rows, effects.alarm));
                let response = effects.response.unwrap_or_else(object::Response::failed);
                http::respond(object::Response { charged, ..response })
            }
            Err(_) => http::respond(object::Response::failed()),
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
    pub(super) async fn message(&self, websocket: &WebSocket, message: &WebSocketIncomingMessage) {
        let Some(socket) = Socket::of(websocket) else { return };
        match sockets::text_of(message) {
            Ok(text) => {
                let event =
                    Event::Frame { socket: socket.id, attachment: &socket.attachment, text };
                if self.handle(event, Some(&socket)).await.is_err() {
                    sockets::fail(websocket);
                }
            }
            Err((code, reason)) => {
                self.closed(websocket).await;
                let _ = websocket.close(Some(code), Some(reason));
            }
        }
    }

    /// A socket closed, broke or is about to be closed: it is nobody's from here on, however long its
    /// client takes to close it too.
    pub(super) async fn closed(&self, websocket: &WebSocket) {
        let Some(socket) = Socket::of(websocket) else { return };
        let event = Event::Closed { socket: socket.id, attachment: &socket.attachment };
        // Nobody waits for an answer, and the object forgets what it knew.
        let _ = self.handle(event, Some(&socket)).await;
        sockets::disown(websocket);
    }

    /// Handles one event and applies its effects, the answer to a request apart. With them comes the
    /// client's end of a socket that was accepted.
    async fn handle(
        &self,
        event: Event<'_>,
        own: Option<&Socket<'_>>,
    ) -> Result<(Effects, Option<WebSocket>), StorageError> {
        let storage = self.storage()?;
        let handled = match self.wake(&storage, own).await {
            // From here to the last effect nothing is awaited.
            Ok(()) => self.commit(&storage, event),
            Err(error) => Err(error),
        };
        match handled {
            Ok(effects) => {
                let client = self.apply(&storage, &effects, own);
                Ok((effects, client))
            }
            Err(error) => {
                worker::console_error!("{error}");
                Err(error)
            }
        }
    }

    /// Makes the object if it is not in memory.
    async fn wake(
        &self,
        storage: &JsStorage,
        own: Option<&Socket<'_>>,
    ) -> Result<(), StorageError> {
        if self.object.borrow().is_none() {
            let pending_alarm = clock::pending_alarm(storage).await?;
            self.object.borrow_mut().get_or_insert_with(|| {
                let needed = O::NEEDS_SOCKETS.then(|| sockets::kept(&self.state, own));
                (self.wake)(Woken { pending_alarm, sockets: needed.unwrap_or_default() })
            });
        }
        Ok(())
    }

    /// Lets the object handle the event inside a transaction, at the one reading of the clock.
    fn commit(&self, storage: &JsStorage, event: Event<'_>) -> Result<Effects, StorageError> {
        let now = clock::now();
        let mut slot = self.object.borrow_mut();
        let mut sql = SqlStorage::open(storage)?;
        let handled = match slot.as_mut() {
            Some(object) => transaction(storage, || object.handle(&mut sql, now, event)),
            None => Err(StorageError("the object is not in memory".into())),
        };
        if handled.is_err() {
            *slot = None;
        }
        handled
    }

    /// The new socket, attachments, frames, closes, alarm; in this order. What fails keeps nothing else
    /// from its effect. Returns the client's end of the new socket.
    fn apply(
        &self,
        storage: &JsStorage,
        effects: &Effects,
        own: Option<&Socket<'_>>,
    ) -> Option<WebSocket> {
        let mut believes_wrongly = false;
        let mut client = None;
        if let Some(accept) = &effects.accept {
            client = sockets::accept(&self.state, accept)
                .inspect_err(|error| worker::console_error!("a socket is not accepted: {error}"))
                .ok();
            believes_wrongly |= client.is_none();
        }
        // The new socket is among those that its tags name.
        let mut touched = Touched::new(&self.state, own);
        for (target, attachment) in &effects.attachments {
            touched.attach(target, attachment);
        }
        for (target, frame) in &effects.frames {
            touched.send(target, frame);
        }
        for (target, code, reason) in &effects.closes {
            touched.close(target, *code, reason);
        }
        if let Some(at) = effects.alarm
            && let Err(error) = clock::set_alarm(storage, at)
        {
            worker::console_error!("the alarm cannot be set: {error}");
            believes_wrongly = true;
        }
        if believes_wrongly {
            // It takes the socket for open, or the alarm for set. The next event's object will ask.
            *self.object.borrow_mut() = None;
        }
        client
    }

    fn storage(&self) -> Result<JsStorage, StorageError> {
        match self.state.as_raw().storage() {
            Ok(storage) => Ok(storage.unchecked_into()),
            Err(exception) => Err(StorageError(Error::from(exception).to_string())),
        }
    }
}
