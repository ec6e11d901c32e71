//! The plan's faults: when each begins and ends, and how it is made to happen.

mod apply;
mod links;

use crate::clock::TrueTime;
use crate::plan::{FaultKind, Plan};
use crate::world::hosts::TICK_MS;

pub use apply::apply;
pub use links::Links;

/// A fault begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The storage of a later restore is remembered: of the fault with this index.
    Bookmark(usize),
    /// It begins.
    Begin(usize, FaultKind),
    /// It ends.
    End(usize, FaultKind),
}

/// All beginnings and ends of a plan, in order, and the state of links that they have made.
#[derive(Debug)]
pub struct Timeline {
    acts: std::vec::IntoIter<(TrueTime, Act)>,
    /// Troubles of the links now.
    pub links: Links,
}

impl Timeline {
    /// The timeline of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut acts = Vec::new();
        for (index, fault) in plan.faults.iter().enumerate() {
            let at = TrueTime::from_ms(fault.at_ms);
            if let FaultKind::Restore { back_ms, .. } = fault.kind {
                let back = TrueTime::from_ms(fault.at_ms.saturating_sub(back_ms));
                acts.push((back, Act::Bookmark(index)));
            }
            acts.push((at, Act::Begin(index, fault.kind.clone())));
            let lasts_ms = match fault.kind {
                FaultKind::Loss { .. } => TICK_MS,
                _ => fault.kind.lasts_ms(),
            };
            acts.push((at.plus_ms(lasts_ms), Act::End(index, fault.kind.clone())));
        }
        acts.sort_by_key(|(at, _)| *at);
        Self { acts: acts.into_iter(), links: Links::of(plan) }
    }

    /// The next that is due at `now`.
    pub fn next_until(&mut self, now: TrueTime) -> Option<Act> {
        let (at, _) = self.acts.as_slice().first()?;
        if *at <= now { self.acts.next().map(|(_, act)| act) } else { None }
    }

    /// Acts that are still to end when the world heals.
    pub fn rest(&mut self) -> Vec<Act> {
        let rest = std::mem::take(&mut self.acts);
        rest.map(|(_, act)| act).filter(|act| matches!(act, Act::End(..))).collect()
    }
}
