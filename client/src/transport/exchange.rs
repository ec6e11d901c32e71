//! One command over HTTP/1.1, on a connection that is kept for the next.

use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use mailbus_spec::limits;
use mailbus_spec::wire::lease::{Received, decode_reply, encode_call};

use super::connector::Connector;
use super::driver::Driver;
use crate::clocks::Clocks;
use crate::deadline::within;
use crate::machine::{CallNumber, Transmit};

/// Connections that wait for their next exchange.
pub(super) struct Connections<S>(Mutex<Vec<Http<S>>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static;

impl<S> Default for Connections<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

/// A connection. It moves only while somebody polls it.
struct Http<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<S>, Full<Bytes>>>>,
}

impl<S> Http<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    /// Whether it can take another exchange. Looking lets it notice that the other end has closed.
    fn is_usable(&mut self) -> bool {
        self.connection.as_mut().now_or_never().is_none() && self.sender.is_ready()
    }
}

/// Anything that kept an exchange from having a reply. What became of the command is unknown.
struct NoReply;

impl<C: Connector, K: Clocks> Driver<C, K> {
    /// Sends an attempt and waits for its reply, for as long as the session does.
    pub(super) async fn exchange(&self, transmit: Transmit) -> (CallNumber, Option<Received>) {
        let Transmit { call, command, timeout, leave_by, .. } = transmit;
        let (action, body) = encode_call(call.0, &command);
        let exchange = async {
            let _permit = self.permits.acquire().await.map_err(|_| NoReply)?;
            self.post(action, body, leave_by).await
        };
        let answered = within(self.shared.clocks(), timeout, exchange).await;
        let received = answered.and_then(Result::ok).map(|received| {
            let call = received.call.or(Some(call.0));
            Received { call, ..received }
        });
        // A reply to something else is none to this.
        let received = received.filter(|received| received.call == Some(call.0));
        if received.is_none() {
            // What kept this one silent may have done the same to those that are kept.
            self.connections.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        (call, received)
    }

    async fn post(
        &self,
        action: &str,
        body: String,
        leave_by: Duration,
    ) -> Result<Received, NoReply> {
        let request = self.request(action, body)?;
        let mut http = match self.kept_connection() {
            Some(kept) => kept,
            None => self.new_connection().await?,
        };
        // The process may have been put aside since the session made the attempt.
        if self.shared.clocks().reading().monotonic > leave_by {
            return Err(NoReply);
        }
        let answered = {
            let Http { sender, connection } = &mut http;
            let exchange = async {
                let response = sender.send_request(request).await.map_err(|_| NoReply)?;
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), limits::FRAME_MAX_BYTES);
                let body = body.collect().await.map_err(|_| NoReply)?.to_bytes();
                decode_reply(status, &body).map_err(|_| NoReply)
            };
            match select(pin!(exchange), connection.as_mut()).await {
                Either::Left((answered, _)) => answered,
                // The connection is done: what it has read is there, and nothing more will come.
                Either::Right((_, exchange)) => return exchange.await,
            }
        };
        if http.is_usable() {
            self.keep_connection(http);
        }
        answered
    }

    fn request(&self, action: &str, body: String) -> Result<Request<Full<Bytes>>, NoReply> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.endpoint.lease_path(action))
            .header(HOST, self.endpoint.host())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| NoReply)?;
        if let Some(authorization) = self.endpoint.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    async fn new_connection(&self) -> Result<Http<C::Stream>, NoReply> {
        let stream = self.connector.connect(self.endpoint.authority()).await;
        let io = TokioIo::new(stream.map_err(|_| NoReply)?);
        let (sender, connection) = handshake(io).await.map_err(|_| NoReply)?;
        Ok(Http { sender, connection: Box::pin(connection) })
    }

    fn kept_connection(&self) -> Option<Http<C::Stream>> {
        let mut kept = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut http) = kept.pop() {
            if http.is_usable() {
                return Some(http);
            }
        }
        None
    }

    fn keep_connection(&self, http: Http<C::Stream>) {
        let mut kept = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(http);
    }
}
