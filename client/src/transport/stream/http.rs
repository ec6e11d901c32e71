//! One command over HTTP/1.1, on a connection that is kept for the next.

use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use mailbus_spec::limits;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Streams;
use super::connector::Connector;
use crate::transport::carrier::{Answered, NoAnswer, Object};

/// Connections that wait for their next exchange.
pub(super) struct Connections<S>(Mutex<Vec<Http<S>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Default for Connections<S> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

/// A connection. It moves only while somebody polls it.
struct Http<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<S>, Full<Bytes>>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Http<S> {
    /// True if it can take another exchange. Looking lets it notice that the other end has closed.
    fn is_usable(&mut self) -> bool {
        self.connection.as_mut().now_or_never().is_none() && self.sender.is_ready()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Connections<S> {
    fn take(&self) -> Option<Http<S>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut http) = kept.pop() {
            if http.is_usable() {
                return Some(http);
            }
        }
        None
    }

    fn keep(&self, http: Http<S>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(http);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl<C: Connector> Streams<C> {
    pub(super) async fn post(
        &self,
        object: Object,
        action: &str,
        body: String,
        may_leave: impl Fn() -> bool,
    ) -> Result<Answered, NoAnswer> {
        let request = self.request(object, action, body)?;
        let mut http = match self.connections.take() {
            Some(kept) => kept,
            None => self.new_connection().await?,
        };
        if !may_leave() {
            return Err(NoAnswer);
        }
        let answered = {
            let Http { sender, connection } = &mut http;
            let exchange = async {
                let response = sender.send_request(request).await.map_err(|_| NoAnswer)?;
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), limits::FRAME_MAX_BYTES);
                let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
                Ok(Answered { status, body: body.into() })
            };
            match select(pin!(exchange), connection.as_mut()).await {
                Either::Left((answered, _)) => answered,
                // The connection is done: what it has read is there, and nothing more will come.
                Either::Right((_, exchange)) => return exchange.await,
            }
        };
        if http.is_usable() {
            self.connections.keep(http);
        }
        answered
    }

    fn request(
        &self,
        object: Object,
        action: &str,
        body: String,
    ) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.endpoint.path(object, action))
            .header(HOST, self.endpoint.host())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| NoAnswer)?;
        if let Some(authorization) = self.endpoint.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    async fn new_connection(&self) -> Result<Http<C::Stream>, NoAnswer> {
        let io = TokioIo::new(self.connect().await.map_err(|_| NoAnswer)?);
        let (sender, connection) = handshake(io).await.map_err(|_| NoAnswer)?;
        Ok(Http { sender, connection: Box::pin(connection) })
    }
}
