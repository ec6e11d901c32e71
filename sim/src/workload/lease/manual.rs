//! Holding a set by hand: plain commands, at most one renewal, and no belief that anybody relies on.
//!
//! It is what lets leases lapse, tickets run out and stale tokens come back.

use std::time::Duration;

use mailbus_client::error::CallError;
use mailbus_spec::lease::{Acquire, Command, LeaseReply, Outcome, OverReason, ReleaseTarget};
use mailbus_spec::{Holder, Ordinal, RequestId, SessionId, Ttl, Wait};

use crate::clock::TrueTime;
use crate::judge::history::marks::Mark;
use crate::plan::{Action, Ending, path_set};
use crate::workload::agent::Agent;

pub(in crate::workload) async fn hold(agent: &Agent, index: usize, action: &Action) {
    let Action::Hold { paths, ttl_ms, wait_ms, patience_ms, hold_ms, ending, .. } = action else {
        return;
    };
    let (Some(paths), Some(ttl)) = (path_set(paths, &agent.holder.agent), Ttl::from_ms(*ttl_ms))
    else {
        return;
    };
    let wait = wait_ms.and_then(Wait::from_ms);
    // A holder of its own: the client's session must not see what it does not know of.
    let session = format!("{}-by-hand-{index}", agent.holder.session);
    let Ok(session) = SessionId::new(session) else { return };
    let holder = Holder { agent: agent.holder.agent.clone(), session };
    let Ok(request) = RequestId::new(format!("r{index}")) else { return };
    let written = paths.clone();
    let acquire = Acquire::new(holder.clone(), Some(request.clone()), paths, ttl, wait);
    let Ok(acquire) = acquire else { return };
    let patience_ms = patience_ms.unwrap_or(60_000);
    let deadline = agent.context.now().plus_ms(patience_ms);
    let by_hand = ByHand { agent, holder, request };
    let Some(token) = by_hand.acquire(acquire, wait, deadline).await else { return };
    agent.context.pause_until_heal(Duration::from_millis(*hold_ms)).await;
    if *ending == Ending::Release {
        by_hand.renew(token, ttl).await;
    }
    for path in written.as_slice() {
        agent.context.write(&by_hand.holder, path, token);
    }
    if *ending == Ending::Release {
        by_hand.release(token).await;
    }
}

struct ByHand<'a> {
    agent: &'a Agent,
    holder: Holder,
    request: RequestId,
}

impl ByHand<'_> {
    async fn call(&self, command: Command) -> Option<LeaseReply> {
        match self.agent.client.call(command).await {
            Ok(reply) => Some(reply),
            Err(error) => {
                if error == CallError::Unanswered {
                    self.agent.context.reach(Mark::UnknownOutcome);
                }
                None
            }
        }
    }

    /// Asks until there is an end to it; who gives up says so.
    async fn acquire(
        &self,
        acquire: Acquire,
        wait: Option<Wait>,
        deadline: TrueTime,
    ) -> Option<Ordinal> {
        loop {
            let answer =
                self.call(Command::Acquire(acquire.clone())).await.map(|reply| reply.answer);
            match answer {
                Some(Ok(Outcome::Granted { token, .. })) => return Some(token),
                Some(Ok(Outcome::Over { reason: OverReason::Lapsed, token })) => {
                    // It does not know better than to try its token.
                    if let Some(token) = token {
                        self.renew(token, acquire.ttl()).await;
                    }
                    return None;
                }
                Some(Ok(Outcome::Queued { .. })) => {}
                // A refusal is not remembered: a late copy could still be granted.
                Some(Err(_)) => {
                    self.cancel().await;
                    return None;
                }
                Some(_) => return None,
                None => {
                    self.cancel().await;
                    return None;
                }
            }
            if deadline <= self.agent.context.now() || self.agent.context.has_healed() {
                self.cancel().await;
                return None;
            }
            let poll_ms = wait.map_or(1_000, Wait::poll_ms);
            self.agent.context.pause_until_heal(Duration::from_millis(poll_ms)).await;
        }
    }

    async fn renew(&self, token: Ordinal, ttl: Ttl) {
        let holder = self.holder.clone();
        // As clients do that were built before drains were told.
        self.call(Command::Renew { holder, token, ttl, drain: false }).await;
    }

    async fn release(&self, token: Ordinal) {
        let (holder, target) = (self.holder.clone(), ReleaseTarget::Token(token));
        self.call(Command::Release { holder, target }).await;
    }

    async fn cancel(&self) {
        let (holder, request) = (self.holder.clone(), self.request.clone());
        self.call(Command::Cancel { holder, request }).await;
    }
}
