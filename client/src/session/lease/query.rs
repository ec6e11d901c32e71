//! Plain calls: a command out, a reply back, nothing believed.

use std::time::Duration;

use mailbus_spec::lease::{Command, LeaseReply};

use super::event::Event;
use super::{Due, LeaseSession, Subject};
use crate::session::call::{CallFailure, CallNumber, QueryId};
use crate::session::retry::Retry;

/// A plain call that is sent until it is answered.
#[derive(Debug)]
pub(super) struct Query {
    command: Command,
    pub(super) retry: Retry,
}

impl LeaseSession {
    pub(super) fn begin_query(&mut self, now: Duration, command: Command) -> QueryId {
        let id = QueryId(self.next_number());
        let retry = Retry::due_at(now, Some(self.horizon()));
        let retry = match command {
            Command::Recover { .. } => retry.once(),
            _ => retry,
        };
        self.queries.insert(id, Query { command, retry });
        id
    }

    pub(super) fn due_query(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        self.queries.iter_mut().find_map(|(id, query)| {
            let attempt = query.retry.take_due(call, now, timeout)?;
            Some((Subject::Query(*id), query.command.clone(), attempt))
        })
    }

    pub(super) fn queries_in_time(&mut self, now: Duration) {
        let pacing = &mut self.pacing;
        let over =
            |(id, query): (&QueryId, &mut Query)| query.retry.pass(now, pacing).then_some(*id);
        let over: Vec<QueryId> = self.queries.iter_mut().filter_map(over).collect();
        for id in over {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
    }

    pub(super) fn query_failed(
        &mut self,
        id: QueryId,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        query.retry.fail(call, now, least, &mut self.pacing);
        if query.retry.is_exhausted(now) {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
    }

    pub(super) fn on_answered(&mut self, query: QueryId, answer: Result<LeaseReply, CallFailure>) {
        if self.queries.remove(&query).is_some() {
            self.events.push_back(Event::Answered { query, answer });
        }
    }
}
