//! The SQL machine against the reference model: random histories in a small world, with clock steps
//! both ways, evictions, crashes, lost alarms and failing statements. Every step has to be equal, and
//! memory has to equal what waking makes of the rows and of what sockets keep.

mod crowd;
mod differential;
mod pair;
mod runs;
mod storage;
mod waking;
