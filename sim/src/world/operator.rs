//! The operator: a host with an undisturbed link, from where late copies and the operator's commands
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
use mailbus_spec::Ordinal;
use mailbus_spec::lease::Command;
use mailbus_spec::mailbox::Ask;
use mailbus_spec::wire::lease::encode_call;
use mailbus_spec::wire::mailbox;
use turmoil::net::TcpStream;

use crate::clock::TrueTime;
use crate::plan;
use crate::world::Context;
use crate::world::context::OperatorTask;
use crate::world::hosts::{NAME, OBJECT, PORT, sleep_until, workspace};

/// The TTL of the claims that probe whether the object is alive.
pub(crate) const PROBE_TTL_MS: u64 = 5_000;
/// Time limit of an exchange.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the operator's host.
pub(crate) async fn run(context: Rc<Context>) -> turmoil::Result {
    loop {
        let task = context.operator_tasks.borrow_mut().pop_front();
        match task {
            None => context.operator_bell.notified().await,
            Some(OperatorTask::Copy(command)) => {
                // A copy's answer goes to a connection that nobody reads any more.
                let _ = send(&context, &command).await;
            }
            Some(OperatorTask::MailCopy(ask)) => {
                let _ = send_mail(&context, &ask).await;
            }
            Some(OperatorTask::Wake) => {
                let path = plan::path(0);
                let _ = send(&context, &Command::Status { path }).await;
                if context.plan.has_mail() {
                    let _ = send_mail(&context, &Ask::Agents { after: None, limit: 1 }).await;
                }
            }
            Some(OperatorTask::Recover(at_least)) => {
                let recovered = send(&context, &Command::Recover { at_least }).await;
                let status = recovered.map_or(0, |(status, _)| status);
                context.note(format!("operator    recover at least {at_least}: {status}"));
            }
            Some(OperatorTask::RecoverMail(at_least)) => {
                let recovered = send_mail(&context, &Ask::Recover { at_least }).await;
                let status = recovered.map_or(0, |(status, _)| status);
                context.note(format!("operator    recover mail at least {at_least}: {status}"));
            }
        }
    }
}

async fn send(context: &Rc<Context>, command: &Command) -> io::Result<(u16, Bytes)> {
    let (action, body) = encode_call(0, command);
    post(context, Object::Lease, action, body).await
}

async fn send_mail(context: &Rc<Context>, ask: &Ask) -> io::Result<(u16, Bytes)> {
    let Some((action, body)) = mailbox::encode_call(0, ask) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    post(context, Object::Mailbox, action, body).await
}

/// One HTTP exchange with an object, without a client of ours.
pub(crate) async fn post(
    context: &Rc<Context>,
    object: Object,
    action: &str,
    body: String,
) -> io::Result<(u16, Bytes)> {
    let patience = u64::try_from(PATIENCE.as_micros()).unwrap_or(0);
    let mut late = Box::pin(sleep_until(context, TrueTime(context.now().0 + patience)).fuse());
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

/// The operator's word after a restore: no smaller token may be issued again.
pub(crate) fn largest_known_token(context: &Context) -> Ordinal {
    let history = context.history.borrow();
    let tokens =
        history.leases.events().filter_map(|event| match event.step.reply.as_ref()?.answer {
            Ok(mailbus_spec::lease::Outcome::Granted { token, .. }) => Some(token),
            _ => None,
        });
    tokens.max().unwrap_or(Ordinal::ZERO)
}

/// The same for mail: no smaller `seq` or epoch may be issued again.
pub(crate) fn largest_known_seq(context: &Context) -> Ordinal {
    let history = context.history.borrow();
    let ordinals = history.mail.events().filter_map(|event| {
        match event.step.reply.as_ref()?.answer.as_ref().ok()? {
            mailbus_spec::mailbox::Outcome::Accepted { seq, .. } => Some(*seq),
            mailbus_spec::mailbox::Outcome::Connected { epoch, .. } => Some(*epoch),
            _ => None,
        }
    });
    ordinals.max().unwrap_or(Ordinal::ZERO)
}
