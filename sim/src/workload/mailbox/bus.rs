//! Getting mail over the production client.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{FutureExt, join};
use futures_util::select_biased;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mailbus_client::mailbox::{Incoming, Status};
use mailbus_client::session::mailbox::Ended;
use mailbus_client::transport::drive_mailbox;
use mailbus_spec::mailbox::Pattern;

use crate::judge::history::marks::Mark;
use crate::plan::mail::patterns;
use crate::workload::mailbox::handler;
use crate::workload::mailbox::process::{Mail, Process};

/// Time after which an agent whose session was replaced or refused begins another.
const AGAIN_MS: u64 = 3_000;

/// Session after session, for as long as the process runs.
pub(super) async fn receive(process: &Process) {
    loop {
        let ended = run(process, None, true).await;
        process.set_client(None);
        if ended == Some(Ended::ShutDown) {
            return;
        }
        if ended == Some(Ended::Replaced) {
            process.context.reach(Mark::SessionReplaced);
        }
        process.pause(AGAIN_MS).await;
    }
}

/// A second process of the same name, for a while. Replaced itself, it does not come back.
pub(super) async fn duplicate(process: &Process, index: usize, for_ms: u64) {
    process.context.note(format!("agent       {} has a twin of operation {index}", process.agent));
    run(process, Some(for_ms), false).await;
}

/// One session, until it is over or its time is. `own` is the one that the agent sends with.
async fn run(process: &Process, for_ms: Option<u64>, own: bool) -> Option<Ended> {
    let id = process.next_session();
    let session = process.session(id.clone());
    let (client, driver) =
        drive_mailbox(session, process.carrier(), std::rc::Rc::clone(&process.clocks));
    // Whoever sends before there is a handler finds the session all the same.
    if own {
        process.set_client(Some(client.clone()));
    }
    client.serve(Pattern::everything());
    client.start(process.plan.patterns.as_deref().map(patterns));
    let status = client.status();
    let handling = handle(process, client.clone(), id.as_str().to_owned());
    let ending = async {
        match for_ms {
            Some(for_ms) => {
                process.context.pause_until_heal(Duration::from_millis(for_ms)).await;
                client.shut_down().await;
            }
            None => std::future::pending().await,
        }
    };
    let mut ending = pin!(ending.fuse());
    let mut running = pin!(join(driver.run(), handling).fuse());
    select_biased! {
        _ = running => {}
        () = ending => { running.await; }
    }
    match &*status.borrow() {
        Status::Ended(why) => Some(why.clone()),
        _ => None,
    }
}

/// Takes what comes, several at a time if the session gives several.
async fn handle(process: &Process, client: Mail, run: String) {
    let mut handlers = FuturesUnordered::new();
    loop {
        let mut next = pin!(client.next().fuse());
        let incoming = loop {
            if handlers.is_empty() {
                break next.as_mut().await;
            }
            select_biased! {
                incoming = next => break incoming,
                () = handlers.select_next_some() => {}
            }
        };
        match incoming {
            Some(Incoming::Delivery(delivery)) => {
                handlers.push(handler::handle(process, delivery, run.clone()));
            }
            Some(Incoming::Gap(gap)) => {
                process.context.reach(Mark::GapTold);
                drop(gap);
            }
            Some(Incoming::Restored { .. }) => process.context.reach(Mark::RestoreNoticed),
            Some(Incoming::Unhandled(_)) => {}
            Some(Incoming::Ephemeral(_)) => process.context.reach(Mark::EphemeralHeard),
            None => break,
        }
    }
    while handlers.next().await.is_some() {}
}
