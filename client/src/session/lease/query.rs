//! Plain calls: a command out, a reply back, nothing believed.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Command, LeaseReply};

use super::event::Event;
use super::{Due, LeaseSession, Subject};
use crate::session::call::{CallFailure, CallNumber, QuestionId};
use crate::session::retry::Retry;

/// A plain call that is sent until it is answered.
#[derive(Debug)]
pub(super) struct Question {
    command: Command,
    pub(super) retry: Retry,
}

impl LeaseSession {
    /// Asks the object something: `Status`, `List`, `Verify`, `ForceRelease` or `Recover`. What it
    /// says is passed on and not looked at; [`Event::Answered`] tells it.
    ///
    /// A `Recover` is sent once, since each begins a generation; the others until they are answered.
    pub fn ask(&mut self, at: Reading, command: Command) -> QuestionId {
        self.observe(at);
        let id = QuestionId(self.next_number());
        let retry = Retry::due_at(at.monotonic, Some(self.horizon()));
        let retry = match command {
            Command::Recover { .. } => retry.once(),
            _ => retry,
        };
        self.questions.insert(id, Question { command, retry });
        id
    }

    /// Forgets a question whose answer nobody waits for any more.
    pub fn forget(&mut self, question: QuestionId) {
        self.questions.remove(&question);
    }

    pub(super) fn due_question(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        self.questions.iter_mut().find_map(|(id, question)| {
            let attempt = question.retry.take_due(call, now, timeout)?;
            Some((Subject::Question(*id), question.command.clone(), attempt))
        })
    }

    pub(super) fn questions_in_time(&mut self, now: Duration) {
        let pacing = &mut self.pacing;
        let over = |(id, question): (&QuestionId, &mut Question)| {
            question.retry.pass(now, pacing).then_some(*id)
        };
        let over: Vec<QuestionId> = self.questions.iter_mut().filter_map(over).collect();
        for id in over {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
    }

    pub(super) fn question_failed(
        &mut self,
        id: QuestionId,
        call: CallNumber,
        now: Duration,
        least: Duration,
    ) {
        let Some(question) = self.questions.get_mut(&id) else { return };
        question.retry.fail(call, now, least, &mut self.pacing);
        if question.retry.is_exhausted(now) {
            self.on_answered(id, Err(CallFailure::Unanswered));
        }
    }

    pub(super) fn on_answered(
        &mut self,
        question: QuestionId,
        answer: Result<LeaseReply, CallFailure>,
    ) {
        if self.questions.remove(&question).is_some() {
            self.events.push_back(Event::Answered { question, answer });
        }
    }
}
