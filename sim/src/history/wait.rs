//! What an object waits for between two events.

use mailbus_spec::HostTime;

use crate::clock::TrueTime;

/// What an object waits for after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Time at which the event was.
    pub at: TrueTime,
    /// What time it was told.
    pub told: HostTime,
    /// True if it wrote anything.
    pub wrote: bool,
    /// The alarm that is set after it.
    pub alarm: Option<HostTime>,
}
