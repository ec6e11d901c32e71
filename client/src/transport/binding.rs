//! The carrier over the bindings of a Worker: Durable Objects as they are called from another Worker,
//! or from the one that hosts them.
//!
//! Objects trust a binding, so nothing is said about who asks but in the commands themselves.

use futures_util::StreamExt;
use mailbus_spec::Workspace;
use mailbus_spec::wire::Problem;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use worker::{
    Headers, Method, ObjectNamespace, Request, RequestInit, Response, Stub, WebSocket,
    WebsocketEvent,
};

use super::carrier::{Answered, Broken, Carrier, Incoming, NoAnswer, Object, Socket, Unopened};

/// The close code of one who has nothing more to say.
const CLOSE_NORMAL: u16 = 1_000;

/// The objects of one workspace, through the namespaces they are bound as.
pub struct Bindings {
    mailbox: ObjectNamespace,
    lease: ObjectNamespace,
    workspace: Workspace,
}

impl Bindings {
    /// The objects of `workspace`.
    #[must_use]
    pub fn new(mailbox: ObjectNamespace, lease: ObjectNamespace, workspace: Workspace) -> Self {
        Self { mailbox, lease, workspace }
    }

    fn stub(&self, object: Object) -> worker::Result<Stub> {
        let namespace = match object {
            Object::Lease => &self.lease,
            Object::Mailbox => &self.mailbox,
        };
        namespace.get_by_name(self.workspace.as_str())
    }

    async fn post(&self, object: Object, action: &str, body: String) -> worker::Result<Answered> {
        let headers = Headers::new();
        headers.set("content-type", "application/json")?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(Some(body.into()));
        let request = Request::new_with_init(&url(action), &init)?;
        let mut response = self.stub(object)?.fetch_with_request(request).await?;
        let status = response.status_code();
        Ok(Answered { status, body: response.bytes().await? })
    }

    async fn upgrade(&self, object: Object, query: &str) -> worker::Result<Response> {
        let headers = Headers::new();
        headers.set("upgrade", "websocket")?;
        let mut init = RequestInit::new();
        init.with_method(Method::Get).with_headers(headers);
        let request = Request::new_with_init(&format!("{}?{query}", url("subscribe")), &init)?;
        self.stub(object)?.fetch_with_request(request).await
    }
}

/// An object looks at the last segment alone; the host is nobody's.
fn url(action: &str) -> String {
    format!("https://mailbus.internal/{action}")
}

impl Carrier for Bindings {
    type Socket = BindingSocket;

    async fn exchange(
        &self,
        object: Object,
        action: &str,
        body: String,
        may_leave: impl Fn() -> bool,
    ) -> Result<Answered, NoAnswer> {
        if !may_leave() {
            return Err(NoAnswer);
        }
        self.post(object, action, body).await.map_err(|_| NoAnswer)
    }

    async fn open(&self, object: Object, query: &str) -> Result<BindingSocket, Unopened> {
        let unsaid = |_| Unopened { why: None };
        let mut response = self.upgrade(object, query).await.map_err(unsaid)?;
        if response.status_code() != 101 {
            let body = response.text().await.map_err(unsaid)?;
            return Err(Unopened { why: Problem::from_json(&body).ok() });
        }
        match response.websocket() {
            Some(socket) => Ok(BindingSocket::new(socket)),
            None => Err(Unopened { why: None }),
        }
    }
}

/// An open WebSocket to an object.
pub struct BindingSocket {
    socket: WebSocket,
    incoming: UnboundedReceiver<Incoming>,
}

impl BindingSocket {
    fn new(socket: WebSocket) -> Self {
        let (sender, incoming) = unbounded_channel();
        let listener = socket.clone();
        worker::wasm_bindgen_futures::spawn_local(async move { listen(&listener, &sender).await });
        Self { socket, incoming }
    }
}

/// Passes on what comes in, until the socket is closed or nobody listens any more.
async fn listen(socket: &WebSocket, listener: &UnboundedSender<Incoming>) {
    // Listened to before it is accepted, it loses nothing.
    let Ok(mut events) = socket.events() else { return };
    if socket.accept().is_err() {
        return;
    }
    while let Some(event) = events.next().await {
        let incoming = match event {
            Ok(WebsocketEvent::Message(message)) => {
                message.text().map_or(Incoming::Sign, Incoming::Text)
            }
            Ok(WebsocketEvent::Close(event)) => Incoming::Closed(Some(event.code())),
            Err(_) => Incoming::Closed(None),
        };
        let closed = matches!(incoming, Incoming::Closed(_));
        if listener.send(incoming).is_err() || closed {
            return;
        }
    }
}

impl Socket for BindingSocket {
    async fn send(&mut self, text: String) -> Result<(), Broken> {
        self.socket.send_with_str(text).map_err(|_| Broken)
    }

    async fn ping(&mut self) -> Result<(), Broken> {
        self.send(mailbus_spec::wire::frame::PING.to_owned()).await
    }

    async fn next(&mut self) -> Incoming {
        self.incoming.recv().await.unwrap_or(Incoming::Closed(None))
    }

    async fn close(&mut self) {
        let _ = self.socket.close(Some(CLOSE_NORMAL), Some("done"));
    }
}

impl Drop for BindingSocket {
    fn drop(&mut self) {
        let _ = self.socket.close(Some(CLOSE_NORMAL), Some("done"));
    }
}
