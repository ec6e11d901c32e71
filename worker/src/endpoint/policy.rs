//! Policy of a service at its endpoint: what differs from service to service.

use mailbus_spec::machine::StateMachine;
use mailbus_spec::service::{ReplyOf, Service};
use mailbus_spec::wire::{Answer, Attempt, Dialect, Problem, Protocol};

use crate::machine::CommandOf;
use crate::object::{Accept, Attachment, Effects, SocketId};

/// The commands of one frame, each by itself.
pub type Calls<P> = Vec<Result<<P as Policy>::Call, Problem>>;

/// State of a socket's session, as far as a frame needs it.
#[derive(Debug, PartialEq, Eq)]
pub enum Socket<P> {
    /// Open: who speaks, and in which protocol.
    Open(P, Protocol),
    /// Over: nothing that still comes over the socket has an effect.
    Over,
    /// Kept by another version.
    Foreign,
}

/// Policy of a service at its endpoint, with what the object knows of its open sockets.
pub trait Policy: Sized {
    /// The service, by its reference machine.
    type Service: Service;
    /// State of its session that a socket keeps for the machine.
    type Kept;
    /// One attempt at a command, as the wire has it.
    type Call;
    /// The query that opens a socket.
    type Subscribe;
    /// Speaker over a socket.
    type Speaker: Clone;
    /// Messages of one event to sockets.
    type Told: Default;

    /// True if the object has to be told of its sockets when it wakes.
    const NEEDS_SOCKETS: bool;
    /// Detail of the refusal of a subscription without an upgrade.
    const NO_UPGRADE: &'static str;
    /// Detail of the refusal of a command for whose effects an event has no room left.
    const PUT_OFF: &'static str;

    /// The policy of an object that wakes, and what its open sockets keep for the machine.
    fn wake(sockets: Vec<(SocketId, Attachment)>) -> (Self, Vec<Self::Kept>);

    /// First part of every event.
    fn begin(&mut self, effects: &mut Effects) {
        let _ = effects;
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// The problem of one that is no command.
    fn decode_request(action: &str, body: &[u8]) -> Result<Self::Call, Problem>;

    /// Reads a frame.
    ///
    /// # Errors
    /// The problem of one that cannot be taken apart, or may not be sent.
    fn decode_frame(
        text: &str,
        speaker: &Self::Speaker,
        protocol: Protocol,
    ) -> Result<Calls<Self>, Problem>;

    /// Reads the query of a subscription.
    ///
    /// # Errors
    /// The problem of one that is none.
    fn decode_subscribe(query: &str) -> Result<Self::Subscribe, Problem>;

    /// Attempt, spelling and command of a call.
    fn parts(call: Self::Call) -> (Attempt, Dialect, CommandOf<Self::Service>);

    /// The answer that says this reply.
    fn encode_reply(
        number: Option<u64>,
        dialect: Dialect,
        reply: &ReplyOf<Self::Service>,
    ) -> Answer;

    /// The command that a subscription begins with; `None` if the machine is not asked.
    fn connect(subscribe: &Self::Subscribe) -> Option<CommandOf<Self::Service>>;

    /// Opens a socket, after the reply to the command that its subscription began with.
    ///
    /// # Errors
    /// The answer to one that begins nothing.
    fn open(
        &mut self,
        told: &mut Self::Told,
        subscribe: Self::Subscribe,
        reply: Option<ReplyOf<Self::Service>>,
    ) -> Result<Accept, Answer>;

    /// Reads what a socket keeps.
    fn socket(attachment: &str) -> Socket<Self::Speaker>;

    /// Notes that a speaker's socket is gone; the command that this is for the machine, if it is one.
    fn closed(
        &mut self,
        told: &mut Self::Told,
        speaker: Self::Speaker,
    ) -> Option<CommandOf<Self::Service>>;

    /// Takes what a machine event tells and lets sockets keep.
    fn take(
        &mut self,
        told: &mut Self::Told,
        kept: Vec<Self::Kept>,
        pushes: Vec<<Self::Service as StateMachine>::Push>,
    );

    /// True if an event that has told so much, and besides replies to the speaker with so many bytes, may
    /// execute no further command of its frame: a short frame can ask for more than there is memory for.
    fn is_full(told: &Self::Told, speaker: &Self::Speaker, reply_bytes: usize) -> bool;

    /// Tells the speaker this before all that is pushed to it.
    fn reply(told: &mut Self::Told, speaker: &Self::Speaker, text: String);

    /// Turns what sockets are told into effects; `asking` is the socket that the event came over, if its
    /// speaker is told something.
    fn send(
        &self,
        told: Self::Told,
        asking: Option<(SocketId, Self::Speaker)>,
        effects: &mut Effects,
    );
}
