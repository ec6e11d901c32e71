//! Plain calls: a command out, a reply back, nothing believed.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::{Command, LeaseReply};

use super::copies::Copies;
use super::event::{CallFailure, CallNumber, Event, QuestionId};
use super::{Due, LeaseSession, Subject};

/// A plain call that is sent until it is answered.
#[derive(Debug)]
pub(super) struct Question {
    command: Command,
    /// Whether a second execution would do something the first did not.
    once: bool,
    pub(super) copies: Copies,
}

impl LeaseSession {
    /// Asks the object something: `Status`, `List`, `Verify`, `ForceRelease` or `Recover`. What it
    /// says is passed on and not looked at; [`Event::Answered`] tells it.
    ///
    /// A `Recover` is sent once, since each begins a generation; the others until they are answered.
    pub fn ask(&mut self, at: Reading, command: Command) -> QuestionId {
        self.observe(at);
        let id = QuestionId(self.next_number());
        let once = matches!(command, Command::Recover { .. });
        let copies = Copies::due_at(at.monotonic, Some(self.horizon()));
        self.questions.insert(id, Question { command, once, copies });
        id
    }

    /// Forgets a question whose answer nobody waits for any more.
    pub fn forget(&mut self, question: QuestionId) {
        self.questions.remove(&question);
    }

    pub(super) fn due_question(&mut self, call: CallNumber, now: Duration) -> Option<Due> {
        let timeout = self.config.attempt_timeout;
        let (id, question) =
            self.questions.iter_mut().find(|(_, question)| question.copies.is_due(now))?;
        let unanswered = question.copies.silent();
        question.copies.note_sent(call, now, timeout);
        Some((Subject::Question(*id), question.command.clone(), unanswered, timeout))
    }

    pub(super) fn questions_in_time(&mut self, now: Duration) {
        let ids: Vec<QuestionId> = self.questions.keys().copied().collect();
        for id in ids {
            let Some(question) = self.questions.get_mut(&id) else { continue };
            if let Some(call) = question.copies.expire(now) {
                self.question_failed(id, call, now, Duration::ZERO);
            }
            if self.questions.get(&id).is_some_and(|question| question.copies.is_exhausted(now)) {
                self.on_answered(id, Err(CallFailure::Unanswered));
            }
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
        question.copies.give_up_on(call);
        if question.once {
            self.on_answered(id, Err(CallFailure::Unanswered));
            return;
        }
        let silent = question.copies.silent();
        let pause = self.pause(silent).max(least);
        if let Some(question) = self.questions.get_mut(&id) {
            question.copies.schedule_if_none(now.saturating_add(pause));
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
