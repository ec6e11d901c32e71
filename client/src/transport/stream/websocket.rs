//! A WebSocket over a byte stream.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request};
use http_body_util::Empty;
use mailbus_spec::limits;
use mailbus_spec::wire::Problem;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Streams;
use super::connector::Connector;
use super::upgrade::{Upgraded, upgrade};
use crate::transport::carrier::{Broken, Incoming, Object, Socket, Unopened};

/// An open WebSocket over a stream of a [`Connector`].
pub struct StreamSocket<S>(WebSocketStream<S>);

impl<C: Connector> Streams<C> {
    pub(super) async fn open_socket(
        &self,
        object: Object,
        query: &str,
    ) -> Result<StreamSocket<C::Stream>, Unopened> {
        const UNSAID: Unopened = Unopened { why: None };
        let key = generate_key();
        let request = self.upgrade_request(object, query, &key).map_err(|_| UNSAID)?;
        let stream = self.connect().await.map_err(|_| UNSAID)?;
        match upgrade(stream, request).await.map_err(|_| UNSAID)? {
            Upgraded::Done { headers, stream, early } => {
                let accepted = headers.get(SEC_WEBSOCKET_ACCEPT);
                if accepted.is_none_or(|said| said != derive_accept_key(key.as_bytes()).as_str()) {
                    return Err(UNSAID);
                }
                let config = WebSocketConfig::default()
                    .max_message_size(Some(limits::FRAME_MAX_BYTES))
                    .max_frame_size(Some(limits::FRAME_MAX_BYTES));
                let (early, role) = (early.to_vec(), Role::Client);
                let socket =
                    WebSocketStream::from_partially_read(stream, early, role, Some(config)).await;
                Ok(StreamSocket(socket))
            }
            Upgraded::Refused { body, .. } => Err(Unopened { why: problem(&body) }),
        }
    }

    fn upgrade_request(
        &self,
        object: Object,
        query: &str,
        key: &str,
    ) -> http::Result<Request<Empty<Bytes>>> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}?{query}", self.endpoint.path(object, "subscribe")))
            .header(HOST, self.endpoint.host())
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, key);
        if let Some(authorization) = self.endpoint.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Empty::new())
    }
}

/// Reason why the service refused. Whatever else refuses on the way there, a proxy or a page that
/// stands in for it during a deploy, has no say: with what status it does passes.
fn problem(body: &[u8]) -> Option<Problem> {
    let text = std::str::from_utf8(body).ok()?;
    Problem::from_json(text).ok()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket for StreamSocket<S> {
    async fn send(&mut self, text: String) -> Result<(), Broken> {
        self.0.send(Message::text(text)).await.map_err(|_| Broken)
    }

    async fn ping(&mut self) -> Result<(), Broken> {
        self.0.send(Message::Ping(Bytes::new())).await.map_err(|_| Broken)
    }

    async fn next(&mut self) -> Incoming {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().to_owned()),
            Some(Ok(Message::Close(frame))) => {
                Incoming::Closed(frame.map(|frame| frame.code.into()))
            }
            Some(Ok(_)) => Incoming::Sign,
            Some(Err(_)) | None => Incoming::Closed(None),
        }
    }

    async fn close(&mut self) {
        let _ = self.0.close(None).await;
    }
}
