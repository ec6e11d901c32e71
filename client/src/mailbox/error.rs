//! Errors of callers when mail did not work, in sentences.

use mailbus_spec::mailbox::{LimitKind, Outcome, Rejection};
use mailbus_spec::wire::Problem;

use crate::session::CallFailure;
use crate::session::mailbox::{Ended, Unsendable};

/// Reason why a message was not accepted, or a call not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// It is no message that can be sent.
    #[error("{0}")]
    Unsendable(#[from] Unsendable),
    /// No answer came. Whether it took effect is unknown.
    #[error("the service did not answer; whether it did what was asked is unknown")]
    Unknown,
    /// Nothing of the message left this machine, so it was not accepted.
    #[error("the message was not sent: the service could not be reached")]
    Unsent,
    /// The service refused.
    #[error("the service refused: {0}")]
    Refused(Problem),
    /// The object refused.
    #[error("{}", rejected(.0))]
    Rejected(Rejection),
    /// The service said something that is no answer.
    #[error("the service gave an answer that makes no sense; its version may be another")]
    Unexpected,
    /// The session is over.
    #[error("{}", ended(.0))]
    Ended(Ended),
    /// The run loop has ended.
    #[error("the client's run loop has ended")]
    Closed,
}

impl MailboxError {
    /// The error of an answer that is not what was asked for.
    pub(crate) fn of(answer: Result<Outcome, Rejection>) -> Self {
        answer.map_or_else(Self::Rejected, |_| Self::Unexpected)
    }
}

impl From<CallFailure> for MailboxError {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Unanswered => Self::Unknown,
            CallFailure::Problem(problem) => Self::Refused(problem),
            CallFailure::Closed => Self::Closed,
        }
    }
}

fn rejected(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Conflict => {
            "another message was accepted under this id; use another id".to_owned()
        }
        Rejection::Replaced => "another session of this agent has taken over".to_owned(),
        Rejection::Ahead { last } => {
            format!("the service knows messages up to {last} only; it may have been restored")
        }
        Rejection::UnknownAgent { near } => match near.first() {
            Some(likeliest) => {
                format!("nobody is known by that name; perhaps `{likeliest}` was meant")
            }
            None => "nobody is known by that name".to_owned(),
        },
        Rejection::Limit(kind) => format!("{}; try again later", limit(*kind)),
        Rejection::Overloaded => {
            "the workspace holds as much mail as it may; settle or forget some".to_owned()
        }
        Rejection::Clock(_) => "the service's clock is not plausible; try again later".to_owned(),
    }
}

fn limit(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::Agents => "the workspace has as many agents as it may",
        LimitKind::Patterns => "the agent has as many subscriptions as it may",
        LimitKind::UnknownNames => "as many names as may hold mail without ever having connected",
        LimitKind::UnknownNameMessages => {
            "the recipient never connected and holds as much mail as it may"
        }
        LimitKind::Ordinals => "no place in the workspace's order is left",
    }
}

fn ended(ended: &Ended) -> String {
    match ended {
        Ended::ShutDown => "the session was shut down".to_owned(),
        Ended::Replaced => "another session of this agent has taken over".to_owned(),
        Ended::Refused(problem) => format!("the service refused the session: {problem}"),
    }
}
