//! Plain calls: a command out, a reply back.

use std::time::Duration;

use mailbus_spec::mailbox::{Ask, MailboxReply, Outcome};

use super::event::Event;
use super::{Config, Due, MailboxSession, Subject};
use crate::session::call::{CallFailure, CallNumber, QueryId};
use crate::session::retry::Retry;

impl MailboxSession {
    pub(super) fn begin_query(&mut self, now: Duration, ask: Ask) -> QueryId {
        let id = QueryId(self.next_number());
        if self.queries.len() >= Config::UNDER_WAY || self.is_over() {
            let answer = Err(CallFailure::Unanswered);
            self.events.push_back(Event::Answered { query: id, answer });
            return id;
        }
        self.note_types(&ask);
        let retry = Retry::due_at(now, Some(self.config.horizon()));
        let retry = match ask {
            Ask::Recover { .. } => retry.once(),
            _ => retry,
        };
        self.queries.begin(id, retry, ask);
        id
    }

    /// Notes a change of types that a connect would undo: it says them too from now on.
    fn note_types(&mut self, ask: &Ask) {
        let Some(chosen) = &mut self.types else { return };
        match ask {
            Ask::Subscribe { agent, types } if *agent == self.agent => {
                chosen.extend(types.iter().cloned());
            }
            Ask::Unsubscribe { agent, types } if *agent == self.agent => {
                chosen.retain(|pattern| !types.contains(pattern));
            }
            _ => {}
        }
    }

    pub(super) fn due_query(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        let (id, ask, attempt) = self.queries.take_due(call, now, |_| timeout)?;
        Some((Subject::Query(id), ask.clone(), attempt))
    }

    pub(super) fn query_failed(
        &mut self,
        id: QueryId,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        if self.queries.fail(id, call, (now, least), &mut self.pacing) {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
    }

    pub(super) fn on_answered(
        &mut self,
        query: QueryId,
        answer: Result<MailboxReply, CallFailure>,
    ) {
        if self.queries.end(query).is_none() {
            return;
        }
        if let Ok(reply) = &answer
            && let Ok(Outcome::Inbox { complete_through, .. }) = &reply.answer
        {
            self.last_seen = self.last_seen.max(Some(*complete_through));
        }
        self.events.push_back(Event::Answered { query, answer });
    }

    pub(super) fn give_up_queries(&mut self) {
        let all: Vec<QueryId> = self.queries.iter().map(|(id, _)| id).collect();
        for id in all {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
    }
}
