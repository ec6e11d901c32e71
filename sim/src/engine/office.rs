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
use mailbus_client::transport::Object;
use mailbus_spec::lease::Command;
use mailbus_spec::mailbox::Ask;
use mailbus_spec::wire::lease::encode_call;
use mailbus_spec::wire::mailbox;
use turmoil::net::TcpStream;

use crate::clock::TrueTime;
use crate::engine::Stage;
use crate::engine::object::workspace;
use crate::engine::stage::Errand;
use crate::engine::streams::{NAME, OBJECT, PORT, sleep_until};

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
            Some(Errand::MailCopy(ask)) => {
                let _ = send_mail(&stage, &ask).await;
            }
            Some(Errand::Wake) => {
                let path = crate::workload::path(0);
                let _ = send(&stage, &Command::Status { path }).await;
                if stage.plan.has_mail() {
                    let _ = send_mail(&stage, &Ask::Agents { after: None, limit: 1 }).await;
                }
            }
            Some(Errand::Recover(at_least)) => {
                let recovered = send(&stage, &Command::Recover { at_least }).await;
                let status = recovered.map_or(0, |(status, _)| status);
                stage.note(format!("operator    recover at least {at_least}: {status}"));
            }
            Some(Errand::RecoverMail(at_least)) => {
                let recovered = send_mail(&stage, &Ask::Recover { at_least }).await;
                let status = recovered.map_or(0, |(status, _)| status);
                stage.note(format!("operator    recover mail at least {at_least}: {status}"));
            }
        }
    }
}

async fn send(stage: &Rc<Stage>, command: &Command) -> io::Result<(u16, Bytes)> {
    let (action, body) = encode_call(0, command);
    post(stage, Object::Lease, action, body).await
}

async fn send_mail(stage: &Rc<Stage>, ask: &Ask) -> io::Result<(u16, Bytes)> {
    let Some((action, body)) = mailbox::encode_call(0, ask) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    post(stage, Object::Mailbox, action, body).await
}

/// One HTTP exchange with an object, without a client of ours.
pub(crate) async fn post(
    stage: &Rc<Stage>,
    object: Object,
    action: &str,
    body: String,
) -> io::Result<(u16, Bytes)> {
    let patience = u64::try_from(PATIENCE.as_micros()).unwrap_or(0);
    let mut late = Box::pin(sleep_until(stage, TrueTime(stage.now().0 + patience)).fuse());
    let mut exchange = Box::pin(exchange(object, action, body).fuse());
    select_biased! {
        answered = exchange => answered,
        () = late => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn exchange(object: Object, action: &str, body: String) -> io::Result<(u16, Bytes)> {
    let class = match object {
        Object::Lease => "lease",
        Object::Mailbox => "mailbox",
    };
    let stream = TcpStream::connect((OBJECT, PORT)).await?;
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v1/{}/{class}/{action}", workspace()))
        .header(header::HOST, NAME)
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
