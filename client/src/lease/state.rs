//! Callers who wait for what becomes of a lease session's claims.

use std::collections::BTreeMap;

use mailbus_spec::Ordinal;
use mailbus_spec::belief::Reading;
use tokio::sync::{oneshot, watch};

use crate::handle::{Callers, State};
use crate::session::lease::{AcquireError, ClaimId, Event, LeaseSession, LossCause, Released};

/// News for a guard's owner while it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Held and renewed.
    Held,
    /// Held, and ended by an admin at its expiry.
    Draining(String),
    /// Lost.
    Lost(LossCause),
}

pub(crate) type Acquired = oneshot::Receiver<Result<Granted, AcquireError>>;

/// News for the caller of a claim that is believed.
pub(crate) struct Granted {
    pub(crate) token: Ordinal,
    pub(crate) standing: watch::Receiver<Standing>,
}

/// Those who wait for something of a lease session.
#[derive(Default)]
pub struct Waiting {
    acquiring: BTreeMap<ClaimId, oneshot::Sender<Result<Granted, AcquireError>>>,
    standing: BTreeMap<ClaimId, watch::Sender<Standing>>,
    releasing: BTreeMap<ClaimId, Vec<oneshot::Sender<Released>>>,
    /// The generations seen to begin.
    generation: watch::Sender<u64>,
}

impl State<LeaseSession> {
    pub(crate) fn wait_for(&mut self, claim: ClaimId) -> Acquired {
        let (sender, receiver) = self.promise();
        self.waiting.acquiring.extend(sender.map(|sender| (claim, sender)));
        receiver
    }

    pub(crate) fn wait_for_release(&mut self, claim: ClaimId) -> oneshot::Receiver<Released> {
        let (sender, receiver) = self.promise();
        self.waiting.standing.remove(&claim);
        self.waiting.releasing.entry(claim).or_default().extend(sender);
        receiver
    }

    /// Nobody wants the claim any more.
    pub(crate) fn give_up(&mut self, at: Reading, claim: ClaimId) {
        self.waiting.acquiring.remove(&claim);
        self.waiting.standing.remove(&claim);
        self.session.release(at, claim);
    }

    /// Nobody has the claim any more, and what it was for may go on.
    pub(crate) fn lapse(&mut self, at: Reading, claim: ClaimId) {
        self.waiting.standing.remove(&claim);
        self.session.lapse(at, claim);
    }

    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.waiting.generation.subscribe()
    }

    fn pass_on_grant(&mut self, claim: ClaimId, token: Ordinal) {
        let (sender, standing) = watch::channel(Standing::Held);
        if !self.session.is_for_a_term(claim) {
            self.waiting.standing.insert(claim, sender);
        }
        if let Some(acquiring) = self.waiting.acquiring.remove(&claim) {
            // A caller that has stopped waiting gives the claim back when it is dropped.
            let _ = acquiring.send(Ok(Granted { token, standing }));
        }
    }
}

impl Callers for LeaseSession {
    type Waiting = Waiting;

    fn pass_on(state: &mut State<Self>, event: Event) {
        let waiting = &mut state.waiting;
        match event {
            Event::Queued { .. } | Event::Renewed { .. } => {}
            Event::Acquired { claim, token } => state.pass_on_grant(claim, token),
            Event::Refused { claim, refusal } => {
                if let Some(acquiring) = waiting.acquiring.remove(&claim) {
                    let _ = acquiring.send(Err(refusal));
                }
            }
            Event::Draining { claim, reason } => {
                if let Some(standing) = waiting.standing.get(&claim) {
                    standing.send_replace(Standing::Draining(reason));
                }
            }
            Event::Lost { claim, cause } => {
                if let Some(standing) = waiting.standing.remove(&claim) {
                    standing.send_replace(Standing::Lost(cause));
                }
            }
            Event::Released { claim, ending } => {
                for releasing in waiting.releasing.remove(&claim).unwrap_or_default() {
                    let _ = releasing.send(ending);
                }
            }
            Event::Answered { query, answer } => state.answer(query, answer),
            Event::GenerationChanged { to, .. } => {
                waiting.generation.send_replace(to);
            }
        }
    }

    fn let_go(waiting: &mut Waiting) {
        waiting.acquiring.clear();
        waiting.standing.clear();
        waiting.releasing.clear();
    }
}
