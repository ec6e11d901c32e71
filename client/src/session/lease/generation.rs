//! Lives of the object's storage, as its answers tell them.

use std::time::Duration;

use mailbus_spec::Commit;

use super::LeaseSession;
use super::event::{Event, LossCause};
use super::rules::Ending;
use crate::session::call::CallNumber;

impl LeaseSession {
    /// Notes the life of the storage that the answer to `call` is of. False if that life is known to be over:
    /// then the answer says nothing about the present one.
    ///
    /// An attempt that was sent after a life was heard of can only be answered by it or by a later one, even
    /// if that has a smaller number, since nobody has told the object of the restore.
    pub(super) fn note_life(&mut self, call: CallNumber, commit: Commit) -> bool {
        let (from, to) = (self.generation, commit.generation);
        if from == to {
            return true;
        }
        if to < from && call <= self.heard_after {
            return false;
        }
        (self.generation, self.heard_after) = (to, CallNumber(self.last_number));
        if from == 0 {
            // The first that is heard of is that of whatever was pushed before.
            self.claims.values_mut().for_each(|claim| claim.generation = to);
        } else {
            self.events.push_back(Event::GenerationChanged { from, to });
        }
        true
    }

    /// The storage has begun another life: ends what was not confirmed in it.
    pub(super) fn end_older_beliefs(&mut self, now: Duration) {
        let present = self.generation;
        for id in self.believed_claims(|claim| claim.generation != present) {
            self.lose(id, LossCause::Restored, Ending::Restored, now);
        }
    }
}
