//! Planted mistakes of the object: each is the mailbox machine with one rule broken, made by
//! rearranging its open state around an event. A search that cannot find them checks nothing. The
//! rules that they break are those of spec/rules/mailboxes.md, each with a link to its trace.

mod accepting;
mod addressing;
mod delivering;
mod ending;
mod failing;
mod sessions;
mod settling;
mod silence;
mod telling;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxMachine, MailboxStep};
use mailbus_spec::{AgentId, HostTime, StateMachine, Timestamp};

/// What the object does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// `up_to` settles what was pushed again, too.
    UpToTakesAgain,
    /// An ack settles everything under the message's id.
    AcksById,
    /// A message is given up after too many attempts, whoever failed.
    AttemptsKill,
    /// A replacement is a failure of what was announced.
    ReplacementFails,
    /// The end of a session is a failure of the oldest delivery in flight.
    EndFailsOldest,
    /// An announcement outlives its delivery.
    WorkingOutlives,
    /// A redrive keeps the failures.
    RedriveKeepsFailures,
    /// Acknowledging any loss acknowledges them all.
    GapClearedByAnyAck,
    /// What expires is not counted.
    ExpiryUncounted,
    /// A connect does not tell of the gap.
    GapUntold,
    /// Refusals are forgotten, and the sender is not told of them.
    RefusedForgotten,
    /// Silence counts from the accept, not from the push.
    PresumesFromAccept,
    /// Reads see what is presumed before it is on record.
    ReadsPresume,
    /// Silence settles what asks for an ack.
    PresumesAckRequired,
    /// The sessions that negotiated presume, too.
    PresumesNegotiated,
    /// A full inbox refuses although a silent session was pushed all of it.
    SilentInboxRefuses,
    /// A replacement closes the session that negotiated nothing.
    ReplacementClosesMute,
    /// The end of the live session leaves the superseded ones open.
    MutesStayOpen,
    /// The end of the live session makes the youngest superseded one live.
    PromotesMute,
    /// Superseded sessions are pushed ephemeral messages.
    EphemeralToMutes,
    /// Ephemeral messages are kept.
    KeepsEphemeral,
    /// A round deletes what may still be repeated.
    CollectsRepeatable,
    /// Ids are compared without their sender.
    IdsWithoutSender,
    /// A message with a known id is taken for the first one, whatever is in it.
    IgnoresConflicts,
    /// The last seq is that of the log.
    SeqFromLog,
    /// A recovery does not raise the last seq.
    RecoversWithoutSeq,
    /// A later seq than the last is answered like any other.
    IgnoresAhead,
    /// Byte windows are not looked at.
    IgnoresByteWindow,
    /// Messages that do not fit a byte window are passed over.
    PassesOverTheHead,
    /// Each session gets one more than its window.
    WindowOffByOne,
    /// Redeliveries that are due are pushed before what was never pushed.
    PushesDueFirst,
    /// A nacked delivery holds its place in the window.
    NackHoldsSlot,
    /// A nacked message is out for good.
    NackedNeverReturns,
    /// The alarm forgets what one event had to leave over.
    AlarmForgetsBites,
    /// The alarm forgets what was nacked for later.
    AlarmForgetsDue,
    /// One event pushes all there is.
    NoBites,
    /// What is too old is pushed until a round takes it.
    PushesExpired,
    /// Unsubscribing takes back what was addressed.
    UnsubscribeFilters,
    /// Subscribing fetches what was published before.
    SubscribeFetches,
    /// Agents without a session are no recipients (the original did).
    SkipsOffline,
    /// A connect that names no types subscribes to all.
    ConnectSubscribesAll,
    /// The sender gets its own publication.
    PublishesToSender,
    /// A late close ends whichever session is live.
    LateCloseEndsLive,
    /// Frames of an older epoch are taken.
    TakesStaleFrames,
    /// Epochs are the host's time alone.
    EpochsFromClockAlone,
    /// Inboxes list nothing before the asked place, redriven or not.
    InboxHidesRedriven,
    /// A round lets go of mail for names that never connected.
    CollectsForStrangers,
    /// Every replay of the log row is given a new body.
    ChangesBytes,
    /// An ack forgets to say that it wrote.
    AcksSilently,
}

/// One event on the object with `mistake`.
pub fn handle(
    mistake: Option<Mistake>,
    object: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Some(mistake) = mistake else { return object.handle(host, event) };
    settling::handle(mistake, object, host, event)
        .or_else(|| failing::handle(mistake, object, host, event))
        .or_else(|| silence::handle(mistake, object, host, event))
        .or_else(|| sessions::handle(mistake, object, host, event))
        .or_else(|| ending::handle(mistake, object, host, event))
        .or_else(|| accepting::handle(mistake, object, host, event))
        .or_else(|| addressing::handle(mistake, object, host, event))
        .or_else(|| telling::handle(mistake, object, host, event))
        .or_else(|| delivering::handle(mistake, object, host, event))
        .unwrap_or_else(|| object.handle(host, event))
}

/// When the object with `mistake` wants to be woken.
pub fn next_alarm(mistake: Option<Mistake>, object: &MailboxMachine) -> Option<Timestamp> {
    let mut seen = object.clone();
    for agent in seen.agents.values_mut() {
        match mistake {
            // Only what was nacked for later is looked at.
            Some(Mistake::AlarmForgetsBites) => {
                let floor = object.clock.floor;
                agent.inbox.open.retain(|_, open| open.due > Some(floor));
            }
            Some(Mistake::AlarmForgetsDue) => {
                agent.inbox.open.retain(|_, open| open.due.is_none());
            }
            _ => {}
        }
    }
    seen.next_alarm()
}

/// An event that does nothing but what every event does.
fn question() -> Event<Command> {
    Event::Command(Command::alone(Ask::Agents { after: None, limit: 1 }))
}

fn ask(event: &Event<Command>) -> Option<&Ask> {
    match event {
        Event::Command(command) => Some(&command.ask),
        Event::Alarm => None,
    }
}

fn now(object: &MailboxMachine, host: HostTime) -> Timestamp {
    object.clock.observe(host).expect("worlds keep to plausible years").now
}

/// The live session of an agent, named.
fn live(object: &MailboxMachine, name: &AgentId) -> Option<Connection> {
    let epoch = object.agents.get(name)?.live.as_ref()?.epoch;
    Some(Connection { agent: name.clone(), epoch })
}

/// One step made of two events, the second of which nobody asked for.
fn joined(mut first: MailboxStep, second: MailboxStep, object: &mut MailboxMachine) -> MailboxStep {
    first.pushes.extend(second.pushes);
    if first.wrote && second.wrote {
        object.sequence -= 1;
    }
    first.wrote |= second.wrote;
    first
}
