//! The SQL machine against the reference model: random histories in a small world, with clock steps
//! both ways, evictions, restores and failing statements. Every step has to be equal, and memory has to
//! equal what waking reads.

mod crowd;
mod differential;
mod limits;
mod pair;
mod stale;
mod stored;
