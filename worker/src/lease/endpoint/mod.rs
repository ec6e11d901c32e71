//! Requests and frames in, answers and pushes out. Nothing here decides anything about leases.

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use mailbus_spec::lease::{LeaseMachine, LeaseReply, Push};
use mailbus_spec::wire::lease::{
    Call, Subscribe, decode_frame, decode_request, decode_subscribe, encode_push, encode_reply,
};
use mailbus_spec::wire::{Answer, Code, Problem, Protocol, frame};
use mailbus_spec::{Holder, HostTime, limits, machine};

use crate::lease::attachment;
use crate::machine::Machine;
use crate::object::{
    Body, Effects, Event, Object, Request, Response, SocketId, Target, Waking, Woken,
};
use crate::storage::{Storage, StorageError};

/// The close of a socket that this version cannot serve: its client comes back on a new one.
const RESTART: (u16, &str) = (1012, "restart");
/// The least that touches the storage, whatever is in it.
const TOUCH: &str = "SELECT 1 FROM sqlite_master LIMIT 1";

/// The lease object of one workspace over the machine `L`.
#[derive(Debug)]
pub struct LeaseObject<L> {
    leases: L,
}

impl<L> LeaseObject<L> {
    /// The machine behind the endpoint.
    pub fn leases(&self) -> &L {
        &self.leases
    }
}

impl<L> Object for LeaseObject<L>
where
    L: Machine<Service = LeaseMachine, Kept = Infallible>,
{
    fn wake(woken: Woken) -> Self {
        Self { leases: L::wake(woken.pending_alarm, Vec::new()) }
    }

    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        self.leases.prepare(storage)
    }

    fn footprint(&self) -> u64 {
        self.leases.footprint()
    }

    fn is_blank(&self, now: HostTime) -> bool {
        self.leases.is_blank(now)
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        event: Event<'_>,
    ) -> Result<Effects, StorageError> {
        let mut handler = Handler::new(&mut self.leases, storage, now);
        match event {
            Event::Request(request) => handler.request(&request)?,
            Event::Frame { socket, attachment, text } => {
                handler.frame(socket, attachment, text)?;
            }
            // A lease does not end with a socket: its holder may be back before it lapses.
            Event::Closed { .. } => {}
            Event::Alarm => {
                handler.machine_event(&machine::Event::Alarm)?;
            }
        }
        Ok(handler.into_effects())
    }
}

/// Handler of one event on the object, with the effects it has come to so far.
struct Handler<'e, L, S> {
    leases: &'e mut L,
    storage: &'e mut S,
    now: HostTime,
    effects: Effects,
    pushes: Vec<Push>,
    /// The socket whose commands these are, with what answers them.
    asking: Option<Asking>,
}

/// A socket that sent commands. What the event tells its holder besides shares the frame of replies.
struct Asking {
    socket: SocketId,
    holder: Holder,
    replies: String,
}

impl<'e, L, S: Storage> Handler<'e, L, S>
where
    L: Machine<Service = LeaseMachine, Kept = Infallible>,
{
    fn new(leases: &'e mut L, storage: &'e mut S, now: HostTime) -> Self {
        let (effects, pushes) = (Effects::default(), Vec::new());
        Self { leases, storage, now, effects, pushes, asking: None }
    }

    fn request(&mut self, request: &Request<'_>) -> Result<(), StorageError> {
        if request.action == "subscribe" {
            return self.subscribe(request);
        }
        let call = match call_of(request) {
            Ok(call) => call,
            Err(response) => {
                self.effects.response = Some(response);
                return Ok(());
            }
        };
        let answer = self.answer(call)?;
        self.effects.response = Some(Response {
            status: answer.status,
            body: answer.body,
            retry_after: answer.retry_after,
            allow: None,
            charged: None,
        });
        Ok(())
    }

    fn subscribe(&mut self, request: &Request<'_>) -> Result<(), StorageError> {
        let asked = if request.method != "GET" {
            Err(method_not_allowed("GET"))
        } else if !request.upgrade {
            Err(refused(&Problem::new(
                Code::UpgradeRequired,
                "A subscription is a WebSocket. Send the headers of an upgrade.",
            )))
        } else {
            decode_subscribe(request.query).map_err(|problem| refused(&problem))
        };
        match asked {
            Ok(subscribe) => {
                // A replaced object would keep the socket from its successor.
                self.storage.query(TOUCH, &[])?;
                self.effects.accept = Some(attachment::accept(subscribe));
            }
            Err(response) => self.effects.response = Some(response),
        }
        Ok(())
    }

    fn frame(
        &mut self,
        socket: SocketId,
        attachment: &str,
        text: &str,
    ) -> Result<(), StorageError> {
        let Some(Subscribe { holder, protocol }) = attachment::subscriber(attachment) else {
            let (code, reason) = RESTART;
            self.effects.closes.push((Target::Socket(socket), code, reason.to_owned()));
            return Ok(());
        };
        match protocol {
            Protocol::One => {
                let replies = self.replies(&holder, text)?;
                self.asking = Some(Asking { socket, holder, replies });
            }
            Protocol::Original => {
                let refusal = frame::error(&Problem::new(
                    Code::Malformed,
                    "This socket takes no commands. Subscribe with `protocol=1` to send some.",
                ));
                self.effects.frames.push((Target::Socket(socket), refusal.into()));
            }
        }
        Ok(())
    }

    /// The frame that answers a frame of commands. Once its replies are long enough, what is left of
    /// the commands is put off: a short frame can ask for more than there is memory for.
    fn replies(&mut self, holder: &Holder, text: &str) -> Result<String, StorageError> {
        let calls = match decode_frame(text, Some(holder)) {
            Ok(calls) => calls,
            Err(problem) => return Ok(frame::error(&problem)),
        };
        let mut answers = Vec::with_capacity(calls.len());
        let mut bytes = 0_usize;
        for call in calls {
            let answer = match call {
                Ok(call) if bytes < limits::FRAME_REPLY_BYTES => self.answer(call)?,
                Ok(call) => put_off(&call),
                Err(problem) => problem.to_answer(),
            };
            bytes = bytes.saturating_add(answer.body.len());
            answers.push(answer);
        }
        Ok(frame::replies(&answers))
    }

    fn answer(&mut self, call: Call) -> Result<Answer, StorageError> {
        let Call { number, dialect, command } = call;
        let reply = self.machine_event(&machine::Event::Command(command))?;
        Ok(match reply {
            Some(reply) => encode_reply(number, dialect, &reply),
            None => Problem::internal().with_call(number).to_answer(),
        })
    }

    fn machine_event(
        &mut self,
        event: &machine::Event<mailbus_spec::lease::Command>,
    ) -> Result<Option<LeaseReply>, StorageError> {
        let handled = self.leases.handle(self.storage, self.now, event)?;
        self.effects.rows = self.effects.rows.saturating_add(handled.rows);
        self.effects.alarm = handled.alarm.or(self.effects.alarm);
        self.pushes.extend(handled.step.pushes);
        Ok(handled.step.reply)
    }

    fn into_effects(mut self) -> Effects {
        // By holder, so that all that one event sends to a socket shares a frame where it may.
        let mut order: Vec<&Holder> = Vec::new();
        let mut texts: BTreeMap<&Holder, Vec<String>> = BTreeMap::new();
        for push in &self.pushes {
            let of_holder = texts.entry(&push.to).or_insert_with(|| {
                order.push(&push.to);
                Vec::new()
            });
            of_holder.push(encode_push(&push.notice));
        }
        if let Some(Asking { socket, holder, replies }) = &self.asking {
            let besides = texts.get(holder).into_iter().flatten().map(String::as_str);
            let all: Vec<&str> = std::iter::once(replies.as_str()).chain(besides).collect();
            let frames = frames(all).map(|frame| (Target::Socket(*socket), frame));
            self.effects.frames.extend(frames);
        }
        for holder in order {
            let texts = texts.remove(holder).unwrap_or_default();
            let tag = attachment::tag(holder, Protocol::One);
            let whole = match &self.asking {
                Some(asking) if asking.holder == *holder => {
                    Target::Others { tag, than: asking.socket }
                }
                _ => Target::Tag(tag),
            };
            let shared = frames(texts.iter().collect()).map(|frame| (whole.clone(), frame));
            self.effects.frames.extend(shared);
            let one_by_one = attachment::tag(holder, Protocol::Original);
            let single =
                texts.into_iter().map(|text| (Target::Tag(one_by_one.clone()), text.into()));
            self.effects.frames.extend(single);
        }
        self.effects
    }
}

/// The frames that carry these objects.
fn frames<T: AsRef<str>>(objects: Vec<T>) -> impl Iterator<Item = Arc<str>> {
    frame::pack(objects).into_iter().map(|objects| frame::share(&objects).into())
}

/// The command of a request, or the answer that refuses it.
fn call_of(request: &Request<'_>) -> Result<Call, Response> {
    match (request.method, request.body) {
        ("POST", Body::Whole(body)) => {
            decode_request(request.action, body).map_err(|problem| refused(&problem))
        }
        // What is not there is not found, under any method and of any size.
        (method, _) => match decode_request(request.action, b"") {
            Err(problem) if problem.code == Code::NotFound => Err(refused(&problem)),
            _ if method == "POST" => Err(refused(&Problem::new(
                Code::MessageTooLarge,
                "The body is larger than a command can be.",
            ))),
            _ => Err(method_not_allowed("POST")),
        },
    }
}

/// The answer to a command that was not executed, for want of room for its reply.
fn put_off(call: &Call) -> Answer {
    let problem = Problem::new(
        Code::Overloaded,
        "The frame's replies are too long for one frame. This command was not executed; send it in \
         another.",
    );
    problem.with_call(call.number).to_answer()
}

fn method_not_allowed(allow: &'static str) -> Response {
    let problem = Problem::new(Code::MethodNotAllowed, format!("Use {allow} for this action."));
    Response { allow: Some(allow), ..refused(&problem) }
}

fn refused(problem: &Problem) -> Response {
    let Answer { status, body, retry_after } = problem.to_answer();
    Response { status, body, retry_after, allow: None, charged: None }
}
