//! The transport: a loop around each session, and what carries its commands.
//!
//! Commands travel over a WebSocket while one is open, many to a frame, and over HTTP otherwise;
//! a copy of an attempt that went unanswered takes the other way. The socket also brings what the
//! object sends unasked. Nothing about safety depends on either: an attempt that is not answered is
//! unknown to the session, whichever way it went.
//!
//! Each loop is one future, [`Driver::run`] and [`MailboxDriver::run`], that spawns nothing, so it can
//! be put on any executor of one thread or many, and stopped with a process that a simulator pauses. On
//! this machine's network it has a thread of its own, which no work of the application holds up. It is
//! generic over what carries ([`Carrier`]) and over the clocks ([`Clocks`](crate::clocks::Clocks)); every
//! wait has an end by those clocks.
//!
//! | file | what it does |
//! |---|---|
//! | `carrier` | what a loop needs of a network |
//! | `driver`, `socket`, `link` | the loop of a lease session, its socket, and what they hand each other |
//! | `mailbox` | the loop of a mail session |
//! | `stream` | the carrier over byte streams: HTTP/1.1, WebSocket, TLS |
//! | `thread` | a loop on a thread of its own |
//! | `binding` | the carrier over the bindings of a Worker |

#[cfg(target_arch = "wasm32")]
mod binding;
mod carrier;
mod driver;
mod link;
mod mailbox;
mod socket;
#[cfg(not(target_arch = "wasm32"))]
mod stream;
#[cfg(not(target_arch = "wasm32"))]
mod thread;

#[cfg(target_arch = "wasm32")]
pub use binding::{BindingSocket, Bindings};
pub use carrier::{Answered, Broken, Carrier, Incoming, NoAnswer, Object, Socket, Unopened};
pub use driver::{Driver, Options, drive};
pub use mailbox::{MailboxDriver, drive_mailbox};
#[cfg(not(target_arch = "wasm32"))]
pub use stream::{
    Authority, BearerToken, ByteStream, Connector, Endpoint, InvalidEndpoint, InvalidToken, Scheme,
    StreamSocket, Streams, TokioConnector, connect, open,
};
#[cfg(not(target_arch = "wasm32"))]
pub use thread::NativeDriver;
