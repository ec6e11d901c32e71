//! Event loops on threads of their own, and one end for all of them.

use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Once;
use std::thread;

use futures_util::{FutureExt, select_biased};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::EventLoop;

/// Ends when the loops are to end.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Ends when this loop is to end.
    pub async fn asked(mut self) {
        // Whoever would ask is gone: that is asking too.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

/// An event loop ended before it was asked to, or could not begin.
///
/// The workspaces that live on it have nobody left, so the process has to end too: its supervisor
/// starts it again, and what was acknowledged is on disk.
#[derive(Debug, thiserror::Error)]
#[error("event loop {index} ended: {why}")]
pub struct LoopEnded {
    index: usize,
    why: String,
}

/// End of a loop: its index, and nothing to say if it ended well.
type Ended = (usize, Option<String>);

/// Runs so many event loops, each on a thread of its own, until `stop` ends and then they do.
///
/// # Errors
/// [`LoopEnded`] as soon as one ends by itself, fails or panics, a task of its own included. The others
/// still run then.
pub async fn run<Body, Running, Error>(
    count: NonZeroUsize,
    stop: impl Future<Output = ()>,
    body: Body,
) -> Result<(), LoopEnded>
where
    Body: Fn(EventLoop, Stop) -> Running + Clone + Send + 'static,
    Running: Future<Output = Result<(), Error>>,
    Error: Display,
{
    let (end, mut ended) = mpsc::unbounded_channel();
    let (ask, asked) = watch::channel(false);
    for event_loop in EventLoop::several(count) {
        let (index, stop) = (event_loop.place().index(), Stop(asked.clone()));
        let (body, end) = (body.clone(), end.clone());
        let spawned = thread::Builder::new()
            .name(format!("loop-{index}"))
            .spawn(move || on_this_thread(index, &end, || body(event_loop, stop)));
        spawned.map_err(|error| LoopEnded { index, why: error.to_string() })?;
    }
    let early = {
        let mut stop = pin!(stop.fuse());
        let mut first = pin!(ended.recv().fuse());
        select_biased! { early = first => early, () = stop => None }
    };
    if let Some((index, why)) = early {
        return Err(LoopEnded { index, why: why.unwrap_or_else(|| "nobody asked".to_owned()) });
    }
    let _ = ask.send(true);
    for _ in 0..count.get() {
        if let Some((index, Some(why))) = ended.recv().await {
            return Err(LoopEnded { index, why });
        }
    }
    Ok(())
}

/// Runs a loop on this thread, and tells how it ended.
fn on_this_thread<Running, Error>(
    index: usize,
    end: &mpsc::UnboundedSender<Ended>,
    body: impl FnOnce() -> Running,
) where
    Running: Future<Output = Result<(), Error>>,
    Error: Display,
{
    tell_panics(index, end.clone());
    let run = || -> io::Result<Result<(), Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(LocalSet::new().block_on(&runtime, body()))
    };
    // A panic has been told of already.
    let Ok(ran) = catch_unwind(AssertUnwindSafe(run)) else { return };
    let why = match ran {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    // Nobody listens if another loop ended before.
    let _ = end.send((index, why));
}

thread_local! {
    /// Whom to tell of a panic on this thread, if it is a loop's.
    static TOLD: RefCell<Option<(usize, mpsc::UnboundedSender<Ended>)>> = const { RefCell::new(None) };
}

/// From now on whatever panics on this thread is told, also in a task of which nobody waits for the
/// end: in which state it has left what it worked on, nobody knows.
fn tell_panics(index: usize, end: mpsc::UnboundedSender<Ended>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            TOLD.with_borrow(|told| {
                if let Some((index, end)) = told {
                    let _ = end.send((*index, Some(panic.to_string())));
                }
            });
        }));
    });
    TOLD.set(Some((index, end)));
}
