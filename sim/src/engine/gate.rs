//! The gate around a process: it is polled only while the process runs.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use crate::clock::TrueTime;
use crate::engine::beliefs::BeliefWatch;
use crate::world::Context;
use crate::world::hosts::sleep_until;

/// Runs a process but for the stretches in which it is stopped. Its timers fire meanwhile and are
/// noticed afterwards, as after a SIGSTOP or a sleep of the machine.
pub(crate) async fn gated(
    context: Rc<Context>,
    stopped: Vec<(TrueTime, TrueTime)>,
    mut watch: BeliefWatch,
    process: impl Future<Output = ()>,
) {
    let mut process = pin!(process);
    let mut opening = pin!(None);
    poll_fn(|task| {
        loop {
            let now = context.now();
            let stop = stopped.iter().filter(|(from, to)| *from <= now && now < *to);
            let Some(until) = stop.map(|(_, to)| *to).max() else { break };
            opening.set(Some(sleep_until(&context, until)));
            if let Some(opening) = opening.as_mut().as_pin_mut()
                && opening.poll(task).is_pending()
            {
                return Poll::Pending;
            }
        }
        watch.before_poll(context.now());
        let polled = process.as_mut().poll(task);
        watch.after_poll(context.now());
        polled
    })
    .await;
}
