//! Pushes: whether what sockets received is what an order of events sent.

use super::report::Contradiction;
use super::{Explained, History};
use crate::subject::Subject;

/// A push that was received and never sent, or was sent and must have been received.
pub(super) fn unexplained<S: Subject>(
    history: &History<S>,
    trail: &[Explained<S>],
) -> Option<Contradiction> {
    let mut sent: Vec<&S::Push> = trail.iter().flat_map(|event| &event.pushes).collect();
    for push in &history.received {
        match sent.iter().position(|one| *one == push) {
            Some(at) => {
                sent.remove(at);
            }
            None => {
                let why = "this was received, and nothing sent it";
                return Some(Contradiction::pushes(history, trail, why, push));
            }
        }
    }
    let until = history.complete_until;
    let heard = |push: &&S::Push| history.listening.contains(S::addressee(push));
    let due = trail.iter().filter(|event| event.sequence <= until);
    let due: Vec<&S::Push> = due.flat_map(|event| &event.pushes).filter(heard).collect();
    let mut received: Vec<&S::Push> = history.received.iter().collect();
    for push in due {
        match received.iter().position(|one| *one == push) {
            Some(at) => {
                received.remove(at);
            }
            None => {
                let why = "this was sent, and nobody received it";
                return Some(Contradiction::pushes(history, trail, why, push));
            }
        }
    }
    None
}
