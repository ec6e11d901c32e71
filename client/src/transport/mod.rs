//! The transport over byte streams: a loop around the session.
//!
//! Commands travel over a WebSocket while one is open, many to a frame, and over HTTP/1.1 otherwise;
//! a copy of an attempt that went unanswered takes the other way. The socket also brings what the
//! object sends unasked. Nothing about safety depends on either: an attempt that is not answered is
//! unknown to the session, whichever way it went.
//!
//! The loop is one future, [`Driver::run`], that spawns nothing, so it can be put on any executor of
//! one thread or many, and stopped with a process that a simulator pauses. It is generic over how
//! streams are made ([`Connector`]) and over the clocks ([`Clocks`](crate::clocks::Clocks)); every
//! wait has an end by those clocks.
//!
//! | file | what it does |
//! |---|---|
//! | `endpoint` | where the service is, and who asks |
//! | `connector` | how a byte stream to it is made |
//! | `driver` | the loop |
//! | `exchange` | one command over HTTP, on a connection that is kept |
//! | `socket` | the WebSocket: opened, kept alive, opened again |
//! | `link` | what loop and socket hand each other |
//! | `system` | all of it on this machine |

mod connector;
mod driver;
mod endpoint;
mod exchange;
mod link;
mod socket;
mod system;

pub use connector::{ByteStream, Connector, TokioConnector};
pub use driver::{Driver, Options, connect};
pub use endpoint::{Authority, BearerToken, Endpoint, InvalidEndpoint, InvalidToken, Scheme};
pub use system::open;
