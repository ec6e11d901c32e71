//! The transport: a loop around each session, and what carries its commands.
//!
//! Commands travel over a WebSocket while one is open, many to a frame, and over HTTP otherwise;
//! a copy of an attempt that went unanswered takes the other way. The socket also brings what the
//! object sends unasked. Nothing about safety depends on either: an attempt that is not answered is
//! unknown to the session, whichever way it went.
//!
//! The loop is one future, [`Driver::run`], for either session, that spawns nothing, so it can
//! be put on any executor of one thread or many, and stopped with a process that a simulator pauses. On
//! this machine's network it has a thread of its own, which no work of the application holds up. It is
//! generic over what carries ([`Carrier`]) and over the clocks ([`Clocks`](crate::clocks::Clocks)); every
//! wait has an end by those clocks.
//!
//! | file | what it does |
//! |---|---|
//! | `carrier` | what a loop needs of a network |
//! | `codec` | what it needs of a session's wire |
//! | `driver` | the loop around a session |
//! | `sockets` | its sockets, as the session orders them |
//! | `outbox` | what the loop hands over to a socket |
//! | `stream` | the carrier over byte streams: HTTP/1.1, WebSocket, TLS |
//! | `thread` | a loop on a thread of its own |
//! | `binding` | the carrier over the bindings of a Worker |

#[cfg(target_arch = "wasm32")]
mod binding;
mod carrier;
mod codec;
mod driver;
mod outbox;
mod sockets;
#[cfg(not(target_arch = "wasm32"))]
mod stream;
#[cfg(not(target_arch = "wasm32"))]
mod thread;

#[cfg(target_arch = "wasm32")]
pub use binding::{BindingSocket, Bindings};
pub use carrier::{
    Answered, Broken, Carrier, EXCHANGES, Incoming, NoAnswer, Object, Socket, Unopened,
};
pub use codec::Codec;
pub use driver::{Driver, LeaseDriver, MailboxDriver, drive, drive_mailbox};
#[cfg(not(target_arch = "wasm32"))]
pub use stream::{
    Authority, BearerToken, ByteStream, Connector, Endpoint, InvalidEndpoint, InvalidToken, Scheme,
    StreamSocket, Streams, TokioConnector, connect, open,
};
#[cfg(not(target_arch = "wasm32"))]
pub use thread::NativeDriver;
