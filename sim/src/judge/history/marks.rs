//! Marks: situations that a run must have met *sometimes*, or it has shown nothing.
//!
//! An invariant that holds because nothing ever happened is worthless; each mark names something
//! that makes an invariant earn its keep. A run of two hundred seeds that misses one has failed.

use serde::Serialize;

macro_rules! marks {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal)*) => {
        /// A situation that must sometimes occur.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark { $($(#[doc = $doc])+ $variant,)* }

        impl Mark {
            /// Every mark.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

marks! {
    /// An acquisition was granted at once.
    GrantedAtOnce "granted at once"
    /// A ticket became a lease.
    GrantedFromQueue "granted out of the queue"
    /// A waiting client learned of its grant by asking again, not by the push.
    GrantPolled "grant learned by asking again"
    /// A client retried a command and was answered.
    RetryAnswered "retry answered"
    /// A client never learned what became of its command.
    UnknownOutcome "outcome unknown"
    /// A lease lapsed while the process of its holder was stopped.
    LapsedWhileStopped "lapsed while its holder was stopped"
    /// A client's own clock ended a belief, before anybody told it.
    BeliefEndedByClock "belief ended by the client's clock"
    /// A client's clocks disagreed or went back, and it dropped its beliefs.
    ClockAnomaly "client distrusted its clocks"
    /// The object's clock was re-anchored to a host far behind.
    Reanchored "object clock re-anchored"
    /// An alarm that was due did not ring.
    AlarmLost "alarm lost"
    /// An alarm rang although nothing was due.
    AlarmEarly "alarm rang early"
    /// An alarm rang whose time the wall clock, set back, had not reached.
    AlarmByUptime "alarm rang by the monotonic clock"
    /// The object lost its memory while somebody waited.
    EvictedWithTickets "evicted while tickets waited"
    /// A statement failed and its event was rolled back.
    StorageFailed "storage error rolled back"
    /// Committed events were lost with the power, before they were flushed.
    UnflushedLost "unflushed commits lost"
    /// A wait that would have closed a cycle was refused.
    DeadlockRefused "deadlock refused"
    /// A cancel came before its acquisition was known, and left a tombstone.
    CancelTombstone "cancel left a tombstone"
    /// A late copy of an acquisition was answered that the request is over.
    LateCopyRefused "late copy answered over"
    /// A late copy of an acquisition was answered.
    CopiedAcquire "late copy of acquire"
    /// A late copy of a renewal was answered.
    CopiedRenew "late copy of renew"
    /// A late copy of a release was answered.
    CopiedRelease "late copy of release"
    /// A late copy of a cancel was answered.
    CopiedCancel "late copy of cancel"
    /// A late copy of a forced release was answered.
    CopiedForceRelease "late copy of force-release"
    /// A late copy of a publication was answered.
    CopiedPublish "late copy of publish"
    /// A late copy of a message to one agent was answered.
    CopiedSend "late copy of send"
    /// A late copy of an acknowledgement was answered.
    CopiedAck "late copy of acknowledge"
    /// A late copy of a nack was answered.
    CopiedNack "late copy of nack"
    /// A late copy of a change of subscriptions was answered.
    CopiedSubscriptions "late copy of subscriptions"
    /// A late copy of a redrive was answered.
    CopiedRedrive "late copy of redrive"
    /// A late copy of an end of a session was answered.
    CopiedDisconnect "late copy of disconnect"
    /// A late copy of a forgetting was answered.
    CopiedForget "late copy of forget"
    /// A command with a token that guards nothing any more was refused.
    StaleRefused "stale token refused"
    /// A resource refused a write with a token older than one it had seen.
    FencedOff "write refused by its token"
    /// A write came from a holder whose belief had ended between its check and the write.
    WroteAfterBelief "write after belief had ended"
    /// An admin ended a lease while its holder believed in it.
    ForcedWhileBelieved "forced while believed"
    /// An admin ended a ticket.
    TicketForced "ticket ended by an admin"
    /// A draining lease was refused its renewal.
    DrainRefusedRenewal "renewal refused by a drain"
    /// A renewal told that the lease drains.
    DrainTold "renewal told of a drain"
    /// A restarted agent met its old self's lease.
    MetOldSelf "restarted agent met its old lease"
    /// A replaced object was sent a request and did not answer it.
    ZombieSilent "replaced object could not answer"
    /// The storage went back to an earlier point.
    Restored "storage restored"
    /// The original's client renewed by acquiring again, or was refused.
    OriginalServed "original's protocol served"
    /// A message was pushed again after the process of its recipient, or the object, had died.
    Redelivered "redelivered after a crash"
    /// A session found its agent known, with mail in its inbox.
    Resumed "session resumed"
    /// A message failed for good.
    DeadLettered "message dead-lettered"
    /// A dead letter was given a second chance.
    Redriven "dead letter redriven"
    /// A delivery to a session that negotiated nothing was presumed settled.
    Presumed "delivery presumed settled"
    /// A message expired.
    Expired "message expired"
    /// An agent was told of its losses.
    GapTold "gap told"
    /// An agent acknowledged its losses.
    GapAcknowledged "gap acknowledged"
    /// The object lost its memory while mail was in flight.
    EvictedInFlight "evicted with mail in flight"
    /// Another session of an agent took its place, and its client was told.
    SessionReplaced "session replaced"
    /// A session that negotiated nothing was replaced and went on without mail.
    SessionMute "session mute"
    /// A copy of a message that had been accepted was recognised.
    DuplicateAccepted "duplicate accepted once"
    /// Another message under a known id was refused.
    ContradictionRefused "contradiction refused"
    /// An ack, or another command, of a replaced session was refused.
    ReplacedRefused "command of a replaced session refused"
    /// A message waited because the window was full.
    WindowFull "window full"
    /// A delivery came again after it was given back.
    PushedAgain "pushed again after a nack"
    /// A handler killed its process.
    HandlerCrashed "handler crashed"
    /// A session's end counted as the failure of what its client had announced.
    FailedByEnd "failed by the end of its session"
    /// Another run took the place of one at work, which counted as a failure of what that had announced.
    FailedByReplacement "failed by the replacement of its session"
    /// A sender never learned whether its message was accepted.
    SendingUnknown "sending unknown"
    /// A message for a name that nobody is known by was refused, as its sender wished.
    UnknownRefused "unknown recipient refused"
    /// Mail for a name that never connected was kept.
    KeptForNobody "kept for an unknown name"
    /// A client of the original's protocol was sent a message.
    OriginalHeard "original's client heard"
    /// A message that nobody keeps reached somebody.
    EphemeralHeard "ephemeral message heard"
    /// An inbox was read without a session.
    InboxRead "inbox read"
    /// Somebody knew of a later `seq` than the object, after a restore.
    Ahead "client ahead of a restored mailbox"
    /// A client noticed a restore and named what it no longer knows.
    RestoreNoticed "restore noticed by a client"
    /// An agent was forgotten.
    Forgotten "agent forgotten"
}

/// Number of times that each mark was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    counts: std::collections::BTreeMap<Mark, u64>,
}

impl Marks {
    /// Notes that a mark was reached.
    pub fn reach(&mut self, mark: Mark) {
        *self.counts.entry(mark).or_default() += 1;
    }

    /// Number of times that it was reached.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.counts.get(&mark).copied().unwrap_or(0)
    }

    /// Adds the counts of another simulation.
    pub fn add(&mut self, other: &Self) {
        for (mark, count) in &other.counts {
            *self.counts.entry(*mark).or_default() += count;
        }
    }

    /// Every mark that was never reached.
    #[must_use]
    pub fn missed(&self) -> Vec<Mark> {
        Mark::ALL.iter().copied().filter(|mark| self.count(*mark) == 0).collect()
    }
}

impl Serialize for Marks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Mark::ALL.iter().map(|mark| (mark.name(), self.count(*mark))))
    }
}
