//! One HTTP exchange: from hyper's request to an object and back.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use mailbus_spec::Workspace;
use mailbus_spec::limits::{BODY_DRAIN_BYTES, BODY_MAX_BYTES};
use mailbus_spec::wire::{Code, Problem};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::native::arrival::Arrival;
use crate::native::namespace::{Completion, Objects, Outbox, Stopped, Submitted};
use crate::object::{Body, CHARGED_HEADER, Request, Response, SocketId};
use crate::router::{self, Credentials, Route};

use super::Server;
use super::body::{self, Broken, Read};
use super::deadline::Deadline;
use super::guarded::Heads;

/// A connection that is becoming a WebSocket.
pub(super) struct Upgrade {
    pub(super) on: OnUpgrade,
    pub(super) objects: Rc<dyn Objects>,
    pub(super) workspace: Workspace,
    pub(super) socket: SocketId,
    pub(super) outbox: Arc<Outbox>,
}

/// The exchanges of one connection.
pub(super) struct Exchanger {
    server: Rc<Server>,
    deadline: Rc<Deadline>,
    heads: Heads,
    waiting: RefCell<Option<Waiting>>,
    upgrade: RefCell<Option<Upgrade>>,
}

/// An event whose outcome may not be told yet.
///
/// It is not the exchange's own: hyper drops that when the connection breaks, and a socket that the
/// event accepted would stay with its object for ever.
struct Waiting {
    objects: Rc<dyn Objects>,
    workspace: Workspace,
    submitted: Submitted,
}

/// There is no answer that would be true: the connection drops.
#[derive(Debug)]
pub(super) enum Dropped {
    /// The body broke off.
    Body,
    /// The object was stopped.
    Stopped,
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Body => "the body broke off",
            Self::Stopped => "the object was stopped",
        })
    }
}

impl std::error::Error for Dropped {}

impl From<Broken> for Dropped {
    fn from(Broken: Broken) -> Self {
        Self::Body
    }
}

impl From<Stopped> for Dropped {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

type HttpResponse = http::Response<Full<Bytes>>;

impl Exchanger {
    pub(super) fn new(server: Rc<Server>, deadline: Rc<Deadline>, heads: Heads) -> Self {
        let (waiting, upgrade) = (RefCell::default(), RefCell::default());
        Self { server, deadline, heads, waiting, upgrade }
    }

    /// Upgrade of the connection, once it has ended as HTTP.
    pub(super) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.take()
    }

    /// The connection is over: a socket that nobody took up is closed, once it may be.
    pub(super) async fn give_back(&self) {
        let Some(Waiting { objects, workspace, submitted }) = self.waiting.take() else { return };
        if let Ok(Completion::Accepted { socket, outbox }) = submitted.await {
            outbox.abandon();
            drop(objects.submit(&workspace, &Arrival::Closed { socket }));
        }
    }

    /// Delivers an event and waits until its outcome may be told.
    async fn submit(
        &self,
        objects: &Rc<dyn Objects>,
        workspace: &Workspace,
        arrival: &Arrival<'_>,
    ) -> Result<Completion, Stopped> {
        self.waiting.replace(Some(Waiting {
            objects: Rc::clone(objects),
            workspace: workspace.clone(),
            submitted: objects.submit(workspace, arrival),
        }));
        let told = poll_fn(|context| match self.waiting.borrow_mut().as_mut() {
            Some(waiting) => waiting.submitted.poll_unpin(context),
            None => Poll::Ready(Err(Stopped)),
        })
        .await;
        self.waiting.take();
        told
    }

    /// Answers one request.
    pub(super) async fn exchange(
        self: Rc<Self>,
        request: http::Request<Incoming>,
    ) -> Result<HttpResponse, Dropped> {
        let _serving = self.deadline.serve();
        if self.heads.next_is_ambiguous() {
            return Ok(rendered(ambiguous(), true));
        }
        let (mut head, incoming) = request.into_parts();
        let on = head.extensions.remove::<OnUpgrade>();
        let addressed = self.address(&head);
        let keep = if addressed.is_ok() { BODY_MAX_BYTES } else { 0 };
        let pause = self.server.settings.body_pause;
        let read = body::read(incoming, keep, &*self.server.clock, pause).await?;
        let (class, workspace, action) = match addressed {
            Err(refused) => return Ok(rendered(refused, matches!(read, Read::Endless))),
            Ok(Route::Version) => return Ok(rendered(router::version(), false)),
            Ok(Route::Object { class, workspace, action }) => (class, workspace, action),
        };
        let upgrade = match handshake(&head.method, &head.headers) {
            Ok(None) => None,
            Ok(Some(handshake)) => match on {
                Some(on) => Some((on, handshake)),
                None => return Ok(rendered(no_upgrade(), false)),
            },
            Err(refused) => return Ok(rendered(refused, false)),
        };
        let body = match &read {
            Read::Whole(bytes) => Body::Whole(bytes),
            Read::TooLarge => Body::TooLarge,
            Read::Endless => return Ok(rendered(endless(), true)),
        };
        let objects = self.server.classes.get(&class).map(Rc::clone);
        let Some(objects) = objects else { return Ok(rendered(router::not_found(), false)) };
        let arrival = Arrival::Request(Request {
            method: head.method.as_str(),
            action,
            query: head.uri.query().unwrap_or_default(),
            upgrade: upgrade.is_some(),
            body,
        });
        match (self.submit(&objects, &workspace, &arrival).await?, upgrade) {
            (Completion::Answered(response), _) => Ok(rendered(response, false)),
            (Completion::Accepted { socket, outbox }, Some((on, handshake))) => {
                self.upgrade.replace(Some(Upgrade { on, objects, workspace, socket, outbox }));
                self.heads.end();
                Ok(switching(&handshake))
            }
            (Completion::Accepted { socket, outbox }, None) => {
                outbox.abandon();
                drop(objects.submit(&workspace, &Arrival::Closed { socket }));
                Ok(rendered(Response::failed(), false))
            }
            (Completion::Refused(problem), _) => Ok(rendered(Response::from(&problem), false)),
            (Completion::Done, _) => Ok(rendered(Response::failed(), false)),
        }
    }

    /// Head of a request: who asks, for what, in which form.
    fn address<'a>(&self, head: &'a http::request::Parts) -> Result<Route<'a>, Response> {
        let text = |name: HeaderName| text_in(&head.headers, name);
        let (authorization, host, origin) = (text(AUTHORIZATION), text(HOST), text(ORIGIN));
        self.server.access.admit(Credentials {
            authorization: authorization.as_deref(),
            host: host.as_deref(),
            origin: origin.as_deref(),
        })?;
        let route = router::route(head.method.as_str(), head.uri.path())?;
        let route = self.server.settings.suspended.admit(route)?;
        if head.method == Method::POST {
            router::check_media_type(text(CONTENT_TYPE).as_deref())?;
        }
        Ok(route)
    }
}

/// A header's text: all its values with a comma between them. One that is not text is as good as a
/// wrong one.
fn text_in(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, str>> {
    let mut values = headers.get_all(name).into_iter().map(|value| value.to_str());
    let first = values.next()?.unwrap_or("\u{fffd}");
    Some(values.fold(Cow::Borrowed(first), |all, value| {
        Cow::Owned(format!("{all}, {}", value.unwrap_or("\u{fffd}")))
    }))
}

/// Answer to a request to become a WebSocket.
struct Handshake {
    /// Shows that the request was understood.
    accept: String,
    protocol: Option<&'static str>,
}

/// The handshake that accepts a request to become a WebSocket; `None` if it is not one.
fn handshake(method: &Method, headers: &HeaderMap) -> Result<Option<Handshake>, Response> {
    let text = |name| text_in(headers, name).unwrap_or_default();
    let has = |name: HeaderName, wanted: &str| {
        text(name).split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    if method != Method::GET || !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Ok(None);
    }
    if !has(SEC_WEBSOCKET_VERSION, "13") {
        let detail = "A WebSocket needs `Sec-WebSocket-Version: 13`.";
        return Err(Response::from(&Problem::new(Code::UpgradeRequired, detail)));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| {
        let detail = "A WebSocket needs `Sec-WebSocket-Key`.";
        Response::from(&Problem::new(Code::Malformed, detail))
    })?;
    Ok(Some(Handshake {
        accept: derive_accept_key(key.as_bytes()),
        protocol: router::subprotocol(&text(SEC_WEBSOCKET_PROTOCOL)),
    }))
}

/// It asks to become a WebSocket in a version of HTTP in which a connection cannot.
fn no_upgrade() -> Response {
    Response::from(&Problem::new(Code::UpgradeRequired, "A WebSocket begins as HTTP/1.1."))
}

/// Refusal of a request whose end depends on who reads it, so nothing after its head is read.
fn ambiguous() -> Response {
    Response::from(&Problem::new(
        Code::Malformed,
        "A request has `Content-Length` or `Transfer-Encoding`, and not both.",
    ))
}

fn endless() -> Response {
    Response::from(&Problem::new(
        Code::MessageTooLarge,
        format!(
            "A body is at most {BODY_MAX_BYTES} bytes; beyond {BODY_DRAIN_BYTES} it is not even read."
        ),
    ))
}

fn rendered(response: Response, close: bool) -> HttpResponse {
    let mut rendered = http::Response::new(Full::new(Bytes::from(response.body)));
    *rendered.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = rendered.headers_mut();
    let kind = if response.status < 400 { "application/json" } else { "application/problem+json" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = response.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(methods) = response.allow {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if let Some(rows) = response.charged {
        headers.insert(CHARGED_HEADER, HeaderValue::from(rows));
    }
    match response.status {
        401 => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        426 => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        _ => {}
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    rendered
}

fn switching(handshake: &Handshake) -> HttpResponse {
    let mut response = http::Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&handshake.accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = handshake.protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    response
}
