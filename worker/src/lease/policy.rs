//! Policy of leases at their endpoint: whose a socket is, and what one event tells whom.

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use mailbus_spec::lease::{Command, LeaseMachine, LeaseReply, Push};
use mailbus_spec::wire::lease::{
    Call, Subscribe, decode_frame, decode_request, decode_subscribe, encode_push, encode_reply,
};
use mailbus_spec::wire::{Answer, Attempt, Code, Dialect, Problem, Protocol, frame};
use mailbus_spec::{Holder, limits};

use super::attachment;
use crate::endpoint::{Calls, Policy, Socket};
use crate::object::{Accept, Attachment, Effects, SocketId, Target};

/// Policy of leases. The object knows nothing of its sockets: a holder has any number of them.
#[derive(Debug)]
pub struct LeasePolicy;

/// Messages of one event to sockets.
#[derive(Debug, Default)]
pub struct Told {
    /// The frame that answers commands, for the socket that they came over.
    replies: String,
    pushes: Vec<Push>,
}

impl Policy for LeasePolicy {
    type Service = LeaseMachine;
    type Kept = Infallible;
    type Call = Call;
    type Subscribe = Subscribe;
    type Speaker = Holder;
    type Told = Told;

    const NEEDS_SOCKETS: bool = false;
    const NO_UPGRADE: &'static str =
        "A subscription is a WebSocket. Send the headers of an upgrade.";
    const PUT_OFF: &'static str = "The frame's replies are too long for one frame. This command was \
        not executed; send it in another.";

    fn wake(_: Vec<(SocketId, Attachment)>) -> (Self, Vec<Infallible>) {
        (Self, Vec::new())
    }

    fn decode_request(action: &str, body: &[u8]) -> Result<Call, Problem> {
        decode_request(action, body)
    }

    fn decode_frame(
        text: &str,
        holder: &Holder,
        protocol: Protocol,
    ) -> Result<Calls<Self>, Problem> {
        match protocol {
            Protocol::One => decode_frame(text, Some(holder)),
            Protocol::Original => Err(Problem::new(
                Code::Malformed,
                "This socket takes no commands. Subscribe with `protocol=1` to send some.",
            )),
        }
    }

    fn decode_subscribe(query: &str) -> Result<Subscribe, Problem> {
        decode_subscribe(query)
    }

    fn parts(call: Call) -> (Attempt, Dialect, Command) {
        (call.attempt, call.dialect, call.command)
    }

    fn encode_reply(number: Option<u64>, dialect: Dialect, reply: &LeaseReply) -> Answer {
        encode_reply(number, dialect, reply)
    }

    fn connect(_: &Subscribe) -> Option<Command> {
        None
    }

    fn open(
        &mut self,
        _: &mut Told,
        subscribe: Subscribe,
        _: Option<LeaseReply>,
    ) -> Result<Accept, Answer> {
        Ok(attachment::accept(subscribe))
    }

    fn socket(attachment: &str) -> Socket<Holder> {
        attachment::socket(attachment)
    }

    /// A lease does not end with a socket: its holder may be back before it lapses.
    fn closed(&mut self, _: &mut Told, _: Holder) -> Option<Command> {
        None
    }

    fn take(&mut self, told: &mut Told, _: Vec<Infallible>, pushes: Vec<Push>) {
        told.pushes.extend(pushes);
    }

    fn is_full(_: &Told, _: &Holder, reply_bytes: usize) -> bool {
        reply_bytes >= limits::FRAME_REPLY_BYTES
    }

    fn reply(told: &mut Told, _: &Holder, text: String) {
        told.replies = text;
    }

    /// Sends by holder, so that all that one event sends to a socket shares a frame where it may; what it
    /// tells the holder that asked shares the frame of replies.
    fn send(&self, told: Told, asking: Option<(SocketId, Holder)>, effects: &mut Effects) {
        let Told { replies, pushes } = told;
        let mut order: Vec<&Holder> = Vec::new();
        let mut texts: BTreeMap<&Holder, Vec<String>> = BTreeMap::new();
        for push in &pushes {
            let of_holder = texts.entry(&push.to).or_insert_with(|| {
                order.push(&push.to);
                Vec::new()
            });
            of_holder.push(encode_push(&push.notice));
        }
        if let Some((socket, holder)) = &asking {
            let besides = texts.get(holder).into_iter().flatten().map(String::as_str);
            let all: Vec<&str> = std::iter::once(replies.as_str()).chain(besides).collect();
            effects.frames.extend(frames(all).map(|frame| (Target::Socket(*socket), frame)));
        }
        for holder in order {
            let texts = texts.remove(holder).unwrap_or_default();
            let tag = attachment::tag(holder, Protocol::One);
            let whole = match &asking {
                Some((socket, own)) if own == holder => Target::Others { tag, than: *socket },
                _ => Target::Tag(tag),
            };
            let shared = frames(texts.iter().collect()).map(|frame| (whole.clone(), frame));
            effects.frames.extend(shared);
            let one_by_one = attachment::tag(holder, Protocol::Original);
            let single =
                texts.into_iter().map(|text| (Target::Tag(one_by_one.clone()), text.into()));
            effects.frames.extend(single);
        }
    }
}

/// The frames that carry these objects.
fn frames<T: AsRef<str>>(objects: Vec<T>) -> impl Iterator<Item = Arc<str>> {
    frame::pack(objects).into_iter().map(|objects| frame::share(&objects).into())
}
