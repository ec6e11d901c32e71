//! Contract between a session and whoever drives it.

use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::machine::StateMachine;
use mailbus_spec::service::{ReplyOf, Service};
use mailbus_spec::wire::{Problem, Received};

use super::call::{CallNumber, QueryId, Transmit};
use super::connection::{SocketNumber, SocketOrder};

/// Reply of a service's object as the wire has it.
pub type ReceivedOf<S> = Received<<S as StateMachine>::Outcome, <S as StateMachine>::Rejection>;

/// A session without I/O, as its run loop drives it.
///
/// * What comes in goes to a `handle_*` method, with the clocks read *after* it came in.
/// * Sockets are opened, pinged and closed as [`poll_socket`](Self::poll_socket) orders; what is to go out
///   is taken from [`poll_transmit`](Self::poll_transmit), with the clocks read *before* it leaves; what
///   callers want to know from [`poll_event`](Self::poll_event).
/// * When [`poll_timeout`](Self::poll_timeout) says, [`handle_timeout`](Self::handle_timeout) is called.
///   Late is safe, early is harmless.
///
/// After any call, take socket orders until there is none, then transmits, then events, then sleep to the
/// timeout. A transmit that has not left by its [`leave_by`](Transmit::leave_by) is dropped, and so is what
/// is asked of a socket that is gone. A socket's texts reach the session in their order, and none after its
/// close. Readings never go back unless the clocks did: whoever shares a session reads the clocks under
/// the lock that guards it.
pub trait Session {
    /// The service that it is a client of.
    type Service: Service;
    /// Command that the object is asked.
    type Command;
    /// Introduction of the owner of a socket to the object.
    type Connect;
    /// One object of a text frame that a socket brings.
    type Frame;
    /// Something that a caller wants to know.
    type Event;

    /// Asks the object something whose answer is passed on and not looked at: an `Answered` event tells it.
    fn ask(&mut self, at: Reading, command: Self::Command) -> QueryId;

    /// Forgets a question whose answer nobody waits for any more.
    fn forget(&mut self, query: QueryId);

    /// The next order about a socket.
    fn poll_socket(&mut self, at: Reading) -> Option<SocketOrder<Self::Connect>>;

    /// The next attempt to send, or `None` if nothing is due at `at`.
    ///
    /// Belief is reckoned from `at`: read the clocks before the call, and let the bytes leave after it.
    fn poll_transmit(&mut self, at: Reading) -> Option<Transmit<Self::Command>>;

    /// The next event for a caller.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// The monotonic instant at which [`handle_timeout`](Self::handle_timeout) is to be called, unless
    /// something else happens before.
    fn poll_timeout(&self) -> Option<Duration>;

    /// Does what the passing of time asks for.
    fn handle_timeout(&mut self, at: Reading);

    /// A socket is open, and its object may still have to greet it.
    fn handle_opened(&mut self, at: Reading, socket: SocketNumber);

    /// A socket could not be opened. With a problem, somebody said why.
    fn handle_unopened(&mut self, at: Reading, socket: SocketNumber, why: Option<Problem>);

    /// A socket is closed or broken, with the close code if there was one.
    fn handle_closed(&mut self, at: Reading, socket: SocketNumber, code: Option<u16>);

    /// Something came in over a socket, if only the answer to a ping. What it says comes after.
    fn handle_heard(&mut self, at: Reading, socket: SocketNumber);

    /// One object of a text frame that came in over a socket.
    fn handle_frame(&mut self, at: Reading, socket: SocketNumber, frame: Self::Frame);

    /// A reply as the wire has it. One that names no attempt is ignored: an HTTP transport fills in
    /// the number of the exchange.
    fn handle_received(&mut self, at: Reading, received: ReceivedOf<Self::Service>) {
        let Some(call) = received.call.map(CallNumber) else { return };
        match received.result {
            Ok(reply) => self.handle_reply(at, call, reply),
            Err(problem) => self.handle_problem(at, call, problem),
        }
    }

    /// The object's reply to attempt `call`. Replies may come late, twice and in any order.
    fn handle_reply(&mut self, at: Reading, call: CallNumber, reply: ReplyOf<Self::Service>);

    /// Attempt `call` was refused by somebody on the way, or by the object before it was a command.
    fn handle_problem(&mut self, at: Reading, call: CallNumber, problem: Problem);

    /// No reply to attempt `call` will come by the way it went: refused a connection, cut, or
    /// unreadable. What became of it is unknown.
    fn handle_failure(&mut self, at: Reading, call: CallNumber);

    /// The same of an attempt of which nothing left this machine: nobody can have executed it.
    fn handle_unsent(&mut self, at: Reading, call: CallNumber) {
        self.handle_failure(at, call);
    }

    /// Attempt `call` goes over HTTP, since the socket it was meant for does not keep up.
    fn handle_diverted(&mut self, call: CallNumber);

    /// The handles that began this session are gone, or let go of it: what is under way is finished, and when
    /// nothing is, the session is done. Who still has a handle may ask until then.
    fn handle_abandoned(&mut self, at: Reading);

    /// True once there will never be anything to do again.
    fn is_done(&self) -> bool;
}
