//! One request that turns a connection into something else: a WebSocket, or a tunnel.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{Parts, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Most bytes that are read of a refusal: those of the service are far shorter.
const REFUSAL_MOST: usize = 64 << 10;

/// Result of the request.
pub(super) enum Upgraded<S> {
    /// The stream is no HTTP any more.
    Done {
        /// Headers of the answer.
        headers: HeaderMap,
        /// The stream.
        stream: S,
        /// Its first bytes, which came with the answer.
        early: Bytes,
    },
    /// Nothing.
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The answer's body; nothing if it is cut, or too long to be the service's.
        body: Bytes,
    },
}

/// Sends the request over a new stream and reads what becomes of it.
///
/// # Errors
/// If there is no answer, or it is not HTTP.
pub(super) async fn upgrade<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<Upgraded<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let tunnels = request.method() == Method::CONNECT;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let upgraded =
            head.status == StatusCode::SWITCHING_PROTOCOLS || (tunnels && head.status.is_success());
        let body = match upgraded {
            true => None,
            false => Some(Limited::new(body, REFUSAL_MOST).collect().await),
        };
        Ok::<_, hyper::Error>((head, body))
    };
    let connection = pin!(connection.without_shutdown());
    let ((head, refusal), connection) = match select(pin!(exchange), connection).await {
        Either::Left((answer, connection)) => (answer?, Either::Left(connection)),
        // The connection is done: what it has read is there.
        Either::Right((parts, exchange)) => (exchange.await?, Either::Right(parts)),
    };
    if let Some(body) = refusal {
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Ok(Upgraded::Refused { status: head.status, body });
    }
    let Parts { io, read_buf, .. } = match connection {
        Either::Left(connection) => connection.await?,
        Either::Right(parts) => parts?,
    };
    Ok(Upgraded::Done { headers: head.headers, stream: io.into_inner(), early: read_buf })
}
