//! The plan's faults: when each begins and ends, and how it is made to happen.

mod apply;
mod links;
mod timeline;

pub use apply::apply;
pub use links::Links;
pub use timeline::{Act, Timeline};
