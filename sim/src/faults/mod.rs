//! The plan's faults: when each begins and ends, and how it is made to happen.

mod act;
mod links;
mod timeline;

pub use act::apply;
pub use links::Links;
pub use timeline::{Act, Timeline};
