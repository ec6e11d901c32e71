//! Protocol of a socket: what its client speaks.

/// Protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The original's: one object a frame; of leases it is pushes only.
    Original,
    /// `protocol=1`: commands and replies too, many to a frame.
    One,
}
