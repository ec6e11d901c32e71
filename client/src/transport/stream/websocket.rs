//! A WebSocket over a byte stream.

use futures_util::{SinkExt, StreamExt};
use http::header::AUTHORIZATION;
use mailbus_spec::limits;
use mailbus_spec::wire::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Streams;
use super::connector::Connector;
use crate::transport::carrier::{Broken, Incoming, Object, Socket, Unopened};

/// An open WebSocket over a stream of a [`Connector`].
pub struct StreamSocket<S>(WebSocketStream<S>);

impl<C: Connector> Streams<C> {
    pub(super) async fn open_socket(
        &self,
        object: Object,
        query: &str,
    ) -> Result<StreamSocket<C::Stream>, Unopened> {
        let unsaid = || Unopened { why: None };
        let url = self.endpoint.socket_url(object, query);
        let mut request = url.into_client_request().map_err(|_| unsaid())?;
        if let Some(authorization) = self.endpoint.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        let stream = self.connector.connect(self.endpoint.authority()).await;
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits::FRAME_MAX_BYTES))
            .max_frame_size(Some(limits::FRAME_MAX_BYTES));
        let opened =
            client_async_with_config(request, stream.map_err(|_| unsaid())?, Some(config)).await;
        match opened {
            Ok((socket, _)) => Ok(StreamSocket(socket)),
            Err(Error::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.body().as_deref().unwrap_or_default();
                Err(Unopened { why: problem(status, body) })
            }
            Err(_) => Err(unsaid()),
        }
    }
}

/// Why the service refused. Of a body that has not come in whole the status says enough.
fn problem(status: u16, body: &[u8]) -> Option<Problem> {
    let said = std::str::from_utf8(body).ok().and_then(|text| Problem::from_json(text).ok());
    said.or_else(|| {
        let code = match status {
            401 => Code::Unauthorized,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            409 => Code::Ahead,
            429 => Code::Limit,
            400..=499 => Code::Malformed,
            _ => return None,
        };
        Some(Problem::new(code, format!("The service answered with status {status}.")))
    })
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
