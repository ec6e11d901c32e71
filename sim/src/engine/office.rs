//! The office: a host with an undisturbed link, from where late copies and the operator's commands
//! come.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{FutureExt, select_biased};
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use mailbus_spec::lease::Command;
use mailbus_spec::wire::lease::encode_call;
use turmoil::net::TcpStream;

use crate::clock::TrueTime;
use crate::engine::stage::Errand;
use crate::engine::streams::{OBJECT, PORT, sleep_until};
use crate::engine::{Stage, object};

/// The TTL of the claims that probe whether the object is alive.
pub(crate) const PROBE_TTL_MS: u64 = 5_000;
/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What runs in the office.
pub(crate) async fn run(stage: Rc<Stage>) -> turmoil::Result {
    loop {
        let errand = stage.errands.borrow_mut().pop_front();
        match errand {
            None => stage.errand_bell.notified().await,
            Some(Errand::Copy(command)) => {
                // A copy's answer goes to a connection that nobody reads any more.
                let _ = send(&stage, &command).await;
            }
            Some(Errand::Wake) => {
                let path = crate::workload::path(0);
                let _ = send(&stage, &Command::Status { path }).await;
            }
            Some(Errand::Recover(at_least)) => {
                let recovered = send(&stage, &Command::Recover { at_least }).await;
                let status = recovered.map_or(0, |(status, _)| status);
                stage.note(format!("operator    recover at least {at_least}: {status}"));
            }
        }
    }
}

async fn send(stage: &Rc<Stage>, command: &Command) -> io::Result<(u16, Bytes)> {
    let (action, body) = encode_call(0, command);
    post(stage, action, body).await
}

/// One HTTP exchange with the object, without a client of ours.
pub(crate) async fn post(
    stage: &Rc<Stage>,
    action: &str,
    body: String,
) -> io::Result<(u16, Bytes)> {
    let patience = u64::try_from(PATIENCE.as_micros()).unwrap_or(0);
    let mut late = Box::pin(sleep_until(stage, TrueTime(stage.now().0 + patience)).fuse());
    let mut exchange = Box::pin(exchange(action, body).fuse());
    select_biased! {
        answered = exchange => answered,
        () = late => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn exchange(action: &str, body: String) -> io::Result<(u16, Bytes)> {
    let stream = TcpStream::connect((OBJECT, PORT)).await?;
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v1/{}/lease/{action}", object::workspace()))
        .header(header::HOST, OBJECT)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    let answered = Box::pin(async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(io::Error::other)?;
        Ok((status, body.to_bytes()))
    });
    match select(answered, Box::pin(connection)).await {
        Either::Left((answered, _)) => answered,
        Either::Right((_, answered)) => answered.await,
    }
}
