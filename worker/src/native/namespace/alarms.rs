//! The alarms of a namespace: one schedule, rung in order of time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::{FutureExt, select_biased};
use mailbus_spec::{HostTime, Workspace};
use tokio::sync::Notify;

use crate::native::arrival::Arrival;
use crate::native::host::sleep_until;
use crate::object::Object;

use super::{Namespace, Objects};

/// When an alarm whose event failed rings again: after 2 s, doubled each time up to 64 s.
const RETRY_MS: u64 = 2_000;
const RETRY_DOUBLINGS: u32 = 5;

/// The pause after some alarms rang: an object that sets its alarm into the past shall not keep the
/// event loop busy.
const PAUSE: Duration = Duration::from_millis(1);

/// When whose alarm rings.
#[derive(Default)]
pub(super) struct Schedule {
    state: RefCell<State>,
    changed: Notify,
}

/// Invariant: `by_time` holds `(ring, workspace)` exactly for each entry of `pending`.
#[derive(Default)]
struct State {
    pending: BTreeMap<Workspace, Pending>,
    by_time: BTreeSet<(HostTime, Workspace)>,
    /// How often in a row the alarm of an object has failed.
    failures: BTreeMap<Workspace, u32>,
}

#[derive(Clone, Copy)]
struct Pending {
    /// What the object asked for.
    at: HostTime,
    /// When it rings: later than `at` after a failure.
    ring: HostTime,
}

impl State {
    fn put(&mut self, workspace: &Workspace, pending: Option<Pending>) {
        if let Some(old) = self.pending.remove(workspace) {
            self.by_time.remove(&(old.ring, workspace.clone()));
        }
        if let Some(new) = pending {
            self.pending.insert(workspace.clone(), new);
            self.by_time.insert((new.ring, workspace.clone()));
        }
    }
}

impl Schedule {
    /// What the objects asked for, in the order in which it rings.
    pub(super) fn pending(&self) -> Vec<(HostTime, Workspace)> {
        let state = self.state.borrow();
        let asked = |(_, workspace): &(HostTime, Workspace)| {
            state.pending.get(workspace).map(|pending| (pending.at, workspace.clone()))
        };
        state.by_time.iter().filter_map(asked).collect()
    }

    /// The object's alarm is set to this.
    pub(super) fn set(&self, workspace: &Workspace, due: Option<HostTime>) {
        let mut state = self.state.borrow_mut();
        if state.pending.get(workspace).map(|pending| pending.at) == due {
            return;
        }
        state.put(workspace, due.map(|at| Pending { at, ring: at }));
        drop(state);
        self.changed.notify_one();
    }

    /// The alarm rang at this host time and its event succeeded, or failed and rings again later.
    pub(super) fn rang(&self, workspace: &Workspace, host: HostTime, succeeded: bool) {
        let mut state = self.state.borrow_mut();
        if succeeded {
            state.failures.remove(workspace);
            return;
        }
        let failures = state.failures.entry(workspace.clone()).or_default();
        let pause = RETRY_MS << (*failures).min(RETRY_DOUBLINGS);
        *failures = failures.saturating_add(1);
        let at = state.pending.get(workspace).map_or(host, |pending| pending.at);
        state.put(workspace, Some(Pending { at, ring: HostTime(host.0.saturating_add(pause)) }));
        drop(state);
        self.changed.notify_one();
    }

    fn next(&self) -> Option<HostTime> {
        self.state.borrow().by_time.first().map(|(ring, _)| *ring)
    }

    fn take_due(&self, host: HostTime) -> Vec<Workspace> {
        let mut state = self.state.borrow_mut();
        let due: Vec<_> = state
            .by_time
            .iter()
            .take_while(|(ring, _)| *ring <= host)
            .map(|(_, workspace)| workspace.clone())
            .collect();
        for workspace in &due {
            state.put(workspace, None);
        }
        due
    }
}

/// Looks up the alarms that the databases hold, then rings what is due, for ever.
pub(super) async fn ring<O: Object + 'static>(namespace: Namespace<O>) {
    let inner = Rc::clone(&namespace.inner);
    for workspace in inner.databases.existing().unwrap_or_else(|error| {
        tracing::error!(%error, "the pending alarms are unknown until their objects wake");
        Vec::new()
    }) {
        if let Err(error) = namespace.with(&workspace, |_| ()) {
            tracing::error!(%workspace, %error, "a database cannot be opened");
        }
        tokio::task::yield_now().await;
    }
    loop {
        match inner.alarms.next() {
            None => inner.alarms.changed.notified().await,
            Some(at) => {
                let (mut changed, mut reached) = (
                    Box::pin(inner.alarms.changed.notified().fuse()),
                    Box::pin(sleep_until(&*inner.host, at).fuse()),
                );
                select_biased! { () = changed => continue, () = reached => {} }
            }
        }
        let due = inner.alarms.take_due(inner.host.now());
        let any = !due.is_empty();
        for workspace in due {
            // What it sends leaves by itself.
            drop(namespace.submit(&workspace, &Arrival::Alarm));
            tokio::task::yield_now().await;
        }
        if any {
            inner.host.sleep(PAUSE).await;
        }
    }
}
