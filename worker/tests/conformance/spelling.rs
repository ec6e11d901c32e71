//! Answers of both services as the suite takes them, and what failures mean.

use std::fmt::Display;

use mailbus_conformance::Failure;
use mailbus_spec::machine::Reply;
use mailbus_spec::wire::Received;

/// Failure of a system that says what it must not.
pub fn broken(error: impl Display) -> Failure {
    Failure::Broken(error.to_string())
}

/// Failure after which nobody knows what became of the command.
pub fn unknown(error: impl Display) -> Failure {
    Failure::Unknown(error.to_string())
}

/// The reply to the attempt of this number.
pub fn checked<O, R>(call: Option<u64>, received: Received<O, R>) -> Result<Reply<O, R>, Failure> {
    if received.call != call {
        return Err(broken(format!("attempt {call:?} was answered as {:?}", received.call)));
    }
    received.result.map_err(|problem| {
        if problem.code.status() >= 500 { unknown(problem) } else { broken(problem) }
    })
}
