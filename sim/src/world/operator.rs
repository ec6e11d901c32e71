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
use mailbus_spec::lease::{self, Command};
use mailbus_spec::mailbox::{self, Ask};
use mailbus_spec::time::HOST_FIRST_MS;
use turmoil::net::TcpStream;

use crate::clock::TrueTime;
use crate::judge::history::marks::Mark;
use crate::judge::history::{Record, Recorded};
use crate::plan;
use crate::plan::mail::name_of;
use crate::world::Context;
use crate::world::context::{Call, OperatorTask};
use crate::world::hosted::workspace;
use crate::world::hosts::{NAME, OBJECT, PORT};

/// Time limit of an exchange.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the operator's host.
pub(crate) async fn run(context: Rc<Context>) -> turmoil::Result {
    loop {
        let task = context.operator_tasks.borrow_mut().pop_front();
        match task {
            None => context.operator_bell.notified().await,
            Some(OperatorTask::Copy(call)) => {
                let mark = copied(&call);
                if send(&context, call).await.is_ok() {
                    mark.into_iter().for_each(|mark| context.reach(mark));
                }
            }
            Some(OperatorTask::Wake) => {
                let path = plan::path(0, &name_of(0));
                let _ = send(&context, Call::of_leases(&Command::Status { path })).await;
                let agents = Call::of_mail(&Ask::Agents { after: None, limit: 1 });
                if let Some(agents) = agents.filter(|_| context.plan.has_mail()) {
                    let _ = send(&context, agents).await;
                }
            }
            Some(OperatorTask::Recover(what, call)) => {
                let recovered = send(&context, call).await;
                let status = recovered.map_or(0, |(status, _)| status);
                context.note(format!("operator    {what}: {status}"));
            }
        }
    }
}

/// Mark of a late copy that was answered; `None` for a request that is never copied.
fn copied(call: &Call) -> Option<Mark> {
    Some(match (call.object, call.action) {
        (Object::Lease, "acquire") => Mark::CopiedAcquire,
        (Object::Lease, "renew") => Mark::CopiedRenew,
        (Object::Lease, "release") => Mark::CopiedRelease,
        (Object::Lease, "cancel") => Mark::CopiedCancel,
        (Object::Lease, "force-release") => Mark::CopiedForceRelease,
        (Object::Mailbox, "publish") => Mark::CopiedPublish,
        (Object::Mailbox, "send") => Mark::CopiedSend,
        (Object::Mailbox, "acknowledge") => Mark::CopiedAck,
        (Object::Mailbox, "nack") => Mark::CopiedNack,
        (Object::Mailbox, "subscriptions") => Mark::CopiedSubscriptions,
        (Object::Mailbox, "redrive") => Mark::CopiedRedrive,
        (Object::Mailbox, "disconnect") => Mark::CopiedDisconnect,
        (Object::Mailbox, "forget") => Mark::CopiedForget,
        _ => return None,
    })
}

async fn send(context: &Rc<Context>, call: Call) -> io::Result<(u16, Bytes)> {
    post(context, call.object, call.action, call.body).await
}

/// One HTTP exchange with an object, without a client of ours.
pub(crate) async fn post(
    context: &Rc<Context>,
    object: Object,
    action: &str,
    body: String,
) -> io::Result<(u16, Bytes)> {
    let patience = u64::try_from(PATIENCE.as_micros()).unwrap_or(0);
    let mut late = Box::pin(context.sleep_until(TrueTime(context.now().0 + patience)).fuse());
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

/// Tasks of the operator at both objects after a restore: no ordinal that is not greater than the
/// largest that is known may be issued again.
pub(crate) fn recoveries(context: &Context) -> Vec<OperatorTask> {
    let history = context.history.borrow();
    let token = largest_known(&history.leases, |outcome| match outcome {
        lease::Outcome::Granted { token, .. } => Some(*token),
        _ => None,
    });
    let seq = largest_known(&history.mail, |outcome| match outcome {
        mailbox::Outcome::Accepted { seq, .. } => Some(*seq),
        mailbox::Outcome::Connected { epoch, .. } => Some(*epoch),
        _ => None,
    });
    let leases = token.map(|at_least| {
        let call = Call::of_leases(&Command::Recover { at_least });
        OperatorTask::Recover(format!("recover at least {at_least}"), call)
    });
    let mail = seq.and_then(|at_least| {
        let call = Call::of_mail(&Ask::Recover { at_least })?;
        Some(OperatorTask::Recover(format!("recover mail at least {at_least}"), call))
    });
    leases.into_iter().chain(mail).collect()
}

/// The largest ordinal that answers have shown, if any object may have issued it.
fn largest_known<S: Recorded>(
    record: &Record<S>,
    shown: fn(&S::Outcome) -> Option<Ordinal>,
) -> Option<Ordinal> {
    let outcomes =
        record.events().filter_map(|event| event.step.reply.as_ref()?.answer.as_ref().ok());
    let largest = outcomes.filter_map(shown).max()?;
    (largest.anchor_ms() >= HOST_FIRST_MS).then_some(largest)
}
