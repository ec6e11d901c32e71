//! Requests that are none, and commands that are put off.

use mailbus_spec::wire::{Answer, Code, Problem};

use super::policy::Policy;
use crate::object::{Body, Request, Response};

/// The command of a request, or the answer that refuses it.
pub(super) fn call_of<P: Policy>(request: &Request<'_>) -> Result<P::Call, Response> {
    let problem = match (request.method, request.body) {
        ("POST", Body::Whole(body)) => {
            return P::decode_request(request.action, body).map_err(|problem| (&problem).into());
        }
        // What is not there is not found, under any method and of any size.
        (method, _) => match P::decode_request(request.action, b"") {
            Err(problem) if problem.code == Code::NotFound => problem,
            _ if method == "POST" => {
                Problem::new(Code::MessageTooLarge, "The body is larger than a command can be.")
            }
            _ => return Err(method_not_allowed("POST")),
        },
    };
    Err((&problem).into())
}

/// The subscription that a request is, or the answer that refuses it.
pub(super) fn subscribe_of<P: Policy>(request: &Request<'_>) -> Result<P::Subscribe, Response> {
    if request.method != "GET" {
        return Err(method_not_allowed("GET"));
    }
    if !request.upgrade {
        return Err((&Problem::new(Code::UpgradeRequired, P::NO_UPGRADE)).into());
    }
    P::decode_subscribe(request.query).map_err(|problem| (&problem).into())
}

/// The answer to a command that was not executed, for want of room for what it causes.
pub(super) fn put_off<P: Policy>(number: Option<u64>) -> Answer {
    Problem::new(Code::Overloaded, P::PUT_OFF).with_call(number).to_answer()
}

fn method_not_allowed(allow: &'static str) -> Response {
    let problem = Problem::new(Code::MethodNotAllowed, format!("Use {allow} for this action."));
    Response { allow: Some(allow), ..Response::from(&problem) }
}
