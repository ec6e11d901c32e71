//! Network as a run loop needs it.

use std::future::Future;

use mailbus_spec::wire::Problem;

/// One of the two objects of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// The leases.
    Lease,
    /// The mailboxes.
    Mailbox,
}

/// Most HTTP exchanges at a time of those who say no other number.
pub const EXCHANGES: usize = 16;

/// Carries commands to the objects of one workspace, and opens sockets to them.
///
/// It gives up by itself on nothing: run loops do, by dropping what they wait for.
pub trait Carrier {
    /// An open WebSocket.
    type Socket: Socket;

    /// Posts a body to an action and brings the answer. `may_leave` is asked right before the first
    /// byte leaves; if it says no, nothing is sent. As long as it was not asked, nothing has left: a run
    /// loop takes what ends before for never sent.
    ///
    /// # Errors
    /// [`NoAnswer`]: what became of it is unknown.
    fn exchange(
        &self,
        object: Object,
        action: &str,
        body: String,
        may_leave: impl Fn() -> bool,
    ) -> impl Future<Output = Result<Answered, NoAnswer>>;

    /// Bars the connections that are kept from further use: what kept an exchange silent may have
    /// done the same to them.
    fn distrust_connections(&self) {}

    /// Opens the socket that this query subscribes with.
    ///
    /// # Errors
    /// [`Unopened`], with the service's reason if it gave one.
    fn open(
        &self,
        object: Object,
        query: &str,
    ) -> impl Future<Output = Result<Self::Socket, Unopened>>;
}

impl<W: Carrier> Carrier for std::sync::Arc<W> {
    type Socket = W::Socket;

    fn exchange(
        &self,
        object: Object,
        action: &str,
        body: String,
        may_leave: impl Fn() -> bool,
    ) -> impl Future<Output = Result<Answered, NoAnswer>> {
        (**self).exchange(object, action, body, may_leave)
    }

    fn distrust_connections(&self) {
        (**self).distrust_connections();
    }

    fn open(
        &self,
        object: Object,
        query: &str,
    ) -> impl Future<Output = Result<Self::Socket, Unopened>> {
        (**self).open(object, query)
    }
}

/// An open WebSocket. Dropped, it is closed without ceremony.
pub trait Socket {
    /// Sends a text frame.
    ///
    /// # Errors
    /// [`Broken`]: the socket is of no use any more.
    fn send(&mut self, text: String) -> impl Future<Output = Result<(), Broken>>;

    /// Asks the other end's runtime for a sign of life.
    ///
    /// # Errors
    /// [`Broken`]: the socket is of no use any more.
    fn ping(&mut self) -> impl Future<Output = Result<(), Broken>>;

    /// Next event that comes in. Dropped, it loses nothing.
    fn next(&mut self) -> impl Future<Output = Incoming>;

    /// Closes it, with ceremony as far as there is time for it.
    fn close(&mut self) -> impl Future<Output = ()>;
}

/// The answer to an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`FRAME_MAX_BYTES`](mailbus_spec::limits::FRAME_MAX_BYTES).
    pub body: Vec<u8>,
}

/// Event that came in over a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text frame.
    Text(String),
    /// Something without content: a sign of life.
    Sign,
    /// The other end closed it, with this code if it gave one, or it is broken.
    Closed(Option<u16>),
}

/// There is no answer: refused a connection, cut, too long or not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// The socket is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A socket could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unopened {
    /// Problem that the service told of it, if it said anything. Invariant: a problem of its own;
    /// what anybody else says on the way there is left out, whatever its status.
    pub why: Option<Problem>,
}
