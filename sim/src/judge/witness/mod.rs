//! Marks that show in a history afterwards.

mod lease;
mod mailbox;

use crate::judge::history::History;
use crate::judge::history::marks::Marks;
use crate::judge::observer::walk;
use crate::plan::Plan;

/// Reaches the marks that the history shows.
pub fn reach(plan: &Plan, history: &mut History) {
    let mut leases = lease::Witness::new(plan, history);
    walk(history, &mut [&mut leases]);
    let mut mail = mailbox::Witness::default();
    walk(history, &mut [&mut mail]);
    let found: [Marks; 2] = [leases.marks, mail.marks];
    found.iter().for_each(|marks| history.marks.add(marks));
}
